//! Revocations: asked for by target or by token, rehearsed, listed, lifted.

use std::time::Duration;

use annul_core::algebra::{Cutoff, Reach, Until};
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, OneOf, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::authority::{Authority, Caller};
use crate::error::{Thing, VerbError};
use crate::model::{NewRevocation, StoredRevocation};
use crate::secrets::secret::Secret;
use crate::store::{Appended, Kept, MAX_PAGE, RevocationFilter, Revoke};
use crate::verbs::bounds;
use crate::verbs::schedules::ScheduleItem;

/// Listed revocations when no limit is given.
const DEFAULT_PAGE: usize = 100;

/// What to revoke.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeRequest {
    /// Targets in text form, such as `subject:alice`; several are revoked together or not at all.
    #[serde(default)]
    pub targets: Vec<String>,
    /// A token to revoke by itself, in place of targets. It must verify.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub token: Option<Secret>,
    /// The issuer of targets that name none; our own unless given.
    #[serde(default)]
    pub issuer: Option<String>,
    /// How far back. Unless given: `always` for key, token, token_hash, confirmation and session,
    /// `now` for everything else.
    #[serde(default)]
    pub cutoff: Option<CutoffText>,
    /// What it applies to; `both` unless given.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub reach: Option<Reach>,
    /// A second until which it is kept at the least; computed unless given.
    #[serde(default)]
    pub until: Option<u64>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// The session that stays; with cutoff `now` only.
    #[serde(default)]
    pub keep: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The second at which it is to happen, in place of now; at most a year ahead.
    #[serde(default)]
    pub at: Option<u64>,
    /// Seconds over which it is spread, oldest logins first, between 10 and 86,400.
    #[serde(default)]
    pub over: Option<u64>,
}

/// A cutoff as callers write it: `"now"`, `"always"` or `{"before": 1795305600}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutoffText {
    /// Whatever was issued before this moment.
    Now,
    /// Whatever the token claims.
    Always,
    /// Whatever comes from a login before this second.
    Before(u64),
}

impl From<CutoffText> for Cutoff {
    fn from(text: CutoffText) -> Self {
        match text {
            CutoffText::Now => Self::Now,
            CutoffText::Always => Self::Always,
            CutoffText::Before(time) => Self::Before(UnixSeconds(time)),
        }
    }
}

impl From<Cutoff> for CutoffText {
    fn from(cutoff: Cutoff) -> Self {
        match cutoff {
            Cutoff::Now => Self::Now,
            Cutoff::Always => Self::Always,
            Cutoff::Before(time) => Self::Before(time.0),
        }
    }
}

/// How long to wait: milliseconds as a number, or `"2s"`, `"500ms"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait(Duration);

impl PartialSchema for Wait {
    fn schema() -> RefOr<Schema> {
        let millis = Object::builder().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX));
        let text = Object::builder().schema_type(Type::String).pattern(Some(Self::pattern()));
        OneOf::builder().item(millis).item(text).into()
    }
}

impl ToSchema for Wait {}

impl Wait {
    /// Reads `2s` or `500ms`; a number without a unit is milliseconds.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let count = digits.parse().ok()?;
        match unit {
            "" | "ms" => Some(Self(Duration::from_millis(count))),
            "s" => Some(Self(Duration::from_secs(count))),
            _ => None,
        }
    }

    /// The texts that are read, as a regular expression: without counts that have as many digits as the greatest.
    pub(crate) fn pattern() -> String {
        format!("^[0-9]{{1,{}}}(ms|s)?$", u64::MAX.ilog10())
    }

    /// How long.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Text {
            Millis(u64),
            Text(String),
        }
        match Text::deserialize(deserializer)? {
            Text::Millis(millis) => Ok(Self(Duration::from_millis(millis))),
            Text::Text(text) => Self::parse(&text).ok_or_else(|| serde::de::Error::custom("wait reads 2s or 500ms")),
        }
    }
}

/// What a revoking verb did. It is on disk.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// The entries, in the order of asking.
    pub revocations: Vec<RevocationItem>,
    /// Whoever has applied this position enforces all of them.
    #[schema(value_type = String)]
    pub position: Position,
    /// The sessions that were live before and are not any more.
    pub sessions: u64,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// When it was committed (Unix milliseconds).
    pub acknowledged_at: u64,
    /// What became of the session to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptState>,
    /// The next token of the session that was kept.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Secret>,
    /// Whether this is the answer to an earlier call with the same idempotency key.
    #[serde(skip)]
    pub repeated: bool,
}

/// What became of a session to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// It lives on.
    Kept,
    /// It was revoked before already, and has now ended.
    Ended,
    /// It had ended before.
    WasOver,
}

/// One revocation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationItem {
    /// Its place in the log.
    #[schema(value_type = String)]
    pub position: Position,
    /// What it names.
    pub target: String,
    /// How far back it reaches.
    pub cutoff: CutoffText,
    /// What it applies to.
    #[schema(value_type = String)]
    pub reach: Reach,
    /// When verifiers may forget it; absent when only a lift ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it.
    pub actor: String,
    /// When it was committed (Unix milliseconds).
    pub time: u64,
    /// What it follows from, where it was not asked for by itself: a killed `key`, an ended
    /// `session`, other `state` such as a block. A lift does not undo it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emitted_by: Option<&'static str>,
    /// The lift that undid it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifted: Option<Position>,
}

/// What [`Authority::revoke`] did.
#[derive(Clone, Debug)]
pub enum RevokeOutcome {
    /// It revoked.
    Done(Revoked),
    /// It will, as described.
    Scheduled(ScheduleItem),
    /// It only looked.
    Dry(DryRun),
}

/// What a revocation would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// The targets, as they were understood.
    pub targets: Vec<String>,
    /// The sessions that would end.
    pub sessions: u64,
    /// Whether there may be more such sessions than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sessions_at_least: bool,
    /// What would become of the session to be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<KeptState>,
    /// What would be done when, for a call with `at` or `over`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleItem>,
}

/// Revocations in the order of their positions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RevocationList {
    /// The revocations.
    pub revocations: Vec<RevocationItem>,
}

/// Which revocations to list.
#[derive(Clone, Debug, Default)]
pub struct RevocationQuery {
    /// Only those of this target, in text form.
    pub target: Option<String>,
    /// Only those after this position.
    pub after: Option<Position>,
    /// How many at most.
    pub limit: Option<usize>,
}

/// What to lift.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LiftRequest {
    /// The positions of the entries.
    #[schema(value_type = Vec<String>)]
    pub positions: Vec<Position>,
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// What a lift did. It is on disk.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Lifted {
    /// The entries that are undone.
    #[schema(value_type = Vec<String>)]
    pub lifted: Vec<Position>,
    /// The record that says so.
    #[schema(value_type = String)]
    pub position: Position,
    /// When it was committed (Unix milliseconds).
    pub acknowledged_at: u64,
}

impl Authority {
    /// Revokes, or says what revoking would do: the same transaction, undone.
    ///
    /// All targets are revoked or none is. Naming a `key` kills it, with all that follows; naming
    /// one of our sessions with `always` ends it. With `at` or `over` it is kept for later. A repetition
    /// is answered as the first attempt was, also when its time or its token has expired since.
    pub async fn revoke(&self, caller: &Caller, request: RevokeRequest) -> Result<RevokeOutcome, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        if let Some(earlier) = self.revoked_before(caller, &request).await? {
            return Ok(earlier);
        }
        let revocations = self.asked(&request).await?;
        if request.at.is_some() || request.over.is_some() {
            return self.revoke_later(caller, &request, revocations).await;
        }
        let (keys, others): (Vec<_>, Vec<_>) =
            revocations.into_iter().partition(|asked| asked.target.kind() == TargetKind::Key);
        let act = caller.act("revocation.create", request.reason.clone());
        if let Some(key) = keys.first() {
            if keys.len() > 1 || request.keep.is_some() {
                return Err(VerbError::OneKeyAtATime);
            }
            if key.cutoff != Cutoff::Always || !key.reach.access() {
                return Err(VerbError::Reach { what: "a key, which takes `always` and reaches access," });
            }
            let thumbprint = key.target.parts().first().map(String::as_str).unwrap_or_default();
            if key.target.issuer_name() == self.issuer() && !self.standing().owns(thumbprint) {
                return Err(VerbError::Unknown { what: Thing::Key, name: thumbprint.to_owned() });
            }
            if !request.dry_run {
                return Ok(RevokeOutcome::Done(self.kill(act, key.target.clone(), request.reason, others).await?));
            }
        }
        let revocations: Vec<NewRevocation> = keys.into_iter().chain(others).collect();
        let revoke = Revoke { revocations, keep: request.keep.clone() };
        if request.dry_run {
            let targets = revoke.revocations.iter().map(|asked| asked.target.text(self.issuer())).collect();
            let appended = self.store().rehearse(act, revoke).await?;
            return Ok(RevokeOutcome::Dry(DryRun {
                dry_run: true,
                targets,
                sessions: appended.sessions.ended,
                sessions_at_least: appended.sessions.at_least,
                kept: appended.kept.as_ref().map(kept_state),
                schedule: None,
            }));
        }
        let appended = self.store().revoke(act, revoke).await?;
        Ok(RevokeOutcome::Done(self.revoked_keeping(appended, request.keep).await))
    }

    /// Undoes entries. What else is in force against their targets stays; killed keys, ended
    /// sessions and entries that follow from state are refused by name.
    pub async fn lift(&self, caller: &Caller, request: LiftRequest) -> Result<Lifted, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let act = caller.act("revocation.lift", request.reason);
        let appended = self.store().lift(act, request.positions.clone()).await?;
        Ok(Lifted { lifted: request.positions, position: appended.head, acknowledged_at: appended.committed.0 })
    }

    /// The revocation at a position, lifted or not.
    pub async fn revocation(&self, at: Position) -> Result<RevocationItem, VerbError> {
        let stored = self.store().revocation(at).await?;
        let stored = stored.ok_or(VerbError::Unknown { what: Thing::Revocation, name: at.to_string() })?;
        Ok(self.item(stored))
    }

    /// Revocations in the order of their positions.
    pub async fn list_revocations(&self, query: RevocationQuery) -> Result<RevocationList, VerbError> {
        let target = query.target.map(|text| self.target(&text, self.issuer())).transpose()?;
        let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
        let stored = self.store().revocations(RevocationFilter { target, after: query.after, limit }).await?;
        Ok(RevocationList { revocations: stored.into_iter().map(|stored| self.item(stored)).collect() })
    }

    /// The answer to what was appended.
    pub(crate) fn revoked(&self, appended: Appended) -> Revoked {
        Revoked {
            revocations: appended.revocations.into_iter().map(|stored| self.item(stored)).collect(),
            position: appended.head,
            sessions: appended.sessions.ended,
            sessions_at_least: appended.sessions.at_least,
            acknowledged_at: appended.committed.0,
            kept: appended.kept.as_ref().map(kept_state),
            access_token: None,
            repeated: appended.repeated,
        }
    }

    /// The answer to what was appended, with the next token of the session that was kept.
    pub(crate) async fn revoked_keeping(&self, appended: Appended, keep: Option<String>) -> Revoked {
        let mut revoked = self.revoked(appended);
        if let Some(sid) = keep.filter(|_| revoked.kept == Some(KeptState::Kept)) {
            // Judged like any other issue: what was revoked since is not handed out.
            revoked.access_token = self.next_token(&sid).await.ok().map(|answer| answer.access_token);
        }
        revoked
    }

    /// Reads a target's text; a `key` may be named by its `kid`.
    pub(crate) fn target(&self, text: &str, issuer: &str) -> Result<Target, VerbError> {
        let target =
            Target::parse(text, issuer).map_err(|error| VerbError::Target { text: bounds::shown(text), error })?;
        match (target.kind(), target.parts()) {
            (TargetKind::Key, [kid]) => self.key_target(target.issuer_name(), kid),
            _ => Ok(target),
        }
    }

    async fn asked(&self, request: &RevokeRequest) -> Result<Vec<NewRevocation>, VerbError> {
        let named = match (&request.token, request.targets.as_slice()) {
            (Some(token), []) => vec![self.token_named(token).await?],
            (None, texts) if !texts.is_empty() => {
                let issuer = request.issuer.as_deref().unwrap_or(self.issuer());
                bounds::name("issuer", issuer)?;
                let targets: Result<Vec<_>, _> = texts.iter().map(|text| self.target(text, issuer)).collect();
                let mut targets = targets?;
                // The same target twice is one entry.
                let mut seen = std::collections::BTreeSet::new();
                targets.retain(|target| seen.insert(target.clone()));
                targets.into_iter().map(|target| (target, None)).collect()
            }
            _ => return Err(VerbError::NothingNamed),
        };
        named.into_iter().map(|(target, exp)| self.asked_of(request, target, exp)).collect()
    }

    fn asked_of(
        &self,
        request: &RevokeRequest,
        target: Target,
        exp: Option<UnixSeconds>,
    ) -> Result<NewRevocation, VerbError> {
        if let (TargetKind::Claim, [name, _]) = (target.kind(), target.parts())
            && !self.settings().claims.contains(name)
        {
            return Err(VerbError::ClaimNoTarget { name: bounds::shown(name), known: self.settings().claims.clone() });
        }
        let cutoff = request.cutoff.map_or_else(|| default_cutoff(target.kind()), Cutoff::from);
        let is_own = target.issuer_name() == self.issuer();
        if matches!(cutoff, Cutoff::Before(_)) && request.reach.is_some_and(|reach| reach != Reach::Both) {
            return Err(VerbError::Reach { what: "`before`" });
        }
        if !is_own && request.reach == Some(Reach::Sessions) {
            return Err(VerbError::Reach { what: "a foreign issuer" });
        }
        let reach = request.reach.unwrap_or_default();
        if request.keep.is_some() && (!is_own || !reach.sessions()) {
            return Err(VerbError::NothingToKeepFrom);
        }
        let until = request.until.map(UnixSeconds);
        Ok(NewRevocation { target, cutoff, reach, exp, until, reason: request.reason.clone() })
    }

    async fn token_named(&self, token: &Secret) -> Result<(Target, Option<UnixSeconds>), VerbError> {
        // A verifier may still accept it within its leeway, so within the largest it is revoked.
        let verified = self.verified(token.expose(), self.settings().max_leeway).await?;
        Ok((verified.token_target(), Some(verified.expires())))
    }

    pub(crate) fn item(&self, stored: StoredRevocation) -> RevocationItem {
        RevocationItem {
            position: stored.at,
            target: stored.target.text(self.issuer()),
            cutoff: stored.cutoff.into(),
            reach: stored.reach,
            until: match stored.until {
                Until::At(until) => Some(until.0),
                Until::Never => None,
            },
            reason: stored.reason,
            actor: stored.actor,
            time: stored.time.0,
            emitted_by: emitter(stored.emitted_by),
            lifted: stored.lifted,
        }
    }
}

/// A session is a thing one ends; everything that tokens may still be given is cut off at now.
fn default_cutoff(kind: TargetKind) -> Cutoff {
    if kind.only_always() || kind == TargetKind::Session { Cutoff::Always } else { Cutoff::Now }
}

const fn emitter(emitted_by: EmittedBy) -> Option<&'static str> {
    match emitted_by {
        EmittedBy::Request => None,
        EmittedBy::KilledKey => Some("key"),
        EmittedBy::EndedSession => Some("session"),
        EmittedBy::State => Some("state"),
    }
}

fn kept_state(kept: &Kept) -> KeptState {
    match kept {
        Kept::Restamped(_) => KeptState::Kept,
        Kept::Ended(_) => KeptState::Ended,
        Kept::WasOver => KeptState::WasOver,
    }
}
