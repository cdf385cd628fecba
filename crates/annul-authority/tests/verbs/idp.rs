//! A foreign issuer.

use annul_authority::secrets::secret::Secret;
use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_authority::verbs::issuers::IssuerRequest;
use serde_json::{Value, json};

use crate::world::{AUDIENCE, FOREIGN, World, claims};

/// A foreign issuer and its key.
pub(crate) struct Idp {
    pub(crate) key: SigningKey,
}

impl Idp {
    pub(crate) fn new() -> Self {
        Self { key: SigningKey::generate(SigningAlgorithm::Rs256).unwrap() }
    }

    pub(crate) fn jwks(&self) -> Value {
        json!({ "keys": [self.key.public_jwk()] })
    }

    pub(crate) fn request(&self) -> IssuerRequest {
        IssuerRequest {
            issuer: FOREIGN.to_owned(),
            jwks: Some(self.jwks()),
            jwks_uri: None,
            longest_life: 3600,
            skew: 0,
            longest_session: None,
            requires_jti: false,
            claims: None,
            subjects: None,
        }
    }

    pub(crate) fn token(&self, world: &World, subject: &str, more: Value) -> Secret {
        let mut members = json!({
            "iss": FOREIGN, "sub": subject, "aud": AUDIENCE, "iat": world.now(), "exp": world.now() + 600,
        });
        for (name, value) in claims(more) {
            members[name] = value;
        }
        Secret::new(self.key.sign_token("JWT", members.as_object().unwrap()).unwrap())
    }
}
