//! Tokens as the authority issues them.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::keys::{Signer, Signing};
use super::{AUDIENCE, HMAC_ISSUER, ISSUER, unix};

/// How long they live: longer than any run.
const LIFE: u64 = 2 * 3600;
/// The longest life that the log allows.
pub const LONGEST_LIFE: u64 = 3 * 3600;

/// `count` tokens, each of a subject, session and device of its own. Subjects are named by number
/// from `first` on.
///
/// # Errors
/// When signing fails.
pub fn make(signer: &Signer, first: usize, count: usize) -> Result<Vec<String>> {
    (first..first + count).map(|number| signer.token(&claims(signer.signing(), number))).collect()
}

/// The subject of the token with this number.
#[must_use]
pub fn subject(number: usize) -> String {
    format!("user-{number:08}")
}

/// The `jti` of the token with this number.
#[must_use]
pub fn jti(number: usize) -> String {
    format!("0192e4a7-7c31-7def-8a1b-{number:012x}")
}

/// Eleven claims, eight targets.
#[must_use]
pub fn claims(signing: Signing, number: usize) -> Map<String, Value> {
    let now = unix();
    let issuer = if signing == Signing::Hs256 { HMAC_ISSUER } else { ISSUER };
    let claims = json!({
        "iss": issuer, "sub": subject(number), "aud": AUDIENCE, "exp": now + LIFE, "iat": now, "auth_time": now,
        "jti": jti(number), "client_id": "web", "sid": format!("0192e4a7-5b20-7abc-9def-{number:012x}"),
        "device_id": format!("device-{number:08}"), "lpos": "1:1",
    });
    let Value::Object(claims) = claims else { return Map::new() };
    claims
}
