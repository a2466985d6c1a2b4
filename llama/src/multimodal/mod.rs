//! Images beside text.

mod image;
mod projector;
mod prompt;

pub use image::{Image, ImageLimits};
pub use projector::{Projector, ProjectorOptions};
pub use prompt::{Chunk, Media, Prompt};
