//! `annul demo`: the whole system on this machine, in separate processes, in under a minute.
//!
//! ```text
//! this process ── HTTP ──▶ authority ──feed──▶ api      HTTP, behind AnnulLayer
//!      │                        ├─────feed──▶ socket   WebSocket, closed by watch
//!      │                        ├─────feed──▶ worker   a queue of jobs, each with a token
//!      └── proxy, can be cut ───┴─────feed──▶ edge     HTTP, three seconds of staleness
//! ```
//!
//! Every step asserts what is refused and what still passes. Milliseconds run from the moment the
//! acknowledgement of a revoking call arrived here to the first refusal that a client saw, with the
//! client asking as fast as it can: the slowest verifier counts, and nothing is waited for by
//! sleeping. The processes are this binary, started again; none outlives this one.

mod authority;
mod foreign;
mod probe;
mod process;
mod proxy;
pub(crate) mod role;
mod service;
mod steps;
mod theft;

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use self::process::Children;
use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};

/// Show it all working on this machine, measured, in under a minute
///
/// Starts an authority, three kinds of services and a foreign issuer on free loopback ports with data
/// in a temporary directory. Needs nothing installed, and leaves nothing behind.
#[derive(Args, Debug)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let directory = tempfile::Builder::new()
            .prefix("annul-demo-")
            .tempdir()
            .map_err(|error| Failure::refused(format!("no temporary directory can be made: {error}")))?;
        let mut report = Report { format, steps: Vec::new() };
        let children = Children::new(directory.path());
        let result = tokio::select! {
            result = steps::run(&children, &mut report) => Some(result),
            () = tokio::time::sleep(LONGEST) => Some(Err(Problem::from("it takes longer than it ever should"))),
            () = annul_authority::serve::stop_signal() => None,
        };
        children.end().await;
        let Some(result) = result else {
            return Err(Failure::refused("interrupted; every process it started is gone"));
        };
        let Err(problem) = result else {
            report.finish();
            return Ok(Exit::Done);
        };
        report.end(&problem.step, Err(problem.text));
        report.finish();
        eprintln!("hint: what the processes logged is kept in {}", directory.keep().display());
        Ok(Exit::Refused)
    }
}

/// Why a step failed. The steps after it build on it, so it is the last.
#[derive(Debug)]
pub(crate) struct Problem {
    step: String,
    text: String,
}

impl Problem {
    fn in_step(mut self, step: &str) -> Self {
        self.step = step.to_owned();
        self
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self { step: "the demonstration runs".to_owned(), text }
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::from(failure.message().to_owned())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::from(error.to_string())
    }
}

/// How long a step took, overall and at each service.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// The service and the time from the acknowledgement to its first refusal.
    refusals: Vec<(String, Duration)>,
}

impl Measured {
    fn slowest(&self) -> Option<Duration> {
        self.refusals.iter().map(|(_, after)| *after).max()
    }
}

/// What the steps came to, printed as they end.
pub(crate) struct Report {
    format: Format,
    steps: Vec<Value>,
}

impl Report {
    fn end(&mut self, step: &str, result: Result<Measured, String>) {
        let (ok, measured, problem) = match result {
            Ok(measured) => (true, measured, None),
            Err(problem) => (false, Measured::default(), Some(problem)),
        };
        let milliseconds = measured.slowest().map(millis);
        if self.format == Format::Human {
            let mark = if ok { "ok  " } else { "FAIL" };
            let time = milliseconds.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
            print::line(&format!("{mark}  {step:<STEP_WIDTH$}  {time:>8}"));
            if let Some(problem) = &problem {
                print::line(&format!("      {}", print::clean(problem)));
            }
        }
        let services: serde_json::Map<_, _> =
            measured.refusals.iter().map(|(name, after)| (name.clone(), json!(millis(*after)))).collect();
        let mut entry = json!({ "ok": ok, "step": step, "milliseconds": milliseconds, "services": services });
        if let Some(problem) = problem {
            entry["problem"] = json!(problem);
        }
        self.steps.push(entry);
    }

    fn finish(&self) {
        if self.format == Format::Json {
            let ok = self.steps.iter().all(|step| step["ok"] == true);
            print::json(&json!({ "ok": ok, "steps": self.steps }));
        }
    }
}

fn millis(duration: Duration) -> f64 {
    // To a tenth: what lies below is the scheduler's.
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The steps' names stand in one column.
const STEP_WIDTH: usize = 62;
/// The run takes a fraction of this; past it something hangs, and it is better said than waited for.
const LONGEST: Duration = Duration::from_secs(120);
