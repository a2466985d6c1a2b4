//! What a server is started with.

use std::fmt;
use std::path::PathBuf;

/// Settings of a [`Server`](crate::Server). The defaults are llama-server's.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model's GGUF file; `None` serves the built-in toy model.
    pub model: Option<PathBuf>,
    /// The model's MTP draft head.
    pub draft_model: Option<PathBuf>,
    /// The model's multimodal projector.
    pub mmproj: Option<PathBuf>,
    /// Names that the API knows the model by, the first one being the one it answers with;
    /// without one, the file's name.
    pub aliases: Vec<String>,
    /// Tokens of context; `None` takes what the model was trained for.
    pub ctx_size: Option<u32>,
    /// Tokens of a prompt that are submitted at a time.
    pub batch_size: Option<u32>,
    /// Tokens that are computed at a time.
    pub ubatch_size: Option<u32>,
    /// Layers that the GPU computes.
    pub gpu_layers: llama::GpuLayers,
    /// Threads for what the CPU computes; `None` takes as many as suit the machine.
    pub threads: Option<u32>,
    /// Tokens to draft at most in one step.
    pub draft_max: u32,
    /// Address or name to listen on.
    pub host: String,
    /// Port to listen on; 0 takes a free one.
    pub port: u16,
    /// Keys of which a request must present one; none lets everybody in.
    pub api_keys: ApiKeys,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            draft_model: None,
            mmproj: None,
            aliases: Vec::new(),
            ctx_size: None,
            batch_size: None,
            ubatch_size: None,
            gpu_layers: llama::GpuLayers::All,
            threads: None,
            draft_max: 3,
            host: "127.0.0.1".into(),
            port: 8080,
            api_keys: ApiKeys::default(),
        }
    }
}

/// Secrets, which `Debug` does not show.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// Whether no key is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl<S: Into<String>> FromIterator<S> for ApiKeys {
    fn from_iter<I: IntoIterator<Item = S>>(keys: I) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_out_of_logs() {
        let config = Config { api_keys: ["s3cret"].into_iter().collect(), ..Config::default() };
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
