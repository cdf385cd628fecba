//! `annul doctor`: does a revocation reach every verifier, judged by its ordinary path?
//!
//! The authority sends each connected verifier a canary token over the verifier's own stream; the
//! verifier judges it before and after it is revoked and reports both. This file asks and prints.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::credential::Connection;
use crate::failure::{Exit, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::WaitArg;

/// Revoke a canary token and see every verifier refuse it
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// How long a verifier may take, at most 60s
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    wait: WaitArg,
    #[command(flatten)]
    connection: Connection,
}

impl Doctor {
    pub(crate) async fn run(self, format: Format) -> Outcome {
        let remote = Remote::connect(&self.connection)?;
        let call = remote.call(Method::POST, &["v1", "doctor"]).body(&json!({ "wait": self.wait.millis() }));
        // Both halves, before and after, may take as long.
        let answer = call.waiting(self.wait.duration().saturating_mul(2)).json().await?;
        match format {
            Format::Json => print::json(&answer),
            Format::Human => print_answer(&answer),
        }
        Ok(if answer["ok"] == true { Exit::Done } else { Exit::Refused })
    }
}

fn print_answer(answer: &Value) {
    let rows = print::rows(answer, "verifiers").iter().map(row).collect();
    print::table(["", "VERIFIER", "BEFORE", "AFTER", "APPLIED IN", "POSITION"], rows, "no verifier is connected");
    let cannot_see = print::rows(answer, "cannot_see");
    if !cannot_see.is_empty() {
        print::line("");
        print::line("This cannot see:");
        for item in cannot_see {
            print::line(&format!("  {}", print::clean(item.as_str().unwrap_or_default())));
        }
    }
    print::line("");
    print::line(&print::clean(&word(print::rows(answer, "verifiers"))));
}

/// The word of it, last and in one line: whether a revocation reaches everybody, and if not, whom to
/// look at and how.
fn word(verifiers: &[Value]) -> String {
    let count = |count: usize| if count == 1 { "1 verifier".to_owned() } else { format!("{count} verifiers") };
    let failing: Vec<_> = verifiers.iter().filter(|verifier| !passes(verifier)).map(id).collect();
    match (verifiers.len(), failing.len()) {
        (0, _) => "FAIL: nothing was examined; start a verifier, or see `annul feed status`".to_owned(),
        (1, 0) => "ok: the verifier refused what was revoked".to_owned(),
        (all, 0) => format!("ok: all {all} verifiers refused what was revoked"),
        (all, _) => format!(
            "FAIL: {} of {} did not: {}. One without an answer hears nothing and refuses everything once its \
             max_staleness is over; look at its log and its /statusz",
            failing.len(),
            count(all),
            failing.join(", ")
        ),
    }
}

fn passes(verifier: &Value) -> bool {
    verifier["before"] == "active" && verifier["after"] == "revoked"
}

fn id(verifier: &Value) -> String {
    format!("{}/{}", print::member(verifier, "name"), print::member(verifier, "instance"))
}

fn row(verifier: &Value) -> [String; 6] {
    let text = |name: &str| print::member(verifier, name);
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    let applied = verifier["applied_ms"].as_u64().map_or_else(|| "not seen".to_owned(), |ms| format!("{ms} ms"));
    [
        (if passes(verifier) { "ok" } else { "FAIL" }).to_owned(),
        id(verifier),
        or(text("before"), "no answer"),
        or(text("after"), "no answer"),
        applied,
        text("position"),
    ]
}
