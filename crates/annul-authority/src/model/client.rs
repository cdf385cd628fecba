//! Clients: programs that call the authority, and how each proves who it is.
//!
//! What is said of a client beside its scopes has the names of RFC 7591 and of those that extend it.
//! A row from before it was kept reads with the defaults.

use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A client that may call the authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its id.
    pub client_id: String,
    /// A hash of its secret; the secret itself is shown once and never kept. Empty for a client that
    /// has none.
    pub secret_hash: Vec<u8>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
    /// How it proves itself, and what its tokens are like.
    #[serde(default)]
    pub metadata: ClientMetadata,
}

/// How a client proves itself at the OAuth endpoints, and what its tokens are like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ClientMetadata {
    /// How it proves itself.
    pub token_endpoint_auth_method: AuthMethod,
    /// The grants it may use.
    pub grant_types: Vec<GrantType>,
    /// Its public keys, which verify its assertions: a JWK set.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The subject of its certificate (RFC 4514), with `tls_client_auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name among its certificate's subject alternative names, with `tls_client_auth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// Whether it gets no token without a DPoP proof.
    pub dpop_bound_access_tokens: bool,
    /// Whether it gets no token without a certificate, which its tokens are then bound to.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Where a browser may be sent after a logout that it asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<String>,
    /// The algorithm its introspection answers are signed with; they are plain JSON unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<String>,
    /// Whether its assertions may name the token endpoint as their audience, as clients did before that
    /// was found to be unsafe.
    pub legacy_audience: bool,
    /// Whether revoking one of its access tokens ends the session that the token belongs to.
    pub revoke_session_with_access_token: bool,
}

impl Default for ClientMetadata {
    fn default() -> Self {
        Self {
            token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
            grant_types: vec![GrantType::ClientCredentials, GrantType::TokenExchange, GrantType::RefreshToken],
            jwks: None,
            tls_client_auth_subject_dn: None,
            tls_client_auth_san_dns: None,
            dpop_bound_access_tokens: false,
            tls_client_certificate_bound_access_tokens: false,
            post_logout_redirect_uris: Vec::new(),
            introspection_signed_response_alg: None,
            legacy_audience: false,
            revoke_session_with_access_token: false,
        }
    }
}

/// How a client proves who it is at the OAuth endpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A secret, by HTTP Basic or in the form.
    #[default]
    ClientSecretBasic,
    /// A secret, in the form only.
    ClientSecretPost,
    /// An assertion signed by a key of its own (RFC 7523).
    PrivateKeyJwt,
    /// A certificate that the TLS connection was made with (RFC 8705).
    TlsClientAuth,
    /// Not at all: a public client, which anybody can claim to be.
    None,
}

impl AuthMethod {
    /// Every method.
    pub const ALL: [Self; 5] =
        [Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::TlsClientAuth, Self::None];

    /// The method's name (RFC 7591 §2, RFC 8705 §2.1.1).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::None => "none",
        }
    }

    /// Whether a client of this method has a secret.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// What a client may be given tokens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub enum GrantType {
    /// Its own credential: a token for itself.
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    /// Another token (RFC 8693).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    /// A refresh token.
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// An assertion about a user (RFC 7523).
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
}

impl GrantType {
    /// Every grant.
    pub const ALL: [Self; 4] = [Self::ClientCredentials, Self::TokenExchange, Self::RefreshToken, Self::JwtBearer];

    /// The grant's name in `grant_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::RefreshToken => "refresh_token",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// The grant of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_from_before_reads_with_the_defaults() {
        let row = json!({"client_id": "shop", "secret_hash": [1], "scopes": ["annul.issue"], "created": 7});
        let record: ClientRecord = serde_json::from_value(row).unwrap();
        assert_eq!(record.metadata, ClientMetadata::default());
    }

    #[test]
    fn names_are_those_of_the_standards() {
        for method in AuthMethod::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), json!(method.name()));
        }
        for grant in GrantType::ALL {
            assert_eq!(serde_json::to_value(grant).unwrap(), json!(grant.name()));
            assert_eq!(GrantType::from_name(grant.name()), Some(grant));
        }
        assert_eq!(GrantType::from_name("password"), None);
    }
}
