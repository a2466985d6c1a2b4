//! Examples, end-to-end tests and benchmarks of the llama crates; the library is [`llama`].

pub use llama;
