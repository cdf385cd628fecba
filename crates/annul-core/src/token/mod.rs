//! From bytes to a token that was verified: strict parsing, one signature, the claims.
//!
//! ```text
//! &str --parse--> UnverifiedToken --verify(KeySet, Expect, now)--> VerifiedToken --facts--> Facts
//!      size, form,                 kind, issuer, key, signature,                  target hashes
//!      strict JSON, types          audience, dates, life                          and reading
//! ```
//!
//! Everything here is immutable once computed, so it may be cached under the token's bytes. Whether
//! the token is revoked is another question, and the live view's.
//!
//! Each part is decoded once and read once, by one reader; what was verified is what is used.

mod algorithm;
mod cache;
mod claims;
mod dpop;
mod error;
mod expect;
mod facts;
mod header;
mod http_uri;
mod introspectable;
mod introspection;
mod json;
mod jwk;
mod key;
mod key_set;
mod members;
mod names;
pub mod opaque;
mod plain;
mod proofs_seen;
mod targets;
mod verify;
mod weak;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use algorithm::Algorithm;
pub use cache::FactsCache;
pub use claims::{Binding, Claims, MAX_NAME};
pub use dpop::{
    MAX_PROOF, MAX_PROOF_AGE, MAX_PROOF_AHEAD, Nonce, PROOF_ALGORITHMS, PROOF_TYP, Proof, ProofError, ProofExpect,
    access_token_hash,
};
pub use error::{Malformed, TokenError};
pub(crate) use expect::Terms;
pub use expect::{Expect, MAX_FUTURE};
pub use facts::Facts;
pub use header::{Header, Typ};
pub use http_uri::{HttpUri, MAX_HTTP_URI};
pub use introspectable::Introspectable;
pub use json::MAX_DEPTH;
pub use jwk::JwkError;
pub use key::Key;
pub use key_set::{KeySet, MAX_JWKS, MAX_KEYS, SkippedKey};
pub use names::MAX_ANCESTORS;
pub use proofs_seen::{MAX_PROOFS, ProofName, ProofsSeen, Seen};
pub use targets::Targets;
pub(crate) use verify::Verified;
pub use verify::VerifiedToken;
pub use weak::{MAX_RSA_BITS, MAX_RSA_EXPONENT_BITS, MIN_RSA_BITS};

/// Bytes a token may have. Servers refuse headers beyond 8 to 16 KiB, so a longer one could not be
/// presented anyway.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A token whose form is right and whose word is worth nothing: good for a log or a person to read,
/// never for access.
pub struct UnverifiedToken<'a> {
    jws: Jws<'a>,
    claims: Claims,
}

impl<'a> UnverifiedToken<'a> {
    /// Reads a compact signed JWT. Size, form, JSON and the types of registered members are checked
    /// here, before any cryptography; nothing is believed.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        let (jws, payload) = Jws::parse(token)?;
        let claims = Claims::read(payload)?;
        Ok(Self { jws, claims })
    }

    /// The header, as the token says.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.jws.header
    }

    /// The claims, as the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Shows the header only: claims are about people and stay out of logs.
impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedToken").field("header", self.header()).finish_non_exhaustive()
    }
}

/// Verifies the signature alone and gives the payload, which need not be JSON. It says nothing about
/// who may use the token, for what, or when: a building block for other kinds of token and for
/// foreign test vectors.
pub fn verify_jws(token: &str, keys: &KeySet) -> Result<Vec<u8>, TokenError> {
    let (jws, payload) = Jws::parse(token)?;
    keys.verify(&jws.header, jws.signed.as_bytes(), &jws.signature)?;
    Ok(payload)
}

/// A token without its payload: what it takes to verify the signature, and the text that is signed.
struct Jws<'a> {
    text: &'a str,
    signed: &'a str,
    header: Header,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// The parts of a token, its payload decoded and not read.
    fn parse(token: &'a str) -> Result<(Self, Vec<u8>), TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Malformed::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(Malformed::Parts)?;
        // No dot is base64, so further ones are looked for only when something could not be decoded.
        let or_parts = |malformed: Malformed| match payload.matches('.').count() {
            0 => malformed,
            2 => Malformed::Encrypted,
            _ => Malformed::Parts,
        };
        let decoded = || Ok((decode(header)?, decode_with_room(payload, token.len())?, decode(signature)?));
        let (header, payload, signature) = decoded().map_err(or_parts)?;
        Ok((Self { text: token, signed, header: Header::read(header)?, signature }, payload))
    }
}

/// The token's own name when it has no `jti`: of what was signed, decoded, so that no other
/// spelling and no other signature of the same token has another name.
fn digest(header: &str, payload: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("annul token hash v0");
    hasher.update(&(header.len() as u64).to_le_bytes());
    hasher.update(header.as_bytes());
    hasher.update(payload.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Only the canonical text is accepted: no padding, and the unused bits of the last character zero.
/// Otherwise one token would have several texts.
fn decode(part: &str) -> Result<Vec<u8>, Malformed> {
    decode_with_room(part, 0)
}

/// The same with room for so many bytes more.
fn decode_with_room(part: &str, room: usize) -> Result<Vec<u8>, Malformed> {
    let mut decoded = Vec::with_capacity(part.len() + room);
    URL_SAFE_NO_PAD.decode_vec(part, &mut decoded).map_err(|_| Malformed::Base64)?;
    Ok(decoded)
}
