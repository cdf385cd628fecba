//! The check of one verified token against one state of the view.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;

use super::state::State;
use super::{Ground, View};
use crate::algebra::Refusal;
use crate::position::Position;
use crate::settings::Settings;
use crate::time::{Monotonic, UnixSeconds};
use crate::token::{Facts, FactsCache, Verified, VerifiedToken};
use crate::verdict::{Cause, Verdict};

impl View {
    /// Judges a verified token by the view as it is now. No I/O, no lock, and it cannot fail: what
    /// cannot be told is a verdict of its own.
    ///
    /// The token's facts may be cached; the outcome must not be.
    pub fn check(&self, token: VerifiedToken) -> CheckedToken {
        self.look().check(token)
    }

    /// The view as it is now, for whoever asks it several things about one request. To be let go with the
    /// request: what is revoked after the look is not in it, and what it holds stays in memory.
    #[must_use]
    #[inline]
    pub fn look(&self) -> Look {
        Look { state: self.state.load() }
    }
}

/// One state of a view, loaded once.
pub struct Look {
    state: Guard<Arc<State>>,
}

impl Look {
    /// The number of what tokens are verified by.
    #[must_use]
    #[inline]
    pub fn ground_number(&self) -> u64 {
        self.state.ground.number()
    }

    /// What tokens are verified by.
    #[must_use]
    pub fn ground(&self) -> &Arc<Ground> {
        &self.state.ground
    }

    /// Judges a verified token by this state.
    pub fn check(&self, token: VerifiedToken) -> CheckedToken {
        let findings = Findings::of(&self.state, token.shared());
        self.checked(token, findings)
    }

    /// Judges a token that `facts` keeps, verified by what this state says. `None` when it has to be
    /// verified anew.
    #[inline]
    pub fn check_known(&self, facts: &FactsCache, text: &str, now: UnixSeconds) -> Option<CheckedToken> {
        let stands = |known: &VerifiedToken| known.stands_on(self.ground());
        let judge = |known: &Verified| Findings::of(&self.state, known);
        let (token, findings) = facts.find_and(text, self.ground_number(), now, stands, judge)?;
        Some(self.checked(token, findings))
    }

    #[inline]
    fn checked(&self, token: VerifiedToken, findings: Findings) -> CheckedToken {
        CheckedToken { token, findings, position: self.state.position, proven: self.state.freshness.proven() }
    }
}

/// A token together with what the view says of it and how old that view was. They travel together
/// so that nobody can decide on another token's verdict; only [`View::check`],
/// [`Look::check`] and [`Look::check_known`] make one.
#[must_use]
#[derive(Clone, Debug)]
pub struct CheckedToken {
    token: VerifiedToken,
    findings: Findings,
    position: Option<Position>,
    /// The newest moment for which that view is proven to be complete.
    proven: Option<Monotonic>,
}

impl CheckedToken {
    /// What the view says.
    pub fn verdict(&self) -> Verdict {
        // A view without a position objects to every token.
        self.findings.verdict(self.position.unwrap_or_default())
    }

    /// The position of the newest entry that the token has to be asked about for. An answer from before it
    /// knows nothing of it.
    #[must_use]
    pub fn asked_since(&self) -> Option<Position> {
        self.findings.asked_since()
    }

    /// The token that was checked.
    #[must_use]
    pub fn token(&self) -> &VerifiedToken {
        &self.token
    }

    /// The token, the verdict given up.
    #[must_use]
    pub fn into_token(self) -> VerifiedToken {
        self.token
    }

    /// The position of the view that was read.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The age at `now` of the view that was read; `None` when it was never proven.
    #[must_use]
    pub fn age(&self, now: Monotonic) -> Option<Duration> {
        self.proven.map(|proven| now.since(proven))
    }

    /// The token's position, when it is ahead of the view: the follower has something to fetch.
    #[must_use]
    pub fn ahead(&self) -> Option<Position> {
        self.token.lpos().filter(|lpos| self.position.is_none_or(|position| *lpos > position))
    }

    pub(crate) const fn findings(&self) -> &Findings {
        &self.findings
    }
}

/// Everything found out about a token, of which the verdict names the weightiest.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// Nothing, for most tokens: so what every request hands on is small.
    objections: Option<Box<Objections>>,
}

/// What keeps a token from being active, not all of it nothing.
///
/// A policy that passes over one of these (`check_after`) must still see the others, which is why
/// they are kept apart.
#[derive(Clone, Debug)]
struct Objections {
    refusal: Option<Refusal>,
    cause: Option<Cause>,
    ask_on: Option<AskOn>,
}

/// What is in force on claims that have to be asked about.
#[derive(Clone, Copy, Debug)]
struct AskOn {
    /// One that holds at any age, if there is one, else the newest.
    weightiest: Refusal,
    /// The position of the newest.
    newest: Position,
}

impl Findings {
    #[inline]
    fn of(state: &State, token: &Verified) -> Self {
        let Some(position) = state.position else {
            return Self::unknown(Cause::NeverSynced);
        };
        let Some((settings, hash_key)) = state.hashing() else {
            return Self::unknown(Cause::SettingsUnknown);
        };
        token.read_facts(settings, hash_key, |facts| match facts {
            Ok(facts) => {
                let refusal = judge(facts, state);
                let cause = state.cannot_vouch(facts, position, settings);
                Self::all(refusal, cause, asked_about(facts, state))
            }
            Err(error) => Self::unknown(Cause::Unfit(error.clone())),
        })
    }

    #[inline]
    fn all(refusal: Option<Refusal>, cause: Option<Cause>, ask_on: Option<AskOn>) -> Self {
        let is_active = refusal.is_none() && cause.is_none() && ask_on.is_none();
        let objections = || Box::new(Objections { refusal, cause, ask_on });
        Self { objections: (!is_active).then(objections) }
    }

    fn unknown(cause: Cause) -> Self {
        Self::all(None, Some(cause), None)
    }

    /// What revokes the token; one that holds at any age, if there is one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.objections.as_ref()?.refusal
    }

    /// What keeps the view from vouching for the token.
    pub(crate) fn cause(&self) -> Option<&Cause> {
        self.objections.as_ref()?.cause.as_ref()
    }

    /// What is in force on a claim that has to be asked about.
    pub(crate) fn ask_on(&self) -> Option<Refusal> {
        Some(self.objections.as_ref()?.ask_on?.weightiest)
    }

    fn asked_since(&self) -> Option<Position> {
        Some(self.objections.as_ref()?.ask_on?.newest)
    }

    /// What is said of the token, by a view at `as_of`.
    fn verdict(&self, as_of: Position) -> Verdict {
        match (self.refusal(), self.cause(), self.ask_on()) {
            (Some(refusal), _, _) => Verdict::Revoked(refusal),
            (None, Some(cause), _) => Verdict::Indeterminate(cause.clone()),
            (None, None, Some(refusal)) => Verdict::Indeterminate(Cause::AskOn(refusal)),
            (None, None, None) => Verdict::Active { as_of },
        }
    }
}

/// Most tokens have nothing against them, which is found out for all targets side by side.
fn judge(facts: &Facts, state: &State) -> Option<Refusal> {
    if state.may_hold_any(facts.targets.iter().map(|(_, target)| target)) {
        facts.judge(|target| state.in_force(target))
    } else {
        None
    }
}

fn asked_about(facts: &Facts, state: &State) -> Option<AskOn> {
    let in_force = facts.asks.iter().filter_map(|&(kind, target)| {
        let hit = state.in_force(&target)?.judge(&facts.reading)?;
        Some(Refusal { kind, cutoff: hit.cutoff, at: hit.at })
    });
    in_force.fold(None, |before: Option<AskOn>, refusal| {
        let this = AskOn { weightiest: refusal, newest: refusal.at };
        let Some(before) = before else { return Some(this) };
        let weight = |refusal: &Refusal| (refusal.holds_at_any_age(), refusal.at);
        Some(AskOn {
            weightiest: std::cmp::max_by_key(before.weightiest, refusal, weight),
            newest: before.newest.max(refusal.at),
        })
    })
}

impl State {
    /// Why this state cannot vouch for a token that nothing in it revokes. What concerns the token
    /// comes before what concerns the view: a route that puts up with an old view does not put up
    /// with an impossible token.
    fn cannot_vouch(&self, facts: &Facts, position: Position, settings: &Settings) -> Option<Cause> {
        if let Some(lpos) = facts.lpos {
            if lpos.epoch > position.epoch {
                return Some(Cause::UnknownEpoch { epoch: lpos.epoch });
            }
            if self.is_impossible(lpos, facts.issued, settings) {
                return Some(Cause::ImpossiblePosition { lpos });
            }
        }
        let forgotten = self.forgotten.max(self.kept.forgotten);
        if forgotten > UnixSeconds(0) && settings.until(facts.expires) <= forgotten {
            return Some(Cause::ClockStepped);
        }
        self.halted.map(Cause::Halted)
    }

    /// I10: nothing can have been issued at a position that the log had not reached at a moment
    /// after its issue.
    fn is_impossible(&self, lpos: Position, issued: Option<UnixSeconds>, settings: &Settings) -> bool {
        let Some(confirmed) = self.freshness.confirmed() else { return false };
        let issued = issued.unwrap_or_default();
        lpos > confirmed.head && confirmed.at > issued.plus(settings.clock_skew)
    }
}
