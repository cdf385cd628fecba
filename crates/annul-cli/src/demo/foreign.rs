//! An issuer that knows nothing of annul: its tokens are signed by another JWT library.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::Problem;

/// The foreign issuer's `iss`.
pub(crate) const ISSUER: &str = "https://idp.demo.example";

/// The issuer and its private key.
pub(crate) struct ForeignIssuer {
    key: EncodingKey,
    jwks: Value,
}

impl ForeignIssuer {
    pub(crate) fn new() -> Result<Self, Problem> {
        let document = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| pair.to_pkcs8v1().map(|document| (pair, document)));
        let (pair, document) = document.map_err(|_| "no key can be generated")?;
        // An uncompressed point: 0x04, x, y.
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk =
            json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "idp-1", "x": encode(x), "y": encode(y) });
        Ok(Self { key: EncodingKey::from_ec_der(document.as_ref()), jwks: json!({ "keys": [jwk] }) })
    }

    pub(crate) const fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// A token of five minutes for the demonstration's services.
    pub(crate) fn token(&self, subject: &str, jti: &str) -> Result<String, Problem> {
        let now = unix_now();
        let claims = json!({
            "iss": ISSUER, "aud": super::role::AUDIENCE, "sub": subject, "jti": jti, "iat": now, "exp": now + 300,
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("idp-1".to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|error| error.to_string().into())
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
