//! The pure core of annul: what a token is, what a revocation is, and when one meets the other.
//!
//! Nothing in this crate does I/O, reads a clock or draws a random number. Time comes in as an
//! argument, bytes come in as arguments, and the protocol machines answer a step with what to do.
//!
//! ```text
//! bytes -> UnverifiedToken -> VerifiedToken -> View::check -> Verdict -> Policy -> Decision
//! ```
//!
//! Three verbs, never mixed: **verify** (signature and claims: immutable facts), **check** (the live
//! view) and **decide** (policy).
#![forbid(unsafe_code)]
// What comes from outside is never believed to be long enough.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::unwrap_used))]

pub mod algebra;
pub mod feed;
pub mod fold;
pub mod packed;
pub mod policy;
pub mod position;
pub mod record;
pub mod settings;
pub mod target;
pub mod time;
pub mod token;
pub mod trust;
pub mod verdict;
pub mod view;

pub use token::{
    Algorithm, Claims, Expect, Facts, JwkError, Key, KeySet, TokenError, UnverifiedToken, VerifiedToken, verify_jws,
};
