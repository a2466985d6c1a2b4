//! OpenAI's error body.

use serde::Serialize;

/// `{"error": {"code", "message", "type", …}}`
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ErrorBody {
    pub(crate) error: ErrorDetail,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct ErrorDetail {
    pub(crate) code: u16,
    pub(crate) message: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// Only when the prompt is too long: agents shorten their history by these numbers.
    #[serde(flatten)]
    pub(crate) overflow: Option<Overflow>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Overflow {
    pub(crate) n_prompt_tokens: usize,
    pub(crate) n_ctx: u32,
}
