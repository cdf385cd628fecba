//! What annul needs to be measured: keys, tokens, revocations, an authority, a verifier.

pub mod authority;
pub mod cells;
pub mod keys;
pub mod process;
pub mod random;
pub mod standin;
pub mod tokens;
pub mod view;
pub mod workspace;

use std::time::{SystemTime, UNIX_EPOCH};

/// The issuer whose log it is.
pub const ISSUER: &str = "https://auth.bench.example";
/// An issuer that signs by HMAC; its secret is in the verifier's configuration.
pub const HMAC_ISSUER: &str = "https://hmac.bench.example";
/// Whom all tokens are for.
pub const AUDIENCE: &str = "shop";

/// The wall clock, in whole seconds.
#[must_use]
pub fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
