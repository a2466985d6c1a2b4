//! The endpoints, a file for each family.

pub(crate) mod chat;
pub(crate) mod health;
pub(crate) mod models;
