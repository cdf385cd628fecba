//! Nonces for DPoP proofs, which nobody has to remember: each is the time it was made at, sealed.
//!
//! ```text
//! nonce = base64url( iv (12) | AES-256-GCM(seconds since 1970 (8), key derived from the master key) | tag (16) )
//! ```
//!
//! Every authority with the same master key accepts what any of them made. No two are the same, and
//! none can be guessed or made elsewhere.

use annul_core::time::UnixSeconds;
use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::sealing::{MasterKey, SealError};

/// Seconds for which a nonce is accepted: long enough for a slow answer and the request after it.
pub const NONCE_LIFE: u64 = 120;
/// Characters of a nonce; longer ones are none of ours.
const NONCE_TEXT: usize = 48;
/// Bytes of the initialisation vector in front.
const IV_BYTES: usize = 12;

/// Makes nonces and knows its own.
pub struct Nonces {
    key: RandomizedNonceKey,
}

impl Nonces {
    /// Those of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        let key = master.derived("annul dpop nonce v0");
        Self { key: RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("AES-256 takes the 32 bytes of a derived key") }
    }

    /// A nonce that is accepted from now on for [`NONCE_LIFE`] seconds.
    pub fn make(&self, now: UnixSeconds) -> Result<String, SealError> {
        let mut sealed = now.0.to_be_bytes().to_vec();
        let iv = self.key.seal_in_place_append_tag(Aad::empty(), &mut sealed).map_err(|_| SealError::NoRandomness)?;
        Ok(URL_SAFE_NO_PAD.encode([iv.as_ref().as_slice(), &sealed].concat()))
    }

    /// Whether the text is a nonce that was made here, and not too long ago. A clock that was put back
    /// makes none of them too old, but one from further ahead than they live is not accepted.
    #[must_use]
    pub fn accepts(&self, text: &str, now: UnixSeconds) -> bool {
        let made = if text.len() == NONCE_TEXT { self.made(text) } else { None };
        made.is_some_and(|made| made.plus(NONCE_LIFE) >= now && made <= now.plus(NONCE_LIFE))
    }

    fn made(&self, text: &str) -> Option<UnixSeconds> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (iv, sealed) = bytes.split_at_checked(IV_BYTES)?;
        let iv = Nonce::try_assume_unique_for_key(iv).ok()?;
        let mut sealed = sealed.to_vec();
        let seconds = self.key.open_in_place(iv, Aad::empty(), &mut sealed).ok()?;
        let seconds: [u8; 8] = (&*seconds).try_into().ok()?;
        Some(UnixSeconds(u64::from_be_bytes(seconds)))
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

    fn nonces(master: u8) -> Nonces {
        Nonces::new(&MasterKey::from_bytes([master; 32]))
    }

    #[test]
    fn dp_6_a_nonce_is_accepted_by_every_authority_of_its_master_key_and_for_its_time() {
        let nonce = nonces(7).make(NOW).unwrap();
        let accepts = |now| nonces(7).accepts(&nonce, now);
        assert!(accepts(NOW) && accepts(NOW.plus(NONCE_LIFE)) && accepts(NOW.minus(30)));
        assert!(!accepts(NOW.plus(NONCE_LIFE + 1)));
        assert!(!accepts(NOW.minus(NONCE_LIFE + 1)));
        assert!(!nonces(8).accepts(&nonce, NOW), "another master key");
    }

    #[test]
    fn dp_6_nonces_cannot_be_foreseen_or_changed() {
        let nonces = nonces(7);
        let made: std::collections::HashSet<String> = (0..1000).map(|_| nonces.make(NOW).unwrap()).collect();
        assert_eq!(made.len(), 1000);
        let nonce = nonces.make(NOW).unwrap();
        for index in 0..nonce.len() {
            let mut other = nonce.clone().into_bytes();
            other[index] = if other[index] == b'A' { b'B' } else { b'A' };
            assert!(!nonces.accepts(std::str::from_utf8(&other).unwrap(), NOW), "character {index}");
        }
        for text in ["", "n", &nonce[1..], &format!("{nonce}A")] {
            assert!(!nonces.accepts(text, NOW), "{text:?}");
        }
    }
}
