//! From a verdict to a decision: what a route puts up with.
//!
//! | the route  | consults                                             | when the view is older than allowed |
//! |------------|------------------------------------------------------|-------------------------------------|
//! | verify     | signature and claims                                 | does not matter                     |
//! | check      | the view, if its proven age is at most `max_staleness` | closed, ask, or open up to an age |
//! | ask        | the authority, every time                            | does not matter                     |
//! | introspect | the same, also about tokens that only it can verify  | does not matter                     |
//!
//! On every route: what is known to be revoked is refused, however old the view. An entry on a claim
//! that has to be asked about makes the route ask. Not knowing is 503 and never 401, for a 401 would
//! turn an outage of the feed into a storm of logins. How young a token is says nothing of how old
//! the view is.

mod decision;
mod sender;
mod unheard;

use std::time::Duration;

pub use self::decision::{Answer, Authorized, Basis, Decision, Denial, DenyReason, Restamped, Unsettled, Vouched};
pub use self::sender::SenderError;
use crate::algebra::Refusal;
use crate::time::{Moment, UnixSeconds};
use crate::token::VerifiedToken;
use crate::verdict::Cause;
use crate::view::CheckedToken;

/// What a route demands before it lets a token in. There is no default: how stale a view may be is
/// a choice to be made and seen in review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    consults: Consults,
    on_stale: OnStale,
    window: Option<Window>,
    max_auth_age: Option<Duration>,
    revoked_status: RevokedStatus,
}

/// What a route consults beyond the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consults {
    /// Nothing.
    Verify,
    /// The view, while its proven age is at most this.
    Check {
        /// The age past which [`OnStale`] applies.
        max_staleness: Duration,
    },
    /// The authority.
    Ask,
    /// The authority, also about tokens that only it can verify.
    Introspect,
}

/// For how long a token counts as young, and what an older one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    length: Duration,
    older: Older,
}

/// What becomes of a token that is not young any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Older {
    Checked,
    Asked,
}

/// What a check does when the view is too old or cannot tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStale {
    /// Refuse with 503 until the view is fresh again.
    Closed,
    /// Ask the authority.
    Ask,
    /// Accept what is not known to be revoked, up to a second age, and refuse past it.
    Open {
        /// The greatest age at which the route still accepts.
        max_age: Duration,
    },
}

/// The status of an answer that refuses a revoked token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedStatus {
    /// 401 with `invalid_token`: the client may log in again.
    Unauthorized,
    /// 403: for clients that take a 401 as a reason to retry for ever.
    Forbidden,
}

impl Policy {
    /// The route reads the view, whose proven age is at most `max_staleness`. When it is older the
    /// route is closed, unless [`on_stale`](Self::on_stale) says otherwise.
    #[must_use]
    pub const fn check(max_staleness: Duration) -> Self {
        Self::consulting(Consults::Check { max_staleness })
    }

    /// The route is content with a valid signature and claims: a revocation reaches it when the
    /// token expires, or when this process happens to know of it.
    #[must_use]
    pub const fn verify_only() -> Self {
        Self::consulting(Consults::Verify)
    }

    /// The route asks the authority about every token that is not known to be revoked.
    #[must_use]
    pub const fn ask() -> Self {
        Self::consulting(Consults::Ask)
    }

    /// The route asks the authority about every token that is not known to be revoked, and also about
    /// those of the log's own issuer that no verifier can verify, such as one signed with a key of its
    /// subject's own. Size, form and claims are looked at here first.
    #[must_use]
    pub const fn introspect() -> Self {
        Self::consulting(Consults::Introspect)
    }

    const fn consulting(consults: Consults) -> Self {
        Self {
            consults,
            on_stale: OnStale::Closed,
            window: None,
            max_auth_age: None,
            revoked_status: RevokedStatus::Unauthorized,
        }
    }

    /// What happens when the view is too old. It matters for a check only.
    #[must_use]
    pub const fn on_stale(self, on_stale: OnStale) -> Self {
        Self { on_stale, ..self }
    }

    /// Position and time cutoffs are passed over for tokens younger than `window`. The signing key,
    /// the issuer and every `always` hold at any age, and the view must be fresh all the same.
    #[must_use]
    pub const fn check_after(self, window: Duration) -> Self {
        Self { window: Some(Window { length: window, older: Older::Checked }), ..self }
    }

    /// As [`check_after`](Self::check_after) for tokens younger than `window`; about older ones, and
    /// those that do not say when they were issued, the authority is asked. It checks them in full and
    /// sends a good one back re-stamped, which is young again.
    #[must_use]
    pub const fn ask_after(self, window: Duration) -> Self {
        Self { window: Some(Window { length: window, older: Older::Asked }), ..self }
    }

    /// Whoever authenticated longer ago has to do so again (RFC 9470). A token that does not say
    /// when its user authenticated counts as older.
    #[must_use]
    pub const fn max_auth_age(self, max_age: Duration) -> Self {
        Self { max_auth_age: Some(max_age), ..self }
    }

    /// The status with which a revoked token is refused.
    #[must_use]
    pub const fn revoked_status(self, status: RevokedStatus) -> Self {
        Self { revoked_status: status, ..self }
    }

    /// What the route consults.
    #[must_use]
    pub const fn consults(&self) -> Consults {
        self.consults
    }

    /// What a check does when the view is too old.
    #[must_use]
    pub const fn stale_rule(&self) -> OnStale {
        self.on_stale
    }

    /// The greatest age of the view at which a check accepts without more.
    #[must_use]
    pub const fn max_staleness(&self) -> Option<Duration> {
        match self.consults {
            Consults::Check { max_staleness } => Some(max_staleness),
            Consults::Verify | Consults::Ask | Consults::Introspect => None,
        }
    }

    /// The longest time after which a revocation is certain to be in effect on this route, to be
    /// reported to the authority; `None` when there is no such time.
    #[must_use]
    pub fn longest_age(&self) -> Option<Duration> {
        let window = self.window.map_or(Duration::ZERO, |window| window.length);
        match (self.consults, self.on_stale) {
            (Consults::Verify, _) => None,
            // Cutoffs are the authority's to apply, who passes none over.
            (Consults::Ask | Consults::Introspect, _) => Some(Duration::ZERO),
            (Consults::Check { max_staleness }, OnStale::Open { max_age }) => {
                Some(max_staleness.max(max_age).max(window))
            }
            (Consults::Check { max_staleness }, OnStale::Closed | OnStale::Ask) => Some(max_staleness.max(window)),
        }
    }

    /// When the token's own age will next change what this route makes of it: at the end of its window,
    /// or once its login is older than `max_auth_age`. `None` when neither lies after `now`. Its `exp` is
    /// not counted.
    #[must_use]
    pub fn next_turn(&self, token: &VerifiedToken, now: UnixSeconds) -> Option<UnixSeconds> {
        let window_ends = self.window.zip(token.issued()).map(|(window, issued)| {
            let length = window.length;
            issued.plus(length.as_secs()).plus(u64::from(length.subsec_nanos() > 0))
        });
        let too_old = self.max_auth_age.zip(token.auth_time()).map(|(max_age, at)| at.plus(max_age.as_secs()).plus(1));
        [window_ends, too_old].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Decides on a checked token. What must still be asked comes back as [`Decision::Ask`].
    #[inline]
    pub fn decide(&self, checked: CheckedToken, moment: Moment) -> Decision {
        let findings = checked.findings();
        let token_age = self.passes_over(checked.token(), moment.wall);
        if let Some(refusal) = findings.refusal().filter(|refusal| token_age.sees(refusal)) {
            return self.deny(DenyReason::Revoked(Some(refusal)));
        }
        if let Some(Cause::Unfit(error)) = findings.cause() {
            return self.deny(DenyReason::TokenRefused(error.clone()));
        }
        if let Some(max_age) = self.max_auth_age.filter(|max_age| auth_is_older(checked.token(), *max_age, moment.wall))
        {
            return self.deny(DenyReason::AuthTooOld { max_age });
        }
        let must_ask = findings.ask_on().is_some_and(|refusal| token_age.sees(&refusal));
        match self.consults {
            Consults::Ask | Consults::Introspect => self.ask_about(checked, Gain::Verdict),
            _ if must_ask || token_age == TokenAge::Asked => self.ask_about(checked, Gain::Restamp),
            Consults::Verify => Decision::Allow(Authorized::on(checked.into_token(), Basis::Verified)),
            Consults::Check { max_staleness } => self.decide_by_view(checked, moment, max_staleness),
        }
    }

    #[inline]
    fn decide_by_view(&self, checked: CheckedToken, moment: Moment, max_staleness: Duration) -> Decision {
        let age = checked.age(moment.mono);
        let (reason, may_be_open) = match (checked.findings().cause(), checked.position(), age) {
            (None, Some(as_of), Some(age)) if age <= max_staleness => {
                return Decision::Allow(Authorized::on(checked.into_token(), Basis::Checked { as_of, age }));
            }
            (None, _, age) => (DenyReason::Stale { age }, true),
            (Some(cause), _, _) => (DenyReason::Undecidable(cause.clone()), matches!(cause, Cause::Halted(_))),
        };
        match (self.on_stale, age) {
            (OnStale::Ask, _) => self.ask_about(checked, Gain::Verdict),
            (OnStale::Open { max_age }, Some(age)) if may_be_open && age <= max_age => {
                Decision::Allow(Authorized::on(checked.into_token(), Basis::Open { age }))
            }
            _ => self.deny(reason),
        }
    }

    /// A denial on this route for `reason`.
    #[must_use]
    pub fn denial(&self, reason: DenyReason) -> Denial {
        Denial::on(reason, self.revoked_status)
    }

    fn deny(&self, reason: DenyReason) -> Decision {
        Decision::Deny(self.denial(reason))
    }

    fn ask_about(&self, checked: CheckedToken, gain: Gain) -> Decision {
        Decision::Ask(Unsettled::about(checked.into_token(), self.clone(), gain))
    }

    fn passes_over(&self, token: &VerifiedToken, now: UnixSeconds) -> TokenAge {
        let Some(window) = self.window else { return TokenAge::Any };
        let age = token.issued().map(|issued| Duration::from_secs(now.0.saturating_sub(issued.0)));
        match (age, window.older) {
            (Some(age), _) if age < window.length => TokenAge::Young,
            (_, Older::Asked) => TokenAge::Asked,
            (_, Older::Checked) => TokenAge::Any,
        }
    }
}

/// What is to be had from the authority's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gain {
    /// Whether this request may pass; the next one is asked about all the same.
    Verdict,
    /// A token with a new date too, about which nothing has to be asked for a while.
    Restamp,
}

/// Where a token stands to the window of its route.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenAge {
    /// Inside it.
    Young,
    /// Past one after which the authority is asked.
    Asked,
    /// Past one after which everything is checked, or there is none.
    Any,
}

impl TokenAge {
    /// Whether an entry counts against a token of this age.
    fn sees(self, refusal: &Refusal) -> bool {
        match self {
            Self::Any | Self::Asked => true,
            Self::Young => refusal.holds_at_any_age(),
        }
    }
}

fn auth_is_older(token: &VerifiedToken, max_age: Duration, now: UnixSeconds) -> bool {
    token.auth_time().is_none_or(|at| Duration::from_secs(now.0.saturating_sub(at.0)) > max_age)
}
