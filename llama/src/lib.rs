//! Running language models on one's own machine, from Rust, on top of [llama.cpp].
//!
//! ```
//! # fn main() -> llama::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-gemma4/tiny-gemma4-moe-Q8_0.gguf");
//! let model = llama::Model::load(path)?;
//! let mut text = llama::Speculative::off(model.context().n_ctx(4096).build()?);
//! let mut sampler = llama::Sampler::builder().greedy().build(&model)?;
//! let chat = model.chat_templates()?.session(&llama::Chat::new().user("Hello").thinking(false))?;
//! text.prompt(&chat.prompt(None)?)?;
//! while let Some(tokens) = text.next(&mut sampler)? { print!("{}", model.vocab().detokenize(&tokens, false)?); }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Model`] is a loaded GGUF file, [`Vocab`] its tokens, [`gguf`] its header without loading it.
//! - [`Context`] holds the KV cache and computes [`Batch`]es; [`Sampler`] chooses tokens.
//! - [`Chat`] becomes a prompt through the model's [`ChatTemplates`], and the reply is read back as
//!   [`Delta`]s by the [`ChatSession`].
//! - [`Speculative`] generates, with drafts of a Gemma 4 MTP head verified several tokens at a time.
//! - [`Projector`] lets a model see [`Image`]s.
//!
//! Handles keep what they need alive and can be dropped in any order. Nothing a caller passes can
//! crash the process: what llama.cpp would assert is checked, what it throws becomes an [`Error`].
//! Its log goes to [`tracing`], under the target `llama.cpp`.
//!
//! [llama.cpp]: https://github.com/ggml-org/llama.cpp

mod chat;
mod context;
mod device;
mod error;
pub mod gguf;
mod init;
mod log;
mod model;
mod multimodal;
mod sampling;
mod shim;
mod speculative;

pub use chat::{
    Chat, ChatSession, ChatTemplates, Content, Delta, Finish, Message, RenderedPart, ResponseFormat, Role,
    Tool, ToolCall, ToolChoice,
};
pub use context::{Batch, Context, ContextOptions, FlashAttention, InterruptHandle, KvType, OutputId, SeqId};
pub use device::{Device, DeviceKind};
pub use error::{Error, Result};
pub use model::{GpuLayers, Metadata, Model, ModelOptions, PromptPart, Token, TokenDecoder, Vocab};
pub use multimodal::{Chunk, Image, ImageLimits, Media, Projector, ProjectorOptions, Prompt};
pub use sampling::{NoSelector, Sampler, SamplerBuilder, Selector};
pub use speculative::{DraftOptions, DraftStats, Speculative};

/// Build number and commit of the llama.cpp inside ("b12032-785322d17f").
pub fn build_info() -> &'static str {
    env!("LLAMA_BUILD_INFO")
}
