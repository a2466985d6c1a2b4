//! The server over real HTTP, with the built-in model.

mod answers;
mod client;
mod errors;
mod images;
mod lifecycle;
mod limits;
mod load;
mod streaming;
mod tools;
