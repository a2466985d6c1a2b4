use super::*;

fn f32_at(b: Builder, name: &str, offset: u64) -> Builder {
    b.raw_tensor(name, 1, &[8], TensorType::F32 as u32, offset)
}

#[test]
fn cut_off_anywhere() {
    let b = sample();
    let file = b.build();
    let header = b.header().len();
    let last = parse(&file).unwrap().tensors()[3].clone();
    let end = header.next_multiple_of(32) + (last.offset() + last.n_bytes()) as usize;
    assert!(matches!(error(&[]), GgufError::Empty));

    for cut in 1..end {
        match error(&file[..cut]) {
            GgufError::Truncated { end: at, needed, .. } => {
                assert_eq!(at, cut as u64);
                assert!(needed > at && needed <= end as u64, "{cut}: {needed}");
            }
            e => panic!("cut at {cut}: {e}"),
        }
        // Without a length, and with one that promises more than there is to read.
        for len in [None, Some(file.len() as u64)] {
            let read = Gguf::read(&file[..cut], len);
            match read {
                Ok(_) => assert!(cut >= header),
                Err(GgufError::Truncated { end, needed, .. }) => {
                    assert!(cut < header && end == cut as u64 && needed > end);
                }
                Err(e) => panic!("cut at {cut}: {e}"),
            }
        }
    }
    assert!(parse(&file[..end]).is_ok());
}

#[test]
fn messages_of_short_files() {
    let file = sample().build();
    let data = parse(&file).unwrap().data_offset();
    let cut = data + 170;
    assert_eq!(
        error(&file[..cut as usize]).to_string(),
        format!(
            "file ends at byte {cut}, but tensor 'blk.0.norm' needs bytes up to {}: the download \
             is incomplete or damaged, fetch it again",
            data + 180
        )
    );
    assert!(
        error(&file[..60])
            .to_string()
            .starts_with("file ends at byte 60, but the header with 19 metadata keys and 4 tensors")
    );
    let b = Builder::new().str("general.architecture", "test");
    let file = b.key("k", STR, 1000u64.to_le_bytes()).build();
    assert!(error(&file).to_string().contains("but the value of 'k' needs bytes up to"));
}

#[test]
fn versions() {
    for version in [0, 1, 4, 99, u32::MAX] {
        let e = error(&sample().version(version).build());
        assert!(matches!(e, GgufError::UnsupportedVersion { version: v } if v == version));
    }
    let e = error(&sample().version(1).build());
    assert!(e.to_string().contains("too old"), "{e}");
    for version in [1, 2, 3u32] {
        let e = error(&sample().version(version.swap_bytes()).build());
        assert!(matches!(e, GgufError::BigEndian { version: v } if v == version));
    }
}

#[test]
fn impossible_counts() {
    for count in [1 << 21, 1 << 40, i64::MAX as u64, u64::MAX] {
        for at in [8, 16] {
            let mut file = sample().build();
            file[at..at + 8].copy_from_slice(&count.to_le_bytes());
            assert!(matches!(error(&file), GgufError::TooMany { count: c, .. } if c == count));
        }
    }
    // Numbers that could be real are still compared with the length of the file.
    for at in [8, 16] {
        let mut file = sample().build();
        file[at..at + 8].copy_from_slice(&60_000u64.to_le_bytes());
        assert!(matches!(error(&file), GgufError::Truncated { .. }));
    }
}

#[test]
fn impossible_lengths() {
    // Of a key, a string, an array of each type, a string in an array and the name of a tensor.
    for n in [100_000u64, 1 << 28, 1 << 40, i64::MAX as u64, u64::MAX - 7, u64::MAX] {
        let mut files = vec![
            Builder { n_keys: 1, keys: n.to_le_bytes().to_vec(), ..Builder::new() },
            Builder::new().key("k", STR, n.to_le_bytes()),
            Builder::new().array("k", STR, 1, n.to_le_bytes()),
            Builder { n_tensors: 1, tensors: n.to_le_bytes().to_vec(), ..Builder::new() },
        ];
        for ty in (0..=12).filter(|ty| *ty != ARR) {
            files.push(Builder::new().array("k", ty, n, []));
        }
        for mut b in files {
            // Room for what the counts promise, so that the length is what is looked at.
            b.tensors.extend([0; 100]);
            let header = b.header();
            for len in [None, Some(header.len() as u64), Some(u64::MAX)] {
                let e = Gguf::read(&header[..], len).unwrap_err();
                check_message(&e);
                match e {
                    GgufError::HeaderTooLarge { .. } => assert!(n > 1 << 24),
                    GgufError::Truncated { .. } => assert!(n < 1 << 28),
                    e => panic!("{n}: {e}"),
                }
            }
        }
    }
}

#[test]
fn keys() {
    let e = error(&Builder::new().u32("", 1).build());
    assert!(matches!(e, GgufError::EmptyKey { index: 0 }));

    let e = error(&sample().u32("f32", 1).build());
    assert!(matches!(&e, GgufError::DuplicateKey { key } if key == "f32"), "{e}");

    let e = error(&sample().key(b"a\xff", U32, [0; 4]).build());
    assert_eq!(e.to_string(), "metadata key 19 is not valid UTF-8: the file is damaged");

    for ty in [13, 255, u32::MAX] {
        let e = error(&Builder::new().key("k", ty, [0; 64]).build());
        assert!(matches!(e, GgufError::UnknownValueType { id, .. } if id == ty));
        let e = error(&Builder::new().array("k", ty, 1, [0; 64]).build());
        assert!(matches!(e, GgufError::UnknownValueType { id, .. } if id == ty));
    }
}

#[test]
fn nested_arrays() {
    for n in [0, 1, u64::MAX] {
        let e = error(&Builder::new().array("k", ARR, n, [0; 64]).build());
        assert!(matches!(&e, GgufError::NestedArray { key } if key == "k"), "{e}");
    }
}

#[test]
fn alignments() {
    for n in [0, 3, 31, 33, u32::MAX] {
        let e = error(&Builder::new().u32("general.alignment", n).build());
        assert!(matches!(e, GgufError::BadAlignment { .. }));
    }
    let e = error(&Builder::new().key("general.alignment", 10, 32u64.to_le_bytes()).build());
    assert!(e.to_string().ends_with("not 32 (u64)"), "{e}");
    let e = error(&Builder::new().str("general.alignment", "32").build());
    assert!(e.to_string().ends_with("not the text '32'"), "{e}");
    let e = error(&Builder::new().array("general.alignment", U32, 0, []).build());
    assert!(e.to_string().ends_with("not [u32; 0] (arr)"), "{e}");

    // The largest alignment there is pads a small file far beyond its end.
    let b = Builder::new().u32("general.alignment", 1 << 31);
    assert!(matches!(error(&f32_at(b, "a", 0).build()), GgufError::Truncated { .. }));
}

#[test]
fn tensor_names() {
    let e = error(&sample().tensor("scalar", &[1], TensorType::F32).build());
    assert!(matches!(&e, GgufError::DuplicateTensor { name } if name == "scalar"), "{e}");

    assert!(parse(&sample().tensor(&"n".repeat(63), &[1], TensorType::F32).build()).is_ok());
    let e = error(&sample().tensor(&"n".repeat(64), &[1], TensorType::F32).build());
    assert!(matches!(e, GgufError::TensorName { index: 4, len: 64, limit: 63 }), "{e}");

    let e = error(&Builder::new().raw_tensor(b"\xff", 0, &[], 0, 0).build());
    assert_eq!(e.to_string(), "the name of tensor 0 is not valid UTF-8: the file is damaged");
}

#[test]
fn tensor_shapes() {
    for n_dims in [5, 6, u32::MAX] {
        let e = error(&Builder::new().raw_tensor("t", n_dims, &[1; 6], 0, 0).build());
        assert!(matches!(e, GgufError::TensorDims { n_dims: n, .. } if n == n_dims), "{e}");
    }

    let max = i64::MAX as u64;
    let impossible: [&[u64]; 8] = [
        &[u64::MAX],
        &[max + 1],
        &[1, 1, 1, u64::MAX],
        &[u64::MAX; 4],
        &[1 << 16; 4],
        &[1 << 32, 1 << 31],
        // Overflows before the zero is reached.
        &[max, max, 0],
        // The elements can be counted, but not their bytes.
        &[max],
    ];
    for dims in impossible {
        let e = error(&Builder::new().raw_tensor("t", dims.len() as u32, dims, 0, 0).build());
        assert!(matches!(&e, GgufError::TensorTooLarge { dims: d, .. } if d == dims), "{e}");
    }

    // Each fits, but not all together.
    let bytes = 1 << 62;
    let mut b = Builder::new();
    for (i, offset) in [0, bytes, 2 * bytes, 3 * bytes].into_iter().enumerate() {
        b = b.raw_tensor(i.to_string(), 1, &[bytes], TensorType::I8 as u32, offset);
    }
    let e = Gguf::read(&b.header()[..], None).unwrap_err();
    assert!(matches!(&e, GgufError::TensorTooLarge { name, .. } if name == "1"), "{e}");

    let e = error(&Builder::new().raw_tensor("t", 2, &[33, 2], 2, 0).build());
    assert!(matches!(e, GgufError::TensorRow { row: 33, ty: TensorType::Q4_0, .. }));
    assert!(e.to_string().ends_with("33 elements, not a multiple of the 32 in a block of q4_0"));
    let e = error(&Builder::new().raw_tensor("t", 0, &[], 12, 0).build());
    assert!(matches!(e, GgufError::TensorRow { row: 1, .. }), "{e}");
}

#[test]
fn tensor_types() {
    for id in [44, 1000, u32::MAX] {
        let e = error(&Builder::new().raw_tensor("t", 1, &[256], id, 0).build());
        assert!(matches!(e, GgufError::UnknownTensorType { id: i, .. } if i == id));
        assert!(e.to_string().contains("not known"), "{e}");
    }
    for id in [4, 5, 31, 32, 33, 36, 37, 38] {
        let e = error(&Builder::new().raw_tensor("t", 1, &[256], id, 0).build());
        assert!(matches!(e, GgufError::UnknownTensorType { id: i, .. } if i == id));
        assert!(e.to_string().contains("no longer"), "{e}");
    }
}

#[test]
fn tensor_offsets() {
    // Not aligned, over the one before, with a gap, and far outside.
    for offset in [1, 16, 31, 0, 64, 1 << 40, i64::MAX as u64, u64::MAX - 31, u64::MAX] {
        let mut b = f32_at(f32_at(Builder::new(), "a", 0), "b", offset);
        b.data_len = 96;
        let e = error(&b.build());
        assert!(matches!(e, GgufError::TensorOffset { offset: o, expected: 32, .. } if o == offset), "{e}");
    }
    let e = error(&f32_at(Builder::new(), "a", 32).build());
    assert!(matches!(e, GgufError::TensorOffset { expected: 0, .. }), "{e}");
}

#[test]
fn odd_names_in_messages() {
    // What a terminal would obey is escaped, and what is long is cut.
    let name = format!("a\n\u{1b}[31m{}", "ö".repeat(50_000));
    let e = error(&Builder::new().key(name, 99, []).str("k", "v").build());
    assert!(e.to_string().starts_with("the value of 'a\\n\\u{1b}[31mö"), "{e}");
    assert!(e.to_string().contains("ö…' has type 99"), "{e}");
}
