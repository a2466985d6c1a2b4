//! Choosing a token from the logits.

mod builder;

use std::ptr::NonNull;

use llama_sys as sys;

pub use builder::{NoSelector, SamplerBuilder, Selector};

use crate::{Context, Error, Model, OutputId, Result, Token, shim};

/// Chooses tokens, and remembers the text so far for its penalties and its grammar.
///
/// A sampler without a selector does not build:
///
/// ```compile_fail
/// # fn build(model: &llama::Model) -> llama::Result<llama::Sampler> {
/// llama::Sampler::builder().top_k(40).build(model) // no `.greedy()` or `.seed(…)`
/// # }
/// ```
pub struct Sampler {
    ptr: NonNull<sys::shim_sampler>,
    model: Model,
}

// SAFETY: the sampler owns all its state but the vocab, which is immutable and kept alive by
// `model`; it is used by one thread at a time, because everything takes `&mut self`.
unsafe impl Send for Sampler {}

impl Drop for Sampler {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once, before the model that it reads.
        unsafe { sys::shim_sampler_free(self.ptr.as_ptr()) };
    }
}

impl Sampler {
    /// Starts with an empty chain: add samplers, then a selector.
    pub fn builder() -> SamplerBuilder {
        SamplerBuilder::default()
    }

    /// # Safety
    ///
    /// Pointers in `params` are valid during the call; `chat` is NULL or a live session of the
    /// same model.
    unsafe fn new(
        model: &Model,
        params: &sys::shim_sampling_params,
        chat: *const sys::shim_chat,
    ) -> Result<Self> {
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the model is alive; the rest is the caller's promise.
        shim::call(|| unsafe { sys::shim_sampler_new(model.as_ptr(), params, chat, &mut ptr) })
            .map_err(Error::Sampling)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| Error::Sampling("no sampler".into()))?;
        Ok(Self { ptr, model: model.clone() })
    }

    /// The seed in use; the one chosen by llama.cpp if it was told to choose.
    pub fn seed(&self) -> u32 {
        // SAFETY: the sampler is alive.
        unsafe { sys::shim_sampler_seed(self.ptr.as_ptr()) }
    }

    /// Tells the sampler of a prompt token, which counts for the penalties.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`].
    pub fn accept_prompt(&mut self, token: Token) -> Result<()> {
        self.model.vocab().check(token)?;
        // SAFETY: the sampler is alive and the token is in range.
        shim::call(|| unsafe { sys::shim_sampler_accept(self.ptr.as_ptr(), token.0, false) })
            .map_err(Error::Sampling)
    }

    /// Chooses a token at an output of the context's last decode, and accepts it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOutput`] for an output that the last decode did not produce,
    /// [`Error::ModelMismatch`] for a context of another model, [`Error::Sampling`] where the
    /// grammar leaves no token.
    pub fn sample(&mut self, context: &mut Context, output: OutputId) -> Result<Token> {
        let mut tokens = Vec::with_capacity(1);
        self.verify(context, &[output], &[], &mut tokens)?;
        Ok(tokens[0])
    }

    /// Chooses a token at each output in turn, as long as the choice is the drafted token, and
    /// appends the choices: the accepted drafts and one token more. `outputs` has one entry more
    /// than `draft`. On an error, `tokens` has what was chosen before it.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample).
    ///
    /// # Panics
    ///
    /// If `outputs` does not have one entry more than `draft`.
    pub fn verify(
        &mut self,
        context: &mut Context,
        outputs: &[OutputId],
        draft: &[Token],
        tokens: &mut Vec<Token>,
    ) -> Result<()> {
        assert_eq!(outputs.len(), draft.len() + 1, "one output for each draft and one more");
        if !self.model.same(context.model()) {
            return Err(Error::ModelMismatch { what: "sampler" });
        }
        let outputs =
            outputs.iter().map(|&output| context.output_index(output)).collect::<Result<Vec<i32>>>()?;
        let mut chosen = vec![Token(0); outputs.len()];
        let mut n = 0;
        // SAFETY: both handles are alive and of one model; the outputs were requested in the last
        // decode; `chosen` has room for one token more than `draft`, and `Token` is a transparent
        // llama_token.
        let result = shim::call(|| unsafe {
            sys::shim_sampler_sample(
                self.ptr.as_ptr(),
                context.as_ptr(),
                outputs.as_ptr(),
                draft.as_ptr().cast(),
                draft.len(),
                chosen.as_mut_ptr().cast(),
                &mut n,
            )
        });
        tokens.extend_from_slice(&chosen[..n]);
        result.map_err(Error::Sampling)
    }

    /// Forgets the text so far; the grammar starts anew only in a new sampler.
    pub fn reset(&mut self) {
        // SAFETY: the sampler is alive.
        unsafe { sys::shim_sampler_reset(self.ptr.as_ptr()) };
    }

    /// A copy in the same state, random numbers included.
    ///
    /// # Errors
    ///
    /// [`Error::Sampling`] when memory does not suffice.
    pub fn try_clone(&self) -> Result<Self> {
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the sampler is alive.
        shim::call(|| unsafe { sys::shim_sampler_clone(self.ptr.as_ptr(), &mut ptr) })
            .map_err(Error::Sampling)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| Error::Sampling("no sampler".into()))?;
        Ok(Self { ptr, model: self.model.clone() })
    }
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("seed", &self.seed()).finish_non_exhaustive()
    }
}
