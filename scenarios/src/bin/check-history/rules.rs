//! The promises, one module for each group, and the report on them.

mod durable;
mod enforced;
mod issued;
mod ordered;
mod progress;
mod refused;

use std::collections::BTreeMap;

use crate::history::History;
use crate::world::World;

/// Findings that are printed for one promise; the rest are counted.
const SHOWN: usize = 8;

/// A promise, by its id in ARCHITECTURE.md, with the part of it that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// From acknowledgement + `max_staleness` on nobody accepts.
    I1,
    /// Once a verifier is confirmed, it does not accept.
    I1Confirmed,
    /// Acknowledged means durable, and refused means that nothing happened.
    I2,
    /// Positions are dense and in commit order, and whoever read one read what is there.
    I3,
    /// A verifier's position never goes back.
    I4,
    /// No false refusal.
    I8,
    /// Also not of a login right after "log out everywhere".
    I8Fresh,
    /// A token carries at least what was acknowledged before it was asked for, and is not dead.
    I9,
    /// No next token after a revocation that reaches the session.
    I14,
}

impl Promise {
    const ALL: [Self; 9] =
        [Self::I1, Self::I1Confirmed, Self::I2, Self::I3, Self::I4, Self::I8, Self::I8Fresh, Self::I9, Self::I14];

    const fn name(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I1Confirmed => "I1-confirmed",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I8 => "I8",
            Self::I8Fresh => "I8-fresh",
            Self::I9 => "I9",
            Self::I14 => "I14",
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cases: BTreeMap<Promise, u64>,
    findings: BTreeMap<Promise, Vec<String>>,
}

impl Report {
    /// Counts a case in which the promise could have been broken and was kept.
    pub(crate) fn kept(&mut self, promise: Promise) {
        *self.cases.entry(promise).or_default() += 1;
    }

    /// Notes a case in which it was broken.
    pub(crate) fn broken(&mut self, promise: Promise, what: String) {
        self.findings.entry(promise).or_default().push(what);
    }

    /// Whether every promise had cases and was kept in all of them.
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty() && Promise::ALL.iter().all(|promise| self.cases.contains_key(promise))
    }

    /// `KEPT | BROKEN | UNTRIED  promise  cases`, then what broke it.
    pub(crate) fn print(&self) {
        for promise in Promise::ALL {
            let cases = self.cases.get(&promise).copied().unwrap_or_default();
            let findings = self.findings.get(&promise).map(Vec::as_slice).unwrap_or_default();
            let outcome = match (findings.len(), cases) {
                (0, 0) => "UNTRIED",
                (0, _) => "KEPT",
                _ => "BROKEN",
            };
            println!("{outcome:8} {:13} {cases} cases, {} findings", promise.name(), findings.len());
            for finding in findings.iter().take(SHOWN) {
                println!("    {finding}");
            }
        }
    }
}

/// Holds every promise against the history.
pub(crate) fn check_all(history: &History, world: &World<'_>, report: &mut Report) {
    enforced::check(history, world, report);
    durable::check(history, report);
    ordered::check(history, world, report);
    progress::check(history, report);
    refused::check(history, world, report);
    issued::check(history, world, report);
}
