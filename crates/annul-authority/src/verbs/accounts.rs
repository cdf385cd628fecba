//! Built-in accounts, for those who have no login of their own.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::{Thing, VerbError};
use crate::model::{Account, ProofKey};
use crate::secrets::secret::Secret;
use crate::store::{AccountLogin, CredentialChange, Holder, MAX_PAGE};
use crate::verbs::bounds;
use crate::verbs::machine_tokens::CANARY;
use crate::verbs::oauth_clients::OAuthClient;
use crate::verbs::revocations::{Revoked, Wait};
use crate::verbs::sessions::{DeviceBody, OneOrMany, OpenSession, TokenAnswer};

/// The client of sessions that a login opened.
pub const LOGIN_CLIENT: &str = "annul.login";

/// An account to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// The name, which is the subject of its tokens until the user changes their lookup id.
    pub username: String,
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
}

/// A new password that somebody else than its user sets.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The user's session that stays.
    #[serde(default)]
    pub keep: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A login.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The account's name.
    pub username: String,
    /// Its password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The public client that the session belongs to; `annul.login`, which is there without being
    /// registered, unless named.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The device it happens on.
    #[serde(default)]
    pub device: Option<DeviceBody>,
    /// The audience of the tokens, a string or an array.
    #[serde(default)]
    pub audience: Option<OneOrMany>,
    /// The scope wanted.
    #[serde(default)]
    pub scope: Option<String>,
    /// Whether the answer has a refresh token, as at `POST /v1/sessions`.
    #[serde(default)]
    pub refresh_token: bool,
    /// Whether the access token is its own refresh credential, as at `POST /v1/sessions`.
    #[serde(default)]
    pub exchange: bool,
}

/// An account.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountAnswer {
    /// Its name.
    pub username: String,
    /// The subject of its tokens.
    pub subject: String,
    /// When it was made (Unix seconds).
    pub created: u64,
}

/// The accounts, by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccountList {
    /// The accounts.
    pub accounts: Vec<AccountAnswer>,
}

impl Authority {
    /// Makes an account. Its name can be no client's id, so that no user can pass for a machine.
    pub async fn create_account(&self, caller: &Caller, request: AccountRequest) -> Result<AccountAnswer, VerbError> {
        bounds::name("username", &request.username)?;
        if [LOGIN_CLIENT, CANARY].contains(&request.username.as_str()) {
            return Err(VerbError::SubjectIsClient { name: request.username });
        }
        let password = self.passwords().hash(request.password).await?;
        let account = Account {
            subject: request.username.clone(),
            username: request.username,
            password,
            created: self.clock().millis(),
        };
        let username = account.username.clone();
        self.store().add_account(caller.act("account.create", None), account).await?;
        // Read, for a repetition is answered with the account that the first attempt made.
        self.account(&username).await
    }

    /// Logs in with name and password: opens a session and issues its first token. A name that does
    /// not exist takes as long as a wrong password.
    pub async fn login(&self, request: LoginRequest) -> Result<TokenAnswer, VerbError> {
        self.login_with_key(request, None).await
    }

    /// The same, for a session whose tokens are bound to the key that the request proved to hold.
    pub async fn login_with_key(
        &self,
        request: LoginRequest,
        proof: Option<ProofKey>,
    ) -> Result<TokenAnswer, VerbError> {
        let client = self.login_client(request.client_id.as_deref(), proof).await?;
        let Some(account) = self.prove(&request.username, request.password).await? else {
            return Err(self.not_proven("login.failed").await?);
        };
        let fingerprint = self.credential_fingerprint(&account.subject, &account.password);
        let caller = Caller::subject(&account.subject);
        let open = OpenSession {
            subject: account.subject,
            client_id: Some(client.client_id),
            audience: request.audience,
            device: request.device,
            scope: request.scope,
            confirmation: client.proof,
            refresh_token: request.refresh_token,
            exchange: request.exchange,
            ..OpenSession::default()
        };
        let (session, offer) = self.new_session(&caller, open).await?;
        let _signing = self.signing_lock().read().await;
        // The password may have been changed, the account deleted or its subject renamed while it was
        // being hashed: the transaction that opens the session looks once more.
        let login = AccountLogin { username: account.username, proven: account.password, fingerprint, session };
        let opened = self.store().log_in(caller.act("session.open", None), login).await?;
        self.first_answer(opened, offer).await
    }

    /// The public client that a login names, with the key that its request proved to hold.
    async fn login_client(&self, id: Option<&str>, proof: Option<ProofKey>) -> Result<OAuthClient, VerbError> {
        let client = self.public_client(id.unwrap_or(LOGIN_CLIENT)).await.map_err(|error| match error {
            VerbError::InvalidClient => {
                VerbError::Invalid { member: "client_id", why: "names no public client".to_owned() }
            }
            error => error,
        })?;
        client.bound_to(proof)
    }

    /// An account.
    pub async fn account(&self, username: &str) -> Result<AccountAnswer, VerbError> {
        self.find_account(username).await?.map(answer).ok_or_else(|| unknown(username))
    }

    /// The accounts.
    pub async fn list_accounts(&self) -> Result<AccountList, VerbError> {
        let mut accounts: Vec<AccountAnswer> = Vec::new();
        loop {
            let after = accounts.last().map(|last| last.username.clone()).unwrap_or_default();
            let page = self.store().accounts(&after).await?;
            let is_last = page.len() < MAX_PAGE;
            accounts.extend(page.into_iter().map(answer));
            if is_last {
                return Ok(AccountList { accounts });
            }
        }
    }

    /// Replaces a password for its user and ends every session of the account but the one to be
    /// kept: whoever knew the old one is out.
    pub async fn set_password(
        &self,
        caller: &Caller,
        username: &str,
        request: PasswordRequest,
    ) -> Result<Revoked, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let account = self.find_account(username).await?.ok_or_else(|| unknown(username))?;
        let password = self.passwords().hash(request.password).await?;
        let reason = request.reason.unwrap_or_else(|| "password reset".to_owned());
        let change = CredentialChange {
            holder: Holder::Account { username: account.username, proven: None },
            fingerprint: self.credential_fingerprint(&account.subject, &password),
            password: Some(password),
            keep: request.keep,
        };
        self.change_credential(caller.act("account.password", Some(reason)), change).await
    }

    /// Deletes an account and ends every session of it.
    pub async fn delete_account(&self, caller: &Caller, username: &str) -> Result<Revoked, VerbError> {
        bounds::name("username", username).map_err(|_| unknown(username))?;
        let act = caller.act("account.delete", Some("account deleted".to_owned()));
        let appended = self.store().remove_account(act, username).await?;
        Ok(self.revoked(appended))
    }

    /// The account, if the password is its own. A name that does not exist takes as long as a wrong
    /// password.
    pub(crate) async fn prove(&self, username: &str, password: Secret) -> Result<Option<Account>, VerbError> {
        let known = self.find_account(username).await?;
        let stored = known.as_ref().map(|account| account.password.clone());
        let matches = self.passwords().verify(password, stored).await?;
        Ok(known.filter(|_| matches))
    }

    /// Writes down that somebody did not prove an account's password, and says so. The name is not
    /// written down: people type their passwords there.
    pub(crate) async fn not_proven(&self, action: &str) -> Result<VerbError, VerbError> {
        self.store().note(Caller::system().act(action, None), None).await?;
        Ok(VerbError::InvalidCredentials)
    }

    /// A name that cannot be an account's is not looked up, and is as unknown as any other.
    async fn find_account(&self, username: &str) -> Result<Option<Account>, VerbError> {
        if bounds::name("username", username).is_err() {
            return Ok(None);
        }
        Ok(self.store().account(username).await?)
    }
}

fn answer(account: Account) -> AccountAnswer {
    AccountAnswer { username: account.username, subject: account.subject, created: account.created.floor().0 }
}

fn unknown(username: &str) -> VerbError {
    VerbError::Unknown { what: Thing::Account, name: username.to_owned() }
}
