//! Replies as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use crate::worker::{Event, Reply};

/// A comment this often keeps the connection alive through a long prompt, as in llama-server.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How an API puts a reply into events.
pub(crate) trait Encode: Send + 'static {
    /// The events for one of the worker's; none, one or several.
    fn encode(&mut self, event: Event, out: &mut VecDeque<SseEvent>);
}

/// Answers with the headers at once and the events as they come. When the client goes away, the
/// stream is dropped, and the reply in it, which cancels it.
pub(crate) fn respond(reply: Reply, encoder: impl Encode) -> Response {
    struct Stream<E> {
        /// `None` after the last event.
        reply: Option<Reply>,
        encoder: E,
        ready: VecDeque<SseEvent>,
    }

    let start = Stream { reply: Some(reply), encoder, ready: VecDeque::new() };
    let events = stream::unfold(start, |mut stream| async {
        loop {
            if let Some(event) = stream.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), stream));
            }
            let event = stream.reply.as_mut()?.next().await;
            if matches!(event, Event::Done(_) | Event::Failed(_)) {
                stream.reply = None;
            }
            stream.encoder.encode(event, &mut stream.ready);
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
