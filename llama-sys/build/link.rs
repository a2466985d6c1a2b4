//! Learns from CMake how a program uses its libraries, and tells cargo.
//!
//! CMake describes every target of a configured project in JSON (its "file
//! API"). The wrapper project has one, `llama-probe`, that stands for a program
//! that uses everything. Its include folders, definitions and link line are
//! what the shim and Rust need: with all archives in their order, and with
//! whatever CUDA, Vulkan, OpenMP and the like turned out to need.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    cargo_var, fail,
    target::{Linkage, Plan},
};

const API: &str = ".cmake/api/v1";
const PROBE: &str = "llama-probe";

/// How a program is compiled and linked against llama.cpp.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    pub(crate) includes: Vec<PathBuf>,
    /// `NAME` or `NAME=VALUE`.
    pub(crate) defines: Vec<String>,
    link: Vec<Link>,
}

/// One piece of a link line.
#[derive(Debug, PartialEq, Eq)]
enum Link {
    /// A library of this build.
    Own {
        dir: PathBuf,
        name: String,
        archive: bool,
    },
    /// Somebody else's library; the folder is known if CMake found the file.
    Foreign {
        dir: Option<PathBuf>,
        name: String,
    },
    Framework(String),
    Search(PathBuf),
}

/// Asks CMake to describe the project when it configures it.
pub(crate) fn ask(build_dir: &Path) -> io::Result<()> {
    let query = build_dir.join(API).join("query");
    fs::create_dir_all(&query)?;
    fs::write(query.join("codemodel-v2"), "")
}

impl Usage {
    /// Reads CMake's answer.
    pub(crate) fn read(build_dir: &Path) -> Self {
        let reply = build_dir.join(API).join("reply");
        probe(&reply).and_then(|probe| Self::from_probe(&probe, build_dir)).unwrap_or_else(|| {
            fail(format_args!(
                "cmake left no description of its targets in {}: remove {} and build again",
                reply.display(),
                build_dir.display()
            ))
        })
    }

    /// Reads the description of the probe.
    pub(crate) fn from_probe(probe: &Value, build_dir: &Path) -> Option<Self> {
        let compile = probe["compileGroups"].as_array()?.first()?;
        let texts = |list: &Value, key: &str| -> Vec<String> {
            let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
        };
        let mut usage = Self {
            includes: texts(&compile["includes"], "path").into_iter().map(PathBuf::from).collect(),
            defines: texts(&compile["defines"], "define"),
            link: Vec::new(),
        };
        for fragment in probe["link"]["commandFragments"].as_array()? {
            let role = fragment["role"].as_str()?;
            if role != "flags" {
                usage.link.extend(parse(fragment["fragment"].as_str()?, build_dir));
            }
        }
        Some(usage)
    }
}

/// Follows the reply's index to the description of the probe.
fn probe(reply: &Path) -> Option<Value> {
    let read =
        |name: &str| -> Option<Value> { serde_json::from_slice(&fs::read(reply.join(name)).ok()?).ok() };
    // The newest index is the one whose name sorts last.
    let index = fs::read_dir(reply)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("index-"))
        .max()?;
    let index = read(&index)?;
    let model = read(index["reply"]["codemodel-v2"]["jsonFile"].as_str()?)?;
    let targets = model["configurations"][0]["targets"].as_array()?;
    read(targets.iter().find(|target| target["name"] == PROBE)?["jsonFile"].as_str()?)
}

/// Parses one fragment of a link line.
fn parse(fragment: &str, build_dir: &Path) -> Vec<Link> {
    let mut words = words(fragment).into_iter();
    let mut links = Vec::new();
    while let Some(word) = words.next() {
        if word == "-framework" {
            links.extend(words.next().map(Link::Framework));
        } else if let Some(dir) = word.strip_prefix("-L").or_else(|| word.strip_prefix("-LIBPATH:")) {
            links.push(Link::Search(dir.into()));
        } else if let Some(name) = word.strip_prefix("-l") {
            links.push(Link::Foreign { dir: None, name: name.to_owned() });
        } else if !word.starts_with('-') {
            links.extend(library(Path::new(&word), build_dir));
        }
        // What is left are options for the linker: rpaths, which cargo decides,
        // and -pthread, which every Rust program has.
    }
    links
}

/// A library that is named by its file.
fn library(file: &Path, build_dir: &Path) -> Option<Link> {
    let stem = file.file_stem()?.to_str()?;
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("framework") => return Some(Link::Framework(stem.to_owned())),
        Some("a" | "so" | "dylib" | "tbd" | "lib") => {}
        // libggml.so.0.28.0: the linker wants the name without the version.
        _ => {
            let name = file.file_name()?.to_str()?;
            let (stem, _) = name.split_once(".so.")?;
            return library(&file.with_file_name(format!("{stem}.so")), build_dir);
        }
    }
    let is = |extension: &str| file.extension().is_some_and(|found| found == extension);
    // Windows does without the prefix.
    let name = if is("lib") { stem } else { stem.strip_prefix("lib").unwrap_or(stem) }.to_owned();
    let archive = is("a");
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
    let path = build_dir.join(file);
    Some(match path.parent() {
        // CMake names what it builds relative to the build folder.
        Some(dir) if path.starts_with(build_dir) && dir != build_dir => {
            Link::Own { dir: dir.to_owned(), name, archive }
        }
        _ => Link::Foreign { dir: dir.map(Path::to_owned), name },
    })
}

/// Splits a command line at spaces outside of double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(character),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Lets programs that cargo starts find shared libraries.
///
/// Cargo adds folders with libraries to `LD_LIBRARY_PATH` and its like, but only
/// those in the folder of the profile, where the native build is not.
pub(crate) fn expose(library_dir: &Path) {
    let dir = PathBuf::from(cargo_var("OUT_DIR")).join("lib");
    let link = || -> io::Result<()> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(library_dir)? {
            let from = entry?.path();
            let to = dir.join(from.file_name().unwrap_or_default());
            let _ = fs::remove_file(&to);
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop))?;
        }
        Ok(())
    };
    link().unwrap_or_else(|error| fail(format_args!("cannot link libraries to {}: {error}", dir.display())));
    println!("cargo::rustc-link-search=native={}", dir.display());
}

/// The link line as cargo's `rustc-link-*` directives: llama.cpp, then what it
/// stands on.
pub(crate) fn directives(plan: &Plan, usage: &Usage) -> Vec<String> {
    let mut own = Vec::new();
    let mut search = BTreeSet::new();
    let mut libraries = Vec::new();
    let mut frameworks = plan.frameworks.clone();
    for link in &usage.link {
        match link {
            Link::Own { dir, name, archive } => {
                search.insert(dir);
                let archive = *archive || plan.linkage == Linkage::Static;
                own.push(format!("rustc-link-lib={}={name}", if archive { "static" } else { "dylib" }));
            }
            Link::Search(dir) => {
                search.insert(dir);
            }
            Link::Framework(name) if frameworks.contains(&name.as_str()) => {}
            Link::Framework(name) => frameworks.push(name),
            // The linker knows where the platform's libraries are.
            Link::Foreign { name, .. } if plan.system_libraries.contains(&name.as_str()) => {}
            Link::Foreign { name, .. } if libraries.contains(&name.as_str()) => {}
            Link::Foreign { dir, name } => {
                search.extend(dir);
                libraries.push(name);
            }
        }
    }
    libraries.extend(&plan.system_libraries);

    let search = search.into_iter().map(|dir| format!("rustc-link-search=native={}", dir.display()));
    let libraries = libraries.into_iter().map(|name| format!("rustc-link-lib={name}"));
    let frameworks = frameworks.into_iter().map(|name| format!("rustc-link-lib=framework={name}"));
    search.chain(own).chain(libraries).chain(frameworks).collect()
}
