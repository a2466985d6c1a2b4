//! Every sampler, on the trio.

use std::collections::HashSet;

use llama::{Batch, Context, OutputId, Sampler, SamplerBuilder, Selector, SeqId, Token};
use llama_workspace::Trio;

/// A context with the logits of one output, of a text that can go on in many ways.
fn context(trio: &Trio) -> (Context, OutputId) {
    let mut ctx = trio.model.context().n_ctx(512).n_threads(1).build().unwrap();
    let mut batch = Batch::new();
    let tokens = trio.model.vocab().tokenize("Hello. My favourite colour is").unwrap();
    let mut output = None;
    for (pos, &token) in tokens.iter().enumerate() {
        output = Some(batch.push_output(token, pos as u32, SeqId::default()));
    }
    ctx.decode(&batch).unwrap();
    (ctx, output.unwrap())
}

/// Tokens that the builder's sampler chooses with different seeds.
fn choices(trio: &Trio, build: impl Fn(u32) -> SamplerBuilder<Selector>) -> HashSet<Token> {
    let (mut ctx, output) = context(trio);
    (0..200)
        .map(|seed| {
            let mut sampler = build(seed).build(&trio.model).unwrap();
            sampler.sample(&mut ctx, output).unwrap()
        })
        .collect()
}

/// The `n` most likely tokens.
fn best(trio: &Trio, n: usize) -> Vec<Token> {
    let (mut ctx, output) = context(trio);
    let logits = ctx.logits(output).unwrap();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order[..n].iter().map(|&id| Token::new(id as i32)).collect()
}

#[test]
fn greedy_takes_the_most_likely_token() {
    let trio = Trio::shared().unwrap();
    assert_eq!(choices(trio, |_| Sampler::builder().greedy()), HashSet::from([best(trio, 1)[0]]));
    assert_eq!(choices(trio, |seed| Sampler::builder().top_k(1).seed(seed)).len(), 1);
    assert_eq!(choices(trio, |seed| Sampler::builder().temperature(0.0).seed(seed)).len(), 1);
}

#[test]
fn what_cuts_keeps_the_likely_ones() {
    let trio = Trio::shared().unwrap();
    let hot = || Sampler::builder().temperature(3.0);
    let all = choices(trio, |seed| hot().seed(seed));
    assert!(all.len() > 50, "{} tokens without a cut", all.len());
    let top: HashSet<Token> = best(trio, 5).into_iter().collect();
    let of_top_k = choices(trio, |seed| hot().top_k(5).seed(seed));
    assert!(of_top_k.is_subset(&top) && of_top_k.len() > 1, "{of_top_k:?}");
    for (name, chosen) in [
        ("top_p", choices(trio, |seed| hot().top_p(0.3).seed(seed))),
        ("min_p", choices(trio, |seed| hot().min_p(0.5).seed(seed))),
        ("top_n_sigma", choices(trio, |seed| hot().top_n_sigma(0.5).seed(seed))),
    ] {
        assert!(chosen.len() < all.len() / 2, "{name}: {} of {}", chosen.len(), all.len());
    }
}

#[test]
fn the_others_choose_reproducibly() {
    let trio = Trio::shared().unwrap();
    let (mut ctx, output) = context(trio);
    let builders: Vec<(&str, SamplerBuilder<Selector>)> = vec![
        ("typical", Sampler::builder().typical(0.9).seed(3)),
        ("xtc", Sampler::builder().xtc(1.0, 0.05).seed(3)),
        ("dynamic", Sampler::builder().temperature(1.0).dynamic_temperature(0.5, 1.0).seed(3)),
        ("dry", Sampler::builder().dry(0.8, 1.75, 2, 64, ["\n", ":"]).seed(3)),
        ("penalties", Sampler::builder().penalties(64, 1.2, 0.1, 0.1).seed(3)),
        ("infill", Sampler::builder().infill().seed(3)),
        ("mirostat", Sampler::builder().mirostat(5.0, 0.1, 3)),
        ("mirostat 2", Sampler::builder().temperature(0.8).mirostat_v2(5.0, 0.1, 3)),
        ("adaptive-p", Sampler::builder().min_p(0.05).adaptive_p(0.3, 0.9, 3)),
    ];
    for (name, builder) in builders {
        let mut choose = |mut sampler: Sampler| {
            (0..12).map(|_| sampler.sample(&mut ctx, output).unwrap()).collect::<Vec<_>>()
        };
        let first = choose(builder.build(&trio.model).unwrap());
        let second = choose(builder.build(&trio.model).unwrap());
        assert_eq!(first, second, "{name}");
    }
}

#[test]
fn xtc_drops_the_top_choice_where_there_are_others() {
    let trio = Trio::shared().unwrap();
    let (top, hot) = (best(trio, 1)[0], || Sampler::builder().temperature(2.0).top_k(3));
    assert!(choices(trio, |seed| hot().seed(seed)).contains(&top));
    assert!(!choices(trio, |seed| Sampler::builder().top_k(3).xtc(1.0, 0.0001).seed(seed)).contains(&top));
}

#[test]
fn a_bias_forbids_and_a_penalty_discourages() {
    let trio = Trio::shared().unwrap();
    let top = best(trio, 2);
    let (mut ctx, output) = context(trio);
    let biased = Sampler::builder().logit_bias(top[0], f32::NEG_INFINITY).greedy();
    assert_eq!(biased.build(&trio.model).unwrap().sample(&mut ctx, output).unwrap(), top[1]);
    let mut penalised =
        Sampler::builder().penalties(64, 1.0, 0.0, 100.0).greedy().build(&trio.model).unwrap();
    penalised.accept_prompt(top[0]).unwrap();
    assert_ne!(penalised.sample(&mut ctx, output).unwrap(), top[0]);
}

#[test]
fn a_clone_goes_on_as_its_original() {
    let trio = Trio::shared().unwrap();
    let (mut ctx, output) = context(trio);
    let mut a = Sampler::builder().temperature(2.0).seed(9).build(&trio.model).unwrap();
    a.sample(&mut ctx, output).unwrap();
    let mut b = a.try_clone().unwrap();
    for _ in 0..20 {
        assert_eq!(a.sample(&mut ctx, output).unwrap(), b.sample(&mut ctx, output).unwrap());
    }
}
