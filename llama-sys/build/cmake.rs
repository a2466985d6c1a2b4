//! Builds llama.cpp with CMake: once for a source and a set of flags.
//!
//! The result is always optimised and the same for all cargo profiles, so it
//! lives beside them in the target folder and not in `OUT_DIR`:
//!
//! ```text
//! target/llama-cpp/<key>/lock      held by the process that builds
//!                        build/    CMake's
//!                        shim/     objects of native/*.cpp
//!                        complete  the key in words, once everything is built
//! ```

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs::{self, File},
    io, panic,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use crate::{
    ENVIRONMENT, cargo_var, fail, package_dir,
    source::Source,
    target::{Facts, Linkage, Plan},
    watch,
};

const HELP: &str = "run `make setup`, or install cmake 3.18+ and a C++17 compiler";

/// A native build that is there, and that no other process changes.
pub(crate) struct Native {
    pub(crate) dir: PathBuf,
    pub(crate) build_dir: PathBuf,
    linkage: Linkage,
    _lock: File,
}

impl Native {
    /// Where shared libraries and backend modules are.
    pub(crate) fn library_dir(&self) -> PathBuf {
        match self.linkage {
            Linkage::Shared => self.build_dir.join("bin"),
            Linkage::Static => self.build_dir.clone(),
        }
    }
}

/// Builds llama.cpp, or finds that an earlier run did.
pub(crate) fn build(source: &Source, facts: &Facts, plan: &Plan) -> Native {
    let definitions = definitions(source, plan);
    let key = key(source, &definitions, &compilers());
    let dir = target_dir().join("llama-cpp").join(format!("{:016x}", fnv1a(key.as_bytes())));
    let lock =
        lock(&dir).unwrap_or_else(|error| fail(format_args!("cannot lock {}: {error}", dir.display())));
    let native = Native { build_dir: dir.join("build"), linkage: plan.linkage, dir, _lock: lock };

    // A checkout may have changed in ways that only ninja can tell.
    let stamp = native.dir.join("complete");
    let complete = source.pin.is_some() && fs::read_to_string(&stamp).is_ok_and(|done| done == key);
    if !complete {
        // Gone while the build is under way: if it is interrupted, the next
        // one goes on where it stopped.
        let _ = fs::remove_file(&stamp);
        check_cmake();
        run(&native, facts, &definitions, plan);
        finish(&stamp, &key)
            .unwrap_or_else(|error| fail(format_args!("cannot write {}: {error}", stamp.display())));
    }
    watch(&stamp);
    native
}

/// The target folder that `OUT_DIR` is in, whatever the profile or the triple.
fn target_dir() -> PathBuf {
    let out = PathBuf::from(cargo_var("OUT_DIR"));
    // …/[<triple>/]<profile>/build/<package>/out
    let profile = out
        .ancestors()
        .find(|dir| dir.file_name() == Some(OsStr::new("build")))
        .and_then(Path::parent)
        .unwrap_or_else(|| fail(format_args!("cargo put OUT_DIR in an unknown place: {}", out.display())));
    let dir = profile.parent().unwrap_or(profile);
    match dir.parent() {
        Some(parent) if dir.file_name() == Some(OsStr::new(&cargo_var("TARGET"))) => parent.to_owned(),
        _ => dir.to_owned(),
    }
}

/// Everything that CMake is told about this build.
fn definitions(source: &Source, plan: &Plan) -> BTreeMap<String, String> {
    let mut definitions: BTreeMap<_, _> =
        plan.definitions.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    definitions.insert("LLAMA_CPP_SRC".to_owned(), source.dir.display().to_string());
    if let Some(pin) = &source.pin {
        definitions.insert("LLAMA_BUILD_NUMBER".to_owned(), pin.build.to_string());
        definitions.insert("LLAMA_BUILD_COMMIT".to_owned(), pin.commit.clone());
        // Without this, ggml asks git about whatever repository the source
        // happens to be inside of.
        definitions.insert("GIT_EXE".to_owned(), String::new());
    }
    // The way to everything that is not a feature; wins over what is.
    for argument in env::var("LLAMA_CMAKE_ARGS").unwrap_or_default().split_whitespace() {
        let Some((name, value)) = argument.strip_prefix("-D").and_then(|rest| rest.split_once('=')) else {
            fail(format_args!("LLAMA_CMAKE_ARGS has {argument:?}, which is not of the form -DNAME=VALUE"));
        };
        definitions.insert(name.to_owned(), value.to_owned());
    }
    definitions
}

/// The compilers and the options that cargo's settings lead to, as the `cmake`
/// crate is going to choose them.
fn compilers() -> String {
    let mut text = String::new();
    for (language, cpp) in [("C", false), ("C++", true)] {
        let tool = cc::Build::new()
            .cpp(cpp)
            .opt_level(0)
            .debug(false)
            .warnings(false)
            .cargo_metadata(false)
            .try_get_compiler()
            .ok()
            .filter(|tool| tool.path().is_file() || on_path(tool.path()))
            .unwrap_or_else(|| fail(format_args!("no {language} compiler was found: {HELP}")));
        text += &format!("{language} {} {:?}\n", tool.path().display(), tool.args());
    }
    text
}

/// What the result depends on, in words.
fn key(source: &Source, definitions: &BTreeMap<String, String>, compilers: &str) -> String {
    let project = package_dir().join("native");
    let mut content = Vec::new();
    for file in ["CMakeLists.txt", "amx-config.hpp"].map(|name| project.join(name)) {
        watch(&file);
        content.extend(fs::read(&file).unwrap_or_default());
    }

    let target = cargo_var("TARGET");
    let mut key = format!("target {target}\nhost {}\n{compilers}", cargo_var("HOST"));
    key += &format!("project {} {:016x}\n", project.display(), fnv1a(&content));
    if let Some(pin) = &source.pin {
        key += &format!("llama.cpp b{} {}\n", pin.build, pin.commit);
    }
    for (name, value) in definitions {
        key += &format!("-D{name}={value}\n");
    }
    for name in ENVIRONMENT {
        // The spellings that the `cc` and `cmake` crates understand.
        for name in [
            format!("{name}_{target}"),
            format!("{name}_{}", target.replace('-', "_")),
            format!("HOST_{name}"),
            format!("TARGET_{name}"),
            (*name).to_owned(),
        ] {
            println!("cargo::rerun-if-env-changed={name}");
            if let Some(value) = env::var_os(&name) {
                key += &format!("{name}={}\n", value.display());
            }
        }
    }
    key
}

fn lock(dir: &Path) -> io::Result<File> {
    fs::create_dir_all(dir)?;
    let lock = File::create(dir.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Marks the build as complete.
fn finish(stamp: &Path, key: &str) -> io::Result<()> {
    fs::write(stamp, key)?;
    // Cargo runs the script again for a watched file that is younger than the
    // script's start, which this one is. It is watched for its absence.
    File::options().write(true).open(stamp)?.set_modified(SystemTime::UNIX_EPOCH)
}

fn run(native: &Native, facts: &Facts, definitions: &BTreeMap<String, String>, plan: &Plan) {
    crate::link::ask(&native.build_dir).unwrap_or_else(|error| {
        fail(format_args!("cannot write to {}: {error}", native.build_dir.display()))
    });
    let mut config = cmake::Config::new(package_dir().join("native"));
    config.out_dir(&native.dir).profile("Release").build_target("llama-libraries");
    for (name, value) in definitions {
        config.define(name, value);
    }
    if plan.modules {
        // Where a program looks for backends before it looks beside itself.
        // It becomes a C string, in which a backslash would mean something else.
        config.define("GGML_BACKEND_DIR", native.library_dir().display().to_string().replace('\\', "/"));
    }
    if facts.env != "msvc"
        && env::var_os("CMAKE_GENERATOR").is_none()
        && (on_path("ninja") || on_path("ninja-build"))
    {
        config.generator("Ninja");
    }
    if let Some(launcher) = ["ccache", "sccache"].into_iter().find(|name| on_path(name)) {
        for language in ["C", "CXX"].into_iter().chain(facts.features.cuda.then_some("CUDA")) {
            let name = format!("CMAKE_{language}_COMPILER_LAUNCHER");
            if env::var_os(&name).is_none() {
                config.define(name, launcher);
            }
        }
    }
    // It panics, with its reason in the middle of the log.
    panic::catch_unwind(panic::AssertUnwindSafe(|| config.build())).unwrap_or_else(|_| {
        fail("cmake could not build llama.cpp: its messages are below, under stderr and stdout")
    });
}

/// Says what to install instead of leaving it to whatever fails first.
fn check_cmake() {
    let cmake = env::var_os("CMAKE").unwrap_or_else(|| "cmake".into());
    let Ok(output) = Command::new(&cmake).arg("--version").output() else {
        fail(format_args!("cmake was not found: {HELP}"));
    };
    let version = String::from_utf8_lossy(&output.stdout);
    let version = version.lines().next().unwrap_or_default().trim_start_matches("cmake version ");
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    if let (Some(major), Some(minor)) = (parts.next(), parts.next())
        && (major, minor) < (3, 18)
    {
        fail(format_args!("cmake {version} is too old: {HELP}"));
    }
}

/// Whether `program` is in one of the folders of `PATH`.
fn on_path(program: impl AsRef<Path>) -> bool {
    let program = program.as_ref();
    env::var_os("PATH").is_some_and(|path| {
        env::split_paths(&path)
            .map(|dir| dir.join(program))
            .any(|file| file.is_file() || file.with_extension(env::consts::EXE_EXTENSION).is_file())
    })
}

/// A hash that stays the same from one Rust version to the next.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
