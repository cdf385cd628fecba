//! The verifier: a view kept fed, and everything a route needs to decide by it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use annul_core::feed::follower::Fault;
use annul_core::feed::log::ReplicaId;
use annul_core::feed::report::{CanaryVerdict, ReplicaState, RouteCounts};
use annul_core::policy::{Decision, DenyReason, Policy};
use annul_core::position::Position;
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use annul_core::token::{FactsCache, Introspectable};
use annul_core::trust::Trust;
use annul_core::verdict::Verdict;
use annul_core::view::{CheckedToken, Look, View};
use annul_core::{TokenError, VerifiedToken};
use arc_swap::ArcSwapOption;
use serde::Serialize;
use tokio::sync::watch;

use crate::ask::Asks;
use crate::builder::VerifierBuilder;
use crate::client::AuthorityClient;
use crate::relay::{Relay, RelayMachine};
use crate::route::{Route, Routes};
use crate::sender::Senders;
use crate::{clock, metrics};

/// Tokens ahead of the view wake the follower at most this often.
const NUDGE_EVERY: Duration = Duration::from_secs(1);

/// The application's last word: whether to refuse a token that would be let in.
pub(crate) type RefuseWhen = dyn Fn(&VerifiedToken) -> bool + Send + Sync;

/// Verifies tokens in memory and refuses a revoked one within a stated bound.
///
/// Cheap to clone; all clones share one view and one background task, which ends when the last of
/// them, and the last [`Route`], is dropped.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asks: Arc<Asks>,
    pub(crate) client: AuthorityClient,
    pub(crate) senders: Senders,
    pub(crate) refuse_when: Option<Box<RefuseWhen>>,
    pub(crate) routes: watch::Sender<Routes>,
    pub(crate) ahead: watch::Sender<Option<Position>>,
    pub(crate) changed: watch::Receiver<()>,
    pub(crate) reconsider: watch::Sender<()>,
    pub(crate) nudged_at_ms: AtomicU64,
    pub(crate) relay: Option<RelayMachine>,
}

/// What the background task needs too.
pub(crate) struct Shared {
    pub(crate) id: ReplicaId,
    pub(crate) view: View,
    pub(crate) trust: Trust,
    pub(crate) facts: FactsCache,
    pub(crate) max_staleness: Duration,
    pub(crate) fault: ArcSwapOption<Fault>,
}

impl Verifier {
    /// Begins to configure a verifier for tokens of `issuer`, the authority's own, that are meant
    /// for `audience`, this service.
    pub fn builder(issuer: impl Into<String>, audience: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(issuer.into(), audience.into())
    }

    pub(crate) const fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// Registers a policy and gives the route that decides by it. From the next report on, the
    /// authority counts with it. Make one per kind of route when the process starts, and clone it.
    #[must_use]
    pub fn route(&self, policy: Policy) -> Route {
        let verifiers_own = self.inner.shared.max_staleness;
        if policy.max_staleness().is_some_and(|staleness| staleness < verifiers_own) {
            tracing::warn!(
                code = "route_staler_than_reports",
                "a route allows a view of less age than the verifier's max_staleness, at a third of which it reports; the route will be stale between reports. Lower the verifier's"
            );
        }
        self.inner.routes.send_modify(|routes| *routes = routes.and(&policy));
        Route::new(self.clone(), policy)
    }

    /// Waits until the view was first proven complete by a round trip. What gates readiness; it says
    /// nothing about later, see [`status`](Self::status).
    pub async fn ready(&self) {
        let mut changed = self.inner.changed.clone();
        loop {
            changed.borrow_and_update();
            if self.view().age(clock::now().mono).is_some() {
                return;
            }
            if changed.changed().await.is_err() {
                // The task is gone with its runtime, and nothing will ever be proven.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The figures of this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut status = self.inner.shared.status(clock::now());
        let routes = *self.inner.routes.borrow();
        status.routes = routes.counts;
        status.longest_age_ms = millis(routes.longest_age);
        status
    }

    /// The live view.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.inner.shared.view
    }

    /// The authority's API, with this verifier's credential.
    #[must_use]
    pub fn authority(&self) -> &AuthorityClient {
        &self.inner.client
    }

    /// Serves the feed to verifiers behind this one; `None` unless it was built to
    /// [relay](VerifierBuilder::relay).
    #[must_use]
    pub fn relay(&self) -> Option<Relay> {
        self.inner.relay.clone().map(|machine| Relay::new(self.clone(), machine))
    }

    /// Has every open [`Watch`](crate::Watch) ask the application's callback
    /// ([`refuse_when`](VerifierBuilder::refuse_when)) again, at once. To be called when what the
    /// callback decides by has changed; requests need it not, for they ask each time.
    pub fn reconsider(&self) {
        self.inner.reconsider.send_replace(());
    }

    /// Told whenever the view, or the proof of its age, has changed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.inner.changed.clone()
    }

    /// The facts of a token: its signature and claims, by the keys and settings of now.
    pub(crate) fn verify(&self, token: &str, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        self.inner.shared.verify(token, now)
    }

    /// The same, and what the view says of it.
    pub(crate) fn check(&self, token: &str, moment: Moment) -> Result<CheckedToken, TokenError> {
        self.inner.shared.check(token, moment)
    }

    /// What to ask about a token that only the authority can verify.
    pub(crate) fn introspectable(&self, token: &str, now: UnixSeconds) -> Result<Introspectable, TokenError> {
        self.inner.shared.trust.introspectable(self.view(), token, now)
    }

    pub(crate) fn senders(&self) -> &Senders {
        &self.inner.senders
    }

    pub(crate) fn asks(&self) -> &Arc<Asks> {
        &self.inner.asks
    }

    /// The age past which this verifier calls itself stale.
    pub(crate) fn max_staleness(&self) -> Duration {
        self.inner.shared.max_staleness
    }

    /// The largest leeway granted, as the log's settings cap it.
    pub(crate) fn leeway(&self) -> u64 {
        let allowed = self.view().settings().map_or(u64::MAX, |settings| settings.max_leeway);
        self.inner.shared.trust.leeway().min(allowed)
    }

    /// Why tokens of `issuer` would no longer be let in, whatever they say.
    pub(crate) fn no_longer_accepts(&self, issuer: &str) -> Option<DenyReason> {
        let removed = self.view().issuer(issuer).is_some_and(|issuer| issuer.record.removed);
        removed.then_some(DenyReason::TokenRefused(TokenError::IssuerMismatch))
    }

    /// Lets the application's own callback refuse what would be let in. Without one the decision stays where it
    /// is: to move it costs more than to ask.
    #[inline]
    pub(crate) fn last_word(&self, decision: Decision) -> Decision {
        match &self.inner.refuse_when {
            Some(refuse) => decision.unless_refused(|token| !refuse(token)),
            None => decision,
        }
    }

    /// Whether the application's own callback refuses a token that would be let in.
    pub(crate) fn application_refuses(&self, token: &VerifiedToken) -> bool {
        self.inner.refuse_when.as_ref().is_some_and(|refuse| refuse(token))
    }

    /// Told when the application's callback may answer otherwise than before.
    pub(crate) fn reconsidered(&self) -> watch::Receiver<()> {
        self.inner.reconsider.subscribe()
    }

    /// Wakes the follower for a token it has not caught up with.
    pub(crate) fn token_ahead(&self, position: Position, now: Monotonic) {
        let (now_ms, every) = (millis(now.0), millis(NUDGE_EVERY));
        let last = self.inner.nudged_at_ms.load(Ordering::Relaxed);
        let due = now_ms >= last.saturating_add(every);
        let ours =
            due && self.inner.nudged_at_ms.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if ours {
            self.inner.ahead.send_replace(Some(position));
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("id", &self.inner.shared.id).finish_non_exhaustive()
    }
}

impl Shared {
    fn verify(&self, token: &str, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        let look = self.view.look();
        let stands = |known: &VerifiedToken| known.stands_on(look.ground());
        match self.facts.find(token, look.ground_number(), now, stands) {
            Some(known) => {
                metrics::cache_hit();
                Ok(known)
            }
            None => self.verify_anew(token, &look, now),
        }
    }

    /// Facts, and what the view says: of a known token both by one look at it. While a signature is verified
    /// the view moves on, so of another token the verdict is by a second one.
    fn check(&self, token: &str, moment: Moment) -> Result<CheckedToken, TokenError> {
        let look = self.view.look();
        match look.check_known(&self.facts, token, moment.wall) {
            Some(checked) => {
                metrics::cache_hit();
                Ok(checked)
            }
            None => Ok(self.view.check(self.verify_anew(token, &look, moment.wall)?)),
        }
    }

    fn verify_anew(&self, token: &str, look: &Look, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        metrics::cache_miss();
        let verified = self.trust.verify(&self.view, token, now)?;
        self.facts.keep(&verified, look.ground_number(), now);
        Ok(verified)
    }

    /// What the ordinary path says of a canary: the same verification, the same view.
    pub(crate) fn judge_canary(&self, token: &str, moment: Moment) -> CanaryVerdict {
        match self.check(token, moment).as_ref().map(CheckedToken::verdict) {
            Err(_) => CanaryVerdict::Refused,
            Ok(Verdict::Active { .. }) => CanaryVerdict::Active,
            Ok(Verdict::Revoked(_)) => CanaryVerdict::Revoked,
            Ok(Verdict::Indeterminate(_)) => CanaryVerdict::Indeterminate,
        }
    }

    pub(crate) fn status(&self, moment: Moment) -> Status {
        let view = self.view.status(moment);
        let fault = self.fault.load_full();
        let fresh = view.age.is_some_and(|age| age <= self.max_staleness);
        let state = match view.position {
            _ if view.halted.is_some() => ReplicaState::Halted,
            None => ReplicaState::Cold,
            Some(_) if fresh => ReplicaState::Live,
            Some(_) => ReplicaState::Stale,
        };
        Status {
            name: self.id.name().to_owned(),
            instance: self.id.instance().to_owned(),
            state,
            position: view.position,
            head: view.head,
            age_ms: view.age.map(millis),
            max_staleness_ms: millis(self.max_staleness),
            longest_age_ms: millis(self.max_staleness),
            routes: RouteCounts::default(),
            entries: view.entries as u64,
            entries_without_until: view.entries_without_until as u64,
            groups: view.groups as u64,
            revision: view.revision,
            epoch: view.epoch,
            fault: fault.map(|fault| FaultStatus { code: fault.code(), detail: fault.to_string() }),
            cache_entries: self.facts.entries(),
            cache_bytes: self.facts.bytes(),
        }
    }
}

/// What a verifier knows and how well, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The name it reports under.
    pub name: String,
    /// Which one of that name.
    pub instance: String,
    /// `cold` knows nothing, `live` is within `max_staleness`, `stale` is not, `halted` needs somebody
    /// to look.
    pub state: ReplicaState,
    /// What it has applied.
    pub position: Option<Position>,
    /// The newest head it heard of by a round trip.
    pub head: Option<Position>,
    /// How old its view may be, in milliseconds, once that is proven.
    pub age_ms: Option<u64>,
    /// The age past which it calls itself stale.
    pub max_staleness_ms: u64,
    /// The greatest age at which any of its routes accepts, as reported.
    pub longest_age_ms: u64,
    /// Its routes, as reported.
    pub routes: RouteCounts,
    /// Targets with something in force.
    pub entries: u64,
    /// Those that only a lift removes.
    pub entries_without_until: u64,
    /// Groups in which the others expire.
    pub groups: u64,
    /// The revision of the log's settings.
    pub revision: Option<u32>,
    /// The log's epoch.
    pub epoch: Option<u32>,
    /// What keeps it from following, if anything does.
    pub fault: Option<FaultStatus>,
    /// Tokens whose facts are kept.
    pub cache_entries: u64,
    /// Roughly the bytes they take.
    pub cache_bytes: u64,
}

/// Why a verifier stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultStatus {
    /// A stable name.
    pub code: &'static str,
    /// What happened and what to do.
    pub detail: String,
}

impl Status {
    /// Whether routes with the verifier's own `max_staleness` are open.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.state == ReplicaState::Live
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
