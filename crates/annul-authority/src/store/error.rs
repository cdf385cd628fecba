//! What can go wrong in the store, apart by what the caller should do about it.

use std::io;
use std::path::PathBuf;

use annul_core::algebra::Refusal;
use annul_core::fold::{NotAdmitted, NotLiftable};
use annul_core::position::Position;
use annul_core::time::UnixSeconds;

use super::NotIssued;

/// Why a verb did nothing. Whatever the variant, nothing that was acknowledged before is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The state does not allow it; asking again changes nothing.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The disk is full. Writes are refused, reads go on; it mends itself when there is space.
    #[error("the disk is full: nothing was written, reads go on, and writes will when there is space again")]
    DiskFull,
    /// The database is damaged.
    #[error("the database is damaged: {detail}; nothing was written")]
    Corrupt {
        /// What the engine said.
        detail: String,
    },
    /// The log has not been created yet.
    #[error("the log has not been created yet")]
    NotBootstrapped,
    /// The store was closed. A write that was under way may have been committed.
    #[error("the store is closed; what was under way may have been committed")]
    Closed,
    /// The engine failed otherwise. A write that failed so was not acknowledged; it may be tried
    /// again with the same idempotency key.
    #[error("the store failed: {detail}; nothing was acknowledged")]
    Failed {
        /// What the engine said.
        detail: String,
    },
}

impl StoreError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::DiskFull => "disk_full",
            Self::Corrupt { .. } => "database_corrupt",
            Self::NotBootstrapped => "not_bootstrapped",
            Self::Closed => "store_closed",
            Self::Failed { .. } => "store_failed",
        }
    }
}

/// What the state does not allow. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There is no such session.
    #[error("there is no such session")]
    SessionUnknown,
    /// The session's id was used before.
    #[error("a session with this id exists")]
    SessionExists,
    /// The session would live longer than any may.
    #[error("a session may live for {longest} seconds")]
    SessionTooLong {
        /// The most that is allowed.
        longest: u64,
    },
    /// The login lies in the future, or so long ago that an entry against it may be forgotten.
    #[error("auth_time {auth_time} lies in the future or longer ago than a session may live")]
    AuthTimeOutOfRange {
        /// What was given.
        auth_time: UnixSeconds,
    },
    /// A session or its tokens would have more targets than a token may.
    #[error("the session would have {count} targets; a token may have {most}", most = annul_core::settings::MAX_TARGETS)]
    TooManyTargets {
        /// How many it would have.
        count: usize,
    },
    /// A session has more ancestors than a token may name.
    #[error("a session may have {} ancestors", crate::model::MAX_ANCESTORS)]
    TooManyAncestors,
    /// An entry in force revokes what was to be opened.
    #[error("revoked by the entry at {}", .0.at)]
    Revoked(Refusal),
    /// No token can be issued for what was presented.
    #[error(transparent)]
    NotIssued(#[from] NotIssued),
    /// The subject is blocked.
    #[error("the subject is blocked since {at}")]
    SubjectBlocked {
        /// The entry that blocked it.
        at: Position,
    },
    /// The subject goes by another id; nothing is opened for the old one any more.
    #[error("the id was retired at {at}: its subject goes by another")]
    SubjectRetired {
        /// The entry that retired it.
        at: Position,
    },
    /// The credential that was proven is not the account's, or not any more.
    #[error("name and password do not match")]
    NotProven,
    /// The target of a block is not a subject.
    #[error("only a subject can be blocked")]
    NotASubject,
    /// The subject is not blocked.
    #[error("the subject is not blocked")]
    NotBlocked,
    /// The revocation cannot be asked for.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// The claim is one that tokens get at their issue.
    #[error("no session has the claim {claim}: the reach must be access or both")]
    ReachesNoSession {
        /// The claim.
        claim: String,
    },
    /// The session has ended; only `always` still makes sense on it.
    #[error("the session has ended; its revocation takes only the cutoff always")]
    SessionEnded,
    /// A session can be kept only from a revocation up to now.
    #[error("keeping a session works with the cutoff now only")]
    KeepNeedsNow,
    /// The until would let the entry lapse while a matching token may still be accepted.
    #[error("until is too early: a matching token may be accepted until {least}")]
    UntilTooEarly {
        /// The earliest that is allowed.
        least: UnixSeconds,
    },
    /// Only a lift may end the entry.
    #[error("this entry takes no until: only a lift may end it")]
    UntilNotAllowed,
    /// No target was named, or more than one request may name.
    #[error("a request names between 1 and {most} entries")]
    EntryCount {
        /// The most that is allowed.
        most: usize,
    },
    /// The log holds as many entries without until as verifiers are built for.
    #[error("there are {most} entries that never lapse; lift some before adding more")]
    TooManyWithoutUntil {
        /// The most that is allowed.
        most: u64,
    },
    /// There is no revocation at that position.
    #[error("there is no revocation at {at}")]
    RevocationUnknown {
        /// The position that was named.
        at: Position,
    },
    /// The entry cannot be lifted.
    #[error("the entry at {at} cannot be lifted: {why}")]
    NotLiftable {
        /// The entry.
        at: Position,
        /// Why.
        why: NotLiftable,
    },
    /// There is no such schedule.
    #[error("there is no schedule {id}")]
    ScheduleUnknown {
        /// The schedule that was named.
        id: String,
    },
    /// Nothing of the schedule waits any more.
    #[error("nothing of the schedule {id} waits any more; what was done stays")]
    ScheduleOver {
        /// The schedule that was named.
        id: String,
    },
    /// As many schedules wait as may.
    #[error("{most} schedules wait already; cancel some before adding more")]
    TooManySchedules {
        /// The most that is allowed.
        most: u64,
    },
    /// A target's issuer is neither ours nor configured.
    #[error("the issuer {issuer} is not configured")]
    IssuerUnknown {
        /// The issuer that was named.
        issuer: String,
    },
    /// Our own issuer cannot be configured as a foreign one.
    #[error("our own issuer cannot be configured as a foreign one")]
    OwnIssuer,
    /// There is no such signing key.
    #[error("there is no signing key {kid}")]
    KeyUnknown {
        /// The key that was named.
        kid: String,
    },
    /// A key with that id or thumbprint exists.
    #[error("the signing key {kid} exists")]
    KeyExists {
        /// The key that was named.
        kid: String,
    },
    /// The key is not in a state that allows the change.
    #[error("the signing key {kid} is {state}")]
    KeyState {
        /// The key that was named.
        kid: String,
        /// Its state.
        state: &'static str,
    },
    /// The target of a kill is not a key.
    #[error("only a key can be killed")]
    NotAKey,
    /// The settings were changed by somebody else, or name another log.
    #[error("the settings are at revision {current}: read them and try again; issuer and hash key never change")]
    SettingsConflict {
        /// The revision in force.
        current: u32,
    },
    /// Settings without the claim of groups would let tokens live that entries kept here revoke.
    #[error("subjects fall into groups, so {:?} stays among the claims and ask_on", crate::model::GROUP_CLAIM)]
    GroupClaimNeeded,
    /// A line of the log would be longer than any follower reads.
    #[error("the record would be longer than a follower reads")]
    RecordTooLong,
    /// The account exists.
    #[error("the account exists")]
    AccountExists,
    /// There is no such account.
    #[error("there is no such account")]
    AccountUnknown,
    /// The client exists.
    #[error("the client exists")]
    ClientExists,
    /// There is no such client.
    #[error("there is no such client")]
    ClientUnknown,
    /// A client cannot change between proving itself by a secret and in another way.
    #[error("a client with a secret keeps to it, and one without gets none")]
    ClientMethod,
    /// An account can never take a client's id, nor a client an account's.
    #[error("the name is taken: accounts and clients share one name space")]
    NameTaken,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
}

impl Refused {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::SessionUnknown => "session_unknown",
            Self::SessionExists => "session_exists",
            Self::SessionTooLong { .. } => "session_too_long",
            Self::AuthTimeOutOfRange { .. } => "auth_time_out_of_range",
            Self::TooManyTargets { .. } => "too_many_targets",
            Self::TooManyAncestors => "too_many_ancestors",
            Self::Revoked(_) => "session_revoked",
            Self::SubjectBlocked { .. } => "subject_blocked",
            Self::SubjectRetired { .. } => "subject_retired",
            Self::NotProven => "invalid_credentials",
            Self::NotASubject => "not_a_subject",
            Self::NotBlocked => "not_blocked",
            Self::NotIssued(why) => why.code(),
            Self::NotAdmitted(NotAdmitted::InTheFuture { .. }) => "cutoff_in_the_future",
            Self::NotAdmitted(NotAdmitted::ReachesNoSession { .. }) | Self::ReachesNoSession { .. } => {
                "reach_not_allowed"
            }
            Self::NotAdmitted(_) => "cutoff_not_allowed",
            Self::SessionEnded => "session_ended",
            Self::KeepNeedsNow => "keep_needs_now",
            Self::UntilTooEarly { .. } => "until_too_early",
            Self::UntilNotAllowed => "until_not_allowed",
            Self::EntryCount { .. } => "entry_count",
            Self::TooManyWithoutUntil { .. } => "too_many_without_until",
            Self::RevocationUnknown { .. } => "revocation_unknown",
            Self::NotLiftable { why: NotLiftable::AlreadyLifted, .. } => "already_lifted",
            Self::NotLiftable { why: NotLiftable::KilledKey, .. } => "lifts_killed_key",
            Self::NotLiftable { why: NotLiftable::EndedSession, .. } => "lifts_ended_session",
            Self::NotLiftable { .. } => "emitted_by_state",
            Self::ScheduleUnknown { .. } => "schedule_unknown",
            Self::ScheduleOver { .. } => "schedule_over",
            Self::TooManySchedules { .. } => "too_many_schedules",
            Self::IssuerUnknown { .. } => "issuer_unknown",
            Self::OwnIssuer => "own_issuer",
            Self::KeyUnknown { .. } => "key_unknown",
            Self::KeyExists { .. } => "key_exists",
            Self::KeyState { .. } => "key_state",
            Self::NotAKey => "not_a_key",
            Self::SettingsConflict { .. } => "settings_conflict",
            Self::GroupClaimNeeded => "group_claim_needed",
            Self::RecordTooLong => "record_too_long",
            Self::AccountExists => "account_exists",
            Self::AccountUnknown => "account_unknown",
            Self::ClientExists => "client_exists",
            Self::ClientUnknown => "client_unknown",
            Self::ClientMethod => "client_method",
            Self::NameTaken => "name_taken",
            Self::IdempotencyConflict => "idempotency_conflict",
        }
    }
}

/// Why a store cannot be opened. None of them changes anything on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another authority has the data open.
    #[error("{} is in use by {by}; two authorities on one log would give one position to two records", dir.display())]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// What the other wrote into the lock file.
        by: String,
    },
    /// A newer version wrote the database.
    #[error(
        "{} has schema {found}, this version knows {known}: it was written by a newer annul and left as it is; run that version",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this version knows.
        known: i64,
    },
    /// The file is not a database of annul.
    #[error("{} is not an annul database and was left as it is", path.display())]
    NotAnnul {
        /// The file.
        path: PathBuf,
    },
    /// The database is damaged.
    #[error("{} is damaged ({detail}) and was left as it is; restore a backup", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("{} cannot be used: {error}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The engine failed.
    #[error("{} cannot be opened: {detail}", path.display())]
    Failed {
        /// The database.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
}

impl OpenError {
    /// The error's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "data_in_use",
            Self::Newer { .. } => "database_newer",
            Self::NotAnnul { .. } => "not_an_annul_database",
            Self::Corrupt { .. } => "database_corrupt",
            Self::Io { .. } => "data_unusable",
            Self::Failed { .. } => "store_failed",
        }
    }
}
