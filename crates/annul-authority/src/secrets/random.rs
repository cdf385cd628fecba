//! Names and secrets that nobody can guess.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

use annul_core::time::UnixMillis;

use crate::error::VerbError;

/// Random bytes from the system's generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], VerbError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| VerbError::NoRandomness)?;
    Ok(bytes)
}

/// A name of nearly 128 random bits: a session, a log. None begins with a hyphen, which a command line would
/// take for a flag.
pub(crate) fn name() -> Result<String, VerbError> {
    loop {
        let name = URL_SAFE_NO_PAD.encode(bytes::<16>()?);
        if !name.starts_with('-') {
            return Ok(name);
        }
    }
}

/// A UUIDv7 (RFC 9562): the `jti` of a token issued now. Its time serves nobody's security.
pub(crate) fn token_id(now: UnixMillis) -> Result<String, VerbError> {
    let random = bytes::<10>()?;
    Ok(Builder::from_unix_timestamp_millis(now.0, &random).into_uuid().to_string())
}

/// The same for a token that takes the place of the one with the id `before`: of the two it is the greater,
/// also when the clock stepped back meanwhile.
pub(crate) fn token_id_after(before: &str, now: UnixMillis) -> Result<String, VerbError> {
    let time = Uuid::parse_str(before).ok().and_then(|id| id.get_timestamp()).map(|time| time.to_unix());
    let before = time.map_or(0, |(seconds, nanos)| seconds * 1000 + u64::from(nanos) / 1_000_000);
    token_id(now.max(UnixMillis(before + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_looks_like_a_flag() {
        // One in 64 would.
        assert!((0..2000).all(|_| !name().unwrap().starts_with('-')));
    }

    #[test]
    fn an_id_that_follows_is_greater_whatever_the_clock_says() {
        let mut id = token_id(UnixMillis(5000)).unwrap();
        for now in [5000, 4000, 9000, 5000] {
            let next = token_id_after(&id, UnixMillis(now)).unwrap();
            assert!(next > id, "{next} after {id}");
            id = next;
        }
        assert!(token_id_after("no id of ours", UnixMillis(7)).is_ok());
    }
}
