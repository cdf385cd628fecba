//! Tokens: what is accepted, what is refused and under which code, and what a token's targets are.
//!
//! Test names lead with the id of the requirement (docs/reference/strictness.md lists them).
#![allow(clippy::unwrap_used, reason = "a test may fail by panic, also inside what it shares with others")]

mod claims;
mod differential;
mod dpop;
mod form;
mod keys;
mod kinds;
mod mutation;
mod published;
mod signatures;
mod signing;
mod targets;
mod vectors;
