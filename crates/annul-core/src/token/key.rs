//! A key that verifies, and what it is good for.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::algorithm::Algorithm;
use super::claims::MAX_NAME;
use super::error::TokenError;
use super::jwk::JwkError;
use super::weak;

/// One key of an issuer: a public key, or a secret that is shared with it.
///
/// The key carries the algorithms it is good for, checked when it was loaded; a token cannot choose
/// another. Its [`id`](Self::id) is what the target `key` is made of.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    id: Arc<str>,
    public: Option<Map<String, Value>>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

#[derive(Clone)]
enum Verifier {
    Public { key: ParsedPublicKey, signature_len: usize },
    Secret(Box<hmac::Key>),
}

impl Key {
    /// A shared secret under the name that configuration gives it, which is both its `kid` and its
    /// id. Refused: a secret shorter than the hash, a symmetric algorithm for nothing symmetric, and
    /// what looks like a public key (whoever reads that key could sign).
    pub fn secret(name: &str, algorithm: Algorithm, bytes: &[u8]) -> Result<Self, JwkError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(JwkError::Kid);
        }
        Self::from_secret(Some(name), name.to_owned(), &[algorithm], bytes)
    }

    pub(super) fn from_secret(
        kid: Option<&str>,
        id: String,
        algorithms: &[Algorithm],
        bytes: &[u8],
    ) -> Result<Self, JwkError> {
        if weak::looks_like_a_public_key(bytes) {
            return Err(JwkError::SecretIsPublic);
        }
        let mut verifiers = Vec::new();
        for &algorithm in algorithms {
            let hash = match algorithm {
                Algorithm::Hs256 => hmac::HMAC_SHA256,
                Algorithm::Hs384 => hmac::HMAC_SHA384,
                Algorithm::Hs512 => hmac::HMAC_SHA512,
                _ => return Err(JwkError::Algorithm),
            };
            if bytes.len() >= algorithm.shortest_secret() {
                verifiers.push((algorithm, Verifier::Secret(Box::new(hmac::Key::new(hash, bytes)))));
            }
        }
        if verifiers.is_empty() {
            return Err(JwkError::SecretTooShort);
        }
        Ok(Self { kid: kid.map(str::to_owned), id: id.into(), public: None, verifiers })
    }

    /// An Ed25519 public key. Refused: another length, a point that is written non-canonically, and
    /// every point of small order.
    pub fn ed25519(kid: Option<&str>, bytes: &[u8]) -> Result<Self, JwkError> {
        weak::check_ed25519(bytes)?;
        let key = ParsedPublicKey::new(&signature::ED25519, bytes).map_err(|_| JwkError::Point)?;
        let required = json!({"crv": "Ed25519", "kty": "OKP", "x": URL_SAFE_NO_PAD.encode(bytes)});
        let verifier = Verifier::Public { key, signature_len: 64 };
        Ok(Self::public(kid, &required, vec![(Algorithm::EdDsa, verifier)]))
    }

    /// The public key of one of the ECDSA algorithms, as an uncompressed point: `04`, x, y.
    /// Refused: another form or length, and what is not on the curve.
    pub fn ec(kid: Option<&str>, algorithm: Algorithm, point: &[u8]) -> Result<Self, JwkError> {
        let (curve, width, verification): (_, usize, &'static dyn VerificationAlgorithm) = match algorithm {
            Algorithm::Es256 => ("P-256", 32, &signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => ("P-384", 48, &signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::Es512 => ("P-521", 66, &signature::ECDSA_P521_SHA512_FIXED),
            _ => return Err(JwkError::Algorithm),
        };
        let (x, y) = match point.split_first() {
            Some((4, coordinates)) if coordinates.len() == 2 * width => coordinates.split_at(width),
            _ => return Err(JwkError::Length),
        };
        let key = ParsedPublicKey::new(verification, point).map_err(|_| JwkError::Point)?;
        let required = json!({
            "crv": curve, "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        });
        let verifier = Verifier::Public { key, signature_len: 2 * width };
        Ok(Self::public(kid, &required, vec![(algorithm, verifier)]))
    }

    /// An RSA public key for these algorithms, modulus and exponent in big-endian bytes. Refused:
    /// superfluous zeros, a modulus outside 2048 to 8192 bits or with a known weakness, an exponent
    /// that is even, 1 or longer than 33 bits.
    pub fn rsa(kid: Option<&str>, algorithms: &[Algorithm], n: &[u8], e: &[u8]) -> Result<Self, JwkError> {
        weak::check_rsa(n, e)?;
        let mut verifiers = Vec::new();
        for &algorithm in algorithms {
            let parameters = rsa_parameters(algorithm).ok_or(JwkError::Algorithm)?;
            let key = RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| JwkError::Point)?;
            verifiers.push((algorithm, Verifier::Public { key, signature_len: n.len() }));
        }
        if verifiers.is_empty() {
            return Err(JwkError::Algorithm);
        }
        let required = json!({"e": URL_SAFE_NO_PAD.encode(e), "kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n)});
        Ok(Self::public(kid, &required, verifiers))
    }

    fn public(kid: Option<&str>, required: &Value, verifiers: Vec<(Algorithm, Verifier)>) -> Self {
        let id = thumbprint(required);
        let mut public = required.as_object().cloned().unwrap_or_default();
        public.insert("use".to_owned(), "sig".into());
        if let Some(kid) = kid {
            public.insert("kid".to_owned(), kid.into());
        }
        if let [(algorithm, _)] = verifiers.as_slice() {
            public.insert("alg".to_owned(), algorithm.name().into());
        }
        Self { kid: kid.map(str::to_owned), id: id.into(), public: Some(public), verifiers }
    }

    /// The key, bound to one algorithm. Only an RSA key that was published without `alg` has several;
    /// it gets the one that issuers mean who say nothing, which is also OpenID Connect's default.
    pub(super) fn for_one_algorithm(mut self) -> Self {
        if self.verifiers.len() > 1 {
            self.verifiers.retain(|(algorithm, _)| *algorithm == Algorithm::Rs256);
            if let Some(public) = &mut self.public {
                public.insert("alg".to_owned(), Algorithm::Rs256.name().into());
            }
        }
        self
    }

    /// The name under which tokens ask for the key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The key's own name, which no token chooses: its RFC 7638 thumbprint, or a secret's configured
    /// name. The target `key` is made of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key's own name, for a token that it verified to hold.
    pub(super) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// The algorithms the key is good for.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the key is a shared secret.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        self.public.is_none()
    }

    /// The key as a JWK with its public members only and nothing else that was written beside them;
    /// `None` for a secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        self.public.clone().map(Value::Object)
    }

    /// Whether `signature` is this key's over `message`, under an algorithm the key is good for.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let (_, verifier) =
            self.verifiers.iter().find(|(own, _)| *own == algorithm).ok_or(TokenError::AlgNotAllowed)?;
        let verified = match verifier {
            Verifier::Secret(key) => hmac::verify(key, message, signature),
            Verifier::Public { signature_len, .. } if signature.len() != *signature_len => {
                return Err(TokenError::SignatureInvalid);
            }
            Verifier::Public { key, .. } => key.verify_sig(message, signature),
        };
        verified.map_err(|_| TokenError::SignatureInvalid)
    }

    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifiers.iter().any(|(own, _)| *own == algorithm)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().collect();
        f.debug_struct("Key").field("kid", &self.kid).field("id", &self.id).field("algorithms", &algorithms).finish()
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// The RFC 7638 thumbprint of an object of strings that holds the required members and no others.
pub(super) fn thumbprint(required: &Value) -> String {
    let mut members: Vec<_> = required.as_object().into_iter().flatten().collect();
    // The map may keep another order, depending on how the JSON library was built.
    members.sort_by_key(|(name, _)| *name);
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let canonical = format!("{{{}}}", members.join(","));
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}
