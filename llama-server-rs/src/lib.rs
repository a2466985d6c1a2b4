//! A server for one model of llama.cpp, over OpenAI's HTTP API: a drop-in for `llama-server`.
//!
//! The program is a few lines around this library, so that an application can run the same server
//! inside itself:
//!
//! ```no_run
//! # async fn run() -> Result<(), llama_server_rs::StartError> {
//! use llama_server_rs::{Config, Server};
//!
//! let config = Config { model: Some("model.gguf".into()), port: 0, ..Config::default() };
//! let server = Server::bind(config).await?;
//! println!("listening on http://{}", server.local_addr());
//! server.run(std::future::pending()).await
//! # }
//! ```

#![forbid(unsafe_code)]

mod api;
mod app;
mod auth;
pub mod cli;
mod config;
#[cfg(feature = "embedded-model")]
mod embedded;
mod error;
mod hub;
mod queue;
mod reader;
mod sampling;
mod server;
mod sse;
mod stop;
mod task;
mod wire;
mod worker;

pub use config::{ApiKeys, Config};
pub use error::StartError;
pub use hub::Summary;
pub use server::Server;
