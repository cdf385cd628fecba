//! The verbs of [`Store`] over any engine that can run a piece of work in a transaction.

use std::num::NonZeroU32;

use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::{Target, TargetHash};
use annul_core::time::UnixMillis;
use tokio::sync::watch;

use super::verbs::{self, Snapshot, Txn};
use super::{
    AccountLogin, Answer, Appended, AuditFilter, Committed, CredentialChange, DeviceTimes, DueStep, Exposure,
    ExposureFilter, FeedSnapshot, FirstUse, Genesis, IssuePlan, IssuingSnapshot, JudgingSnapshot, KillKey, Lines,
    LogState, LookupIdChange, LookupIdChanged, MAX_PAGE, NewSchedule, Opened, Pruned, Redeem, Redeemed,
    RevocationFilter, Revoke, SessionView, Store, StoreError, TargetPlan, UseOnce,
};
use crate::model::{
    Account, Act, AuditEvent, Chosen, Claims, ClientMetadata, ClientRecord, IssuerConfig, KeyChange, KeyRecord,
    NewSession, RefreshFamily, Schedule, SealedSecret, StoredRevocation, SubjectChange, SubjectState,
};

/// Runs work in transactions.
pub(crate) trait Engine: Send + Sync {
    /// Runs `work` over one committed state.
    fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R>;

    /// Runs `work` in a transaction of its own. When it fails nothing of it happened; when this
    /// answers otherwise, it is durable.
    fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R>;

    /// Runs `work` as [`write`](Self::write) would and undoes it.
    fn rehearse<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<R, StoreError> + Send + 'static,
    ) -> Answer<'_, R>;

    /// What each commit left, told before any of its callers is answered.
    fn committed(&self) -> watch::Receiver<Committed>;

    /// Whether the last commit was taken.
    fn takes_writes(&self) -> bool;
}

impl<E: Engine> Store for E {
    fn bootstrap(&self, genesis: Genesis) -> Answer<'_, LogState> {
        self.write(move |txn| verbs::bootstrap(txn, genesis))
    }

    fn log(&self) -> Answer<'_, LogState> {
        self.read(|snapshot| snapshot.tables.log())
    }

    fn committed(&self) -> watch::Receiver<Committed> {
        Engine::committed(self)
    }

    fn takes_writes(&self) -> bool {
        Engine::takes_writes(self)
    }

    fn lines_after(&self, after: Position, limit: usize) -> Answer<'_, Lines> {
        self.read(move |snapshot| verbs::lines_after(snapshot, after, limit))
    }

    fn feed_snapshot(&self) -> Answer<'_, FeedSnapshot> {
        self.read(verbs::feed_snapshot)
    }

    fn replicas(&self) -> Answer<'_, Vec<ReplicaStatus>> {
        self.read(|snapshot| snapshot.tables.log().and_then(|_| snapshot.tables.replicas()))
    }

    fn remember_replicas(&self, heard: Vec<ReplicaStatus>, gone: Vec<ReplicaId>) -> Answer<'_, ()> {
        self.write(move |txn| verbs::remember_replicas(txn, &heard, &gone))
    }

    fn open_session(&self, act: Act, new: NewSession) -> Answer<'_, Opened> {
        self.write(move |txn| verbs::open_session(txn, &act, new))
    }

    fn issuing_snapshot(&self, sid: &str, plan: TargetPlan) -> Answer<'_, Option<IssuingSnapshot>> {
        let sid = sid.to_owned();
        self.read(move |snapshot| verbs::issuing_snapshot(snapshot, &sid, plan))
    }

    fn redeem(&self, act: Act, redeem: Redeem, plan: IssuePlan) -> Answer<'_, Redeemed> {
        self.write(move |txn| verbs::redeem(txn, &act, redeem, plan))
    }

    fn family(&self, sid: &str) -> Answer<'_, Option<RefreshFamily>> {
        let sid = sid.to_owned();
        self.read(move |snapshot| snapshot.tables.family(&sid))
    }

    fn first_grace_end(&self) -> Answer<'_, Option<UnixMillis>> {
        self.read(|snapshot| snapshot.tables.first_grace_end())
    }

    fn end_graces(&self, limit: usize) -> Answer<'_, Pruned> {
        self.write(move |txn| verbs::end_graces(txn, limit))
    }

    fn judging_snapshot(&self, targets: Vec<TargetHash>, sid: Option<String>) -> Answer<'_, JudgingSnapshot> {
        self.read(move |snapshot| verbs::judging_snapshot(snapshot, targets, sid.as_deref()))
    }

    fn session(&self, sid: &str) -> Answer<'_, Option<SessionView>> {
        let sid = sid.to_owned();
        self.read(move |snapshot| verbs::session_view(snapshot, &sid))
    }

    fn sessions_of(&self, subject: &str) -> Answer<'_, Vec<SessionView>> {
        let subject = subject.to_owned();
        self.read(move |snapshot| verbs::sessions_of(snapshot, &subject))
    }

    fn devices_of(&self, subject: &str) -> Answer<'_, Vec<DeviceTimes>> {
        let subject = subject.to_owned();
        self.read(move |snapshot| verbs::devices_of(snapshot, &subject))
    }

    fn end_session(&self, act: Act, sid: &str) -> Answer<'_, Appended> {
        let sid = sid.to_owned();
        self.write(move |txn| verbs::end_session(txn, &act, &sid))
    }

    fn note_uses(&self, uses: Vec<(String, UnixMillis)>) -> Answer<'_, ()> {
        self.write(move |txn| verbs::note_uses(txn, &uses))
    }

    fn revoke(&self, act: Act, revoke: Revoke) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::revoke(txn, &act, &revoke))
    }

    fn rehearse(&self, act: Act, revoke: Revoke) -> Answer<'_, Appended> {
        Engine::rehearse(self, move |txn| verbs::rehearse(txn, &act, &revoke))
    }

    fn lift(&self, act: Act, entries: Vec<Position>) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::lift(txn, &act, &entries))
    }

    fn revocation(&self, at: Position) -> Answer<'_, Option<StoredRevocation>> {
        self.read(move |snapshot| snapshot.tables.revocation(at))
    }

    fn revocations(&self, filter: RevocationFilter) -> Answer<'_, Vec<StoredRevocation>> {
        let filter = RevocationFilter { limit: filter.limit.min(MAX_PAGE), ..filter };
        self.read(move |snapshot| snapshot.tables.revocations(&filter))
    }

    fn count_without_until(&self) -> Answer<'_, u64> {
        self.read(|snapshot| snapshot.tables.count_without_until())
    }

    fn schedule(&self, act: Act, new: NewSchedule) -> Answer<'_, Schedule> {
        self.write(move |txn| verbs::schedule(txn, &act, new))
    }

    fn rehearse_schedule(&self, act: Act, new: NewSchedule) -> Answer<'_, Schedule> {
        Engine::rehearse(self, move |txn| verbs::rehearse_schedule(txn, &act, new))
    }

    fn next_due(&self) -> Answer<'_, Option<DueStep>> {
        self.read(|snapshot| snapshot.tables.next_due())
    }

    fn run_step(&self, schedule: &str) -> Answer<'_, Option<Schedule>> {
        let id = schedule.to_owned();
        self.write(move |txn| verbs::run_step(txn, &id))
    }

    fn refuse_step(&self, schedule: &str, code: &str, detail: String) -> Answer<'_, ()> {
        let (id, code) = (schedule.to_owned(), code.to_owned());
        self.write(move |txn| verbs::refuse_step(txn, &id, code, detail))
    }

    fn cancel_schedule(&self, act: Act, schedule: &str) -> Answer<'_, Schedule> {
        let id = schedule.to_owned();
        self.write(move |txn| verbs::cancel_schedule(txn, &act, &id))
    }

    fn schedule_named(&self, schedule: &str) -> Answer<'_, Option<Schedule>> {
        let id = schedule.to_owned();
        self.read(move |snapshot| snapshot.tables.schedule(&id))
    }

    fn schedules(&self) -> Answer<'_, Vec<Schedule>> {
        self.read(|snapshot| snapshot.tables.schedules(MAX_PAGE))
    }

    fn subject(&self, subject: Target) -> Answer<'_, SubjectState> {
        self.read(move |snapshot| snapshot.tables.subject(&subject))
    }

    fn set_claims(&self, act: Act, subject: &str, claims: Claims) -> Answer<'_, Appended> {
        let subject = subject.to_owned();
        self.write(move |txn| verbs::set_claims(txn, &act, &subject, &claims))
    }

    fn block(&self, act: Act, subject: Target) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::block(txn, &act, &subject))
    }

    fn unblock(&self, act: Act, subject: Target) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::unblock(txn, &act, &subject))
    }

    fn change_subject(
        &self,
        act: Act,
        subject: &str,
        change: SubjectChange,
        chosen: Option<Chosen>,
    ) -> Answer<'_, Appended> {
        let subject = subject.to_owned();
        self.write(move |txn| verbs::change_subject(txn, &act, &subject, &change, chosen.as_ref()))
    }

    fn keys(&self) -> Answer<'_, Vec<KeyRecord>> {
        self.read(|snapshot| snapshot.tables.keys())
    }

    fn change_keys(&self, act: Act, changes: Vec<KeyChange>) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::change_keys(txn, &act, &changes))
    }

    fn kill_key(&self, act: Act, kill: KillKey) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::kill_key(txn, &act, &kill))
    }

    fn issuers(&self) -> Answer<'_, Vec<IssuerConfig>> {
        self.read(verbs::issuers)
    }

    fn put_issuer(&self, act: Act, issuer: IssuerConfig) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::put_issuer(txn, &act, issuer))
    }

    fn remove_issuer(&self, act: Act, issuer: &str) -> Answer<'_, Appended> {
        let issuer = issuer.to_owned();
        self.write(move |txn| verbs::remove_issuer(txn, &act, &issuer))
    }

    fn publish_settings(&self, act: Act, settings: Settings) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::publish_settings(txn, &act, settings))
    }

    fn set_groups(&self, act: Act, count: Option<NonZeroU32>) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::set_groups(txn, &act, count))
    }

    fn set_subject_secret(&self, act: Act, secret: SealedSecret) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::set_subject_secret(txn, &act, &secret))
    }

    fn set_subject_key(&self, act: Act, subject: &str, key: String) -> Answer<'_, Appended> {
        let subject = subject.to_owned();
        self.write(move |txn| verbs::set_subject_key(txn, &act, &subject, &key))
    }

    fn add_account(&self, act: Act, account: Account) -> Answer<'_, ()> {
        self.write(move |txn| verbs::add_account(txn, &act, &account))
    }

    fn account(&self, username: &str) -> Answer<'_, Option<Account>> {
        let username = username.to_owned();
        self.read(move |snapshot| snapshot.tables.account(&username))
    }

    fn accounts(&self, after: &str) -> Answer<'_, Vec<Account>> {
        let after = after.to_owned();
        self.read(move |snapshot| snapshot.tables.accounts(&after, MAX_PAGE))
    }

    fn log_in(&self, act: Act, login: AccountLogin) -> Answer<'_, Opened> {
        self.write(move |txn| verbs::log_in(txn, &act, login))
    }

    fn change_credential(&self, act: Act, change: CredentialChange) -> Answer<'_, Appended> {
        self.write(move |txn| verbs::change_credential(txn, &act, &change))
    }

    fn change_lookup_id(&self, act: Act, change: LookupIdChange) -> Answer<'_, LookupIdChanged> {
        self.write(move |txn| verbs::change_lookup_id(txn, &act, &change))
    }

    fn answered(&self, act: Act) -> Answer<'_, Option<Appended>> {
        self.read(move |snapshot| verbs::answered(snapshot, &act))
    }

    fn answered_schedule(&self, act: Act) -> Answer<'_, Option<Schedule>> {
        self.read(move |snapshot| verbs::answered_schedule(snapshot, &act))
    }

    fn remove_account(&self, act: Act, username: &str) -> Answer<'_, Appended> {
        let username = username.to_owned();
        self.write(move |txn| verbs::remove_account(txn, &act, &username))
    }

    fn add_client(&self, act: Act, client: ClientRecord) -> Answer<'_, ()> {
        self.write(move |txn| verbs::add_client(txn, &act, &client))
    }

    fn change_client(&self, act: Act, client_id: &str, metadata: ClientMetadata) -> Answer<'_, ()> {
        let client_id = client_id.to_owned();
        self.write(move |txn| verbs::change_client(txn, &act, &client_id, metadata))
    }

    fn client(&self, client_id: &str) -> Answer<'_, Option<ClientRecord>> {
        let client_id = client_id.to_owned();
        self.read(move |snapshot| snapshot.tables.client(&client_id))
    }

    fn clients(&self) -> Answer<'_, Vec<ClientRecord>> {
        self.read(|snapshot| snapshot.tables.clients())
    }

    fn remove_client(&self, act: Act, client_id: &str) -> Answer<'_, Appended> {
        let client_id = client_id.to_owned();
        self.write(move |txn| verbs::remove_client(txn, &act, &client_id))
    }

    fn use_once(&self, once: UseOnce) -> Answer<'_, FirstUse> {
        self.write(move |txn| verbs::use_once(txn, &once))
    }

    fn note(&self, act: Act, target: Option<String>) -> Answer<'_, ()> {
        self.write(move |txn| verbs::note(txn, &act, target))
    }

    fn audit(&self, filter: AuditFilter) -> Answer<'_, Vec<AuditEvent>> {
        let filter = AuditFilter { limit: filter.limit.min(MAX_PAGE), ..filter };
        self.read(move |snapshot| snapshot.tables.audit(&filter))
    }

    fn exposure(&self, filter: ExposureFilter) -> Answer<'_, Exposure> {
        let filter = ExposureFilter { limit: filter.limit.clamp(1, MAX_PAGE), ..filter };
        self.read(move |snapshot| verbs::exposure(snapshot, &filter))
    }

    fn prune(&self, limit: usize) -> Answer<'_, Pruned> {
        self.write(move |txn| verbs::prune(txn, limit))
    }
}
