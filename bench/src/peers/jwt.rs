//! `jsonwebtoken` as it is used well: keys parsed once, claims in a typed struct, issuer, audience and
//! expiry checked. It knows of no revocation.

use anyhow::Result;
use jsonwebtoken::{DecodingKey, Validation, decode};
use serde::{Deserialize, Serialize};

use crate::world::keys::{Signer, Signing};
use crate::world::{AUDIENCE, HMAC_ISSUER, ISSUER};

/// All claims of our tokens.
#[derive(Debug, Deserialize, Serialize)]
pub struct Claims {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    iat: u64,
    auth_time: u64,
    jti: String,
    client_id: String,
    sid: String,
    device_id: String,
    lpos: String,
}

impl Claims {
    /// The token's id.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }
}

/// What decodes the tokens of one key.
pub struct Decoder {
    key: DecodingKey,
    validation: Validation,
}

impl Decoder {
    /// Of the tokens that this signs.
    ///
    /// # Errors
    /// When the key is not taken.
    pub fn new(signer: &Signer) -> Result<Self> {
        let signing = signer.signing();
        let mut validation = Validation::new(signing.of_peer());
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[if signing == Signing::Hs256 { HMAC_ISSUER } else { ISSUER }]);
        Ok(Self { key: signer.decoding_key()?, validation })
    }

    /// The claims, or `None` when the token is refused.
    #[must_use]
    pub fn decode(&self, token: &str) -> Option<Claims> {
        decode::<Claims>(token, &self.key, &self.validation).ok().map(|data| data.claims)
    }
}
