//! Compiles `native/shim/*.cpp` and `native/layout.cpp` with the `cc` crate.
//!
//! Objects are kept beside the native build and named for what they were made
//! from, so that a change to one file compiles that file, once for all cargo
//! profiles, and never configures llama.cpp again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    cmake::{Native, fnv1a},
    fail,
    link::Usage,
    package_dir,
    source::Source,
    watch,
};

/// Compiles what changed and archives all of it.
pub(crate) fn build(source: &Source, native: &Native, usage: &Usage) {
    let shim = package_dir().join("native/shim");
    let layout = package_dir().join("native/layout.cpp");
    watch(&shim);
    watch(&layout);
    let mut files = list(&shim, &["cpp"]);
    files.push(layout);
    let headers = list(&shim, &["h", "hpp"]);

    let compiler = compiler(source, usage, &shim);
    // The headers of a checkout may change; those of the pin do not.
    let reuse = source.pin.is_some();
    let objects = objects(&native.dir.join("shim"), &files, &headers, &compiler, reuse)
        .unwrap_or_else(|error| fail(format_args!("cannot build llama-sys/native: {error}")));

    // In OUT_DIR, because another profile may be linking at this moment.
    cc::Build::new().cpp(true).cpp_link_stdlib(None).objects(objects).compile("llama_shim");
}

/// The compiler with all options.
fn compiler(source: &Source, usage: &Usage, shim: &Path) -> cc::Build {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .debug(false)
        .warnings(true)
        .extra_warnings(true)
        .cargo_metadata(false)
        .include(shim);
    // Upstream's headers are not ours to get warnings about. The last of them
    // have what llama.cpp's targets keep to themselves.
    let private = ["src", "ggml/src", "tools/mtmd"].map(|dir| source.dir.join(dir));
    let msvc = build.get_compiler().is_like_msvc();
    for dir in usage.includes.iter().chain(&private) {
        if msvc {
            build.include(dir);
        } else {
            build.flag("-isystem").flag(dir);
        }
    }
    for define in &usage.defines {
        let (name, value) =
            define.split_once('=').map_or((define.as_str(), None), |(name, value)| (name, Some(value)));
        build.define(name, value);
    }
    build
}

/// The objects of `files`, of which those are compiled that are not there.
fn objects(
    dir: &Path,
    files: &[PathBuf],
    headers: &[PathBuf],
    compiler: &cc::Build,
    reuse: bool,
) -> io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    // What all objects are made from: our headers and the options.
    let tool = compiler.get_compiler();
    let mut common = format!("{:?}\n{:?}\n", tool.path(), tool.args()).into_bytes();
    for header in headers {
        common.extend(fs::read(header)?);
    }

    let mut objects = Vec::new();
    let mut missing = Vec::new();
    for file in files {
        let content = [common.as_slice(), &fs::read(file)?].concat();
        let stem = file.file_stem().unwrap_or_default().display();
        let object = dir.join(format!("{stem}-{:016x}.o", fnv1a(&content)));
        if !reuse || !object.is_file() {
            missing.push((file, object.clone()));
        }
        objects.push(object);
    }

    if !missing.is_empty() {
        let fresh = compiler
            .clone()
            .files(missing.iter().map(|(file, _)| file))
            .out_dir(dir.join("new"))
            .try_compile_intermediates()
            // Its text is the whole command line; the compiler has said more.
            .map_err(|_| io::Error::other("the compiler rejects it, see its messages"))?;
        for (from, (_, to)) in fresh.iter().zip(&missing) {
            fs::rename(from, to)?;
        }
    }
    for old in list(dir, &["o"]).iter().filter(|file| !objects.contains(file)) {
        fs::remove_file(old)?;
    }
    Ok(objects)
}

/// The files of a folder with these extensions, in a fixed order.
fn list(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
        })
        .collect();
    files.sort();
    files
}
