//! Clients: backends, verifiers and administrators that call the authority.
//!
//! A client proves itself by a secret of 256 random bits, shown once and kept as a hash. It is no
//! token of the log, so that revoking everything cuts nobody off who has to mend things.

use std::collections::BTreeSet;

use annul_core::time::UnixMillis;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::ClientRecord;
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::verbs::accounts::LOGIN_CLIENT;
use crate::verbs::bounds;
use crate::verbs::tokens::CANARY;

/// The client that the first start makes.
pub(crate) const ADMIN: &str = "admin";
/// The scope that administers.
const ADMIN_SCOPE: &str = "annul.admin";
/// The scopes of this authority's own endpoints.
pub const OWN_SCOPES: [&str; 5] = ["annul.issue", "annul.revoke", "annul.read", "annul.follow", ADMIN_SCOPE];
/// What every secret begins with, so that scanners for leaked secrets find it.
const SECRET_PREFIX: &str = "annul_cs_";
/// Scopes of one client.
const MAX_SCOPES: usize = 64;
/// Client ids that are ours.
const TAKEN: [&str; 3] = [LOGIN_CLIENT, CANARY, Caller::SYSTEM];

/// A client that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedClient {
    /// Its id.
    pub client_id: String,
    /// What it may do.
    pub scopes: BTreeSet<String>,
}

impl AuthenticatedClient {
    /// Refuses a client without the scope. No scope implies another.
    pub fn require(&self, scope: &str) -> Result<(), VerbError> {
        if self.scopes.contains(scope) { Ok(()) } else { Err(VerbError::InsufficientScope { scope: scope.to_owned() }) }
    }
}

/// A client to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientRequest {
    /// Its id.
    pub client_id: String,
    /// What it may do: `annul.issue`, `annul.revoke`, `annul.read`, `annul.follow`, `annul.admin`,
    /// and scopes of your own for the tokens it gets at `/oauth2/token`.
    pub scopes: Vec<String>,
}

/// A client that was made. The secret is shown this once.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientSecretAnswer {
    /// Its id.
    pub client_id: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Its secret.
    #[schema(value_type = String)]
    pub client_secret: Secret,
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
}

/// The clients, by id.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientList {
    /// The clients.
    pub clients: Vec<ClientItem>,
}

impl Authority {
    /// The client with this id, if the secret is its own. An unknown id takes the same path.
    pub async fn authenticate_client(&self, client_id: &str, secret: &str) -> Result<AuthenticatedClient, VerbError> {
        let record = self.clients().find(self.store().as_ref(), client_id).await?;
        let nobody = [0; 32];
        let expected = record.as_ref().map_or(nobody.as_slice(), |record| &record.secret_hash);
        let given = secret_hash(secret);
        let matches = bool::from(given.as_slice().ct_eq(expected));
        match record {
            Some(record) if matches => {
                let scopes = record.scopes.iter().cloned().collect();
                Ok(AuthenticatedClient { client_id: record.client_id.clone(), scopes })
            }
            _ => Err(VerbError::InvalidClient),
        }
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
        let scopes = checked_scopes(request.scopes)?;
        let client_secret = new_secret()?;
        let record = record(request.client_id, scopes, &client_secret, self.clock().millis());
        let (client_id, scopes) = (record.client_id.clone(), record.scopes.clone());
        // Without idempotency: the secret of a first attempt is nowhere to be repeated from.
        self.store().add_client(caller.step("client.create", None), record).await?;
        Ok(ClientSecretAnswer { client_id, scopes, client_secret })
    }

    /// The clients.
    pub async fn list_clients(&self) -> Result<ClientList, VerbError> {
        let clients = self.store().clients().await?.into_iter().map(|record| ClientItem {
            client_id: record.client_id,
            scopes: record.scopes,
            created: record.created.floor().0,
        });
        Ok(ClientList { clients: clients.collect() })
    }

    /// Deletes a client and revokes the tokens it holds as itself. Sessions that it opened for users
    /// live on. The last administrator cannot be deleted.
    pub async fn delete_client(&self, caller: &Caller, client_id: &str) -> Result<(), VerbError> {
        let _one_at_a_time = self.signing_lock().write().await;
        let clients = self.store().clients().await?;
        let is_admin = |record: &ClientRecord| record.scopes.iter().any(|scope| scope == ADMIN_SCOPE);
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
    record(ADMIN.to_owned(), OWN_SCOPES.map(str::to_owned).to_vec(), secret, now)
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

fn record(client_id: String, scopes: Vec<String>, secret: &Secret, now: UnixMillis) -> ClientRecord {
    ClientRecord { client_id, secret_hash: secret_hash(secret.expose()).to_vec(), scopes, created: now }
}

/// A secret of 256 random bits needs no slow hash: nobody can try them all.
fn secret_hash(secret: &str) -> [u8; 32] {
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
