//! What a target and a set of features ask of CMake and of the linker.
//!
//! A pure function from [`Facts`] to [`Plan`], so that `tests/flags.rs` can
//! check the targets that the machine at hand is not.

use std::fmt;

/// What the decisions are made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The target triple's parts, as in `CARGO_CFG_TARGET_*`.
    pub(crate) os: String,
    pub(crate) arch: String,
    pub(crate) env: String,
    /// Whether the target is Apple's.
    pub(crate) apple: bool,
    /// Whether the machine that builds is of the same target.
    pub(crate) host: bool,
    /// Whether Rust links the C runtime statically.
    pub(crate) crt_static: bool,
    /// `MACOSX_DEPLOYMENT_TARGET`.
    pub(crate) macos: Option<String>,
    pub(crate) features: Features,
}

/// The package's cargo features.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    pub(crate) metal: bool,
    pub(crate) native: bool,
    pub(crate) portable: bool,
    pub(crate) cuda: bool,
    pub(crate) vulkan: bool,
    pub(crate) hip: bool,
    pub(crate) rpc: bool,
    pub(crate) blas: bool,
    pub(crate) dynamic_link: bool,
    pub(crate) dynamic_backends: bool,
}

/// Whether llama.cpp becomes static or shared libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linkage {
    Static,
    Shared,
}

impl fmt::Display for Linkage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Shared => "shared",
        })
    }
}

/// What to do for a target.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Arguments of CMake's configuration, each `-DNAME=VALUE`.
    pub(crate) definitions: Vec<(&'static str, String)>,
    /// ggml's backends, besides modules that are found at run time.
    pub(crate) backends: Vec<&'static str>,
    pub(crate) linkage: Linkage,
    /// Whether backends are modules that are loaded at run time.
    pub(crate) modules: bool,
    /// Libraries of the platform.
    pub(crate) system_libraries: Vec<&'static str>,
    /// Apple's frameworks.
    pub(crate) frameworks: Vec<&'static str>,
}

impl Facts {
    fn msvc(&self) -> bool {
        self.env == "msvc"
    }
}

/// The macOS version to compile for where the one that would be taken cannot
/// work: llama.cpp needs `std::filesystem`, which came with 10.15, and Rust's
/// default for Intel Macs is older.
pub(crate) fn deployment_target(facts: &Facts) -> Option<&'static str> {
    (facts.os == "macos" && facts.arch == "x86_64" && facts.macos.is_none()).then_some("10.15")
}

/// Decides how to build for a target.
pub(crate) fn plan(facts: &Facts) -> Plan {
    let features = facts.features;
    let metal = facts.apple && features.metal;
    let blas = facts.apple || features.blas;
    // One CPU backend for each generation of processors has to be a module: the
    // right one is known at run time. Apple's first processor is baseline
    // enough to leave it at that.
    let cpu_variants = features.portable && !facts.apple;
    let modules = features.dynamic_backends || cpu_variants;
    // ggml's CMake project refuses modules in a static build.
    let linkage = if features.dynamic_link || modules { Linkage::Shared } else { Linkage::Static };
    // A module has to know which extensions it was compiled for, to say no on a
    // processor without them; "those of this machine" is no answer to ggml.
    let native = features.native && !features.portable && !modules && facts.host;

    let mut definitions = Vec::new();
    let mut set = |name, on: bool| definitions.push((name, if on { "ON" } else { "OFF" }.to_owned()));

    set("BUILD_SHARED_LIBS", linkage == Linkage::Shared);
    set("GGML_BACKEND_DL", modules);
    set("GGML_CPU_ALL_VARIANTS", cpu_variants);
    set("GGML_NATIVE", native);
    if facts.arch == "x86_64" && !native && !cpu_variants {
        // Without these ggml would fall back to what a processor of 2003 had.
        for extension in ["GGML_SSE42", "GGML_AVX", "GGML_AVX2", "GGML_BMI2"] {
            set(extension, true);
        }
        if !facts.msvc() {
            set("GGML_FMA", true);
            set("GGML_F16C", true);
        }
    }
    set("GGML_METAL", metal);
    set("GGML_METAL_EMBED_LIBRARY", metal);
    set("GGML_ACCELERATE", facts.apple);
    set("GGML_BLAS", blas);
    set("GGML_CUDA", features.cuda);
    set("GGML_VULKAN", features.vulkan);
    set("GGML_HIP", features.hip);
    set("GGML_RPC", features.rpc);
    // Apple's compiler has none, and one from elsewhere would be one more thing
    // to install beside the program.
    set("GGML_OPENMP", !facts.apple);

    let mut value = |name, value: &str| definitions.push((name, value.to_owned()));
    if blas {
        value("GGML_BLAS_VENDOR", if facts.apple { "Apple" } else { "OpenBLAS" });
    }
    if facts.msvc() {
        // The runtime that Rust links, whatever cargo's profile.
        value(
            "CMAKE_MSVC_RUNTIME_LIBRARY",
            if facts.crt_static { "MultiThreaded" } else { "MultiThreadedDLL" },
        );
        // The `cmake` crate would replace these by flags without optimisation.
        value("CMAKE_C_FLAGS_RELEASE", "/O2 /Ob2 /DNDEBUG");
        value("CMAKE_CXX_FLAGS_RELEASE", "/O2 /Ob2 /DNDEBUG");
    }
    // File names must not depend on a configuration that the generator adds.
    value("CMAKE_CONFIGURATION_TYPES", "Release");

    let backends = [
        ("cuda", features.cuda),
        ("hip", features.hip),
        ("metal", metal),
        ("vulkan", features.vulkan),
        ("rpc", features.rpc),
        ("blas", blas),
        ("cpu", true),
    ];
    Plan {
        definitions,
        backends: backends.into_iter().filter_map(|(name, on)| on.then_some(name)).collect(),
        linkage,
        modules,
        system_libraries: system_libraries(facts),
        frameworks: frameworks(facts, metal),
    }
}

/// What the C++ compiler's driver would add to a link, and what ggml takes for
/// granted. CMake reports everything else.
fn system_libraries(facts: &Facts) -> Vec<&'static str> {
    match facts.os.as_str() {
        _ if facts.apple => vec!["c++"],
        "linux" => vec!["stdc++", "m", "pthread", "dl"],
        "android" => vec!["c++_shared", "m", "dl"],
        "windows" if facts.msvc() => vec!["advapi32", "ws2_32"],
        "windows" => vec!["stdc++", "advapi32", "ws2_32"],
        _ => vec!["c++", "m", "pthread"],
    }
}

fn frameworks(facts: &Facts, metal: bool) -> Vec<&'static str> {
    let mut frameworks = Vec::new();
    if facts.apple {
        frameworks.extend(["Accelerate", "Foundation"]);
    }
    if metal {
        frameworks.extend(["Metal", "MetalKit"]);
    }
    frameworks
}
