//! Drafting with the MTP head: the same text, and as many accepted drafts as were measured.

use llama::{ChatTemplates, Sampler, Speculative};
use llama_workspace::{Case, Reply, Trio, generate, prompt_cases};

/// Accepted of drafted tokens at draft length 3 on the shared code prompts: models/README.md.
const CODE_ACCEPTANCE: f64 = 0.976;

fn run(trio: &Trio, templates: &ChatTemplates, spec: &mut Speculative, case: &Case) -> Reply {
    let session = templates.session(&case.chat).expect(&case.id);
    let mut sampler = Sampler::builder().greedy().build_for(&trio.model, &session).expect(&case.id);
    generate(spec, &mut sampler, session, None, 400).expect(&case.id)
}

#[test]
fn greedy_text_is_the_same_with_and_without_drafts() {
    let trio = Trio::shared().unwrap();
    let templates = trio.model.chat_templates().unwrap();
    let mut plain = trio.speculative(0).unwrap();
    let mut drafting = [1, 3, 6].map(|n| (n, trio.speculative(n).unwrap()));
    let cases = prompt_cases();
    assert!(cases.len() >= 20);
    let mut n_right = 0;
    for case in &cases {
        let without = run(trio, &templates, &mut plain, case);
        for (n_max, spec) in &mut drafting {
            let with = run(trio, &templates, spec, case);
            assert_eq!(with.content, without.content, "{} at draft length {n_max}", case.id);
            assert_eq!(with.tokens, without.tokens, "{} at draft length {n_max}", case.id);
        }
        let right = case.expect.as_ref().is_some_and(|expect| expect == without.content.trim());
        if !right && case.reference_ok {
            println!("{}: {:?}, expected {:?}", case.id, without.content, case.expect);
        }
        n_right += usize::from(right && case.reference_ok);
    }
    let n_reference = cases.iter().filter(|case| case.reference_ok).count();
    println!("{n_right} of {n_reference} answers that the reference gets right");
    assert!(n_right + 1 >= n_reference, "{n_right} of {n_reference}");
}

#[test]
fn code_drafts_are_accepted_as_often_as_measured() {
    let trio = Trio::shared().unwrap();
    let templates = trio.model.chat_templates().unwrap();
    let mut spec = trio.speculative(3).unwrap();
    let (mut drafted, mut accepted) = (0, 0);
    for case in prompt_cases().iter().filter(|case| case.kind == "code") {
        run(trio, &templates, &mut spec, case);
        let stats = spec.stats();
        assert_eq!(stats.by_position.iter().map(|p| p.0).sum::<u64>(), stats.n_drafted, "{}", case.id);
        assert_eq!(stats.by_position.iter().map(|p| p.1).sum::<u64>(), stats.n_accepted, "{}", case.id);
        drafted += stats.n_drafted;
        accepted += stats.n_accepted;
    }
    let rate = accepted as f64 / drafted as f64;
    println!("{accepted} of {drafted} drafted tokens accepted: {:.1} %", rate * 100.0);
    assert!((rate - CODE_ACCEPTANCE).abs() <= 0.03, "{accepted} of {drafted}");
}

#[test]
fn the_same_seed_gives_the_same_text_with_and_without_drafts() {
    let trio = Trio::shared().unwrap();
    let templates = trio.model.chat_templates().unwrap();
    let mut plain = trio.speculative(0).unwrap();
    let mut drafting = trio.speculative(3).unwrap();
    for (seed, case) in prompt_cases().iter().enumerate().take(8) {
        let reply = |spec: &mut Speculative| {
            let session = templates.session(&case.chat).unwrap();
            let builder = Sampler::builder().top_k(40).temperature(1.0).seed(seed as u32);
            let mut sampler = builder.build_for(&trio.model, &session).unwrap();
            generate(spec, &mut sampler, session, None, 200).unwrap()
        };
        assert_eq!(reply(&mut plain).tokens, reply(&mut drafting).tokens, "{}", case.id);
    }
}
