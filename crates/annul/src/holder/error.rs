//! Why there is no access token, and whether the session lives on.

use std::fmt;
use std::time::Duration;

use crate::client::{ClientError, Problem};
use crate::error::ConfigError;

/// How long nothing is sent after a refresh without an answer, unless the authority asked for longer.
/// Short enough that the next one still finds the authority's grace, if the last answer was lost.
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing is sent after a refusal that only a change of configuration ends.
const PAUSE_WHEN_REFUSED: Duration = Duration::from_secs(10);
/// The longest pause that an authority is granted.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The code of a refresh that came too early, or too late, for an authority that takes refresh tokens only
/// around the end of the last access token's life.
const OUTSIDE_WINDOW: &str = "refresh_outside_window";
/// The codes of a refresh by the wrong client or key. It ends nothing, and the right one still succeeds.
const NOT_BY_THIS_HOLDER: [&str; 2] = ["refresh_token_other_client", "refresh_token_other_key"];

/// There is no access token to give.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HolderError {
    /// The session is over for this holder: the authority does not take its refresh token any more.
    /// Final, and answered from memory from then on. The user has to log in again; what was kept is
    /// of no more use.
    MustLogIn(Box<Problem>),
    /// No answer, or one that says "later". Nothing is known against the session and nothing was
    /// lost; ask again.
    NotNow {
        /// What happened.
        cause: ClientError,
        /// From when on it is worth asking again. Until then this error is answered from memory.
        after: Duration,
    },
    /// The rotated refresh token could not be kept, so neither it nor its access token is used. Both
    /// are held in memory, and keeping is tried again whenever a token is asked for.
    NotKept {
        /// What the application said.
        cause: String,
    },
    /// The authority refuses, and not because of the refresh token: another client, key, scope or
    /// address than it knows. The session is as it was; somebody has to look at the configuration.
    Refused(Box<Problem>),
    /// A token that was had because another was refused is refused as well, a few seconds later.
    /// Refreshing again would not help; the session is as it was.
    StillRefused,
    /// The configuration cannot work; nothing was sent.
    Config(ConfigError),
}

impl HolderError {
    /// A stable name for programs: the authority's own code where it answered.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::MustLogIn(problem) | Self::Refused(problem) => &problem.code,
            Self::NotNow { cause, .. } => cause.code(),
            Self::NotKept { .. } => "refresh_token_not_kept",
            Self::StillRefused => "token_still_refused",
            Self::Config(error) => error.code(),
        }
    }

    /// Whether the session lives on, as far as is known: everything but
    /// [`MustLogIn`](Self::MustLogIn).
    #[must_use]
    pub const fn is_logged_in(&self) -> bool {
        !matches!(self, Self::MustLogIn(_))
    }

    /// What an answer that is no success means for the session.
    pub(super) fn of(problem: Problem) -> Self {
        let invalid_grant = problem.oauth_error.as_deref() == Some("invalid_grant");
        let later = matches!(problem.status, 408 | 429 | 500..) || problem.code == OUTSIDE_WINDOW;
        match problem {
            problem if later => Self::not_now(ClientError::Answered(Box::new(problem))),
            problem if NOT_BY_THIS_HOLDER.contains(&problem.code.as_str()) => Self::Refused(Box::new(problem)),
            problem if invalid_grant => Self::MustLogIn(Box::new(problem)),
            problem => Self::Refused(Box::new(problem)),
        }
    }

    pub(super) fn not_now(cause: ClientError) -> Self {
        let asked = if let ClientError::Answered(problem) = &cause { problem.retry_after } else { None };
        Self::NotNow { cause, after: asked.unwrap_or_default().clamp(PAUSE, LONGEST_PAUSE) }
    }

    /// What this error is once the last access token's life is over: a refresh that is outside of its window
    /// then comes too late.
    pub(super) fn after_the_life(self) -> Self {
        match self {
            Self::NotNow { cause: ClientError::Answered(problem), .. } if problem.code == OUTSIDE_WINDOW => {
                Self::MustLogIn(problem)
            }
            other => other,
        }
    }

    /// Whether the same refresh token may be sent again at once, and the pause that was asked for.
    pub(super) fn may_repeat(&self) -> Option<Option<Duration>> {
        match self {
            Self::NotNow { cause: ClientError::Answered(problem), .. } if problem.code == OUTSIDE_WINDOW => None,
            Self::NotNow { cause: ClientError::Answered(problem), .. } => Some(problem.retry_after),
            // An answer that cannot be read is as good as lost: the authority gives the same again.
            Self::NotNow { .. } => Some(None),
            _ => None,
        }
    }

    /// For how long this error is answered from memory; `None` for good.
    pub(super) const fn stands_for(&self) -> Option<Duration> {
        match self {
            Self::MustLogIn(_) => None,
            Self::NotNow { after, .. } => Some(*after),
            Self::NotKept { .. } | Self::StillRefused => Some(PAUSE),
            Self::Refused(_) | Self::Config(_) => Some(PAUSE_WHEN_REFUSED),
        }
    }
}

impl fmt::Display for HolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MustLogIn(problem) => write!(f, "the user has to log in again: {problem}"),
            Self::NotNow { cause, after } => {
                write!(f, "no new access token at the moment: {cause}; the session is as it was, ask again in {after:?}")
            }
            Self::NotKept { cause } => write!(
                f,
                "the new refresh token could not be kept: {cause}; it is held in memory and not used until it is"
            ),
            Self::Refused(problem) => {
                write!(f, "the authority refuses this client: {problem}; the session is as it was")
            }
            Self::StillRefused => f.write_str(
                "a token that was refreshed a few seconds ago because it was refused is refused again; look at what the service says",
            ),
            Self::Config(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HolderError {}

impl From<ConfigError> for HolderError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HolderError {
        HolderError::of(Problem::read(status, body.as_bytes(), None))
    }

    #[test]
    fn only_the_authoritys_word_on_the_refresh_token_ends_the_session() {
        let over = answer(400, r#"{"error":"invalid_grant","code":"refresh_token_reused"}"#);
        assert!(!over.is_logged_in() && over.code() == "refresh_token_reused" && over.stands_for().is_none());
        for (status, body) in [
            (401, r#"{"error":"invalid_client"}"#),
            (400, r#"{"error":"invalid_scope"}"#),
            (400, r#"{"error":"invalid_dpop_proof"}"#),
            (404, "<html>"),
            (403, ""),
        ] {
            let refused = answer(status, body);
            assert!(matches!(refused, HolderError::Refused(_)) && refused.is_logged_in(), "{refused:?}");
            assert!(refused.may_repeat().is_none(), "{refused:?}");
        }
        for status in [429, 500, 502, 503, 504] {
            let later = answer(status, r#"{"error":"invalid_grant"}"#);
            assert!(later.is_logged_in() && later.may_repeat().is_some(), "{later:?}");
        }
    }

    #[test]
    fn too_early_is_neither_the_end_nor_repeated_at_once() {
        let early = answer(400, r#"{"error":"invalid_grant","code":"refresh_outside_window"}"#);
        assert!(early.is_logged_in() && early.may_repeat().is_none(), "{early:?}");
        assert_eq!(early.stands_for(), Some(PAUSE));
        assert!(!early.after_the_life().is_logged_in(), "too late is the end");
        let busy = answer(503, "").after_the_life();
        assert!(busy.is_logged_in(), "{busy:?}");
    }

    #[test]
    fn the_wrong_client_or_key_can_be_put_right() {
        for code in NOT_BY_THIS_HOLDER {
            let refused = answer(400, &format!(r#"{{"error":"invalid_grant","code":"{code}"}}"#));
            assert!(matches!(refused, HolderError::Refused(_)) && refused.is_logged_in(), "{refused:?}");
        }
    }
}
