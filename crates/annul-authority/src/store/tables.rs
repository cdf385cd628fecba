//! The rows every store keeps: what the verbs are written over.
//!
//! Row operations and nothing more. None of them decides anything; a store implements them inside
//! one of its transactions, and what an operation wrote is seen by those after it.

use std::sync::Arc;

use annul_core::algebra::Until;
use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::fold::InForce;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::settings::IssuerRecord;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::{AuditFilter, DueStep, Limits, LogState, Pruned, RevocationFilter, StoreError};
use crate::model::{
    Account, AuditEvent, ClientRecord, IdempotencyKey, KeyRecord, KeySource, LogLine, RefreshFamily, Schedule, Session,
    Side, StoredRevocation, SubjectNames, SubjectState, VerifierBound,
};

type Result<T> = std::result::Result<T, StoreError>;

/// Rows as one snapshot shows them.
pub(crate) trait Read {
    /// The log, or [`StoreError::NotBootstrapped`].
    fn log(&self) -> Result<LogState>;
    /// The chain at a position whose line is kept, or before the first line while that is kept.
    fn chain_at(&self, log: &LogState, at: Position) -> Result<Option<Chain>>;
    fn lines_after(&self, after: Position, limit: usize) -> Result<Vec<LogLine>>;

    fn session(&self, sid: &str) -> Result<Option<Session>>;
    /// Newest first.
    fn sessions_of(&self, subject: &str, limit: usize) -> Result<Vec<Session>>;
    /// Sessions that have not ended, are not to end by `over` and have this target, by sid, after one.
    fn sessions_naming(
        &self,
        target: &TargetHash,
        over: UnixSeconds,
        after: &str,
        limit: usize,
    ) -> Result<Vec<Session>>;
    /// How many sessions that have not ended have this target, whenever they are to end.
    fn count_naming(&self, target: &TargetHash) -> Result<u64>;
    /// Sessions, ended ones too, by sid, after one.
    fn sessions_in(&self, span: &SessionSpan<'_>, after: &str, limit: usize) -> Result<Vec<Session>>;
    fn family(&self, sid: &str) -> Result<Option<RefreshFamily>>;
    /// The earliest end of a grace.
    fn first_grace_end(&self) -> Result<Option<UnixMillis>>;
    /// The latest absolute end of any session that has not ended.
    fn latest_expiry(&self) -> Result<Option<UnixSeconds>>;

    fn cell(&self, side: Side, target: &TargetHash) -> Result<Option<HashedCell>>;
    /// Both cells of a target, lapsed or not.
    fn in_force(&self, target: &TargetHash) -> Result<InForce>;
    /// In the order of the hashes.
    fn access_cells(&self) -> Result<Vec<HashedCell>>;
    fn revocation(&self, at: Position) -> Result<Option<StoredRevocation>>;
    fn revocations(&self, filter: &RevocationFilter) -> Result<Vec<StoredRevocation>>;
    /// Those of one target that are not lifted, in the order of their positions.
    fn revocations_on(&self, target: &TargetHash) -> Result<Vec<StoredRevocation>>;
    /// Access cells without until.
    fn count_without_until(&self) -> Result<u64>;

    fn subject(&self, subject: &Target) -> Result<SubjectState>;
    /// In the order they were made.
    fn keys(&self) -> Result<Vec<KeyRecord>>;
    fn issuer(&self, issuer: &str) -> Result<Option<Arc<IssuerRow>>>;
    fn issuers(&self) -> Result<Vec<IssuerRow>>;

    fn account(&self, username: &str) -> Result<Option<Account>>;
    fn accounts(&self, after: &str, limit: usize) -> Result<Vec<Account>>;
    /// The account whose subject this is.
    fn account_of(&self, subject: &str) -> Result<Option<Account>>;
    /// Whether an account has this name or this subject.
    fn is_account_name(&self, name: &str) -> Result<bool>;
    fn client(&self, client_id: &str) -> Result<Option<ClientRecord>>;
    fn clients(&self) -> Result<Vec<ClientRecord>>;

    fn schedule(&self, id: &str) -> Result<Option<Schedule>>;
    /// Those with a step that waits, by its time; then the others, newest first.
    fn schedules(&self, limit: usize) -> Result<Vec<Schedule>>;
    fn next_due(&self) -> Result<Option<DueStep>>;
    /// Schedules with a step that waits.
    fn count_schedules(&self) -> Result<u64>;

    /// The newest, oldest first.
    fn verifier_bounds(&self, limit: usize) -> Result<Vec<VerifierBound>>;
    /// By name and instance.
    fn replicas(&self) -> Result<Vec<ReplicaStatus>>;

    fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEvent>>;
    fn attempt(&self, key: &IdempotencyKey) -> Result<Option<Attempt>>;
    /// Whether an id that may be used once was, by its hash.
    fn is_used(&self, key: &[u8; 32]) -> Result<bool>;
}

/// Rows inside a writing transaction. `put` inserts or replaces.
pub(crate) trait Write: Read {
    /// Everything of the log but its lines.
    fn put_log(&mut self, log: &LogState) -> Result<()>;
    /// Appends a line; the head moves to it. `latest` is the latest that the clock had read by then:
    /// it never falls from one line to the next.
    fn put_line(&mut self, line: &LogLine, latest: UnixMillis) -> Result<()>;

    /// `targets` are those the session is found by; none when it has ended.
    fn put_session(&mut self, session: &Session, targets: &[TargetHash]) -> Result<()>;

    /// The family goes when its session is pruned.
    fn put_family(&mut self, family: &RefreshFamily) -> Result<()>;
    /// Removes the spent generations whose grace ends up to `now`, at most `limit`, and says how many.
    fn end_graces(&mut self, now: UnixMillis, limit: usize) -> Result<usize>;

    /// Of one that is there, only its lift changes.
    fn put_revocation(&mut self, revocation: &StoredRevocation) -> Result<()>;
    /// Both cells of a target, which is of this kind; one that is `None` is removed.
    fn put_in_force(&mut self, target: &TargetHash, kind: TargetKind, in_force: &InForce) -> Result<()>;

    fn put_subject(&mut self, subject: &Target, state: &SubjectState) -> Result<()>;
    fn put_key(&mut self, key: &KeyRecord) -> Result<()>;
    fn remove_key(&mut self, kid: &str) -> Result<()>;
    fn put_issuer(&mut self, issuer: &IssuerRow) -> Result<()>;

    fn put_account(&mut self, account: &Account) -> Result<()>;
    fn remove_account(&mut self, username: &str) -> Result<()>;
    fn put_client(&mut self, client: &ClientRecord) -> Result<()>;
    fn remove_client(&mut self, client_id: &str) -> Result<()>;

    fn put_schedule(&mut self, schedule: &Schedule) -> Result<()>;

    /// Appends; of more than [`MAX_BOUNDS`] the oldest goes.
    fn put_verifier_bound(&mut self, bound: &VerifierBound) -> Result<()>;
    fn put_replica(&mut self, replica: &ReplicaStatus) -> Result<()>;
    fn remove_replica(&mut self, replica: &ReplicaId) -> Result<()>;

    /// The event's id is given by the store.
    fn put_audit(&mut self, event: &AuditEvent) -> Result<()>;
    fn put_attempt(&mut self, key: &IdempotencyKey, attempt: &Attempt) -> Result<()>;
    fn put_used(&mut self, key: &[u8; 32], until: UnixSeconds) -> Result<()>;

    /// Removes rows that lie behind the horizon, each kind up to `limit` of them, the cells of one
    /// target counted as one; never the last line, nor the last audit event.
    fn prune(&mut self, horizon: &PruneHorizon, limit: usize) -> Result<Pruned>;
}

/// An issuer as it is kept, ours among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct IssuerRow {
    /// What verifiers were told.
    pub(crate) record: IssuerRecord,
    /// Where its keys come from; `None` for our own.
    pub(crate) source: Option<KeySource>,
    /// Seconds one of its sessions lives at most.
    pub(crate) longest_session: Option<u64>,
    /// Whether its tokens open sessions here, and for whom.
    #[serde(default)]
    pub(crate) subjects: Option<SubjectNames>,
    /// The latest `exp` of any token from when its longest life was longer than now.
    pub(crate) outstanding: UnixSeconds,
}

/// What a first attempt with an idempotency key did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) request: [u8; 32],
    pub(crate) time: UnixMillis,
    /// The outcome as JSON.
    pub(crate) outcome: String,
}

/// Which sessions to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionSpan<'a> {
    /// Only those of this subject.
    pub(crate) subject: Option<&'a str>,
    /// Only those opened up to this moment.
    pub(crate) opened_by: UnixMillis,
    /// Only those that end at this second or later.
    pub(crate) ends_from: UnixSeconds,
}

/// Changes kept of what bounded the verifiers. It changes when routes are configured anew, so these
/// are years; the bound is for a verifier that says something else each time.
pub(crate) const MAX_BOUNDS: usize = 1000;

/// Seconds for which a schedule with nothing left to do can still be looked up; the audit keeps what
/// it did.
pub(crate) const SCHEDULE_LIFE: u64 = 30 * 24 * 3600;

/// Seconds for which an idempotency key is remembered.
pub(crate) const ATTEMPT_LIFE: u64 = 24 * 3600;

/// Seconds by which the authority's own clock may once have run ahead without harm: what it forgets,
/// and leaves out of a snapshot, has been over for this long besides. A verifier drops it by its own
/// clock at once; a wrong clock here, put right later, must not revive a token there.
pub(crate) const CLOCK_ERROR: u64 = 2 * 60 * 60;

/// Before when rows of each kind may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PruneHorizon {
    /// Entries whose untils lie before this second, sessions that expired before it, and ids used once
    /// that could be accepted up to a second before it.
    pub(crate) entries: UnixSeconds,
    /// Lines committed before this. The last line always stays.
    pub(crate) lines: UnixMillis,
    /// Attempts made before this.
    pub(crate) attempts: UnixMillis,
    /// Audit events before this. The last one always stays.
    pub(crate) audit: UnixMillis,
    /// Schedules whose last step was due before this and that have nothing left to do.
    pub(crate) schedules: UnixMillis,
}

impl PruneHorizon {
    pub(crate) fn at(now: UnixMillis, clock_skew: u64, limits: &Limits) -> Self {
        let ago = |seconds: u64| UnixMillis(now.0.saturating_sub(seconds.saturating_mul(1000)));
        Self {
            entries: forgotten_at(now, clock_skew),
            lines: ago(limits.keep_lines),
            attempts: ago(ATTEMPT_LIFE),
            audit: limits.keep_audit.map_or(UnixMillis(0), ago),
            schedules: ago(SCHEDULE_LIFE),
        }
    }
}

/// What was over before this second may be forgotten at `now`.
pub(crate) fn forgotten_at(now: UnixMillis, clock_skew: u64) -> UnixSeconds {
    now.floor().minus(clock_skew).minus(CLOCK_ERROR)
}

impl StoredRevocation {
    /// Whether both verifiers and the authority may have forgotten the entry at `now`.
    pub(crate) fn is_spent(&self, now: UnixSeconds) -> bool {
        let access = !self.reach.access() || self.until.is_over(now);
        let sessions = !self.reach.sessions() || self.sessions_until.is_over(now);
        access && sessions
    }

    /// The second after which the entry is spent, `None` when only a lift ends it.
    pub(crate) fn spent_after(&self) -> Option<UnixSeconds> {
        let access = if self.reach.access() { self.until } else { Until::At(UnixSeconds(0)) };
        let sessions = if self.reach.sessions() { self.sessions_until } else { Until::At(UnixSeconds(0)) };
        match access.max(sessions) {
            Until::At(second) => Some(second),
            Until::Never => None,
        }
    }
}
