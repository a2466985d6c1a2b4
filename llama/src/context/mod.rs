//! A context: the KV cache of one or more sequences, and the computing of tokens in it.

mod batch;
mod options;

use std::ops::{Bound, RangeBounds};
use std::os::raw::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_sys as sys;

pub use batch::{Batch, OutputId, SeqId};
pub use options::{ContextOptions, FlashAttention, KvType};

use crate::{Error, Model, Result, shim};

/// Where tokens are computed. Owns a KV cache for the sequences that it was made for.
///
/// A context moves between threads but is used by one at a time.
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<llama::Context>(); // `Context` is `Send`, not `Sync`
/// ```
pub struct Context {
    ptr: NonNull<sys::llama_context>,
    model: Model,
    interrupt: Arc<AtomicBool>,
    /// Of the last decode: the batch's identity and, by output, the index that llama.cpp knows.
    outputs: (u64, Vec<i32>),
    n_vocab: usize,
}

// SAFETY: llama.cpp ties a context to no thread; one thread at a time uses it, because everything
// that computes takes `&mut self` and the type is not `Sync`.
unsafe impl Send for Context {}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by `new_context`, freed once; the model and the interrupt flag, which the
        // context points to, are fields and go after it.
        unsafe { sys::llama_free(self.ptr.as_ptr()) };
    }
}

/// Stops a running [`Context::decode`] from another thread.
#[derive(Debug, Clone)]
pub struct InterruptHandle(Arc<AtomicBool>);

impl InterruptHandle {
    /// Makes the running decode, or the next one, return [`Error::Interrupted`] within a
    /// micro-batch. What it had computed until then stays in the KV cache.
    pub fn interrupt(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes back an interrupt that no decode has seen yet.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// # Safety
///
/// `flag` is the pointer to the `AtomicBool` that the context was created with.
unsafe extern "C" fn on_abort_check(flag: *mut c_void) -> bool {
    // SAFETY: the flag lives in an `Arc` that the context's owner holds until it is freed.
    unsafe { &*flag.cast::<AtomicBool>() }.load(Ordering::Relaxed)
}

impl Context {
    pub(crate) fn default_params() -> sys::llama_context_params {
        // SAFETY: returns plain values.
        unsafe { sys::llama_context_default_params() }
    }

    /// A context of its own.
    fn new(model: Model, params: sys::llama_context_params) -> Result<Self, String> {
        debug_assert!(params.ctx_other.is_null() && params.samplers.is_null());
        // SAFETY: the parameters point to nothing, as asserted.
        unsafe { Self::new_beside(model, params) }
    }

    /// A context that may point to another one.
    ///
    /// # Safety
    ///
    /// As for [`Model::new_context`].
    pub(crate) unsafe fn new_beside(
        model: Model,
        mut params: sys::llama_context_params,
    ) -> Result<Self, String> {
        let interrupt = Arc::new(AtomicBool::new(false));
        params.abort_callback = Some(on_abort_check);
        params.abort_callback_data = Arc::as_ptr(&interrupt).cast_mut().cast();
        // SAFETY: the caller's promise, and the flag outlives the context as a field beside it.
        let ptr = unsafe { model.new_context(&params) }?;
        let n_vocab = model.vocab().n_tokens() as usize;
        Ok(Self { ptr, model, interrupt, outputs: (0, Vec::new()), n_vocab })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::llama_context {
        self.ptr.as_ptr()
    }

    /// The model that computes.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Tokens that the KV cache holds, over all sequences.
    pub fn n_ctx(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_ctx(self.as_ptr()) }
    }

    /// Most tokens that llama.cpp takes at once; larger batches are split.
    pub fn n_batch(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_batch(self.as_ptr()) }
    }

    /// Most tokens that are computed at once.
    pub fn n_ubatch(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_ubatch(self.as_ptr()) }
    }

    /// Number of sequences.
    pub fn n_seq_max(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_seq_max(self.as_ptr()) }
    }

    /// The sequence with this number.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSequence`] for a number that the context was not made for.
    pub fn sequence(&self, seq: u32) -> Result<SeqId> {
        self.check_seq(SeqId(seq))
    }

    fn check_seq(&self, seq: SeqId) -> Result<SeqId> {
        let n_seq_max = self.n_seq_max();
        if seq.0 < n_seq_max { Ok(seq) } else { Err(Error::InvalidSequence { seq: seq.0, n_seq_max }) }
    }

    /// A handle that stops a running decode from another thread.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle(Arc::clone(&self.interrupt))
    }

    /// Computes a batch of any size; what is longer than [`n_batch`](Self::n_batch) is split.
    ///
    /// Outputs must lie within the batch's last `n_batch` tokens, because llama.cpp keeps those of
    /// its last step only.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`], [`Error::InvalidSequence`] and [`Error::OutputsTooEarly`] before
    /// anything is computed; [`Error::KvCacheFull`], [`Error::Interrupted`] and [`Error::Decode`]
    /// after, with what came before still in the cache.
    pub fn decode(&mut self, batch: &Batch) -> Result<()> {
        let n_batch = self.n_batch() as usize;
        let first = self.check_batch(batch, n_batch)?;
        self.outputs = (0, Vec::new());
        let mut start = 0;
        let mut end = first;
        while end <= batch.len() && start < end {
            if self.interrupt.swap(false, Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            self.decode_slice(batch, start..end)?;
            start = end;
            end = (end + n_batch).min(batch.len());
        }
        let last_start = batch.len().saturating_sub(n_batch);
        let outputs = batch.outputs().map(|i| (i - last_start) as i32).collect();
        self.outputs = (batch.id(), outputs);
        Ok(())
    }

    /// Checks what llama.cpp would assert, and returns the length of the first slice: the odd
    /// rest, so that the last slice is a whole `n_batch` and can hold as many outputs as possible.
    fn check_batch(&self, batch: &Batch, n_batch: usize) -> Result<usize> {
        let n_seq_max = self.n_seq_max();
        for entry in batch.entries() {
            if !usize::try_from(entry.token.0).is_ok_and(|id| id < self.n_vocab) {
                return Err(Error::InvalidToken { token: entry.token.0, n_tokens: self.n_vocab as u32 });
            }
            if let Some(seq) = entry.seqs.iter().find(|seq| seq.0 >= n_seq_max) {
                return Err(Error::InvalidSequence { seq: seq.0, n_seq_max });
            }
        }
        let last_start = batch.len().saturating_sub(n_batch);
        if batch.outputs().any(|i| i < last_start) {
            return Err(Error::OutputsTooEarly { n_batch: n_batch as u32 });
        }
        let rest = batch.len() % n_batch;
        Ok(if rest == 0 { n_batch.min(batch.len()) } else { rest })
    }

    fn decode_slice(&mut self, batch: &Batch, range: std::ops::Range<usize>) -> Result<()> {
        let n_tokens = range.len();
        let mut raw = batch::RawBatch::new(&batch.entries()[range]);
        let mut code = 0;
        let (status, logged) = crate::log::capture(|| {
            let view = raw.view();
            // SAFETY: the view's arrays live in `raw` and have `n_tokens` entries; tokens and
            // sequences were checked, and `n_tokens` is at most `n_batch`.
            unsafe { sys::shim_decode(self.as_ptr(), view, &mut code) }
        });
        shim::check(status, &logged).map_err(Error::Decode)?;
        self.decoded(code, n_tokens, logged)
    }

    /// Turns llama.cpp's result of a decode into ours.
    pub(crate) fn decoded(&self, code: i32, n_tokens: usize, logged: String) -> Result<()> {
        match code {
            0 => Ok(()),
            1 => Err(Error::KvCacheFull { n_tokens }),
            2 => {
                self.interrupt.store(false, Ordering::Relaxed);
                Err(Error::Interrupted)
            }
            _ if logged.is_empty() => Err(Error::Decode(format!("llama.cpp returned {code}"))),
            _ => Err(Error::Decode(logged)),
        }
    }

    /// The index by which llama.cpp knows an output.
    pub(crate) fn output_index(&self, output: OutputId) -> Result<i32> {
        let (batch, indices) = &self.outputs;
        if *batch != output.batch {
            return Err(Error::InvalidOutput);
        }
        indices.get(output.index as usize).copied().ok_or(Error::InvalidOutput)
    }

    /// Says that outputs of earlier decodes are gone, after something else was decoded.
    pub(crate) fn forget_outputs(&mut self) {
        self.outputs = (0, Vec::new());
    }

    /// The logits of an output: one for each token of the vocabulary.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOutput`] for an output that the last decode did not produce.
    pub fn logits(&mut self, output: OutputId) -> Result<&[f32]> {
        let index = self.output_index(output)?;
        // SAFETY: the index was requested as an output in the last decode.
        let logits = unsafe { sys::llama_get_logits_ith(self.as_ptr(), index) };
        if logits.is_null() {
            return Err(Error::InvalidOutput);
        }
        // SAFETY: a row of logits has one entry a token and lives until the next decode, which
        // needs `&mut self` again.
        Ok(unsafe { std::slice::from_raw_parts(logits, self.n_vocab) })
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive and owns its memory.
        unsafe { sys::llama_get_memory(self.as_ptr()) }
    }

    /// Forgets all sequences.
    pub fn clear(&mut self) {
        // SAFETY: the memory is the context's own; the data may stay, cells are marked free.
        unsafe { sys::llama_memory_clear(self.memory(), false) };
    }

    /// Forgets the positions `range` of a sequence. Returns false where the model cannot forget a
    /// part, as recurrent ones cannot; then nothing was changed.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSequence`].
    pub fn remove(&mut self, seq: SeqId, range: impl RangeBounds<u32>) -> Result<bool> {
        let seq = self.check_seq(seq)?;
        let (from, to) = positions(range);
        // SAFETY: the sequence is one of the context's.
        Ok(unsafe { sys::llama_memory_seq_rm(self.memory(), seq.raw(), from, to) })
    }

    /// Shares the positions `range` of a sequence with another; nothing is copied when the cache
    /// is unified.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSequence`].
    pub fn copy(&mut self, from: SeqId, to: SeqId, range: impl RangeBounds<u32>) -> Result<()> {
        let (from, to) = (self.check_seq(from)?, self.check_seq(to)?);
        let (start, end) = positions(range);
        if from != to {
            // SAFETY: both sequences are the context's.
            unsafe { sys::llama_memory_seq_cp(self.memory(), from.raw(), to.raw(), start, end) };
        }
        Ok(())
    }

    /// First and last position of a sequence that every layer still holds; `None` when empty.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSequence`].
    pub fn positions(&self, seq: SeqId) -> Result<Option<(u32, u32)>> {
        let seq = self.check_seq(seq)?;
        // SAFETY: the sequence is one of the context's.
        let (min, max) = unsafe {
            let memory = self.memory();
            (
                sys::llama_memory_seq_pos_min(memory, seq.raw()),
                sys::llama_memory_seq_pos_max(memory, seq.raw()),
            )
        };
        Ok(u32::try_from(min).ok().zip(u32::try_from(max).ok()))
    }
}

/// Threads that suit this CPU.
fn default_threads() -> u32 {
    // SAFETY: reads what the CPU has.
    unsafe { sys::shim_n_threads_default() }.max(1).unsigned_abs()
}

/// A range of positions as llama.cpp takes it: -1 is open.
fn positions(range: impl RangeBounds<u32>) -> (i32, i32) {
    let clamp = |p: u32| i32::try_from(p).unwrap_or(i32::MAX);
    let from = match range.start_bound() {
        Bound::Included(&p) => clamp(p),
        Bound::Excluded(&p) => clamp(p.saturating_add(1)),
        Bound::Unbounded => -1,
    };
    let to = match range.end_bound() {
        Bound::Included(&p) => clamp(p.saturating_add(1)),
        Bound::Excluded(&p) => clamp(p),
        Bound::Unbounded => -1,
    };
    (from, to)
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("model", &self.model)
            .field("n_ctx", &self.n_ctx())
            .field("n_seq_max", &self.n_seq_max())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::positions;

    #[test]
    fn ranges_become_positions() {
        assert_eq!(positions(..), (-1, -1));
        assert_eq!(positions(3..), (3, -1));
        assert_eq!(positions(3..7), (3, 7));
        assert_eq!(positions(..=7), (-1, 8));
        assert_eq!(positions(0..u32::MAX), (0, i32::MAX));
    }
}
