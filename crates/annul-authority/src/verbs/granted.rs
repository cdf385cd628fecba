//! What the token endpoint answers, whatever the grant.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::ProofKey;
use crate::secrets::secret::Secret;

/// The type of an access token (RFC 8693 §3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of a signed token, whatever it is for (RFC 8693 §3).
pub const JWT_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A token that was granted (RFC 6749 §5.1, RFC 8693 §2.2.1).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Granted {
    /// The token.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// How it is presented: `Bearer`, or `DPoP` where it is bound to a key that signs proofs.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// The scope granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What the next tokens are had with.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// Seconds until that expires if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<u64>,
    /// What kind of token it is, in the answer to a token exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
}

impl Granted {
    /// An access token bound to what was proven, and nothing to renew it with.
    pub(crate) fn alone(
        access_token: Secret,
        expires_in: u64,
        scope: Option<String>,
        proof: Option<&ProofKey>,
    ) -> Self {
        Self {
            access_token,
            token_type: ProofKey::token_type(proof),
            expires_in,
            scope,
            refresh_token: None,
            refresh_token_expires_in: None,
            issued_token_type: None,
        }
    }
}
