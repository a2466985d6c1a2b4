//! What the header says about each tensor.

use std::fmt;

use super::GgufError;
use super::error::Quoted;

macro_rules! tensor_types {
    ($($variant:ident = $id:literal, $name:literal, $block:literal, $bytes:literal;)*) => {
        /// How the elements of a tensor are stored: plain numbers, or blocks of quantised ones.
        ///
        /// The names are those of `ggml`. The enum holds every type that the vendored llama.cpp can
        /// load.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(non_camel_case_types)]
        #[non_exhaustive]
        pub enum TensorType {
            $(
                #[doc = concat!("`", $name, "`: ", $bytes, " bytes for ", $block, " element(s).")]
                $variant = $id,
            )*
        }

        impl TensorType {
            #[cfg(test)]
            pub(super) const ALL: &[TensorType] = &[$(TensorType::$variant),*];

            /// The type of that number in `ggml`'s enumeration; `None` if it is unknown or has been
            /// removed.
            pub fn from_id(id: u32) -> Option<TensorType> {
                match id {
                    $($id => Some(TensorType::$variant),)*
                    _ => None,
                }
            }

            /// The name that llama.cpp prints, e.g. `f16` or `q4_K`.
            pub fn name(self) -> &'static str {
                match self {
                    $(TensorType::$variant => $name,)*
                }
            }

            /// How many elements make up one block; 1 for the types that are not quantised.
            pub fn block_size(self) -> u64 {
                match self {
                    $(TensorType::$variant => $block,)*
                }
            }

            /// The size of one block in bytes.
            pub fn block_bytes(self) -> u64 {
                match self {
                    $(TensorType::$variant => $bytes,)*
                }
            }
        }
    };
}

tensor_types! {
    F32 = 0, "f32", 1, 4;
    F16 = 1, "f16", 1, 2;
    Q4_0 = 2, "q4_0", 32, 18;
    Q4_1 = 3, "q4_1", 32, 20;
    Q5_0 = 6, "q5_0", 32, 22;
    Q5_1 = 7, "q5_1", 32, 24;
    Q8_0 = 8, "q8_0", 32, 34;
    Q8_1 = 9, "q8_1", 32, 36;
    Q2_K = 10, "q2_K", 256, 84;
    Q3_K = 11, "q3_K", 256, 110;
    Q4_K = 12, "q4_K", 256, 144;
    Q5_K = 13, "q5_K", 256, 176;
    Q6_K = 14, "q6_K", 256, 210;
    Q8_K = 15, "q8_K", 256, 292;
    IQ2_XXS = 16, "iq2_xxs", 256, 66;
    IQ2_XS = 17, "iq2_xs", 256, 74;
    IQ3_XXS = 18, "iq3_xxs", 256, 98;
    IQ1_S = 19, "iq1_s", 256, 50;
    IQ4_NL = 20, "iq4_nl", 32, 18;
    IQ3_S = 21, "iq3_s", 256, 110;
    IQ2_S = 22, "iq2_s", 256, 82;
    IQ4_XS = 23, "iq4_xs", 256, 136;
    I8 = 24, "i8", 1, 1;
    I16 = 25, "i16", 1, 2;
    I32 = 26, "i32", 1, 4;
    I64 = 27, "i64", 1, 8;
    F64 = 28, "f64", 1, 8;
    IQ1_M = 29, "iq1_m", 256, 56;
    BF16 = 30, "bf16", 1, 2;
    TQ1_0 = 34, "tq1_0", 256, 54;
    TQ2_0 = 35, "tq2_0", 256, 66;
    MXFP4 = 39, "mxfp4", 32, 17;
    NVFP4 = 40, "nvfp4", 64, 36;
    Q1_0 = 41, "q1_0", 128, 18;
    Q2_0 = 42, "q2_0", 64, 18;
    F8_E4M3 = 43, "f8_e4m3", 1, 1;
}

impl TensorType {
    /// The name of a type that files once had and llama.cpp no longer loads.
    pub(super) fn removed_name(id: u32) -> Option<&'static str> {
        Some(match id {
            4 => "q4_2",
            5 => "q4_3",
            31 => "q4_0_4_4",
            32 => "q4_0_4_8",
            33 => "q4_0_8_8",
            36 => "iq4_nl_4_4",
            37 => "iq4_nl_4_8",
            38 => "iq4_nl_8_8",
            _ => return None,
        })
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The most dimensions that a tensor may have.
pub(super) const MAX_DIMS: usize = 4;

/// The name, shape, type and place of one tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    name: String,
    dims: [u64; MAX_DIMS],
    n_dims: usize,
    ty: TensorType,
    offset: u64,
    n_elements: u64,
    n_bytes: u64,
}

impl TensorInfo {
    /// Works out the sizes, and fails where they are impossible. `dims` has at most [`MAX_DIMS`]
    /// entries.
    pub(super) fn new(
        name: String,
        dims: &[u64],
        ty: TensorType,
        offset: u64,
    ) -> Result<TensorInfo, GgufError> {
        let mut shape = [1; MAX_DIMS];
        for (to, from) in shape.iter_mut().zip(dims) {
            *to = *from;
        }

        // Upstream counts in i64, so that is the bound, for each dimension and for their product.
        let fits = |n: &u64| i64::try_from(*n).is_ok();
        let n_elements = shape
            .iter()
            .all(fits)
            .then(|| shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d).filter(fits)))
            .flatten();

        let block = ty.block_size();
        if shape[0] % block != 0 {
            return Err(GgufError::TensorRow { name, ty, row: shape[0] });
        }
        let n_bytes = n_elements.and_then(|n| (n / block).checked_mul(ty.block_bytes()));

        match (n_elements, n_bytes) {
            (Some(n_elements), Some(n_bytes)) => Ok(TensorInfo {
                name,
                dims: shape,
                n_dims: dims.len().min(MAX_DIMS),
                ty,
                offset,
                n_elements,
                n_bytes,
            }),
            _ => Err(GgufError::TensorTooLarge { name, dims: dims.to_vec() }),
        }
    }

    /// The name, e.g. `blk.0.attn_q.weight`; unique in the file and at most 63 bytes long.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of elements along each dimension, at most four, in `ggml`'s order: the first is
    /// the length of a row, whose elements lie next to each other. (PyTorch and NumPy list them the
    /// other way round.)
    pub fn dims(&self) -> &[u64] {
        &self.dims[..self.n_dims]
    }

    /// How the elements are stored.
    pub fn ty(&self) -> TensorType {
        self.ty
    }

    /// Where the data starts, in bytes from the start of the data section
    /// ([`Gguf::data_offset`](super::Gguf::data_offset)).
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The number of elements: the product of the dimensions.
    pub fn n_elements(&self) -> u64 {
        self.n_elements
    }

    /// The size of the data in bytes, without the padding after it.
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }
}

/// Checks that the tensors lie one after the other, each padded to the alignment, and that the
/// file is long enough for them.
///
/// The format would allow gaps, but upstream refuses them, and so no file has them.
pub(super) fn check_layout(
    tensors: &[TensorInfo],
    data_offset: u64,
    alignment: u32,
    len: Option<u64>,
) -> Result<(), GgufError> {
    // Positions in files are signed on every system.
    let position = |a: u64, b: u64| a.checked_add(b).filter(|n| i64::try_from(*n).is_ok());

    let mut expected = 0;
    for t in tensors {
        let too_large = || GgufError::TensorTooLarge { name: t.name().to_owned(), dims: t.dims().to_vec() };
        if t.offset() != expected {
            return Err(GgufError::TensorOffset { name: t.name().to_owned(), offset: t.offset(), expected });
        }
        let end = position(expected, t.n_bytes()).ok_or_else(too_large)?;
        let end_in_file = position(data_offset, end).ok_or_else(too_large)?;
        if let Some(len) = len.filter(|len| end_in_file > *len) {
            let what = format_args!("tensor {}", Quoted(t.name()));
            return Err(GgufError::truncated(len, end_in_file, what));
        }
        expected = end.checked_next_multiple_of(alignment.into()).ok_or_else(too_large)?;
    }
    Ok(())
}
