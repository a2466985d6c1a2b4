//! Telling what a file is that is not GGUF.

use std::fmt;

use super::error::Quoted;

/// What a file that is not GGUF seems to be, judged by its first bytes.
///
/// [`Display`](fmt::Display) gives a clause that says so, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// The few lines of text that Git leaves in place of a large file.
    GitLfsPointer,
    /// A web page.
    Html,
    /// A checkpoint in the safetensors format.
    Safetensors,
    /// A zip archive, which is what PyTorch checkpoints are.
    Zip,
    /// A Python pickle, which is what old PyTorch checkpoints are.
    Pickle,
    /// One of the formats that llama.cpp used before GGUF.
    LegacyGgml,
    /// A compressed file, with the name of the compression.
    Compressed(&'static str),
    /// Nothing but zero bytes at the start.
    Zeros,
    /// Text, with the start of it.
    Text(String),
    /// Anything else, with its first bytes (at most eight).
    Binary(Vec<u8>),
}

impl FileKind {
    /// Looks at the first bytes of a file, of which there should be some hundred.
    pub(super) fn sniff(head: &[u8]) -> FileKind {
        let text = text_at_start(head);
        let starts_like = |prefix: &str| {
            let start = text.and_then(|t| t.trim_start().get(..prefix.len()));
            start.is_some_and(|s| s.eq_ignore_ascii_case(prefix))
        };
        match head {
            _ if starts_like("version https://git-lfs") => FileKind::GitLfsPointer,
            _ if starts_like("<!doctype html") || starts_like("<html") => FileKind::Html,
            // A 64-bit length comes first, and then JSON of that length.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => FileKind::Safetensors,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => FileKind::Zip,
            [0x80, 2..=5, ..] => FileKind::Pickle,
            [b'l' | b'f', b'm', b'g', b'g', ..] => FileKind::LegacyGgml,
            [b't', b'j', b'g', b'g', ..] => FileKind::LegacyGgml,
            [0x1f, 0x8b, ..] => FileKind::Compressed("gzip"),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => FileKind::Compressed("zstd"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => FileKind::Compressed("xz"),
            [b'7', b'z', 0xbc, 0xaf, ..] => FileKind::Compressed("7z"),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => FileKind::Compressed("bzip2"),
            _ if head.iter().all(|b| *b == 0) => FileKind::Zeros,
            _ => match text {
                Some(text) => FileKind::Text(text.chars().take(60).collect()),
                None => FileKind::Binary(head[..head.len().min(8)].to_vec()),
            },
        }
    }
}

/// The bytes as text, without a last character that they cut in two; `None` if they are not text.
fn text_at_start(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => std::str::from_utf8(&head[..e.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let printable = text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    (printable && !text.is_empty()).then_some(text)
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileKind::GitLfsPointer => {
                f.write_str("this is a Git LFS pointer, not the model: fetch the real file (`git lfs pull`)")
            }
            FileKind::Html => {
                f.write_str("this is a web page, maybe one that asks to log in: download the file itself")
            }
            FileKind::Safetensors => f.write_str(
                "this is a safetensors file: convert the model to GGUF, or fetch it in that format",
            ),
            FileKind::Zip => f.write_str(
                "this is a zip archive, as PyTorch checkpoints are: unpack it if the model is \
                 inside, or fetch the model as GGUF",
            ),
            FileKind::Pickle => f.write_str(
                "this is a Python pickle, as old PyTorch checkpoints are: convert the model to \
                 GGUF, or fetch it in that format",
            ),
            FileKind::LegacyGgml => {
                f.write_str("this is a model in a format from before GGUF: fetch a newer file")
            }
            FileKind::Compressed(how) => {
                write!(f, "this is a file compressed with {how}: unpack it first")
            }
            FileKind::Zeros => {
                f.write_str("it starts with zero bytes: the download is incomplete, fetch it again")
            }
            FileKind::Text(text) => write!(f, "it starts with the text {}", Quoted(text)),
            FileKind::Binary(bytes) => {
                f.write_str("it starts with the bytes")?;
                bytes.iter().try_for_each(|b| write!(f, " {b:02x}"))
            }
        }
    }
}
