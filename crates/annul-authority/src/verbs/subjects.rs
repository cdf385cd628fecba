//! Subjects: their claims, and whether they are blocked.

use annul_core::target::{Target, TargetKind};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::verbs::bounds;
use crate::verbs::revocations::{Revoked, Wait};

/// The claims a subject has from now on.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectClaims {
    /// All of them, `roles` among them; what is not named is gone.
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A block or its end.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectBlock {
    /// The issuer that knows the subject; our own unless given.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

impl Authority {
    /// Sets a subject's claims: access tokens with the old ones are refused, sessions live on and
    /// their next token carries the new ones. A session that was revoked before does not come back
    /// by this; it ends.
    pub async fn set_subject_claims(
        &self,
        caller: &Caller,
        subject: &str,
        request: SubjectClaims,
    ) -> Result<Revoked, VerbError> {
        bounds::name("subject", subject)?;
        bounds::claims(&request.claims)?;
        bounds::reason(request.reason.as_deref())?;
        let act = caller.act("subject.claims", request.reason);
        let appended = self.store().set_claims(act, subject, request.claims).await?;
        self.revoked(appended).await
    }

    /// Blocks a subject: everything it has is revoked and nothing new is opened for it.
    pub async fn block_subject(
        &self,
        caller: &Caller,
        subject: &str,
        request: SubjectBlock,
    ) -> Result<Revoked, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let target = self.subject_target(subject, request.issuer)?;
        let appended = self.store().block(caller.act("subject.block", request.reason), target).await?;
        self.revoked(appended).await
    }

    /// Ends a block. It revives nothing: the subject logs in again.
    pub async fn unblock_subject(
        &self,
        caller: &Caller,
        subject: &str,
        request: SubjectBlock,
    ) -> Result<Revoked, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let target = self.subject_target(subject, request.issuer)?;
        let appended = self.store().unblock(caller.act("subject.unblock", request.reason), target).await?;
        self.revoked(appended).await
    }

    fn subject_target(&self, subject: &str, issuer: Option<String>) -> Result<Target, VerbError> {
        bounds::name("subject", subject)?;
        let issuer = issuer.unwrap_or_else(|| self.issuer().to_owned());
        Target::one(issuer, TargetKind::Subject, subject)
            .map_err(|error| VerbError::Target { text: format!("subject:{subject}"), error })
    }
}
