//! The answer to a revoking call, as a security engineer at three in the morning needs it: what was
//! revoked, from when it holds, where it is in force already, and who has not been heard.

use annul_core::position::Position;
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Exit, Failure, Outcome};
use crate::print::{self, Format, MAX_SHOWN, thousands};
use crate::when::{millis_text, seconds_text, span};

/// What the authority answers to everything that revokes.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    revocations: Vec<Entry>,
    #[serde(default)]
    lifted: Vec<String>,
    position: Option<Position>,
    #[serde(default)]
    sessions: u64,
    /// Whether more may have ended than were counted.
    #[serde(default)]
    sessions_at_least: bool,
    acknowledged_at: Option<u64>,
    enforced_by: Option<u64>,
    confirmation: Option<Confirmation>,
    /// What became of the session that was to stay.
    kept: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    position: String,
    target: String,
    cutoff: Value,
    reach: String,
    until: Option<u64>,
    /// What it follows from, where it was not asked for by itself.
    emitted_by: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Confirmation {
    confirmed: bool,
    #[serde(default)]
    silent: u64,
    #[serde(default)]
    verifiers: Vec<Verifier>,
    #[serde(default)]
    not_counted: Vec<String>,
    #[serde(default)]
    routes: Value,
}

#[derive(Debug, Deserialize)]
struct Verifier {
    name: String,
    instance: String,
    #[serde(default)]
    state: String,
    position: Option<Position>,
    heard_ms_ago: Option<u64>,
    #[serde(default)]
    done: bool,
}

/// Prints the answer and says how the verb ends: durable and confirmed, or durable only.
pub(crate) fn conclude(answer: &Value, format: Format) -> Outcome {
    let parsed = Answer::read(answer)?;
    match format {
        Format::Json => print::json(answer),
        Format::Human => parsed.print_revoked(),
    }
    Ok(parsed.exit())
}

/// The same for the answer to a lift.
pub(crate) fn conclude_lift(answer: &Value, format: Format) -> Outcome {
    let parsed = Answer::read(answer)?;
    match format {
        Format::Json => print::json(answer),
        Format::Human => parsed.print_lifted(),
    }
    Ok(parsed.exit())
}

impl Answer {
    fn read(answer: &Value) -> Result<Self, Failure> {
        serde_json::from_value(answer.clone()).map_err(|error| {
            Failure::unreachable(format!(
                "the authority's answer cannot be read ({error}); it may be recorded all the same"
            ))
            .with_hint("look for it with `annul audit`")
        })
    }

    fn exit(&self) -> Exit {
        let confirmed = self.confirmation.as_ref().is_none_or(|confirmation| confirmation.confirmed);
        if confirmed { Exit::Done } else { Exit::Unconfirmed }
    }

    fn print_revoked(&self) {
        let rows = self.revocations.iter().take(MAX_SHOWN).map(Entry::row).collect();
        print::table(["POSITION", "TARGET", "CUTOFF", "REACH", "KEPT UNTIL"], rows, "nothing was revoked");
        if self.revocations.len() > MAX_SHOWN {
            print::line(&format!("and {} more", thousands((self.revocations.len() - MAX_SHOWN) as u64)));
        }
        print::line("");
        let mut fields = vec![
            ("position", self.position_text()),
            ("sessions", format!("{}{} ended", at_least(self.sessions_at_least), thousands(self.sessions))),
            ("holds", self.holds()),
        ];
        match self.kept.as_deref() {
            Some("kept") => {
                fields.push(("kept", "the session stays; its new token is in the answer of --json".to_owned()));
            }
            Some(otherwise) => fields.push(("NOT kept", format!("the session was revoked already ({otherwise})"))),
            None => {}
        }
        self.describe_confirmation(&mut fields);
        print::fields(&fields);
    }

    fn print_lifted(&self) {
        let mut fields = vec![("lifted", self.lifted.join(" ")), ("position", self.position_text())];
        self.describe_confirmation(&mut fields);
        print::fields(&fields);
    }

    fn position_text(&self) -> String {
        self.position.map_or_else(|| "none".to_owned(), |position| position.to_string())
    }

    fn describe_confirmation(&self, fields: &mut Vec<(&'static str, String)>) {
        match &self.confirmation {
            None => fields.push(("applied", "not waited for; add --wait 2s to be told".to_owned())),
            Some(confirmation) => confirmation.describe(self.position, fields),
        }
    }

    /// From when it holds, as a time and as a span from the acknowledgement: both by the authority's
    /// clock, so that this machine's clock plays no part.
    fn holds(&self) -> String {
        let bound = match (self.enforced_by, self.acknowledged_at) {
            (Some(by), Some(at)) if by <= at => return format!("since {}", millis_text(UnixMillis(at))),
            (Some(by), Some(at)) => {
                format!("everywhere by {} at the latest, in {}", millis_text(UnixMillis(by)), exact_span(by - at))
            }
            (Some(by), None) => format!("everywhere by {} at the latest", millis_text(UnixMillis(by))),
            (None, _) => "at no stated time: a route accepts a view of any age".to_owned(),
        };
        match &self.confirmation {
            Some(confirmation) if confirmation.confirmed => format!("now on every verifier that reports; {bound}"),
            _ => bound,
        }
    }
}

impl Entry {
    fn row(&self) -> [String; 5] {
        let cutoff = match &self.cutoff {
            Value::String(text) => text.clone(),
            other => match other["before"].as_u64() {
                Some(before) => format!("before {}", seconds_text(UnixSeconds(before))),
                None => other.to_string(),
            },
        };
        [self.position.clone(), self.target.clone(), cutoff, self.reach.clone(), self.kept_until()]
    }

    /// An entry without an until ends by a lift only where it was asked for by itself.
    fn kept_until(&self) -> String {
        match (self.until, self.emitted_by.as_deref()) {
            (Some(until), _) => seconds_text(UnixSeconds(until)),
            (None, None) => "lifted".to_owned(),
            (None, Some("state")) => "its state ends".to_owned(),
            (None, Some(_)) => "for good".to_owned(),
        }
    }
}

impl Confirmation {
    fn describe(&self, position: Option<Position>, fields: &mut Vec<(&'static str, String)>) {
        let missing: Vec<_> = self.verifiers.iter().filter(|verifier| verifier.position < position).collect();
        let applied = self.verifiers.len() - missing.len();
        let silent = if self.silent == 0 { String::new() } else { format!(", {} silent", self.silent) };
        let verdict = if self.confirmed { "" } else { "; NOT confirmed by all within --wait" };
        fields.push(("applied", format!("{applied} of {} verifiers{silent}{verdict}", self.verifiers.len())));
        for verifier in missing {
            // Done without having applied it: its view is too old to accept anything.
            fields.push((if verifier.done { "run out" } else { "missing" }, verifier.describe()));
        }
        for (kind, meaning) in
            [("verify", "route(s) never look at revocations"), ("open", "route(s) go on without the authority")]
        {
            let count = self.routes[kind].as_u64().unwrap_or(0);
            if count > 0 {
                fields.push(("mind", format!("{count} `{kind}` {meaning}")));
            }
        }
        if !self.not_counted.is_empty() {
            fields.push(("not counted", self.not_counted.join(", ")));
        }
    }
}

impl Verifier {
    fn describe(&self) -> String {
        let heard = self.heard_ms_ago.map_or_else(|| "never heard".to_owned(), |ms| format!("heard {} ago", span(ms)));
        let position = self.position.map_or_else(|| "nothing".to_owned(), |position| position.to_string());
        let ran_out = if self.done { ", accepts nothing any more" } else { "" };
        format!("{}/{}: {heard}, {}, has applied {position}{ran_out}", self.name, self.instance, self.state)
    }
}

/// In front of a count that may be too small.
pub(crate) const fn at_least(may_be_more: bool) -> &'static str {
    if may_be_more { "at least " } else { "" }
}

/// A span in milliseconds while a person can still read it as such.
fn exact_span(millis: u64) -> String {
    if millis < 10_000 { format!("{millis} ms") } else { format!("{millis} ms ({})", span(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(value: Value) -> Answer {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn holding_is_told_as_a_time_and_as_a_span_of_the_authoritys_clock() {
        let answer = answer(serde_json::json!({"acknowledged_at": 1_000, "enforced_by": 1_812}));
        assert_eq!(answer.holds(), "everywhere by 1970-01-01T00:00:01.812Z at the latest, in 812 ms");
    }

    #[test]
    fn only_what_a_lift_can_end_is_kept_until_lifted() {
        let kept = |more: Value| {
            let mut entry = serde_json::json!({"position": "1:9", "target": "t", "cutoff": "always", "reach": "both"});
            entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Entry>(entry).unwrap().kept_until()
        };
        assert_eq!(kept(serde_json::json!({})), "lifted");
        assert_eq!(kept(serde_json::json!({"emitted_by": "key"})), "for good");
        assert_eq!(kept(serde_json::json!({"emitted_by": "state"})), "its state ends");
        assert_eq!(kept(serde_json::json!({"emitted_by": "session", "until": 60})), "1970-01-01T00:01:00Z");
    }

    #[test]
    fn a_silent_verifier_is_named() {
        let answer = answer(serde_json::json!({
            "position": "1:9",
            "confirmation": {"confirmed": false, "silent": 1, "not_counted": ["bare JWKS holders"], "routes": {"verify": 1},
                "verifiers": [
                    {"name": "api", "instance": "a", "state": "live", "position": "1:9", "heard_ms_ago": 12, "done": true},
                    {"name": "api", "instance": "b", "state": "live", "position": "1:4", "heard_ms_ago": 9_000}]}
        }));
        let mut fields = Vec::new();
        answer.confirmation.as_ref().unwrap().describe(answer.position, &mut fields);
        let text = fields.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join("\n");
        assert!(text.contains("applied 1 of 2 verifiers, 1 silent; NOT confirmed"), "{text}");
        assert!(text.contains("missing api/b: heard 9.0 s ago"), "{text}");
        assert!(text.contains("mind 1 `verify`"), "{text}");
        assert!(text.contains("not counted bare JWKS holders"), "{text}");
    }
}
