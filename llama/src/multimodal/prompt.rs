use std::sync::Arc;

use super::projector::RawChunk;
use super::{Image, Projector};
use crate::Token;

/// A prompt ready to compute: tokens, and images between them.
#[derive(Debug, Clone, Default)]
pub struct Prompt {
    chunks: Vec<Chunk>,
}

/// A stretch of a [`Prompt`].
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Text.
    Text(Vec<Token>),
    /// An image that the projector has cut to measure and not encoded yet.
    Media(Media),
}

/// One image of a prompt, or a tile of one.
#[derive(Debug, Clone)]
pub struct Media {
    pub(super) projector: Projector,
    pub(super) chunk: Arc<RawChunk>,
    pub(super) id: Arc<str>,
    pub(super) n_tokens: usize,
    pub(super) n_positions: u32,
}

impl Media {
    /// Names the content: equal for equal pixels.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Tokens that the image takes in the context.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Positions that the image takes in its sequence; fewer than tokens where the model counts
    /// them in two dimensions.
    pub fn n_positions(&self) -> u32 {
        self.n_positions
    }
}

impl Prompt {
    /// Adds text.
    pub fn push_tokens(&mut self, tokens: impl IntoIterator<Item = Token>) {
        let mut tokens = tokens.into_iter().peekable();
        if tokens.peek().is_none() {
            return;
        }
        match self.chunks.last_mut() {
            Some(Chunk::Text(last)) => last.extend(tokens),
            _ => self.chunks.push(Chunk::Text(tokens.collect())),
        }
    }

    pub(super) fn push_media(&mut self, media: Media) {
        self.chunks.push(Chunk::Media(media));
    }

    /// Adds an image.
    ///
    /// # Errors
    ///
    /// [`Error::Projector`](crate::Error::Projector) when the projector cannot take it.
    pub fn push_image(&mut self, projector: &Projector, image: &Image) -> crate::Result<()> {
        projector.tokenize(image, self)
    }

    /// The stretches in order.
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Tokens in the context, those of images included.
    pub fn n_tokens(&self) -> usize {
        self.chunks
            .iter()
            .map(|chunk| match chunk {
                Chunk::Text(tokens) => tokens.len(),
                Chunk::Media(media) => media.n_tokens,
            })
            .sum()
    }

    /// Whether the prompt has images.
    pub fn has_media(&self) -> bool {
        self.chunks.iter().any(|chunk| matches!(chunk, Chunk::Media(_)))
    }
}

impl From<Vec<Token>> for Prompt {
    fn from(tokens: Vec<Token>) -> Self {
        let mut prompt = Self::default();
        prompt.push_tokens(tokens);
        prompt
    }
}
