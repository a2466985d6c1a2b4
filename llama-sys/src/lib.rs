#![doc = include_str!("../README.md")]
#![no_std]
#![deny(missing_docs)]

#[allow(
    missing_docs,
    missing_debug_implementations,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    clippy::all,
    clippy::pedantic
)]
mod bindings {
    #[cfg(generated_bindings)]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
    #[cfg(not(generated_bindings))]
    include!("bindings.rs");
}

pub use bindings::*;
