//! The store: one asynchronous trait of domain verbs, object safe, used as `Arc<dyn Store>`.
//!
//! ```text
//! Store (domain verbs) = verbs/* (what a verb means, once) over Tables (rows and indexes)
//!                                                    memory: persistent maps
//!                                                    sqlite: one writer with group commit, WAL, readers beside it
//! ```
//!
//! What a verb means is written once, in `verbs`, over the few row operations of `tables`; a store
//! decides only how rows are kept and when a transaction is durable. So two stores cannot disagree
//! about what a revocation is, and the suite in [`conformance`] checks the rest.
//!
//! # Guarantees of every verb
//! - **Durable (I2).** A writing verb answers after its transaction is on disk. A refusal or a full
//!   disk means that nothing of it happened. After [`StoreError::Closed`], [`StoreError::Failed`] (an
//!   I/O error may strike while committing) or a future dropped before it answered, it may or may not
//!   have happened: the idempotency key tells.
//! - **Atomic.** All of a verb is in one transaction, its audit events and idempotency row too.
//! - **Dense, in commit order (I3).** Who reads position `n` has all below it.
//! - **One snapshot (I9).** A read sees one committed state; the position it answers with is that
//!   state's head.

mod answers;
#[doc(hidden)]
#[allow(clippy::indexing_slicing, clippy::panic, reason = "it is a suite of tests, which fail by panic")]
pub mod conformance;
mod credentials;
mod engine;
mod error;
mod memory;
mod once;
mod refresh;
mod sqlite;
pub(crate) mod tables;
mod verbs;

use std::num::NonZeroU32;
use std::pin::Pin;

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::{Target, TargetHash};
use annul_core::time::UnixMillis;
use tokio::sync::watch;

pub use self::answers::{
    Appended, AuditFilter, Cells, Committed, DueStep, ExposedSession, Exposure, ExposureFilter, FeedSnapshot, Genesis,
    IssuingSnapshot, JudgingSnapshot, Kept, KillKey, Limits, Lines, LogState, MAX_COUNTED, MAX_ENTRIES, MAX_EXAMINED,
    MAX_PAGE, MAX_SCHEDULES, MAX_SLICES, NewSchedule, Opened, Pruned, RevocationFilter, Revoke, SLICE_SECONDS,
    SchedulePlan, SessionCount, SessionView, SigningKeys,
};
pub use self::credentials::{AccountLogin, CredentialChange, DeviceTimes, Holder, LookupIdChange, LookupIdChanged};
pub use self::error::{OpenError, Refused, StoreError};
pub use self::memory::MemoryStore;
pub use self::once::{FirstUse, UseOnce};
pub use self::refresh::{
    IssuePlan, Issuing, NewSuccessor, NotIssued, Redeem, Redeemed, RefreshRefusal, RefreshWindow, TargetPlan,
};
pub use self::sqlite::{SqliteOptions, SqliteStore};
pub(crate) use self::verbs::with_group_claim;
use crate::model::{
    Account, Act, AuditEvent, Chosen, Claims, ClientMetadata, ClientRecord, IssuerConfig, KeyChange, KeyRecord,
    NewSession, RefreshFamily, Schedule, SealedSecret, StoredRevocation, SubjectChange, SubjectState,
};

/// The future of an answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Where the authority keeps everything. See the module for what holds of every verb.
///
/// Every verb but [`bootstrap`](Self::bootstrap) answers [`StoreError::NotBootstrapped`] on a store
/// without a log.
pub trait Store: Send + Sync {
    // The log.

    /// Creates the log with epoch 1, its settings, our own issuer with the keys given, the clients;
    /// or, where there is a log already, changes nothing. Answers with the log that is there.
    fn bootstrap(&self, genesis: Genesis) -> Answer<'_, LogState>;

    /// The log as it stands: id, head, settings, hash key, sealed feed key.
    fn log(&self) -> Answer<'_, LogState>;

    /// What this store's last commit left. It never leads the store, and a caller who was answered
    /// finds its commit told: told before every answer.
    fn committed(&self) -> watch::Receiver<Committed>;

    /// Whether the last commit was taken; true before the first. Where it was not, reads go on, and
    /// the next commit that is taken makes it true again.
    fn takes_writes(&self) -> bool;

    /// At most `limit` lines after a position, with the chain at that position.
    fn lines_after(&self, after: Position, limit: usize) -> Answer<'_, Lines>;

    /// The state at one position: what replaying all lines up to it would give (I6).
    fn feed_snapshot(&self) -> Answer<'_, FeedSnapshot>;

    /// The replicas last remembered, by name and instance.
    fn replicas(&self) -> Answer<'_, Vec<ReplicaStatus>>;

    /// Remembers replicas as they were heard, in place of what was known of them, and forgets those
    /// that are gone; where that changes what bounds them all, it writes down from when on. Appends
    /// nothing.
    fn remember_replicas(&self, heard: Vec<ReplicaStatus>, gone: Vec<ReplicaId>) -> Answer<'_, ()>;

    // Sessions.

    /// Opens a session, and ends the one it replaces by its own entry in the same transaction.
    ///
    /// The session carries that entry's position, else the head, or the one at which the token that it descends
    /// from was judged. It is judged over all its targets
    /// by what is in force against sessions and against access before it exists: a session that
    /// could not be used is not opened ([`Refused::Revoked`], [`Refused::SubjectBlocked`]). The
    /// subject's claims are its own, under those given. Where the login changes the subject's state,
    /// the entry of that change dates the session.
    fn open_session(&self, act: Act, new: NewSession) -> Answer<'_, Opened>;

    /// All that an issue of a token is decided by: the head, then the session with the verdict over
    /// its targets, then what is in force against the targets that `plan` computes. A revocation
    /// that this snapshot does not contain has a greater position than its head (I9).
    fn issuing_snapshot(&self, sid: &str, plan: TargetPlan) -> Answer<'_, Option<IssuingSnapshot>>;

    /// Redeems a genuine credential for its session's next tokens: judged and moved on in one
    /// transaction, so that it is redeemed once whoever presents it how often.
    ///
    /// Refused in this order: an unknown session or family; another client; another proof key, or none,
    /// where the session is bound to one; then by generation. The current one moves the family on. The
    /// one before, in its grace and from the same asker, gives the same successor again. Any other that
    /// was current before ends the session by its own entry. One that the family does not know ends
    /// nothing.
    ///
    /// Before the family moves on, the session is judged and then the access token that `plan` is about
    /// to issue; whenever none would be issued, nothing changes ([`Refused::NotIssued`]). The token is to
    /// be signed from the snapshot in the answer: a revocation that it does not contain has a greater
    /// position (I9, I14).
    fn redeem(&self, act: Act, redeem: Redeem, plan: IssuePlan) -> Answer<'_, Redeemed>;

    /// The family of a session, if its tokens are renewed without the backend.
    fn family(&self, sid: &str) -> Answer<'_, Option<RefreshFamily>>;

    /// When the grace ends that ends first.
    fn first_grace_end(&self) -> Answer<'_, Option<UnixMillis>>;

    /// Forgets at most `limit` spent generations whose grace has ended, their successors' seals with
    /// them. Never needed for correctness: what has ended is not answered from.
    fn end_graces(&self, limit: usize) -> Answer<'_, Pruned>;

    /// All that a token is checked by: the head, what is in force against its targets, and its
    /// session where one is named.
    fn judging_snapshot(&self, targets: Vec<TargetHash>, sid: Option<String>) -> Answer<'_, JudgingSnapshot>;

    /// A session and whether it can be used.
    fn session(&self, sid: &str) -> Answer<'_, Option<SessionView>>;

    /// A subject's sessions, newest first, at most [`MAX_PAGE`].
    fn sessions_of(&self, subject: &str) -> Answer<'_, Vec<SessionView>>;

    /// A subject's devices by their last logins, newest first, as its newest [`MAX_PAGE`] sessions
    /// tell.
    fn devices_of(&self, subject: &str) -> Answer<'_, Vec<DeviceTimes>>;

    /// Ends a session by its entry `session always both`. A session that has ended already is left
    /// as it is and answered with the entry that ended it.
    fn end_session(&self, act: Act, sid: &str) -> Answer<'_, Appended>;

    /// Notes when sessions were last used. Unknown sessions are passed over, no time goes back.
    fn note_uses(&self, uses: Vec<(String, UnixMillis)>) -> Answer<'_, ()>;

    // Revocations.

    /// Appends revocations. `always` on a session of ours ends it, so that no lift revives it.
    ///
    /// A session to be kept is judged first: one revoked before is ended by its own entry instead,
    /// any other is dated at the last entry of this request.
    fn revoke(&self, act: Act, revoke: Revoke) -> Answer<'_, Appended>;

    /// What [`revoke`](Self::revoke) would answer: the same transaction, undone. Nothing of it is
    /// ever visible to anyone.
    fn rehearse(&self, act: Act, revoke: Revoke) -> Answer<'_, Appended>;

    /// Undoes entries; each of their targets is computed anew over what is not lifted, for access and
    /// for sessions apart. All or none: killed keys, ended sessions and entries that state emitted
    /// are refused by name. The answer has one position, that of the record.
    fn lift(&self, act: Act, entries: Vec<Position>) -> Answer<'_, Appended>;

    /// The revocation at a position, lifted or not, as long as it is kept.
    fn revocation(&self, at: Position) -> Answer<'_, Option<StoredRevocation>>;

    /// Revocations in the order of their positions.
    fn revocations(&self, filter: RevocationFilter) -> Answer<'_, Vec<StoredRevocation>>;

    /// Entries in force without until, which count against [`Limits::most_without_until`].
    fn count_without_until(&self) -> Answer<'_, u64>;

    // Revocations for later.

    /// Keeps revocations to be appended later. Nothing is appended now; each step is appended by
    /// [`run_step`](Self::run_step), once.
    fn schedule(&self, act: Act, new: NewSchedule) -> Answer<'_, Schedule>;

    /// What [`schedule`](Self::schedule) would keep: the same transaction, undone.
    fn rehearse_schedule(&self, act: Act, new: NewSchedule) -> Answer<'_, Schedule>;

    /// The step that is due first, whether its time has come or not.
    fn next_due(&self) -> Answer<'_, Option<DueStep>>;

    /// Appends the first waiting step of a schedule, if its time has come, and writes down in the same
    /// transaction that it was: so it happens exactly once, whatever ends the process when. `None` when
    /// nothing was due. After a refusal nothing of the step was done.
    fn run_step(&self, schedule: &str) -> Answer<'_, Option<Schedule>>;

    /// Writes down that the first waiting step of a schedule was refused when its time had come; it is
    /// not tried again.
    fn refuse_step(&self, schedule: &str, code: &str, detail: String) -> Answer<'_, ()>;

    /// Cancels all steps of a schedule that wait. What was done stays.
    fn cancel_schedule(&self, act: Act, schedule: &str) -> Answer<'_, Schedule>;

    /// A schedule, as long as it is kept.
    fn schedule_named(&self, schedule: &str) -> Answer<'_, Option<Schedule>>;

    /// Schedules, at most [`MAX_PAGE`]: those that have something left to do by their time, then the
    /// others, newest first.
    fn schedules(&self) -> Answer<'_, Vec<Schedule>>;

    // Subjects.

    /// What is held about a subject, given as a target of kind `subject`.
    fn subject(&self, subject: Target) -> Answer<'_, SubjectState>;

    /// Sets a subject's claims and those of its sessions: `subject now access`. Sessions live on and
    /// their next token carries these claims; each is judged first, and one revoked before is ended
    /// by its own entry instead.
    fn set_claims(&self, act: Act, subject: &str, claims: Claims) -> Answer<'_, Appended>;

    /// Blocks a subject: `subject now` and no new session; a foreign one by `always`. One that is
    /// blocked already is left as it is and answered with the entry that blocked it.
    fn block(&self, act: Act, subject: Target) -> Answer<'_, Appended>;

    /// Ends a block. It revives nothing: a foreign subject's `always` is lifted and a `now` appended
    /// in one transaction; for our own nothing is appended.
    fn unblock(&self, act: Act, subject: Target) -> Answer<'_, Appended>;

    /// Changes a subject's state: `subject now` with the reach of the change, and from its position
    /// on every token of the subject's sessions carries the new state. No lift undoes the entry.
    ///
    /// A session that ends does so by its own entry before it; where that session has ended already,
    /// the call is a repetition: nothing changes and the answer is the entry that ended it. A session
    /// that stays is judged first, as in [`revoke`](Self::revoke). Either must be the subject's.
    fn change_subject(
        &self,
        act: Act,
        subject: &str,
        change: SubjectChange,
        chosen: Option<Chosen>,
    ) -> Answer<'_, Appended>;

    // Keys, issuers, settings.

    /// All signing keys, killed ones too, oldest first.
    fn keys(&self) -> Answer<'_, Vec<KeyRecord>>;

    /// Changes the signing keys in order and publishes our issuer with the keys that result, which the
    /// answer names, that of a repetition as they were then.
    fn change_keys(&self, act: Act, changes: Vec<KeyChange>) -> Answer<'_, Appended>;

    /// Kills a key, for good: `key always`, its private half erased, our issuer published without
    /// it. The first position is that of the key's entry.
    fn kill_key(&self, act: Act, kill: KillKey) -> Answer<'_, Appended>;

    /// The foreign issuers, by name, removed ones left out.
    fn issuers(&self) -> Answer<'_, Vec<IssuerConfig>>;

    /// Adds or replaces a foreign issuer and publishes it.
    fn put_issuer(&self, act: Act, issuer: IssuerConfig) -> Answer<'_, Appended>;

    /// Stops accepting a foreign issuer. Entries against it are kept.
    fn remove_issuer(&self, act: Act, issuer: &str) -> Answer<'_, Appended>;

    /// Publishes settings, whose revision must be the next. Issuer and hash key never change, and the
    /// claim of groups stays while there are any.
    fn publish_settings(&self, act: Act, settings: Settings) -> Answer<'_, Appended>;

    /// Sets into how many groups subjects fall, or ends groups, and publishes settings with their claim
    /// where it is missing. Entries stay here only from when every token that lives names its group.
    fn set_groups(&self, act: Act, count: Option<NonZeroU32>) -> Answer<'_, Appended>;

    /// Sets the secret that keys of subjects are derived from, of the next generation. What the last
    /// one signed is revoked by its name: `key always`.
    fn set_subject_secret(&self, act: Act, secret: SealedSecret) -> Answer<'_, Appended>;

    /// Sets the string that a subject's key is derived from: `subject now access`. Its sessions live
    /// on, and their next token is signed with the new key.
    fn set_subject_key(&self, act: Act, subject: &str, key: String) -> Answer<'_, Appended>;

    // Accounts and clients.

    /// Adds an account, once for each idempotency key. Neither its name nor its subject may be a client's
    /// id, and its subject no retired one.
    fn add_account(&self, act: Act, account: Account) -> Answer<'_, ()>;

    /// An account by name.
    fn account(&self, username: &str) -> Answer<'_, Option<Account>>;

    /// Accounts by name, after one, at most [`MAX_PAGE`].
    fn accounts(&self, after: &str) -> Answer<'_, Vec<Account>>;

    /// Opens a session for the subject that the account has at this moment, if the hash that was
    /// proven is still the account's ([`Refused::NotProven`]); else as
    /// [`open_session`](Self::open_session).
    fn log_in(&self, act: Act, login: AccountLogin) -> Answer<'_, Opened>;

    /// Replaces the holder's fingerprint, and the password hash of its account where one is given,
    /// and revokes all that its subject holds: `subject now`. A session to be kept must be the
    /// subject's own; it is judged first, as by [`revoke`](Self::revoke), and carries the new
    /// fingerprint.
    fn change_credential(&self, act: Act, change: CredentialChange) -> Answer<'_, Appended>;

    /// Gives a subject another id and revokes all that it held under the old one: `subject now`. Its
    /// state and its account go by the new id; the old one is retired, so that nothing is opened for
    /// it and no account or client gets it ([`Refused::SubjectRetired`]). A subject that is blocked,
    /// or against which an `always` stands, keeps its id.
    fn change_lookup_id(&self, act: Act, change: LookupIdChange) -> Answer<'_, LookupIdChanged>;

    /// What an earlier attempt with the act's idempotency key appended, if there was one.
    fn answered(&self, act: Act) -> Answer<'_, Option<Appended>>;

    /// The schedule that an earlier attempt with the act's idempotency key made, if there was one, as
    /// it stands now.
    fn answered_schedule(&self, act: Act) -> Answer<'_, Option<Schedule>>;

    /// Removes an account and revokes all that its subject holds: `subject now`. What was set for the
    /// subject goes with it, but for what forbids it something.
    fn remove_account(&self, act: Act, username: &str) -> Answer<'_, Appended>;

    /// Adds a client. Its id may be no account's name or subject, no retired id, and no subject's that
    /// has a session here, or for which anything is kept that does not forbid it something.
    fn add_client(&self, act: Act, client: ClientRecord) -> Answer<'_, ()>;

    /// Replaces what is kept of a client beside its id, secret and scopes, once for each idempotency key.
    /// What it got before stays. One with a secret keeps to it, and one without gets none
    /// ([`Refused::ClientMethod`]).
    fn change_client(&self, act: Act, client_id: &str, metadata: ClientMetadata) -> Answer<'_, ()>;

    /// A client by id.
    fn client(&self, client_id: &str) -> Answer<'_, Option<ClientRecord>>;

    /// All clients, by id.
    fn clients(&self) -> Answer<'_, Vec<ClientRecord>>;

    /// Removes a client and revokes the tokens it holds as itself: `subject_client now access`.
    /// Sessions that it opened for users live on.
    fn remove_client(&self, act: Act, client_id: &str) -> Answer<'_, Appended>;

    /// Takes an id that may be used once: [`FirstUse::Fresh`] for the first that asks, for whoever asks
    /// again [`FirstUse::Used`], of two at once for one of them. Durable like every other verb, and
    /// remembered at least until the time given is over.
    fn use_once(&self, once: UseOnce) -> Answer<'_, FirstUse>;

    // Audit and clean-up.

    /// Writes an act down that changed nothing else, such as a failed login.
    fn note(&self, act: Act, target: Option<String>) -> Answer<'_, ()>;

    /// Audit events in the order of their ids: those that follow an event, or the newest.
    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditEvent>>;

    /// Whose tokens could have been accepted in a span of time, as far as the store knows.
    fn exposure(&self, filter: ExposureFilter) -> Answer<'_, Exposure>;

    /// Removes at most about `limit` rows that no answer depends on any more: lapsed entries, old
    /// lines, spent idempotency keys, sessions long over. Never needed for correctness.
    fn prune(&self, limit: usize) -> Answer<'_, Pruned>;
}
