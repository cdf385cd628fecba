//! How a verb ends: the exit codes, and the two lines that say what went wrong and what to do.
//!
//! Data goes to stdout, these lines go to stderr, and the exit code tells a program which of the
//! five ways it was. A verb that printed its answer and still did not succeed (a refused token, a
//! revocation that was not confirmed in time) ends with an [`Exit`] and no error line.

use std::fmt;
use std::process::ExitCode;

/// How the process ends. The numbers are part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that was asked for is done.
    Done = 0,
    /// Something was refused, or a check failed.
    Refused = 1,
    /// The command line or a file it names does not make sense; nothing was sent.
    Usage = 2,
    /// The revocation is durable, but not every verifier confirmed it within `--wait`.
    Unconfirmed = 3,
    /// There is no answer: the authority could not be reached or could not answer, or what it answered
    /// could not be written.
    Unreachable = 4,
    /// The credential is missing, wrong, or lacks the scope.
    NotPermitted = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What every verb returns.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a verb could not do its work, in words for the person who typed it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
    is_sent: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, is_sent: true }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// There was no connection, so nothing was sent.
    pub(crate) fn not_sent(message: impl Into<String>) -> Self {
        Self { is_sent: false, ..Self::unreachable(message) }
    }

    /// Whether what was asked may be done all the same: it was sent, and nobody said what became of it.
    pub(crate) fn leaves_open(&self) -> bool {
        self.exit == Exit::Unreachable && self.is_sent
    }

    /// What went wrong, without the hint.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// With this hint after the one there is.
    pub(crate) fn and_hint(mut self, hint: &str) -> Self {
        self.hint = Some(match self.hint {
            Some(first) => format!("{}; {hint}", first.trim_end_matches('.')),
            None => hint.to_owned(),
        });
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The message of an error and of everything that caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
