use std::sync::atomic::{AtomicU64, Ordering};

use llama_sys as sys;

use crate::Token;

/// One of the sequences that share a context's KV cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeqId(pub(crate) u32);

impl SeqId {
    /// The sequence's number, from 0.
    pub fn index(self) -> u32 {
        self.0
    }

    pub(crate) fn raw(self) -> sys::llama_seq_id {
        self.0 as sys::llama_seq_id
    }
}

/// Names an output that was requested in a [`Batch`], until the context decodes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutputId {
    pub(super) batch: u64,
    pub(super) index: u32,
}

/// A token to compute: where it stands, in which sequences, and whether its logits are wanted.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) token: Token,
    pos: u32,
    pub(super) seqs: Vec<SeqId>,
    output: bool,
}

/// Tokens to compute together, of one or more sequences.
#[derive(Debug)]
pub struct Batch {
    id: u64,
    entries: Vec<Entry>,
    n_outputs: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch. It grows as needed.
    pub fn new() -> Self {
        Self { id: new_id(), entries: Vec::new(), n_outputs: 0 }
    }

    /// Empties the batch for the next step; its outputs so far are no longer valid.
    pub fn clear(&mut self) {
        self.id = new_id();
        self.entries.clear();
        self.n_outputs = 0;
    }

    /// Adds a token at position `pos` of a sequence.
    pub fn push(&mut self, token: Token, pos: u32, seq: SeqId) {
        self.push_shared(token, pos, &[seq]);
    }

    /// Adds a token that several sequences share.
    pub fn push_shared(&mut self, token: Token, pos: u32, seqs: &[SeqId]) {
        self.entries.push(Entry { token, pos, seqs: seqs.to_vec(), output: false });
    }

    /// Adds a token and asks for its logits.
    pub fn push_output(&mut self, token: Token, pos: u32, seq: SeqId) -> OutputId {
        self.entries.push(Entry { token, pos, seqs: vec![seq], output: true });
        let index = self.n_outputs;
        self.n_outputs += 1;
        OutputId { batch: self.id, index }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to compute.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Indices of the entries whose logits are wanted.
    pub(super) fn outputs(&self) -> impl Iterator<Item = usize> + '_ {
        self.entries.iter().enumerate().filter(|(_, e)| e.output).map(|(i, _)| i)
    }
}

/// Batches are told apart for the whole life of the process, so that an output of one cannot be
/// taken for another's. 0 is no batch.
fn new_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The arrays behind the struct that llama.cpp reads.
pub(super) struct RawBatch {
    tokens: Vec<sys::llama_token>,
    positions: Vec<sys::llama_pos>,
    n_seqs: Vec<i32>,
    seqs: Vec<Vec<sys::llama_seq_id>>,
    seq_ptrs: Vec<*mut sys::llama_seq_id>,
    outputs: Vec<i8>,
}

impl RawBatch {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut seqs: Vec<Vec<_>> =
            entries.iter().map(|e| e.seqs.iter().map(|s| s.raw()).collect()).collect();
        Self {
            tokens: entries.iter().map(|e| e.token.0).collect(),
            positions: entries.iter().map(|e| i32::try_from(e.pos).unwrap_or(i32::MAX)).collect(),
            n_seqs: seqs.iter().map(|s| s.len() as i32).collect(),
            seq_ptrs: seqs.iter_mut().map(Vec::as_mut_ptr).collect(),
            seqs,
            outputs: entries.iter().map(|e| i8::from(e.output)).collect(),
        }
    }

    /// A view that is valid as long as `self` is and is not changed.
    pub(super) fn view(&mut self) -> sys::llama_batch {
        debug_assert_eq!(self.seqs.len(), self.seq_ptrs.len());
        sys::llama_batch {
            n_tokens: self.tokens.len() as i32,
            token: self.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: self.n_seqs.as_mut_ptr(),
            seq_id: self.seq_ptrs.as_mut_ptr(),
            logits: self.outputs.as_mut_ptr(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_belong_to_one_filling_of_a_batch() {
        let mut batch = Batch::new();
        let a = batch.push_output(Token::new(1), 0, SeqId(0));
        batch.clear();
        let b = batch.push_output(Token::new(1), 0, SeqId(0));
        assert_ne!(a, b);
        assert_eq!(a.index, b.index);
    }

    #[test]
    fn the_view_has_every_sequence() {
        let mut batch = Batch::new();
        batch.push_shared(Token::new(5), 3, &[SeqId(0), SeqId(2)]);
        batch.push_output(Token::new(6), 4, SeqId(1));
        let mut raw = RawBatch::new(batch.entries());
        assert_eq!(raw.view().n_tokens, 2);
        assert_eq!(raw.n_seqs, [2, 1]);
        assert_eq!(raw.seqs, [vec![0, 2], vec![1]]);
        assert_eq!(raw.outputs, [0, 1]);
        assert_eq!(batch.outputs().collect::<Vec<_>>(), [1]);
    }
}
