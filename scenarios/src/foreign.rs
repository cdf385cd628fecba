//! An issuer that is not ours: its keys are its own and another library signs its tokens.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::authority::{AUDIENCE, Authority};

/// A foreign issuer with one key.
pub struct ForeignIssuer {
    name: String,
    key: EncodingKey,
    header: Header,
}

impl ForeignIssuer {
    /// The name of the issuer.
    pub const NAME: &'static str = "https://idp.scenario.example";

    /// A new issuer, registered with the authority by its JWKS.
    pub async fn register(authority: &Authority) -> Self {
        Self::register_with(authority, json!({})).await
    }

    /// The same, with members of the registration replaced or added.
    pub async fn register_with(authority: &Authority, changes: Value) -> Self {
        let (key, header, public) = signing_key("idp-1");
        let issuer = Self { name: Self::NAME.to_owned(), key, header };
        let mut registration = json!({
            "issuer": issuer.name, "jwks": {"keys": [public]}, "longest_life": 3600, "requires_jti": false,
        });
        for (name, value) in changes.as_object().expect("changes are an object") {
            registration[name] = value.clone();
        }
        authority.admin().post("/v1/issuers", registration).await.expect_status(201);
        issuer
    }

    /// An issuer that shares one HS256 secret with its services and names no `kid`.
    pub async fn register_with_secret(authority: &Authority, secret: &str) -> Self {
        let name = Self::NAME.to_owned();
        let registration = json!({"issuer": name, "jwks": {"keys": []}, "longest_life": 3600, "requires_jti": false});
        authority.admin().post("/v1/issuers", registration).await.expect_status(201);
        Self { name, key: EncodingKey::from_secret(secret.as_bytes()), header: Header::new(Algorithm::HS256) }
    }

    /// The issuer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A token of `subject`, issued `age` seconds ago and good for ten minutes from then, with
    /// `claims` replaced or added; a `null` takes one away.
    pub fn token(&self, subject: &str, age: u64, claims: Value) -> String {
        let issued = now() - age;
        let mut all = json!({
            "iss": self.name, "sub": subject, "aud": AUDIENCE, "iat": issued, "exp": issued + 600,
            "jti": format!("{subject}-{issued}-{}", fresh()),
        });
        let members = all.as_object_mut().expect("the claims are an object");
        for (name, value) in claims.as_object().expect("claims are an object") {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        jsonwebtoken::encode(&self.header, &all, &self.key).expect("the other library signs")
    }
}

/// A new key that another library signs with, the header that names it, and its public half as a JWK.
pub(crate) fn signing_key(kid: &str) -> (EncodingKey, Header, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).expect("a key can be made");
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("what was made can be read");
    let public = json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid,
        "x": URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()),
    });
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.to_owned());
    (EncodingKey::from_ed_der(pkcs8.as_ref()), header, public)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970").as_secs()
}

/// Milliseconds since 1970.
pub fn now_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
    u64::try_from(since.as_millis()).expect("it is not yet the year 500 million")
}

/// A number that this process has not used before.
pub(crate) fn fresh() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    COUNTER.fetch_add(1, Ordering::Relaxed)
}
