use llama_sys as sys;

use super::{Context, default_threads};
use crate::{Error, Model, Projector, Result};

/// Most sequences that llama.cpp keeps apart (its `LLAMA_MAX_SEQ`).
const MAX_SEQUENCES: u32 = 256;

/// Type of the numbers in the KV cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    #[default]
    F16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
    /// 8.5 bits each; needs flash attention for V.
    Q8_0,
    /// 4.5 bits each; needs flash attention for V.
    Q4_0,
}

impl KvType {
    fn raw(self) -> sys::ggml_type {
        match self {
            Self::F32 => sys::GGML_TYPE_F32,
            Self::F16 => sys::GGML_TYPE_F16,
            Self::Bf16 => sys::GGML_TYPE_BF16,
            Self::Q8_0 => sys::GGML_TYPE_Q8_0,
            Self::Q4_0 => sys::GGML_TYPE_Q4_0,
        }
    }
}

/// Whether attention is computed in one fused operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlashAttention {
    /// Where the device has it.
    #[default]
    Auto,
    /// Always; an error where the device does not have it.
    On,
    /// Never.
    Off,
}

/// How to make a [`Context`]. Comes from [`Model::context`].
#[derive(Debug, Clone)]
pub struct ContextOptions {
    model: Model,
    n_ctx: Option<u32>,
    n_batch: u32,
    n_ubatch: u32,
    n_seq_max: u32,
    n_threads: Option<u32>,
    n_threads_batch: Option<u32>,
    flash_attention: FlashAttention,
    kv_types: (KvType, KvType),
    swa_full: bool,
}

impl ContextOptions {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            n_ctx: None,
            n_batch: 2048,
            n_ubatch: 512,
            n_seq_max: 1,
            n_threads: None,
            n_threads_batch: None,
            flash_attention: FlashAttention::Auto,
            kv_types: (KvType::F16, KvType::F16),
            swa_full: false,
        }
    }

    /// Tokens in the KV cache, over all sequences. By default what the model was trained for.
    pub fn n_ctx(mut self, tokens: u32) -> Self {
        self.n_ctx = Some(tokens);
        self
    }

    /// Most tokens that llama.cpp takes at once; 2048 by default.
    pub fn n_batch(mut self, tokens: u32) -> Self {
        self.n_batch = tokens;
        self
    }

    /// Most tokens that are computed at once; 512 by default.
    pub fn n_ubatch(mut self, tokens: u32) -> Self {
        self.n_ubatch = tokens;
        self
    }

    /// Makes the batches large enough for the images of a projector: those with attention in both
    /// directions must be computed at once.
    pub fn projector(mut self, projector: &Projector) -> Self {
        self.n_ubatch = self.n_ubatch.max(projector.min_ubatch());
        self.n_batch = self.n_batch.max(self.n_ubatch);
        self
    }

    /// Number of sequences, which share the cache; 1 by default, 256 at most.
    pub fn n_seq_max(mut self, sequences: u32) -> Self {
        self.n_seq_max = sequences;
        self
    }

    /// Threads for one token at a time. By default as many as the CPU has fast cores.
    pub fn n_threads(mut self, threads: u32) -> Self {
        self.n_threads = Some(threads);
        self
    }

    /// Threads for prompts; by default as many as for single tokens.
    pub fn n_threads_batch(mut self, threads: u32) -> Self {
        self.n_threads_batch = Some(threads);
        self
    }

    /// Whether to use flash attention; where the device has it by default.
    pub fn flash_attention(mut self, mode: FlashAttention) -> Self {
        self.flash_attention = mode;
        self
    }

    /// Types of the K and the V cache; 16-bit floats by default.
    pub fn kv_types(mut self, k: KvType, v: KvType) -> Self {
        self.kv_types = (k, v);
        self
    }

    /// Keeps all positions of sliding-window layers, not only the window. Costs the memory of a
    /// full cache.
    pub fn swa_full(mut self, full: bool) -> Self {
        self.swa_full = full;
        self
    }

    /// Creates the context.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] for values that cannot work; [`Error::WrongFile`] for a draft head, which
    /// computes only beside its model; [`Error::Context`] when memory does not suffice.
    pub fn build(&self) -> Result<Context> {
        if self.model.is_draft_head() {
            return Err(Error::WrongFile {
                path: self.model.path().to_owned(),
                message: "this is a draft head, not a model: \
                          give it as the draft (--spec-draft-model) of the model it was made for"
                    .into(),
            });
        }
        let params = self.to_c()?;
        Context::new(self.model.clone(), params)
            .map_err(|message| Error::Context { n_ctx: params.n_ctx, message })
    }

    fn to_c(&self) -> Result<sys::llama_context_params> {
        let mut params = Context::default_params();
        params.n_ctx = self.checked_n_ctx()?;
        params.n_batch = at_least_one("n_batch", self.n_batch)?;
        params.n_ubatch = at_least_one("n_ubatch", self.n_ubatch)?.min(params.n_batch);
        params.n_seq_max = at_least_one("n_seq_max", self.n_seq_max)?;
        if self.n_seq_max > MAX_SEQUENCES {
            return Err(Error::Option {
                option: "n_seq_max",
                message: format!("{} sequences: llama.cpp keeps {MAX_SEQUENCES} at most", self.n_seq_max),
            });
        }
        let n_threads = match self.n_threads {
            Some(n) => at_least_one("n_threads", n)?,
            None => default_threads(),
        };
        let n_threads_batch = match self.n_threads_batch {
            Some(n) => at_least_one("n_threads_batch", n)?,
            None => n_threads,
        };
        params.n_threads = threads("n_threads", n_threads)?;
        params.n_threads_batch = threads("n_threads_batch", n_threads_batch)?;
        params.flash_attn_type = match self.flash_attention {
            FlashAttention::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            FlashAttention::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            FlashAttention::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        params.type_k = self.kv_types.0.raw();
        params.type_v = self.kv_types.1.raw();
        params.swa_full = self.swa_full;
        params.kv_unified = true;
        params.no_perf = true;
        Ok(params)
    }

    fn checked_n_ctx(&self) -> Result<u32> {
        let trained = self.model.n_ctx_train();
        let refuse = |message: String| Err(Error::Option { option: "context size", message });
        match self.n_ctx {
            None => Ok(trained),
            Some(0) => refuse(format!(
                "0 tokens hold no prompt: leave it out for the {trained} that the model was trained for"
            )),
            Some(n) if n > trained => refuse(format!(
                "{n} tokens are more than the {trained} that the model was trained for: ask for that or less"
            )),
            Some(n) => Ok(n),
        }
    }
}

fn at_least_one(option: &'static str, value: u32) -> Result<u32> {
    if value > 0 {
        Ok(value)
    } else {
        Err(Error::Option { option, message: "0 cannot work: use at least 1".into() })
    }
}

fn threads(option: &'static str, value: u32) -> Result<i32> {
    /// ggml's GGML_MAX_N_THREADS; more is an assertion there.
    const MAX: u32 = 512;
    match i32::try_from(value) {
        Ok(n) if value <= MAX => Ok(n),
        _ => Err(Error::Option { option, message: format!("{value}: ggml runs {MAX} threads at most") }),
    }
}
