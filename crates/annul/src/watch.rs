//! What becomes of a token after it was let in: for WebSockets, event streams and long jobs.
//!
//! A watch sleeps until the view changes or a deadline of its own comes; it does not poll. It tells
//! three things apart: the token was revoked, it expired, or this process can no longer vouch for it.
//! The last is no fault of the token, so a connection is closed for it only on a closed route, and
//! not with all others at once: spread over the route's `max_staleness`.
//!
//! The application's own callback is asked whenever the watch looks: when the view changes, at least
//! every minute, and at once after [`Verifier::reconsider`](crate::Verifier::reconsider).

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use annul_core::VerifiedToken;
use annul_core::algebra::Refusal;
use annul_core::policy::{Authorized, Consults, Decision, Denial, DenyReason, OnStale};
use annul_core::position::Position;
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use annul_core::verdict::Verdict;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use crate::client::draw_below;
use crate::clock;
use crate::route::Route;
use crate::sender::Presented;

/// A deadline on the wall clock is looked at again at least this often, in case the clock was set.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Past a deadline by this much, it is surely past.
const A_LITTLE: Duration = Duration::from_millis(1);

/// How often a token is looked at that is good only because it is young.
const WHILE_YOUNG: Duration = Duration::from_secs(1);

/// What became of a watched token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// An entry revokes it.
    Revoked(Refusal),
    /// Its time is over: its `exp` with the leeway, or the route's `max_auth_age`.
    Expired,
    /// It would no longer be let in for another reason, such as an issuer that is not accepted
    /// any more, or the application's own callback.
    Refused(DenyReason),
    /// The view is older than the route allows, or the authority would have to be asked and the watch
    /// cannot, or got no answer: nothing is known against the token, and nothing for it.
    Unvouched,
}

/// Watches one token on one route. Await it to learn when to close the connection, or call
/// [`event`](Self::event) to hear of everything as it happens.
#[must_use = "nothing is watched until it is awaited"]
pub struct Watch {
    route: Route,
    token: VerifiedToken,
    /// The token's text, where the authority may be asked about it.
    text: Option<String>,
    vouched: Option<Vouching>,
    changed: Receiver<()>,
    reconsidered: Receiver<()>,
    told_unvouched: bool,
}

/// The authority's last word for the token: it covers this state of the view, and grows old as a view does.
#[derive(Clone, Copy, Debug)]
struct Vouching {
    /// The view's position before the question.
    seen: Option<Position>,
    asked: Monotonic,
}

enum Standing {
    Good,
    /// There is something against it that the route passes over while the token is young.
    PassedOver,
    /// The authority has to be asked.
    Asks,
    Unvouched,
    Over(WatchEvent),
}

impl Watch {
    pub(crate) fn new(route: Route, token: VerifiedToken) -> Self {
        let (changed, reconsidered) = (route.verifier().changes(), route.verifier().reconsidered());
        Self { route, token, text: None, vouched: None, changed, reconsidered, told_unvouched: false }
    }

    /// Has the authority asked about `token`, the text of the one that was let in, when an entry or
    /// its age makes the route ask. Without it the token counts as unvouched from then on. A re-stamped
    /// token that comes with the answer is watched in its place.
    pub fn asking(mut self, token: &str) -> Self {
        self.text = Some(token.to_owned());
        self
    }

    /// The next thing that becomes of the token. [`WatchEvent::Unvouched`] is told when it begins,
    /// and again only after the view was fresh in between; the others are final.
    pub async fn event(&mut self) -> WatchEvent {
        loop {
            self.changed.borrow_and_update();
            self.reconsidered.borrow_and_update();
            let standing = self.settled(clock::now()).await;
            let mut wait = self.next_deadline(clock::now());
            match standing {
                Standing::Over(event) => return event,
                Standing::Unvouched if !self.told_unvouched => {
                    self.told_unvouched = true;
                    return WatchEvent::Unvouched;
                }
                Standing::Unvouched | Standing::Asks => {}
                Standing::Good => self.told_unvouched = false,
                Standing::PassedOver => {
                    self.told_unvouched = false;
                    wait = wait.min(WHILE_YOUNG);
                }
            }
            self.sleep(wait).await;
        }
    }

    /// When to close the connection, and why. On a route that is not closed when stale,
    /// [`WatchEvent::Unvouched`] never comes.
    pub async fn close(mut self) -> WatchEvent {
        let mut closes_at = None;
        loop {
            self.changed.borrow_and_update();
            self.reconsidered.borrow_and_update();
            let standing = self.settled(clock::now()).await;
            let mut wait = self.next_deadline(clock::now());
            match (standing, self.spread()) {
                (Standing::Over(event), _) => return event,
                (Standing::Unvouched, Some(spread)) => {
                    let at = *closes_at.get_or_insert_with(|| Instant::now() + draw_below(spread));
                    if Instant::now() >= at {
                        return WatchEvent::Unvouched;
                    }
                    wait = wait.min(at.saturating_duration_since(Instant::now()));
                }
                (Standing::PassedOver, _) => {
                    closes_at = None;
                    wait = wait.min(WHILE_YOUNG);
                }
                _ => closes_at = None,
            }
            self.sleep(wait).await;
        }
    }

    /// Over how long closing for want of freshness is spread; `None` on a route that does not close.
    fn spread(&self) -> Option<Duration> {
        match (self.route.policy().consults(), self.route.policy().stale_rule()) {
            (Consults::Check { max_staleness }, OnStale::Closed) => Some(max_staleness),
            _ => None,
        }
    }

    /// The standing, with the authority asked where it has to be.
    async fn settled(&mut self, moment: Moment) -> Standing {
        match (self.standing(moment), self.text.clone()) {
            (Standing::Asks, None) => Standing::Unvouched,
            (Standing::Asks, Some(text)) => {
                let vouching = Vouching { seen: self.route.verifier().view().position(), asked: moment.mono };
                match self.route.decide_presented(&Presented::elsewhere(&text)).await {
                    Decision::Allow(authorized) => self.vouched_for(&authorized, vouching),
                    Decision::Deny(denial) => over(&denial),
                    Decision::Ask(_) => Standing::Unvouched,
                }
            }
            (standing, _) => standing,
        }
    }

    fn vouched_for(&mut self, authorized: &Authorized, vouching: Vouching) -> Standing {
        let verifier = self.route.verifier();
        self.vouched = Some(vouching);
        if let Some(restamped) = authorized.restamped()
            && let Ok(token) = verifier.verify(restamped.expose(), clock::now().wall)
        {
            self.token = token;
            self.text = Some(restamped.expose().to_owned());
        }
        Standing::Good
    }

    fn standing(&self, moment: Moment) -> Standing {
        if moment.wall >= self.expires() {
            return Standing::Over(WatchEvent::Expired);
        }
        let verifier = self.route.verifier();
        if let Some(reason) = verifier.no_longer_accepts(self.token.issuer()) {
            return Standing::Over(WatchEvent::Refused(reason));
        }
        let checked = verifier.view().check(self.token.clone(), moment);
        let asked_about = checked.asked_about().is_some();
        let passed_over = asked_about || matches!(checked.verdict(), Verdict::Revoked(_));
        let policy = self.route.policy();
        // A route that always asks did so before it let the token in.
        let asks_always = matches!(policy.consults(), Consults::Ask | Consults::Introspect);
        let standing = match policy.decide(checked, moment) {
            Decision::Allow(_) if passed_over => Standing::PassedOver,
            Decision::Allow(_) => Standing::Good,
            Decision::Ask(_) if asks_always && !asked_about => Standing::Good,
            Decision::Ask(_) if self.is_vouched_for(moment.mono) => Standing::Good,
            Decision::Ask(_) => Standing::Asks,
            Decision::Deny(denial) => over(&denial),
        };
        if matches!(standing, Standing::Good | Standing::PassedOver) && verifier.application_refuses(&self.token) {
            return Standing::Over(WatchEvent::Refused(DenyReason::RefusedByApplication));
        }
        standing
    }

    /// Whether the authority's last word still stands: nothing came since, and it is no older than a
    /// view may be.
    fn is_vouched_for(&self, now: Monotonic) -> bool {
        let Some(Vouching { seen, asked }) = self.vouched else { return false };
        let is_young = self.route.policy().max_staleness().is_none_or(|allowed| now.since(asked) <= allowed);
        is_young && seen.is_some() && seen == self.route.verifier().view().position()
    }

    fn expires(&self) -> UnixSeconds {
        self.token.expires().plus(self.route.verifier().leeway())
    }

    /// How long nothing can change by itself. Never zero: a deadline that has just passed shows in
    /// the standing.
    fn next_deadline(&self, moment: Moment) -> Duration {
        let expiry = Duration::from_secs(self.expires().0.saturating_sub(moment.wall.0));
        let policy = self.route.policy();
        let allowed = match policy.stale_rule() {
            OnStale::Open { max_age } => policy.max_staleness().map(|staleness| staleness.max(max_age)),
            OnStale::Closed | OnStale::Ask => policy.max_staleness(),
        };
        let age = self.route.verifier().view().age(moment.mono);
        let staleness = match (allowed, age) {
            // A little past it: at exactly its greatest age a view is still good.
            (Some(allowed), Some(age)) if age <= allowed => allowed - age + A_LITTLE,
            _ => LOOK_AGAIN,
        };
        let word = match (policy.max_staleness(), self.vouched) {
            (Some(allowed), Some(Vouching { asked, .. })) if moment.mono.since(asked) <= allowed => {
                allowed - moment.mono.since(asked) + A_LITTLE
            }
            _ => LOOK_AGAIN,
        };
        expiry.min(staleness).min(word).clamp(A_LITTLE, LOOK_AGAIN)
    }

    async fn sleep(&mut self, wait: Duration) {
        let sleep = tokio::time::sleep(wait);
        tokio::select! {
            () = sleep => {}
            // The follower is gone with its runtime: deadlines remain.
            _ = self.reconsidered.changed() => {}
            changed = self.changed.changed() => if changed.is_err() { tokio::time::sleep(wait).await; },
        }
    }
}

/// What a denial says of a token that was let in before.
fn over(denial: &Denial) -> Standing {
    match denial.reason() {
        DenyReason::Revoked(Some(refusal)) => Standing::Over(WatchEvent::Revoked(*refusal)),
        DenyReason::AuthTooOld { .. } => Standing::Over(WatchEvent::Expired),
        DenyReason::Stale { .. } | DenyReason::Undecidable(_) | DenyReason::AskUnavailable => Standing::Unvouched,
        other => Standing::Over(WatchEvent::Refused(other.clone())),
    }
}

impl IntoFuture for Watch {
    type Output = WatchEvent;
    type IntoFuture = Pin<Box<dyn Future<Output = WatchEvent> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.close())
    }
}
