//! Asks a model one question and prints the reply as it comes.
//!
//! `cargo run --release --example chat -- model.gguf "a question"`

use std::io::{Write, stdout};

use llama::{Chat, Model, Sampler, Speculative};

fn main() -> llama::Result<()> {
    let trio = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny-gemma4/tiny-gemma4-moe-Q8_0");
    let mut args = std::env::args().skip(1);
    let model = Model::load(args.next().unwrap_or_else(|| format!("{trio}.gguf")))?;
    let question = args.next().unwrap_or_else(|| "What is the capital of France?".into());

    let session = model.chat_templates()?.session(&Chat::new().user(question))?;
    let mut sampler = Sampler::builder().temperature(0.7).top_p(0.95).seed(1).build(&model)?;
    let mut decoder = session.decoder();

    let mut text = Speculative::off(model.context().n_ctx(4096).build()?);
    text.prompt(&session.prompt(None)?)?;
    while let Some(tokens) = text.next(&mut sampler)? {
        for token in tokens {
            print!("{}", decoder.push(token)?);
        }
        stdout().flush().ok();
    }
    println!();
    Ok(())
}
