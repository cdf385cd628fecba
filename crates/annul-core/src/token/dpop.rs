//! DPoP proofs (RFC 9449): a caller's word, signed for this one request, that it holds a key.
//!
//! ```text
//! header values --the only one, strict form--> jwk --signature--> claims --judged--> Proof
//!                                              public,             method, address, time,
//!                                              accepted alg        nonce, token, key
//! ```
//!
//! A proof names its own key and so proves nothing about who calls; it binds the request to whatever
//! names that key, a token's `cnf.jkt` above all. That it was not seen before is found out by its
//! [name](Proof::name), once it is needed: [`ProofsSeen::first_use`](super::ProofsSeen::first_use).

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::error::TokenError;
use super::header::Typ;
use super::http_uri::HttpUri;
use super::jwk::JwkError;
use super::key::Key;
use super::members::Item;
use super::proofs_seen::ProofName;
use super::{Jws, Malformed};
use crate::time::UnixSeconds;

/// The `typ` of a proof.
pub const PROOF_TYP: &str = "dpop+jwt";

/// The algorithms that are accepted unless somebody says otherwise: all that sign, without those of
/// PKCS #1 v1.5.
pub const PROOF_ALGORITHMS: [Algorithm; 7] = [
    Algorithm::Es256,
    Algorithm::EdDsa,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Bytes a proof may have: a key and a signature of the largest RSA size fit in.
pub const MAX_PROOF: usize = 8 * 1024;

/// Seconds for which a proof may be used after its `iat`.
pub const MAX_PROOF_AGE: u64 = 60;

/// Seconds by which a proof's `iat` may lie in the future: clocks of clients run ahead by some.
pub const MAX_PROOF_AHEAD: u64 = 10;

/// What a proof has to be for, and by when.
#[derive(Clone, Copy)]
pub struct ProofExpect<'a> {
    /// The request's method, in the case it was sent in.
    pub method: &'a str,
    /// The address that the caller knows the request's resource by.
    pub uri: &'a HttpUri,
    /// The time of the request.
    pub now: UnixSeconds,
    /// The algorithms that are accepted. A symmetric one among them is not.
    pub algorithms: &'a [Algorithm],
    /// The access token that is presented with the proof; the proof then has to name it.
    pub access_token: Option<&'a str>,
    /// The thumbprint of the key that it has to be, where something is bound to one already.
    pub key: Option<&'a str>,
    /// Whether a nonce is demanded.
    pub nonce: Nonce<'a>,
}

/// Whether a proof needs a nonce of ours.
#[derive(Clone, Copy)]
pub enum Nonce<'a> {
    /// None is; one that is there is not looked at.
    NotDemanded,
    /// One that this accepts is.
    Demanded(&'a dyn Fn(&str) -> bool),
}

/// A proof that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    thumbprint: String,
    uri: HttpUri,
    jti: String,
    issued: UnixSeconds,
}

impl Proof {
    /// Verifies the proof in the values of a request's `DPoP` headers, of which there must be one.
    ///
    /// # Errors
    /// What is wrong with it first; the signature is verified before anything the proof says is
    /// judged, and the nonce last, so that [`ProofError::NonceNeeded`] is said only of a proof that a
    /// nonce would complete.
    pub fn verify<'h>(
        headers: impl IntoIterator<Item = &'h [u8]>,
        expect: &ProofExpect<'_>,
    ) -> Result<Self, ProofError> {
        let (key, claims) = signed(the_only(headers)?, expect.algorithms)?;
        let (jti, issued) = (name(&claims, "jti")?, claims.iat().ok_or(ProofError::Claim("iat"))?);
        if name(&claims, "htm")? != expect.method {
            return Err(ProofError::Method);
        }
        let uri = HttpUri::parse(name(&claims, "htu")?).filter(|uri| uri == expect.uri).ok_or(ProofError::Uri)?;
        if issued > expect.now.plus(MAX_PROOF_AHEAD) || issued.plus(MAX_PROOF_AGE) < expect.now {
            return Err(ProofError::OutOfTime);
        }
        if let Some(token) = expect.access_token
            && name(&claims, "ath")? != access_token_hash(token)
        {
            return Err(ProofError::AccessToken);
        }
        if expect.key.is_some_and(|bound| bound != key.id()) {
            return Err(ProofError::OtherKey);
        }
        if let Nonce::Demanded(accepts) = expect.nonce
            && !name(&claims, "nonce").is_ok_and(accepts)
        {
            return Err(ProofError::NonceNeeded);
        }
        Ok(Self { thumbprint: key.id().to_owned(), uri, jti: jti.to_owned(), issued })
    }

    /// The RFC 7638 thumbprint of the key that signed it: what `cnf.jkt` of a token bound to it says.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The name that its maker gave this one proof, at most [`MAX_NAME`](super::MAX_NAME) bytes.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// When it was made, as it says.
    #[must_use]
    pub const fn issued(&self) -> UnixSeconds {
        self.issued
    }

    /// The last second in which it would be accepted.
    #[must_use]
    pub const fn last_second(&self) -> UnixSeconds {
        self.issued.plus(MAX_PROOF_AGE)
    }

    /// What it is remembered by, so that it is used once.
    #[must_use]
    pub fn name(&self) -> ProofName<'_> {
        ProofName { key: &self.thumbprint, uri: &self.uri, jti: &self.jti, last_second: self.last_second() }
    }
}

/// What a proof says in `ath` of the access token it is presented with: base64url of its SHA-256.
#[must_use]
pub fn access_token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}

fn the_only<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Result<&'h str, ProofError> {
    let mut headers = headers.into_iter();
    let proof = headers.next().ok_or(ProofError::Missing)?;
    if headers.next().is_some() {
        return Err(ProofError::Repeated);
    }
    if proof.len() > MAX_PROOF {
        return Err(ProofError::TooLarge);
    }
    std::str::from_utf8(proof).map_err(|_| ProofError::Malformed(Malformed::Utf8))
}

/// The key and what it signed.
fn signed(proof: &str, algorithms: &[Algorithm]) -> Result<(Key, Claims), ProofError> {
    let (jws, payload) = Jws::parse(proof)?;
    if !Typ::Exactly(PROOF_TYP.to_owned()).accepts(jws.header.typ()) {
        return Err(ProofError::Typ);
    }
    let alg = jws.header.alg();
    if alg.is_symmetric() || !algorithms.contains(&alg) {
        return Err(ProofError::Algorithm);
    }
    let key = match jws.header.item("jwk") {
        Some(Item::Tree(jwk @ Value::Object(_))) => Key::from_jwk(jwk).map_err(ProofError::Key)?,
        _ => return Err(ProofError::Key(JwkError::Member("jwk"))),
    };
    if key.is_secret() {
        return Err(ProofError::Key(JwkError::Secret));
    }
    key.verify(alg, jws.signed.as_bytes(), &jws.signature)?;
    Ok((key, Claims::read(payload)?))
}

fn name<'c>(claims: &'c Claims, claim: &'static str) -> Result<&'c str, ProofError> {
    claims.item(claim).and_then(Item::as_str).filter(|text| !text.is_empty()).ok_or(ProofError::Claim(claim))
}

/// Why a proof is refused. A message never repeats what the proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no `DPoP` header.
    Missing,
    /// There are several `DPoP` headers.
    Repeated,
    /// The proof is longer than [`MAX_PROOF`] bytes; nothing of it was read.
    TooLarge,
    /// The proof is not a signed JWT in compact form.
    Malformed(Malformed),
    /// `typ` is not [`PROOF_TYP`].
    Typ,
    /// `alg` is missing, unknown, symmetric or not accepted here, or not the algorithm of the key.
    Algorithm,
    /// The header demands an extension (`crit`, `b64`), and none is understood.
    CritUnsupported,
    /// `jwk` is missing or is no key to verify by: private, shared, weak or damaged.
    Key(JwkError),
    /// The signature is not that of the key in the header.
    SignatureInvalid,
    /// The claim is missing or not of its type.
    Claim(&'static str),
    /// `htm` is not the request's method.
    Method,
    /// `htu` is not the request's address.
    Uri,
    /// `iat` lies more than [`MAX_PROOF_AGE`] seconds back or [`MAX_PROOF_AHEAD`] ahead.
    OutOfTime,
    /// `ath` is not the hash of the access token.
    AccessToken,
    /// The key is not the one that the token, or session, is bound to.
    OtherKey,
    /// The proof is right and lacks a nonce of ours that is still accepted.
    NonceNeeded,
}

impl ProofError {
    /// The `error` a client reads (RFC 9449 §§5, 7.1, 8): only a missing nonce has one of its own.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NonceNeeded => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }
}

impl From<TokenError> for ProofError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Missing => Self::Missing,
            TokenError::TooLarge => Self::TooLarge,
            TokenError::Malformed(malformed) => Self::Malformed(malformed),
            TokenError::SignatureInvalid => Self::SignatureInvalid,
            TokenError::CritUnsupported => Self::CritUnsupported,
            TokenError::ClaimInvalid { claim: std::borrow::Cow::Borrowed(claim), .. } => Self::Claim(claim),
            _ => Self::Algorithm,
        }
    }
}

impl From<Malformed> for ProofError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the request has no DPoP proof"),
            Self::Repeated => f.write_str("the request has several DPoP headers"),
            Self::TooLarge => write!(f, "a DPoP proof has at most {MAX_PROOF} bytes"),
            Self::Malformed(malformed) => write!(f, "the DPoP proof cannot be read: {malformed}"),
            Self::Typ => write!(f, "the DPoP proof's typ is not {PROOF_TYP}"),
            Self::Algorithm => f.write_str("the DPoP proof's alg is not accepted, or not that of its key"),
            Self::CritUnsupported => f.write_str("the DPoP proof demands an extension that is not supported"),
            Self::Key(error) => write!(f, "the key in the DPoP proof was refused: {error}"),
            Self::SignatureInvalid => f.write_str("the DPoP proof is not signed by the key that it names"),
            Self::Claim(claim) => write!(f, "the DPoP proof's {claim} is missing or not of its type"),
            Self::Method => f.write_str("the DPoP proof's htm is another method"),
            Self::Uri => f.write_str("the DPoP proof's htu is another address"),
            Self::OutOfTime => f.write_str("the DPoP proof's iat is too old or lies in the future"),
            Self::AccessToken => f.write_str("the DPoP proof's ath is that of another access token"),
            Self::OtherKey => {
                f.write_str("the DPoP proof is by another key than what it is presented with is bound to")
            }
            Self::NonceNeeded => f.write_str("the DPoP proof lacks a nonce that is accepted here"),
        }
    }
}

impl std::error::Error for ProofError {}
