//! What the build decides for targets that the machine at hand is not.

#[path = "../build/target.rs"]
mod target;

#[path = "../build/link.rs"]
#[expect(dead_code, reason = "reading CMake's answer from disk is the build script's")]
mod link;

use std::{fmt::Display, path::Path};

use link::Usage;
use target::{Facts, Features, Linkage, Plan, plan};

// What the build script's modules want of its root.

fn fail(message: impl Display) -> ! {
    panic!("{message}")
}

fn cargo_var(name: &str) -> String {
    panic!("{name} is for the build script")
}

const DEFAULT: Features = Features {
    metal: true,
    native: true,
    portable: false,
    cuda: false,
    vulkan: false,
    hip: false,
    rpc: false,
    blas: false,
    dynamic_link: false,
    dynamic_backends: false,
};

/// A build on the target itself.
fn facts(triple: &str, features: Features) -> Facts {
    let parts: Vec<&str> = triple.split('-').collect();
    Facts {
        arch: parts[0].to_owned(),
        os: if parts[2] == "darwin" { "macos" } else { parts[2] }.to_owned(),
        env: parts.get(3).copied().unwrap_or_default().to_owned(),
        apple: parts[1] == "apple",
        host: true,
        features,
        ..Facts::default()
    }
}

/// The value of a CMake definition, or nothing where upstream's default stands.
fn defined<'a>(plan: &'a Plan, name: &str) -> &'a str {
    let mut values = plan.definitions.iter().filter(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    let value = values.next().unwrap_or_default();
    assert_eq!(values.next(), None, "{name} is defined twice");
    value
}

#[test]
fn each_target_has_its_row() {
    struct Row {
        triple: &'static str,
        on: &'static [&'static str],
        off: &'static [&'static str],
        system: &'static [&'static str],
        frameworks: &'static [&'static str],
        backends: &'static [&'static str],
    }
    const APPLE: Row = Row {
        triple: "",
        on: &["GGML_METAL", "GGML_METAL_EMBED_LIBRARY", "GGML_ACCELERATE", "GGML_BLAS", "GGML_NATIVE"],
        off: &["GGML_OPENMP", "GGML_CUDA", "GGML_BACKEND_DL", "BUILD_SHARED_LIBS"],
        system: &["c++"],
        frameworks: &["Accelerate", "Foundation", "Metal", "MetalKit"],
        backends: &["metal", "blas", "cpu"],
    };
    const LINUX: Row = Row {
        triple: "",
        on: &["GGML_OPENMP", "GGML_NATIVE"],
        off: &["GGML_METAL", "GGML_METAL_EMBED_LIBRARY", "GGML_ACCELERATE", "GGML_BLAS", "BUILD_SHARED_LIBS"],
        system: &["stdc++", "m", "pthread", "dl"],
        frameworks: &[],
        backends: &["cpu"],
    };
    const WINDOWS: Row = Row { triple: "", system: &["advapi32", "ws2_32"], ..LINUX };

    for row in [
        Row { triple: "aarch64-apple-darwin", ..APPLE },
        Row { triple: "x86_64-apple-darwin", ..APPLE },
        Row { triple: "aarch64-unknown-linux-gnu", ..LINUX },
        Row { triple: "x86_64-unknown-linux-gnu", ..LINUX },
        Row { triple: "x86_64-pc-windows-msvc", ..WINDOWS },
    ] {
        let plan = plan(&facts(row.triple, DEFAULT));
        for name in row.on {
            assert_eq!(defined(&plan, name), "ON", "{name} for {}", row.triple);
        }
        for name in row.off {
            assert_eq!(defined(&plan, name), "OFF", "{name} for {}", row.triple);
        }
        assert_eq!(plan.system_libraries, row.system, "{}", row.triple);
        assert_eq!(plan.frameworks, row.frameworks, "{}", row.triple);
        assert_eq!(plan.backends, row.backends, "{}", row.triple);
        assert_eq!(plan.linkage, Linkage::Static, "{}", row.triple);
        assert!(!plan.modules, "{}", row.triple);
    }
}

#[test]
fn metal_goes_with_the_feature() {
    let features = Features { metal: false, ..DEFAULT };
    let plan = plan(&facts("aarch64-apple-darwin", features));
    assert_eq!(defined(&plan, "GGML_METAL"), "OFF");
    assert_eq!(plan.frameworks, ["Accelerate", "Foundation"]);
    assert_eq!(plan.backends, ["blas", "cpu"]);
}

#[test]
fn only_a_build_on_the_target_itself_asks_for_its_processor() {
    let features = Features { native: false, ..DEFAULT };
    let foreign = Facts { host: false, ..facts("x86_64-unknown-linux-gnu", DEFAULT) };
    for facts in [foreign, facts("x86_64-unknown-linux-gnu", features)] {
        let plan = plan(&facts);
        assert_eq!(defined(&plan, "GGML_NATIVE"), "OFF");
        for extension in ["GGML_AVX2", "GGML_FMA", "GGML_F16C"] {
            assert_eq!(defined(&plan, extension), "ON", "{extension}");
        }
    }
    let plan = plan(&facts("aarch64-unknown-linux-gnu", features));
    assert_eq!(defined(&plan, "GGML_AVX2"), "");
}

#[test]
fn portable_picks_the_cpu_backend_at_run_time() {
    let portable = Features { portable: true, ..DEFAULT };
    let linux = plan(&facts("x86_64-unknown-linux-gnu", portable));
    for name in ["GGML_CPU_ALL_VARIANTS", "GGML_BACKEND_DL", "BUILD_SHARED_LIBS"] {
        assert_eq!(defined(&linux, name), "ON", "{name}");
    }
    assert_eq!(defined(&linux, "GGML_NATIVE"), "OFF");
    assert_eq!(defined(&linux, "GGML_AVX2"), "", "each variant has its own");
    assert_eq!(linux.linkage, Linkage::Shared);

    // All of Apple's processors do what the first one did.
    let apple = plan(&facts("aarch64-apple-darwin", portable));
    assert_eq!(defined(&apple, "GGML_CPU_ALL_VARIANTS"), "OFF");
    assert_eq!(defined(&apple, "GGML_NATIVE"), "OFF");
    assert_eq!(apple.linkage, Linkage::Static);
}

#[test]
fn modules_need_shared_libraries() {
    let features = Features { dynamic_backends: true, ..DEFAULT };
    let modules = plan(&facts("aarch64-apple-darwin", features));
    assert!(modules.modules);
    assert_eq!(defined(&modules, "GGML_NATIVE"), "OFF", "ggml refuses it in a module");
    assert_eq!(modules.linkage, Linkage::Shared);

    let features = Features { dynamic_link: true, ..DEFAULT };
    let shared = plan(&facts("aarch64-apple-darwin", features));
    assert!(!shared.modules);
    assert_eq!(shared.linkage, Linkage::Shared);
}

#[test]
fn gpu_features_choose_backends() {
    let features = Features { cuda: true, vulkan: true, rpc: true, blas: true, ..DEFAULT };
    let plan = plan(&facts("x86_64-unknown-linux-gnu", features));
    assert_eq!(plan.backends, ["cuda", "vulkan", "rpc", "blas", "cpu"]);
    assert_eq!(defined(&plan, "GGML_BLAS_VENDOR"), "OpenBLAS");
    assert_eq!(defined(&plan, "GGML_HIP"), "OFF");
}

#[test]
fn msvc_keeps_its_optimisation_and_rusts_runtime() {
    let dynamic = plan(&facts("x86_64-pc-windows-msvc", DEFAULT));
    assert_eq!(defined(&dynamic, "CMAKE_MSVC_RUNTIME_LIBRARY"), "MultiThreadedDLL");
    assert!(defined(&dynamic, "CMAKE_CXX_FLAGS_RELEASE").contains("/O2"));

    let fixed = plan(&Facts { crt_static: true, ..facts("x86_64-pc-windows-msvc", DEFAULT) });
    assert_eq!(defined(&fixed, "CMAKE_MSVC_RUNTIME_LIBRARY"), "MultiThreaded");
}

#[test]
fn intel_macs_get_a_system_that_has_std_filesystem() {
    let intel = facts("x86_64-apple-darwin", DEFAULT);
    assert_eq!(target::deployment_target(&intel), Some("10.15"));
    let chosen = Facts { macos: Some("13.3".to_owned()), ..intel };
    assert_eq!(target::deployment_target(&chosen), None);
    assert_eq!(target::deployment_target(&facts("aarch64-apple-darwin", DEFAULT)), None);
    assert_eq!(target::deployment_target(&facts("x86_64-unknown-linux-gnu", DEFAULT)), None);
}

/// The directives for a program that CMake would link with these fragments.
fn directives(triple: &str, features: Features, fragments: &[&str]) -> Vec<String> {
    let fragments: Vec<_> = fragments
        .iter()
        .map(|fragment| serde_json::json!({ "role": "libraries", "fragment": fragment }))
        .collect();
    let probe = serde_json::json!({ "compileGroups": [{}], "link": { "commandFragments": fragments } });
    let usage = Usage::from_probe(&probe, Path::new("/build")).expect("a description of the probe");
    link::directives(&plan(&facts(triple, features)), &usage)
}

#[test]
fn linux_links_what_cmake_found() {
    let lines = directives(
        "x86_64-unknown-linux-gnu",
        DEFAULT,
        &[
            "common/libllama-common.a",
            "src/libllama.a",
            "-lm",
            "-ldl",
            "/usr/lib/gcc/x86_64-linux-gnu/12/libgomp.so",
            "/usr/lib/x86_64-linux-gnu/libpthread.a",
            "-pthread",
        ],
    );
    assert_eq!(
        lines,
        [
            "rustc-link-search=native=/build/common",
            "rustc-link-search=native=/build/src",
            "rustc-link-search=native=/usr/lib/gcc/x86_64-linux-gnu/12",
            "rustc-link-lib=static=llama-common",
            "rustc-link-lib=static=llama",
            "rustc-link-lib=gomp",
            "rustc-link-lib=stdc++",
            "rustc-link-lib=m",
            "rustc-link-lib=pthread",
            "rustc-link-lib=dl",
        ]
    );
}

#[test]
fn shared_libraries_lose_their_version() {
    let features = Features { dynamic_link: true, ..DEFAULT };
    let lines = directives(
        "x86_64-unknown-linux-gnu",
        features,
        &["-Wl,-rpath,/build/bin", "bin/libllama.so.0.8.0", "common/libllama-common-base.a"],
    );
    assert_eq!(
        lines[..4],
        [
            "rustc-link-search=native=/build/bin",
            "rustc-link-search=native=/build/common",
            "rustc-link-lib=dylib=llama",
            "rustc-link-lib=static=llama-common-base",
        ]
    );
}

#[test]
fn apple_links_each_framework_once() {
    let lines = directives(
        "aarch64-apple-darwin",
        DEFAULT,
        &[
            "ggml/src/ggml-metal/libggml-metal.a",
            "-framework Accelerate",
            "\"/SDKs/My SDK/System/Library/Frameworks/Metal.framework\"",
            "-framework CoreServices",
            "/SDKs/MacOSX.sdk/usr/lib/libobjc.tbd",
        ],
    );
    assert_eq!(
        lines,
        [
            "rustc-link-search=native=/SDKs/MacOSX.sdk/usr/lib",
            "rustc-link-search=native=/build/ggml/src/ggml-metal",
            "rustc-link-lib=static=ggml-metal",
            "rustc-link-lib=objc",
            "rustc-link-lib=c++",
            "rustc-link-lib=framework=Accelerate",
            "rustc-link-lib=framework=Foundation",
            "rustc-link-lib=framework=Metal",
            "rustc-link-lib=framework=MetalKit",
            "rustc-link-lib=framework=CoreServices",
        ]
    );
}

#[test]
fn windows_names_libraries_without_a_prefix() {
    let lines =
        directives("x86_64-pc-windows-msvc", DEFAULT, &["ggml/src/ggml.lib", "ws2_32.lib", "kernel32.lib"]);
    assert_eq!(
        lines,
        [
            "rustc-link-search=native=/build/ggml/src",
            "rustc-link-lib=static=ggml",
            "rustc-link-lib=kernel32",
            "rustc-link-lib=advapi32",
            "rustc-link-lib=ws2_32",
        ]
    );
}

#[test]
fn cuda_libraries_come_from_where_the_toolkit_is() {
    let features = Features { cuda: true, ..DEFAULT };
    let lines = directives(
        "x86_64-unknown-linux-gnu",
        features,
        &["-L\"/opt/cuda 12/lib64\"", "/opt/cuda/lib64/libcublas.so", "-lcudart_static"],
    );
    for line in [
        "rustc-link-search=native=/opt/cuda 12/lib64",
        "rustc-link-search=native=/opt/cuda/lib64",
        "rustc-link-lib=cublas",
        "rustc-link-lib=cudart_static",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} in {lines:#?}");
    }
}
