use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use llama_sys as sys;

use super::{Image, Media, Prompt};
use crate::gguf::Gguf;
use crate::{Context, Error, Model, Result, SeqId, Token, init, shim};

/// The part of a multimodal model that turns images into rows the model reads like tokens; its
/// file is usually named `mmproj-….gguf`. Clones are the same projector.
#[derive(Clone)]
pub struct Projector(Arc<Inner>);

struct Inner {
    ptr: NonNull<sys::mtmd_context>,
    model: Model,
    path: PathBuf,
    limits: sys::shim_media_limits,
    /// Encoding uses one compute graph and its buffers.
    encoding: Mutex<()>,
}

// SAFETY: mtmd's tokenizing is documented as safe from several threads; encoding, which is not,
// is behind `encoding`.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: made by mtmd, freed once, before the model whose vocab it reads.
        unsafe { sys::mtmd_free(self.ptr.as_ptr()) };
    }
}

/// How to load a [`Projector`].
#[derive(Debug, Clone, Default)]
pub struct ProjectorOptions {
    image_min_tokens: Option<u32>,
    image_max_tokens: Option<u32>,
    on_cpu: bool,
}

impl ProjectorOptions {
    /// Fewest tokens an image gets; smaller images are scaled up. From the file by default.
    pub fn image_min_tokens(mut self, tokens: u32) -> Self {
        self.image_min_tokens = Some(tokens);
        self
    }

    /// Most tokens an image gets; larger images are scaled down. From the file by default.
    pub fn image_max_tokens(mut self, tokens: u32) -> Self {
        self.image_max_tokens = Some(tokens);
        self
    }

    /// Encodes on the CPU even if there is a GPU.
    pub fn on_cpu(mut self) -> Self {
        self.on_cpu = true;
        self
    }

    /// Loads a projector for a model.
    ///
    /// # Errors
    ///
    /// A file that is missing, truncated, no GGUF or no projector; a projector of another model.
    pub fn load(&self, model: &Model, path: impl AsRef<Path>) -> Result<Projector> {
        Projector::load_with(model, path.as_ref(), self)
    }

    fn to_c(&self) -> sys::mtmd_context_params {
        init::ensure();
        // SAFETY: returns plain values and a static string.
        let mut params = unsafe { sys::mtmd_context_params_default() };
        let tokens = |n: Option<u32>, default| n.map_or(default, |n| i32::try_from(n).unwrap_or(i32::MAX));
        params.use_gpu = !self.on_cpu;
        params.print_timings = false;
        params.warmup = false;
        // SAFETY: reads what the CPU has.
        params.n_threads = unsafe { sys::shim_n_threads_default() };
        params.image_min_tokens = tokens(self.image_min_tokens, params.image_min_tokens);
        params.image_max_tokens = tokens(self.image_max_tokens, params.image_max_tokens);
        params
    }
}

impl Projector {
    /// Loads the projector of a model, on the GPU if there is one.
    ///
    /// # Errors
    ///
    /// A file that is missing, truncated, no GGUF or no projector; a projector of another model.
    pub fn load(model: &Model, path: impl AsRef<Path>) -> Result<Self> {
        Self::options().load(model, path)
    }

    /// Options for loading.
    pub fn options() -> ProjectorOptions {
        ProjectorOptions::default()
    }

    fn load_with(model: &Model, path: &Path, options: &ProjectorOptions) -> Result<Self> {
        let header = Gguf::open(path).map_err(|source| Error::Gguf { path: path.to_owned(), source })?;
        let architecture = header.architecture().unwrap_or("unknown");
        if architecture != "clip" {
            return Err(Error::WrongFile {
                path: path.to_owned(),
                message: format!(
                    "this is no projector but a model of architecture {architecture}: \
                     projectors are usually named mmproj-….gguf"
                ),
            });
        }
        let failed = |message| Error::Load { path: path.to_owned(), message };
        let c_path = shim::c_path(path)?;
        let params = options.to_c();
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the path is a C string, the model is alive and kept so by the handle, and
        // `ptr` is written only on success.
        shim::call(|| unsafe { sys::shim_mtmd_load(c_path.as_ptr(), model.as_ptr(), params, &mut ptr) })
            .map_err(failed)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| failed("no projector".into()))?;
        let mut limits = sys::shim_media_limits { image_max_tokens: 0, non_causal: false };
        let mut inner =
            Inner { ptr, model: model.clone(), path: path.to_owned(), limits, encoding: Mutex::new(()) };
        // SAFETY: as above; reads the file's header and measures, without the model.
        shim::call(|| unsafe { sys::shim_mtmd_limits(c_path.as_ptr(), params, &mut limits) })
            .map_err(failed)?;
        inner.limits = limits;
        Ok(Self(Arc::new(inner)))
    }

    /// The file that the projector came from.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Whether it takes images.
    pub fn supports_vision(&self) -> bool {
        // SAFETY: the projector is alive.
        unsafe { sys::mtmd_support_vision(self.0.ptr.as_ptr()) }
    }

    /// Whether it takes audio.
    pub fn supports_audio(&self) -> bool {
        // SAFETY: the projector is alive.
        unsafe { sys::mtmd_support_audio(self.0.ptr.as_ptr()) }
    }

    /// Most tokens that an image gets; 0 without vision.
    pub fn image_max_tokens(&self) -> u32 {
        self.0.limits.image_max_tokens.max(0).unsigned_abs()
    }

    /// The micro-batch that its images need.
    pub(crate) fn min_ubatch(&self) -> u32 {
        if self.0.limits.non_causal { self.image_max_tokens() } else { 0 }
    }

    /// Appends an image to a prompt, with the tokens that the model wants around it.
    pub(super) fn tokenize(&self, image: &Image, prompt: &mut Prompt) -> Result<()> {
        if !self.supports_vision() {
            return Err(Error::Projector(format!(
                "{}: this projector takes no images",
                self.0.path.display()
            )));
        }
        let id = CString::new(image.id()).map_err(|_| Error::Nul { what: "the image's id" })?;
        let mut chunks = std::ptr::null_mut();
        // SAFETY: an `Image` has width * height * 3 bytes; the shim copies them. `chunks` is
        // written only on success.
        shim::call(|| unsafe {
            sys::shim_mtmd_tokenize_image(
                self.0.ptr.as_ptr(),
                image.width(),
                image.height(),
                image.rgb().as_ptr(),
                id.as_ptr(),
                &mut chunks,
            )
        })
        .map_err(Error::Image)?;
        let chunks = RawChunks(NonNull::new(chunks).ok_or_else(|| Error::Image("no chunks".into()))?);
        for chunk in chunks.iter() {
            match chunk {
                RawPart::Text(tokens) => prompt.push_tokens(tokens),
                RawPart::Media(chunk) => {
                    let chunk = chunk.ok_or_else(|| Error::Image("out of memory".into()))?;
                    prompt.push_media(Media {
                        projector: self.clone(),
                        id: image.id().into(),
                        n_tokens: chunk.n_tokens(),
                        n_positions: chunk.n_positions(),
                        chunk: Arc::new(chunk),
                    });
                }
            }
        }
        Ok(())
    }
}

impl Media {
    /// Encodes the image: one row for each of its tokens, as wide as the model's input.
    ///
    /// # Errors
    ///
    /// [`Error::Projector`] when the projector fails.
    pub fn encode(&self) -> Result<Vec<f32>> {
        let projector = &*self.projector.0;
        let _lock = projector.encoding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = vec![0.0; self.n_rows_len()];
        // SAFETY: the projector is used by this thread alone; the chunk is alive and came from
        // it; `rows` has room for its tokens, each as wide as the model's input, which loading
        // compared with the projector's output.
        shim::call(|| unsafe {
            let (mtmd, chunk) = (projector.ptr.as_ptr(), self.chunk.0.as_ptr());
            sys::shim_mtmd_encode(mtmd, chunk, rows.as_mut_ptr(), rows.len())
        })
        .map_err(Error::Projector)?;
        Ok(rows)
    }

    /// Computes the encoded image at position `pos` of a sequence; returns the position after it.
    ///
    /// # Errors
    ///
    /// [`Error::ModelMismatch`] for a context of another model, [`Error::Projector`] for rows of
    /// another image or an image too large for the context's micro-batch, and what
    /// [`Context::decode`] returns.
    pub fn decode(&self, context: &mut Context, rows: &[f32], pos: u32, seq: SeqId) -> Result<u32> {
        let projector = &*self.projector.0;
        if !projector.model.same(context.model()) {
            return Err(Error::ModelMismatch { what: "projector" });
        }
        if rows.len() != self.n_rows_len() {
            return Err(Error::Projector("the rows are not those of this image".into()));
        }
        let seq = context.sequence(seq.index())?;
        context.forget_outputs();
        let (mut next, mut code) = (0, 0);
        let (status, logged) = crate::log::capture(|| {
            // SAFETY: the handles are alive and of one model, the rows are as many as the chunk's
            // tokens, and the sequence is the context's. Decoding touches no state of mtmd.
            unsafe {
                sys::shim_mtmd_decode(
                    projector.ptr.as_ptr(),
                    context.as_ptr(),
                    self.chunk.0.as_ptr(),
                    rows.as_ptr(),
                    i32::try_from(pos).unwrap_or(i32::MAX),
                    seq.raw(),
                    &mut next,
                    &mut code,
                )
            }
        });
        shim::check(status, &logged).map_err(Error::Projector)?;
        context.decoded(code, self.n_tokens, logged)?;
        Ok(next.unsigned_abs())
    }

    /// Numbers in all rows of the encoded image.
    fn n_rows_len(&self) -> usize {
        self.n_tokens * self.projector.0.model.n_embd_inp()
    }
}

impl std::fmt::Debug for Projector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projector").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// The chunks of one image, as mtmd returned them.
struct RawChunks(NonNull<sys::mtmd_input_chunks>);

enum RawPart {
    Text(Vec<Token>),
    Media(Option<RawChunk>),
}

impl RawChunks {
    fn iter(&self) -> impl Iterator<Item = RawPart> + '_ {
        // SAFETY: the list is alive as long as `self`.
        let n = unsafe { sys::mtmd_input_chunks_size(self.0.as_ptr()) };
        (0..n).map(|i| {
            // SAFETY: `i` is below the size; chunks belong to the list.
            let chunk = unsafe { sys::mtmd_input_chunks_get(self.0.as_ptr(), i) };
            // SAFETY: the chunk is alive.
            let kind = unsafe { sys::mtmd_input_chunk_get_type(chunk) };
            if kind != sys::MTMD_INPUT_CHUNK_TYPE_TEXT {
                // SAFETY: the chunk is alive; the copy is ours.
                let copy = unsafe { sys::mtmd_input_chunk_copy(chunk) };
                return RawPart::Media(NonNull::new(copy).map(RawChunk));
            }
            let mut len = 0;
            // SAFETY: a text chunk has `len` tokens, which live as long as it.
            let tokens = unsafe {
                let tokens = sys::mtmd_input_chunk_get_tokens_text(chunk, &mut len);
                if len == 0 { &[] } else { std::slice::from_raw_parts(tokens, len) }
            };
            RawPart::Text(tokens.iter().map(|&id| Token(id)).collect())
        })
    }
}

impl Drop for RawChunks {
    fn drop(&mut self) {
        // SAFETY: made by mtmd, freed once.
        unsafe { sys::mtmd_input_chunks_free(self.0.as_ptr()) };
    }
}

/// A preprocessed image.
pub(super) struct RawChunk(NonNull<sys::mtmd_input_chunk>);

// SAFETY: a copied chunk owns its data and is only read.
unsafe impl Send for RawChunk {}
// SAFETY: as above.
unsafe impl Sync for RawChunk {}

impl RawChunk {
    fn n_tokens(&self) -> usize {
        // SAFETY: the chunk is alive.
        unsafe { sys::mtmd_input_chunk_get_n_tokens(self.0.as_ptr()) }
    }

    fn n_positions(&self) -> u32 {
        // SAFETY: the chunk is alive.
        unsafe { sys::mtmd_input_chunk_get_n_pos(self.0.as_ptr()) }.unsigned_abs()
    }
}

impl Drop for RawChunk {
    fn drop(&mut self) {
        // SAFETY: copied by mtmd, freed once.
        unsafe { sys::mtmd_input_chunk_free(self.0.as_ptr()) };
    }
}

impl std::fmt::Debug for RawChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawChunk({} tokens)", self.n_tokens())
    }
}
