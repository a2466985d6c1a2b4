//! The JSON that goes over the wire, as types.
//!
//! Requests follow two rules: a field that is not known here is ignored, because clients send
//! many, and an explicit `null` is the same as no field.

pub(crate) mod chat;
pub(crate) mod completion;
pub(crate) mod error;
pub(crate) mod models;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A request body. Whatever is wrong with it is said in OpenAI's form, with the field's name; the
/// content type is not looked at, as in llama-server.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|rejection| ApiError::unreadable_body(rejection.status(), rejection.body_text()))?;
        // serde would take a list for an object's fields in their order.
        if bytes.trim_ascii_start().starts_with(b"[") {
            return Err(ApiError::invalid("the body: expected a JSON object"));
        }
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        if e.inner().is_data() {
            match e.path().to_string().as_str() {
                "." => ApiError::invalid_field("the body", e.inner()),
                path => ApiError::invalid_field(path, e.inner()),
            }
        } else {
            ApiError::invalid(format!("the body is not valid JSON: {}", e.inner()))
        }
    })?;
    deserializer.end().map_err(|e| ApiError::invalid(format!("the body is not valid JSON: {e}")))?;
    Ok(value)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a bad body is answered with.
    pub(crate) fn rejection<T: DeserializeOwned>(json: &str) -> String {
        match parse::<T>(json.as_bytes()) {
            Ok(_) => panic!("accepted: {json}"),
            Err(e) => e.message().to_owned(),
        }
    }

    pub(crate) fn accepted<T: DeserializeOwned>(json: serde_json::Value) -> T {
        parse(json.to_string().as_bytes()).unwrap_or_else(|e| panic!("{}: {json}", e.message()))
    }

    #[test]
    fn text_that_is_no_json_is_told_apart_from_a_bad_field() {
        let cases = [
            ("{", "the body is not valid JSON: EOF"),
            ("", "the body is not valid JSON: EOF"),
            ("{} {}", "the body is not valid JSON: trailing"),
            ("7", "the body: invalid type: integer `7`"),
        ];
        for (json, start) in cases {
            let message = rejection::<chat::ChatRequest>(json);
            assert!(message.starts_with(start), "{json}: {message}");
        }
    }
}
