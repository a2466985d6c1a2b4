//! The command as a user meets it: one line for each mistake, and a clean end.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llama-server-rs"));
    command.env_clear();
    for kept in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SystemRoot", "TEMP", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.args(["--port", "0"]);
    command
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tiny-gemma4").join(name)
}

fn target() -> String {
    path(&model("tiny-gemma4-moe-Q8_0.gguf"))
}

fn head() -> String {
    path(&model("tiny-gemma4-moe-Q8_0-MTP.gguf"))
}

fn projector() -> String {
    path(&model("mmproj-tiny-gemma4-F16.gguf"))
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// The one line that the command ends with.
fn error(args: &[&str]) -> String {
    let output = command().args(args).output().expect("the command runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let message = stderr.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: {stderr:?}"));
    assert!(!message.contains('\n'), "{args:?}: more than one line:\n{stderr}");
    message.strip_prefix("error: ").unwrap_or_else(|| panic!("{args:?}: {message}")).to_owned()
}

#[track_caller]
fn says(args: &[&str], words: &[&str]) {
    let message = error(args);
    for word in words {
        assert!(message.contains(word), "{args:?}: no '{word}' in: {message}");
    }
}

#[test]
fn bad_flags() {
    says(&["--modle", "x.gguf"], &["--modle", "did you mean --model?"]);
    says(&["x.gguf"], &["-m x.gguf"]);
    says(&["-m"], &["-m needs a value"]);
    says(&["--port", "port"], &["--port port", "not a port"]);
    says(&["-c", "0"], &["-c 0", "leave it out"]);
    says(&["-ngl", "many"], &["-ngl many"]);
}

#[test]
fn bad_model_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = |name: &str, bytes: &[u8]| {
        let file = dir.path().join(name);
        fs::write(&file, bytes).expect("written");
        path(&file)
    };
    says(&["-m", "/nowhere/x.gguf"], &["/nowhere/x.gguf"]);
    says(&["-m", &path(dir.path())], &["directory"]);

    let whole = fs::read(target()).expect("the model");
    let truncated = file("truncated.gguf", &whole[..whole.len() / 2]);
    says(&["-m", &truncated], &["truncated.gguf"]);
    let header_only = file("header.gguf", &whole[..1000]);
    says(&["-m", &header_only], &["header.gguf"]);
    let text = file("text.gguf", b"this is a text\n");
    says(&["-m", &text], &["text.gguf"]);
    let empty = file("empty.gguf", b"");
    says(&["-m", &empty], &["empty.gguf"]);
}

#[test]
fn files_in_the_wrong_place() {
    says(&["-m", &projector()], &["projector"]);
    says(&["-m", &head()], &["draft head"]);
    says(&["-m", &target(), "-md", &target()], &["not supported yet", "MTP"]);
    says(&["-m", &target(), "-md", &projector()], &["projector"]);
    says(&["-m", &target(), "--mmproj", &head()], &["no projector"]);
    says(&["-m", &target(), "-mm", "/nowhere/x.gguf"], &["/nowhere/x.gguf"]);
    says(&["-md", &head()], &["-md needs the model", "-m"]);
    says(&["--mmproj", &projector()], &["--mmproj needs the model", "-m"]);
}

#[test]
fn a_head_of_another_model() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut head = fs::read(head()).expect("the head");
    let key = b"gemma4-assistant.embedding_length_out";
    let place = head.windows(key.len()).position(|bytes| bytes == key).expect("the width");
    // Behind the key stands its type, and then the width: 256.
    let width = &mut head[place + key.len() + 4..][..4];
    assert_eq!(width, 256_u32.to_le_bytes());
    width.copy_from_slice(&128_u32.to_le_bytes());
    let other = dir.path().join("other-MTP.gguf");
    fs::write(&other, head).expect("written");
    says(&["-m", &target(), "-md", &path(&other)], &["other-MTP.gguf"]);
}

#[test]
fn a_context_that_cannot_be() {
    says(&["-c", "1000000000"], &["1000000000", "16384"]);
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    says(&["--port", &port], &[&port, "in use", "--port"]);
}

#[test]
fn an_address_of_somebody_elses() {
    says(&["--host", "192.0.2.1"], &["192.0.2.1"]);
}

#[test]
fn help_and_version_go_to_stdout() {
    for (flag, word) in [("--help", "--spec-draft-n-max"), ("--version", "llama.cpp b")] {
        let output = command().arg(flag).output().expect("the command runs");
        assert!(output.status.success() && output.stderr.is_empty());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains(word), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn the_built_in_model_starts_stops_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = command()
        .env("TMPDIR", dir.path())
        .env("LLAMA_ARG_ALIAS", "toy")
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut lines = BufReader::new(server.stderr.take().expect("piped")).lines();
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.starts_with("listening")) {
        said.push(lines.next().expect("the server starts").expect("UTF-8"));
    }
    let said = said.join("\n");
    for words in
        ["toy", "draft head tiny-gemma4-moe-Q8_0-MTP.gguf", "mmproj-tiny", "16384 tokens", "-m model.gguf"]
    {
        assert!(said.contains(words), "no '{words}' in:\n{said}");
    }
    let left = fs::read_dir(dir.path()).expect("the directory").count();
    assert_eq!(left, 0, "files are left in the temporary directory");

    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
}
