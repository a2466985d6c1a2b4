//! Finds llama.cpp's source: the pinned one through cargo, or `LLAMA_CPP_SRC`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{cargo_var, fail, package_dir, watch};

/// The variable that names a checkout to use in place of the pinned source.
const OVERRIDE: &str = "LLAMA_CPP_SRC";

/// A tree of llama.cpp's source.
pub(crate) struct Source {
    pub(crate) dir: PathBuf,
    /// The build's number and commit; `None` for a checkout, which may be any.
    pub(crate) pin: Option<Pin>,
}

pub(crate) struct Pin {
    pub(crate) build: u64,
    pub(crate) commit: String,
}

/// The number of the pinned llama.cpp build, as the crate's version has it.
pub(crate) fn pinned_build() -> &'static str {
    env!("CARGO_PKG_VERSION").rsplit_once("+b").map_or("", |(_, build)| build)
}

/// Finds the source, which downloads it if it never was.
pub(crate) fn locate() -> Source {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    match env::var_os(OVERRIDE) {
        Some(dir) if !dir.is_empty() => checkout(dir.into()),
        _ => pinned(),
    }
}

fn checkout(dir: PathBuf) -> Source {
    if dir.is_relative() {
        fail(format_args!("{OVERRIDE} is {}, which is not an absolute path", dir.display()));
    }
    if !dir.join("include/llama.h").is_file() {
        fail(format_args!(
            "{OVERRIDE} is {}, which is no checkout of llama.cpp: it has no include/llama.h",
            dir.display()
        ));
    }
    for part in ["CMakeLists.txt", "cmake", "common", "ggml", "include", "src", "tools/mtmd", "vendor"] {
        watch(&dir.join(part));
    }
    Source { dir, pin: None }
}

/// Has cargo download, verify and locate the pinned package.
fn pinned() -> Source {
    let manifest = lay_out(&pin_dir(), &PathBuf::from(cargo_var("OUT_DIR")).join("pin"))
        .unwrap_or_else(|error| fail(format_args!("cannot write the pin of llama.cpp: {error}")));
    let output = Command::new(cargo_var("CARGO"))
        .args(["metadata", "--locked", "--format-version=1", "--manifest-path"])
        .arg(&manifest)
        // Cargo looks for its configuration from here upwards: in the folder of
        // the workspace that is being built, with its mirrors and its proxy.
        .current_dir(manifest.parent().expect("a manifest is in a folder"))
        // These are meant for the build that runs this script.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_MAKEFLAGS")
        .env_remove("RUSTC")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap_or_else(|error| fail(format_args!("cannot run cargo to find llama.cpp's source: {error}")));
    if !output.status.success() {
        fail(format_args!(
            "cannot fetch the source of llama.cpp:\n{}\n\
             help: while online, run once\n    cargo fetch --locked --manifest-path {}\n\
             or set {OVERRIDE} to a checkout of llama.cpp b{}",
            String::from_utf8_lossy(&output.stderr).trim_end(),
            manifest.display(),
            pinned_build(),
        ));
    }
    parse(&output.stdout).unwrap_or_else(|| fail("cargo metadata does not describe the pin of llama.cpp"))
}

/// The folder with the pin: the package's own, which is a link to the
/// repository's and which a checkout without symbolic links does not have.
fn pin_dir() -> PathBuf {
    let package = package_dir();
    [package.join("vendor"), package.join("../vendor")]
        .into_iter()
        .find(|dir| dir.join("manifest.toml").is_file())
        .unwrap_or_else(|| fail("the pin of llama.cpp is missing from this package: no vendor/manifest.toml"))
}

/// Writes the pin as cargo wants it, and returns its manifest.
///
/// It is not kept in this form because cargo leaves any folder with a
/// `Cargo.toml` out of the packages it publishes.
fn lay_out(pin: &Path, to: &Path) -> std::io::Result<PathBuf> {
    let [manifest, lock, stubs] = ["manifest.toml", "Cargo.lock", "stubs.txt"].map(|name| pin.join(name));
    for file in [&manifest, &lock, &stubs] {
        watch(file);
    }
    fs::create_dir_all(to.join("stubs"))?;
    fs::copy(manifest, to.join("Cargo.toml"))?;
    fs::copy(lock, to.join("Cargo.lock"))?;
    fs::write(to.join("stubs/empty.rs"), "")?;
    for line in fs::read_to_string(stubs)?.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            continue;
        };
        let features: String = words.map(|feature| format!("{feature} = []\n")).collect();
        let dir = to.join("stubs").join(name);
        fs::create_dir_all(&dir)?;
        fs::write(
            dir.join("Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n\
                 [lib]\npath = \"../empty.rs\"\n[features]\n{features}"
            ),
        )?;
    }
    Ok(to.join("Cargo.toml"))
}

fn parse(metadata: &[u8]) -> Option<Source> {
    let metadata: Value = serde_json::from_slice(metadata).ok()?;
    let package =
        |name: &str| metadata["packages"].as_array()?.iter().find(|package| package["name"] == name);
    let pin = &package("llama-cpp-pin")?["metadata"]["llama-cpp"];
    let manifest = package(pin["package"].as_str()?)?["manifest_path"].as_str()?;
    Some(Source {
        dir: Path::new(manifest).with_file_name("llama.cpp"),
        pin: Some(Pin { build: pin["build"].as_u64()?, commit: pin["commit"].as_str()?.to_owned() }),
    })
}
