//! `GET /health`: whether requests would be answered.

use axum::Json;
use serde_json::{Value, json};

/// Reached only when the model is loaded; before, every path answers 503.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}
