//! What one reply costs, piece by piece, on the tiny trio: `cargo bench --bench generate`.

#![allow(missing_docs)] // of the function that criterion_group! writes

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use llama::{Sampler, Speculative};
use llama_workspace::{Case, Trio, prompt_cases};

/// The first code prompt of the evaluation set.
fn code_case() -> Case {
    prompt_cases().into_iter().find(|case| case.kind == "code").expect("a code prompt")
}

/// Steps after the prompt, with and without drafts: time for one reply of about 40 tokens.
fn reply(c: &mut Criterion) {
    let trio = Trio::shared().expect("the trio");
    let templates = trio.model.chat_templates().expect("a template");
    let case = code_case();
    let mut group = c.benchmark_group("reply");
    group.sample_size(20);
    for n_max in [0, 1, 2, 3] {
        let mut spec = trio.speculative(n_max).expect("a context");
        group.bench_function(format!("draft length {n_max}"), |b| {
            b.iter_batched(
                || templates.session(&case.chat).expect("a session").prompt(None).expect("a prompt"),
                |prompt| run(&mut spec, trio, &prompt),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn run(spec: &mut Speculative, trio: &Trio, prompt: &llama::Prompt) -> usize {
    let mut sampler = Sampler::builder().greedy().build(&trio.model).expect("a sampler");
    spec.prompt(prompt).expect("the prompt fits");
    let mut n = 0;
    while let Some(tokens) = spec.next(&mut sampler).expect("a step") {
        n += tokens.len();
    }
    n
}

/// The text around the model: rendering, tokenizing, detokenizing.
fn text(c: &mut Criterion) {
    let trio = Trio::shared().expect("the trio");
    let templates = trio.model.chat_templates().expect("a template");
    let vocab = trio.model.vocab();
    let case = code_case();
    let session = templates.session(&case.chat).expect("a session");
    let rendered = session.rendered();
    let tokens = vocab.tokenize_with(&rendered, true, true).expect("tokens");
    c.bench_function("render a conversation", |b| {
        b.iter(|| templates.session(&case.chat).expect("a session"))
    });
    c.bench_function("tokenize a prompt", |b| b.iter(|| session.prompt(None).expect("a prompt")));
    c.bench_function("detokenize a prompt as a stream", |b| {
        b.iter(|| {
            let mut decoder = vocab.decoder();
            tokens.iter().map(|&token| decoder.push(token).expect("a token").len()).sum::<usize>()
        });
    });
}

criterion_group!(benches, reply, text);
criterion_main!(benches);
