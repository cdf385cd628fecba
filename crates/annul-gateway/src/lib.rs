//! annul for what is not written in Rust: a proxy asks here whether a request's token is good.
//!
//! ```text
//! proxy    -> /v1/auth         forward-auth: 200 with X-Annul-* headers, or 401, 403, 503
//! service  -> /v1/introspect   RFC 7662, answered from this process's own view
//! verifier -> /v1/feed/*       the authority's feed, relayed with its true age
//! ```
//!
//! The gateway holds one verifier and translates. It decides nothing of its own, and what it cannot
//! know it answers with 503, as every verifier does.
#![forbid(unsafe_code)]
// What comes from outside is never believed to be long enough.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::unwrap_used))]

pub mod config;
mod connections;
mod credential;
mod feed;
mod forward_auth;
mod health;
mod introspect;
mod reply;
mod serve;

pub use config::{Config, ConfigError};
pub use serve::{Notice, ServeError, serve};
