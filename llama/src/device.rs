//! What llama.cpp can compute on.

use std::ffi::{CStr, c_char};
use std::fmt;

use llama_sys as sys;

use crate::init;

/// What kind of device a [`Device`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The CPU, with system memory.
    Cpu,
    /// A GPU with memory of its own, or Apple's.
    Gpu,
    /// A GPU that shares the system's memory.
    IntegratedGpu,
    /// Helps the CPU without memory of its own (BLAS, AMX).
    Accelerator,
    /// One of several devices behind another.
    Meta,
}

/// A device as llama.cpp sees it.
#[derive(Debug, Clone)]
pub struct Device {
    /// Short name, as in llama-server's `--device` ("Metal", "CUDA0", "CPU").
    pub name: String,
    /// Full name ("Apple M1 Max").
    pub description: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Memory in bytes that is free now; 0 where the backend does not tell.
    pub memory_free: u64,
    /// Memory in bytes; 0 where the backend does not tell.
    pub memory_total: u64,
}

impl Device {
    /// Every device of this machine that the build can use.
    pub fn all() -> Vec<Self> {
        init::ensure();
        // SAFETY: the registry is set up by `init`, and grows only there.
        let n = unsafe { sys::ggml_backend_dev_count() };
        (0..n)
            .map(|i| {
                // SAFETY: `i` is below the count; a registered device is never freed, and its
                // strings are static.
                unsafe {
                    let dev = sys::ggml_backend_dev_get(i);
                    let (mut free, mut total) = (0, 0);
                    sys::ggml_backend_dev_memory(dev, &mut free, &mut total);
                    Self {
                        name: text(sys::ggml_backend_dev_name(dev)),
                        description: text(sys::ggml_backend_dev_description(dev)),
                        kind: kind(sys::ggml_backend_dev_type(dev)),
                        memory_free: free as u64,
                        memory_total: total as u64,
                    }
                }
            })
            .collect()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.description)?;
        if self.memory_total > 0 {
            let mib = |bytes: u64| bytes >> 20;
            write!(f, ", {} of {} MiB free", mib(self.memory_free), mib(self.memory_total))?;
        }
        Ok(())
    }
}

fn kind(kind: sys::ggml_backend_dev_type) -> DeviceKind {
    match kind {
        sys::GGML_BACKEND_DEVICE_TYPE_GPU => DeviceKind::Gpu,
        sys::GGML_BACKEND_DEVICE_TYPE_IGPU => DeviceKind::IntegratedGpu,
        sys::GGML_BACKEND_DEVICE_TYPE_ACCEL => DeviceKind::Accelerator,
        sys::GGML_BACKEND_DEVICE_TYPE_META => DeviceKind::Meta,
        _ => DeviceKind::Cpu,
    }
}

/// # Safety
///
/// `s` is NULL or NUL-terminated and valid during the call.
unsafe fn text(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there() {
        let devices = Device::all();
        let cpu = devices.iter().find(|d| d.kind == DeviceKind::Cpu).expect("a CPU device");
        assert!(cpu.memory_total > 0, "{cpu}");
    }
}
