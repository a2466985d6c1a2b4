//! The answers of `POST /v1/chat/completions`: one object, or the chunks of a stream.

use serde::Serialize;
use serde_json::Value;

/// What a whole answer and each chunk of a stream say about themselves.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) system_fingerprint: &'static str,
}

#[derive(Debug, Serialize)]
pub(crate) struct Completion {
    pub(crate) object: &'static str,
    #[serde(flatten)]
    pub(crate) head: Head,
    pub(crate) choices: [Choice; 1],
    pub(crate) usage: Usage,
    pub(crate) timings: Timings,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) x_llama: Option<Extra>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) index: u32,
    pub(crate) message: Message,
    pub(crate) finish_reason: FinishReason,
}

#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<ToolCall>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) function: Function,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Chunk<'a> {
    pub(crate) object: &'static str,
    #[serde(flatten)]
    pub(crate) head: &'a Head,
    /// Empty in the chunk that carries the usage.
    pub(crate) choices: Vec<ChunkChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timings: Option<Timings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) x_llama: Option<Extra>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChunkChoice {
    pub(crate) index: u32,
    pub(crate) delta: Value,
    /// `null` in all chunks but one.
    pub(crate) finish_reason: Option<FinishReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FinishReason {
    Stop,
    Length,
    ToolCalls,
}

/// What OpenAI's API has no field for.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Extra {
    /// Why the model's output is no well-formed message; it was delivered as content.
    pub(crate) parse_error: String,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Usage {
    completion_tokens: usize,
    prompt_tokens: usize,
    total_tokens: usize,
    prompt_tokens_details: PromptTokensDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PromptTokensDetails {
    cached_tokens: usize,
}

impl Usage {
    pub(crate) fn new(prompt: usize, cached: usize, completion: usize) -> Self {
        Self {
            completion_tokens: completion,
            prompt_tokens: prompt,
            total_tokens: prompt + completion,
            prompt_tokens_details: PromptTokensDetails { cached_tokens: cached },
        }
    }
}

/// llama-server's timings. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Timings {
    cache_n: usize,
    prompt_n: usize,
    prompt_ms: f64,
    prompt_per_token_ms: f64,
    prompt_per_second: f64,
    predicted_n: usize,
    predicted_ms: f64,
    predicted_per_token_ms: f64,
    predicted_per_second: f64,
    /// Only with a draft head.
    #[serde(flatten)]
    draft: Option<DraftTimings>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct DraftTimings {
    pub(crate) draft_n: u64,
    pub(crate) draft_n_accepted: u64,
}

/// What [`Timings`] are computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) prompt_tokens: usize,
    pub(crate) cached_tokens: usize,
    pub(crate) prompt_ms: f64,
    pub(crate) predicted_tokens: usize,
    pub(crate) predicted_ms: f64,
    pub(crate) draft: Option<DraftTimings>,
}

impl From<Measured> for Timings {
    fn from(m: Measured) -> Self {
        let prompt_n = m.prompt_tokens - m.cached_tokens;
        Self {
            cache_n: m.cached_tokens,
            prompt_n,
            prompt_ms: m.prompt_ms,
            prompt_per_token_ms: ratio(m.prompt_ms, prompt_n as f64),
            prompt_per_second: ratio(1e3 * prompt_n as f64, m.prompt_ms),
            predicted_n: m.predicted_tokens,
            predicted_ms: m.predicted_ms,
            predicted_per_token_ms: ratio(m.predicted_ms, m.predicted_tokens as f64),
            predicted_per_second: ratio(1e3 * m.predicted_tokens as f64, m.predicted_ms),
            draft: m.draft,
        }
    }
}

/// JSON has no infinity: nothing done in no time is 0.
fn ratio(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn timings_of_nothing_are_numbers() {
        let nothing = Measured {
            prompt_tokens: 5,
            cached_tokens: 5,
            prompt_ms: 0.0,
            predicted_tokens: 0,
            predicted_ms: 0.0,
            draft: None,
        };
        let timings = to_value(Timings::from(nothing)).expect("JSON");
        assert_eq!(timings["prompt_per_second"], 0.0);
        assert_eq!(timings["cache_n"], 5);
        assert!(timings.get("draft_n").is_none());
    }

    #[test]
    fn usage_adds_up() {
        let expected = json!({
            "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 4},
        });
        assert_eq!(to_value(Usage::new(7, 4, 3)).expect("JSON"), expected);
    }
}
