//! Why a call to the authority did not give what was asked for.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::is_passing;
use crate::error::ConfigError;

/// A call failed. Only [`Answered`](Self::Answered) says what the authority thinks; after the others
/// a write may or may not have happened. The client has repeated it where that is safe; a call made anew
/// is another write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The client's configuration cannot work; nothing was sent.
    Config(ConfigError),
    /// No connection, or it broke.
    Unreachable {
        /// The authority's address.
        url: String,
        /// What the system said.
        cause: String,
    },
    /// No answer within the deadline.
    TimedOut {
        /// The authority's address.
        url: String,
        /// The deadline.
        within: Duration,
    },
    /// The authority answered that it will not.
    Answered(Box<Problem>),
    /// The answer is not what this version understands.
    Malformed(String),
}

impl ClientError {
    /// A stable name for programs: the authority's own code where it answered.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Config(error) => error.code(),
            Self::Unreachable { .. } => "authority_unreachable",
            Self::TimedOut { .. } => "authority_timed_out",
            Self::Answered(problem) => &problem.code,
            Self::Malformed(_) => "answer_malformed",
        }
    }

    /// The HTTP status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered(problem) => Some(problem.status),
            _ => None,
        }
    }

    /// Whether sending the same again may help, and the pause the authority asked for.
    pub(super) fn may_repeat(&self) -> Option<Option<Duration>> {
        match self {
            Self::Unreachable { .. } => Some(None),
            Self::Answered(problem) if is_passing(problem.status) => Some(problem.retry_after),
            _ => None,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Unreachable { url, cause } => write!(f, "the authority at {url} cannot be reached: {cause}"),
            Self::TimedOut { url, within } => {
                write!(f, "the authority at {url} did not answer within {:.1} s", within.as_secs_f32())
            }
            Self::Answered(problem) => problem.fmt(f),
            Self::Malformed(cause) => {
                write!(f, "the answer cannot be understood ({cause}); is this an annul authority of the same version?")
            }
        }
    }
}

impl std::error::Error for ClientError {}

/// What the authority said: RFC 9457 members of `/v1`, or RFC 6749 members of `/oauth2`, in one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable name for programs.
    pub code: String,
    /// The `error` of an OAuth answer (RFC 6749 §5.2), which is coarser than the code.
    pub oauth_error: Option<String>,
    /// What happened, in a few words.
    pub title: String,
    /// What happened here.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Finds the request in the authority's log.
    pub request_id: Option<String>,
    /// When to try again, where the authority says so.
    pub retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn read(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let wire: WireProblem = serde_json::from_slice(body).unwrap_or_default();
        let code = wire.code.or_else(|| wire.error.clone()).unwrap_or_else(|| format!("http_{status}"));
        Self {
            status,
            oauth_error: wire.error.clone(),
            title: wire.title.or(wire.error).unwrap_or_else(|| format!("the answer was {status}")),
            detail: wire.detail.or(wire.error_description),
            code,
            hint: wire.hint,
            request_id: wire.request_id,
            retry_after,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(&self.title))?;
        write!(f, " ({}, {})", self.status, self.code)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireProblem {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    request_id: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_error_forms_read_as_one() {
        let first = br#"{"title":"Not found","status":404,"code":"session_unknown","hint":"list them"}"#;
        let problem = Problem::read(404, first, None);
        assert_eq!((problem.code.as_str(), problem.hint.as_deref()), ("session_unknown", Some("list them")));

        let second = br#"{"error":"invalid_client","error_description":"no such client","code":"client_unknown"}"#;
        let problem = Problem::read(401, second, None);
        assert_eq!((problem.code.as_str(), problem.detail.as_deref()), ("client_unknown", Some("no such client")));

        let third = Problem::read(502, b"<html>", Some(Duration::from_secs(3)));
        assert_eq!(third.code, "http_502");
        assert_eq!(ClientError::Answered(Box::new(third)).may_repeat(), Some(Some(Duration::from_secs(3))));
    }
}
