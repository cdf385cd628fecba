//! Signing keys: what the authority signs tokens and heads with.
//!
//! A key is generated here, leaves only sealed, and is named by its RFC 7638 thumbprint: the `kid`
//! of our own keys is the thumbprint, so a key has one name everywhere. Tokens are JWS compact with
//! the header `{"alg":…,"kid":…,"typ":…}` and nothing else.

use std::fmt;

use annul_core::token::Key;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The algorithms the authority can sign with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256: small, and every library knows it.
    #[default]
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA", alias = "Ed25519")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5, which RFC 9068 asks everybody to support.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS.
    #[serde(rename = "PS256")]
    Ps256,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Ps256];

    /// The name that stands in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm of that name; `Ed25519` is another name of `EdDSA` (RFC 9864).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            _ => Self::ALL.into_iter().find(|algorithm| algorithm.name() == name),
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What signs tokens: a key of the authority's, or one of a subject's own.
pub(crate) trait SignsTokens {
    /// A signed token of the kind `typ` with these claims.
    fn sign_token(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SigningError>;
}

/// A private key with its public face. Debug output shows the name only.
pub struct SigningKey {
    algorithm: SigningAlgorithm,
    kid: String,
    public_jwk: Value,
    pair: Pair,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// A new random key. RSA keys have 2048 bits and take a noticeable fraction of a second.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<Self, SigningError> {
        let pair = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
        };
        Self::of(algorithm, pair.map_err(|_| SigningError::Generation)?)
    }

    /// The key in a PKCS#8 document that [`to_pkcs8`](Self::to_pkcs8) wrote.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, document: &[u8]) -> Result<Self, SigningError> {
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document).map(Pair::P256)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(document).map(Pair::Ed25519),
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => RsaKeyPair::from_pkcs8(document).map(Pair::Rsa),
        };
        Self::of(algorithm, pair.map_err(|_| SigningError::Document)?)
    }

    fn of(algorithm: SigningAlgorithm, pair: Pair) -> Result<Self, SigningError> {
        let mut public_jwk = pair.public_members();
        // Our own strict loader names the key, so that a key verifiers would refuse is never used.
        let key = Key::from_jwk(&public_jwk).map_err(|_| SigningError::Document)?;
        let kid = key.id().to_owned();
        let names = [("kid", kid.as_str()), ("alg", algorithm.name()), ("use", "sig")];
        let names = names.map(|(member, name)| (member.to_owned(), Value::from(name)));
        public_jwk.as_object_mut().ok_or(SigningError::Document)?.extend(names);
        Ok(Self { algorithm, kid, public_jwk, pair })
    }

    /// The private key as a PKCS#8 document, to be sealed.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningError> {
        let bytes = match &self.pair {
            Pair::P256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8().map(|document| document.as_ref().to_vec()),
            Pair::Rsa(pair) => pair.as_der().map(|document: Pkcs8V1Der<'_>| document.as_ref().to_vec()),
        };
        bytes.map(Zeroizing::new).map_err(|_| SigningError::Generation)
    }

    /// What the key signs with.
    #[must_use]
    pub const fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The key's name: its RFC 7638 thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public key as a JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub const fn public_jwk(&self) -> &Value {
        &self.public_jwk
    }

    /// Signs bytes; the form is that of JWS (RFC 7518 §3, RFC 8037 §3.1).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::P256(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| SigningError::Signature),
            Pair::Ed25519(pair) => {
                pair.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| SigningError::Signature)
            }
            Pair::Rsa(pair) => {
                let padding: &'static dyn RsaEncoding =
                    if self.algorithm == SigningAlgorithm::Ps256 { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(|_| SigningError::Signature)?;
                Ok(signature)
            }
        }
    }

    /// A signed token of the kind `typ` with these claims.
    pub fn sign_token(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SigningError> {
        let header = json!({ "alg": self.algorithm.name(), "kid": self.kid, "typ": typ });
        let encode = |value: &dyn ToString| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = serde_json::to_string(claims).map_err(|_| SigningError::Signature)?;
        let mut token = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(token)
    }
}

impl SignsTokens for SigningKey {
    fn sign_token(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, SigningError> {
        Self::sign_token(self, typ, claims)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm, self.kid)
    }
}

impl Pair {
    fn public_members(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::P256(pair) => {
                // An uncompressed point: 0x04, x, y.
                let point = pair.public_key().as_ref().split_first();
                let (x, y) = point.and_then(|(_, point)| point.split_at_checked(32)).unwrap_or_default();
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref()) })
            }
            Self::Rsa(pair) => {
                let (modulus, exponent) = rsa_members(pair.public_key().as_ref()).unwrap_or_default();
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
        }
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1), without leading zeros. What this
/// reads comes from the cryptographic library; what it could not read becomes a JWK that our own
/// loader refuses.
fn rsa_members(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (members, _) = der_element(der, SEQUENCE)?;
    let (modulus, rest) = der_element(members, INTEGER)?;
    let (exponent, _) = der_element(rest, INTEGER)?;
    Some((modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent.strip_prefix(&[0]).unwrap_or(exponent)))
}

/// The content of the DER element at the front, which must have this tag, and what follows it.
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        (digits.iter().try_fold(0_usize, |length, digit| Some(length.checked_mul(256)? + usize::from(*digit)))?, rest)
    };
    rest.split_at_checked(length)
}

/// Why a key could not be made, read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// No key could be generated or written out.
    #[error("no signing key could be generated")]
    Generation,
    /// A stored key is not a private key of its algorithm.
    #[error("a stored signing key is not a key of its algorithm")]
    Document,
    /// The key did not sign.
    #[error("the key did not sign")]
    Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_signs_what_the_core_verifies() {
        for algorithm in SigningAlgorithm::ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let claims = json!({ "sub": "alice" });
            let token = key.sign_token("at+jwt", claims.as_object().unwrap()).unwrap();
            let (keys, skipped) = annul_core::token::KeySet::from_values(std::slice::from_ref(key.public_jwk()));
            assert!(skipped.is_empty(), "{algorithm}: {skipped:?}");
            let payload = annul_core::token::verify_jws(&token, &keys).unwrap();
            assert_eq!(payload, br#"{"sub":"alice"}"#);
        }
    }

    #[test]
    fn a_key_survives_its_document_and_keeps_its_name() {
        for algorithm in SigningAlgorithm::ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
            assert_eq!(again.kid(), key.kid());
            assert_eq!(again.public_jwk(), key.public_jwk());
        }
    }

    #[test]
    fn a_public_jwk_and_debug_output_hold_nothing_private() {
        for algorithm in SigningAlgorithm::ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(key.public_jwk().get(private).is_none());
            }
            assert_eq!(format!("{key:?}"), format!("SigningKey({algorithm} {})", key.kid()));
        }
    }

    #[test]
    fn an_algorithm_has_one_spelling_and_ed25519_as_an_alias() {
        for algorithm in SigningAlgorithm::ALL {
            assert_eq!(SigningAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert_eq!(SigningAlgorithm::from_name("Ed25519"), Some(SigningAlgorithm::EdDsa));
        assert_eq!(SigningAlgorithm::from_name("HS256"), None);
        assert_eq!(SigningAlgorithm::from_name("none"), None);
    }
}
