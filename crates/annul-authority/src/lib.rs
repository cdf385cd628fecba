//! The only writer: sessions, signing keys, the revocation log and its feed, over HTTP.
// What comes from outside is never believed to be long enough.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::unwrap_used))]

mod admission;
pub mod authority;
mod caller;
pub mod client_certificate;
pub mod clock;
pub mod config;
pub mod connections;
mod distinguished_name;
pub mod error;
pub mod feed;
pub mod http;
pub mod jwks_fetch;
mod known_clients;
mod log;
pub mod metrics;
pub mod model;
mod own_view;
pub mod secrets;
pub mod serve;
mod setup;
pub mod span;
mod standing;
pub mod store;
pub mod verbs;

pub use serve::{ServeError, run, serve};
