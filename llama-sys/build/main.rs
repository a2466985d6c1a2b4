//! Builds llama.cpp from its pinned source and tells cargo how to link it.
//!
//! | module | knows |
//! | --- | --- |
//! | `source` | where llama.cpp's source is |
//! | `target` | what a target and a set of features ask for; pure, tested by `tests/flags.rs` |
//! | `cmake` | how to build that once for all cargo profiles |
//! | `link` | how CMake links the result, in cargo's words |
//! | `shim` | how to compile `native/` against it |
//! | `bindgen` | how to generate `src/bindings.rs` |

#[cfg(feature = "bindgen")]
mod bindgen;
mod cmake;
mod link;
mod shim;
mod source;
mod target;

use std::{
    env,
    fmt::Display,
    path::{Path, PathBuf},
    process,
};

/// Variables that change what is built. Cargo watches them, and their values
/// are part of the native build's key.
const ENVIRONMENT: &[&str] = &[
    "AR",
    "CC",
    "CFLAGS",
    "CMAKE",
    "CMAKE_GENERATOR",
    "CMAKE_PREFIX_PATH",
    "CMAKE_TOOLCHAIN_FILE",
    "CUDACXX",
    "CUDAHOSTCXX",
    "CUDA_PATH",
    "CXX",
    "CXXFLAGS",
    "HIP_PATH",
    "LLAMA_CMAKE_ARGS",
    "MACOSX_DEPLOYMENT_TARGET",
    "ROCM_PATH",
    "SDKROOT",
    "VULKAN_SDK",
];

fn main() {
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    println!("cargo::rustc-check-cfg=cfg(generated_bindings)");
    println!("cargo::metadata=build={}", source::pinned_build());
    if env::var_os("DOCS_RS").is_some() {
        return;
    }

    let facts = facts();
    if let Some(oldest) = target::deployment_target(&facts) {
        // SAFETY: this is the script's only thread; `cc` starts others later.
        unsafe { env::set_var("MACOSX_DEPLOYMENT_TARGET", oldest) };
    }

    let source = source::locate();
    let plan = target::plan(&facts);
    let native = cmake::build(&source, &facts, &plan);
    let usage = link::Usage::read(&native.build_dir);
    shim::build(&source, &native, &usage);
    if plan.linkage == target::Linkage::Shared {
        link::expose(&native.library_dir());
    }
    for line in link::directives(&plan, &usage) {
        println!("cargo::{line}");
    }

    if let Some(pin) = &source.pin {
        println!("cargo::metadata=commit={}", pin.commit);
    }
    println!("cargo::metadata=source={}", source.dir.display());
    println!("cargo::metadata=include={}", source.dir.join("include").display());
    println!("cargo::metadata=root={}", native.dir.display());
    println!("cargo::metadata=libdir={}", native.library_dir().display());
    println!("cargo::metadata=backends={}", plan.backends.join(","));
    println!("cargo::metadata=linkage={}", plan.linkage);

    #[cfg(feature = "bindgen")]
    bindgen::generate(&source);
}

/// What cargo tells a build script about the target.
fn facts() -> target::Facts {
    let var = |name: &str| env::var(name).unwrap_or_default();
    let feature = |name: &str| env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    target::Facts {
        os: var("CARGO_CFG_TARGET_OS"),
        arch: var("CARGO_CFG_TARGET_ARCH"),
        env: var("CARGO_CFG_TARGET_ENV"),
        apple: var("CARGO_CFG_TARGET_VENDOR") == "apple",
        host: var("HOST") == var("TARGET"),
        crt_static: var("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "crt-static"),
        macos: env::var("MACOSX_DEPLOYMENT_TARGET").ok(),
        features: target::Features {
            metal: feature("METAL"),
            native: feature("NATIVE"),
            portable: feature("PORTABLE"),
            cuda: feature("CUDA"),
            vulkan: feature("VULKAN"),
            hip: feature("HIP"),
            rpc: feature("RPC"),
            blas: feature("BLAS"),
            dynamic_link: feature("DYNAMIC_LINK"),
            dynamic_backends: feature("DYNAMIC_BACKENDS"),
        },
    }
}

/// Has cargo look at `path` before it trusts the last run of this script.
fn watch(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

/// A variable that cargo promises to build scripts.
fn cargo_var(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(format_args!("{name} is not set: run this through cargo")))
}

/// Where the package is.
fn package_dir() -> PathBuf {
    cargo_var("CARGO_MANIFEST_DIR").into()
}

/// Ends the build with a message for the person who started it.
fn fail(message: impl Display) -> ! {
    // Cargo prints one line for each of these, and nothing else of our output
    // before the log.
    for line in message.to_string().lines() {
        println!("cargo::error={line}");
    }
    process::exit(1)
}
