//! Signs what the tests present: any header and any payload, well formed or not.

use std::sync::OnceLock;

use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::UnixSeconds;
use annul_core::token::{Algorithm, Expect, Key, KeySet, TokenError, UnverifiedToken, VerifiedToken};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaKeyPair,
};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
pub(crate) const OWN: &str = "https://annul.example";
pub(crate) const IDP: &str = "https://idp.example";
pub(crate) const API: &str = "https://api.example";
pub(crate) const SECRET: &[u8; 64] = b"a secret of sixty-four bytes, which is enough for every HMAC....";

pub(crate) enum Signer {
    Secret(Algorithm),
    Ed25519(Ed25519KeyPair),
    Ec(Algorithm, EcdsaKeyPair),
    Rsa(Algorithm),
}

fn rsa_pair() -> &'static RsaKeyPair {
    static PAIR: OnceLock<RsaKeyPair> = OnceLock::new();
    PAIR.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

impl Signer {
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Self::Secret(algorithm),
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()),
            Algorithm::Es256 => Self::Ec(algorithm, EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            Algorithm::Es384 => Self::Ec(algorithm, EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            Algorithm::Es512 => Self::Ec(algorithm, EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()),
            _ => Self::Rsa(algorithm),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519(_) => Algorithm::EdDsa,
            Self::Secret(algorithm) | Self::Ec(algorithm, _) | Self::Rsa(algorithm) => *algorithm,
        }
    }

    pub(crate) fn key(&self, kid: Option<&str>) -> Key {
        match self {
            Self::Secret(algorithm) => Key::secret(kid.unwrap_or("shared"), *algorithm, SECRET),
            Self::Ed25519(pair) => Key::ed25519(kid, pair.public_key().as_ref()),
            Self::Ec(algorithm, pair) => Key::ec(kid, *algorithm, pair.public_key().as_ref()),
            Self::Rsa(algorithm) => {
                // RFC 8017 RSAPublicKey of a 2048-bit key: the modulus, then 02 03 01 00 01.
                let der = rsa_pair().public_key().as_ref();
                let (modulus, exponent) = der[der.len() - 261..].split_at(256);
                Key::rsa(kid, &[*algorithm], modulus, &exponent[2..])
            }
        }
        .unwrap()
    }

    pub(crate) fn keys(&self, kid: Option<&str>) -> KeySet {
        [self.key(kid)].into_iter().collect()
    }

    pub(crate) fn raw(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(algorithm) => {
                let hash = match algorithm {
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(hash, SECRET), message).as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Ec(_, pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(algorithm) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Ps384 => &RSA_PSS_SHA384,
                    Algorithm::Ps512 => &RSA_PSS_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; rsa_pair().public_modulus_len()];
                rsa_pair().sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token of exactly these bytes.
    pub(crate) fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(self.raw(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// A token with a fitting header for access tokens.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm().name(), "typ": "at+jwt"});
        self.sign(header.to_string(), claims.to_string())
    }
}

/// The claims of an ordinary own token.
pub(crate) fn own_claims() -> Value {
    json!({
        "iss": OWN, "sub": "alice", "aud": API, "exp": NOW.0 + 300, "iat": NOW.0 - 10, "jti": "t-1",
        "client_id": "web", "sid": "s-1", "device_id": "phone", "auth_time": NOW.0 - 100, "lpos": "1:42",
    })
}

/// The claims of an ordinary foreign token.
pub(crate) fn foreign_claims() -> Value {
    json!({"iss": IDP, "sub": "bob", "aud": [API, "other"], "exp": NOW.0 + 300, "iat": NOW.0 - 10, "jti": "f-1"})
}

/// `claims` with `changes`, where null takes a claim away.
pub(crate) fn with(mut claims: Value, changes: Value) -> Value {
    let members: &mut Map<String, Value> = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    claims
}

/// Presents a token to the whole path.
pub(crate) fn present(token: &str, keys: &KeySet, expect: &Expect) -> Result<VerifiedToken, TokenError> {
    UnverifiedToken::parse(token)?.verify(keys, expect, NOW)
}

/// Presents a foreign token with this payload, signed by HS256.
pub(crate) fn present_payload(payload: impl AsRef<[u8]>) -> Result<VerifiedToken, TokenError> {
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.sign(r#"{"alg":"HS256"}"#, payload);
    present(&token, &signer.keys(None), &Expect::foreign(IDP, API))
}

/// Presents a foreign token with this header, signed by HS256.
pub(crate) fn present_header(header: impl AsRef<[u8]>) -> Result<VerifiedToken, TokenError> {
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.sign(header, foreign_claims().to_string());
    present(&token, &signer.keys(None), &Expect::foreign(IDP, API))
}

/// Presents an own token with these claims.
pub(crate) fn present_own(claims: &Value) -> Result<VerifiedToken, TokenError> {
    let signer = Signer::of(Algorithm::EdDsa);
    present(&signer.token(claims), &signer.keys(None), &own())
}

pub(crate) fn own() -> Expect {
    Expect::own(OWN, API).with_longest_life(900).with_leeway(5)
}

/// The code under which a token was refused, or what it was instead.
pub(crate) fn code(outcome: Result<VerifiedToken, TokenError>) -> &'static str {
    outcome.map_or_else(|error| error.code(), |_| "OK")
}

pub(crate) fn hash_key() -> HashKey {
    HashKey::from_bytes([3; 32])
}

pub(crate) fn settings(claims: &[&str], ask_on: &[&str]) -> Settings {
    Settings {
        revision: 1,
        issuer: OWN.to_owned(),
        longest_life: 900,
        max_leeway: 60,
        clock_skew: 5,
        claims: claims.iter().map(|&claim| claim.to_owned()).collect(),
        ask_on: ask_on.iter().map(|&claim| claim.to_owned()).collect(),
        hash_key: hash_key().id(),
    }
}

pub(crate) const LPOS: Position = Position::new(1, 42);
