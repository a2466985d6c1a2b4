use std::io;
use std::path::Path;

use llama::gguf::{Array, Gguf, TensorType, Value};

use crate::tiny;

/// Writes a draft head like the trio's, with empty weights, for a model of width `n_embd_out`
/// (the trio's is 256).
///
/// # Errors
///
/// What writing the file returns.
pub fn write_head(path: &Path, n_embd_out: u64) -> io::Result<()> {
    let head = Gguf::open(tiny("tiny-gemma4-moe-Q8_0-MTP.gguf")).map_err(io::Error::other)?;
    let own = u64::from(head.arch_u32("embedding_length_out").unwrap_or_default());
    let resize = |n: u64| match n {
        n if n == own => n_embd_out,
        n if n == 2 * own => 2 * n_embd_out,
        n => n,
    };
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((head.tensors().len() as u64).to_le_bytes());
    out.extend((head.metadata().len() as u64).to_le_bytes());
    for (key, value) in head.metadata() {
        put_str(&mut out, key);
        match value {
            Value::U32(n) if key.ends_with("embedding_length_out") => {
                put_value(&mut out, &Value::U32(resize(u64::from(*n)) as u32));
            }
            value => put_value(&mut out, value),
        }
    }
    let mut data_len = 0u64;
    for tensor in head.tensors() {
        // Only the projections to and from the model know its width.
        let of_model = tensor.name().contains("projection");
        let dims: Vec<u64> = tensor.dims().iter().map(|&n| if of_model { resize(n) } else { n }).collect();
        put_str(&mut out, tensor.name());
        out.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(type_id(tensor.ty()).to_le_bytes());
        out.extend(data_len.to_le_bytes());
        let n_bytes = dims.iter().product::<u64>() / tensor.ty().block_size() * tensor.ty().block_bytes();
        data_len += n_bytes.next_multiple_of(u64::from(head.alignment()));
    }
    out.resize(out.len().next_multiple_of(head.alignment() as usize), 0);
    out.resize(out.len() + data_len as usize, 0);
    std::fs::write(path, out)
}

fn type_id(ty: TensorType) -> u32 {
    (0..256).find(|&id| TensorType::from_id(id) == Some(ty)).expect("every type has an id")
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Writes a value with the type's number of the GGUF format.
fn put_value(out: &mut Vec<u8>, value: &Value) {
    let mut put = |id: u32, bytes: &[u8]| {
        out.extend(id.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(n) => put(0, &n.to_le_bytes()),
        Value::I8(n) => put(1, &n.to_le_bytes()),
        Value::U16(n) => put(2, &n.to_le_bytes()),
        Value::I16(n) => put(3, &n.to_le_bytes()),
        Value::U32(n) => put(4, &n.to_le_bytes()),
        Value::I32(n) => put(5, &n.to_le_bytes()),
        Value::F32(n) => put(6, &n.to_le_bytes()),
        Value::Bool(b) => put(7, &[u8::from(*b)]),
        Value::U64(n) => put(10, &n.to_le_bytes()),
        Value::I64(n) => put(11, &n.to_le_bytes()),
        Value::F64(n) => put(12, &n.to_le_bytes()),
        Value::Str(text) => {
            put(8, &[]);
            put_str(out, text);
        }
        Value::Array(array) => {
            put(9, &[]);
            put_array(out, array);
        }
    }
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    let mut element = Vec::new();
    if let Some(first) = array.get(0) {
        put_value(&mut element, &first);
    }
    // Every element as a value of its own, less the type in front.
    out.extend(element.get(..4).unwrap_or(&[0; 4]));
    out.extend((array.len() as u64).to_le_bytes());
    for i in 0..array.len() {
        element.clear();
        put_value(&mut element, &array.get(i).expect("below the length"));
        out.extend(&element[4..]);
    }
}
