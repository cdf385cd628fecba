//! Keys to sign tokens with, in the forms that annul and its peers take.

use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_core::{Algorithm, Key};
use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Map, Value, json};

/// What tokens are signed with here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signing {
    /// Ed25519.
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with 2048 bits.
    Rs256,
    /// ECDSA on P-256.
    Es256,
    /// HMAC.
    Hs256,
}

impl Signing {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::EdDsa, Self::Rs256, Self::Es256, Self::Hs256];

    /// The name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Hs256 => "HS256",
        }
    }

    /// The same for `jsonwebtoken`.
    #[must_use]
    pub const fn of_peer(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
        }
    }
}

/// The secret of the issuer that signs by HMAC. It protects nothing.
pub const SECRET: &[u8; 32] = b"thirty-two bytes of bench secret";
/// The `kid` of that secret.
pub const SECRET_NAME: &str = "bench-secret";

/// A key of one algorithm.
pub struct Signer {
    signing: Signing,
    pair: Pair,
}

enum Pair {
    Asymmetric(Box<SigningKey>),
    Secret(Box<hmac::Key>),
}

impl Signer {
    /// A fresh key; for HMAC the one secret.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(signing: Signing) -> Result<Self> {
        let of = |algorithm| SigningKey::generate(algorithm).map_err(|error| anyhow!("{error}"));
        let pair = match signing {
            Signing::EdDsa => Pair::Asymmetric(of(SigningAlgorithm::EdDsa)?.into()),
            Signing::Rs256 => Pair::Asymmetric(of(SigningAlgorithm::Rs256)?.into()),
            Signing::Es256 => Pair::Asymmetric(of(SigningAlgorithm::Es256)?.into()),
            Signing::Hs256 => Pair::Secret(hmac::Key::new(hmac::HMAC_SHA256, SECRET).into()),
        };
        Ok(Self { signing, pair })
    }

    /// What it signs with.
    #[must_use]
    pub const fn signing(&self) -> Signing {
        self.signing
    }

    /// The public key as a JWK; `None` for a secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<Value> {
        match &self.pair {
            Pair::Asymmetric(key) => Some(key.public_jwk().clone()),
            Pair::Secret(_) => None,
        }
    }

    /// The key that the authority signs with; `None` for a secret.
    #[must_use]
    pub fn authority_key(&self) -> Option<&SigningKey> {
        match &self.pair {
            Pair::Asymmetric(key) => Some(key),
            Pair::Secret(_) => None,
        }
    }

    /// What the peers outside of Rust need to verify by: a JWK, also of the secret.
    #[must_use]
    pub fn jwk_for_peers(&self) -> Value {
        self.public_jwk().unwrap_or_else(
            || json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "alg": "HS256", "kid": SECRET_NAME }),
        )
    }

    /// An access token with these claims.
    ///
    /// # Errors
    /// When signing fails.
    pub fn token(&self, claims: &Map<String, Value>) -> Result<String> {
        match &self.pair {
            Pair::Asymmetric(key) => key.sign_token("at+jwt", claims).map_err(|error| anyhow!("{error}")),
            Pair::Secret(key) => {
                let header = json!({ "alg": "HS256", "kid": SECRET_NAME, "typ": "at+jwt" });
                let part = |text: String| URL_SAFE_NO_PAD.encode(text);
                let signed = format!("{}.{}", part(header.to_string()), part(serde_json::to_string(claims)?));
                let signature = hmac::sign(key, signed.as_bytes());
                Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
            }
        }
    }

    /// The key `jsonwebtoken` decodes by, parsed once.
    ///
    /// # Errors
    /// When it does not take the key.
    pub fn decoding_key(&self) -> Result<DecodingKey> {
        let Some(jwk) = self.public_jwk() else { return Ok(DecodingKey::from_secret(SECRET)) };
        let jwk: Jwk = serde_json::from_value(jwk)?;
        Ok(DecodingKey::from_jwk(&jwk)?)
    }

    /// The key `jsonwebtoken` encodes with.
    ///
    /// # Errors
    /// When the private key cannot be written.
    pub fn encoding_key(&self) -> Result<EncodingKey> {
        let Pair::Asymmetric(key) = &self.pair else { return Ok(EncodingKey::from_secret(SECRET)) };
        let document = key.to_pkcs8().map_err(|error| anyhow!("{error}"))?;
        Ok(match self.signing {
            Signing::EdDsa => EncodingKey::from_ed_der(&document),
            Signing::Es256 => EncodingKey::from_ec_der(&document),
            Signing::Rs256 => EncodingKey::from_rsa_der(pkcs1(&document).context("a PKCS#8 document of an RSA key")?),
            Signing::Hs256 => EncodingKey::from_secret(SECRET),
        })
    }
}

/// The verifier's copy of the secret.
///
/// # Errors
/// When annul does not take it.
pub fn verifiers_secret() -> Result<Key> {
    Key::secret(SECRET_NAME, Algorithm::Hs256, SECRET).map_err(|error| anyhow!("{error}"))
}

/// The `RSAPrivateKey` inside a PKCS#8 document, which is what `jsonwebtoken` takes: the first
/// sequence in it that holds the version 0 and a long integer (RFC 8017 §A.1.2).
fn pkcs1(document: &[u8]) -> Option<&[u8]> {
    const LONG_SEQUENCE: [u8; 2] = [0x30, 0x82];
    const VERSION_THEN_MODULUS: [u8; 5] = [0x02, 0x01, 0x00, 0x02, 0x82];
    let starts =
        document.windows(9).position(|window| window[..2] == LONG_SEQUENCE && window[4..] == VERSION_THEN_MODULUS)?;
    Some(&document[starts..])
}
