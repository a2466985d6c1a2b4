//! One-time set-up of llama.cpp, done by whatever is called first.

use std::sync::Once;

use llama_sys as sys;

static INIT: Once = Once::new();

/// Prepares llama.cpp for this process; cheap after the first call.
pub(crate) fn ensure() {
    INIT.call_once(|| {
        crate::log::install();
        // SAFETY: first llama.cpp calls of the process, made once; backends that are modules are
        // looked up beside the executable.
        unsafe {
            sys::llama_backend_init();
            #[cfg(any(feature = "dynamic-backends", feature = "portable"))]
            sys::ggml_backend_load_all();
        }
    });
}
