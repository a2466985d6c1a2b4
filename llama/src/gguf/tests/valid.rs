use std::io::{self, Read};

use super::*;
use crate::gguf::{Array, FileType, StrArray, Value};

#[test]
fn metadata() {
    let gguf = parse(&sample().build()).unwrap();
    assert_eq!(gguf.version(), 3);
    assert_eq!(gguf.alignment(), 32);
    assert_eq!(gguf.architecture(), Some("test"));
    assert_eq!(gguf.name(), Some("Größe"));
    assert_eq!(gguf.file_type(), Some(FileType(15)));
    assert_eq!(gguf.file_type().unwrap().to_string(), "Q4_K - Medium");
    assert_eq!(gguf.size_label(), None);
    assert_eq!(gguf.split_count(), None);
    assert_eq!(gguf.chat_template(), None);
    assert_eq!(gguf.arch_u32("block_count"), Some(2));
    assert_eq!(gguf.arch_u32("context_length"), Some(4096));
    assert_eq!(gguf.arch_u32("missing"), None);

    let scalars = [
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-100)),
        ("u16", Value::U16(60_000)),
        ("i16", Value::I16(-30_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("f32", Value::F32(0.25)),
        ("bool", Value::Bool(true)),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("f64", Value::F64(0.125)),
    ];
    for (key, value) in scalars {
        assert_eq!(gguf.get(key), Some(&value));
        assert_eq!(value.type_name(), key);
    }
    assert_eq!(gguf.get("floats"), Some(&Value::Array(Array::F32(vec![1.5, -2.0]))));
    assert_eq!(gguf.array("flags"), Some(&Array::Bool(vec![true, false, true])));
    assert_eq!(gguf.array("none"), Some(&Array::I32(vec![])));
    assert!(gguf.array("none").unwrap().is_empty());

    let keys: Vec<&str> = gguf.metadata().map(|(k, _)| k).collect();
    assert_eq!(keys[..4], ["general.architecture", "general.name", "general.file_type", "u8"]);
    assert_eq!(keys.len(), 19);
    assert_eq!(gguf.metadata().len(), 19);
}

#[test]
fn typed_access() {
    let gguf = parse(&sample().build()).unwrap();
    // Any width will do, as long as the number fits.
    assert_eq!(gguf.u32("u8"), Some(200));
    assert_eq!(gguf.u32("u16"), Some(60_000));
    assert_eq!(gguf.u32("i8"), None);
    assert_eq!(gguf.i64("i8"), Some(-100));
    assert_eq!(gguf.i64("i32"), Some(-2_000_000_000));
    assert_eq!(gguf.u64("u64"), Some(u64::MAX));
    assert_eq!(gguf.i64("u64"), None);
    assert_eq!(gguf.u32("u64"), None);
    assert_eq!(gguf.u64("i64"), None);
    assert_eq!(gguf.i64("i64"), Some(i64::MIN));
    assert_eq!(gguf.f32("f32"), Some(0.25));
    assert_eq!(gguf.f32("f64"), Some(0.125));
    assert_eq!(gguf.bool("bool"), Some(true));
    // A wrong type is like a missing key.
    assert_eq!(gguf.u32("f32"), None);
    assert_eq!(gguf.u32("bool"), None);
    assert_eq!(gguf.f32("u8"), None);
    assert_eq!(gguf.bool("u8"), None);
    assert_eq!(gguf.str("u8"), None);
    assert_eq!(gguf.array("general.name"), None);
    assert_eq!(gguf.str("no.such.key"), None);
}

#[test]
fn string_arrays() {
    let gguf = parse(&sample().build()).unwrap();
    let tokens = gguf.array("tokens").unwrap();
    assert_eq!(tokens.len(), 4);
    assert_eq!(tokens.get(2), Some(Value::Str("▁the".into())));
    assert_eq!(tokens.get(4), None);
    let tokens: &StrArray = tokens.as_strs().unwrap();
    assert_eq!(tokens.iter().collect::<Vec<_>>(), ["<s>", "", "▁the", "e"]);
    assert_eq!(tokens.iter().next_back(), Some("e"));
    assert_eq!(tokens.get(1), Some(""));
    assert_eq!(tokens.get(4), None);
    assert_eq!(gguf.get("tokens").unwrap().to_string(), "[str; 4]");
}

#[test]
fn tensors() {
    let file = sample().build();
    let gguf = parse(&file).unwrap();
    let header = sample().header().len() as u64;
    assert_eq!(gguf.data_offset(), header.next_multiple_of(32));
    assert_eq!(gguf.n_params(), 128 + 5 + 120 + 1);
    assert_eq!(gguf.n_bytes(), 4 * 34 + 20 + 240 + 4);

    let t = gguf.tensor("token_embd.weight").unwrap();
    assert_eq!(t, &gguf.tensors()[0]);
    assert_eq!((t.dims(), t.ty(), t.offset()), (&[32, 4][..], TensorType::Q8_0, 0));
    assert_eq!((t.n_elements(), t.n_bytes()), (128, 136));
    let t = gguf.tensor("blk.0.norm").unwrap();
    assert_eq!((t.dims(), t.offset(), t.n_bytes()), (&[5][..], 160, 20));
    let t = gguf.tensor("blk.0.conv").unwrap();
    assert_eq!((t.dims(), t.offset(), t.n_bytes()), (&[2, 3, 4, 5][..], 192, 240));
    let t = gguf.tensor("scalar").unwrap();
    assert_eq!((t.dims(), t.offset(), t.n_elements()), (&[][..], 448, 1));
    assert_eq!(gguf.tensor("missing"), None);
}

#[test]
fn unusual_but_fine() {
    // Nothing in it at all: the header is not padded.
    let gguf = parse(&Builder::new().build()).unwrap();
    assert_eq!((gguf.data_offset(), gguf.n_params(), gguf.n_bytes()), (24, 0, 0));
    assert_eq!(gguf.architecture(), None);
    assert_eq!(gguf.arch_u32("block_count"), None);

    let gguf = parse(&sample().version(2).build()).unwrap();
    assert_eq!((gguf.version(), gguf.tensors().len()), (2, 4));

    for alignment in [1, 8, 4096] {
        let b = Builder::new().alignment(alignment);
        let b = b.tensor("a", &[3], TensorType::F32).tensor("b", &[3], TensorType::I8);
        let gguf = parse(&b.build()).unwrap();
        assert_eq!(gguf.alignment(), alignment);
        assert_eq!(gguf.tensors()[1].offset(), 12u64.next_multiple_of(alignment.into()));
    }

    // Upstream allows tensors without elements, and without a name.
    let b = Builder::new().tensor("", &[0, 7], TensorType::Q8_0).tensor("b", &[1], TensorType::F32);
    let gguf = parse(&b.build()).unwrap();
    assert_eq!((gguf.tensors()[0].n_bytes(), gguf.tensors()[1].offset()), (0, 0));

    // The padding after the last tensor may be missing, as llama.cpp allows.
    let b = Builder::new().tensor("a", &[3], TensorType::I8);
    let file = b.build();
    assert!(parse(&file[..file.len() - 29]).is_ok());

    // Bytes after the data are nobody's business.
    assert!(parse(&[sample().build(), vec![1; 1000]].concat()).is_ok());
}

#[test]
fn strings_that_are_not_utf8() {
    let b = Builder::new().key("k", STR, string(b"a\xffb")).array(
        "list",
        STR,
        2,
        // One character cut in two does not come together again.
        [string(b"\xc3"), string(b"\xb6")].concat(),
    );
    let gguf = parse(&b.build()).unwrap();
    assert_eq!(gguf.str("k"), Some("a\u{fffd}b"));
    let list = gguf.array("list").unwrap().as_strs().unwrap();
    assert_eq!(list.iter().collect::<Vec<_>>(), ["\u{fffd}", "\u{fffd}"]);
}

#[test]
fn a_large_vocabulary() {
    let tokens: Vec<String> = (0..262_144).map(|i| format!("token{i}")).collect();
    let refs: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let scores: Vec<u8> = (0..262_144).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let b = Builder::new().strs("tokens", &refs).array("scores", 6, 262_144, scores);
    let gguf = parse(&b.build()).unwrap();
    let read = gguf.array("tokens").unwrap().as_strs().unwrap();
    assert!(read.iter().eq(refs));
    assert_eq!(gguf.array("scores").unwrap().get(262_143), Some(Value::F32(262_143.0)));
}

#[test]
fn a_header_alone() {
    let file = sample().build();
    let header = sample().header();
    let gguf = Gguf::read(&header[..], None).unwrap();
    assert_eq!(gguf.tensors(), parse(&file).unwrap().tensors());
    assert!(Gguf::read(&header[..], Some(file.len() as u64)).is_ok());
    // The declared length is what counts, not what there is to read.
    let short = file.len() as u64 - 40;
    let e = Gguf::read(&file[..], Some(short)).unwrap_err();
    assert!(matches!(e, GgufError::Truncated { end, .. } if end == short));
}

/// Gives one byte at a time, with interruptions.
struct Slow<'a>(&'a [u8], bool);

impl Read for Slow<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let n = buf.len().min(1);
        self.0.read(&mut buf[..n])
    }
}

#[test]
fn slow_readers() {
    let gguf = Gguf::read(Slow(&sample().build(), false), None).unwrap();
    assert_eq!(gguf.n_params(), 254);
}

#[test]
fn failing_readers() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    // At once, and after part of the header.
    let header = sample().header();
    for start in [&header[..0], &header[..300]] {
        let e = Gguf::read(start.chain(Broken), None).unwrap_err();
        check_message(&e);
        assert_eq!(e.to_string(), "cannot read the file: the disk is on fire");
    }
}

#[test]
fn tensor_types() {
    for &ty in TensorType::ALL {
        assert_eq!(TensorType::from_id(ty as u32), Some(ty));
        assert_eq!(TensorType::removed_name(ty as u32), None);
        assert!(ty.block_size().is_power_of_two());
        assert!(ty.block_bytes() > 0);
    }
    // Every number below the end of upstream's enumeration is either in use or retired.
    assert!(
        (0..44).all(|id| { TensorType::from_id(id).is_some() != TensorType::removed_name(id).is_some() })
    );
    assert_eq!(TensorType::from_id(44), None);
    assert_eq!(TensorType::from_id(u32::MAX), None);
    assert_eq!(TensorType::Q4_K.to_string(), "q4_K");
    assert_eq!(format!("{:>6}|", TensorType::F16), "   f16|");
}

#[test]
fn types_for_threads() {
    fn send_sync<T: Send + Sync + 'static>() {}
    send_sync::<Gguf>();
    send_sync::<GgufError>();
}
