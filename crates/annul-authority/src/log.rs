//! The only module that appends to the log: it turns what was asked into records, lines and chain,
//! inside the caller's transaction.
//!
//! ```text
//! NewRevocation -> admit -> StoredRevocation + cells
//!                        -> Record -> line -> chain -> head
//! ```
//!
//! What reaches sessions only leaves a bare `noop` in the log, so that the feed says nothing of it
//! and the chain includes it all the same.

mod groups;

use std::collections::BTreeSet;

use annul_core::algebra::{Cell, Cutoff, Reach, Until};
use annul_core::fold::{Asked, EmittedBy, Horizon, InForce, in_force};
use annul_core::position::Position;
use annul_core::record::{Entry, HashedCell, Record, RecordBody};
use annul_core::settings::Settings;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};

use crate::model::{
    Act, AuditEvent, CLAIMS_OF_TOKENS, Groups, Head, LogLine, NewRevocation, SealedSecret, Side, StoredRevocation,
};
use crate::store::tables::{IssuerRow, Write};
use crate::store::{Limits, LogState, Refused, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

/// The end of the log inside one transaction.
pub(crate) struct Appender<'t> {
    pub(crate) tables: &'t mut dyn Write,
    limits: &'t Limits,
    log: LogState,
    commit: UnixMillis,
    latest: UnixMillis,
    act: Act,
    /// The groups whose watermark this transaction has moved.
    watermarks: BTreeSet<u64>,
    /// The revocations this act has appended.
    revocations: Vec<StoredRevocation>,
}

impl<'t> Appender<'t> {
    /// Opens the end of the log as the transaction sees it. `commit` is the time of the commit,
    /// read inside the transaction, `latest` the latest that any token may have been issued at.
    pub(crate) fn begin(
        tables: &'t mut dyn Write,
        limits: &'t Limits,
        commit: UnixMillis,
        latest: UnixMillis,
        act: Act,
    ) -> Result<Self> {
        let log = tables.log()?;
        Ok(Self { tables, limits, log, commit, latest, act, watermarks: BTreeSet::new(), revocations: Vec::new() })
    }

    /// The log with all that was appended so far.
    pub(crate) const fn log(&self) -> &LogState {
        &self.log
    }

    /// The rows and the log at once.
    pub(crate) fn parts(&mut self) -> (&mut dyn Write, &LogState) {
        (&mut *self.tables, &self.log)
    }

    pub(crate) const fn commit(&self) -> UnixMillis {
        self.commit
    }

    /// Those of the revocations at these positions that this act has appended.
    pub(crate) fn revocations(&self, positions: &[Position]) -> Vec<StoredRevocation> {
        let at = |position: &Position| self.revocations.binary_search_by_key(position, |appended| appended.at).ok();
        positions.iter().filter_map(|position| self.revocations.get(at(position)?).cloned()).collect()
    }

    /// Appends a revocation as it is and puts it in force.
    fn put_in_force(&mut self, new: &NewRevocation, emitted_by: EmittedBy) -> Result<Position> {
        let kind = new.target.kind();
        let hash = new.target.hash(&self.log.hash_key);
        let issuer = self
            .tables
            .issuer(new.target.issuer_name())?
            .ok_or_else(|| Refused::IssuerUnknown { issuer: new.target.issuer_name().to_owned() })?;
        let foreign = issuer.source.is_some();
        let asked = Asked { kind, cutoff: new.cutoff, reach: new.reach, foreign };
        let mut admitted = asked.admit(self.commit).map_err(Refused::from)?;
        if let (false, TargetKind::Claim, [claim, _]) = (foreign, kind, new.target.parts())
            && CLAIMS_OF_TOKENS.contains(&claim.as_str())
        {
            if admitted.reach == Reach::Sessions {
                return Err(Refused::ReachesNoSession { claim: claim.clone() }.into());
            }
            admitted.reach = Reach::Access;
        }
        let until = wished(self.least_until(asked, &issuer, new), new.until)?;
        if until == Until::Never && admitted.reach.access() && emitted_by == EmittedBy::Request {
            self.make_room_without_until(&hash)?;
        }

        let at = self.log.head.at.next();
        let revocation = StoredRevocation {
            at,
            target: new.target.clone(),
            hash,
            cutoff: new.cutoff,
            fields: admitted.fields,
            reach: admitted.reach,
            until,
            sessions_until: self.sessions_until(until)?,
            reason: new.reason.clone().or_else(|| self.act.reason.clone()),
            actor: self.act.actor.clone(),
            time: self.commit,
            emitted_by,
            lifted: None,
        };
        self.tables.put_revocation(&revocation)?;
        let more = in_force_of(std::slice::from_ref(&revocation));
        let held = self.tables.in_force(&hash)?;
        let in_force = InForce {
            access: self.absorbed(held.access, more.access),
            sessions: self.absorbed(held.sessions, more.sessions),
        };
        self.tables.put_in_force(&hash, kind, &in_force)?;

        let body = if admitted.reach.access() {
            RecordBody::Revoke(Entry { target: hash, kind, fields: admitted.fields, until })
        } else {
            RecordBody::Noop
        };
        let (text, reason) = (self.text(&new.target), revocation.reason.clone());
        self.revocations.push(revocation);
        self.append(body, Some(text), reason)
    }

    /// Lifts entries: each target's cells become what the entries not lifted amount to.
    pub(crate) fn lift(&mut self, entries: &[StoredRevocation]) -> Result<Position> {
        let by = self.log.head.at.next();
        for entry in entries {
            self.tables.put_revocation(&StoredRevocation { lifted: Some(by), ..entry.clone() })?;
        }
        let mut targets: Vec<(&Target, TargetHash)> = entries.iter().map(|entry| (&entry.target, entry.hash)).collect();
        targets.sort_unstable_by_key(|(_, hash)| *hash);
        targets.dedup_by_key(|(_, hash)| *hash);

        let mut replaced = Vec::new();
        for (target, hash) in &targets {
            let remaining = self.tables.revocations_on(hash)?;
            let in_force = self.in_force_now(&remaining);
            self.tables.put_in_force(hash, target.kind(), &in_force)?;
            if entries.iter().any(|entry| entry.hash == *hash && entry.reach.access()) {
                replaced.push(HashedCell { target: *hash, kind: target.kind(), cell: in_force.access });
            }
        }
        let texts: Vec<String> = targets.iter().map(|(target, _)| self.text(target)).collect();
        let body = if replaced.is_empty() { RecordBody::Noop } else { RecordBody::Lift(replaced) };
        let at = self.append(body, texts.first().cloned(), self.act.reason.clone())?;
        for text in texts.into_iter().skip(1) {
            self.note(Some(at), Some(text), self.act.reason.clone())?;
        }
        Ok(at)
    }

    /// Appends new settings, which are in force from there.
    pub(crate) fn settings(&mut self, settings: Settings) -> Result<Position> {
        self.log.settings = settings.clone();
        self.tables.put_log(&self.log)?;
        self.append(RecordBody::Settings(settings), None, self.act.reason.clone())
    }

    /// Sets the groups that subjects fall into, or ends them; nothing of it travels in the feed.
    pub(crate) fn groups(&mut self, groups: Option<Groups>) -> Result<()> {
        self.log.groups = groups;
        self.tables.put_log(&self.log)
    }

    /// Sets the secret that keys of subjects are derived from; nothing of it travels in the feed.
    pub(crate) fn subject_secret(&mut self, secret: SealedSecret) -> Result<()> {
        self.log.subject_secret = Some(secret);
        self.tables.put_log(&self.log)
    }

    /// Appends an issuer. Tokens from when its longest life was longer stay accounted for.
    pub(crate) fn issuer(&mut self, mut issuer: IssuerRow) -> Result<Position> {
        if let Some(before) = self.tables.issuer(&issuer.record.issuer)? {
            let outlived = before.record.longest_life > issuer.record.longest_life;
            let outstanding = self.commit.next_second().plus(before.record.skew).plus(before.record.longest_life);
            issuer.outstanding = if outlived { outstanding.max(before.outstanding) } else { before.outstanding };
        }
        self.tables.put_issuer(&issuer)?;
        let text = self.text(&Target::issuer(issuer.record.issuer.clone()));
        self.append(RecordBody::Issuer(issuer.record), Some(text), self.act.reason.clone())
    }

    /// Writes down an act that appended nothing.
    pub(crate) fn note_act(&mut self, target: Option<String>) -> Result<()> {
        self.note(None, target, self.act.reason.clone())
    }

    /// A target's text in the audit.
    pub(crate) fn text(&self, target: &Target) -> String {
        target.text(&self.log.settings.issuer)
    }

    /// A cell with what one more entry adds to it; one that has lapsed counts no more.
    fn absorbed(&self, held: Option<Cell>, more: Option<Cell>) -> Option<Cell> {
        let Some(more) = more else { return held };
        let held = held.filter(|held| !held.until.is_over(self.forgotten_at()));
        Some(held.map_or(more, |held| held.absorb(more)))
    }

    /// What entries of one target amount to now, lapsed ones left out.
    fn in_force_now(&self, entries: &[StoredRevocation]) -> InForce {
        let now = self.forgotten_at();
        let live = |side: Side| {
            let held: Vec<_> = entries.iter().filter(|entry| !lapsed(entry, side, now)).cloned().collect();
            in_force_of(&held)
        };
        InForce { access: live(Side::Access).access, sessions: live(Side::Sessions).sessions }
    }

    fn append(&mut self, body: RecordBody, target: Option<String>, reason: Option<String>) -> Result<Position> {
        let at = self.log.head.at.next();
        let line = Record { at, body }.to_line();
        if line.len() > Record::MAX_LINE {
            return Err(Refused::RecordTooLong.into());
        }
        let chain = self.log.head.chain.extend(&line);
        self.log.head = Head { at, chain };
        // The next process begins with it, and so accounts for tokens from before the clock stepped back.
        self.tables.put_line(&LogLine { at, line, chain }, self.latest)?;
        self.note(Some(at), target, reason)?;
        Ok(at)
    }

    fn note(&mut self, at: Option<Position>, target: Option<String>, reason: Option<String>) -> Result<()> {
        self.tables.put_audit(&AuditEvent {
            id: 0,
            at,
            time: self.commit,
            actor: self.act.actor.clone(),
            action: self.act.action.clone(),
            target,
            reason,
            request_id: self.act.request_id.clone(),
        })
    }

    /// How long an entry is held at the least: while anybody may accept a token that it matches (I16), and
    /// while one that is its own refresh credential may be exchanged for the next (I14).
    fn least_until(&self, asked: Asked, issuer: &IssuerRow, new: &NewRevocation) -> Until {
        match (asked.until(self.commit, &self.horizon(issuer, new)), asked.kind) {
            (Until::At(until), TargetKind::Token) if !asked.foreign => {
                Until::At(until.plus(self.limits.exchange_after))
            }
            (until, _) => until,
        }
    }

    fn horizon(&self, issuer: &IssuerRow, new: &NewRevocation) -> Horizon {
        let settings = &self.log.settings;
        let skewed = self.commit.next_second().plus(issuer.record.skew);
        // Tokens from when lives were longer, and those issued before the clock stepped back (I16).
        let outstanding = issuer.outstanding.0.saturating_sub(skewed.0);
        let stepped_back = self.latest.floor().0.saturating_sub(self.commit.floor().0);
        Horizon {
            exp: new.exp,
            longest_life: issuer.record.longest_life.saturating_add(stepped_back).max(outstanding),
            issuer_skew: issuer.record.skew,
            longest_session: issuer.longest_session,
            max_leeway: settings.max_leeway,
            clock_skew: settings.clock_skew,
        }
    }

    /// How long an entry is held against sessions: one may be opened from a matching login until the
    /// entry lapses for tokens, and then live as long as any.
    fn sessions_until(&self, until: Until) -> Result<Until> {
        let Until::At(until) = until else { return Ok(Until::Never) };
        let opened_later = until.max(self.commit.next_second()).plus(self.limits.longest_session);
        let open_now = self.tables.latest_expiry()?.unwrap_or_default();
        Ok(Until::At(opened_later.max(open_now).plus(self.log.settings.clock_skew)))
    }

    fn make_room_without_until(&self, hash: &TargetHash) -> Result<()> {
        let most = self.limits.most_without_until;
        let held = self.tables.cell(Side::Access, hash)?.and_then(|held| held.cell);
        let counted = held.is_some_and(|cell| cell.until == Until::Never);
        if counted || self.tables.count_without_until()? < most {
            return Ok(());
        }
        Err(Refused::TooManyWithoutUntil { most }.into())
    }

    /// The wall clock by which entries count as forgotten: no verifier forgets earlier.
    fn forgotten_at(&self) -> UnixSeconds {
        self.commit.floor().minus(self.log.settings.clock_skew)
    }
}

/// What a revocation of an own session must be to end it for good.
pub(crate) fn ends_sessions(new: &NewRevocation) -> bool {
    new.target.kind() == TargetKind::Session && new.cutoff == Cutoff::Always && new.reach.sessions()
}

fn lapsed(entry: &StoredRevocation, side: Side, now: UnixSeconds) -> bool {
    match side {
        Side::Access => entry.until.is_over(now),
        Side::Sessions => entry.sessions_until.is_over(now),
    }
}

/// What entries of one target amount to. The algebra leaves sessions without until; here they are
/// held for the longest session life.
fn in_force_of(entries: &[StoredRevocation]) -> InForce {
    let logged: Vec<_> = entries.iter().map(StoredRevocation::logged).collect();
    let mut in_force = in_force(&logged);
    if let Some(cell) = &mut in_force.sessions {
        let reaching = entries.iter().filter(|entry| entry.lifted.is_none() && entry.reach.sessions());
        cell.until = reaching.map(|entry| entry.sessions_until).max().unwrap_or(Until::Never);
    }
    in_force
}

fn wished(least: Until, wish: Option<UnixSeconds>) -> Result<Until> {
    match (least, wish) {
        (least, None) => Ok(least),
        (Until::Never, Some(_)) => Err(Refused::UntilNotAllowed.into()),
        (Until::At(least), Some(wish)) if wish < least => Err(Refused::UntilTooEarly { least }.into()),
        (Until::At(_), Some(wish)) => Ok(Until::At(wish)),
    }
}
