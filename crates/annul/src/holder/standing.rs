//! Where a holder stands with its session: a state and what follows from it, without I/O or a clock.

use std::fmt;
use std::time::Duration;

use annul_core::time::Monotonic;

use super::error::HolderError;
use super::exchange::Grant;
use super::token::{AccessToken, RefreshToken};

/// The share of a token's life that is left when its refresh is due at the earliest, where no lead is
/// configured: three tenths.
const LEAD: (u32, u32) = (3, 10);
/// The share of the lead over which tokens fall due, drawn for each, so that what logged in together
/// does not refresh together: a third.
const SPREAD: u32 = 3;
/// A token is given out until this much is left of it: it has yet to travel, and be judged.
const TRAVEL: Duration = Duration::from_secs(2);
/// Of a very short life the tenth is held back instead.
const TRAVEL_SHARE: u32 = 10;
/// A token that was had because another was refused, and is refused within this time, is no reason to
/// refresh again: whoever refuses it does so for another reason.
const REFUSED_AGAIN_WITHIN: Duration = Duration::from_secs(10);

/// The session's tokens, and what became of the last attempt to replace them.
pub(super) struct Standing {
    refresh: RefreshToken,
    access: Option<Held>,
    /// What the authority gave and the application has not kept yet.
    unkept: Option<Grant>,
    trouble: Option<Trouble>,
    /// Whether a refresh ahead of need is on its way.
    is_ahead: bool,
    lead: Lead,
}

/// How long before its end a token falls due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lead {
    /// As configured; three tenths of a life when not.
    pub(super) length: Option<Duration>,
    /// What of a duration is drawn, evenly from nothing to all of it.
    pub(super) draw: fn(Duration) -> Duration,
}

struct Held {
    token: AccessToken,
    due: Monotonic,
    ends: Monotonic,
    /// Whether a service refused it.
    is_refused: bool,
    /// When it was had, if that was because its predecessor was refused.
    had_for_refusal: Option<Monotonic>,
}

struct Trouble {
    error: HolderError,
    /// `None` when it is final.
    until: Option<Monotonic>,
}

/// What a caller needs.
pub(super) enum Need {
    Nothing(Result<AccessToken, HolderError>),
    /// The token is good, and its refresh is due: whoever is told so sees to it.
    Soon(AccessToken),
    Now,
}

/// What a refresh does next.
pub(super) enum Step {
    Done(Result<AccessToken, HolderError>),
    Keep(Box<Grant>),
    Redeem(RefreshToken),
}

impl Standing {
    /// With a refresh token and nothing else.
    pub(super) const fn resumed(refresh: RefreshToken, lead: Lead) -> Self {
        Self { refresh, access: None, unkept: None, trouble: None, is_ahead: false, lead }
    }

    /// What somebody who asks for a token at `now` needs. Of all who ask while a refresh is due and not
    /// yet needed, one is told to see to it.
    pub(super) fn need(&mut self, now: Monotonic) -> Need {
        match self.settled(now) {
            Some(Ok(token)) if self.is_due(now) && !self.is_ahead => {
                self.is_ahead = true;
                Need::Soon(token)
            }
            Some(outcome) => Need::Nothing(outcome),
            None => Need::Now,
        }
    }

    /// What a refresh in the air does next at `now`.
    pub(super) fn step(&mut self, now: Monotonic) -> Step {
        match (self.settled(now), &self.unkept) {
            (Some(outcome), _) if outcome.is_err() || !self.is_due(now) => {
                self.is_ahead = false;
                Step::Done(outcome)
            }
            (_, Some(grant)) => Step::Keep(Box::new(grant.clone())),
            (_, None) => Step::Redeem(self.refresh.clone()),
        }
    }

    /// What can be answered without a refresh: a good token, or trouble that still stands.
    fn settled(&self, now: Monotonic) -> Option<Result<AccessToken, HolderError>> {
        if let Some(Trouble { error, until: None }) = &self.trouble {
            return Some(Err(error.clone()));
        }
        let good = self.access.as_ref().filter(|held| !held.is_refused && now < held.ends);
        let token = good.map(|held| Ok(held.token.clone()));
        token.or_else(|| self.trouble_at(now).map(|error| Err(error.clone())))
    }

    fn trouble_at(&self, now: Monotonic) -> Option<&HolderError> {
        let standing = self.trouble.as_ref().filter(|trouble| trouble.until.is_none_or(|until| now < until));
        standing.map(|trouble| &trouble.error)
    }

    /// Whether the token should be replaced, and nothing stands against trying.
    fn is_due(&self, now: Monotonic) -> bool {
        self.access.as_ref().is_none_or(|held| now >= held.due) && self.trouble_at(now).is_none()
    }

    /// Notes that a service refused `token`. One that was replaced since is no news.
    pub(super) fn refuse(&mut self, token: &AccessToken, now: Monotonic) -> Result<(), HolderError> {
        let Some(held) = self.access.as_mut().filter(|held| held.token == *token) else { return Ok(()) };
        if held.had_for_refusal.is_some_and(|had| now.since(had) < REFUSED_AGAIN_WITHIN) {
            return Err(HolderError::StillRefused);
        }
        held.is_refused = true;
        Ok(())
    }

    /// The authority gave new tokens. They are not used before they are [kept](Self::kept).
    pub(super) fn granted(&mut self, grant: Grant) {
        self.unkept = Some(grant);
    }

    /// The refresh token of `grant` is kept: from here on its tokens are the session's.
    pub(super) fn kept(&mut self, grant: Grant, now: Monotonic) {
        let for_refusal = self.access.as_ref().is_some_and(|held| held.is_refused);
        let (due, ends) = self.lead.of(&grant);
        let had_for_refusal = for_refusal.then_some(now);
        self.access = Some(Held { token: grant.access, due, ends, is_refused: false, had_for_refusal });
        self.refresh = grant.refresh;
        self.unkept = None;
        self.trouble = None;
    }

    /// The refresh failed at `now`: what those on board are answered. A token that is still good is.
    pub(super) fn failed(&mut self, error: HolderError, now: Monotonic) -> Result<AccessToken, HolderError> {
        self.is_ahead = false;
        let is_over = self.access.as_ref().is_some_and(|held| now >= held.ends);
        let error = if is_over { error.after_the_life() } else { error };
        let until = error.stands_for().map(|pause| now.plus(pause));
        self.trouble = Some(Trouble { error: error.clone(), until });
        self.settled(now).unwrap_or(Err(error))
    }
}

impl Lead {
    /// When a grant's access token falls due, and when it is no longer given out.
    fn of(&self, grant: &Grant) -> (Monotonic, Monotonic) {
        let life = grant.life;
        let given_out = life - TRAVEL.min(life / TRAVEL_SHARE);
        // More than half a life ahead would be refreshing all the time.
        let lead = self.length.unwrap_or(life * LEAD.0 / LEAD.1).min(life / 2);
        let due = life - lead + (self.draw)(lead / SPREAD);
        (grant.sent.plus(due.min(given_out)), grant.sent.plus(given_out))
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_over = self.trouble.as_ref().is_some_and(|trouble| trouble.until.is_none());
        f.debug_struct("Standing")
            .field("has_access_token", &self.access.is_some())
            .field("is_kept", &self.unkept.is_none())
            .field("trouble", &self.trouble.as_ref().map(|trouble| trouble.error.code()))
            .field("must_log_in", &is_over)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
