//! The feed key, and the heads it signs.
//!
//! A head says: at this position the log has this chain. Frames and reports end in one; it is the
//! only thing that makes lines from the network worth applying.
//!
//! ```text
//! {"head":{"v":0,"log":"…","at":"1:7","chain":"…","revision":3,"hash_key":"…","issued":…,"nonce":"…"},"signature":"…"}
//!          └────────────────────────── signed: "annul head v0\n" + exactly these bytes ──────────┘
//! ```
//!
//! The signed object is verified as the bytes that arrived and parsed afterwards; nobody ever
//! serialises it a second time.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::feed::FeedError;
use crate::position::Position;
use crate::record::Chain;
use crate::time::UnixMillis;

/// What the log was at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log's id.
    pub log: String,
    /// The position of the last record.
    pub at: Position,
    /// The chain after that record.
    pub chain: Chain,
    /// The revision of the settings in force.
    pub revision: u32,
    /// The name of the key that hashes targets.
    pub hash_key: String,
    /// When it was signed, on the authority's wall clock. It informs people; no decision reads it.
    pub issued: UnixMillis,
    /// The nonce of the report this head answers: it cannot have been signed before the report.
    pub nonce: Option<String>,
}

/// A head as it travels: parsed, but not trusted until [`SignedHead::verify`].
#[derive(Clone, PartialEq, Eq)]
pub struct SignedHead {
    signed: Signed,
    head: Head,
}

impl SignedHead {
    /// Bytes a head's line may have: the names in it are short.
    pub const MAX_LINE: usize = 4096;

    /// Reads a head's line, given without its newline.
    pub fn from_line(line: &str) -> Result<Self, FeedError> {
        if line.len() > Self::MAX_LINE {
            return Err(FeedError::TooLarge { what: "a signed head", limit: Self::MAX_LINE });
        }
        let wire: WireSignedHead<'_> = serde_json::from_str(line).map_err(|_| NOT_A_HEAD)?;
        let signed = Signed::new(wire.head, wire.signature)?;
        check_version(&signed.raw, NOT_A_HEAD)?;
        let head: WireHead = serde_json::from_str(&signed.raw).map_err(|_| NOT_A_HEAD)?;
        Ok(Self { head: head.into(), signed })
    }

    /// The head's line, without a newline: the bytes that were signed, unchanged.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{{\"head\":{},\"signature\":\"{}\"}}", self.signed.raw, URL_SAFE_NO_PAD.encode(self.signed.signature))
    }

    /// What the head says, once `key` is shown to have signed it for `log`.
    pub fn verify(&self, key: &FeedKey, log: &str) -> Result<&Head, FeedError> {
        self.signed.verify(key, HEAD_DOMAIN)?;
        if self.head.log == log { Ok(&self.head) } else { Err(FeedError::OtherLog { named: self.head.log.clone() }) }
    }

    /// What the head says, whoever signed it: for logs and for an authority's own heads.
    #[must_use]
    pub const fn claimed(&self) -> &Head {
        &self.head
    }
}

impl fmt::Debug for SignedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedHead").field(&self.head).finish()
    }
}

impl Serialize for SignedHead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_line()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The public half of the key that signs a log's heads and snapshots.
///
/// It is apart from every token key and never a target: killing all token keys must not cut the
/// followers off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedKey {
    raw: [u8; 32],
    fingerprint: String,
}

impl FeedKey {
    /// The key with these 32 bytes, as RFC 8032 encodes it.
    #[must_use]
    pub fn from_raw(raw: [u8; 32]) -> Self {
        let thumbprint_input = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(raw));
        let digest = digest::digest(&digest::SHA256, thumbprint_input.as_bytes());
        Self { raw, fingerprint: URL_SAFE_NO_PAD.encode(digest) }
    }

    /// Reads a public Ed25519 JWK (RFC 8037).
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self, FeedError> {
        const NOT_A_KEY: FeedError = FeedError::Malformed { what: "an Ed25519 public JWK" };
        let member = |name| jwk.get(name).and_then(serde_json::Value::as_str);
        if member("kty") != Some("OKP") || member("crv") != Some("Ed25519") {
            return Err(NOT_A_KEY);
        }
        let x = URL_SAFE_NO_PAD.decode(member("x").ok_or(NOT_A_KEY)?).map_err(|_| NOT_A_KEY)?;
        Ok(Self::from_raw(x.try_into().map_err(|_| NOT_A_KEY)?))
    }

    /// The key as a public JWK.
    #[must_use]
    pub fn to_jwk(&self) -> serde_json::Value {
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.raw)})
    }

    /// The RFC 7638 thumbprint: what an operator gives a verifier to pin.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// The private half of the feed key, in memory. It signs without randomness, so it lives here and
/// authority and tests share it; making and sealing the key is the authority's.
pub struct FeedSigner {
    pair: Ed25519KeyPair,
    key: FeedKey,
}

impl FeedSigner {
    /// The signer whose private key is derived from these 32 secret bytes (RFC 8032).
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, FeedError> {
        Self::of(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NOT_A_PRIVATE_KEY)?)
    }

    /// The signer with this PKCS#8 document's key.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, FeedError> {
        Self::of(Ed25519KeyPair::from_pkcs8_maybe_unchecked(document).map_err(|_| NOT_A_PRIVATE_KEY)?)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, FeedError> {
        let raw = pair.public_key().as_ref().try_into().map_err(|_| NOT_A_PRIVATE_KEY)?;
        Ok(Self { key: FeedKey::from_raw(raw), pair })
    }

    /// The public half.
    #[must_use]
    pub const fn key(&self) -> &FeedKey {
        &self.key
    }

    /// Signs a head.
    #[must_use]
    pub fn sign_head(&self, head: Head) -> SignedHead {
        let wire = WireHead {
            v: FORMAT,
            log: head.log.clone(),
            at: head.at,
            chain: head.chain,
            revision: head.revision,
            hash_key: head.hash_key.clone(),
            issued: head.issued,
            nonce: head.nonce.clone(),
        };
        let raw = serde_json::to_string(&wire).expect("the wire form holds only strings and numbers");
        SignedHead { signed: self.sign(HEAD_DOMAIN, raw), head }
    }

    pub(super) fn sign(&self, domain: &str, raw: String) -> Signed {
        let signature = self.pair.sign(&message(domain, &raw));
        let signature = signature.as_ref().try_into().expect("an Ed25519 signature has 64 bytes");
        Signed { raw, signature }
    }
}

impl fmt::Debug for FeedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedSigner({})", self.key.fingerprint)
    }
}

/// A JSON object exactly as it was signed, and its signature.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) raw: String,
    pub(super) signature: [u8; 64],
}

impl Signed {
    pub(super) fn new(raw: &RawValue, signature: &str) -> Result<Self, FeedError> {
        const NOT_A_SIGNATURE: FeedError = FeedError::Malformed { what: "an Ed25519 signature" };
        let bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NOT_A_SIGNATURE)?;
        let signature = bytes.try_into().map_err(|_| NOT_A_SIGNATURE)?;
        Ok(Self { raw: raw.get().to_owned(), signature })
    }

    pub(super) fn verify(&self, key: &FeedKey, domain: &str) -> Result<(), FeedError> {
        UnparsedPublicKey::new(&ED25519, key.raw)
            .verify(&message(domain, &self.raw), &self.signature)
            .map_err(|_| FeedError::Signature)
    }
}

/// The version of every format of the feed.
pub(super) const FORMAT: u32 = 0;

/// Refuses an object of another version before its other members are looked at, so that the reason
/// is named; an object without a version is `otherwise`.
pub(super) fn check_version(raw: &str, otherwise: FeedError) -> Result<(), FeedError> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let versioned: Versioned = serde_json::from_str(raw).map_err(|_| otherwise)?;
    if versioned.v == FORMAT { Ok(()) } else { Err(FeedError::Version) }
}

const HEAD_DOMAIN: &str = "annul head v0\n";
const NOT_A_HEAD: FeedError = FeedError::Malformed { what: "a signed head" };
const NOT_A_PRIVATE_KEY: FeedError = FeedError::Malformed { what: "an Ed25519 private key" };

fn message(domain: &str, raw: &str) -> Vec<u8> {
    [domain.as_bytes(), raw.as_bytes()].concat()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignedHead<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    signature: &'a str,
}

/// Members this version does not know are let through: they were signed with the rest, and a
/// change that must be understood raises `v`.
#[derive(Serialize, Deserialize)]
struct WireHead {
    v: u32,
    log: String,
    at: Position,
    chain: Chain,
    revision: u32,
    hash_key: String,
    issued: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
}

impl From<WireHead> for Head {
    fn from(wire: WireHead) -> Self {
        let WireHead { v: _, log, at, chain, revision, hash_key, issued, nonce } = wire;
        Self { log, at, chain, revision, hash_key, issued, nonce }
    }
}
