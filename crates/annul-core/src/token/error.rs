//! Why a token is refused, as one enum with one code per answer a client can act on.

use std::borrow::Cow;
use std::fmt;

use super::MAX_TOKEN;
use super::json::MAX_DEPTH;
use crate::settings::MAX_TARGETS;

/// Why a token is refused. "Revoked" is not among these: it is a verdict of the view on a token
/// that was verified.
///
/// A message names what was wrong and never repeats what the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// There is no token.
    Missing,
    /// The token is not a signed JWT in compact form.
    Malformed(Malformed),
    /// The token is longer than [`MAX_TOKEN`] bytes; nothing of it was read.
    TooLarge,
    /// `exp` has passed, the leeway included.
    Expired,
    /// `nbf` is not reached, or `iat` lies in the future.
    NotYetValid,
    /// The signature is not the key's signature over this token.
    SignatureInvalid,
    /// The issuer has no key with this `kid`.
    KeyUnknown,
    /// The `kid` is that of a key that was killed. Its public half is gone, so the signature was not
    /// looked at: were it genuine, the token would be revoked.
    KeyKilled,
    /// Several keys fit and the token does not say which.
    KeyAmbiguous,
    /// `alg` is unknown, not accepted here, or not the algorithm the key is for.
    AlgNotAllowed,
    /// `typ` says that this is another kind of token.
    TypMismatch,
    /// The header demands an extension (`crit`, `b64`), and none is understood.
    CritUnsupported,
    /// `iss` is not the expected issuer.
    IssuerMismatch,
    /// `aud` is absent or does not name the expected audience.
    AudienceMismatch,
    /// A claim is missing or not of its type.
    ClaimInvalid {
        /// The claim's name.
        claim: Cow<'static, str>,
        /// What it has to be.
        expected: &'static str,
    },
    /// `exp` lies further ahead than the issuer's longest life and the leeway.
    LifeTooLong,
    /// The token has more than [`MAX_TARGETS`] targets.
    TooManyTargets,
}

impl TokenError {
    /// The code under which answers, logs and vectors name this refusal. Never renamed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Malformed(_) => "token_malformed",
            Self::TooLarge => "token_too_large",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::SignatureInvalid => "signature_invalid",
            Self::KeyUnknown => "key_unknown",
            Self::KeyKilled => "key_killed",
            Self::KeyAmbiguous => "key_ambiguous",
            Self::AlgNotAllowed => "alg_not_allowed",
            Self::TypMismatch => "typ_mismatch",
            Self::CritUnsupported => "crit_unsupported",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::AudienceMismatch => "audience_mismatch",
            Self::ClaimInvalid { .. } => "claim_invalid",
            Self::LifeTooLong => "life_too_long",
            Self::TooManyTargets => "too_many_targets",
        }
    }

    pub(crate) const fn claim(claim: &'static str, expected: &'static str) -> Self {
        Self::ClaimInvalid { claim: Cow::Borrowed(claim), expected }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no token"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::TooLarge => write!(f, "a token has at most {MAX_TOKEN} bytes"),
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
            Self::SignatureInvalid => f.write_str("the signature does not belong to this token and key"),
            Self::KeyUnknown => f.write_str("the issuer has no key with the token's kid"),
            Self::KeyKilled => f.write_str("the key that the token names was killed"),
            Self::KeyAmbiguous => f.write_str("several keys fit and the token's kid does not tell which"),
            Self::AlgNotAllowed => f.write_str("the token's alg is not accepted, or not what its key is for"),
            Self::TypMismatch => f.write_str("the token's typ is that of another kind of token"),
            Self::CritUnsupported => f.write_str("the token's header demands an extension that is not supported"),
            Self::IssuerMismatch => f.write_str("the token is of another issuer"),
            Self::AudienceMismatch => f.write_str("the token is not meant for this audience"),
            Self::ClaimInvalid { claim, expected } => write!(f, "the claim {claim:?} has to be {expected}"),
            Self::LifeTooLong => f.write_str("the token would live longer than its issuer's tokens may"),
            Self::TooManyTargets => write!(f, "the token has more than {MAX_TARGETS} targets"),
        }
    }
}

impl std::error::Error for TokenError {}

impl From<Malformed> for TokenError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What about the bytes is not a token, or not JSON that two readers would read alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Not three parts.
    Parts,
    /// Five parts, or a header with `enc`: encrypted, and encrypted is not verified.
    Encrypted,
    /// A part is not canonical base64url without padding.
    Base64,
    /// The text is not UTF-8.
    Utf8,
    /// The text is not JSON, or something stands before or after it.
    Json,
    /// The JSON is not an object.
    NotObject,
    /// An object names a member twice, as written or after unescaping.
    DuplicateMember,
    /// The JSON is nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A registered header member is missing or not a string.
    Header,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parts => f.write_str("a token has three parts with dots between"),
            Self::Encrypted => f.write_str("an encrypted token is not accepted"),
            Self::Base64 => f.write_str("a part is not canonical base64url without padding"),
            Self::Utf8 => f.write_str("the JSON is not UTF-8"),
            Self::Json => f.write_str("the JSON cannot be read"),
            Self::NotObject => f.write_str("the JSON is not an object"),
            Self::DuplicateMember => f.write_str("an object has two members of one name"),
            Self::TooDeep => write!(f, "the JSON is nested deeper than {MAX_DEPTH}"),
            Self::Header => f.write_str("alg, typ and kid are strings, and alg is required"),
        }
    }
}
