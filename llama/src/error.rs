use std::path::PathBuf;

use crate::gguf::GgufError;

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, in one line that says what to do.
///
/// Where llama.cpp itself logged a reason, the message ends with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is missing, unreadable, truncated or no GGUF.
    #[error("{}: {source}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
    /// The file is a GGUF, but of another kind than was asked for.
    #[error("{}: {message}", path.display())]
    WrongFile {
        /// The file.
        path: PathBuf,
        /// What it is and where it belongs.
        message: String,
    },
    /// llama.cpp refused to load the file.
    #[error("{}: cannot load: {message}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// llama.cpp's reason.
        message: String,
    },
    /// An option has a value that cannot work.
    #[error("{option}: {message}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The context could not be created, mostly for want of memory.
    #[error("cannot create a context of {n_ctx} tokens, try fewer: {message}")]
    Context {
        /// Tokens asked for.
        n_ctx: u32,
        /// llama.cpp's reason.
        message: String,
    },
    /// The draft head does not belong to the model.
    #[error("the draft head does not fit the model: {0}")]
    HeadMismatch(String),
    /// The projector does not belong to the model or cannot do what was asked.
    #[error("{0}")]
    Projector(String),
    /// The image cannot be decoded or exceeds the limits.
    #[error("cannot use the image: {0}")]
    Image(String),
    /// A token id lies outside the vocabulary it is used with.
    #[error("token {token} is not in the vocabulary of {n_tokens} tokens")]
    InvalidToken {
        /// The id.
        token: i32,
        /// Size of the vocabulary.
        n_tokens: u32,
    },
    /// A sequence id that the context does not have.
    #[error("sequence {seq} does not exist: the context was made for {n_seq_max} (0 to {})", n_seq_max - 1)]
    InvalidSequence {
        /// The id.
        seq: u32,
        /// Sequences of the context.
        n_seq_max: u32,
    },
    /// An output that the last decode of this context did not produce.
    #[error(
        "the context holds no output for this id: it was not requested, or another batch was decoded since"
    )]
    InvalidOutput,
    /// More outputs were requested than one decode can hold.
    #[error("outputs must lie within the last {n_batch} tokens of a batch: decode in smaller batches")]
    OutputsTooEarly {
        /// The context's `n_batch`.
        n_batch: u32,
    },
    /// Handles of different models were combined.
    #[error("the {what} belongs to another model")]
    ModelMismatch {
        /// The handle that does not fit.
        what: &'static str,
    },
    /// The prompt does not leave room for a single generated token.
    ///
    /// The wording is llama-server's: agents recognise it and compact their history.
    #[error(
        "request ({n_prompt} tokens) exceeds the available context size ({n_ctx} tokens), try increasing it"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_prompt: usize,
        /// Tokens of the context.
        n_ctx: u32,
    },
    /// A prompt without tokens gives nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// Generation reached the end of the context.
    #[error("the context of {n_ctx} tokens is full")]
    ContextFull {
        /// Tokens of the context.
        n_ctx: u32,
    },
    /// The KV cache has no room for the batch.
    #[error("the KV cache has no room for {n_tokens} more tokens")]
    KvCacheFull {
        /// Tokens of the batch.
        n_tokens: usize,
    },
    /// The decode was stopped through an [`InterruptHandle`](crate::InterruptHandle).
    #[error("interrupted")]
    Interrupted,
    /// llama.cpp could not decode.
    #[error("decoding failed: {0}")]
    Decode(String),
    /// The sampler's settings, or the grammar it must follow, leave no token to choose.
    #[error("sampling failed: {0}")]
    Sampling(String),
    /// The conversation cannot be rendered with the model's chat template.
    #[error("cannot render the conversation: {0}")]
    Chat(String),
    /// Text that llama.cpp cannot tokenize.
    #[error("cannot tokenize: {0}")]
    Tokenize(String),
    /// A string with a NUL byte, which C cannot carry.
    #[error("{what} contains a NUL byte")]
    Nul {
        /// The string.
        what: &'static str,
    },
}

impl Error {
    /// Whether the caller's input is at fault, so that the same call would fail again.
    pub fn is_invalid_input(&self) -> bool {
        !matches!(
            self,
            Self::Load { .. }
                | Self::Context { .. }
                | Self::ContextFull { .. }
                | Self::KvCacheFull { .. }
                | Self::Interrupted
                | Self::Decode(_)
                | Self::Sampling(_)
        )
    }
}
