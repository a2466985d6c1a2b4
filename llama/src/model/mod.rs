//! A loaded model and what it says about itself.

mod decoder;
mod metadata;
mod options;
mod vocab;

use std::ffi::{CStr, c_char};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, OnceLock};

use llama_sys as sys;

pub use decoder::TokenDecoder;
pub use metadata::Metadata;
pub use options::{GpuLayers, ModelOptions};
pub use vocab::{PromptPart, Token, Vocab};

use crate::gguf::Gguf;
use crate::{ContextOptions, Error, Result, init, shim};

/// Architecture of the draft heads that read a Gemma 4 model's KV cache.
pub(crate) const GEMMA4_HEAD: &str = "gemma4-assistant";

/// A model's weights and vocabulary, loaded once and shared: clones are the same model.
///
/// Everything made from a model keeps it alive, so handles may be dropped in any order.
///
/// ```
/// # fn main() -> llama::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-gemma4/tiny-gemma4-moe-Q8_0.gguf");
/// let model = llama::Model::load(path)?;
/// assert_eq!(model.architecture(), "gemma4");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    ptr: NonNull<sys::llama_model>,
    path: PathBuf,
    metadata: Metadata,
    /// Of the vocabulary, found when first needed: see `Vocab::find_markers`.
    markers: OnceLock<Vec<Token>>,
    /// llama.cpp writes to the shared model while it creates a context.
    creating_context: Mutex<()>,
}

// SAFETY: llama.cpp reads a loaded model from many threads; its one write, while a context is
// created, is behind `creating_context`.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the loader, and every user held an `Arc` of this.
        unsafe { sys::llama_model_free(self.ptr.as_ptr()) };
    }
}

impl Model {
    /// Loads a GGUF file with default options: all layers on the GPU if there is one.
    ///
    /// # Errors
    ///
    /// A file that is missing, truncated, no GGUF, or of a kind that is no language model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().load(path)
    }

    /// Options for loading.
    pub fn options() -> ModelOptions {
        ModelOptions::default()
    }

    pub(crate) fn load_with(path: &Path, options: &ModelOptions) -> Result<Self> {
        init::ensure();
        let header = Gguf::open(path).map_err(|source| Error::Gguf { path: path.to_owned(), source })?;
        if header.architecture() == Some("clip") {
            return Err(Error::WrongFile {
                path: path.to_owned(),
                message: "this is a multimodal projector, not a model: \
                          give it as the projector (--mmproj) of its model"
                    .into(),
            });
        }
        let c_path = shim::c_path(path)?;
        // SAFETY: returns plain values.
        let mut params = unsafe { sys::llama_model_default_params() };
        options.apply(&mut params);
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the path is a C string and the parameters hold no pointers; both live through
        // the call, which writes `ptr` only on success.
        shim::call(|| unsafe { sys::shim_model_load(c_path.as_ptr(), &params, &mut ptr) })
            .map_err(|message| Error::Load { path: path.to_owned(), message })?;
        let Some(ptr) = NonNull::new(ptr) else {
            return Err(Error::Load { path: path.to_owned(), message: "no model".into() });
        };
        Ok(Self(Arc::new(Inner {
            ptr,
            path: path.to_owned(),
            metadata: Metadata::new(header),
            markers: OnceLock::new(),
            creating_context: Mutex::new(()),
        })))
    }

    /// Options for a context, in which tokens are computed.
    pub fn context(&self) -> ContextOptions {
        ContextOptions::new(self.clone())
    }

    /// The tokens that the model knows.
    pub fn vocab(&self) -> Vocab {
        Vocab::new(self.clone())
    }

    /// The file that the model came from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The header of the file: what its makers say about the model.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// Name of the architecture ("gemma4").
    pub fn architecture(&self) -> &str {
        // A model without one does not load.
        self.metadata().architecture().unwrap_or("unknown")
    }

    /// Whether this is a draft head, which needs the model it was trained for.
    pub fn is_draft_head(&self) -> bool {
        self.architecture() == GEMMA4_HEAD
    }

    /// Architecture, size and quantisation in a few words ("gemma4 26B.A4B Q4_K - Medium").
    pub fn description(&self) -> String {
        let mut buf = [0; 256];
        // SAFETY: the buffer is writable for its length, which llama.cpp respects and
        // NUL-terminates within.
        unsafe { sys::llama_model_desc(self.as_ptr(), buf.as_mut_ptr().cast::<c_char>(), buf.len()) };
        CStr::from_bytes_until_nul(&buf).unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Bytes of all tensors.
    pub fn size(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_size(self.as_ptr()) }
    }

    /// Number of weights.
    pub fn n_params(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_params(self.as_ptr()) }
    }

    /// Tokens of context that the model was trained for.
    pub fn n_ctx_train(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_ctx_train(self.as_ptr()) }.unsigned_abs()
    }

    /// Width of the hidden state.
    pub fn n_embd(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_embd(self.as_ptr()) }.unsigned_abs()
    }

    /// Width of the rows that the model takes in place of tokens, such as a projector's.
    pub(crate) fn n_embd_inp(&self) -> usize {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_embd_inp(self.as_ptr()) }.unsigned_abs() as usize
    }

    /// Width of the hidden rows that the model puts out, and that a draft head takes in.
    pub(crate) fn n_embd_out(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_embd_out(self.as_ptr()) }.unsigned_abs()
    }

    /// Number of layers.
    pub fn n_layer(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_layer(self.as_ptr()) }.unsigned_abs()
    }

    /// Tokens that sliding-window layers look back on; 0 without such layers.
    pub fn n_swa(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_swa(self.as_ptr()) }.unsigned_abs()
    }

    /// Tokens that mark something in a conversation but are listed as ordinary words, sorted.
    fn markers(&self) -> &[Token] {
        self.0.markers.get_or_init(|| self.vocab().find_markers())
    }

    /// Whether two handles are the same loaded model.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Creates a raw context, one at a time for each model.
    ///
    /// # Safety
    ///
    /// Pointers in `params` are valid during the call, and a context in `ctx_other` outlives the
    /// new one.
    pub(crate) unsafe fn new_context(
        &self,
        params: &sys::llama_context_params,
    ) -> Result<NonNull<sys::llama_context>, String> {
        let _lock = self.0.creating_context.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the model is alive, the parameters are the caller's promise, and `ptr` is
        // written only on success.
        shim::call(|| unsafe { sys::shim_context_new(self.as_ptr(), params, &mut ptr) })?;
        NonNull::new(ptr).ok_or_else(|| "no context".into())
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::llama_model {
        self.0.ptr.as_ptr()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("path", &self.0.path).finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared<T: Send + Sync + Clone>() {}
    shared::<Model>();
    shared::<Vocab>();
};
