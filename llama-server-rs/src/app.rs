//! The routes, what they share, and what stands in front of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use crate::api;
use crate::auth;
use crate::config::ApiKeys;
use crate::error::ApiError;
use crate::hub::Hub;

/// Largest body in bytes: a conversation with some screenshots in base64.
const MAX_BODY: usize = 64 << 20;

/// What every handler can use.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) api_keys: Arc<ApiKeys>,
    /// On a loopback address, the name that the server was given.
    pub(crate) loopback_host: Option<Arc<str>>,
}

/// Each path is served with and without `/v1`, as in llama-server.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/health", get(api::health::health))
        .route("/v1/health", get(api::health::health))
        .route("/models", get(api::models::list))
        .route("/v1/models", get(api::models::list))
        .route("/chat/completions", post(api::chat::completions))
        .route("/v1/chat/completions", post(api::chat::completions))
        .fallback(|| async { ApiError::no_such_path() })
        .method_not_allowed_fallback(|| async { ApiError::wrong_method() })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        // The last layer is asked first.
        .layer(middleware::from_fn_with_state(app.clone(), require_model))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_key))
        .layer(middleware::from_fn_with_state(app.clone(), auth::require_own_host))
        .with_state(app)
}

/// While the model is loading, every path says so.
async fn require_model(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    app.hub.ready()?;
    Ok(next.run(request).await)
}
