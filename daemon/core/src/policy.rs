//! What is worth moving.
mod config;
pub use config::{ConfigError, PolicyConfig};
