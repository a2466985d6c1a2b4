//! The answer to `GET /v1/models`.

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct ModelList<'a> {
    pub(crate) object: &'static str,
    pub(crate) data: [ModelEntry<'a>; 1],
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelEntry<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: u64,
    pub(crate) owned_by: &'static str,
    pub(crate) aliases: &'a [String],
    pub(crate) architecture: Modalities,
    pub(crate) meta: ModelMeta,
}

/// What the model takes and gives.
#[derive(Debug, Serialize)]
pub(crate) struct Modalities {
    pub(crate) input_modalities: Vec<&'static str>,
    pub(crate) output_modalities: [&'static str; 1],
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ModelMeta {
    pub(crate) n_vocab: u32,
    pub(crate) n_ctx: u32,
    pub(crate) n_ctx_train: u32,
    pub(crate) n_embd: u32,
    pub(crate) n_params: u64,
    pub(crate) size: u64,
}
