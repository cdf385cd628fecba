//! JSON Web Keys: strict where it matters for what a key can do, deaf to everything else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::claims::MAX_NAME;
use super::error::Malformed;
use super::key::{Key, thumbprint};
use super::weak::{MAX_RSA_BITS, MAX_RSA_EXPONENT_BITS, MIN_RSA_BITS};

/// Members that only the owner of a key may hold.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

impl Key {
    /// The key in a JWK. Members that say nothing about signatures are not read. A private member
    /// makes the key refused: a private key that was published is anybody's.
    ///
    /// A key with `alg` is good for that algorithm only; without it an EC or Ed25519 key has but one,
    /// an RSA key any RSA algorithm, a secret those whose hash is not longer than it.
    pub fn from_jwk(jwk: &Value) -> Result<Self, JwkError> {
        let Value::Object(jwk) = jwk else { return Err(JwkError::Member("kty")) };
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err(JwkError::Private);
        }
        let kid = text(jwk, "kid")?;
        if kid.is_some_and(|kid| kid.is_empty() || kid.len() > MAX_NAME) {
            return Err(JwkError::Kid);
        }
        check_purpose(jwk)?;
        let alg = match text(jwk, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or(JwkError::Algorithm)?),
        };
        match text(jwk, "kty")? {
            Some("EC") => ec(jwk, kid, alg),
            Some("OKP") => okp(jwk, kid, alg),
            Some("RSA") => rsa(jwk, kid, alg),
            Some("oct") => oct(jwk, kid, alg),
            Some(_) => Err(JwkError::KeyType),
            None => Err(JwkError::Member("kty")),
        }
    }
}

fn check_purpose(jwk: &Map<String, Value>) -> Result<(), JwkError> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::Purpose);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(_) => Err(JwkError::Purpose),
    }
}

fn ec(jwk: &Map<String, Value>, kid: Option<&str>, alg: Option<Algorithm>) -> Result<Key, JwkError> {
    let (algorithm, width) = match text(jwk, "crv")? {
        Some("P-256") => (Algorithm::Es256, 32),
        Some("P-384") => (Algorithm::Es384, 48),
        Some("P-521") => (Algorithm::Es512, 66),
        Some(_) => return Err(JwkError::Curve),
        None => return Err(JwkError::Member("crv")),
    };
    if alg.is_some_and(|alg| alg != algorithm) {
        return Err(JwkError::Algorithm);
    }
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != width || y.len() != width {
        return Err(JwkError::Length);
    }
    Key::ec(kid, algorithm, &[&[4], x.as_slice(), y.as_slice()].concat())
}

fn okp(jwk: &Map<String, Value>, kid: Option<&str>, alg: Option<Algorithm>) -> Result<Key, JwkError> {
    match text(jwk, "crv")? {
        Some("Ed25519") => {}
        Some(_) => return Err(JwkError::Curve),
        None => return Err(JwkError::Member("crv")),
    }
    if alg.is_some_and(|alg| alg != Algorithm::EdDsa) {
        return Err(JwkError::Algorithm);
    }
    Key::ed25519(kid, &bytes(jwk, "x")?)
}

fn rsa(jwk: &Map<String, Value>, kid: Option<&str>, alg: Option<Algorithm>) -> Result<Key, JwkError> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    match alg {
        Some(alg) => Key::rsa(kid, &[alg], &n, &e),
        None => Key::rsa(kid, &Algorithm::RSA, &n, &e),
    }
}

fn oct(jwk: &Map<String, Value>, kid: Option<&str>, alg: Option<Algorithm>) -> Result<Key, JwkError> {
    let secret = Zeroizing::new(bytes(jwk, "k")?);
    let id = match kid {
        Some(kid) => kid.to_owned(),
        None => thumbprint(&json!({"k": jwk["k"], "kty": "oct"})),
    };
    match alg {
        Some(alg) => Key::from_secret(kid, id, &[alg], &secret),
        None => Key::from_secret(kid, id, &Algorithm::SECRET, &secret),
    }
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &'static str) -> Result<Option<&'j str>, JwkError> {
    match jwk.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Member(member)),
    }
}

fn bytes(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let text = text(jwk, member)?.ok_or(JwkError::Member(member))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Member(member))
}

/// Why a key, or a set of keys, is not taken. A message never repeats key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JwkError {
    /// The set is not JSON that can be read.
    Malformed(Malformed),
    /// The set is not an object with an array `keys`, or has too many keys or bytes.
    Set,
    /// The member is missing, not a string or not canonical base64url.
    Member(&'static str),
    /// The type `kty` is not supported.
    KeyType,
    /// The curve is not supported.
    Curve,
    /// `alg` is unknown or does not belong to the key's type.
    Algorithm,
    /// `use` or `key_ops` says the key is not for verifying signatures.
    Purpose,
    /// A private member was published.
    Private,
    /// A shared secret stands in a set of public keys.
    Secret,
    /// `kid` is empty or too long.
    Kid,
    /// A coordinate or key has not the exact length.
    Length,
    /// A number begins with a superfluous zero.
    LeadingZero,
    /// The point is not on the curve, or not written canonically.
    Point,
    /// The point is of small order: one signature would fit many messages.
    SmallOrder,
    /// The RSA modulus is too short or too long.
    RsaSize,
    /// The RSA exponent is even, 1 or too long.
    RsaExponent,
    /// The RSA modulus has a small factor or was made by a broken generator.
    RsaWeak,
    /// The secret is shorter than the algorithm's hash.
    SecretTooShort,
    /// The secret is a public key.
    SecretIsPublic,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Set => f.write_str("a key set is an object with an array \"keys\", of bounded length"),
            Self::Member(member) => write!(f, "the member {member:?} is missing or not of its type"),
            Self::KeyType => f.write_str("the key type is not supported; EC, OKP, RSA and oct are"),
            Self::Curve => f.write_str("the curve is not supported; P-256, P-384, P-521 and Ed25519 are"),
            Self::Algorithm => f.write_str("the alg is not supported or does not belong to the key's type"),
            Self::Purpose => f.write_str("the key is not for verifying signatures"),
            Self::Private => f.write_str("the key was published with its private members; replace it"),
            Self::Secret => f.write_str("a shared secret has no place in a set of public keys"),
            Self::Kid => write!(f, "a kid has between 1 and {MAX_NAME} bytes"),
            Self::Length => f.write_str("the key has not the exact length of its curve"),
            Self::LeadingZero => f.write_str("a number begins with a superfluous zero"),
            Self::Point => f.write_str("the public key is not a point of its curve, canonically written"),
            Self::SmallOrder => f.write_str("the public key is a point of small order"),
            Self::RsaSize => write!(f, "an RSA modulus has between {MIN_RSA_BITS} and {MAX_RSA_BITS} bits"),
            Self::RsaExponent => {
                write!(f, "an RSA exponent is odd, greater than 1 and at most {MAX_RSA_EXPONENT_BITS} bits long")
            }
            Self::RsaWeak => f.write_str("the RSA modulus is weak; replace the key"),
            Self::SecretTooShort => f.write_str("a secret is at least as long as the hash of its algorithm"),
            Self::SecretIsPublic => f.write_str("the secret is a public key; whoever knows it could sign"),
        }
    }
}

impl std::error::Error for JwkError {}
