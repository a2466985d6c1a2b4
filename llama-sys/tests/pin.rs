//! Keeps the pin of llama.cpp consistent with itself and with this package.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn read(name: &str) -> String {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates: [PathBuf; 2] = ["vendor", "../vendor"].map(|dir| package.join(dir).join(name));
    candidates
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_else(|| panic!("no vendor/{name}"))
}

#[test]
fn the_version_names_the_pinned_build() {
    let manifest = read("manifest.toml");
    let build = manifest.lines().find_map(|line| line.strip_prefix("build = ")).expect("a build number");
    assert_eq!(env!("CARGO_PKG_VERSION").rsplit_once("+b").expect("build metadata").1, build);
}

#[test]
fn one_package_is_fetched_and_its_checksum_is_known() {
    let lock = read("Cargo.lock");
    for key in ["source = ", "checksum = "] {
        assert_eq!(lock.lines().filter(|line| line.starts_with(key)).count(), 1, "{key}");
    }
}

#[test]
fn each_stub_replaces_a_dependency() {
    let manifest = read("manifest.toml");
    let (_, patches) = manifest.split_once("[patch.crates-io]").expect("a patch table");
    let patches: BTreeSet<_> = patches.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let stubs = read("stubs.txt");
    let stubs: BTreeSet<_> = stubs.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(patches, stubs);
}
