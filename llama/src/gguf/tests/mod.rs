mod damaged;
mod files;
mod mutated;
mod not_gguf;
mod valid;

use super::{Gguf, GgufError, TensorInfo, TensorType};

const U32: u32 = 4;
const STR: u32 = 8;
const ARR: u32 = 9;

/// Parses a complete file.
fn parse(file: &[u8]) -> Result<Gguf, GgufError> {
    Gguf::read(file, Some(file.len() as u64))
}

/// The error of a file that must have one.
#[track_caller]
fn error(file: &[u8]) -> GgufError {
    let e = parse(file).expect_err("the file must be refused");
    check_message(&e);
    e
}

/// Messages are to go behind "error: " on one line.
#[track_caller]
fn check_message(e: &GgufError) {
    let text = e.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.starts_with(|c: char| c.is_ascii_lowercase()), "{text}");
    assert!(!text.ends_with(['.', ' ', ':']), "{text}");
    assert!(text.chars().count() < 300, "{text}");
}

fn string(s: impl AsRef<[u8]>) -> Vec<u8> {
    let s = s.as_ref();
    [&(s.len() as u64).to_le_bytes(), s].concat()
}

/// Writes GGUF files, wrong ones too.
#[derive(Clone)]
struct Builder {
    version: u32,
    n_keys: u64,
    keys: Vec<u8>,
    n_tensors: u64,
    tensors: Vec<u8>,
    alignment: u64,
    data_len: u64,
}

impl Builder {
    fn new() -> Builder {
        Builder {
            version: 3,
            n_keys: 0,
            keys: Vec::new(),
            n_tensors: 0,
            tensors: Vec::new(),
            alignment: 32,
            data_len: 0,
        }
    }

    fn version(mut self, version: u32) -> Builder {
        self.version = version;
        self
    }

    /// A key with a value as it is in the file.
    fn key(mut self, key: impl AsRef<[u8]>, ty: u32, value: impl AsRef<[u8]>) -> Builder {
        self.n_keys += 1;
        self.keys.extend(string(key));
        self.keys.extend(ty.to_le_bytes());
        self.keys.extend(value.as_ref());
        self
    }

    fn str(self, key: &str, value: &str) -> Builder {
        self.key(key, STR, string(value))
    }

    fn u32(self, key: &str, value: u32) -> Builder {
        self.key(key, U32, value.to_le_bytes())
    }

    fn array(self, key: &str, ty: u32, n: u64, elements: impl AsRef<[u8]>) -> Builder {
        let head = [&ty.to_le_bytes()[..], &n.to_le_bytes()].concat();
        self.key(key, ARR, [&head, elements.as_ref()].concat())
    }

    fn strs(self, key: &str, values: &[&str]) -> Builder {
        let elements: Vec<u8> = values.iter().flat_map(string).collect();
        self.array(key, STR, values.len() as u64, elements)
    }

    fn alignment(mut self, alignment: u32) -> Builder {
        self.alignment = alignment.into();
        self.u32("general.alignment", alignment)
    }

    /// A tensor with room for its data.
    fn tensor(mut self, name: &str, dims: &[u64], ty: TensorType) -> Builder {
        let offset = self.data_len;
        let info = TensorInfo::new(name.to_owned(), dims, ty, offset).unwrap();
        self.data_len = (offset + info.n_bytes()).next_multiple_of(self.alignment);
        self.raw_tensor(name, dims.len() as u32, dims, ty as u32, offset)
    }

    /// A tensor that may be impossible.
    fn raw_tensor(
        mut self,
        name: impl AsRef<[u8]>,
        n_dims: u32,
        dims: &[u64],
        ty: u32,
        offset: u64,
    ) -> Builder {
        self.n_tensors += 1;
        self.tensors.extend(string(name));
        self.tensors.extend(n_dims.to_le_bytes());
        self.tensors.extend(dims.iter().flat_map(|d| d.to_le_bytes()));
        self.tensors.extend(ty.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self
    }

    /// The header, without the padding after it.
    fn header(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.n_tensors.to_le_bytes());
        out.extend(self.n_keys.to_le_bytes());
        out.extend(&self.keys);
        out.extend(&self.tensors);
        out
    }

    /// The whole file.
    fn build(&self) -> Vec<u8> {
        let mut out = self.header();
        if self.n_tensors > 0 {
            let data_offset = (out.len() as u64).next_multiple_of(self.alignment);
            out.resize((data_offset + self.data_len) as usize, 0);
        }
        out
    }
}

/// A file with every type of value and several tensors.
fn sample() -> Builder {
    let floats: Vec<u8> = [1.5f32, -2.0].into_iter().flat_map(f32::to_le_bytes).collect();
    Builder::new()
        .str("general.architecture", "test")
        .str("general.name", "Größe")
        .u32("general.file_type", 15)
        .key("u8", 0, [200])
        .key("i8", 1, (-100i8).to_le_bytes())
        .key("u16", 2, 60_000u16.to_le_bytes())
        .key("i16", 3, (-30_000i16).to_le_bytes())
        .key("i32", 5, (-2_000_000_000i32).to_le_bytes())
        .key("f32", 6, 0.25f32.to_le_bytes())
        .key("bool", 7, [2])
        .key("u64", 10, u64::MAX.to_le_bytes())
        .key("i64", 11, i64::MIN.to_le_bytes())
        .key("f64", 12, 0.125f64.to_le_bytes())
        .strs("tokens", &["<s>", "", "▁the", "e"])
        .array("floats", 6, 2, floats)
        .array("flags", 7, 3, [1, 0, 1])
        .array("none", 5, 0, [])
        .u32("test.block_count", 2)
        .key("test.context_length", 10, 4096u64.to_le_bytes())
        .tensor("token_embd.weight", &[32, 4], TensorType::Q8_0)
        .tensor("blk.0.norm", &[5], TensorType::F32)
        .tensor("blk.0.conv", &[2, 3, 4, 5], TensorType::F16)
        .tensor("scalar", &[], TensorType::F32)
}
