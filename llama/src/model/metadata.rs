use crate::gguf::Gguf;

/// What a model's file says about it: the header of its GGUF, typed and without limits on length.
///
/// Dereferences to [`Gguf`], which has the look-ups.
#[derive(Debug)]
pub struct Metadata(Gguf);

impl Metadata {
    pub(super) fn new(header: Gguf) -> Self {
        Self(header)
    }
}

impl std::ops::Deref for Metadata {
    type Target = Gguf;

    fn deref(&self) -> &Gguf {
        &self.0
    }
}
