//! Who calls the OAuth endpoints: the client, proven in the way it was registered for.

use std::sync::Arc;

use annul_core::time::UnixMillis;
use annul_core::token::{Algorithm, Expect, KeySet, TokenError, Typ, UnverifiedToken, verify_jws};
use subtle::ConstantTimeEq as _;

use crate::authority::Authority;
use crate::client_certificate::ClientCertificate;
use crate::error::VerbError;
use crate::model::{AuthMethod, ClientMetadata, ClientRecord, GrantType, ProofKey};
use crate::store::{FirstUse, UseOnce};
use crate::verbs::accounts::LOGIN_CLIENT;
use crate::verbs::clients::secret_hash;

/// Seconds by which an assertion's `exp` may lie ahead: for as long its `jti` has to be remembered. An hour is
/// what common clients sign for and give their users no way to shorten.
pub const MAX_ASSERTION_LIFE: u64 = 3600;
/// Seconds by which clocks of clients may differ from ours.
const ASSERTION_LEEWAY: u64 = 5;
/// The `typ` of an assertion that has one of its own.
const ASSERTION_TYP: &str = "client-authentication+jwt";
/// Names in the store the ids of assertions that authenticated a client.
const ASSERTION_REALM: &str = "client_assertion";

/// A client at the OAuth endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthClient {
    /// Its id.
    pub client_id: String,
    /// The key that its request proved to hold besides: what a token given to it is bound to.
    pub proof: Option<ProofKey>,
    /// What it was registered with, which all of its requests share.
    record: Arc<ClientRecord>,
}

impl OAuthClient {
    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.record.scopes
    }

    /// What else it was registered with.
    #[must_use]
    pub fn metadata(&self) -> &ClientMetadata {
        &self.record.metadata
    }

    /// Whether it is a public client, which proves nothing: anybody may be calling.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.metadata().token_endpoint_auth_method == AuthMethod::None
    }

    /// Refuses a client without the scope. No scope implies another.
    pub fn require(&self, scope: &str) -> Result<(), VerbError> {
        let is_held = self.scopes().iter().any(|held| held == scope);
        if is_held { Ok(()) } else { Err(VerbError::InsufficientScope { scope: scope.to_owned() }) }
    }

    /// Refuses a client that was not registered for the grant.
    pub fn require_grant(&self, grant: GrantType) -> Result<(), VerbError> {
        if self.metadata().grant_types.contains(&grant) { Ok(()) } else { Err(VerbError::GrantNotAllowed { grant }) }
    }

    /// The client whose request proved to hold this key, or none. One that is to get bound tokens only is
    /// refused without the proof that it registered for.
    pub fn bound_to(self, proof: Option<ProofKey>) -> Result<Self, VerbError> {
        let metadata = self.metadata();
        match proof {
            Some(ProofKey::Jwk(_)) | None if metadata.tls_client_certificate_bound_access_tokens => {
                Err(VerbError::CertificateRequired)
            }
            Some(ProofKey::Certificate(_)) | None if metadata.dpop_bound_access_tokens => {
                Err(VerbError::DpopProofRequired)
            }
            proof => Ok(Self { proof, ..self }),
        }
    }

    /// The client that was registered so. Whoever makes one has seen it prove itself, or knows that it
    /// is a public one.
    #[must_use]
    pub fn of(record: Arc<ClientRecord>) -> Self {
        Self { client_id: record.client_id.clone(), proof: None, record }
    }

    /// The client of sessions that logins opened, which nobody has to register.
    fn login() -> Self {
        let metadata = ClientMetadata {
            token_endpoint_auth_method: AuthMethod::None,
            grant_types: vec![GrantType::TokenExchange, GrantType::RefreshToken],
            ..ClientMetadata::default()
        };
        Self::of(Arc::new(ClientRecord {
            client_id: LOGIN_CLIENT.to_owned(),
            secret_hash: Vec::new(),
            scopes: Vec::new(),
            created: UnixMillis(0),
            metadata,
        }))
    }
}

/// What a request says of its client: exactly one way of proving it, or none.
#[derive(Clone, Copy)]
pub enum ClientProof<'a> {
    /// Id and secret in the `Authorization` header.
    Basic {
        /// The id.
        client_id: &'a str,
        /// The secret.
        secret: &'a str,
    },
    /// Id and secret in the form.
    Post {
        /// The id.
        client_id: &'a str,
        /// The secret.
        secret: &'a str,
    },
    /// An assertion in the form.
    Assertion {
        /// The id, where the form names one beside the assertion.
        client_id: Option<&'a str>,
        /// The assertion.
        assertion: &'a str,
        /// The addresses that older clients name in place of the issuer.
        addresses: &'a [String],
    },
    /// An id, and the certificate of the connection, if it has one.
    Id {
        /// The id.
        client_id: &'a str,
        /// The certificate.
        certificate: Option<&'a ClientCertificate>,
    },
}

impl Authority {
    /// The client that a request comes from.
    ///
    /// # Errors
    /// [`VerbError::InvalidClient`], for an unknown client as for a wrong proof;
    /// [`VerbError::ClientAssertion`] where the client's own key signed an assertion that is not good
    /// otherwise.
    pub async fn oauth_client(&self, proof: ClientProof<'_>) -> Result<OAuthClient, VerbError> {
        use AuthMethod::{ClientSecretBasic, ClientSecretPost};
        match proof {
            ClientProof::Basic { client_id, secret } => {
                self.client_by_secret(client_id, secret, &[ClientSecretBasic]).await
            }
            ClientProof::Post { client_id, secret } => {
                self.client_by_secret(client_id, secret, &[ClientSecretBasic, ClientSecretPost]).await
            }
            ClientProof::Assertion { client_id, assertion, addresses } => {
                self.client_by_assertion(client_id, assertion, addresses).await
            }
            ClientProof::Id { client_id, certificate } => self.client_by_id(client_id, certificate).await,
        }
    }

    /// The public client of that id, which a login may name as the one its session belongs to.
    pub async fn public_client(&self, client_id: &str) -> Result<OAuthClient, VerbError> {
        self.client_by_id(client_id, None).await
    }

    /// The client's record, if the secret is its own. An unknown id takes the same path as a wrong
    /// secret.
    pub(crate) async fn proven_by_secret(&self, id: &str, secret: &str) -> Result<Arc<ClientRecord>, VerbError> {
        let record = self.clients().find(self.store().as_ref(), id).await?;
        // A client without a secret has an empty hash, which no hash equals.
        let expected = record.as_ref().map(|record| record.secret_hash.as_slice()).filter(|hash| !hash.is_empty());
        let matches = bool::from(secret_hash(secret).as_slice().ct_eq(expected.unwrap_or(&NOBODY)));
        record.filter(|_| matches).ok_or(VerbError::InvalidClient)
    }

    async fn client_by_secret(&self, id: &str, secret: &str, by: &[AuthMethod]) -> Result<OAuthClient, VerbError> {
        let record = self.proven_by_secret(id, secret).await?;
        if !by.contains(&record.metadata.token_endpoint_auth_method) {
            return Err(VerbError::InvalidClient);
        }
        Ok(OAuthClient::of(record))
    }

    async fn client_by_id(&self, id: &str, certificate: Option<&ClientCertificate>) -> Result<OAuthClient, VerbError> {
        if id == LOGIN_CLIENT {
            return Ok(OAuthClient::login());
        }
        let record = self.clients().find(self.store().as_ref(), id).await?.ok_or(VerbError::InvalidClient)?;
        let metadata = &record.metadata;
        let is_proven = match metadata.token_endpoint_auth_method {
            AuthMethod::None => true,
            AuthMethod::TlsClientAuth => certificate.is_some_and(|certificate| certificate.is_of(metadata)),
            _ => false,
        };
        if is_proven { Ok(OAuthClient::of(record)) } else { Err(VerbError::InvalidClient) }
    }

    /// RFC 7523 §3, with the issuer as the only audience unless the client was registered before that.
    async fn client_by_assertion(
        &self,
        named: Option<&str>,
        assertion: &str,
        addresses: &[String],
    ) -> Result<OAuthClient, VerbError> {
        let token = UnverifiedToken::parse(assertion).map_err(|_| VerbError::InvalidClient)?;
        let id = token.claims().sub().ok_or(VerbError::InvalidClient)?.to_owned();
        if named.is_some_and(|named| named != id) {
            return Err(VerbError::InvalidClient);
        }
        let record = self.clients().find(self.store().as_ref(), &id).await?.ok_or(VerbError::InvalidClient)?;
        let keys = match &record.metadata.jwks {
            Some(jwks) if record.metadata.token_endpoint_auth_method == AuthMethod::PrivateKeyJwt => keys_of(jwks),
            _ => return Err(VerbError::InvalidClient),
        };
        let mut audiences = vec![self.issuer().to_owned()];
        if record.metadata.legacy_audience {
            audiences.extend_from_slice(addresses);
        }
        let is_meant = token.claims().aud().iter().all(|aud| audiences.iter().any(|known| known == aud));
        let verified = token.verify(&keys, &expected_of(&id, &audiences), self.clock().seconds());
        let refused = match verified {
            Ok(verified) if is_meant => return self.used_once(record, verified.claims()).await,
            Ok(_) => TokenError::AudienceMismatch,
            Err(error) => error,
        };
        // What is wrong is told to whoever holds the client's key, and to nobody else.
        match verify_jws(assertion, &keys) {
            Ok(_) => Err(VerbError::ClientAssertion { why: refused.to_string() }),
            Err(_) => Err(VerbError::InvalidClient),
        }
    }

    async fn used_once(
        &self,
        record: Arc<ClientRecord>,
        claims: &annul_core::Claims,
    ) -> Result<OAuthClient, VerbError> {
        let (Some(jti), Some(exp)) = (claims.jti(), claims.exp()) else {
            return Err(VerbError::ClientAssertion { why: "jti and exp have to be there".to_owned() });
        };
        let once = UseOnce {
            realm: format!("{ASSERTION_REALM} {}", record.client_id),
            id: jti.to_owned(),
            until: exp.plus(ASSERTION_LEEWAY),
        };
        match self.store().use_once(once).await? {
            FirstUse::Fresh => Ok(OAuthClient::of(record)),
            FirstUse::Used => Err(VerbError::ClientAssertion { why: "the assertion was used before".to_owned() }),
        }
    }
}

/// What an unknown client's secret is compared with: no secret hashes to it.
const NOBODY: [u8; 32] = [0; 32];

/// The keys of a registered set, which was checked when it was registered.
fn keys_of(jwks: &serde_json::Value) -> KeySet {
    let values = jwks.get("keys").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    KeySet::from_values(values).0
}

fn expected_of(client_id: &str, audiences: &[String]) -> Expect {
    let (first, others) = audiences.split_first().map_or(("", &[][..]), |(first, others)| (first.as_str(), others));
    let expect = Expect::foreign(client_id, first)
        .with_typ(Typ::OrUntyped(ASSERTION_TYP.to_owned()))
        .with_algorithms(Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()))
        .with_longest_life(MAX_ASSERTION_LIFE)
        .with_leeway(ASSERTION_LEEWAY)
        .requiring_jti();
    others.iter().fold(expect, |expect, audience| expect.or_audience(audience))
}
