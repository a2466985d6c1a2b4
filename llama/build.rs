//! Keeps what llama-sys says about llama.cpp, and passes it on to programs.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in ["BUILD", "COMMIT", "LIBDIR", "LINKAGE", "BACKENDS"] {
        let variable = format!("DEP_LLAMA_{name}");
        println!("cargo::rerun-if-env-changed={variable}");
        if let Ok(value) = env::var(&variable) {
            println!("cargo::metadata={}={value}", name.to_lowercase());
        }
    }
    let build = env::var("DEP_LLAMA_BUILD").unwrap_or_default();
    let info = match env::var("DEP_LLAMA_COMMIT") {
        Ok(commit) => format!("b{build}-{commit}"),
        Err(_) => format!("b{build}"),
    };
    println!("cargo::rustc-env=LLAMA_BUILD_INFO={info}");
}
