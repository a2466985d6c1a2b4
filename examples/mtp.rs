//! Generates with a draft head: the text is the same, it comes faster where drafts are accepted.
//!
//! `cargo run --release --example mtp -- model.gguf mtp.gguf "a prompt"`

use std::io::{Write, stdout};

use llama::{Chat, DraftOptions, Model, Sampler, Speculative};

fn main() -> llama::Result<()> {
    let trio = concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny-gemma4/tiny-gemma4-moe-Q8_0");
    let mut args = std::env::args().skip(1);
    let model = Model::load(args.next().unwrap_or_else(|| format!("{trio}.gguf")))?;
    let head = Model::load(args.next().unwrap_or_else(|| format!("{trio}-MTP.gguf")))?;
    let question = args.next().unwrap_or_else(|| "Count to 20.".into());

    let chat = Chat::new().user(question).thinking(false);
    let session = model.chat_templates()?.session(&chat)?;
    let mut sampler = Sampler::builder().greedy().build(&model)?;
    let mut decoder = session.decoder();

    let context = model.context().n_ctx(4096).build()?;
    let mut spec = Speculative::mtp(context, Some(&head), DraftOptions::default())?;
    spec.prompt(&session.prompt(None)?)?;
    while let Some(tokens) = spec.next(&mut sampler)? {
        for token in tokens {
            print!("{}", decoder.push(token)?);
        }
        stdout().flush().ok();
    }
    let stats = spec.stats();
    println!("\n{} of {} drafted tokens accepted", stats.n_accepted, stats.n_drafted);
    Ok(())
}
