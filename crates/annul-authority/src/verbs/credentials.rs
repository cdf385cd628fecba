//! Credentials that change: by their user, who proves the one so far, or by a backend that keeps its
//! users' credentials itself.
//!
//! Each change is one transaction: the state, `subject now`, and the session that stays. What the
//! next tokens carry for the credential, the claim `cfp`, is a keyed hash of it or a random value.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::Act;
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::store::{Appended, CredentialChange, Holder, Refused, StoreError};
use crate::verbs::bounds;
use crate::verbs::revocations::{KeptState, Revoked, Wait};

/// A user's change of their own password.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnPasswordRequest {
    /// The password so far.
    #[schema(value_type = String)]
    pub current: Secret,
    /// The password from now on.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The user's session that stays: the device that asks.
    #[serde(default)]
    pub keep: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A user's wish that nothing they hold elsewhere counts any more, with the password as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecureRequest {
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// The user's session that stays: the device that asks.
    #[serde(default)]
    pub keep: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A credential that changed at the backend that keeps it.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialChanged {
    /// What is stored of the new credential, such as the password's salted hash. Only a keyed hash of
    /// it is kept and put into tokens. Without it a random value is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub credential: Option<Secret>,
    /// The subject's session that stays: the device that changed it.
    #[serde(default)]
    pub keep: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

impl Authority {
    /// Changes the password of whoever proves the present one, and ends every session of the account
    /// but the one to be kept, whose next token is in the answer.
    ///
    /// # Errors
    /// [`VerbError::InvalidCredentials`] for a wrong password and for an unknown name alike, also when
    /// somebody else changed the password first.
    pub async fn change_password(
        &self,
        caller: Caller,
        username: &str,
        request: OwnPasswordRequest,
    ) -> Result<Revoked, VerbError> {
        let act = caller.act("account.password", Some("password changed".to_owned()));
        let Some(account) = self.prove(username, request.current).await? else {
            // After the first attempt the password so far is not the present one any more. Whoever only
            // guesses the attempt's name learns nothing by it, not even that there was one.
            match self.store().answered(act).await {
                Ok(Some(earlier)) => return self.changed(earlier, request.keep).await,
                Ok(None) | Err(StoreError::Refused(Refused::IdempotencyConflict)) => {}
                Err(error) => return Err(error.into()),
            }
            return Err(self.not_proven("account.password.failed").await?);
        };
        let password = self.passwords().hash(request.password).await?;
        let change = CredentialChange {
            fingerprint: self.credential_fingerprint(&account.subject, &password),
            holder: Holder::Account { username: account.username, proven: Some(account.password) },
            password: Some(password),
            keep: request.keep,
        };
        self.change_credential(act, change).await
    }

    /// Counts the credential as changed with the password as it is: every token and session from
    /// before is refused, but for the one to be kept, and the next tokens carry another fingerprint.
    ///
    /// # Errors
    /// [`VerbError::InvalidCredentials`] for a wrong password and for an unknown name alike.
    pub async fn secure_account(
        &self,
        caller: Caller,
        username: &str,
        request: SecureRequest,
    ) -> Result<Revoked, VerbError> {
        let Some(account) = self.prove(username, request.password).await? else {
            return Err(self.not_proven("account.secure.failed").await?);
        };
        let change = CredentialChange {
            holder: Holder::Account { username: account.username, proven: Some(account.password) },
            password: None,
            fingerprint: random::name()?,
            keep: request.keep,
        };
        self.change_credential(caller.act("account.secure", Some("secured by its user".to_owned())), change).await
    }

    /// The same for a subject whose credential a backend keeps: it changed there.
    pub async fn credential_changed(
        &self,
        caller: &Caller,
        subject: &str,
        request: CredentialChanged,
    ) -> Result<Revoked, VerbError> {
        bounds::name("subject", subject)?;
        bounds::reason(request.reason.as_deref())?;
        let fingerprint = match &request.credential {
            Some(credential) => {
                let text = credential.expose();
                if text.is_empty() || text.len() > bounds::MAX_CREDENTIAL {
                    let why = format!("has between 1 and {} bytes", bounds::MAX_CREDENTIAL);
                    return Err(VerbError::Invalid { member: "credential", why });
                }
                self.credential_fingerprint(subject, text)
            }
            None => random::name()?,
        };
        let change = CredentialChange {
            holder: Holder::Subject(subject.to_owned()),
            password: None,
            fingerprint,
            keep: request.keep,
        };
        self.change_credential(caller.act("subject.credential", request.reason), change).await
    }

    /// Changes a credential and answers with the next token of the session that stayed.
    pub(crate) async fn change_credential(&self, act: Act, change: CredentialChange) -> Result<Revoked, VerbError> {
        let keep = change.keep.clone();
        let appended = self.store().change_credential(act, change).await?;
        self.changed(appended, keep).await
    }

    async fn changed(&self, appended: Appended, keep: Option<String>) -> Result<Revoked, VerbError> {
        let mut revoked = self.revoked(appended);
        if let Some(sid) = keep.filter(|_| revoked.kept == Some(KeptState::Kept)) {
            // Judged like any other issue: what was revoked since is not handed out.
            revoked.access_token = self.next_token(&sid).await.ok().map(|answer| answer.access_token);
        }
        Ok(revoked)
    }
}
