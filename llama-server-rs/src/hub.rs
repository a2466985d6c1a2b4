//! The model that is served: loading it, and what is known about it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use llama::{ChatTemplates, DraftOptions, Model, Projector, Speculative};
use tokio::sync::Semaphore;

#[cfg(feature = "embedded-model")]
use crate::embedded;
use crate::error::{ApiError, StartError};
use crate::sampling::Sampling;
use crate::task::{self, Task};
use crate::wire::chat::ChatRequest;
use crate::worker::{Reply, Worker};
use crate::{Config, queue};

/// Where handlers find the model, once it is loaded.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    loaded: OnceLock<Arc<Loaded>>,
}

impl Hub {
    pub(crate) fn set(&self, loaded: Arc<Loaded>) {
        // Only a loaded model is ever put here, and once.
        let _ = self.loaded.set(loaded);
    }

    /// The model, or the answer while it is loading.
    pub(crate) fn ready(&self) -> Result<&Arc<Loaded>, ApiError> {
        self.loaded.get().ok_or_else(ApiError::loading)
    }
}

/// A model that answers requests.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) templates: ChatTemplates,
    pub(crate) projector: Option<Projector>,
    pub(crate) n_ctx: u32,
    /// For requests that do not say how to sample.
    pub(crate) sampling: Sampling,
    /// Whether the template can express several calls in one message.
    pub(crate) parallel_tool_calls: bool,
    /// What the model is called in answers.
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) worker: Worker,
    /// Requests that are prepared at the same time; each may hold a large picture.
    preparing: Semaphore,
}

impl Loaded {
    /// Prepares a request, beside the one that is being answered, and puts it in the line.
    pub(crate) async fn submit(self: &Arc<Self>, request: ChatRequest) -> Result<Reply, ApiError> {
        let task = self.prepare(request).await?;
        self.worker.submit(task).map_err(|refused| match refused {
            queue::Refused::Full => ApiError::queue_full(),
            queue::Refused::Closed => ApiError::shutting_down(),
        })
    }

    async fn prepare(self: &Arc<Self>, request: ChatRequest) -> Result<Task, ApiError> {
        // The semaphore is never closed.
        let _permit = self.preparing.acquire().await;
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || task::prepare(&this, &request))
            .await
            .map_err(|_| ApiError::internal("this request failed unexpectedly"))?
    }
}

/// The files to load.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    model: PathBuf,
    head: Option<PathBuf>,
    projector: Option<PathBuf>,
    name: String,
}

/// Deletes the built-in model's files when dropped.
#[cfg(feature = "embedded-model")]
pub(crate) type Unpacked = embedded::Files;

/// There is no built-in model, so this is never made.
#[cfg(not(feature = "embedded-model"))]
#[derive(Debug)]
pub(crate) enum Unpacked {}

impl Files {
    /// The files that the configuration names, or those of the built-in model, unpacked.
    pub(crate) fn of(config: &Config) -> Result<(Self, Option<Unpacked>), StartError> {
        let Some(model) = &config.model else {
            refuse_companions(config)?;
            return Self::built_in().map(|(files, unpacked)| (files, Some(unpacked)));
        };
        let files = Self {
            model: model.clone(),
            head: config.draft_model.clone(),
            projector: config.mmproj.clone(),
            name: file_name(model),
        };
        Ok((files, None))
    }

    #[cfg(feature = "embedded-model")]
    fn built_in() -> Result<(Self, Unpacked), StartError> {
        let unpacked = embedded::Files::unpack().map_err(StartError::Unpack)?;
        let files = Self {
            model: unpacked.model(),
            head: Some(unpacked.head()),
            projector: Some(unpacked.projector()),
            name: embedded::NAME.into(),
        };
        Ok((files, unpacked))
    }

    #[cfg(not(feature = "embedded-model"))]
    fn built_in() -> Result<(Self, Unpacked), StartError> {
        Err(StartError::Config("no model: name one with -m model.gguf".into()))
    }
}

/// A head or projector fits one model, which is not the built-in one.
fn refuse_companions(config: &Config) -> Result<(), StartError> {
    let companion = [("-md", &config.draft_model), ("--mmproj", &config.mmproj)];
    match companion.iter().find(|(_, path)| path.is_some()) {
        Some((flag, _)) => Err(StartError::Config(format!(
            "{flag} needs the model that it belongs to: name it with -m model.gguf"
        ))),
        None => Ok(()),
    }
}

/// Loads what the configuration names. Takes seconds to minutes.
pub(crate) fn load(config: &Config, files: &Files) -> Result<(Loaded, Summary), StartError> {
    let options = Model::options().gpu_layers(config.gpu_layers);
    // A wrong companion is found before minutes go into loading the model.
    let head = files.head.as_deref().map(|path| load_head(&options, path)).transpose()?;
    let model = options.load(&files.model)?;
    let projector = files.projector.as_deref().map(|path| Projector::load(&model, path)).transpose()?;

    let mut context = model.context();
    if let Some(tokens) = config.ctx_size {
        context = context.n_ctx(tokens);
    }
    if let Some(tokens) = config.batch_size {
        context = context.n_batch(tokens);
    }
    if let Some(tokens) = config.ubatch_size {
        context = context.n_ubatch(tokens);
    }
    if let Some(threads) = config.threads {
        context = context.n_threads(threads);
    }
    if let Some(projector) = &projector {
        context = context.projector(projector);
    }
    let context = context.build()?;
    let n_ctx = context.n_ctx();
    let spec = match &head {
        Some(head) => Speculative::mtp(context, Some(head), DraftOptions::default().n_max(config.draft_max))?,
        None => Speculative::off(context),
    };
    let templates = model.chat_templates()?;

    let name = config.aliases.first().unwrap_or(&files.name).clone();
    let summary = Summary {
        model: format!("{name} ({}, {} MB)", model.description(), model.size() / 1_000_000),
        head: head
            .as_ref()
            .map(|head| format!("{}, up to {} tokens a step", file_name(head.path()), config.draft_max)),
        projector: files.projector.as_deref().map(file_name),
        n_ctx,
        built_in: config.model.is_none(),
    };
    let worker = Worker::spawn(spec)?;
    let caps = templates.caps()?;
    let loaded = Loaded {
        sampling: Sampling::recommended(model.metadata()),
        parallel_tool_calls: caps["supports_parallel_tool_calls"].as_bool().unwrap_or(true),
        templates,
        projector,
        n_ctx,
        name,
        aliases: config.aliases.clone(),
        created: now(),
        worker,
        preparing: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
        model,
    };
    Ok((loaded, summary))
}

fn load_head(options: &llama::ModelOptions, path: &Path) -> Result<Model, StartError> {
    let head = options.load(path)?;
    if head.is_draft_head() {
        return Ok(head);
    }
    Err(StartError::Config(format!(
        "-md {}: not supported yet: only Gemma 4 MTP heads can draft, and this is a {} model",
        path.display(),
        head.architecture()
    )))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// What was loaded, in a few lines for people.
#[derive(Debug, Clone)]
pub struct Summary {
    model: String,
    head: Option<String>,
    projector: Option<String>,
    n_ctx: u32,
    built_in: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model      {}", self.model)?;
        writeln!(f, "draft head {}", self.head.as_deref().unwrap_or("none (-md)"))?;
        writeln!(f, "projector  {}", self.projector.as_deref().unwrap_or("none (--mmproj)"))?;
        write!(f, "context    {} tokens", self.n_ctx)?;
        if self.built_in {
            write!(
                f,
                "\nThis is a toy model for trying things out; serve a real one with \
                 -m model.gguf -md mtp.gguf --mmproj mmproj.gguf"
            )?;
        }
        Ok(())
    }
}
