use std::path::Path;

use llama_sys as sys;

use crate::{Model, Result};

/// How many of a model's layers the GPU computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GpuLayers {
    /// All of them, if there is a GPU.
    #[default]
    All,
    /// The last so many; 0 computes on the CPU alone.
    Count(u32),
}

/// How to load a [`Model`].
#[derive(Debug, Clone, Default)]
pub struct ModelOptions {
    gpu_layers: GpuLayers,
}

impl ModelOptions {
    /// How many layers the GPU computes; all by default.
    pub fn gpu_layers(mut self, layers: GpuLayers) -> Self {
        self.gpu_layers = layers;
        self
    }

    /// Loads a GGUF file.
    ///
    /// # Errors
    ///
    /// A file that is missing, truncated, no GGUF, or of a kind that is no language model.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Model> {
        Model::load_with(path.as_ref(), self)
    }

    pub(super) fn apply(&self, params: &mut sys::llama_model_params) {
        params.n_gpu_layers = match self.gpu_layers {
            GpuLayers::All => -1,
            GpuLayers::Count(n) => i32::try_from(n).unwrap_or(i32::MAX),
        };
    }
}
