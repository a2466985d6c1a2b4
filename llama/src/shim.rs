//! What every handle needs of the C ABI: statuses, owned strings, C strings for one call.

use std::ffi::{CStr, CString};
use std::path::Path;

use llama_sys as sys;

use crate::{Error, Result, log};

/// Turns a status into a result; the message is the shim's, with what llama.cpp logged.
pub(crate) fn check(status: sys::shim_status, logged: &str) -> Result<(), String> {
    if status == sys::SHIM_OK {
        return Ok(());
    }
    // SAFETY: the shim returns a thread-local, NUL-terminated string that lives until the next
    // failing call on this thread; it is copied here.
    let message = unsafe { CStr::from_ptr(sys::shim_last_error()) }.to_string_lossy().into_owned();
    Err(if logged.is_empty() { message } else { format!("{message}: {logged}") })
}

/// Runs a call of the shim and adds what llama.cpp logged meanwhile to its message.
pub(crate) fn call(f: impl FnOnce() -> sys::shim_status) -> Result<(), String> {
    let (status, logged) = log::capture(f);
    check(status, &logged)
}

/// Takes over a string that the shim allocated.
///
/// # Safety
///
/// `s` was written by a shim call that returned it to the caller, and is used nowhere else.
pub(crate) unsafe fn take_string(s: sys::shim_string) -> String {
    if s.data.is_null() {
        return String::new();
    }
    // SAFETY: the shim hands out `len` initialised bytes at `data`.
    let bytes = unsafe { std::slice::from_raw_parts(s.data.cast::<u8>(), s.len) };
    let text = String::from_utf8_lossy(bytes).into_owned();
    // SAFETY: allocated by the shim, freed once.
    unsafe { sys::shim_string_free(s) };
    text
}

/// A path as llama.cpp wants it.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Error::Nul { what: "the path" })
}
