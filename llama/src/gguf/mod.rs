//! Reading what is in a GGUF file without loading it.
//!
//! [`Gguf::open`] reads the header: the metadata, and the name, type and place of every tensor. It
//! takes some milliseconds and no more memory than the vocabulary needs, however large the model
//! is. It also checks all that can be checked without the tensor data itself, at least as strictly
//! as llama.cpp does when it loads the file, and its errors tell a user who has half a download or
//! a Git LFS pointer that this is what they have.
//!
//! ```no_run
//! use llama::gguf::Gguf;
//!
//! let gguf = Gguf::open("model.gguf")?;
//! println!("{}", gguf.architecture().unwrap_or("?"));
//! println!("{} parameters", gguf.n_params());
//! println!("trained for {:?} tokens of context", gguf.arch_u32("context_length"));
//! for (key, value) in gguf.metadata() {
//!     println!("{key} = {value}");
//! }
//! # Ok::<(), llama::gguf::GgufError>(())
//! ```
//!
//! # What is accepted
//!
//! Versions 2 and 3 of the format, little-endian. Tensors must lie one after the other without
//! gaps, as upstream requires. Where a file is odd but llama.cpp would read it, so does this
//! module, with these exceptions:
//!
//! - Metadata keys and names of tensors must be UTF-8. In string values, bytes that are not are
//!   replaced by U+FFFD.
//! - A header may have at most 256 MiB, 65 536 keys and 1 048 576 tensors, which is far more than
//!   any real one has.
//! - The file must be long enough for all tensors, which llama.cpp notices only later.
//!
//! A file is never trusted: no length in it leads to an allocation before it has been compared with
//! the length of the file, and no arithmetic on its numbers can overflow.

mod error;
mod file_kind;
mod file_type;
mod index;
mod reader;
mod tensor;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use error::GgufError;
pub use file_kind::FileKind;
pub use file_type::FileType;
pub use tensor::{TensorInfo, TensorType};
pub use value::{Array, StrArray, Value};

use index::Index;

/// The header of a GGUF file.
#[derive(Clone)]
pub struct Gguf {
    version: u32,
    alignment: u32,
    metadata: Vec<(String, Value)>,
    key_index: Index,
    tensors: Vec<TensorInfo>,
    tensor_index: Index,
    data_offset: u64,
}

impl Gguf {
    /// Reads and checks the header of a file.
    ///
    /// # Errors
    ///
    /// See [`GgufError`]; no message names the path.
    pub fn open(path: impl AsRef<Path>) -> Result<Gguf, GgufError> {
        let path = path.as_ref();
        let file = match File::open(path) {
            Ok(file) => file,
            // Windows does not open directories, and says that permission is denied.
            Err(_) if path.is_dir() => return Err(GgufError::IsDirectory),
            Err(e) => return Err(e.into()),
        };
        let meta = file.metadata()?;
        if meta.is_dir() {
            return Err(GgufError::IsDirectory);
        }
        // Pipes and devices claim to have no bytes.
        let len = meta.is_file().then_some(meta.len());
        Gguf::read(file, len)
    }

    /// Reads and checks a header from the start of `reader`, which may end right after it: for
    /// instance the first bytes of a remote file.
    ///
    /// `len` is the length of the whole file in bytes. If it is given, the data of all tensors must
    /// lie within it. The reader is buffered here and is left somewhere behind the header.
    ///
    /// # Errors
    ///
    /// See [`GgufError`]. [`GgufError::Truncated`] also means that `reader` ended before the header
    /// did; its `needed` is a lower bound for the bytes to supply.
    pub fn read(reader: impl Read, len: Option<u64>) -> Result<Gguf, GgufError> {
        reader::read(reader, len)
    }

    /// The version of the format: 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the data of each tensor is aligned to, in bytes; a power of two, 32 unless the file
    /// says otherwise.
    pub fn alignment(&self) -> u32 {
        self.alignment
    }

    /// Where the data section starts, in bytes from the start of the file. The offsets of tensors
    /// count from there.
    pub fn data_offset(&self) -> u64 {
        self.data_offset
    }

    /// All metadata in the order of the file.
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.metadata.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let (_, value) = self.key_index.find(&self.metadata, key)?;
        Some(value)
    }

    /// The text of a key; `None` if the key is missing or not a string.
    pub fn str(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// The number of a key; `None` if the key is missing or not an integer that fits. The width
    /// that it is stored with does not matter.
    pub fn u32(&self, key: &str) -> Option<u32> {
        self.get(key)?.as_u32()
    }

    /// Like [`u32`](Gguf::u32), for larger numbers.
    pub fn u64(&self, key: &str) -> Option<u64> {
        self.get(key)?.as_u64()
    }

    /// Like [`u32`](Gguf::u32), for numbers that may be negative.
    pub fn i64(&self, key: &str) -> Option<i64> {
        self.get(key)?.as_i64()
    }

    /// The number of a key; `None` if the key is missing or not floating point.
    pub fn f32(&self, key: &str) -> Option<f32> {
        self.get(key)?.as_f32()
    }

    /// The truth value of a key; `None` if the key is missing or not a bool.
    pub fn bool(&self, key: &str) -> Option<bool> {
        self.get(key)?.as_bool()
    }

    /// The elements of a key; `None` if the key is missing or not an array.
    pub fn array(&self, key: &str) -> Option<&Array> {
        self.get(key)?.as_array()
    }

    /// The architecture (`general.architecture`), e.g. `gemma4`; `clip` for files with a vision or
    /// audio encoder. llama.cpp does not load a model without it.
    pub fn architecture(&self) -> Option<&str> {
        self.str("general.architecture")
    }

    /// The name of the model (`general.name`), as its maker wrote it.
    pub fn name(&self) -> Option<&str> {
        self.str("general.name")
    }

    /// The size of the model as a label (`general.size_label`), e.g. `7B` or `8x7B`.
    pub fn size_label(&self) -> Option<&str> {
        self.str("general.size_label")
    }

    /// The quantisation scheme of the file (`general.file_type`).
    pub fn file_type(&self) -> Option<FileType> {
        self.u32("general.file_type").map(FileType)
    }

    /// The version of the quantised types' layouts (`general.quantization_version`).
    pub fn quantization_version(&self) -> Option<u32> {
        self.u32("general.quantization_version")
    }

    /// The Jinja template that makes a prompt of a chat (`tokenizer.chat_template`).
    pub fn chat_template(&self) -> Option<&str> {
        self.str("tokenizer.chat_template")
    }

    /// How many files the model is split into (`split.count`); `None` if it is not split.
    pub fn split_count(&self) -> Option<u32> {
        self.u32("split.count")
    }

    /// The value of a key that belongs to the architecture: `arch_value("rope.freq_base")` looks up
    /// `gemma4.rope.freq_base` in a Gemma 4 model.
    pub fn arch_value(&self, suffix: &str) -> Option<&Value> {
        self.get(&format!("{}.{suffix}", self.architecture()?))
    }

    /// The number of a key that belongs to the architecture, such as `block_count`,
    /// `context_length` (in tokens) or `embedding_length`; `None` if the key is missing or not an
    /// integer that fits (in some models it is an array with a number for each layer).
    pub fn arch_u32(&self, suffix: &str) -> Option<u32> {
        self.arch_value(suffix)?.as_u32()
    }

    /// All tensors in the order of the file. A file that is part of a split model lists only its
    /// own.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensor_index.find(&self.tensors, name)
    }

    /// The number of elements in all tensors of this file together.
    pub fn n_params(&self) -> u64 {
        // Only a file that lies about its length can have more than fit.
        let add = |sum: u64, t: &TensorInfo| sum.saturating_add(t.n_elements());
        self.tensors.iter().fold(0, add)
    }

    /// The size of the data of all tensors in this file together, in bytes, without padding.
    pub fn n_bytes(&self) -> u64 {
        self.tensors.iter().map(TensorInfo::n_bytes).sum()
    }
}

/// Only numbers: the metadata may have megabytes.
impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gguf")
            .field("version", &self.version)
            .field("architecture", &self.architecture())
            .field("n_keys", &self.metadata.len())
            .field("n_tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}
