//! What goes wrong: at start, and while answering a request.

use std::fmt;
use std::io;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::wire::error::{ErrorBody, ErrorDetail, Overflow};
use crate::worker::Failure;

/// Why a server could not start, in one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{}", describe_bind(host, *port, source))]
    Bind {
        /// As configured.
        host: String,
        /// As configured.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Settings that contradict each other or the model.
    #[error("{0}")]
    Config(String),
    /// A model file cannot be used.
    #[error(transparent)]
    Model(#[from] llama::Error),
    /// The built-in model could not be written to a temporary directory.
    #[error("cannot unpack the built-in model: {0}")]
    Unpack(io::Error),
    /// Serving failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The thread that loads the model ended early.
    #[error("loading the model failed: {0}")]
    Crashed(&'static str),
}

fn describe_bind(host: &str, port: u16, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} on {host} is in use: choose another with --port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("no permission to listen on port {port}: choose one above 1023 with --port")
        }
        _ => format!("cannot listen on {host}, port {port}: {source}"),
    }
}

/// An answer other than success. The body is OpenAI's.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    overflow: Option<Overflow>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), overflow: None }
    }

    /// The request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// The request is wrong in this field, named by its path in the body.
    pub(crate) fn invalid_field(field: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::invalid(format!("{field}: {problem}"))
    }

    pub(crate) fn unreadable_body(status: StatusCode, message: String) -> Self {
        Self::new(status, "invalid_request_error", message)
    }

    pub(crate) fn wrong_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", "Invalid API Key")
    }

    pub(crate) fn foreign_host() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "permission_error",
            "the Host header names another machine: this server answers to localhost only",
        )
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", "File Not Found")
    }

    pub(crate) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            "this path does not take this method",
        )
    }

    pub(crate) fn loading() -> Self {
        Self::unavailable("Loading model")
    }

    pub(crate) fn queue_full() -> Self {
        Self::unavailable("too many requests are waiting")
    }

    pub(crate) fn shutting_down() -> Self {
        Self::unavailable("the server is shutting down")
    }

    fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The body, also sent as an event when a stream is already under way.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.status.as_u16(),
                message: self.message.clone(),
                kind: self.kind,
                overflow: self.overflow,
            },
        }
    }
}

impl From<llama::Error> for ApiError {
    fn from(e: llama::Error) -> Self {
        match e {
            llama::Error::PromptTooLong { n_prompt, n_ctx } => Self {
                overflow: Some(Overflow { n_prompt_tokens: n_prompt, n_ctx }),
                ..Self::new(StatusCode::BAD_REQUEST, "exceed_context_size_error", e.to_string())
            },
            e if e.is_invalid_input() => Self::invalid(e.to_string()),
            e => Self::internal(e.to_string()),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Llama(e) => e.into(),
            Failure::Panicked => Self::internal("this request failed unexpectedly"),
            Failure::ShuttingDown => Self::shutting_down(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_body_is_openais() {
        let body = serde_json::to_value(ApiError::wrong_key().body()).expect("JSON");
        let expected = json!({"error": {
            "code": 401, "message": "Invalid API Key", "type": "authentication_error",
        }});
        assert_eq!(body, expected);
    }

    #[test]
    fn an_overlong_prompt_says_by_how_much_in_words_that_agents_know() {
        let e = ApiError::from(llama::Error::PromptTooLong { n_prompt: 20, n_ctx: 10 });
        let body = serde_json::to_value(e.body()).expect("JSON");
        assert_eq!(body["error"]["type"], "exceed_context_size_error");
        assert_eq!(body["error"]["n_prompt_tokens"], 20);
        assert_eq!(body["error"]["n_ctx"], 10);
        assert!(e.message().contains("exceeds the available context size"));
    }
}
