//! Keys of subjects: a new string for one subject, a new secret for all.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::secrets::random;
use crate::secrets::subject_key::SubjectSecret;
use crate::verbs::bounds;
use crate::verbs::revocations::{Revoked, Wait};

/// A change of a string or a secret, which the authority draws itself.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectKeyRequest {
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

impl Authority {
    /// Gives a subject a new string: the signatures of its tokens fail from here on, and open
    /// connections learn of it by `subject now access`. Its sessions live on, and their next token is
    /// signed with the new key. Nobody else's signatures are touched.
    pub async fn change_subject_key(
        &self,
        caller: &Caller,
        subject: &str,
        request: SubjectKeyRequest,
    ) -> Result<Revoked, VerbError> {
        bounds::name("subject", subject)?;
        bounds::reason(request.reason.as_deref())?;
        self.standing().subject_secret()?;
        let act = caller.act("subject.key", request.reason);
        let appended = self.store().set_subject_key(act, subject, random::name()?).await?;
        Ok(self.revoked(appended))
    }

    /// Makes a new secret: every signature derived from the last one fails, whosever it is, and the
    /// last one is revoked by name. Sessions live on. What the signing keys signed is untouched.
    pub async fn change_subject_secret(
        &self,
        caller: &Caller,
        request: SubjectKeyRequest,
    ) -> Result<Revoked, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let _keys_change = self.signing_lock().write().await;
        self.reload().await?;
        let next = self.standing().subject_secret()?.generation() + 1;
        let secret = SubjectSecret::generate(self.master(), next)?;
        let appended =
            self.store().set_subject_secret(caller.act("subject_secret.change", request.reason), secret).await?;
        self.reload().await?;
        Ok(self.revoked(appended))
    }
}
