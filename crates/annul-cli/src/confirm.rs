//! Asking before something wide is done.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::failure::{Exit, Failure};

/// Whether the person said beforehand that there is no need to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    /// `--yes` was given.
    Given,
    /// It has to be asked for.
    Ask,
}

impl Consent {
    pub(crate) fn from_flag(yes: bool) -> Self {
        if yes { Self::Given } else { Self::Ask }
    }

    /// Whether a question is possible or not needed; checked before anything is sent.
    pub(crate) fn possible(self, what: &str) -> Result<(), Failure> {
        if self == Self::Given || can_ask() {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{what} needs a confirmation, and there is no terminal to ask on; nothing was done"
        ))
        .with_hint("look at it with --dry-run where there is one, then repeat with --yes"))
    }

    /// Asks, unless consent was given. Anything but `yes` is a no.
    pub(crate) fn obtain(self, question: &str) -> Result<(), Failure> {
        if self == Self::Given {
            return Ok(());
        }
        eprint!("{question}\nType yes to go on: ");
        let _ = io::stderr().flush();
        let mut answer = String::new();
        let read = io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
        if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Refused, "not confirmed; nothing was done"))
    }
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// `yes` and a newline, and room for whoever types more.
const MAX_ANSWER: u64 = 1024;
