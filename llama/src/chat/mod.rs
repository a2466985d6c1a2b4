//! Conversations: messages in, a prompt for the model; its text in, deltas of a reply.

mod message;
mod session;
mod templates;

pub use message::{Chat, Content, Message, ResponseFormat, Role, Tool, ToolCall, ToolChoice};
pub use session::{ChatSession, Delta, Finish, RenderedPart};
pub use templates::ChatTemplates;
