//! What can be wrong with a GGUF file.

use std::fmt::{self, Display, Write as _};
use std::io;

use super::{FileKind, TensorType};

/// Why a file cannot be read as GGUF.
///
/// Every message is one line and, where the cause is a common mishap, says what to do about it. No
/// message names the file: put its path in front (`{path}: {error}`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The operating system could not open or read the file.
    // Not a `source`: the message has it already, and error chains would print it twice.
    #[error("cannot read the file: {0}")]
    Io(io::Error),

    /// The path is that of a directory.
    #[error("this is a directory: give the path of a .gguf file")]
    IsDirectory,

    /// The file has no bytes at all.
    #[error("the file is empty: the download failed or has not started")]
    Empty,

    /// The file does not start as GGUF files do.
    #[error("not a GGUF file: {0}")]
    NotGguf(FileKind),

    /// The file was written for big-endian machines.
    #[error(
        "this is a big-endian GGUF file (version {version}): fetch or convert it to the \
         little-endian form"
    )]
    BigEndian {
        /// The version of the format.
        version: u32,
    },

    /// The version of the format is neither 2 nor 3.
    #[error(
        "version {version} of GGUF is not supported, only 2 and 3: {}",
        version_hint(*.version)
    )]
    UnsupportedVersion {
        /// The version that the file gives.
        version: u32,
    },

    /// The file, or what there was to read of it, ends too early.
    #[error(
        "file ends at byte {end}, but {what} needs bytes up to {needed}: the download is \
         incomplete or damaged, fetch it again"
    )]
    Truncated {
        /// Where the file ends, in bytes.
        end: u64,
        /// How long the file would have to be for the part in question, in bytes. The whole may
        /// well be longer.
        needed: u64,
        /// The part that is cut off, e.g. `tensor 'output.weight'`.
        what: String,
    },

    /// The header claims to be larger than any real one.
    #[error("{what} would make the header larger than {limit} bytes: the file is damaged")]
    HeaderTooLarge {
        /// The part with which it gets too large.
        what: String,
        /// The largest size that is read, in bytes.
        limit: u64,
    },

    /// The header claims to have more entries than any real one.
    #[error("the file claims to have {count} {what}, and {limit} is the limit: it is damaged")]
    TooMany {
        /// The kind of entry: `metadata keys` or `tensors`.
        what: &'static str,
        /// The number in the header.
        count: u64,
        /// The largest number that is read.
        limit: u64,
    },

    /// A metadata key or the name of a tensor is not UTF-8.
    #[error("{what} is not valid UTF-8: the file is damaged")]
    NotUtf8 {
        /// Which one, e.g. `metadata key 3`.
        what: String,
    },

    /// A metadata key has no characters.
    #[error("metadata key {index} is empty: the file is damaged")]
    EmptyKey {
        /// Its position, counted from 0.
        index: u64,
    },

    /// A metadata key occurs twice.
    #[error("metadata key {} occurs more than once", Quoted(.key))]
    DuplicateKey {
        /// The key.
        key: String,
    },

    /// A metadata value, or the elements of an array, have a type that the format does not define.
    #[error(
        "the value of {} has type {id}, which does not exist: the file is damaged",
        Quoted(.key)
    )]
    UnknownValueType {
        /// The key.
        key: String,
        /// The number of the type.
        id: u32,
    },

    /// A metadata value is an array of arrays.
    #[error("the value of {} is an array of arrays, which is not supported", Quoted(.key))]
    NestedArray {
        /// The key.
        key: String,
    },

    /// The alignment of the tensor data is not a power of two in a `u32`.
    #[error("general.alignment must be a power of two of type u32, not {found}")]
    BadAlignment {
        /// The value and its type.
        found: String,
    },

    /// The name of a tensor is longer than the 63 bytes that `ggml` has room for.
    #[error("the name of tensor {index} is {len} bytes long, and {limit} is the limit")]
    TensorName {
        /// The position of the tensor, counted from 0.
        index: u64,
        /// The length of the name in bytes.
        len: u64,
        /// The longest that it may be.
        limit: u64,
    },

    /// Two tensors have the same name.
    #[error("tensor {} occurs more than once", Quoted(.name))]
    DuplicateTensor {
        /// The name.
        name: String,
    },

    /// A tensor has more than four dimensions.
    #[error("tensor {} has {n_dims} dimensions, and {limit} is the limit", Quoted(.name))]
    TensorDims {
        /// The name of the tensor.
        name: String,
        /// The number of its dimensions.
        n_dims: u32,
        /// The largest number that there may be.
        limit: u32,
    },

    /// A tensor is so large that its size cannot be computed.
    #[error("tensor {} cannot have the dimensions {dims:?}: the file is damaged", Quoted(.name))]
    TensorTooLarge {
        /// The name of the tensor.
        name: String,
        /// Its dimensions.
        dims: Vec<u64>,
    },

    /// A tensor has a type that llama.cpp cannot load.
    #[error("tensor {} has type {}", Quoted(.name), TypeHint(*.id))]
    UnknownTensorType {
        /// The name of the tensor.
        name: String,
        /// The number of the type.
        id: u32,
    },

    /// The rows of a quantised tensor do not consist of whole blocks.
    #[error(
        "tensor {} has rows of {row} elements, not a multiple of the {} in a block of {ty}",
        Quoted(.name), .ty.block_size()
    )]
    TensorRow {
        /// The name of the tensor.
        name: String,
        /// Its type.
        ty: TensorType,
        /// The length of its rows in elements.
        row: u64,
    },

    /// The data of a tensor does not start where that of the tensor before ends.
    #[error(
        "the data of tensor {} is said to start at {offset} instead of {expected}: the file is \
         damaged",
        Quoted(.name)
    )]
    TensorOffset {
        /// The name of the tensor.
        name: String,
        /// The offset in the header, in bytes from the start of the data section.
        offset: u64,
        /// Where it must be: after all tensors before it, padded.
        expected: u64,
    },
}

impl From<io::Error> for GgufError {
    fn from(e: io::Error) -> Self {
        GgufError::Io(e)
    }
}

impl GgufError {
    pub(super) fn truncated(end: u64, needed: u64, what: impl Display) -> GgufError {
        GgufError::Truncated { end, needed, what: what.to_string() }
    }
}

fn version_hint(version: u32) -> &'static str {
    match version {
        0 => "the file is damaged",
        1 => "it is too old, fetch a newer file or convert the model again",
        _ => "it is newer than this program, or damaged",
    }
}

struct TypeHint(u32);

impl Display for TypeHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        match TensorType::removed_name(id) {
            Some(name) => write!(
                f,
                "{id} ({name}), which llama.cpp no longer loads: fetch a newer file or quantise \
                 the model again"
            ),
            None => write!(f, "{id}, which is not known: the file is newer than this program, or damaged"),
        }
    }
}

/// Something from the file, fit for a message: in quotes, on one line and not too long.
pub(super) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX: usize = 80;
        f.write_char('\'')?;
        for c in self.0.chars().take(MAX) {
            match c {
                // Escaping these as well would only make JSON and contractions hard to read.
                '\'' | '"' => f.write_char(c)?,
                _ => c.escape_debug().fmt(f)?,
            }
        }
        f.write_str(match self.0.chars().nth(MAX) {
            Some(_) => "…'",
            None => "'",
        })
    }
}
