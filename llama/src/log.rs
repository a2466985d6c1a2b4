//! llama.cpp's log goes to [`tracing`] under the target `llama.cpp`; nothing is printed.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use llama_sys as sys;

thread_local! {
    /// Lines of the innermost running `capture` on this thread.
    static CAPTURED: RefCell<Option<Captured>> = const { RefCell::new(None) };
    /// A line whose newline has not come yet, with the level it started at.
    static PARTIAL: RefCell<(sys::ggml_log_level, String)> =
        const { RefCell::new((sys::GGML_LOG_LEVEL_NONE, String::new())) };
}

#[derive(Default)]
struct Captured {
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Runs `f` and returns what llama.cpp logged as errors on this thread meanwhile, in one line;
/// warnings if there were no errors.
pub(crate) fn capture<T>(f: impl FnOnce() -> T) -> (T, String) {
    let outer = CAPTURED.replace(Some(Captured::default()));
    let result = f();
    let captured = CAPTURED.replace(outer).unwrap_or_default();
    let lines = if captured.errors.is_empty() { captured.warnings } else { captured.errors };
    (result, lines.join("; "))
}

/// Routes the log of llama, ggml and mtmd here. Called once.
pub(crate) fn install() {
    // SAFETY: the callback has the signature that the shim declares, lives for ever, takes no
    // user data and does not unwind.
    unsafe { sys::shim_log_set(Some(on_log), std::ptr::null_mut()) };
}

/// # Safety
///
/// Called by llama.cpp with a NUL-terminated text that is valid during the call.
unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // SAFETY: see above.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    // A subscriber is the application's code: its panic must not cross into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| on_text(level, &text)));
}

/// llama.cpp logs pieces of lines too: `CONT` continues the line before.
fn on_text(level: sys::ggml_log_level, text: &str) {
    PARTIAL.with_borrow_mut(|(started, line)| {
        if level != sys::GGML_LOG_LEVEL_CONT {
            *started = level;
        }
        line.push_str(text);
        while let Some(end) = line.find('\n') {
            emit(*started, line[..end].trim());
            line.drain(..=end);
        }
    });
}

fn emit(level: sys::ggml_log_level, line: &str) {
    if line.is_empty() {
        return;
    }
    CAPTURED.with_borrow_mut(|captured| {
        let Some(captured) = captured else { return };
        match level {
            sys::GGML_LOG_LEVEL_ERROR => captured.errors.push(plain(line)),
            sys::GGML_LOG_LEVEL_WARN => captured.warnings.push(plain(line)),
            _ => {}
        }
    });
    match level {
        sys::GGML_LOG_LEVEL_ERROR => tracing::error!(target: "llama.cpp", "{line}"),
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{line}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::info!(target: "llama.cpp", "{line}"),
        _ => tracing::debug!(target: "llama.cpp", "{line}"),
    }
}

/// The line without the C++ function name that llama.cpp puts in front ("llama_decode: …").
fn plain(line: &str) -> String {
    match line.split_once(": ") {
        Some((function, rest))
            if !function.is_empty()
                && function.chars().all(|c| c.is_ascii_alphanumeric() || "_:<>~".contains(c)) =>
        {
            rest.trim().to_owned()
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_win_over_warnings_and_lose_their_function_name() {
        let ((), logged) = capture(|| {
            on_text(sys::GGML_LOG_LEVEL_WARN, "llama_model_load: odd\n");
            on_text(sys::GGML_LOG_LEVEL_ERROR, "llama_model_load: error ");
            on_text(sys::GGML_LOG_LEVEL_CONT, "loading: bad file\n");
        });
        assert_eq!(logged, "error loading: bad file");
    }

    #[test]
    fn nothing_is_kept_outside_a_capture() {
        on_text(sys::GGML_LOG_LEVEL_ERROR, "before\n");
        let ((), logged) = capture(|| {});
        assert_eq!(logged, "");
    }

    #[test]
    fn an_inner_capture_keeps_its_lines() {
        let ((), outer) = capture(|| {
            on_text(sys::GGML_LOG_LEVEL_ERROR, "one\n");
            let ((), inner) = capture(|| on_text(sys::GGML_LOG_LEVEL_ERROR, "two\n"));
            assert_eq!(inner, "two");
        });
        assert_eq!(outer, "one");
    }
}
