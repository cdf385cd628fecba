//! Revocations: asked for by target or by token, rehearsed, listed, lifted.
//!
//! What a call asks for is read first (`asked`). What is for later is kept until then
//! ([`schedules`](super::schedules)); the rest is appended at once, all of it or nothing.

mod asked;
mod documents;

use annul_core::algebra::Until;
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::target::TargetKind;

use crate::authority::{Authority, Caller};
use crate::error::{Thing, VerbError};
use crate::model::{Act, NewRevocation, StoredRevocation};
use crate::store::{Appended, Kept, MAX_PAGE, RevocationFilter, Revoke};
use crate::verbs::bounds;

pub use documents::{
    CutoffText, DryRun, KeptState, LiftRequest, Lifted, RevocationItem, RevocationList, RevocationQuery, RevokeOutcome,
    RevokeRequest, Revoked, Wait,
};

/// Listed revocations when no limit is given.
const DEFAULT_PAGE: usize = 100;

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
        let asked = self.asked(&request).await?;
        if request.is_for_later() {
            return self.revoke_later(caller, &request, asked).await;
        }
        let (keys, others): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|asked| asked.target.kind() == TargetKind::Key);
        self.killable(&keys, &request)?;
        let act = caller.act("revocation.create", request.reason.clone());
        if request.dry_run {
            let revocations = keys.into_iter().chain(others).collect();
            return self.rehearsed(act, Revoke { revocations, keep: request.keep }).await.map(RevokeOutcome::Dry);
        }
        let revoked = match keys.into_iter().next() {
            Some(key) => self.kill(act, key.target, request.reason, others).await?,
            None => self.revoked_at_once(act, others, request.keep).await?,
        };
        Ok(RevokeOutcome::Done(revoked))
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

    async fn rehearsed(&self, act: Act, revoke: Revoke) -> Result<DryRun, VerbError> {
        let targets = revoke.revocations.iter().map(|asked| asked.target.text(self.issuer())).collect();
        let appended = self.store().rehearse(act, revoke).await?;
        Ok(DryRun {
            dry_run: true,
            targets,
            sessions: appended.sessions.ended,
            sessions_at_least: appended.sessions.at_least,
            kept: appended.kept.as_ref().map(kept_state),
            schedule: None,
        })
    }

    async fn revoked_at_once(
        &self,
        act: Act,
        revocations: Vec<NewRevocation>,
        keep: Option<String>,
    ) -> Result<Revoked, VerbError> {
        let appended = self.store().revoke(act, Revoke { revocations, keep: keep.clone() }).await?;
        Ok(self.revoked_keeping(appended, keep).await)
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

    /// An entry of the log, as callers see it.
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
