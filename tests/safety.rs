//! The cases of docs/safety.md that run: what kills a process through llama.cpp is an error here.

use llama::{
    Batch, Chat, Context, DraftOptions, Error, Model, ResponseFormat, Sampler, SeqId, Speculative, Token,
};
use llama_workspace::{Trio, tiny};

fn model() -> Model {
    Model::load(tiny("tiny-gemma4-moe-Q8_0.gguf")).unwrap()
}

fn context(model: &Model) -> Context {
    model.context().n_ctx(1024).n_batch(64).n_ubatch(32).n_seq_max(2).n_threads(1).build().unwrap()
}

fn greedy(model: &Model) -> Sampler {
    Sampler::builder().greedy().build(model).unwrap()
}

/// Still computes after whatever went wrong.
fn assert_works(ctx: &mut Context, sampler: &mut Sampler) {
    ctx.clear();
    let mut batch = Batch::new();
    let output = batch.push_output(Token::new(5), 0, SeqId::default());
    ctx.decode(&batch).unwrap();
    sampler.sample(ctx, output).unwrap();
}

#[test]
fn case_1_a_token_of_many_sequences() {
    let model = model();
    let mut ctx = context(&model);
    let seqs = [ctx.sequence(0).unwrap(), ctx.sequence(1).unwrap()];
    let mut batch = Batch::new();
    batch.push_shared(Token::new(5), 0, &seqs);
    ctx.decode(&batch).unwrap();
    let other = model.context().n_ctx(1024).n_seq_max(200).build().unwrap();
    let many: Vec<SeqId> = (0..200).map(|i| other.sequence(i).unwrap()).collect();
    batch.clear();
    batch.push_shared(Token::new(5), 0, &many);
    assert!(matches!(ctx.decode(&batch), Err(Error::InvalidSequence { seq: 2, n_seq_max: 2 })));
    assert_works(&mut ctx, &mut greedy(&model));
}

#[test]
fn case_2_handles_outlive_the_model() {
    let model = model();
    let vocab = model.vocab();
    let grammar = Sampler::builder().grammar("root ::= \"a\"+").greedy();
    let mut sampler = grammar.build(&model).unwrap();
    let mut ctx = context(&model);
    let templates = model.chat_templates().unwrap();
    drop(model);
    let mut batch = Batch::new();
    let output = batch.push_output(vocab.tokenize("a").unwrap()[0], 0, SeqId::default());
    ctx.decode(&batch).unwrap();
    let token = sampler.sample(&mut ctx, output).unwrap();
    assert!(vocab.detokenize(&[token], false).unwrap().starts_with('a'));
    drop(ctx);
    let session = templates.session(&Chat::new().user("Hello")).unwrap();
    drop(templates);
    assert!(session.prompt(None).unwrap().n_tokens() > 3);
}

#[test]
fn case_3_an_exhausted_grammar_ends_one_text_alone() {
    let model = model();
    let vocab = model.vocab();
    let mut ctx = context(&model);
    let mut sampler = Sampler::builder().grammar("root ::= \"a\"").greedy().build(&model).unwrap();
    let mut text = Vec::new();
    for pos in 0..4 {
        let mut batch = Batch::new();
        let output = batch.push_output(Token::new(5), pos, SeqId::default());
        ctx.decode(&batch).unwrap();
        text.push(sampler.sample(&mut ctx, output).unwrap());
    }
    assert_eq!(vocab.detokenize(&text, false).unwrap(), "a");
    assert!(vocab.is_eog(text[1]).unwrap());
    // Nothing may follow, and llama.cpp throws "Unexpected empty grammar stack".
    let more = vocab.tokenize_with("b", false, false).unwrap()[0];
    assert!(matches!(sampler.accept(more), Err(Error::Sampling(_))));
    assert_works(&mut ctx, &mut greedy(&model));
}

#[test]
fn case_4_a_token_out_of_range_has_no_text() {
    let vocab = model().vocab();
    for id in [-1, i32::MIN, i32::MAX, vocab.n_tokens() as i32] {
        let token = Token::new(id);
        assert!(matches!(vocab.piece(token, true), Err(Error::InvalidToken { .. })));
        assert!(matches!(vocab.is_eog(token), Err(Error::InvalidToken { .. })));
        assert!(matches!(vocab.is_control(token), Err(Error::InvalidToken { .. })));
        assert!(matches!(vocab.decoder().push(token), Err(Error::InvalidToken { .. })));
    }
}

#[test]
fn case_5_a_batch_longer_than_n_batch_is_split() {
    let model = model();
    let mut ctx = context(&model);
    let logits = |ctx: &mut Context, chunk: u32| {
        ctx.clear();
        let (mut batch, mut last) = (Batch::new(), None);
        for pos in 0..333 {
            let token = Token::new(300 + pos as i32 % 40);
            if pos == 332 {
                last = Some(batch.push_output(token, pos, SeqId::default()));
            } else {
                batch.push(token, pos, SeqId::default());
            }
            if (pos + 1) % chunk == 0 || last.is_some() {
                ctx.decode(&batch).unwrap();
                if last.is_none() {
                    batch.clear();
                }
            }
        }
        ctx.logits(last.unwrap()).unwrap().to_vec()
    };
    let (split, whole) = (logits(&mut ctx, 50), logits(&mut ctx, 1000));
    let difference = split.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1.0, "{difference}");

    let mut early = Batch::new();
    early.push_output(Token::new(5), 0, SeqId::default());
    (1..100).for_each(|pos| early.push(Token::new(5), pos, SeqId::default()));
    ctx.clear();
    assert!(matches!(ctx.decode(&early), Err(Error::OutputsTooEarly { n_batch: 64 })));
    assert_works(&mut ctx, &mut greedy(&model));
}

#[test]
fn case_6_a_sequence_that_the_context_does_not_have() {
    let model = model();
    let mut small = context(&model);
    let large = model.context().n_ctx(1024).n_seq_max(8).build().unwrap();
    assert!(matches!(small.sequence(2), Err(Error::InvalidSequence { seq: 2, n_seq_max: 2 })));
    let foreign = large.sequence(7).unwrap();
    let first = SeqId::default();
    assert!(matches!(small.remove(foreign, ..), Err(Error::InvalidSequence { .. })));
    assert!(matches!(small.copy(first, foreign, ..), Err(Error::InvalidSequence { .. })));
    assert!(matches!(small.copy(foreign, first, ..), Err(Error::InvalidSequence { .. })));
    assert!(matches!(small.positions(foreign), Err(Error::InvalidSequence { .. })));
    let mut batch = Batch::new();
    batch.push(Token::new(5), 0, foreign);
    assert!(matches!(small.decode(&batch), Err(Error::InvalidSequence { .. })));
}

// Case 7, a chain without a selector, does not compile: see the documentation of `Sampler`.

#[test]
fn case_8_an_output_that_was_not_requested() {
    let model = model();
    let mut ctx = context(&model);
    let mut sampler = greedy(&model);
    let mut batch = Batch::new();
    let before = batch.push_output(Token::new(5), 0, SeqId::default());
    assert!(matches!(sampler.sample(&mut ctx, before), Err(Error::InvalidOutput)));
    ctx.decode(&batch).unwrap();
    sampler.sample(&mut ctx, before).unwrap();
    let added = batch.push_output(Token::new(5), 1, SeqId::default());
    assert!(matches!(ctx.logits(added), Err(Error::InvalidOutput)));
    let mut next = Batch::new();
    next.push(Token::new(5), 1, SeqId::default());
    ctx.decode(&next).unwrap();
    assert!(matches!(sampler.sample(&mut ctx, before), Err(Error::InvalidOutput)));
    let mut other = context(&model);
    assert!(matches!(sampler.sample(&mut other, before), Err(Error::InvalidOutput)));
}

#[test]
fn case_9_there_is_no_backend_token_to_forge_or_repeat() {
    // Initialisation is inside, from any thread, any number of times.
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| drop(model()))).collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    model();
}

#[test]
fn case_10_an_invalid_token_in_a_batch_is_named() {
    let model = model();
    let mut ctx = context(&model);
    for id in [-1, i32::MAX] {
        let mut batch = Batch::new();
        batch.push(Token::new(id), 0, SeqId::default());
        let error = ctx.decode(&batch).unwrap_err().to_string();
        assert_eq!(error, format!("token {id} is not in the vocabulary of 4096 tokens"));
    }
    // A gap in the positions is llama.cpp's to find; its own words come along.
    let mut batch = Batch::new();
    batch.push(Token::new(5), 7, SeqId::default());
    ctx.decode(&batch).ok();
    batch.clear();
    batch.push(Token::new(5), 20, SeqId::default());
    let error = ctx.decode(&batch).unwrap_err();
    assert!(matches!(&error, Error::Decode(reason) if reason.contains("position")), "{error}");
    assert_works(&mut ctx, &mut greedy(&model));
}

#[test]
fn case_16_a_head_of_another_width() {
    let trio = Trio::shared().unwrap();
    let pair = |head: &Model| {
        let ctx = trio.model.context().n_ctx(512).build().unwrap();
        Speculative::mtp(ctx, Some(head), DraftOptions::default())
    };
    assert!(matches!(pair(&trio.model), Err(Error::HeadMismatch(_))));
    let narrow = narrow_head();
    let error = pair(&Model::load(&narrow.0).unwrap()).unwrap_err();
    assert!(matches!(&error, Error::HeadMismatch(m) if m.contains("width 128")), "{error}");
    pair(&trio.head).unwrap();
}

/// A file that is removed with its owner.
struct TempFile(std::path::PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).ok();
    }
}

/// A draft head for a model half as wide as the trio's.
fn narrow_head() -> TempFile {
    let path = std::env::temp_dir().join(format!("narrow-head-{}.gguf", std::process::id()));
    llama_workspace::write_head(&path, 128).unwrap();
    TempFile(path)
}

#[test]
fn options_that_cannot_work_are_refused() {
    let model = model();
    let refused = |options: llama::ContextOptions| match options.build() {
        Err(Error::Option { .. }) => {}
        other => panic!("{other:?}"),
    };
    refused(model.context().n_ctx(0));
    refused(model.context().n_ctx(1_000_000_000));
    refused(model.context().n_batch(0));
    refused(model.context().n_ubatch(0));
    refused(model.context().n_seq_max(0));
    refused(model.context().n_seq_max(257));
    refused(model.context().n_threads(0));
    refused(model.context().n_threads(u32::MAX));
}

#[test]
fn a_head_alone_is_no_model() {
    let head = Model::load(tiny("tiny-gemma4-moe-Q8_0-MTP.gguf")).unwrap();
    assert!(head.is_draft_head());
    assert!(matches!(head.context().build(), Err(Error::WrongFile { .. })));
}

#[test]
fn handles_of_different_models_do_not_mix() {
    let (a, b) = (model(), model());
    let mut ctx = context(&a);
    let mut batch = Batch::new();
    let output = batch.push_output(Token::new(5), 0, SeqId::default());
    ctx.decode(&batch).unwrap();
    assert!(matches!(greedy(&b).sample(&mut ctx, output), Err(Error::ModelMismatch { .. })));
    let session = a.chat_templates().unwrap().session(&Chat::new().user("Hello")).unwrap();
    let result = Sampler::builder().greedy().build_for(&b, &session);
    assert!(matches!(result, Err(Error::ModelMismatch { .. })));
}

#[test]
fn bad_grammars_and_schemas_are_errors() {
    let model = model();
    for grammar in ["root ::= missing", "%llguidance {}", "root ::= [", "a ::= \"b\"", "root"] {
        let result = Sampler::builder().grammar(grammar).greedy().build(&model);
        assert!(matches!(result, Err(Error::Sampling(_))), "{grammar}");
    }
    let templates = model.chat_templates().unwrap();
    let chat = Chat {
        response_format: ResponseFormat::JsonSchema(serde_json::json!({ "type": "nonsense" })),
        ..Chat::new().user("Hello")
    };
    assert!(matches!(templates.session(&chat), Err(Error::Chat(_))));
}

#[test]
fn a_full_context_ends_the_text_and_an_interrupt_the_step() {
    let trio = Trio::shared().unwrap();
    let ctx = trio.model.context().n_ctx(256).build().unwrap();
    let mut spec = Speculative::mtp(ctx, Some(&trio.head), DraftOptions::default()).unwrap();
    let vocab = trio.model.vocab();
    let ends = (0..vocab.n_tokens() as i32).map(Token::new).filter(|&t| vocab.is_eog(t).unwrap());
    let endless = ends.fold(Sampler::builder(), |b, end| b.logit_bias(end, f32::NEG_INFINITY));
    let mut sampler = endless.seed(1).build(&trio.model).unwrap();
    let prompt = trio.model.vocab().tokenize("Count to 100. 1, 2, 3, 4").unwrap();
    spec.prompt_tokens(&prompt).unwrap();
    let mut n = 0;
    let error = loop {
        match spec.next(&mut sampler) {
            Ok(tokens) => n += tokens.expect("no end without a token for it").len(),
            Err(e) => break e,
        }
    };
    assert!(matches!(error, Error::ContextFull { n_ctx: 256 }), "{error}");
    assert_eq!(prompt.len() + n, 257, "every position was used, and one token is not computed");
    let long = vec![prompt[1]; 256];
    assert!(matches!(spec.prompt_tokens(&long), Err(Error::PromptTooLong { n_prompt: 256, n_ctx: 256 })));
    assert!(matches!(spec.prompt_tokens(&[]), Err(Error::EmptyPrompt)));
    spec.interrupt_handle().interrupt();
    assert!(matches!(spec.prompt_tokens(&prompt), Err(Error::Interrupted)));
    spec.prompt_tokens(&prompt).unwrap();
    spec.next(&mut sampler).unwrap();
}
