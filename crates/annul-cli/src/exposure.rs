//! `annul audit exposure`: which requests could have been accepted between two times.

use annul_core::time::UnixMillis;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::sessions::time;
use crate::when::{TimeArg, millis_text};

/// Sessions that one command asks for: more are not read by a person, and a program can page.
const MOST_SESSIONS: usize = 10_000;
/// Sessions of one call.
const PAGE: usize = 500;

/// Which requests could have been accepted: whose tokens, until when, at which verifiers
///
/// The authority sees no requests. It says which sessions had tokens that could have been accepted in
/// the span; look for their sids in the access logs of the services. What it cannot know is listed.
#[derive(Args, Debug)]
pub(crate) struct Exposure {
    /// What the tokens name, such as subject:alice
    target: String,
    /// From when on
    #[arg(long, value_name = "TIME")]
    from: TimeArg,
    /// To when; to now where it is not given
    #[arg(long, value_name = "TIME")]
    to: Option<TimeArg>,
}

impl Exposure {
    pub(crate) async fn run(self, remote: &Remote, format: Format) -> Outcome {
        let answer = self.whole(remote).await?;
        match format {
            Format::Json => print::json(&answer),
            Format::Human => print_answer(&answer),
        }
        Ok(Exit::Done)
    }

    /// All pages as one answer; `next` stays in it when there are more than are asked for.
    async fn whole(&self, remote: &Remote) -> Result<Value, Failure> {
        let mut sessions: Vec<Value> = Vec::new();
        let mut query = vec![
            ("target", self.target.clone()),
            ("from", self.from.0.to_string()),
            ("limit", PAGE.to_string()),
            ("after", String::new()),
        ];
        query.extend(self.to.map(|to| ("to", to.0.to_string())));
        loop {
            let mut answer = remote.call(Method::GET, &["v1", "audit", "exposure"]).query(&query).json().await?;
            sessions.extend_from_slice(print::rows(&answer, "sessions"));
            let next = answer["next"].as_str().map(str::to_owned);
            match next.filter(|_| sessions.len() < MOST_SESSIONS) {
                Some(next) => query[3].1 = next,
                None => {
                    answer["sessions"] = json!(sessions);
                    return Ok(answer);
                }
            }
        }
    }
}

fn print_answer(answer: &Value) {
    print::line(&format!(
        "Tokens of {} that could have been accepted from {} to {}",
        print::clean(&print::member(answer, "target")),
        millis(answer, "from"),
        millis(answer, "to")
    ));
    print::line("");
    print::table(
        [
            "SESSION",
            "SUBJECT",
            "DEVICE",
            "CLIENT",
            "OPENED",
            "STATUS",
            "REFUSED BY",
            "CHECKED UNTIL",
            "UNCHECKED UNTIL",
        ],
        print::rows(answer, "sessions").iter().map(session).collect(),
        "no session had such a token",
    );
    if !answer["next"].is_null() {
        print::line("and more: ask for a shorter span, or page through GET /v1/audit/exposure");
    }
    print::line("");
    print::table(
        ["ENTRY", "CUTOFF", "REACH", "ACKNOWLEDGED", "ENFORCED BY", "LIFTED BY"],
        print::rows(answer, "entries").iter().map(entry).collect(),
        "no entry against this very target",
    );
    print::line("");
    print::table(
        ["VERIFIERS FROM", "LONGEST AGE", "ROUTES THAT NEVER CHECK", "ROUTES THAT STAY OPEN"],
        print::rows(answer, "bounds").iter().map(bound).collect(),
        "nothing is on record of the verifiers of that time",
    );
    print::line("");
    print::table(
        ["VERIFIER", "STATE", "HAS APPLIED", "HEARD", "ACCEPTS UNTIL"],
        print::rows(answer, "verifiers").iter().map(verifier).collect(),
        "no verifier is known now",
    );
    print::line("");
    print::line("Not known:");
    for unknown in print::rows(answer, "not_known") {
        print::line(&format!("- {}", print::clean(unknown.as_str().unwrap_or_default())));
    }
}

fn session(session: &Value) -> [String; 9] {
    let text = |name: &str| print::member(session, name);
    [
        text("sid"),
        text("subject"),
        print::member(&session["device"], "id"),
        text("client_id"),
        time(session, "created"),
        text("status"),
        text("refused_by"),
        millis(session, "check_until"),
        millis(session, "verify_until"),
    ]
}

fn entry(entry: &Value) -> [String; 6] {
    let cutoff = match &entry["cutoff"] {
        Value::Object(_) => format!("before {}", time(&entry["cutoff"], "before")),
        _ => print::member(entry, "cutoff"),
    };
    [
        print::member(entry, "position"),
        cutoff,
        print::member(entry, "reach"),
        millis(entry, "time"),
        millis(entry, "enforced_by"),
        print::member(entry, "lifted"),
    ]
}

fn bound(bound: &Value) -> [String; 4] {
    let some = |name: &str| if bound[name] == true { "some" } else { "none" }.to_owned();
    [millis(bound, "since"), format!("{} s", print::member(bound, "longest_age")), some("verify"), some("open")]
}

fn verifier(verifier: &Value) -> [String; 5] {
    [
        format!("{}/{}", print::member(verifier, "name"), print::member(verifier, "instance")),
        print::member(verifier, "state"),
        print::member(verifier, "position"),
        millis(verifier, "heard_at"),
        millis(verifier, "accepts_until"),
    ]
}

fn millis(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(String::new, |time| millis_text(UnixMillis(time)))
}
