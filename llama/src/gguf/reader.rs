//! Reading the header, with nothing in it trusted.

use std::fmt;
use std::io::{self, BufReader, Read};

use super::error::Quoted;
use super::index::Index;
use super::tensor::{MAX_DIMS, check_layout};
use super::{Array, FileKind, Gguf, GgufError, StrArray, TensorInfo, TensorType, Value};

const MAGIC: &[u8] = b"GGUF";

/// Real headers have some ten megabytes, nearly all of them vocabulary. The limit keeps a length
/// that is wrong from filling the memory where the file is large enough to hide it.
const MAX_HEADER: u64 = 256 << 20;

/// Real files have about fifty keys.
const MAX_KEYS: u64 = 1 << 16;
/// The least that a key takes: the length of its name, one letter, the type and a value.
const MIN_KEY_BYTES: u64 = 8 + 1 + 4 + 1;

/// The largest real models have some ten thousand tensors.
const MAX_TENSORS: u64 = 1 << 20;
/// The least that a tensor takes: the length of its name, `n_dims`, the type and the offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// `ggml` has 64 bytes for the name and a final zero.
const MAX_TENSOR_NAME: u64 = 63;

const ALIGNMENT_KEY: &str = "general.alignment";
const DEFAULT_ALIGNMENT: u32 = 32;

/// How much is allocated at once for bytes that have not been seen yet.
const CHUNK: usize = 64 << 10;

const ARRAY: u32 = 9;

/// What is being read, for messages.
#[derive(Clone, Copy)]
enum Part<'a> {
    Start,
    Counts { n_keys: u64, n_tensors: u64 },
    Key(u64),
    Value(&'a str),
    TensorName(u64),
    TensorInfo(&'a str),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Start => f.write_str("the header"),
            Part::Counts { n_keys, n_tensors } => {
                write!(f, "the header with {n_keys} metadata keys and {n_tensors} tensors")
            }
            Part::Key(i) => write!(f, "metadata key {i}"),
            Part::Value(key) => write!(f, "the value of {}", Quoted(key)),
            Part::TensorName(i) => write!(f, "the name of tensor {i}"),
            Part::TensorInfo(name) => write!(f, "the description of tensor {}", Quoted(name)),
        }
    }
}

type Result<T> = std::result::Result<T, GgufError>;

pub(super) fn read(source: impl Read, len: Option<u64>) -> Result<Gguf> {
    let mut source = BufReader::with_capacity(CHUNK, source);
    let mut head = Vec::new();
    source.by_ref().take(256).read_to_end(&mut head)?;
    if head.is_empty() {
        return Err(GgufError::Empty);
    }
    // A file of one to three bytes may be the start of the magic, cut short.
    if !MAGIC.starts_with(&head) && !head.starts_with(MAGIC) {
        return Err(GgufError::NotGguf(FileKind::sniff(&head)));
    }
    let mut r = Reader { source: io::Cursor::new(head).chain(source), pos: 0, len };
    r.header()
}

struct Reader<R> {
    source: R,
    /// How many bytes have been read.
    pos: u64,
    /// The length of the file, if it is known.
    len: Option<u64>,
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<Gguf> {
        let _magic: [u8; MAGIC.len()] = self.bytes(Part::Start)?;
        let version = self.u32(Part::Start)?;
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 1..=3) => {
                return Err(GgufError::BigEndian { version: version.swap_bytes() });
            }
            _ => return Err(GgufError::UnsupportedVersion { version }),
        }

        let n_tensors = self.u64(Part::Start)?;
        let n_keys = self.u64(Part::Start)?;
        at_most("tensors", n_tensors, MAX_TENSORS)?;
        at_most("metadata keys", n_keys, MAX_KEYS)?;
        self.need(n_keys * MIN_KEY_BYTES + n_tensors * MIN_TENSOR_BYTES, Part::Counts { n_keys, n_tensors })?;

        let mut metadata = Vec::new();
        for i in 0..n_keys {
            let key = self.key(i)?;
            let value = self.value(&key)?;
            metadata.push((key, value));
        }
        let key_index =
            Index::new(&metadata).map_err(|i| GgufError::DuplicateKey { key: metadata[i].0.clone() })?;
        let alignment = alignment(key_index.find(&metadata, ALIGNMENT_KEY).map(|(_, v)| v))?;

        let mut tensors = Vec::new();
        for i in 0..n_tensors {
            tensors.push(self.tensor(i)?);
        }
        let tensor_index = Index::new(&tensors)
            .map_err(|i| GgufError::DuplicateTensor { name: tensors[i].name().to_owned() })?;

        // As upstream has it: the header of a file without tensors is not padded.
        let data_offset = match n_tensors {
            0 => self.pos,
            _ => self.pos.next_multiple_of(alignment.into()),
        };
        check_layout(&tensors, data_offset, alignment, self.len)?;

        Ok(Gguf { version, alignment, metadata, key_index, tensors, tensor_index, data_offset })
    }

    fn key(&mut self, index: u64) -> Result<String> {
        let part = Part::Key(index);
        let key = self.name(part)?;
        if key.is_empty() {
            return Err(GgufError::EmptyKey { index });
        }
        Ok(key)
    }

    fn value(&mut self, key: &str) -> Result<Value> {
        let part = Part::Value(key);
        let id = self.u32(part)?;
        Ok(match id {
            0 => Value::U8(self.scalar(part, u8::from_le_bytes)?),
            1 => Value::I8(self.scalar(part, i8::from_le_bytes)?),
            2 => Value::U16(self.scalar(part, u16::from_le_bytes)?),
            3 => Value::I16(self.scalar(part, i16::from_le_bytes)?),
            4 => Value::U32(self.scalar(part, u32::from_le_bytes)?),
            5 => Value::I32(self.scalar(part, i32::from_le_bytes)?),
            6 => Value::F32(self.scalar(part, f32::from_le_bytes)?),
            7 => Value::Bool(self.scalar(part, decode_bool)?),
            8 => {
                let mut bytes = Vec::new();
                self.string(&mut bytes, part)?;
                Value::Str(lossy(bytes))
            }
            ARRAY => Value::Array(self.array(key)?),
            10 => Value::U64(self.scalar(part, u64::from_le_bytes)?),
            11 => Value::I64(self.scalar(part, i64::from_le_bytes)?),
            12 => Value::F64(self.scalar(part, f64::from_le_bytes)?),
            _ => return Err(unknown_type(key, id)),
        })
    }

    fn array(&mut self, key: &str) -> Result<Array> {
        let part = Part::Value(key);
        let id = self.u32(part)?;
        let n = self.u64(part)?;
        Ok(match id {
            0 => Array::U8(self.scalars(n, part, u8::from_le_bytes)?),
            1 => Array::I8(self.scalars(n, part, i8::from_le_bytes)?),
            2 => Array::U16(self.scalars(n, part, u16::from_le_bytes)?),
            3 => Array::I16(self.scalars(n, part, i16::from_le_bytes)?),
            4 => Array::U32(self.scalars(n, part, u32::from_le_bytes)?),
            5 => Array::I32(self.scalars(n, part, i32::from_le_bytes)?),
            6 => Array::F32(self.scalars(n, part, f32::from_le_bytes)?),
            7 => Array::Bool(self.scalars(n, part, decode_bool)?),
            8 => Array::Str(self.strings(n, part)?),
            ARRAY => {
                return Err(GgufError::NestedArray { key: key.to_owned() });
            }
            10 => Array::U64(self.scalars(n, part, u64::from_le_bytes)?),
            11 => Array::I64(self.scalars(n, part, i64::from_le_bytes)?),
            12 => Array::F64(self.scalars(n, part, f64::from_le_bytes)?),
            _ => return Err(unknown_type(key, id)),
        })
    }

    fn strings(&mut self, n: u64, part: Part) -> Result<StrArray> {
        // Each has at least its length.
        self.need(n.saturating_mul(8), part)?;
        let mut strings = StrArray::default();
        let mut bytes = Vec::new();
        for _ in 0..n {
            self.string(&mut bytes, part)?;
            strings.push(&String::from_utf8_lossy(&bytes));
        }
        Ok(strings)
    }

    fn tensor(&mut self, index: u64) -> Result<TensorInfo> {
        let part = Part::TensorName(index);
        let name = self.name(part)?;
        let len = name.len() as u64;
        if len > MAX_TENSOR_NAME {
            return Err(GgufError::TensorName { index, len, limit: MAX_TENSOR_NAME });
        }

        let part = Part::TensorInfo(&name);
        let n_dims = self.u32(part)?;
        if n_dims > MAX_DIMS as u32 {
            return Err(GgufError::TensorDims { name, n_dims, limit: MAX_DIMS as u32 });
        }
        let mut dims = [1; MAX_DIMS];
        let dims = &mut dims[..n_dims as usize];
        for dim in dims.iter_mut() {
            *dim = self.u64(part)?;
        }
        let id = self.u32(part)?;
        let offset = self.u64(part)?;
        match TensorType::from_id(id) {
            Some(ty) => TensorInfo::new(name, dims, ty, offset),
            None => Err(GgufError::UnknownTensorType { name, id }),
        }
    }

    fn u32(&mut self, part: Part) -> Result<u32> {
        self.scalar(part, u32::from_le_bytes)
    }

    fn u64(&mut self, part: Part) -> Result<u64> {
        self.scalar(part, u64::from_le_bytes)
    }

    fn scalar<const N: usize, T>(&mut self, part: Part, decode: fn([u8; N]) -> T) -> Result<T> {
        Ok(decode(self.bytes(part)?))
    }

    /// `n` numbers. The vector grows as they arrive, so a wrong `n` cannot make it large.
    fn scalars<const N: usize, T>(&mut self, n: u64, part: Part, decode: fn([u8; N]) -> T) -> Result<Vec<T>> {
        self.need(n.saturating_mul(N as u64), part)?;
        (0..n).map(|_| self.scalar(part, decode)).collect()
    }

    /// A string that must be UTF-8, because it is looked up and compared.
    fn name(&mut self, part: Part) -> Result<String> {
        let mut bytes = Vec::new();
        self.string(&mut bytes, part)?;
        String::from_utf8(bytes).map_err(|_| GgufError::NotUtf8 { what: part.to_string() })
    }

    /// The bytes of a string, which replace what is in `out`.
    fn string(&mut self, out: &mut Vec<u8>, part: Part) -> Result<()> {
        let mut left = self.u64(part)?;
        self.need(left, part)?;
        out.clear();
        while left > 0 {
            let start = out.len();
            let chunk = left.min(CHUNK as u64);
            out.resize(start + chunk as usize, 0);
            self.fill(&mut out[start..], part)?;
            left -= chunk;
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self, part: Part) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, part)?;
        Ok(bytes)
    }

    fn fill(&mut self, buf: &mut [u8], part: Part) -> Result<()> {
        let needed = self.need(buf.len() as u64, part)?;
        let mut rest = buf;
        while !rest.is_empty() {
            match self.source.read(rest) {
                Ok(0) => return Err(GgufError::truncated(self.pos, needed, part)),
                Ok(n) => {
                    self.pos += n as u64;
                    rest = &mut rest[n..];
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Checks that there can be `n` more bytes, and says where they end.
    fn need(&self, n: u64, part: Part) -> Result<u64> {
        let needed = self.pos.saturating_add(n);
        if needed > MAX_HEADER {
            return Err(GgufError::HeaderTooLarge { what: part.to_string(), limit: MAX_HEADER });
        }
        match self.len {
            Some(len) if needed > len => Err(GgufError::truncated(len, needed, part)),
            _ => Ok(needed),
        }
    }
}

fn at_most(what: &'static str, count: u64, limit: u64) -> Result<()> {
    if count > limit {
        return Err(GgufError::TooMany { what, count, limit });
    }
    Ok(())
}

fn unknown_type(key: &str, id: u32) -> GgufError {
    GgufError::UnknownValueType { key: key.to_owned(), id }
}

fn decode_bool([byte]: [u8; 1]) -> bool {
    byte != 0
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn alignment(value: Option<&Value>) -> Result<u32> {
    match value {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U32(n)) if n.is_power_of_two() => Ok(*n),
        Some(v) => Err(GgufError::BadAlignment {
            found: match v {
                Value::Str(s) => format!("the text {}", Quoted(s)),
                _ => format!("{v} ({})", v.type_name()),
            },
        }),
    }
}
