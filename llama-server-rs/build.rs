//! Lets programs find llama.cpp's libraries where they were built, when they are shared.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let shared = env::var("DEP_LLAMA_RS_LINKAGE").is_ok_and(|linkage| linkage == "shared");
    if let (true, Ok(dir)) = (shared, env::var("DEP_LLAMA_RS_LIBDIR")) {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{dir}");
    }
}
