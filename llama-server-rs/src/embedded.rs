//! The toy model that the executable carries, so that it answers something without a download.

use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

/// Its name in the API.
pub(crate) const NAME: &str = "tiny-gemma4";

macro_rules! model_file {
    ($name:literal) => {
        ($name, include_bytes!(concat!("../../models/tiny-gemma4/", $name)))
    };
}

const MODEL: (&str, &[u8]) = model_file!("tiny-gemma4-moe-Q8_0.gguf");
const HEAD: (&str, &[u8]) = model_file!("tiny-gemma4-moe-Q8_0-MTP.gguf");
const PROJECTOR: (&str, &[u8]) = model_file!("mmproj-tiny-gemma4-F16.gguf");

/// The model's files on disk, where llama.cpp maps them from. Dropping this deletes them, which
/// a Unix system allows as soon as they are loaded.
#[derive(Debug)]
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    /// Writes the files to a new directory that only this user can read.
    pub(crate) fn unpack() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("llama-server-rs-").tempdir()?;
        for (name, bytes) in [MODEL, HEAD, PROJECTOR] {
            std::fs::write(dir.path().join(name), bytes)?;
        }
        Ok(Self { dir })
    }

    pub(crate) fn model(&self) -> PathBuf {
        self.dir.path().join(MODEL.0)
    }

    pub(crate) fn head(&self) -> PathBuf {
        self.dir.path().join(HEAD.0)
    }

    pub(crate) fn projector(&self) -> PathBuf {
        self.dir.path().join(PROJECTOR.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_there_until_dropped() {
        let files = Files::unpack().expect("a temporary directory");
        let paths = [files.model(), files.head(), files.projector()];
        for path in &paths {
            let bytes = std::fs::read(path).expect("unpacked");
            assert!(bytes.starts_with(b"GGUF"), "{}", path.display());
        }
        drop(files);
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
