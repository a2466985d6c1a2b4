//! The body of `POST /v1/chat/completions`, as OpenAI defines it and llama-server extends it.
//!
//! Types are checked here, by serde, which knows the path of each field; ranges, and what fits
//! together, are checked where the values are used.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChatRequest {
    pub(crate) messages: Option<Vec<Message>>,

    pub(crate) tools: Option<Vec<Tool>>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) response_format: Option<ResponseFormat>,
    pub(crate) json_schema: Option<Value>,
    pub(crate) grammar: Option<String>,

    pub(crate) stream: Option<bool>,
    pub(crate) stream_options: Option<StreamOptions>,
    pub(crate) timings_per_token: Option<bool>,

    pub(crate) max_tokens: Option<i64>,
    pub(crate) max_completion_tokens: Option<i64>,
    pub(crate) n_predict: Option<i64>,
    pub(crate) stop: Option<Stop>,

    pub(crate) temperature: Option<f32>,
    pub(crate) top_k: Option<i64>,
    pub(crate) top_p: Option<f32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) repeat_penalty: Option<f32>,
    pub(crate) repeat_last_n: Option<i64>,
    pub(crate) frequency_penalty: Option<f32>,
    pub(crate) presence_penalty: Option<f32>,
    pub(crate) seed: Option<i64>,
    pub(crate) logit_bias: Option<Map<String, Value>>,

    pub(crate) chat_template_kwargs: Option<Map<String, Value>>,
    pub(crate) reasoning_effort: Option<String>,
    pub(crate) reasoning_format: Option<String>,

    // Known only to be refused: a client that asks for these must not believe it got them.
    pub(crate) n: Option<i64>,
    pub(crate) logprobs: Option<bool>,
    pub(crate) top_logprobs: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct StreamOptions {
    pub(crate) include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    pub(crate) content: Option<Content>,
    pub(crate) reasoning_content: Option<String>,
    pub(crate) tool_calls: Option<Vec<ToolCall>>,
    pub(crate) tool_call_id: Option<String>,
    pub(crate) name: Option<String>,
}

/// A string, or a list of parts.
#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// One part of a message. Which other fields must be there depends on `kind`.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) image_url: Option<ImageUrl>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ImageUrl {
    pub(crate) url: String,
}

/// A call that the model made in an earlier turn.
#[derive(Debug, Deserialize)]
pub(crate) struct ToolCall {
    pub(crate) id: Option<String>,
    pub(crate) function: CalledFunction,
}

#[derive(Debug, Deserialize)]
pub(crate) struct CalledFunction {
    pub(crate) name: String,
    pub(crate) arguments: Option<Arguments>,
}

/// The text of a JSON object, which some clients send as the object itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments(pub(crate) String);

#[derive(Debug, Deserialize)]
pub(crate) struct Tool {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) function: Option<Function>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) parameters: Option<Value>,
}

/// `"auto"`, `"none"`, `"required"`, or one function by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Function(String),
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResponseFormat {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) json_schema: Option<NamedSchema>,
    /// llama-server's way to give `json_object` a schema.
    pub(crate) schema: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedSchema {
    pub(crate) schema: Option<Value>,
}

/// A string or a list of strings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop(pub(crate) Vec<String>);

/// Where serde's own enums would forget the path of the field in which the mistake is, these
/// visitors go on with the deserializer that knows it.
impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(StringOrList::new("a string or a list of parts"))
            .map(|value| value.either(Content::Text, Content::Parts))
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(StringOrList::new("a string or a list of strings"))
            .map(|value| value.either(|stop| Self(vec![stop]), Self))
    }
}

struct StringOrList<T> {
    expected: &'static str,
    item: PhantomData<T>,
}

impl<T> StringOrList<T> {
    fn new(expected: &'static str) -> Self {
        Self { expected, item: PhantomData }
    }
}

enum Either<T> {
    String(String),
    List(Vec<T>),
}

impl<T> Either<T> {
    fn either<R>(self, string: impl FnOnce(String) -> R, list: impl FnOnce(Vec<T>) -> R) -> R {
        match self {
            Self::String(value) => string(value),
            Self::List(values) => list(values),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for StringOrList<T> {
    type Value = Either<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Either::String(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Self::Value, E> {
        Ok(Either::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Either::List)
    }
}

impl<'de> Deserialize<'de> for Arguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Arguments;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string with JSON in it")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Arguments, E> {
                Ok(Arguments(value.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Arguments, A::Error> {
                let object = Map::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Arguments(Value::Object(object).to_string()))
            }
        }

        deserializer.deserialize_any(Object)
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Choice {
            #[serde(rename = "type")]
            kind: String,
            function: Option<ChosenFunction>,
        }

        #[derive(Deserialize)]
        struct ChosenFunction {
            name: String,
        }

        struct Word;

        impl<'de> Visitor<'de> for Word {
            type Value = ToolChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"auto\", \"none\", \"required\" or \
                     {\"type\": \"function\", \"function\": {\"name\": …}}",
                )
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<ToolChoice, E> {
                match word {
                    "auto" => Ok(ToolChoice::Auto),
                    "none" => Ok(ToolChoice::None),
                    "required" => Ok(ToolChoice::Required),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ToolChoice, A::Error> {
                let choice = Choice::deserialize(MapAccessDeserializer::new(map))?;
                match choice {
                    Choice { kind, function: Some(function) } if kind == "function" => {
                        Ok(ToolChoice::Function(function.name))
                    }
                    Choice { kind, .. } => Err(de::Error::invalid_value(de::Unexpected::Str(&kind), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ToolChoice, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Err(de::Error::invalid_type(de::Unexpected::Seq, &self))
            }
        }

        deserializer.deserialize_any(Word)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::tests::{accepted, rejection};

    #[test]
    fn what_clients_send_beside_is_ignored() {
        let request: ChatRequest = accepted(json!({
            "messages": [{"role": "user", "content": "hi", "annotations": []}],
            "store": false, "metadata": {}, "prompt_cache_key": "x", "service_tier": "auto",
        }));
        assert_eq!(request.messages.map(|m| m.len()), Some(1));
    }

    #[test]
    fn null_is_the_same_as_no_field() {
        let request: ChatRequest = accepted(json!({
            "messages": [{"role": "assistant", "content": null, "tool_calls": null, "name": null}],
            "tools": null, "tool_choice": null, "stop": null, "temperature": null, "stream": null,
            "stream_options": null, "response_format": null, "max_tokens": null, "seed": null,
            "logit_bias": null, "chat_template_kwargs": null,
        }));
        assert!(request.tools.is_none() && request.stop.is_none() && request.seed.is_none());
    }

    #[test]
    fn content_is_a_string_or_parts() {
        let request: ChatRequest = accepted(json!({"messages": [
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {}}]},
        ]}));
        let messages = request.messages.unwrap_or_default();
        assert!(matches!(&messages[0].content, Some(Content::Text(text)) if text == "hi"));
        assert!(matches!(&messages[1].content, Some(Content::Parts(parts)) if parts.len() == 1));
    }

    #[test]
    fn a_mistake_is_named_by_its_path() {
        let cases = [
            (r#"{"temperature": "hot"}"#, "temperature: invalid type: string"),
            (r#"{"messages": "hi"}"#, "messages: invalid type: string"),
            (r#"{"messages": [{"content": "hi"}]}"#, "messages[0]: missing field `role`"),
            (r#"{"messages": [{"role": "user", "content": 7}]}"#, "messages[0].content: "),
            (
                r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}"#,
                "messages[0].content[0].text: invalid type: integer `7`",
            ),
            (r#"{"stop": ["a", 1]}"#, "stop[1]: "),
            (r#"{"stream_options": {"include_usage": 1}}"#, "stream_options.include_usage: "),
            (r#"{"tools": [{"function": {}}]}"#, "tools[0].function: missing field `name`"),
            (r#"{"tool_choice": "maybe"}"#, "tool_choice: invalid value: string \"maybe\""),
            (r#"{"tool_choice": {"type": "tool"}}"#, "tool_choice: invalid value: string \"tool\""),
            (r#"{"seed": 1.5}"#, "seed: invalid type: floating point `1.5`"),
        ];
        for (json, start) in cases {
            let message = rejection::<ChatRequest>(json);
            assert!(message.starts_with(start), "{json}: {message}");
        }
    }

    #[test]
    fn arguments_come_as_text_or_as_an_object() {
        let text: Arguments = accepted(json!("{\"a\": 1}"));
        assert_eq!(text.0, "{\"a\": 1}");
        let object: Arguments = accepted(json!({"b": 1, "a": [2]}));
        assert_eq!(object.0, "{\"b\":1,\"a\":[2]}");
    }

    #[test]
    fn a_function_is_chosen_by_name() {
        let choice: ToolChoice = accepted(json!({"type": "function", "function": {"name": "f"}}));
        assert_eq!(choice, ToolChoice::Function("f".into()));
    }

    #[test]
    fn stop_is_a_string_or_a_list() {
        assert_eq!(accepted::<Stop>(json!("x")), Stop(vec!["x".into()]));
        assert_eq!(accepted::<Stop>(json!(["x", "y"])), Stop(vec!["x".into(), "y".into()]));
    }
}
