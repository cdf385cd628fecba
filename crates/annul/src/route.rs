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
use annul_core::policy::{
    Answer, Authorized, Consults, Decision, DenyReason, OnStale, Policy, SenderError, Unsettled, Vouched,
};
use annul_core::time::Moment;
use annul_core::token::Introspectable;
use annul_core::token::opaque::is_reference;
use annul_core::view::CheckedToken;
use annul_core::{TokenError, VerifiedToken};

use crate::ask::{Asking, Question};
use crate::sender::{Presentation, Presented, Shown};
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

    /// Verifies, checks and decides about a bearer token. No I/O and no await, unless the policy has the
    /// authority asked. The view is read in this call; a token seen before is refused the instant its
    /// revocation is applied.
    pub fn check(&self, token: &str) -> Outcome {
        self.check_presented(&Presented::bearer(token))
    }

    /// [`check`](Self::check) for a token that came with something to show whose it is.
    pub fn check_presented(&self, presented: &Presented<'_>) -> Outcome {
        let (token, moment) = (presented.token(), clock::now());
        let (decision, shown) = match self.verifier.check(token, moment) {
            Ok(checked) => self.decide_here(checked, presented, moment),
            Err(error) => match self.beyond_this_process(token, &error, moment) {
                Some(Ok(introspectable)) => {
                    metrics::asked_about();
                    let about = About::Introspectable(Box::new((introspectable, presented.until_answered())));
                    return Outcome::Ask(self.ask(token, about));
                }
                Some(Err(error)) => (self.refuse(token, error, moment), Shown::NOTHING),
                None => (self.refuse(token, error, moment), Shown::NOTHING),
            },
        };
        count(&decision);
        match decision {
            Decision::Ask(unsettled) => Outcome::Ask(self.ask(token, About::Verified(unsettled, shown))),
            decided => Outcome::Decided(decided),
        }
    }

    /// [`check`](Self::check), and the authority's answer awaited where it has to be asked. Never
    /// [`Decision::Ask`].
    pub async fn decide(&self, token: &str) -> Decision {
        self.decide_presented(&Presented::bearer(token)).await
    }

    /// [`decide`](Self::decide) for a token that came with something to show whose it is.
    pub async fn decide_presented(&self, presented: &Presented<'_>) -> Decision {
        match self.check_presented(presented) {
            Outcome::Decided(decision) => decision,
            Outcome::Ask(answer) => answer.await,
        }
    }

    /// Watches what becomes of a token that was let in, for as long as a connection lives on it.
    pub fn watch(&self, authorized: &Authorized) -> Watch {
        Watch::new(self.clone(), authorized.token().clone())
    }

    /// What this process makes of a token that it verified, and the proof to spend when it has to be asked
    /// about and is good.
    #[inline]
    fn decide_here(&self, checked: CheckedToken, presented: &Presented<'_>, moment: Moment) -> (Decision, Shown) {
        if let Some(position) = checked.ahead() {
            self.verifier.token_ahead(position, moment.mono);
        }
        let decision = self.policy.decide(checked, moment);
        match self.judge_sender(&decision, presented, moment) {
            Ok(shown) => (self.verifier.last_word(decision), shown),
            Err(error) => (self.not_the_sender(error), Shown::NOTHING),
        }
    }

    /// The proof yet to be spent, unless a decision in the token's favour is refused because the sender is not
    /// the one it is bound to. The proof for a token that is let in is spent here.
    #[inline]
    fn judge_sender(
        &self,
        decision: &Decision,
        presented: &Presented<'_>,
        moment: Moment,
    ) -> Result<Shown, SenderError> {
        let senders = self.verifier.senders();
        match decision {
            Decision::Deny(_) => Ok(Shown::NOTHING),
            Decision::Ask(unsettled) => senders.judge(presented, unsettled.token().claims(), moment.wall),
            Decision::Allow(authorized) => {
                let shown = senders.judge(presented, authorized.token().claims(), moment.wall)?;
                senders.spend(shown, moment.wall).map(|()| Shown::NOTHING)
            }
        }
    }

    fn not_the_sender(&self, error: SenderError) -> Decision {
        Decision::Deny(self.policy.denial(DenyReason::Sender(error)))
    }

    fn refuse(&self, token: &str, error: TokenError, moment: Moment) -> Decision {
        Decision::Deny(self.policy.refuse(error, self.verifier.view(), token, moment))
    }

    /// Whether a token that was not verified is one that only the authority can verify, on a route
    /// that asks about those.
    fn beyond_this_process(
        &self,
        token: &str,
        error: &TokenError,
        moment: Moment,
    ) -> Option<Result<Introspectable, TokenError>> {
        // A secret of its issuer's signed it, which no verifier of own tokens takes for a signature; or it
        // is opaque.
        let beyond = *error == TokenError::AlgNotAllowed || is_reference(token);
        let asks = self.policy.consults() == Consults::Introspect && beyond;
        asks.then(|| self.verifier.introspectable(token, moment.wall))
    }

    fn ask(&self, token: &str, about: About) -> AskFuture {
        let question = match &about {
            About::Verified(unsettled, _) if unsettled.gains_by_restamp() => Question::Restamp(token.into()),
            About::Verified(..) | About::Introspectable(_) => Question::Verdict(token.into()),
        };
        let asking = self.verifier.asks().ask(question);
        AskFuture(Box::new(Asked { asking, about: Some(about), route: self.clone() }))
    }
}

/// The authority's answer on its way, and the decision it makes.
///
/// Kept apart from the [`Outcome`], which is moved for each request and is small without it.
#[must_use = "nothing is decided until it is awaited"]
pub struct AskFuture(Box<Asked>);

struct Asked {
    asking: Asking,
    about: Option<About>,
    route: Route,
}

/// What was asked about.
enum About {
    /// A token that was verified, and the proof to spend when it is good.
    Verified(Unsettled, Shown),
    /// A token of which nothing is believed until the answer is here, and how it was presented.
    Introspectable(Box<(Introspectable, Presentation)>),
}

impl Asked {
    /// Decides by the answer, and for whom the token is bound to.
    fn settle(&self, about: About, answer: Answer) -> Decision {
        let senders = self.route.verifier.senders();
        let (decision, shown) = match about {
            About::Verified(unsettled, shown) => (self.settle_verified(unsettled, answer), Ok(shown)),
            About::Introspectable(about) => {
                let (token, presentation) = *about;
                let decision = self.believe(&token, answer);
                let shown = match &decision {
                    Decision::Allow(authorized) => {
                        senders.judge(&presentation.presented(), authorized.token().claims(), clock::now().wall)
                    }
                    _ => Ok(Shown::NOTHING),
                };
                (decision, shown)
            }
        };
        match decision {
            Decision::Allow(authorized) => match shown.and_then(|shown| senders.spend(shown, clock::now().wall)) {
                Ok(()) => Decision::Allow(authorized),
                Err(error) => self.route.not_the_sender(error),
            },
            refused => refused,
        }
    }

    fn settle_verified(&self, unsettled: Unsettled, answer: Answer) -> Decision {
        let answer = self.and_the_view(answer, unsettled.token());
        unsettled.settle(answer)
    }

    /// Decides about a token that the authority alone could verify.
    fn believe(&self, token: &Introspectable, answer: Answer) -> Decision {
        let policy = self.route.policy();
        let deny = |reason| Decision::Deny(policy.denial(reason));
        if let Some(reason) = answer.refusal() {
            return deny(reason);
        }
        // Without the key's name nobody could tell whether it was killed since.
        let Answer::Active(Vouched { key_id: Some(key_id), claims, .. }) = &answer else {
            return deny(DenyReason::AskUnavailable);
        };
        let moment = clock::now();
        match token.on_the_word_of(key_id, claims.as_ref(), moment.wall) {
            Ok(verified) => match policy.decide(self.route.verifier.view().check(verified), moment) {
                Decision::Ask(unsettled) => self.settle_verified(unsettled, answer),
                decided => decided,
            },
            Err(error) => deny(DenyReason::TokenRefused(error)),
        }
    }

    /// The authority's answer, unless this view has learnt of an entry since it was asked: what is
    /// known here to be revoked is refused, whoever says otherwise, and an answer from before an
    /// entry that has to be asked about is no answer to it.
    fn and_the_view(&self, answer: Answer, token: &VerifiedToken) -> Answer {
        let Answer::Active(vouched) = &answer else { return answer };
        let Route { verifier, policy } = &self.route;
        if verifier.no_longer_accepts(token.issuer()).is_some() {
            return Answer::Refused;
        }
        let moment = clock::now();
        let checked = verifier.view().check(token.clone());
        if let Some(newest) = checked.asked_since()
            && vouched.as_of.is_none_or(|as_of| as_of < newest)
        {
            return Answer::Unavailable;
        }
        match policy.decide(checked, moment) {
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
        let asked = &mut *self.0;
        let answer = ready!(Pin::new(&mut asked.asking).poll(context));
        let about = asked.about.take().expect("a future is not polled after it was ready");
        let decision = asked.route.verifier.last_word(asked.settle(about, answer));
        count(&decision);
        Poll::Ready(decision)
    }
}

fn count(decision: &Decision) {
    match decision {
        Decision::Allow(_) => metrics::allowed(),
        Decision::Deny(denial) => {
            tracing::debug!(code = denial.code(), status = denial.status(), reason = %denial, "a token was refused");
            metrics::denied(denial.code());
        }
        Decision::Ask(_) => metrics::asked_about(),
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
            (Consults::Ask | Consults::Introspect, _) => RouteCounts { ask: 1, ..RouteCounts::default() },
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
        routes = routes.and(&Policy::verify_only()).and(&Policy::ask()).and(&Policy::introspect());
        assert_eq!(routes.longest_age, seconds(600));
        routes = routes.and(&Policy::check(seconds(30)).ask_after(seconds(900)));
        assert_eq!(routes.longest_age, seconds(900));
        assert_eq!(routes.counts, RouteCounts { verify: 1, open: 1, ask: 2, check: 2 });
    }
}
