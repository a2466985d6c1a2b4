//! What the end-to-end tests, benchmarks and examples of the llama crates share: the tiny trio in
//! `models/`, its evaluation cases, and a loop that generates one reply.

mod eval;
mod head;
mod reply;

pub use eval::{
    Case, ImageCase, Question, chat_from_json, image_cases, known_cases, prompt_cases, tool_cases,
};
pub use head::write_head;
pub use reply::{Reply, generate};

use std::path::PathBuf;

use llama::{Context, DraftOptions, Model, Projector, Speculative};
use once_cell::sync::OnceCell;

/// Path of a file beneath `models/tiny-gemma4`.
pub fn tiny(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models/tiny-gemma4")).join(name)
}

/// The tiny Gemma 4, its draft head and its projector.
#[derive(Debug, Clone)]
pub struct Trio {
    /// The model.
    pub model: Model,
    /// Its draft head.
    pub head: Model,
    /// Its projector.
    pub projector: Projector,
}

impl Trio {
    /// The trio, loaded once for the process.
    ///
    /// # Errors
    ///
    /// What loading a file returns.
    pub fn shared() -> llama::Result<&'static Self> {
        static TRIO: OnceCell<Trio> = OnceCell::new();
        TRIO.get_or_try_init(Self::load)
    }

    /// Loads the three files.
    ///
    /// # Errors
    ///
    /// What loading a file returns.
    pub fn load() -> llama::Result<Self> {
        let model = Model::load(tiny("tiny-gemma4-moe-Q8_0.gguf"))?;
        let head = Model::load(tiny("tiny-gemma4-moe-Q8_0-MTP.gguf"))?;
        let projector = Projector::load(&model, tiny("mmproj-tiny-gemma4-F16.gguf"))?;
        Ok(Self { model, head, projector })
    }

    /// A context of 8192 tokens that takes images. One thread: for a model this small, threads
    /// wait for each other longer than they compute, above all where several tests run at once.
    ///
    /// # Errors
    ///
    /// What creating a context returns.
    pub fn context(&self) -> llama::Result<Context> {
        self.model.context().n_ctx(8192).n_threads(1).projector(&self.projector).build()
    }

    /// Generation with `n_max` drafts at a time; without the head for 0.
    ///
    /// # Errors
    ///
    /// What creating a context or pairing it with the head returns.
    pub fn speculative(&self, n_max: u32) -> llama::Result<Speculative> {
        match n_max {
            0 => Ok(Speculative::off(self.context()?)),
            n => Speculative::mtp(self.context()?, Some(&self.head), DraftOptions::default().n_max(n)),
        }
    }
}

/// Compiles and runs the library section of README.md.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
