//! The authority over real HTTP on loopback, on both stores.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod access;
mod bounds;
mod certificates;
mod clients;
mod discovery;
mod dpop;
mod feed;
mod issuers;
mod lifecycle;
mod oauth;
mod running;
mod signer;
mod verbs;
