//! The check of one verified token against one state of the view.

use std::time::Duration;

use super::View;
use super::state::State;
use crate::algebra::Refusal;
use crate::position::Position;
use crate::settings::Settings;
use crate::time::{Moment, Monotonic, UnixSeconds};
use crate::token::{Facts, VerifiedToken};
use crate::verdict::{Cause, Verdict};

impl View {
    /// Judges a verified token by the view as it is now. No I/O, no lock, and it cannot fail: what
    /// cannot be told is a verdict of its own.
    ///
    /// The token's facts may be cached; the outcome must not be.
    pub fn check(&self, token: VerifiedToken, moment: Moment) -> CheckedToken {
        let state = self.state.load();
        let findings = Findings::of(&state, &token);
        CheckedToken {
            verdict: findings.verdict(),
            findings,
            checked: moment.mono,
            age: state.freshness.age(moment.mono),
            position: state.position,
            token,
        }
    }
}

/// A token together with what the view says of it and how old that view was. They travel together
/// so that nobody can decide on another token's verdict; only [`View::check`] makes one.
#[must_use]
#[derive(Clone, Debug)]
pub struct CheckedToken {
    token: VerifiedToken,
    verdict: Verdict,
    findings: Findings,
    checked: Monotonic,
    age: Option<Duration>,
    position: Option<Position>,
}

impl CheckedToken {
    /// What the view says.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What is in force on a claim that has to be asked about, also where the verdict names something
    /// weightier.
    #[must_use]
    pub const fn asked_about(&self) -> Option<Refusal> {
        self.findings.ask_on
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
        self.age.map(|age| age.saturating_add(now.since(self.checked)))
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
///
/// A policy that passes over one finding (`check_after`) must still see the others, which is why
/// they are kept apart.
#[derive(Clone, Debug)]
pub(crate) struct Findings {
    /// What revokes the token; one that holds at any age, if there is one.
    pub(crate) refusal: Option<Refusal>,
    /// What keeps the view from vouching for the token.
    pub(crate) cause: Option<Cause>,
    /// What is in force on a claim that has to be asked about.
    pub(crate) ask_on: Option<Refusal>,
    position: Position,
}

impl Findings {
    fn of(state: &State, token: &VerifiedToken) -> Self {
        let Some(position) = state.position else {
            return Self::unknown(Cause::NeverSynced);
        };
        let Some((settings, hash_key)) = state.hashing() else {
            return Self::unknown(Cause::SettingsUnknown);
        };
        let facts = match token.facts(settings, hash_key) {
            Ok(facts) => facts,
            Err(error) => return Self::unknown(Cause::Unfit(error)),
        };
        Self {
            refusal: judge(&facts, state),
            cause: state.cannot_vouch(&facts, position, settings),
            ask_on: asked_about(&facts, state),
            position,
        }
    }

    fn unknown(cause: Cause) -> Self {
        Self { refusal: None, cause: Some(cause), ask_on: None, position: Position::default() }
    }

    fn verdict(&self) -> Verdict {
        match (&self.refusal, &self.cause, &self.ask_on) {
            (Some(refusal), _, _) => Verdict::Revoked(*refusal),
            (None, Some(cause), _) => Verdict::Indeterminate(cause.clone()),
            (None, None, Some(refusal)) => Verdict::Indeterminate(Cause::AskOn(*refusal)),
            (None, None, None) => Verdict::Active { as_of: self.position },
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

fn asked_about(facts: &Facts, state: &State) -> Option<Refusal> {
    let mut weightiest: Option<Refusal> = None;
    for &(kind, target) in &facts.asks {
        let Some(hit) = state.in_force(&target).and_then(|cell| cell.judge(&facts.reading)) else { continue };
        let refusal = Refusal { kind, cutoff: hit.cutoff, at: hit.at };
        if refusal.holds_at_any_age() {
            return Some(refusal);
        }
        weightiest.get_or_insert(refusal);
    }
    weightiest
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
