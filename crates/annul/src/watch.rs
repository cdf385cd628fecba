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
use annul_core::view::CheckedToken;
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
    /// The view is older than the route allows (on one that asks about every request: than the verifier's
    /// `max_staleness`), or the authority would have to be asked and the watch cannot, or got no answer:
    /// nothing is known against the token, and nothing for it.
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
    /// By how much it asks before it has to, so that not all ask at once when the view goes stale for all.
    earlier: Duration,
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
    /// The authority has to be asked.
    Asks,
    Unvouched,
    Over(WatchEvent),
}

impl Watch {
    pub(crate) fn new(route: Route, token: VerifiedToken) -> Self {
        let (changed, reconsidered) = (route.verifier().changes(), route.verifier().reconsidered());
        let earlier = draw_below(route.verifier().max_staleness() / 4);
        Self { route, token, text: None, vouched: None, changed, reconsidered, told_unvouched: false, earlier }
    }

    /// Has the authority asked about `token`, the text of the one that was let in, when an entry, its age
    /// or that of the view makes the route ask. Without it the token counts as unvouched from then on. A
    /// re-stamped token that comes with the answer is watched in its place.
    pub fn asking(mut self, token: &str) -> Self {
        self.text = Some(token.to_owned());
        self
    }

    /// The next thing that becomes of the token. [`WatchEvent::Unvouched`] is told when it begins,
    /// and again only after the view was fresh in between; the others are final.
    pub async fn event(&mut self) -> WatchEvent {
        loop {
            let (standing, wait) = self.look().await;
            match standing {
                Standing::Over(event) => return event,
                Standing::Unvouched if !self.told_unvouched => {
                    self.told_unvouched = true;
                    return WatchEvent::Unvouched;
                }
                Standing::Unvouched | Standing::Asks => {}
                Standing::Good => self.told_unvouched = false,
            }
            self.sleep(wait).await;
        }
    }

    /// When to close the connection, and why. On a route that is not closed when stale,
    /// [`WatchEvent::Unvouched`] never comes.
    pub async fn close(mut self) -> WatchEvent {
        let mut closes_at = None;
        loop {
            let (standing, mut wait) = self.look().await;
            match (standing, self.spread()) {
                (Standing::Over(event), _) => return event,
                (Standing::Unvouched, Some(spread)) => {
                    let at = *closes_at.get_or_insert_with(|| Instant::now() + draw_below(spread));
                    if Instant::now() >= at {
                        return WatchEvent::Unvouched;
                    }
                    wait = wait.min(at.saturating_duration_since(Instant::now()));
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

    /// The standing as it is now, and for how long nothing can change by itself.
    async fn look(&mut self) -> (Standing, Duration) {
        self.changed.borrow_and_update();
        self.reconsidered.borrow_and_update();
        let moment = clock::now();
        let standing = self.settled(moment).await;
        // Reckoned from the moment that was judged, so that no deadline falls between the two.
        let passed = clock::now().mono.since(moment.mono);
        (standing, self.next_deadline(moment).saturating_sub(passed).max(A_LITTLE))
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
        let checked = verifier.view().check(self.token.clone());
        let is_vouched_for = self.view_vouches(&checked, moment.mono) || self.authority_vouches(moment.mono);
        let standing = match self.route.policy().decide(checked, moment) {
            Decision::Allow(_) => Standing::Good,
            Decision::Ask(_) if is_vouched_for => Standing::Good,
            Decision::Ask(_) => Standing::Asks,
            Decision::Deny(denial) => over(&denial),
        };
        if matches!(standing, Standing::Good) && verifier.application_refuses(&self.token) {
            return Standing::Over(WatchEvent::Refused(DenyReason::RefusedByApplication));
        }
        standing
    }

    /// Whether the view stands in for the authority, which a route that asks about every request asked
    /// before it let the token in: nothing came since, and the view would have shown it.
    fn view_vouches(&self, checked: &CheckedToken, now: Monotonic) -> bool {
        let asks_always = matches!(self.route.policy().consults(), Consults::Ask | Consults::Introspect);
        let is_active = matches!(checked.verdict(), Verdict::Active { .. });
        asks_always && is_active && checked.age(now).is_some_and(|age| self.allows(age))
    }

    /// Whether the authority's last word still stands: nothing came since, and it is no older than a
    /// view may be.
    fn authority_vouches(&self, now: Monotonic) -> bool {
        let Some(Vouching { seen, asked }) = self.vouched else { return false };
        self.allows(now.since(asked)) && seen.is_some() && seen == self.route.verifier().view().position()
    }

    fn allows(&self, age: Duration) -> bool {
        self.max_staleness().is_none_or(|allowed| age <= allowed)
    }

    /// How old may be what an open connection goes on by. A route that asks about every request states no
    /// age: there it is the verifier's own, which the authority was told of, and up to a quarter less. `None`
    /// where only the signature counts.
    fn max_staleness(&self) -> Option<Duration> {
        match self.route.policy().consults() {
            Consults::Check { max_staleness } => Some(max_staleness),
            Consults::Ask | Consults::Introspect => {
                Some(self.route.verifier().max_staleness().saturating_sub(self.earlier))
            }
            Consults::Verify => None,
        }
    }

    fn expires(&self) -> UnixSeconds {
        self.token.expires().plus(self.route.verifier().leeway())
    }

    /// For how long after `moment` nothing can change by itself. Never zero: a deadline that has just passed
    /// shows in the standing.
    fn next_deadline(&self, moment: Moment) -> Duration {
        let until = |at: UnixSeconds| Duration::from_secs(at.0.saturating_sub(moment.wall.0));
        let policy = self.route.policy();
        let turn = policy.next_turn(&self.token, moment.wall).map_or(LOOK_AGAIN, until);
        let goes_stale = match (policy.consults(), policy.stale_rule()) {
            (Consults::Check { max_staleness }, OnStale::Open { max_age }) => Some(max_staleness.max(max_age)),
            _ => self.max_staleness(),
        };
        let view = still_good(goes_stale, self.route.verifier().view().age(moment.mono));
        let word = still_good(self.max_staleness(), self.vouched.map(|vouching| moment.mono.since(vouching.asked)));
        until(self.expires()).min(turn).min(view).min(word).clamp(A_LITTLE, LOOK_AGAIN)
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

/// Until something of this age is older than `allowed`.
fn still_good(allowed: Option<Duration>, age: Option<Duration>) -> Duration {
    match (allowed, age) {
        // A little past it: at exactly its greatest age it is still good.
        (Some(allowed), Some(age)) if age <= allowed => allowed - age + A_LITTLE,
        _ => LOOK_AGAIN,
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
