use std::ptr::NonNull;

use llama_sys as sys;

use crate::model::GEMMA4_HEAD;
use crate::{Context, Error, Model, OutputId, Result, Token, shim};

/// A Gemma 4 draft head beside its target's context. It has no KV cache of its own: it reads the
/// target's, and starts each draft from the target's hidden state.
///
/// Must be dropped before the target's context.
pub(super) struct Mtp {
    ptr: NonNull<sys::shim_mtp>,
    // After the driver, before the target: fields drop in order, and `ptr` in `drop`.
    _context: Context,
}

// SAFETY: the driver has no thread of its own and is used by one at a time, through `&mut self`,
// together with the two contexts it points to.
unsafe impl Send for Mtp {}

impl Drop for Mtp {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once, before both contexts.
        unsafe { sys::shim_mtp_free(self.ptr.as_ptr()) };
    }
}

impl Mtp {
    pub(super) fn new(target: &Context, head: &Model) -> Result<Self> {
        check_head(target.model(), head)?;
        let mut params = Context::default_params();
        params.ctx_type = sys::LLAMA_CONTEXT_TYPE_MTP;
        params.ctx_other = target.as_ptr();
        params.n_ctx = target.n_ctx();
        params.n_batch = target.n_batch();
        params.n_ubatch = target.n_ubatch();
        params.n_seq_max = target.n_seq_max();
        params.n_outputs_max = target.n_seq_max();
        // SAFETY: the target is alive.
        unsafe {
            params.n_threads = sys::llama_n_threads(target.as_ptr());
            params.n_threads_batch = sys::llama_n_threads_batch(target.as_ptr());
        }
        params.kv_unified = true;
        params.swa_full = false;
        params.no_perf = true;
        // SAFETY: `ctx_other` outlives the new context: the owner of this drops it first.
        let context = unsafe { Context::new_beside(head.clone(), params) }
            .map_err(|message| Error::Context { n_ctx: params.n_ctx, message })?;
        let mut ptr = std::ptr::null_mut();
        let n_seq = i32::try_from(target.n_seq_max()).unwrap_or(i32::MAX);
        // SAFETY: both contexts are alive and outlive the driver; it is written only on success.
        shim::call(|| unsafe { sys::shim_mtp_new(target.as_ptr(), context.as_ptr(), n_seq, &mut ptr) })
            .map_err(Error::HeadMismatch)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| Error::HeadMismatch("no driver".into()))?;
        // SAFETY: the driver is alive.
        let shares = unsafe { sys::shim_mtp_shares_memory(ptr.as_ptr()) };
        let mtp = Self { ptr, _context: context };
        if !shares {
            return Err(Error::HeadMismatch("llama.cpp did not tie it to the model's KV cache".into()));
        }
        Ok(mtp)
    }

    /// Takes over the hidden rows of outputs that the target has just computed, in order.
    pub(super) fn process(&mut self, target: &Context, outputs: &[OutputId]) -> Result<()> {
        let outputs = outputs.iter().map(|&o| target.output_index(o)).collect::<Result<Vec<i32>>>()?;
        // SAFETY: driver and target are alive, and the outputs are of the target's last decode.
        shim::call(|| unsafe { sys::shim_mtp_process(self.ptr.as_ptr(), 0, outputs.as_ptr(), outputs.len()) })
            .map_err(Error::Decode)
    }

    /// Starts the next draft from the row of the last accepted token.
    pub(super) fn accept(&mut self, n_accepted: usize) -> Result<()> {
        // SAFETY: the driver is alive; it checks the number.
        shim::call(|| unsafe { sys::shim_mtp_accept(self.ptr.as_ptr(), 0, n_accepted) })
            .map_err(Error::Decode)
    }

    /// Drafts what may follow `last`, which stands at `pos`.
    pub(super) fn draft(&mut self, last: Token, pos: u32, n_max: u32, p_min: f32) -> Result<Vec<Token>> {
        let mut draft = vec![Token(0); n_max as usize];
        let mut n = 0;
        // SAFETY: driver and contexts are alive; `draft` has room for `n_max` tokens, and `Token`
        // is a transparent llama_token.
        shim::call(|| unsafe {
            sys::shim_mtp_draft(
                self.ptr.as_ptr(),
                0,
                last.0,
                i32::try_from(pos).unwrap_or(i32::MAX),
                draft.len(),
                p_min,
                draft.as_mut_ptr().cast(),
                &mut n,
            )
        })
        .map_err(Error::Decode)?;
        draft.truncate(n);
        Ok(draft)
    }
}

/// Checks what llama.cpp would assert, and says which part does not fit.
fn check_head(target: &Model, head: &Model) -> Result<()> {
    let mismatch =
        |message: String| Err(Error::HeadMismatch(format!("{}: {message}", head.path().display())));
    if head.architecture() != GEMMA4_HEAD {
        return mismatch(format!(
            "it is a {} model, and only {GEMMA4_HEAD} heads can draft yet",
            head.architecture()
        ));
    }
    if target.architecture() != "gemma4" {
        return mismatch(format!("it drafts for gemma4, the model is {}", target.architecture()));
    }
    let widths = (head.n_embd_out(), target.n_embd_out());
    if widths.0 != widths.1 {
        return mismatch(format!("it was made for a model of width {}, this one has {}", widths.0, widths.1));
    }
    let tokens = (head.vocab().n_tokens(), target.vocab().n_tokens());
    if tokens.0 != tokens.1 {
        return mismatch(format!("it has a vocabulary of {} tokens, the model of {}", tokens.0, tokens.1));
    }
    Ok(())
}

impl std::fmt::Debug for Mtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mtp").finish_non_exhaustive()
    }
}
