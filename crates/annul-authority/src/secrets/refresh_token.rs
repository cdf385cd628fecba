//! Refresh tokens: their text, their MAC, and the sealing of a successor.
//!
//! ```text
//! text      = "annul_rt_" | base64url(sid (16) | generation (4, big endian) | secret (32) | MAC (16)) | checksum
//! MAC       = BLAKE3 keyed by a key derived from the master key, over what stands before it, 16 bytes
//! checksum  = CRC-32 of all before it as six digits of base 62
//! successor = nonce (12) | AES-256-GCM(its secret, key derived from the spent secret, aad = sid | generation) | tag (16)
//! ```
//!
//! The MAC tells a genuine token of any generation without a look at the store, so a forged one costs
//! nothing and ends nothing. The checksum tells scanners for leaked secrets what is no token at all.
//! Of a secret only a hash is kept, so neither the database nor the database and the master key give a
//! token; a sealed successor opens with the spent token alone.

use std::fmt;

use annul_core::token::opaque::{CHECKSUM, checksum};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::VerbError;
use crate::secrets::random;
use crate::secrets::sealing::{MasterKey, SealError};
use crate::secrets::secret::Secret;

/// What every refresh token begins with, so that scanners for leaked secrets find it.
const PREFIX: &str = "annul_rt_";
const SID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const MAC_BYTES: usize = 16;
/// What the MAC is of.
const BODY_BYTES: usize = SID_BYTES + 4 + SECRET_BYTES;
/// Characters of `BODY_BYTES + MAC_BYTES` in base64url without padding.
const ENCODED: usize = (BODY_BYTES + MAC_BYTES).div_ceil(3) * 4 - 1;
/// Characters of a refresh token; any other text is none.
pub(crate) const LENGTH: usize = PREFIX.len() + ENCODED + CHECKSUM;

/// A genuine refresh token: generated here, or its MAC was verified. Debug output shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    sid: [u8; SID_BYTES],
    generation: u32,
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl RefreshToken {
    /// A new token of this generation of a session.
    ///
    /// # Errors
    /// [`VerbError::SessionUnknown`] for a sid that the authority did not make.
    pub(crate) fn generate(sid: &str, generation: u32) -> Result<Self, VerbError> {
        Ok(Self { sid: sid_bytes(sid)?, generation, secret: Zeroizing::new(random::bytes()?) })
    }

    /// The same token as one of another session.
    ///
    /// # Errors
    /// Those of [`generate`](Self::generate).
    pub(crate) fn for_session(self, sid: &str) -> Result<Self, VerbError> {
        Ok(Self { sid: sid_bytes(sid)?, ..self })
    }

    /// The token that a text is, if it is one of ours, whatever became of it since.
    pub(crate) fn read(text: &str, master: &MasterKey) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() {
            return None;
        }
        let (before, given) = text.split_at_checked(LENGTH - CHECKSUM)?;
        if given.as_bytes() != checksum(before) {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(before.strip_prefix(PREFIX)?).ok()?);
        let (body, mac) = bytes.split_at_checked(BODY_BYTES)?;
        if !bool::from(self::mac(body, master).as_slice().ct_eq(mac)) {
            return None;
        }
        let (sid, rest) = body.split_first_chunk::<SID_BYTES>()?;
        let (generation, secret) = rest.split_first_chunk::<4>()?;
        let secret = Zeroizing::new(<[u8; SECRET_BYTES]>::try_from(secret).ok()?);
        Some(Self { sid: *sid, generation: u32::from_be_bytes(*generation), secret })
    }

    /// The text of the token.
    pub(crate) fn text(&self, master: &MasterKey) -> Secret {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY_BYTES + MAC_BYTES));
        bytes.extend_from_slice(&self.sid);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&*self.secret);
        let mac = mac(&bytes, master);
        bytes.extend_from_slice(&mac);
        let mut text = String::with_capacity(LENGTH);
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(&*bytes, &mut text);
        let checksum = checksum(&text);
        text.extend(checksum.map(char::from));
        Secret::new(text)
    }

    /// The session it is of.
    pub(crate) fn sid(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.sid)
    }

    /// Its generation.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// What is kept of it. A secret of 256 random bits needs no slow hash.
    pub(crate) fn hash(&self) -> [u8; 32] {
        blake3::derive_key("annul refresh secret v0", &*self.secret)
    }

    /// A new token of the next generation; `None` when there is none, after four billion redemptions.
    pub(crate) fn successor(&self) -> Result<Option<Self>, VerbError> {
        let Some(generation) = self.generation.checked_add(1) else { return Ok(None) };
        Ok(Some(Self { sid: self.sid, generation, secret: Zeroizing::new(random::bytes()?) }))
    }

    /// Seals a successor so that only this token opens it.
    pub(crate) fn seal(&self, successor: &Self) -> Result<Vec<u8>, SealError> {
        let mut text = Zeroizing::new(Vec::with_capacity(SECRET_BYTES + AES_256_GCM.tag_len()));
        text.extend_from_slice(&*successor.secret);
        let nonce = self
            .cipher()
            .seal_in_place_append_tag(Aad::from(successor.name()), &mut *text)
            .map_err(|_| SealError::NoRandomness)?;
        Ok([nonce.as_ref().as_slice(), &text].concat())
    }

    /// Opens what [`seal`](Self::seal) sealed for this token.
    ///
    /// # Errors
    /// [`SealError::Damaged`] for anything else.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Self, SealError> {
        let damaged = || SealError::Damaged { purpose: "successor of a refresh token".to_owned() };
        let generation = self.generation.checked_add(1).ok_or_else(damaged)?;
        let mut successor = Self { sid: self.sid, generation, secret: Zeroizing::new([0; SECRET_BYTES]) };
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut text = Zeroizing::new(body.to_vec());
        let opened = self.cipher().open_in_place(nonce, Aad::from(successor.name()), &mut text);
        let opened = opened.map_err(|_| damaged())?;
        *successor.secret = <[u8; SECRET_BYTES]>::try_from(&*opened).map_err(|_| damaged())?;
        Ok(successor)
    }

    /// What tells it from every other token, in public.
    fn name(&self) -> [u8; SID_BYTES + 4] {
        let mut name = [0; SID_BYTES + 4];
        let (sid, generation) = name.split_at_mut(SID_BYTES);
        sid.copy_from_slice(&self.sid);
        generation.copy_from_slice(&self.generation.to_be_bytes());
        name
    }

    fn cipher(&self) -> RandomizedNonceKey {
        let key = Zeroizing::new(blake3::derive_key("annul refresh successor v0", &*self.secret));
        RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("AES-256 takes the 32 bytes a derived key has")
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, generation {})", self.sid(), self.generation)
    }
}

fn sid_bytes(sid: &str) -> Result<[u8; SID_BYTES], VerbError> {
    let bytes = URL_SAFE_NO_PAD.decode(sid).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(VerbError::SessionUnknown)
}

/// What shows that a token with this body was made under this key.
fn mac(body: &[u8], master: &MasterKey) -> [u8; MAC_BYTES] {
    let mut mac = [0; MAC_BYTES];
    let key = master.derived("annul refresh token v0");
    blake3::Hasher::new_keyed(&key).update(body).finalize_xof().fill(&mut mac);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: &str = "AAECAwQFBgcICQoLDA0ODw";

    fn master() -> MasterKey {
        MasterKey::from_bytes([7; 32])
    }

    #[test]
    fn rt_6_a_token_is_read_as_it_was_written() {
        let token = RefreshToken::generate(SID, 258).unwrap();
        let text = token.text(&master());
        assert_eq!((text.expose().len(), LENGTH), (106, 106));
        assert!(text.expose().starts_with("annul_rt_AAECAwQFBgcICQoLDA0ODwAAAQ"), "sid and generation come first");
        let read = RefreshToken::read(text.expose(), &master()).unwrap();
        assert_eq!(read, token);
        assert_eq!((read.sid(), read.generation(), read.hash()), (SID.to_owned(), 258, token.hash()));
        assert_ne!(RefreshToken::generate(SID, 258).unwrap().hash(), token.hash());
    }

    #[test]
    fn rt_6_what_is_changed_cut_or_made_elsewhere_is_no_token() {
        let text = RefreshToken::generate(SID, 1).unwrap().text(&master());
        let text = text.expose();
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(RefreshToken::read(&changed, &master()), None, "character {at} may be changed");
            // The same with a checksum that fits.
            if at < LENGTH - CHECKSUM {
                let before = &changed[..LENGTH - CHECKSUM];
                let fitting = format!("{before}{}", String::from_utf8(checksum(before).to_vec()).unwrap());
                assert_eq!(RefreshToken::read(&fitting, &master()), None, "the MAC does not cover character {at}");
            }
            assert_eq!(RefreshToken::read(&text[..at], &master()), None);
        }
        assert_eq!(RefreshToken::read(&format!("{text}A"), &master()), None);
        assert_eq!(RefreshToken::read(&"ä".repeat(53), &master()), None);
        assert_eq!(RefreshToken::read(text, &MasterKey::from_bytes([8; 32])), None);
    }

    #[test]
    fn a_successor_opens_with_the_spent_token_alone() {
        let spent = RefreshToken::generate(SID, 1).unwrap();
        let successor = spent.successor().unwrap().unwrap();
        let sealed = spent.seal(&successor).unwrap();
        assert_eq!(spent.open(&sealed).unwrap(), successor);
        assert!(!sealed.windows(8).any(|part| successor.secret.windows(8).any(|secret| secret == part)));
        let other_secret = RefreshToken::generate(SID, 1).unwrap();
        let other_generation = RefreshToken { generation: 2, ..spent.clone() };
        let other_session = RefreshToken { sid: [9; SID_BYTES], ..spent.clone() };
        for other in [other_secret, other_generation, other_session, successor] {
            assert!(other.open(&sealed).is_err(), "{other:?} opens it");
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(spent.open(&damaged).is_err() && spent.open(&sealed[..at]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_last_generation_has_no_successor() {
        let last = RefreshToken::generate(SID, u32::MAX).unwrap();
        assert_eq!(last.successor().unwrap(), None);
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let token = RefreshToken { sid: [65; SID_BYTES], generation: 2, secret: Zeroizing::new([66; SECRET_BYTES]) };
        assert_eq!(format!("{token:?}"), "RefreshToken(QUFBQUFBQUFBQUFBQUFBQQ, generation 2)");
    }
}
