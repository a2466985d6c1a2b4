//! Lets the examples, tests and benchmarks of this workspace find llama.cpp's shared libraries
//! when it is linked dynamically.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
