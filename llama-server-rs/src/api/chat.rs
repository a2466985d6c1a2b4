//! `POST /v1/chat/completions`.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use llama::Delta;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::error::ApiError;
use crate::hub::{self, Loaded};
use crate::sse;
use crate::wire::Body;
use crate::wire::chat::ChatRequest;
use crate::wire::completion::{
    Choice, Chunk, ChunkChoice, Completion, Extra, FinishReason, Function, Head, Measured, Message, ToolCall,
    Usage,
};
use crate::worker::{Done, End, Event, Reply};

pub(crate) async fn completions(
    State(app): State<App>,
    Body(request): Body<ChatRequest>,
) -> Result<Response, ApiError> {
    let model = app.hub.ready()?;
    let head = new_head(model);
    let stream = request.stream.unwrap_or(false);
    let include_usage =
        request.stream_options.as_ref().and_then(|options| options.include_usage).unwrap_or(false);
    let timings_per_token = request.timings_per_token.unwrap_or(false);

    let reply = model.submit(request).await?;
    Ok(if stream {
        sse::respond(reply, Chunks::new(head, include_usage, timings_per_token))
    } else {
        Json(collect(reply, head).await?).into_response()
    })
}

fn new_head(model: &Loaded) -> Head {
    // Clients tell replies apart by their ids; nothing depends on their being hard to guess.
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    Head {
        id: format!("chatcmpl-{random}"),
        created: hub::now(),
        model: model.name.clone(),
        system_fingerprint: llama::build_info(),
    }
}

/// Waits for the whole reply.
async fn collect(mut reply: Reply, head: Head) -> Result<Completion, ApiError> {
    let mut collected = Collected::default();
    loop {
        match reply.next().await {
            Event::Step { deltas, .. } => deltas.into_iter().for_each(|delta| collected.add(delta)),
            Event::Done(done) => return Ok(collected.into_completion(head, done)),
            Event::Failed(failure) => return Err(failure.into()),
        }
    }
}

/// A message put together from its deltas.
#[derive(Debug, Default)]
struct Collected {
    content: String,
    reasoning: String,
    tool_calls: Vec<ToolCall>,
}

impl Collected {
    fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Content(text) => self.content.push_str(&text),
            Delta::Reasoning(text) => self.reasoning.push_str(&text),
            Delta::ToolCall { index, id, name, arguments } => {
                while self.tool_calls.len() <= index {
                    self.tool_calls.push(ToolCall {
                        id: String::new(),
                        kind: "function",
                        function: Function::default(),
                    });
                }
                let call = &mut self.tool_calls[index];
                if let Some(id) = id {
                    call.id = id;
                }
                call.function.name.push_str(name.as_deref().unwrap_or_default());
                call.function.arguments.push_str(&arguments);
            }
        }
    }

    fn into_completion(self, head: Head, done: Done) -> Completion {
        let finish_reason = finish_reason(done.end, !self.tool_calls.is_empty());
        // Beside a call, no text is null rather than empty.
        let content = (!self.content.is_empty() || self.tool_calls.is_empty()).then_some(self.content);
        let message = Message {
            role: "assistant",
            content,
            reasoning_content: (!self.reasoning.is_empty()).then_some(self.reasoning),
            tool_calls: self.tool_calls,
        };
        Completion {
            object: "chat.completion",
            head,
            choices: [Choice { index: 0, message, finish_reason }],
            usage: usage(&done.measured),
            timings: done.measured.into(),
            x_llama: extra(done.parse_error),
        }
    }
}

/// A reply that ends where it should ends with its calls, if it has any.
fn finish_reason(end: End, called: bool) -> FinishReason {
    match end {
        End::Length => FinishReason::Length,
        End::Stop if called => FinishReason::ToolCalls,
        End::Stop => FinishReason::Stop,
    }
}

fn usage(measured: &Measured) -> Usage {
    Usage::new(measured.prompt_tokens, measured.cached_tokens, measured.predicted_tokens)
}

fn extra(parse_error: Option<String>) -> Option<Extra> {
    parse_error.map(|parse_error| Extra { parse_error })
}

/// The chunks of a streamed reply.
#[derive(Debug)]
struct Chunks {
    head: Head,
    include_usage: bool,
    timings_per_token: bool,
    started: bool,
    called: bool,
}

impl Chunks {
    fn new(head: Head, include_usage: bool, timings_per_token: bool) -> Self {
        Self { head, include_usage, timings_per_token, started: false, called: false }
    }

    fn chunk(&self, delta: Value, finish_reason: Option<FinishReason>) -> Chunk<'_> {
        Chunk {
            object: "chat.completion.chunk",
            head: &self.head,
            choices: vec![ChunkChoice { index: 0, delta, finish_reason }],
            usage: None,
            timings: None,
            x_llama: None,
        }
    }

    /// The first chunk, which says who speaks, once.
    fn start(&mut self, out: &mut VecDeque<SseEvent>) {
        if !std::mem::replace(&mut self.started, true) {
            out.push_back(data(&self.chunk(json!({"role": "assistant", "content": null}), None)));
        }
    }

    fn step(&mut self, deltas: Vec<Delta>, measured: Measured, out: &mut VecDeque<SseEvent>) {
        for delta in deltas {
            let delta = match delta {
                Delta::Content(text) => json!({"content": text}),
                Delta::Reasoning(text) => json!({"reasoning_content": text}),
                Delta::ToolCall { index, id, name, arguments } => {
                    self.called = true;
                    json!({"tool_calls": [tool_call(index, id, name, arguments)]})
                }
            };
            let mut chunk = self.chunk(delta, None);
            chunk.timings = self.timings_per_token.then(|| measured.into());
            out.push_back(data(&chunk));
        }
    }

    /// The finish, the usage if it was asked for, and the timings on whichever comes last.
    fn finish(&self, done: Done, out: &mut VecDeque<SseEvent>) {
        let mut last = self.chunk(json!({}), Some(finish_reason(done.end, self.called)));
        last.x_llama = extra(done.parse_error);
        if self.include_usage {
            out.push_back(data(&last));
            last = self.chunk(Value::Null, None);
            last.choices.clear();
            last.usage = Some(usage(&done.measured));
        }
        last.timings = Some(done.measured.into());
        out.push_back(data(&last));
    }
}

impl sse::Encode for Chunks {
    fn encode(&mut self, event: Event, out: &mut VecDeque<SseEvent>) {
        match event {
            Event::Step { deltas, measured } => {
                self.start(out);
                self.step(deltas, measured, out);
                return;
            }
            Event::Done(done) => {
                self.start(out);
                self.finish(done, out);
            }
            Event::Failed(failure) => out.push_back(data(&ApiError::from(failure).body())),
        }
        out.push_back(SseEvent::default().data("[DONE]"));
    }
}

/// The id and the name come once, with the first piece of the call.
fn tool_call(index: usize, id: Option<String>, name: Option<String>, arguments: String) -> Value {
    let mut function = serde_json::Map::new();
    let mut call = serde_json::Map::from_iter([("index".to_owned(), index.into())]);
    if let Some(id) = id {
        call.insert("id".into(), id.into());
        call.insert("type".into(), "function".into());
    }
    if let Some(name) = name {
        function.insert("name".into(), name.into());
    }
    function.insert("arguments".into(), arguments.into());
    call.insert("function".into(), function.into());
    call.into()
}

fn data(json: &impl Serialize) -> SseEvent {
    match serde_json::to_string(json) {
        Ok(json) => SseEvent::default().data(json),
        // These types have nothing that JSON lacks.
        Err(e) => SseEvent::default().comment(e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: usize, id: Option<&str>, name: Option<&str>, arguments: &str) -> Delta {
        Delta::ToolCall {
            index,
            id: id.map(str::to_owned),
            name: name.map(str::to_owned),
            arguments: arguments.to_owned(),
        }
    }

    #[test]
    fn deltas_add_up_to_a_message() {
        let mut collected = Collected::default();
        for delta in [
            Delta::Reasoning("hm".into()),
            Delta::Reasoning("m".into()),
            Delta::Content("a".into()),
            Delta::Content("b".into()),
            call(0, Some("c0"), Some("f"), ""),
            call(0, None, None, "{\"x\":"),
            call(0, None, None, "1}"),
            call(1, Some("c1"), Some("g"), "{}"),
        ] {
            collected.add(delta);
        }
        assert_eq!((collected.reasoning.as_str(), collected.content.as_str()), ("hmm", "ab"));
        let calls: Vec<_> = collected
            .tool_calls
            .iter()
            .map(|c| (c.id.as_str(), c.function.name.as_str(), c.function.arguments.as_str()))
            .collect();
        assert_eq!(calls, [("c0", "f", "{\"x\":1}"), ("c1", "g", "{}")]);
    }

    #[test]
    fn a_call_that_is_cut_off_is_not_offered_as_one_to_make() {
        assert_eq!(finish_reason(End::Stop, true), FinishReason::ToolCalls);
        assert_eq!(finish_reason(End::Length, true), FinishReason::Length);
        assert_eq!(finish_reason(End::Stop, false), FinishReason::Stop);
    }

    #[test]
    fn a_calls_id_and_name_come_once() {
        let first = tool_call(0, Some("c0".into()), Some("f".into()), String::new());
        let expected = json!({
            "index": 0, "id": "c0", "type": "function", "function": {"name": "f", "arguments": ""},
        });
        assert_eq!(first, expected);
        let next = tool_call(0, None, None, "{".into());
        assert_eq!(next, json!({"index": 0, "function": {"arguments": "{"}}));
    }
}
