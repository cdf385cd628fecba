//! Lookup ids: the `sub` of a user's tokens, which they can leave behind.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::Act;
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::store::{Holder, LookupIdChange};
use crate::verbs::bounds;
use crate::verbs::revocations::{Revoked, Wait};

/// A user's wish to go by another id.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnLookupIdRequest {
    /// The password.
    #[schema(value_type = String)]
    pub password: Secret,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// The same by a backend, whose user proved their credentials there.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LookupIdRequest {
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// An id that was changed.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// The id the subject goes by now: 128 random bits, nobody's before.
    pub subject: String,
    /// What the old id's retirement ended.
    pub revoked: Revoked,
}

impl Authority {
    /// Gives the user of an account another lookup id, once they proved the password. Everything
    /// issued for the old id is refused, nothing is issued for it again, and the next login of the
    /// account is for the new one.
    ///
    /// # Errors
    /// [`VerbError::InvalidCredentials`] for a wrong password and for an unknown name alike.
    pub async fn change_own_lookup_id(
        &self,
        caller: Caller,
        username: &str,
        request: OwnLookupIdRequest,
    ) -> Result<Renamed, VerbError> {
        let Some(account) = self.prove(username, request.password).await? else {
            return Err(self.not_proven("account.lookup_id.failed").await?);
        };
        let holder = Holder::Account { username: account.username, proven: Some(account.password) };
        let reason = Some("lookup id changed by its user".to_owned());
        self.rename(caller.act("account.lookup_id", reason), holder).await
    }

    /// Gives a subject another lookup id. Its claims go along, and its account where it has one.
    pub async fn change_lookup_id(
        &self,
        caller: &Caller,
        subject: &str,
        request: LookupIdRequest,
    ) -> Result<Renamed, VerbError> {
        bounds::name("subject", subject)?;
        bounds::reason(request.reason.as_deref())?;
        self.rename(caller.act("subject.lookup_id", request.reason), Holder::Subject(subject.to_owned())).await
    }

    async fn rename(&self, act: Act, holder: Holder) -> Result<Renamed, VerbError> {
        let change = LookupIdChange { holder, fresh: random::name()? };
        let changed = self.store().change_lookup_id(act, change).await?;
        Ok(Renamed { subject: changed.subject, revoked: self.revoked(changed.appended) })
    }
}
