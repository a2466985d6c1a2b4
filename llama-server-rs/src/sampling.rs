//! How the next token is chosen: a request's settings over the model's over llama-server's.

use llama::gguf::Gguf;
use llama::{ChatSession, Chunk, Model, Prompt, Sampler, Token};
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::wire::chat::ChatRequest;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sampling {
    /// 0 takes the most likely token.
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repeat_penalty: f32,
    /// -1 is the whole context.
    repeat_last_n: i32,
    frequency_penalty: f32,
    presence_penalty: f32,
    /// Without one, each reply draws another.
    seed: Option<u32>,
    /// What is added to the logits of some tokens.
    logit_bias: Vec<(Token, f32)>,
    /// What the text must look like, in GBNF.
    grammar: Option<String>,
}

/// llama-server's defaults.
impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            seed: None,
            logit_bias: Vec::new(),
            grammar: None,
        }
    }
}

impl Sampling {
    /// What the model's makers recommend, where its file says so, as llama-server takes it.
    pub(crate) fn recommended(header: &Gguf) -> Self {
        let default = Self::default();
        let float = |key: &str, default: f32, allowed: fn(f32) -> bool| {
            let value = header.f32(&format!("general.sampling.{key}"));
            value.filter(|&value| allowed(value)).unwrap_or(default)
        };
        Self {
            temperature: float("temp", default.temperature, non_negative),
            top_k: header.u32("general.sampling.top_k").unwrap_or(default.top_k),
            top_p: float("top_p", default.top_p, fraction),
            min_p: float("min_p", default.min_p, fraction),
            repeat_penalty: float("penalty_repeat", default.repeat_penalty, positive),
            ..default
        }
    }

    /// What a request asks for, over `default`.
    pub(crate) fn of(request: &ChatRequest, default: &Self) -> Result<Self, ApiError> {
        let r = request;
        Ok(Self {
            temperature: checked(
                "temperature",
                r.temperature,
                default.temperature,
                non_negative,
                "must be 0 or more",
            )?,
            top_k: match r.top_k {
                None => default.top_k,
                // 0 or less keeps all tokens.
                Some(k) => u32::try_from(k.clamp(0, i64::from(i32::MAX))).unwrap_or(0),
            },
            top_p: checked("top_p", r.top_p, default.top_p, fraction, "must be from 0 to 1")?,
            min_p: checked("min_p", r.min_p, default.min_p, fraction, "must be from 0 to 1")?,
            repeat_penalty: checked(
                "repeat_penalty",
                r.repeat_penalty,
                default.repeat_penalty,
                positive,
                "must be more than 0",
            )?,
            repeat_last_n: match r.repeat_last_n {
                None => default.repeat_last_n,
                Some(n) => i32::try_from(n).ok().filter(|&n| n >= -1).ok_or_else(|| {
                    let problem = "must be 0 or more, or -1 for the whole context";
                    ApiError::invalid_field("repeat_last_n", problem)
                })?,
            },
            frequency_penalty: checked(
                "frequency_penalty",
                r.frequency_penalty,
                default.frequency_penalty,
                f32::is_finite,
                "too large",
            )?,
            presence_penalty: checked(
                "presence_penalty",
                r.presence_penalty,
                default.presence_penalty,
                f32::is_finite,
                "too large",
            )?,
            // OpenAI's seeds have 64 bits, llama.cpp's 32. -1 asks for a random one.
            seed: match r.seed {
                None => default.seed,
                Some(-1) => None,
                Some(seed) => Some(seed as u32),
            },
            logit_bias: r.logit_bias.as_ref().map_or_else(|| Ok(Vec::new()), logit_bias)?,
            grammar: r.grammar.clone(),
        })
    }

    /// The sampler for a reply to this prompt, which counts for the penalties.
    pub(crate) fn sampler(
        &self,
        model: &Model,
        session: &ChatSession,
        prompt: &Prompt,
        n_ctx: u32,
    ) -> Result<Sampler, ApiError> {
        let mut builder = Sampler::builder().top_k(self.top_k).top_p(self.top_p).min_p(self.min_p);
        for &(token, bias) in &self.logit_bias {
            builder = builder.logit_bias(token, bias);
        }
        if let Some(grammar) = &self.grammar {
            builder = builder.grammar(grammar);
        }
        let last_n = u32::try_from(self.repeat_last_n).unwrap_or(n_ctx).min(n_ctx);
        if self.penalizes() {
            builder =
                builder.penalties(last_n, self.repeat_penalty, self.frequency_penalty, self.presence_penalty);
        }
        let builder = match self.seed {
            _ if self.temperature == 0.0 => builder.greedy(),
            Some(seed) => builder.temperature(self.temperature).seed(seed),
            None => builder.temperature(self.temperature).random(),
        };
        // What cannot be built here, a grammar or a token that is none, came with the request.
        let mut sampler = builder.build_for(model, session).map_err(|e| ApiError::invalid(e.to_string()))?;
        if self.penalizes() {
            let tokens = prompt.chunks().iter().rev().filter_map(|chunk| match chunk {
                Chunk::Text(tokens) => Some(tokens.iter().rev()),
                Chunk::Media(_) => None,
            });
            let mut recent: Vec<_> = tokens.flatten().take(last_n as usize).collect();
            recent.reverse();
            for &token in recent {
                sampler.accept_prompt(token)?;
            }
        }
        Ok(sampler)
    }

    fn penalizes(&self) -> bool {
        self.repeat_last_n != 0
            && (self.repeat_penalty != 1.0 || self.frequency_penalty != 0.0 || self.presence_penalty != 0.0)
    }
}

/// OpenAI's form: an object of token ids and numbers.
fn logit_bias(bias: &Map<String, Value>) -> Result<Vec<(Token, f32)>, ApiError> {
    let entry = |(id, bias): (&String, &Value)| {
        let token = id.parse().map(Token::new).ok()?;
        let bias = bias.as_f64().map(|bias| bias as f32).filter(|bias| bias.is_finite())?;
        Some((token, bias))
    };
    bias.iter()
        .map(|pair| {
            entry(pair).ok_or_else(|| {
                ApiError::invalid_field(format!("logit_bias.{}", pair.0), "expected a token id and a number")
            })
        })
        .collect()
}

fn non_negative(value: f32) -> bool {
    value >= 0.0
}

fn fraction(value: f32) -> bool {
    (0.0..=1.0).contains(&value)
}

fn positive(value: f32) -> bool {
    value > 0.0
}

fn checked(
    field: &str,
    value: Option<f32>,
    default: f32,
    allowed: fn(f32) -> bool,
    rule: &str,
) -> Result<f32, ApiError> {
    match value {
        None => Ok(default),
        // A number such as 1e40 is infinite by now.
        Some(v) if !v.is_finite() => Err(ApiError::invalid_field(field, "too large")),
        Some(v) if !allowed(v) => Err(ApiError::invalid_field(field, rule)),
        Some(v) => Ok(v),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::tests::accepted;

    fn sampling(json: Value) -> Result<Sampling, String> {
        let request: ChatRequest = accepted(json);
        Sampling::of(&request, &Sampling::default()).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn what_is_not_asked_for_is_the_default() {
        assert_eq!(sampling(json!({})), Ok(Sampling::default()));
        assert_eq!(sampling(json!({"seed": -1})), Ok(Sampling::default()));
        let asked = Sampling {
            temperature: 0.0,
            top_k: 0,
            seed: Some(7),
            logit_bias: vec![(Token::new(15), -100.0)],
            ..Sampling::default()
        };
        let json = json!({"temperature": 0, "top_k": -1, "seed": 7, "logit_bias": {"15": -100}});
        assert_eq!(sampling(json), Ok(asked));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let cases = [
            (json!({"temperature": -1}), "temperature: must be 0 or more"),
            (json!({"temperature": 1e39}), "temperature: too large"),
            (json!({"top_p": 1.5}), "top_p: must be from 0 to 1"),
            (json!({"min_p": -0.1}), "min_p: must be from 0 to 1"),
            (json!({"repeat_penalty": 0}), "repeat_penalty: must be more than 0"),
            (json!({"logit_bias": {"x": 1}}), "logit_bias.x: expected a token id and a number"),
            (json!({"logit_bias": {"1": "a"}}), "logit_bias.1: expected a token id and a number"),
            (json!({"repeat_last_n": -2}), "repeat_last_n: must be 0 or more, or -1 for the whole context"),
        ];
        for (json, message) in cases {
            assert_eq!(sampling(json), Err(message.to_owned()));
        }
    }

    #[test]
    fn penalties_cost_nothing_until_asked_for() {
        assert!(!Sampling::default().penalizes());
        assert!(!Sampling { repeat_last_n: 0, repeat_penalty: 2.0, ..Sampling::default() }.penalizes());
        assert!(Sampling { presence_penalty: 0.5, ..Sampling::default() }.penalizes());
    }
}
