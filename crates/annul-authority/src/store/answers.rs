//! What the store is asked and what it answers, as plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use annul_core::algebra::Cell;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::settings::{IssuerRecord, Settings};
use annul_core::target::{HashKey, Target, TargetHash};
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::model::{
    ClientRecord, Groups, Head, KeyChange, KeyRecord, LogLine, NewRevocation, RefreshFamily, SealedSecret, Session,
    SessionStatus, StoredRevocation, SubjectState, VerifierBound,
};

/// Bounds that hold for a store as a whole. They come from the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds that any session may live. Entries that reach sessions are kept that long, and a
    /// login older than that opens no session.
    pub longest_session: u64,
    /// Seconds past its `exp` for which an access token of ours may still be exchanged for the next one. An
    /// entry on a token is kept as much longer.
    pub exchange_after: u64,
    /// Seconds for which lines of the log are kept for followers that were away. A follower that
    /// was away longer takes the snapshot.
    pub keep_lines: u64,
    /// Seconds for which audit events are kept; `None` keeps them for good.
    pub keep_audit: Option<u64>,
    /// Entries without until that may be in force; verifiers hold them for good.
    pub most_without_until: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            longest_session: 30 * 24 * 3600,
            exchange_after: 0,
            keep_lines: 24 * 3600,
            keep_audit: None,
            most_without_until: 1_000_000,
        }
    }
}

/// What a log begins with.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// The log's id.
    pub log: String,
    /// The key that hashes targets. It is kept in the clear, beside the names it hashes.
    pub hash_key: HashKey,
    /// The feed key, sealed.
    pub sealed_feed_key: Vec<u8>,
    /// The settings, of revision 1.
    pub settings: Settings,
    /// The groups that subjects fall into.
    pub groups: Option<Groups>,
    /// The first signing keys.
    pub keys: Vec<KeyRecord>,
    /// The first clients.
    pub clients: Vec<ClientRecord>,
}

/// The log as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LogState {
    /// The log's id.
    pub log: String,
    /// The newest place.
    pub head: Head,
    /// The settings in force.
    pub settings: Settings,
    /// The key that hashes targets.
    pub hash_key: HashKey,
    /// The feed key, sealed.
    pub sealed_feed_key: Vec<u8>,
    /// The groups that subjects fall into, where entries about one user stay here.
    pub groups: Option<Groups>,
    /// The secret that keys of subjects are derived from, once there is one.
    pub subject_secret: Option<SealedSecret>,
}

impl LogState {
    /// The groups that a session's tokens name; none while there are no groups.
    #[must_use]
    pub fn groups_of(&self, session: &Session) -> Vec<u64> {
        let groups = self.groups.map(|groups| groups.of_session(session, &self.settings.issuer, &self.hash_key));
        groups.unwrap_or_default()
    }
}

/// What a commit left behind, for those who keep something of the store in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The log's head.
    pub head: Position,
    /// Counts up when clients were added, changed or removed; what it counts from says nothing.
    pub client_changes: u64,
    /// The lines of the last commit that appended any, so that whoever follows the log need not read
    /// them. The last one is the head's.
    pub lines: Arc<[LogLine]>,
}

impl Committed {
    /// The lines after `at`, up to the head, when all of them are here; otherwise the store has them.
    #[must_use]
    pub fn lines_after(&self, at: Position) -> Option<&[LogLine]> {
        if at == self.head {
            return Some(&[]);
        }
        let (first, next) = (self.lines.first()?.at, at.next());
        let had = next.seq.checked_sub(first.seq).filter(|_| next.epoch == first.epoch)?;
        self.lines.get(usize::try_from(had).ok()?..).filter(|after| !after.is_empty())
    }
}

/// Cells in force, by target. A target without a cell has nothing against it.
pub type Cells = BTreeMap<TargetHash, Cell>;

/// Everything an issue of a token is decided by, in one snapshot.
#[derive(Clone, Debug)]
pub struct IssuingSnapshot {
    /// The log; `log.head.at` is the token's `lpos`.
    pub log: LogState,
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub subject: SubjectState,
    /// Whether it can be used, judged over its own targets.
    pub status: SessionStatus,
    /// What verifiers enforce against the planned targets.
    pub access: Cells,
    /// The keys that sign, with their states.
    pub keys: Vec<KeyRecord>,
    /// Its family, as in [`Issuing`](super::Issuing).
    pub family: Option<RefreshFamily>,
}

/// Everything a token is checked by, in one snapshot.
#[derive(Clone, Debug)]
pub struct JudgingSnapshot {
    /// The log.
    pub log: LogState,
    /// What verifiers enforce against the targets asked for.
    pub access: Cells,
    /// The session asked for and whether it can be used; `None` when none was asked for, or it is
    /// not known.
    pub session: Option<SessionView>,
}

/// A session and whether it can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Whether it can be used.
    pub status: SessionStatus,
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session. `session.position` is the `lpos` of the token issued with it.
    pub session: Session,
    /// Whose it is.
    pub subject: SubjectState,
    /// The entry that ended the session it replaces.
    pub replaced: Option<Position>,
    /// The log after the transaction.
    pub log: LogState,
    /// Its family, if it has one. What an earlier attempt was given cannot be given again; a refresh token
    /// that nobody has redeemed yet is replaced by the one of this attempt.
    pub family: Option<RefreshFamily>,
    /// Whether an earlier attempt with the same idempotency key had opened it already.
    pub repeated: bool,
}

/// Revocations to be appended in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoke {
    /// The entries, between 1 and [`MAX_ENTRIES`].
    pub revocations: Vec<NewRevocation>,
    /// The session that stays.
    pub keep: Option<String>,
}

/// Entries one request may append or lift, so that a transaction stays short and the line of a lift
/// stays far below [`Record::MAX_LINE`](annul_core::record::Record::MAX_LINE).
pub const MAX_ENTRIES: usize = 1000;

/// What a writing verb did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// The records that were asked for, in the order of asking; empty when there was nothing to do.
    pub positions: Vec<Position>,
    /// The last record of the transaction, or the head when it appended none. Whoever applied this
    /// position has applied all of them.
    pub head: Position,
    /// The wall clock at commit.
    pub committed: UnixMillis,
    /// The sessions that were live before and are revoked or ended after.
    pub sessions: SessionCount,
    /// What became of the session to be kept.
    #[serde(default)]
    pub kept: Option<Kept>,
    /// The signing keys, where they were what was changed.
    #[serde(default)]
    pub keys: Option<SigningKeys>,
    /// The revocations at these positions, as they stand; a record of another kind has none.
    #[serde(skip)]
    pub revocations: Vec<StoredRevocation>,
    /// Whether this is the answer to an earlier attempt with the same idempotency key.
    #[serde(skip)]
    pub repeated: bool,
}

/// Our signing keys as a change of them left them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeys {
    /// The `kid` of the key that signs.
    pub active: Option<String>,
    /// The `kid` of the newest key in reserve.
    pub reserve: Option<String>,
    /// Whether the change let a reserve sign.
    pub promoted: bool,
}

/// How many sessions something ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCount {
    /// How many of those looked at.
    pub ended: u64,
    /// Whether there were more than [`MAX_COUNTED`] to look at, so that it may be more.
    pub at_least: bool,
}

/// Sessions that are looked at to count those that a revocation ends. Counting is for the caller's
/// eyes only; it must not hold up the log.
pub const MAX_COUNTED: usize = 10_000;

/// What became of a session to be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// It lives on, dated at this entry.
    Restamped(Position),
    /// It was revoked before and was ended by this entry of its own.
    Ended(Position),
    /// It had ended before.
    WasOver,
}

/// Revocations for later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSchedule {
    /// Names it: unguessable and never used before.
    pub id: String,
    /// The entries, between 1 and [`MAX_ENTRIES`].
    pub revocations: Vec<NewRevocation>,
    /// When.
    pub plan: SchedulePlan,
}

/// When the revocations of a schedule are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulePlan {
    /// All at one moment.
    At {
        /// The moment.
        due: UnixMillis,
        /// The sessions that would end by it, as they were counted.
        expected: u64,
    },
    /// In slices, oldest logins first: the first at once, the last after this many seconds. Each takes
    /// about as many of the sessions that are live now. The entries have the cutoff `now`, which ends
    /// as `before` the second of the asking, so that nobody who logs in meanwhile is sent away again,
    /// or one `before`.
    Over {
        /// Seconds from the first slice to the last.
        seconds: u64,
    },
}

/// Schedules that may have something left to do, so that a program gone wrong cannot fill the disk
/// with them.
pub const MAX_SCHEDULES: u64 = 1000;
/// Slices of a revocation that is spread: more would not be told apart by who sees the load.
pub const MAX_SLICES: u64 = 60;
/// Seconds between two slices at the least: a verifier's report, and the logins that follow, take
/// about as long.
pub const SLICE_SECONDS: u64 = 5;

/// What is next to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueStep {
    /// The schedule.
    pub id: String,
    /// When its next step is due.
    pub due: UnixMillis,
}

/// Whose tokens could have been accepted when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposureFilter {
    /// What the tokens name.
    pub target: Target,
    /// From when on.
    pub from: UnixMillis,
    /// To when.
    pub to: UnixMillis,
    /// Only sessions whose sid comes after this one.
    pub after: String,
    /// Sessions at most; bounded by [`MAX_PAGE`].
    pub limit: usize,
}

/// Sessions that one answer about exposure looks at; it names the sid to go on from.
pub const MAX_EXAMINED: usize = 20_000;

/// Whose tokens could have been accepted in a span of time.
#[derive(Clone, Debug)]
pub struct Exposure {
    /// The log in whose state it was answered.
    pub log: LogState,
    /// The entries against this very target that are kept, lifted ones too, oldest first.
    pub entries: Vec<StoredRevocation>,
    /// The sessions that name it and had a token that could have been accepted, by sid.
    pub sessions: Vec<ExposedSession>,
    /// The sid after which the next answer goes on; `None` when all were looked at.
    pub next: Option<String>,
    /// What bounded the verifiers when, oldest first.
    pub bounds: Vec<VerifierBound>,
}

/// A session and until when its tokens could have been accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct ExposedSession {
    /// The session.
    pub session: Session,
    /// Whether it can be used now.
    pub status: SessionStatus,
    /// The first entry in force that refuses its tokens, and when it was acknowledged.
    pub refused: Option<(Position, UnixMillis)>,
    /// Until when a route that checks could have accepted one.
    pub check_until: UnixMillis,
    /// Until when a route that looks at the signature only could have.
    pub verify_until: UnixMillis,
}

/// A key to be killed, with all that follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct KillKey {
    /// The key: a target of kind `key`, of our own issuer or a foreign one.
    pub key: Target,
    /// Why.
    pub reason: Option<String>,
    /// Changes in the same transaction: the successor added and activated.
    pub changes: Vec<KeyChange>,
    /// Revocations in the same transaction, such as all sessions of the issuer.
    pub also: Vec<NewRevocation>,
}

/// Lines after a position, for followers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The chain at the position asked for. `None` when the log does not reach back to it (the
    /// follower needs the snapshot), and when the position lies ahead of the head.
    pub base: Option<Chain>,
    /// The lines that follow it, dense; empty without a base.
    pub lines: Vec<LogLine>,
    /// The head in the same snapshot.
    pub head: Head,
}

/// The state of the log at one position, for followers that begin or were away too long.
#[derive(Clone, Debug)]
pub struct FeedSnapshot {
    /// The log.
    pub log: LogState,
    /// All issuers, our own among them.
    pub issuers: Vec<IssuerRecord>,
    /// All that is in force against access tokens, in the order of the hashes.
    pub cells: Vec<HashedCell>,
}

/// Which revocations to list; newest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevocationFilter {
    /// Only those of this target.
    pub target: Option<Target>,
    /// Only those after this position.
    pub after: Option<Position>,
    /// How many at most; bounded by [`MAX_PAGE`].
    pub limit: usize,
}

/// Which audit events to list; the newest of them last, whichever they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The first that follow this event; those from the beginning with 0, the newest without it.
    pub after: Option<u64>,
    /// Only those about this record.
    pub at: Option<Position>,
    /// Only those with exactly this target text.
    pub target: Option<String>,
    /// How many at most; bounded by [`MAX_PAGE`].
    pub limit: usize,
}

/// Rows one listing gives at most.
pub const MAX_PAGE: usize = 1000;

/// What a clean-up removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows removed.
    pub rows: u64,
    /// Whether the bound was reached, so that there may be more to remove.
    pub more: bool,
}
