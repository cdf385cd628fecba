//! The authority over real HTTP on loopback, on both stores.
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod access;
mod bound;
mod bounds;
mod certificates;
mod clients;
mod discovery;
mod dpop;
mod exchange;
mod feed;
mod introspection;
mod issuers;
mod lifecycle;
mod logout;
mod metadata;
mod oauth;
mod oauth_world;
mod revocation;
mod running;
mod signer;
mod verbs;
