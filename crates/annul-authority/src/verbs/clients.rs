//! Clients: backends, verifiers and administrators that call the authority.
//!
//! A client proves itself by a secret of 256 random bits, shown once and kept as a hash. It is no
//! token of the log, so that revoking everything cuts nobody off who has to mend things.

use std::collections::BTreeSet;
use std::sync::Arc;

use annul_core::time::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{ClientMetadata, ClientRecord};
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::store::{Refused, StoreError};
use crate::verbs::accounts::LOGIN_CLIENT;
use crate::verbs::bounds;
pub use crate::verbs::client_metadata::{ClientMetadataRequest, ClientRequest};
use crate::verbs::machine_tokens::CANARY;

/// The client that the first start makes.
pub(crate) const ADMIN: &str = "admin";
/// The scope that administers.
const ADMIN_SCOPE: &str = "annul.admin";
/// The scopes of this authority's own endpoints.
pub const OWN_SCOPES: [&str; 5] = ["annul.issue", "annul.revoke", "annul.read", "annul.follow", ADMIN_SCOPE];
/// What every secret begins with, so that scanners for leaked secrets find it.
const SECRET_PREFIX: &str = "annul_cs_";
/// Scopes of one client.
pub const MAX_SCOPES: usize = 64;
/// Client ids that are ours.
const TAKEN: [&str; 3] = [LOGIN_CLIENT, CANARY, Caller::SYSTEM];

/// A client that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedClient {
    /// Its id.
    pub client_id: String,
    /// What it was registered with, which all of its requests share.
    record: Arc<ClientRecord>,
}

impl AuthenticatedClient {
    /// Whether this record is of the client that proved itself, and not of a later one with its id: a
    /// client's secret is made with it and stays.
    pub(crate) fn is(&self, record: &ClientRecord) -> bool {
        self.record.client_id == record.client_id && self.record.secret_hash == record.secret_hash
    }

    /// Refuses a client without the scope. No scope implies another.
    pub fn require(&self, scope: &str) -> Result<(), VerbError> {
        let is_held = self.record.scopes.iter().any(|held| held == scope);
        if is_held { Ok(()) } else { Err(VerbError::InsufficientScope { scope: scope.to_owned() }) }
    }
}

/// A client that was made. The secret is shown this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientSecretAnswer {
    /// Its id.
    pub client_id: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its secret; none for a client that proves itself in another way.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// How it proves itself, and what its tokens are like.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// A client.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientItem {
    /// Its id.
    pub client_id: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made (Unix seconds).
    pub created: u64,
    /// How it proves itself, and what its tokens are like.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

/// The clients, by id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientList {
    /// The clients.
    pub clients: Vec<ClientItem>,
}

impl ClientItem {
    fn of(record: ClientRecord) -> Self {
        Self {
            client_id: record.client_id,
            scopes: record.scopes,
            created: record.created.floor().0,
            metadata: record.metadata,
        }
    }
}

impl Authority {
    /// The client with this id, if the secret is its own. An unknown id takes the same path.
    pub async fn authenticate_client(&self, client_id: &str, secret: &str) -> Result<AuthenticatedClient, VerbError> {
        let record = self.proven_by_secret(client_id, secret).await?;
        Ok(AuthenticatedClient { client_id: record.client_id.clone(), record })
    }

    /// Makes a client. Its id can be no account's name, so that no user can pass for a machine.
    pub async fn create_client(
        &self,
        caller: &Caller,
        request: ClientRequest,
    ) -> Result<ClientSecretAnswer, VerbError> {
        bounds::name("client_id", &request.client_id)?;
        // The audit names users as `subject:NAME` and `account:NAME` and the authority as `annul`: no
        // client may pass for them.
        let is_user = [Caller::SUBJECT, Caller::ACCOUNT].iter().any(|user| request.client_id.starts_with(user));
        if is_user || TAKEN.contains(&request.client_id.as_str()) {
            let why = "is the authority's own".to_owned();
            return Err(VerbError::Invalid { member: "client_id", why });
        }
        let metadata = request.metadata.checked(&request.scopes)?;
        let scopes = checked_scopes(request.scopes)?;
        let has_secret = metadata.token_endpoint_auth_method.has_secret();
        let client_secret = if has_secret { Some(new_secret()?) } else { None };
        let record = ClientRecord {
            secret_hash: client_secret.as_ref().map(|secret| secret_hash(secret.expose()).to_vec()).unwrap_or_default(),
            client_id: request.client_id.clone(),
            scopes: scopes.clone(),
            created: self.clock().millis(),
            metadata: metadata.clone(),
        };
        // Without idempotency: the secret of a first attempt is nowhere to be repeated from.
        self.store().add_client(caller.step("client.create", None), record).await?;
        Ok(ClientSecretAnswer { client_id: request.client_id, scopes, client_secret, metadata })
    }

    /// Replaces how a client proves itself and what its tokens are like, all of it; id, secret and scopes
    /// stay. A key that is left out proves nothing from the answer on. What the client got before lives on.
    pub async fn change_client(
        &self,
        caller: &Caller,
        client_id: &str,
        request: ClientMetadataRequest,
    ) -> Result<ClientItem, VerbError> {
        let record = self.store().client(client_id).await?.ok_or(StoreError::from(Refused::ClientUnknown))?;
        // Scopes never change, so those that were read are those that the store will find.
        let metadata = request.checked(&record.scopes)?;
        self.store().change_client(caller.act("client.change", None), client_id, metadata.clone()).await?;
        Ok(ClientItem::of(ClientRecord { metadata, ..record }))
    }

    /// The clients.
    pub async fn list_clients(&self) -> Result<ClientList, VerbError> {
        let clients = self.store().clients().await?.into_iter().map(ClientItem::of);
        Ok(ClientList { clients: clients.collect() })
    }

    /// Deletes a client and revokes the tokens it holds as itself. Sessions that it opened for users
    /// live on. The last administrator cannot be deleted.
    pub async fn delete_client(&self, caller: &Caller, client_id: &str) -> Result<(), VerbError> {
        let _one_at_a_time = self.signing_lock().write().await;
        let clients = self.store().clients().await?;
        // Without a secret it cannot call what administers.
        let is_admin = |record: &ClientRecord| {
            !record.secret_hash.is_empty() && record.scopes.iter().any(|scope| scope == ADMIN_SCOPE)
        };
        let others = clients.iter().filter(|record| record.client_id != client_id);
        // One that is not there is left to the store, which knows a repetition by its key.
        let is_last = clients.iter().any(|record| record.client_id == client_id && is_admin(record))
            && !others.into_iter().any(is_admin);
        if is_last {
            return Err(VerbError::LastAdmin { client: client_id.to_owned() });
        }
        self.store().remove_client(caller.act("client.delete", Some("client deleted".to_owned())), client_id).await?;
        Ok(())
    }
}

/// The administrator's client of a new log, with the secret it is given.
pub(crate) fn admin_record(secret: &Secret, now: UnixMillis) -> ClientRecord {
    ClientRecord {
        client_id: ADMIN.to_owned(),
        secret_hash: secret_hash(secret.expose()).to_vec(),
        scopes: OWN_SCOPES.map(str::to_owned).to_vec(),
        created: now,
        metadata: ClientMetadata::default(),
    }
}

/// A new secret.
pub(crate) fn new_secret() -> Result<Secret, VerbError> {
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random::bytes::<32>()?))))
}

/// Whether a text could be a secret that was made here.
pub(crate) fn is_secret(text: &str) -> bool {
    let random = text.strip_prefix(SECRET_PREFIX).and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    random.is_some_and(|bytes| bytes.len() == 32)
}

/// A secret of 256 random bits needs no slow hash: nobody can try them all.
pub(crate) fn secret_hash(secret: &str) -> [u8; 32] {
    blake3::derive_key("annul client secret v0", secret.as_bytes())
}

fn checked_scopes(given: Vec<String>) -> Result<Vec<String>, VerbError> {
    let invalid = |why: String| VerbError::Invalid { member: "scopes", why };
    if given.len() > MAX_SCOPES {
        return Err(invalid(format!("are at most {MAX_SCOPES}")));
    }
    for scope in &given {
        if !bounds::is_scope_word(scope) || scope.len() > bounds::MAX_SCOPE {
            return Err(invalid("are words of visible ASCII without quotes and backslashes".to_owned()));
        }
        if scope.starts_with("annul.") && !OWN_SCOPES.contains(&scope.as_str()) {
            return Err(invalid(format!(
                "{scope:?} is none; those that begin with annul. are {}",
                OWN_SCOPES.join(" ")
            )));
        }
    }
    let unique: BTreeSet<String> = given.into_iter().collect();
    Ok(unique.into_iter().collect())
}
