//! `annul schedules`: revocations that wait for their time, and what has become of them.

use annul_core::time::UnixMillis;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format, thousands};
use crate::remote::Remote;
use crate::revocation::at_least;
use crate::sessions::time;
use crate::when::millis_text;

/// Show and cancel revocations that were made with --at or --over
#[derive(Args, Debug)]
pub(crate) struct Schedules {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them: those that wait by their time, then the others
    List,
    /// Show what one does when, and what it did; exit 1 when a step was refused
    Show {
        /// The schedule's id
        id: String,
    },
    /// Cancel what of one waits; what was done stays, and annul lift undoes it
    Cancel {
        /// The schedule's id
        id: String,
        /// Why, for the audit log
        #[arg(long)]
        reason: Option<String>,
    },
}

impl Schedules {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        match self.verb {
            Verb::List => {
                let answer = remote.get(&["v1", "revocations", "scheduled"]).await?;
                match format {
                    Format::Json => print::json(&answer),
                    Format::Human => print_list(print::rows(&answer, "schedules")),
                }
                Ok(Exit::Done)
            }
            Verb::Show { id } => conclude(&remote.get(&["v1", "revocations", "scheduled", &id]).await?, format),
            Verb::Cancel { id, reason } => {
                let call = remote.call(Method::DELETE, &["v1", "revocations", "scheduled", &id]);
                let query: Vec<_> = reason.map(|reason| ("reason", reason)).into_iter().collect();
                let answer = call.query(&query).json().await?;
                match format {
                    Format::Json => print::json(&answer),
                    Format::Human => print_one(&answer),
                }
                Ok(Exit::Done)
            }
        }
    }
}

/// Prints one schedule, or several, and says how the verb ends.
pub(crate) fn conclude(answer: &Value, format: Format) -> Outcome {
    match (format, answer.get("schedules")) {
        (Format::Json, _) => print::json(answer),
        (Format::Human, Some(_)) => print_list(print::rows(answer, "schedules")),
        (Format::Human, None) => print_one(answer),
    }
    Ok(if answer["state"] == "refused" { Exit::Refused } else { Exit::Done })
}

fn print_list(schedules: &[Value]) {
    let row = |schedule: &Value| {
        let steps = print::rows(schedule, "steps");
        let next = steps.iter().find(|step| step["state"] == "waiting");
        [
            print::member(schedule, "schedule"),
            print::member(schedule, "state"),
            next.map_or_else(String::new, |step| millis(step, "due")),
            millis(schedule, "complete_at"),
            format!("{} of {}", ended(schedule), count(schedule, "expected")),
            print::member(schedule, "actor"),
            print::member(schedule, "targets"),
        ]
    };
    print::table(
        ["SCHEDULE", "STATE", "NEXT", "COMPLETE AT", "SESSIONS", "ACTOR", "TARGETS"],
        schedules.iter().map(row).collect(),
        "no schedules",
    );
}

fn print_one(schedule: &Value) {
    print_steps(schedule);
    print::line("");
    let mut fields = vec![
        ("schedule", print::member(schedule, "schedule")),
        ("targets", print::member(schedule, "targets")),
        ("state", print::member(schedule, "state")),
        ("sessions", format!("{} ended of {} expected", ended(schedule), count(schedule, "expected"))),
        ("complete", format!("at {}", millis(schedule, "complete_at"))),
    ];
    let done: Vec<String> =
        print::rows(schedule, "steps").iter().map(|step| print::member(step, "positions")).collect();
    let done = done.iter().filter(|positions| !positions.is_empty()).cloned().collect::<Vec<_>>().join(" ");
    if !done.is_empty() {
        fields.push(("to undo", format!("annul lift {done}")));
    }
    if schedule["state"] == "waiting" {
        fields.push(("to stop", format!("annul schedules cancel {}", print::member(schedule, "schedule"))));
    }
    print::fields(&fields);
}

/// Prints what is done when.
pub(crate) fn print_steps(schedule: &Value) {
    let row = |step: &Value| {
        let cutoff = match &step["cutoff"] {
            Value::Object(_) => format!("before {}", time(&step["cutoff"], "before")),
            Value::String(cutoff) => cutoff.clone(),
            _ => "as asked".to_owned(),
        };
        let ended = if step["sessions"].is_null() { String::new() } else { ended(step) };
        let state = match print::rows(step, "refused") {
            [] => print::member(step, "state"),
            _ => format!("refused: {}", print::member(step, "refused")),
        };
        [millis(step, "due"), cutoff, count(step, "expected"), ended, state, print::member(step, "positions")]
    };
    let steps = print::rows(schedule, "steps").iter().map(row).collect();
    print::table(["DUE", "CUTOFF", "EXPECTED", "ENDED", "STATE", "POSITIONS"], steps, "nothing");
}

fn ended(value: &Value) -> String {
    format!("{}{}", at_least(value["sessions_at_least"] == true), count(value, "sessions"))
}

fn count(value: &Value, name: &str) -> String {
    thousands(value[name].as_u64().unwrap_or(0))
}

fn millis(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(String::new, |time| millis_text(UnixMillis(time)))
}
