//! The shell against a stub of the authority: a real feed, signed and served over HTTP, without the
//! authority's store and rules. What only whole processes can show is in `scenarios/`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod asking;
mod client;
mod holding;
mod layer;
mod relay;
mod senders;
mod starting;
mod stub;
mod tokens;
mod verifier;
mod watching;
