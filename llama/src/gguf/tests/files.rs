//! The models in the repository.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::gguf::{Array, FileType};

const TARGET: &str = "tiny-gemma4-moe-Q8_0.gguf";
const DRAFT: &str = "tiny-gemma4-moe-Q8_0-MTP.gguf";
const VISION: &str = "mmproj-tiny-gemma4-F16.gguf";

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "models", "tiny-gemma4", name].iter().collect()
}

fn open(name: &str) -> Gguf {
    let gguf = Gguf::open(path(name)).unwrap();
    // The last tensor ends where the file does.
    let last = gguf.tensors().last().unwrap();
    let end = gguf.data_offset() + last.offset() + last.n_bytes();
    let len = fs::metadata(path(name)).unwrap().len();
    assert_eq!(end.next_multiple_of(gguf.alignment().into()), len);
    gguf
}

#[test]
fn target() {
    let gguf = open(TARGET);
    assert_eq!(gguf.version(), 3);
    assert_eq!(gguf.architecture(), Some("gemma4"));
    assert_eq!(gguf.name(), Some("Tiny Gemma 4 MoE"));
    assert_eq!(gguf.size_label(), Some("8x6.2M"));
    assert_eq!(gguf.file_type(), Some(FileType(7)));
    assert_eq!(gguf.file_type().unwrap().name(), Some("Q8_0"));
    assert_eq!(gguf.quantization_version(), Some(2));
    assert_eq!(gguf.split_count(), None);
    assert_eq!(gguf.arch_u32("block_count"), Some(6));
    assert_eq!(gguf.arch_u32("context_length"), Some(16_384));
    assert_eq!(gguf.arch_u32("embedding_length"), Some(256));
    assert_eq!(gguf.arch_u32("embedding_length_out"), None);
    assert_eq!(gguf.arch_u32("expert_count"), Some(8));
    assert_eq!(gguf.f32("gemma4.final_logit_softcapping"), Some(30.0));
    assert_eq!(gguf.bool("tokenizer.ggml.add_bos_token"), Some(true));
    assert!(gguf.chat_template().unwrap().contains("<|turn>"));

    // A number for each layer is not one number.
    assert_eq!(gguf.arch_u32("attention.head_count_kv"), None);
    let per_layer = gguf.array("gemma4.attention.head_count_kv");
    assert_eq!(per_layer, Some(&Array::I32(vec![4, 2, 4, 2, 4, 2])));

    let tokens = gguf.array("tokenizer.ggml.tokens").unwrap().as_strs().unwrap();
    assert_eq!(tokens.len(), 4096);
    let first: Vec<&str> = tokens.iter().take(4).collect();
    assert_eq!(first, ["<pad>", "<eos>", "<bos>", "<unk>"]);
    assert_eq!(gguf.array("tokenizer.ggml.scores").map(Array::len), Some(4096));

    assert_eq!(gguf.tensors().len(), 132);
    assert_eq!(gguf.n_params(), 9_332_214);
    let t = gguf.tensor("token_embd.weight").unwrap();
    assert_eq!((t.dims(), t.ty()), (&[256, 4096][..], TensorType::Q8_0));
    let t = gguf.tensor("blk.0.ffn_gate_up_exps.weight").unwrap();
    assert_eq!((t.dims(), t.n_bytes()), (&[256, 192, 8][..], 256 * 192 * 8 / 32 * 34));
}

#[test]
fn draft() {
    let gguf = open(DRAFT);
    assert_eq!(gguf.architecture(), Some("gemma4-assistant"));
    assert_eq!(gguf.arch_u32("embedding_length"), Some(192));
    assert_eq!(gguf.arch_u32("embedding_length_out"), Some(256));
    assert_eq!(gguf.arch_u32("nextn_predict_layers"), Some(4));
    assert_eq!((gguf.tensors().len(), gguf.n_params()), (49, 2_608_708));
}

#[test]
fn vision() {
    let gguf = open(VISION);
    assert_eq!(gguf.architecture(), Some("clip"));
    assert_eq!(gguf.str("general.type"), Some("mmproj"));
    assert_eq!(gguf.file_type().unwrap().to_string(), "F16");
    assert_eq!(gguf.arch_u32("vision.block_count"), Some(4));
    assert_eq!(gguf.bool("clip.has_vision_encoder"), Some(true));
    assert_eq!(gguf.chat_template(), None);
    assert_eq!((gguf.tensors().len(), gguf.n_params()), (55, 1_518_336));
}

#[test]
fn truncated() {
    let file = fs::read(path(TARGET)).unwrap();
    let gguf = parse(&file).unwrap();
    let data = gguf.data_offset() as usize;
    for cut in (1..data).step_by(1009).chain(data - 64..data) {
        match error(&file[..cut]) {
            GgufError::Truncated { end, needed, .. } => {
                assert!(end == cut as u64 && needed > end);
            }
            e => panic!("cut at {cut}: {e}"),
        }
    }
    // Within the data, the first tensor that is not all there is named.
    for t in gguf.tensors().iter().step_by(7) {
        let cut = data + (t.offset() + t.n_bytes()) as usize - 1;
        let e = error(&file[..cut]);
        let name = format!("tensor '{}'", t.name());
        assert!(matches!(e, GgufError::Truncated { what, .. } if what == name));
    }
}

#[test]
fn prefix_of_a_remote_file() {
    let file = fs::read(path(VISION)).unwrap();
    let len = Some(file.len() as u64);
    // A client that fetches more until it is enough.
    let mut have = 64;
    let gguf = loop {
        match Gguf::read(&file[..have], len) {
            Ok(gguf) => break gguf,
            Err(GgufError::Truncated { needed, .. }) => {
                assert!(needed as usize > have);
                have = (have * 2).max(needed as usize);
            }
            Err(e) => panic!("{e}"),
        }
    };
    assert!(have < file.len() / 2);
    assert_eq!(gguf.n_params(), 1_518_336);
}
