//! A route: a policy that the verifier knows of.
//!
//! The authority tells whoever revokes from when it holds everywhere. That is true only if it hears
//! the longest age at which any route of any verifier still accepts. So there is no way to decide by
//! a policy without registering it first: [`Verifier::route`](crate::Verifier::route) does, and only
//! a route decides.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use annul_core::feed::report::RouteCounts;
use annul_core::policy::{Answer, Authorized, Consults, Decision, DenyReason, OnStale, Policy, Unsettled};
use annul_core::time::Moment;
use annul_core::{TokenError, UnverifiedToken, VerifiedToken};

use crate::ask::Asking;
use crate::verifier::Verifier;
use crate::watch::Watch;
use crate::{clock, metrics};

/// A registered policy of one verifier. Make one per kind of route when the process starts and
/// clone it; a clone is not counted again.
#[derive(Clone, Debug)]
pub struct Route {
    verifier: Verifier,
    policy: Policy,
}

/// What a route makes of a token: mostly a decision at once.
#[must_use]
pub enum Outcome {
    /// Decided here, by what is in memory.
    Decided(Decision),
    /// The authority is being asked.
    Ask(AskFuture),
}

impl Route {
    pub(crate) const fn new(verifier: Verifier, policy: Policy) -> Self {
        Self { verifier, policy }
    }

    /// The policy that was registered.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The verifier it is registered with.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Verifies, checks and decides. No I/O and no await, unless the policy has the authority asked.
    /// The view is read in this call; a token seen before is refused the instant its revocation is
    /// applied.
    pub fn check(&self, token: &str) -> Outcome {
        let decision = self.decide_here(token, clock::now());
        count(&decision);
        match decision {
            Decision::Ask(unsettled) => Outcome::Ask(AskFuture {
                asking: self.verifier.asks().ask(token),
                unsettled: Some(unsettled),
                route: self.clone(),
            }),
            decided => Outcome::Decided(decided),
        }
    }

    /// [`check`](Self::check), and the authority's answer awaited where it has to be asked. Never
    /// [`Decision::Ask`].
    pub async fn decide(&self, token: &str) -> Decision {
        match self.check(token) {
            Outcome::Decided(decision) => decision,
            Outcome::Ask(answer) => answer.await,
        }
    }

    /// Watches what becomes of a token that was let in, for as long as a connection lives on it.
    pub fn watch(&self, authorized: &Authorized) -> Watch {
        Watch::new(self.clone(), authorized.token().clone())
    }

    fn decide_here(&self, token: &str, moment: Moment) -> Decision {
        let view = self.verifier.view();
        match self.verifier.verify(token, moment.wall) {
            Ok(verified) => {
                let checked = view.check(verified, moment);
                if let Some(position) = checked.ahead() {
                    self.verifier.token_ahead(position, moment.mono);
                }
                self.verifier.last_word(self.policy.decide(checked, moment))
            }
            Err(error) => Decision::Deny(self.policy.refuse(error.clone(), view, &issuer_of(token, &error), moment)),
        }
    }
}

/// The issuer a token names, where it matters: an unknown key may be one that is still to come.
fn issuer_of(token: &str, error: &TokenError) -> String {
    if !matches!(error, TokenError::KeyUnknown) {
        return String::new();
    }
    UnverifiedToken::parse(token).ok().and_then(|token| token.claims().iss().map(str::to_owned)).unwrap_or_default()
}

/// The authority's answer on its way, and the decision it makes.
#[must_use = "nothing is decided until it is awaited"]
pub struct AskFuture {
    asking: Asking,
    unsettled: Option<Unsettled>,
    route: Route,
}

impl AskFuture {
    /// The authority's answer, unless this view has learnt of a revocation since it was asked: what
    /// is known here to be revoked is refused, whoever says otherwise.
    fn and_the_view(&self, answer: Answer, token: &VerifiedToken) -> Answer {
        if answer != Answer::Active {
            return answer;
        }
        let Route { verifier, policy } = &self.route;
        if verifier.no_longer_accepts(token.issuer()).is_some() {
            return Answer::Refused;
        }
        let moment = clock::now();
        match policy.decide(verifier.view().check(token.clone(), moment), moment) {
            Decision::Deny(denial) => match denial.reason() {
                DenyReason::Revoked(refusal) => Answer::Revoked(*refusal),
                _ => answer,
            },
            Decision::Allow(_) | Decision::Ask(_) => answer,
        }
    }
}

impl Future for AskFuture {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Decision> {
        let answer = ready!(Pin::new(&mut self.asking).poll(context));
        let unsettled = self.unsettled.take().expect("a future is not polled after it was ready");
        let answer = self.and_the_view(answer, unsettled.token());
        let decision = self.route.verifier.last_word(unsettled.settle(answer));
        count(&decision);
        Poll::Ready(decision)
    }
}

fn count(decision: &Decision) {
    match decision {
        Decision::Allow(_) => metrics::decided("allow", "ok"),
        Decision::Deny(denial) => {
            tracing::debug!(code = denial.code(), status = denial.status(), reason = %denial, "a token was refused");
            metrics::decided("deny", denial.code());
        }
        Decision::Ask(_) => metrics::decided("ask", "asked"),
    }
}

/// What all routes of a verifier amount to, as it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routes {
    pub(crate) counts: RouteCounts,
    pub(crate) longest_age: Duration,
}

impl Routes {
    /// None yet. Whatever registers later accepts at least up to the verifier's own staleness, so
    /// that much is reported from the start.
    pub(crate) fn none(max_staleness: Duration) -> Self {
        Self { counts: RouteCounts::default(), longest_age: max_staleness }
    }

    /// These and one with `policy`. The age never shrinks: what was let in under it may still run.
    pub(crate) fn and(self, policy: &Policy) -> Self {
        let counts = self.counts.plus(match (policy.consults(), policy.stale_rule()) {
            (Consults::Verify, _) => RouteCounts { verify: 1, ..RouteCounts::default() },
            (Consults::Ask, _) => RouteCounts { ask: 1, ..RouteCounts::default() },
            (Consults::Check { .. }, OnStale::Open { .. }) => RouteCounts { open: 1, ..RouteCounts::default() },
            (Consults::Check { .. }, OnStale::Closed | OnStale::Ask) => {
                RouteCounts { check: 1, ..RouteCounts::default() }
            }
        });
        let age = policy.longest_age().unwrap_or_default();
        Self { counts, longest_age: self.longest_age.max(age) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reported_age_includes_windows_and_open_ages_and_never_shrinks() {
        let seconds = Duration::from_secs;
        let mut routes = Routes::none(seconds(60));
        assert_eq!(routes.longest_age, seconds(60));
        routes = routes.and(&Policy::check(seconds(30)).check_after(seconds(90)));
        assert_eq!(routes.longest_age, seconds(90));
        routes = routes.and(&Policy::check(seconds(30)).on_stale(OnStale::Open { max_age: seconds(600) }));
        assert_eq!(routes.longest_age, seconds(600));
        routes = routes.and(&Policy::verify_only()).and(&Policy::ask());
        assert_eq!(routes.longest_age, seconds(600));
        assert_eq!(routes.counts, RouteCounts { verify: 1, open: 1, ask: 1, check: 1 });
    }
}
