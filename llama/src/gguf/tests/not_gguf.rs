use std::fs;
use std::path::PathBuf;

use super::*;
use crate::gguf::FileKind;

#[track_caller]
fn kind(file: &[u8]) -> FileKind {
    match error(file) {
        GgufError::NotGguf(kind) => kind,
        e => panic!("{e}"),
    }
}

#[test]
fn common_mistakes() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea\nsize 16000\n";
    assert_eq!(kind(pointer), FileKind::GitLfsPointer);
    assert_eq!(kind(b"<!DOCTYPE html>\n<html lang=en>"), FileKind::Html);
    assert_eq!(kind("\u{feff}\n <HTML>Größe".as_bytes()), FileKind::Html);
    assert_eq!(kind(b"\x48\x01\0\0\0\0\0\0{\"__metadata__\":{\"format\""), FileKind::Safetensors);
    assert_eq!(kind(b"PK\x03\x04\x14\0\0\0data.pkl"), FileKind::Zip);
    assert_eq!(kind(b"\x80\x02}q\0(X\x05\0\0\0model"), FileKind::Pickle);
    assert_eq!(kind(b"tjgg\x03\0\0\0\0\x7d\0\0"), FileKind::LegacyGgml);
    assert_eq!(kind(b"lmgg\0\x7d\0\0"), FileKind::LegacyGgml);
    assert_eq!(kind(b"\x1f\x8b\x08\0\0\0\0\0"), FileKind::Compressed("gzip"));
    assert_eq!(kind(b"\x28\xb5\x2f\xfd\0\0"), FileKind::Compressed("zstd"));
    assert_eq!(kind(&[0; 4096]), FileKind::Zeros);
    assert_eq!(kind(b"\x7fELF\x02\x01\x01\0\0\0"), FileKind::Binary(b"\x7fELF\x02\x01\x01\0".into()));
    assert_eq!(kind(b"\xff"), FileKind::Binary(vec![0xff]));
    assert_eq!(kind(b"gguf"), FileKind::Text("gguf".into()));
    assert_eq!(kind(b"GGUf\x03\0\0\0"), FileKind::Binary(b"GGUf\x03\0\0\0".into()));
}

#[test]
fn messages() {
    let e = error(b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea\nsize 16000\n");
    assert_eq!(
        e.to_string(),
        "not a GGUF file: this is a Git LFS pointer, not the model: fetch the real file (`git lfs \
         pull`)"
    );
    let e = error(b"{\"error\":\"Access to this model is restricted\"}\n");
    assert_eq!(
        e.to_string(),
        "not a GGUF file: it starts with the text '{\"error\":\"Access to this model is \
         restricted\"}\\n'"
    );
    let e = error(b"\x7fELF\x02");
    assert_eq!(e.to_string(), "not a GGUF file: it starts with the bytes 7f 45 4c 46 02");
}

#[test]
fn text_is_cut_between_characters() {
    // The 256 bytes that are looked at end inside of a character.
    let text = format!("x{}", "ä".repeat(1000));
    let FileKind::Text(start) = kind(text.as_bytes()) else { panic!() };
    assert_eq!(start, format!("x{}", "ä".repeat(59)));
}

#[test]
fn paths() {
    let dir = Temp::new();
    let e = Gguf::open(&dir.0).unwrap_err();
    assert!(matches!(e, GgufError::IsDirectory), "{e}");
    check_message(&e);

    let e = Gguf::open(dir.0.join("missing.gguf")).unwrap_err();
    assert!(matches!(&e, GgufError::Io(e) if e.kind() == std::io::ErrorKind::NotFound), "{e}");
    check_message(&e);

    let file = dir.0.join("empty.gguf");
    fs::write(&file, []).unwrap();
    assert!(matches!(Gguf::open(&file), Err(GgufError::Empty)));

    fs::write(&file, sample().build()).unwrap();
    assert_eq!(Gguf::open(&file).unwrap().n_params(), 254);

    let data = sample().build();
    fs::write(&file, &data[..data.len() - 64]).unwrap();
    assert!(matches!(Gguf::open(&file), Err(GgufError::Truncated { .. })));
}

#[cfg(unix)]
#[test]
fn devices() {
    assert!(matches!(Gguf::open("/dev/null"), Err(GgufError::Empty)));
    assert!(matches!(Gguf::open("/dev/zero"), Err(GgufError::NotGguf(FileKind::Zeros))));
}

/// A directory that goes away with the test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Temp {
        let dir = std::env::temp_dir().join(format!("llama-gguf-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Temp(dir)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
