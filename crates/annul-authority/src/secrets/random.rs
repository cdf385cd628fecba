//! Names and secrets that nobody can guess.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Builder;

use annul_core::time::UnixMillis;

use crate::error::VerbError;

/// Random bytes from the system's generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], VerbError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| VerbError::NoRandomness)?;
    Ok(bytes)
}

/// A name of 128 random bits: a session, a log.
pub(crate) fn name() -> Result<String, VerbError> {
    bytes::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}

/// A UUIDv7 (RFC 9562): the `jti` of a token issued now. Its time serves nobody's security.
pub(crate) fn token_id(now: UnixMillis) -> Result<String, VerbError> {
    let random = bytes::<10>()?;
    Ok(Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().to_string())
}
