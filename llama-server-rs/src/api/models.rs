//! `GET /v1/models`: the one model there is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::wire::models::{Modalities, ModelEntry, ModelList, ModelMeta};

pub(crate) async fn list(State(app): State<App>) -> Result<Response, ApiError> {
    let loaded = app.hub.ready()?;
    let mut input_modalities = vec!["text"];
    if loaded.projector.as_ref().is_some_and(llama::Projector::supports_vision) {
        input_modalities.push("image");
    }
    let model = &loaded.model;
    Ok(Json(ModelList {
        object: "list",
        data: [ModelEntry {
            id: &loaded.name,
            object: "model",
            created: loaded.created,
            owned_by: "llamacpp",
            aliases: &loaded.aliases,
            architecture: Modalities { input_modalities, output_modalities: ["text"] },
            meta: ModelMeta {
                n_vocab: model.vocab().n_tokens(),
                n_ctx: loaded.n_ctx,
                n_ctx_train: model.n_ctx_train(),
                n_embd: model.n_embd(),
                n_params: model.n_params(),
                size: model.size(),
            },
        }],
    })
    .into_response())
}
