//! Who follows the log, by their own reports, and what that says about a revocation.
//!
//! A connection counts for nothing here: a replica is counted by a report that names the position
//! it has applied, and it is discounted when its age has run out, for then it accepts nothing by an
//! old view any more. All reckoning is on the monotonic clock of whoever keeps the registry.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::feed::report::{CanaryReport, CanaryVerdict, ReplicaState, Report, RouteCounts};
use crate::position::Position;
use crate::time::{Monotonic, UnixMillis};

/// Names one replica: what it is, and which of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId {
    name: String,
    instance: String,
}

impl ReplicaId {
    /// Bytes either part may have.
    pub const MAX_PART: usize = 128;

    /// The id, if both parts are 1 to 128 letters, digits, dots, dashes or underscores.
    #[must_use]
    pub fn new(name: &str, instance: &str) -> Option<Self> {
        let plain = |part: &str| {
            (1..=Self::MAX_PART).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        (plain(name) && plain(instance)).then(|| Self { name: name.to_owned(), instance: instance.to_owned() })
    }

    /// What it is.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which of them.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }
}

/// Why a report was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportRefused {
    /// The registry holds as many replicas as it may; silent ones are forgotten with time.
    Full,
    /// A relay that cannot say how old its own view is: it has none, or has halted.
    Unproven,
}

impl fmt::Display for ReportRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("more replicas report than this log counts; forgotten ones make room"),
            Self::Unproven => {
                f.write_str("this relay has no proof of its own view's age; try again or ask the authority")
            }
        }
    }
}

impl std::error::Error for ReportRefused {}

/// A replica as the registry knows it: for people, and to be [recalled](super::FeedLog::recall).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// What it is.
    pub name: String,
    /// Which of them.
    pub instance: String,
    /// The relay it reports through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Its state, by its own last account.
    pub state: ReplicaState,
    /// The position it has applied.
    pub position: Option<Position>,
    /// How long ago it was heard from, in milliseconds.
    pub heard_ms_ago: u64,
    /// Within how many seconds it said it would report again.
    pub interval: u64,
    /// The leeway it grants, in seconds.
    pub leeway: u64,
    /// The greatest age at which any of its routes accepts, in seconds.
    pub longest_age: u64,
    /// The audiences it answers for.
    pub audiences: Vec<String>,
    /// What its routes consult.
    pub routes: RouteCounts,
    /// Its version of annul.
    pub version: String,
    /// Replicas behind it that it could not list.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u32,
}

/// When a revocation was acknowledged, on both clocks of the registry's keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// For reckoning.
    pub at: Monotonic,
    /// For people.
    pub wall: UnixMillis,
}

/// What is known about a revocation being in effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// By when no counted verifier accepts what it revokes: the acknowledgement and the longest age
    /// heard from. It holds whether or not anybody reports again.
    pub enforced_by: UnixMillis,
    /// Replicas that reported the position, or one after it, as applied.
    pub applied: usize,
    /// Replicas that may still answer from a view: their last report is younger than their age.
    pub connected: usize,
    /// Those of `connected` that have missed two of their own intervals.
    pub silent: usize,
    /// Whether every replica has applied it or can accept nothing by an older view any more.
    pub confirmed: bool,
    /// Each replica.
    pub verifiers: Vec<ConfirmedReplica>,
    /// Routes for which the view's age says nothing, or says less.
    pub routes: UncoveredRoutes,
    /// Who may accept tokens and is not counted.
    pub not_counted: [&'static str; 2],
}

/// One replica's part in a confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfirmedReplica {
    /// What it is.
    pub name: String,
    /// Which of them.
    pub instance: String,
    /// Its state, by its own last account.
    pub state: ReplicaState,
    /// The position it has applied.
    pub position: Option<Position>,
    /// How long ago it was heard from, in milliseconds.
    pub heard_ms_ago: u64,
    /// Whether it has applied the revocation, or its age has run out.
    pub done: bool,
}

/// How many routes of the counted verifiers a revocation reaches late or never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UncoveredRoutes {
    /// They look at the signature only.
    pub verify: u32,
    /// They go on answering past the view's age, up to one of their own.
    pub open: u32,
}

/// A canary's fate at one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CanaryHeard {
    /// What it is.
    pub name: String,
    /// Which of them.
    pub instance: String,
    /// What its ordinary path said.
    pub verdict: CanaryVerdict,
    /// The position it had applied when it reported.
    pub position: Option<Position>,
}

/// The replicas heard from.
pub(super) struct Replicas {
    heard: BTreeMap<ReplicaId, Replica>,
    most: usize,
    canaries: VecDeque<(String, CanaryHeard)>,
}

struct Replica {
    report: Report,
    heard: Monotonic,
    via: Option<ReplicaId>,
}

/// For how long a replica is named after its age ran out: long enough for somebody to wonder where
/// it went, short enough that rolling restarts do not fill the registry.
const NAMED_AFTERWARDS: Duration = Duration::from_secs(15 * 60);

/// No age holds a registration for longer than this.
const LONGEST_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Verdicts on canaries that are kept; a doctor asks for them within seconds.
const MAX_CANARIES_HEARD: usize = 20_000;

impl Replicas {
    pub(super) fn new(most: usize) -> Self {
        Self { heard: BTreeMap::new(), most, canaries: VecDeque::new() }
    }

    pub(super) fn report(&mut self, id: ReplicaId, mut report: Report, now: Monotonic) -> Result<(), ReportRefused> {
        if !self.heard.contains_key(&id) {
            self.forget(now);
            if self.heard.len() >= self.most {
                return Err(ReportRefused::Full);
            }
        }
        for child in std::mem::take(&mut report.behind) {
            let heard = now.minus(Duration::from_millis(child.heard_ms_ago));
            match ReplicaId::new(&child.name, &child.instance) {
                Some(child_id) if self.has_room_for(&child_id) => {
                    self.put(child_id, Replica { report: child.report, heard, via: Some(id.clone()) });
                }
                _ => report.unlisted = report.unlisted.saturating_add(1),
            }
        }
        self.put(id, Replica { report, heard: now, via: None });
        Ok(())
    }

    /// Counts a replica by what an earlier registry knew of it, unless it has reported since.
    pub(super) fn recall(&mut self, status: &ReplicaStatus, now: Monotonic) {
        let Some(id) = ReplicaId::new(&status.name, &status.instance) else { return };
        if self.heard.contains_key(&id) || !self.has_room_for(&id) {
            return;
        }
        let report = Report {
            position: None,
            chain: None,
            state: ReplicaState::Stale,
            leeway: status.leeway,
            longest_age: status.longest_age,
            audiences: status.audiences.clone(),
            routes: status.routes,
            interval: status.interval,
            version: status.version.clone(),
            nonce: String::new(),
            canaries: Vec::new(),
            behind: Vec::new(),
            unlisted: status.unlisted,
        };
        self.put(id, Replica { report, heard: now, via: None });
    }

    fn has_room_for(&self, id: &ReplicaId) -> bool {
        self.heard.len() < self.most || self.heard.contains_key(id)
    }

    /// Keeps what was heard last. Verdicts on canaries stay with the replica, so that a relay that
    /// passes on only its newest report loses none; they are noted once.
    fn put(&mut self, id: ReplicaId, mut replica: Replica) {
        let known = match self.heard.get(&id) {
            Some(known) if known.heard > replica.heard => return,
            Some(known) => known.report.canaries.clone(),
            None => Vec::new(),
        };
        let (mut canaries, position) = (known, replica.report.position);
        for canary in std::mem::take(&mut replica.report.canaries) {
            if !canaries.contains(&canary) {
                self.note(&id, &canary, position);
                canaries.push(canary);
            }
        }
        replica.report.canaries = canaries.split_off(canaries.len().saturating_sub(Report::MAX_CANARIES));
        self.heard.insert(id, replica);
    }

    fn note(&mut self, id: &ReplicaId, canary: &CanaryReport, position: Option<Position>) {
        if self.canaries.len() == MAX_CANARIES_HEARD {
            self.canaries.pop_front();
        }
        let ReplicaId { name, instance } = id.clone();
        let heard = CanaryHeard { name, instance, verdict: canary.verdict, position };
        self.canaries.push_back((canary.id.clone(), heard));
    }

    pub(super) fn forget(&mut self, now: Monotonic) {
        self.heard.retain(|_, replica| {
            now.since(replica.heard) <= replica.longest_age().min(LONGEST_KEPT) + NAMED_AFTERWARDS
        });
    }

    pub(super) fn statuses(&self, now: Monotonic) -> Vec<ReplicaStatus> {
        self.heard.iter().map(|(id, replica)| replica.status(id, now)).collect()
    }

    /// The last reports with their ids and ages, newest first, to pass up.
    pub(super) fn reports(&self, now: Monotonic) -> Vec<(&ReplicaId, Duration, &Report)> {
        let mut reports: Vec<_> =
            self.heard.iter().map(|(id, replica)| (id, now.since(replica.heard), &replica.report)).collect();
        reports.sort_by_key(|(_, age, _)| *age);
        reports
    }

    pub(super) fn canary_verdicts(&self, canary: &str) -> Vec<CanaryHeard> {
        self.canaries.iter().filter(|(id, _)| id == canary).map(|(_, heard)| heard.clone()).collect()
    }

    pub(super) fn confirmation(&self, at: Position, acknowledged: Acknowledged, now: Monotonic) -> Confirmation {
        let mut confirmation = Confirmation {
            enforced_by: acknowledged.wall,
            applied: 0,
            connected: 0,
            silent: 0,
            confirmed: true,
            verifiers: Vec::with_capacity(self.heard.len()),
            routes: UncoveredRoutes::default(),
            not_counted: ["bare JWKS holders", "introspection caches"],
        };
        let mut longest_age = Duration::ZERO;
        for (id, replica) in &self.heard {
            let applied = replica.report.position.is_some_and(|position| position >= at);
            let over = replica.has_run_out(acknowledged.at, now);
            let connected = now.since(replica.heard) <= replica.longest_age();
            let missed_two = now.since(replica.heard) > Duration::from_secs(replica.report.interval).saturating_mul(2);
            let done = over || (applied && replica.report.unlisted == 0);
            confirmation.applied += usize::from(applied);
            confirmation.connected += usize::from(connected);
            confirmation.silent += usize::from(connected && missed_two);
            confirmation.confirmed &= done;
            if acknowledged.at.since(replica.heard) <= replica.longest_age() {
                longest_age = longest_age.max(replica.longest_age());
                let RouteCounts { verify, open, .. } = replica.report.routes;
                confirmation.routes.verify = confirmation.routes.verify.saturating_add(verify);
                confirmation.routes.open = confirmation.routes.open.saturating_add(open);
            }
            confirmation.verifiers.push(replica.confirmed(id, done, now));
        }
        let longest_age = u64::try_from(longest_age.as_millis()).unwrap_or(u64::MAX);
        confirmation.enforced_by = UnixMillis(acknowledged.wall.0.saturating_add(longest_age));
        confirmation
    }
}

impl Replica {
    fn longest_age(&self) -> Duration {
        Duration::from_secs(self.report.longest_age)
    }

    /// Whether the replica can accept nothing any more by a view that lacks what was acknowledged.
    ///
    /// Its view is no younger than its last report, and any report after the acknowledgement was
    /// answered by a head that includes it: such a view dates from before the acknowledgement.
    fn has_run_out(&self, acknowledged: Monotonic, now: Monotonic) -> bool {
        let newest_view_without = self.heard.min(acknowledged);
        now.since(newest_view_without) > self.longest_age()
    }

    fn status(&self, id: &ReplicaId, now: Monotonic) -> ReplicaStatus {
        let report = &self.report;
        ReplicaStatus {
            name: id.name.clone(),
            instance: id.instance.clone(),
            via: self.via.as_ref().map(|relay| format!("{}/{}", relay.name, relay.instance)),
            state: report.state,
            position: report.position,
            heard_ms_ago: millis(now.since(self.heard)),
            interval: report.interval,
            leeway: report.leeway,
            longest_age: report.longest_age,
            audiences: report.audiences.clone(),
            routes: report.routes,
            version: report.version.clone(),
            unlisted: report.unlisted,
        }
    }

    fn confirmed(&self, id: &ReplicaId, done: bool, now: Monotonic) -> ConfirmedReplica {
        ConfirmedReplica {
            name: id.name.clone(),
            instance: id.instance.clone(),
            state: self.report.state,
            position: self.report.position,
            heard_ms_ago: millis(now.since(self.heard)),
            done,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
