//! The only writer: sessions, signing keys, the revocation log and its feed, over HTTP.

pub mod accounts;
pub mod audit;
pub mod authority;
pub mod bounds;
mod caller;
pub mod clients;
pub mod clock;
pub mod config;
pub mod connections;
pub mod error;
pub mod feed;
pub mod http;
pub mod issuers;
pub mod jwks_fetch;
pub mod keys;
mod log;
pub mod metrics;
mod minting;
pub mod model;
pub mod passwords;
mod private_file;
mod random;
pub mod revocations;
pub mod sealing;
pub mod secret;
pub mod serve;
pub mod sessions;
pub mod settings;
mod setup;
pub mod signing;
pub mod span;
mod standing;
pub mod store;
pub mod subjects;
pub mod tokens;

pub use serve::{ServeError, run, serve};
