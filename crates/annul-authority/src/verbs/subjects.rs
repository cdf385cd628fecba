//! Subjects: their claims, their version, when their record changed, and whether they are blocked.

use annul_core::algebra::Reach;
use annul_core::position::Position;
use annul_core::target::{Target, TargetKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Act, Chosen, MAX_VERSION, RecordFields, SubjectChange, SubjectPart, SubjectState};
use crate::verbs::bounds;
use crate::verbs::revocations::{Revoked, Wait};

/// Fields that one report names at most: more than can be configured.
pub const MAX_NAMED_FIELDS: usize = 128;

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

/// A version for a subject.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectVersion {
    /// The version, up or down, at most 2^53 - 1; the next one unless given.
    #[serde(default)]
    pub version: Option<u64>,
    /// Whether sessions end too; they do unless `access` is given.
    #[serde(default)]
    pub reach: VersionReach,
    /// The session of the subject that stays.
    #[serde(default)]
    pub keep: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// What a new version reaches. Sessions alone it cannot: tokens of the old one would pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VersionReach {
    /// Access tokens: sessions live on and their next token has the new version.
    Access,
    /// Sessions too: the user logs in again.
    #[default]
    Both,
}

/// What changed in a user record.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordUpdate {
    /// The fields that changed, each a configured one.
    pub fields: Vec<String>,
    /// The session of the subject that stays, where the change ends sessions.
    #[serde(default)]
    pub keep: Option<String>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// What is held about a subject apart from its sessions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SubjectAnswer {
    /// The subject.
    pub subject: String,
    /// The issuer that knows it.
    pub issuer: String,
    /// The entry that blocked it, while it is blocked.
    #[schema(value_type = Option<String>)]
    pub blocked: Option<Position>,
    /// The entry that retired this id, once the subject goes by another.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired: Option<Position>,
    /// Its version, the claim `ver`, once one was set.
    pub version: Option<u64>,
    /// When its record last changed (Unix seconds), the claim `updated_at`, once a change was reported.
    pub updated_at: Option<u64>,
    /// The claims every session of it carries unless it has its own.
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
}

impl Authority {
    /// What is held about a subject apart from its sessions. Of one that nothing was ever said about,
    /// the answer is as empty as its state.
    pub async fn subject(&self, subject: &str, issuer: Option<String>) -> Result<SubjectAnswer, VerbError> {
        let target = self.subject_target(subject, issuer)?;
        let issuer = target.issuer_name().to_owned();
        let SubjectState { blocked, claims, version, updated_at, retired, .. } = self.store().subject(target).await?;
        let updated_at = updated_at.map(|second| second.0);
        Ok(SubjectAnswer { subject: subject.to_owned(), issuer, blocked, retired, version, updated_at, claims })
    }

    /// Sets a subject's version, up or down: whatever was issued before is refused, and tokens issued
    /// after carry it as `ver`. Setting an old version again revives none of its tokens.
    pub async fn set_subject_version(
        &self,
        caller: &Caller,
        subject: &str,
        request: SubjectVersion,
    ) -> Result<Revoked, VerbError> {
        bounds::name("subject", subject)?;
        bounds::reason(request.reason.as_deref())?;
        let part = match request.version {
            None => SubjectPart::NextVersion,
            Some(version) if version <= MAX_VERSION => SubjectPart::Version(version),
            Some(_) => {
                return Err(VerbError::Invalid { member: "version", why: format!("is at most {MAX_VERSION}") });
            }
        };
        let reach = match request.reach {
            VersionReach::Access => Reach::Access,
            VersionReach::Both => Reach::Both,
        };
        let act = caller.act("subject.version", request.reason);
        self.change_subject(act, subject, SubjectChange { parts: vec![part], reach }, request.keep).await
    }

    /// Notes that fields of a subject's record changed: tokens from before are refused, and those
    /// issued after carry the time as `updated_at`. Sessions live on, unless one of the fields was
    /// configured to end them.
    pub async fn subject_record_changed(
        &self,
        caller: &Caller,
        subject: &str,
        request: RecordUpdate,
    ) -> Result<Revoked, VerbError> {
        bounds::name("subject", subject)?;
        bounds::reason(request.reason.as_deref())?;
        if request.fields.is_empty() || request.fields.len() > MAX_NAMED_FIELDS {
            let why = format!("names between 1 and {MAX_NAMED_FIELDS} fields");
            return Err(VerbError::Invalid { member: "fields", why });
        }
        let configured = &self.setup().record_fields;
        let reach = configured.strongest(&request.fields).map_err(|field| VerbError::RecordFieldUnknown {
            field: bounds::shown(field),
            known: configured.names(),
        })?;
        let act = caller.act("subject.record", request.reason);
        self.change_subject(act, subject, SubjectChange { parts: vec![SubjectPart::Record], reach }, request.keep).await
    }

    /// What every login changes in its subject's state.
    pub(crate) fn changed_by_login(&self) -> Option<SubjectChange> {
        let reach = self.setup().record_fields.reach(RecordFields::LOGIN)?;
        Some(SubjectChange { parts: vec![SubjectPart::Record], reach })
    }

    /// What every logout changes in its subject's state.
    pub(crate) fn changed_by_logout(&self) -> Option<SubjectChange> {
        let version = self.setup().logout_sets_version.then_some((SubjectPart::NextVersion, Reach::Both));
        let record = self.setup().record_fields.reach(RecordFields::LOGOUT).map(|reach| (SubjectPart::Record, reach));
        let changed: Vec<_> = version.into_iter().chain(record).collect();
        let reach = if changed.iter().any(|(_, reach)| *reach == Reach::Both) { Reach::Both } else { Reach::Access };
        let parts: Vec<_> = changed.into_iter().map(|(part, _)| part).collect();
        (!parts.is_empty()).then_some(SubjectChange { parts, reach })
    }

    /// Changes a subject's state; a session that stays gets its next token with the answer.
    pub(crate) async fn change_subject(
        &self,
        act: Act,
        subject: &str,
        change: SubjectChange,
        keep: Option<String>,
    ) -> Result<Revoked, VerbError> {
        let stays = keep.clone().map(Chosen::Stays);
        let appended = self.store().change_subject(act, subject, change, stays).await?;
        Ok(self.revoked_keeping(appended, keep).await)
    }

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
        Ok(self.revoked(appended))
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
        Ok(self.revoked(appended))
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
        Ok(self.revoked(appended))
    }

    fn subject_target(&self, subject: &str, issuer: Option<String>) -> Result<Target, VerbError> {
        bounds::name("subject", subject)?;
        let issuer = issuer.unwrap_or_else(|| self.issuer().to_owned());
        bounds::name("issuer", &issuer)?;
        Target::one(issuer, TargetKind::Subject, subject)
            .map_err(|error| VerbError::Target { text: format!("subject:{subject}"), error })
    }
}
