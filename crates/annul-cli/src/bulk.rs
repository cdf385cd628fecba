//! Many targets in one command: read as lines, cut into batches, each of which the authority takes
//! whole or not at all.

use annul_core::target::{Target, TargetKind};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::print::{self, Format};
use crate::remote::Remote;
use crate::when::WaitArg;

/// Targets of one call: one transaction.
const MAX_BATCH: usize = 100;
/// Bytes of the targets of one call: well under the authority's bound of a body.
const MAX_BATCH_BYTES: usize = 32 * 1024;

/// A target as it was written, and what its line says in place of the flags.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) kind: TargetKind,
    number: usize,
    instead: Map<String, Value>,
}

/// A line that is a JSON object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    target: String,
    cutoff: Option<Value>,
    reach: Option<String>,
    reason: Option<String>,
}

impl Line {
    /// A line that is a target.
    pub(crate) fn target(text: &str, number: usize) -> Result<Self, Failure> {
        // The issuer plays no part in the form; the authority puts its own in place.
        let target = Target::parse(text, "own")
            .map_err(|error| Failure::usage(format!("{:?} is not a target: {error}", print::clean(text))))?;
        Ok(Self { text: text.to_owned(), kind: target.kind(), number, instead: Map::new() })
    }

    fn json(text: &str, number: usize) -> Result<Self, Failure> {
        let line: JsonLine = serde_json::from_str(text)
            .map_err(|error| Failure::usage(format!("not an object with target, cutoff, reach, reason: {error}")))?;
        let mut instead = Map::new();
        let members =
            [("cutoff", line.cutoff), ("reach", line.reach.map(Value::from)), ("reason", line.reason.map(Value::from))];
        for (name, value) in members {
            if let Some(value) = value {
                instead.insert(name.to_owned(), value);
            }
        }
        Ok(Self { instead, ..Self::target(&line.target, number)? })
    }
}

/// The lines of a file without comments and empty ones.
pub(crate) fn read_lines(text: &str) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = if line.starts_with('{') { Line::json(line, number) } else { Line::target(line, number) };
        lines.push(
            read.map_err(|failure| {
                Failure::usage(format!("line {number}: {}; nothing was revoked", failure.message()))
            })?,
        );
    }
    Ok(lines)
}

/// What one call sends, and the lines it stands for.
#[derive(Debug)]
pub(crate) struct Batch {
    body: Value,
    lines: std::ops::RangeInclusive<usize>,
}

/// Consecutive lines that say the same besides their targets, within the bounds of a call; a key is
/// killed by a call of its own.
pub(crate) fn batches(body: &Map<String, Value>, lines: &[Line]) -> Vec<Batch> {
    if lines.is_empty() {
        return vec![Batch { body: Value::Object(body.clone()), lines: 0..=0 }];
    }
    let mut batches = Vec::new();
    let mut rest = lines;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let fits = |line: &&Line| {
            bytes += line.text.len();
            line.instead == first.instead && line.kind != TargetKind::Key && bytes <= MAX_BATCH_BYTES
        };
        let count = rest.iter().take(MAX_BATCH).take_while(fits).count().max(1);
        let (batch, later) = rest.split_at(count);
        rest = later;
        let mut body = body.clone();
        body.extend(first.instead.clone());
        body.insert("targets".to_owned(), batch.iter().map(|line| line.text.as_str()).collect());
        let last = batch.last().map_or(first.number, |line| line.number);
        batches.push(Batch { body: Value::Object(body), lines: first.number..=last });
    }
    batches
}

/// The batches of one command on their way to the authority.
pub(crate) struct Bulk<'r> {
    remote: &'r Remote,
    is_file: bool,
    batches: Vec<Batch>,
}

impl<'r> Bulk<'r> {
    pub(crate) const fn new(remote: &'r Remote, is_file: bool, batches: Vec<Batch>) -> Self {
        Self { remote, is_file, batches }
    }

    /// What sending would do, and nothing is done. Over several batches the count of sessions is the
    /// most: one that two batches name is counted twice.
    pub(crate) async fn rehearse(&self) -> Result<Value, Failure> {
        let mut whole = Value::Null;
        for batch in &self.batches {
            let mut body = batch.body.clone();
            body["dry_run"] = json!(true);
            let answer = self.remote.post(&["v1", "revocations"], &body).await;
            whole = joined(whole, answer.map_err(|failure| self.named(batch, failure, "nothing was revoked"))?);
        }
        if self.batches.len() > 1 {
            whole["sessions_at_most"] = json!(true);
        }
        Ok(whole)
    }

    /// Sends the batches in order. Only the last waits: positions are dense, so a verifier that has
    /// applied the last entry has applied all before it. Where one fails, what the ones before it did
    /// stands, is printed for programs, and is named with the way to go on.
    pub(crate) async fn send(&self, key: &str, wait: Option<WaitArg>, format: Format) -> Result<Value, Failure> {
        let mut whole = Value::Null;
        for (index, batch) in self.batches.iter().enumerate() {
            let last = index + 1 == self.batches.len();
            match self.send_one(batch, &self.batch_key(key, index), wait.filter(|_| last)).await {
                Ok(answer) => whole = joined(whole, answer),
                Err(failure) => return Err(self.stopped(index, whole, failure, key, format)),
            }
        }
        Ok(whole)
    }

    async fn send_one(&self, batch: &Batch, key: &str, wait: Option<WaitArg>) -> Result<Value, Failure> {
        let mut body = batch.body.clone();
        if let Some(wait) = wait {
            body["wait"] = json!(wait.millis());
        }
        let call = self.remote.call(Method::POST, &["v1", "revocations"]).header("Idempotency-Key", key).body(&body);
        call.waiting(wait.map(WaitArg::duration).unwrap_or_default()).json().await
    }

    fn batch_key(&self, key: &str, index: usize) -> String {
        if self.batches.len() == 1 { key.to_owned() } else { format!("{key}-{index}") }
    }

    fn stopped(&self, index: usize, mut done: Value, failure: Failure, key: &str, format: Format) -> Failure {
        let go_on =
            format!("repeat the command with --idempotency-key {key}: what is recorded already is not revoked twice");
        if self.batches.len() == 1 {
            return if failure.leaves_open() { failure.and_hint(&go_on) } else { failure };
        }
        let Some(batch) = self.batches.get(index) else { return failure };
        let before = index.checked_sub(1).and_then(|index| self.batches.get(index));
        let last_done = before.map_or(0, |before| *before.lines.end());
        if format == Format::Json {
            if done.is_null() {
                done = json!({});
            }
            done["stopped"] = json!({
                "done_to_line": last_done, "line": batch.lines.start(), "error": failure.message(),
                "idempotency_key": key
            });
            print::json(&done);
        }
        let stands = match last_done {
            0 => "nothing before was revoked".to_owned(),
            line => format!("all up to line {line} is revoked and stays so"),
        };
        let stands = if failure.leaves_open() { format!("{stands}, and these may be too") } else { stands };
        self.named(batch, failure, &stands).with_hint(go_on)
    }

    fn named(&self, batch: &Batch, failure: Failure, state: &str) -> Failure {
        if !self.is_file {
            return failure;
        }
        let (first, last) = (batch.lines.start(), batch.lines.end());
        let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
        Failure::new(failure.exit, format!("{lines}: {}; {state}", failure.message()))
    }
}

/// Two answers as one: lists after each other, sessions added, all else from the later one.
/// Schedules become a list of them.
fn joined(before: Value, mut later: Value) -> Value {
    if before.is_null() {
        return later;
    }
    if later.get("schedule").is_some_and(Value::is_string) {
        let mut schedules = match before.get("schedules") {
            Some(Value::Array(schedules)) => schedules.clone(),
            _ => vec![before],
        };
        schedules.push(later);
        return json!({ "schedules": schedules });
    }
    for list in ["revocations", "targets"] {
        if let (Some(first), Some(rest)) = (before[list].as_array(), later[list].as_array()) {
            later[list] = first.iter().chain(rest).cloned().collect();
        }
    }
    if let (Some(first), Some(rest)) = (before["sessions"].as_u64(), later["sessions"].as_u64()) {
        later["sessions"] = json!(first + rest);
    }
    if before["sessions_at_least"] == json!(true) {
        later["sessions_at_least"] = json!(true);
    }
    later
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    #[test]
    fn answers_of_batches_become_one() {
        let first = json!({"revocations": [1, 2], "sessions": 3, "sessions_at_least": true, "position": "1:2"});
        let second = json!({"revocations": [3], "sessions": 4, "position": "1:3"});
        let whole = json!({"revocations": [1, 2, 3], "sessions": 7, "sessions_at_least": true, "position": "1:3"});
        assert_eq!(joined(joined(Value::Null, first), second), whole);
        let schedule = |id: &str| json!({"schedule": id});
        let whole = ["a", "b", "c"].into_iter().fold(Value::Null, |whole, id| joined(whole, schedule(id)));
        assert_eq!(whole, json!({"schedules": [schedule("a"), schedule("b"), schedule("c")]}));
    }

    #[test]
    fn lines_are_targets_or_objects_and_a_bad_one_is_named() {
        let text = "# comment\nsubject:a\n\n{\"target\": \"subject:b\", \"reach\": \"access\"}\nsubject:c\n";
        let lines = read_lines(text).unwrap();
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4, 5]);
        let batches = batches(&Map::new(), &lines);
        assert_eq!(batches.iter().map(|batch| batch.lines.clone()).collect::<Vec<_>>(), [2..=2, 4..=4, 5..=5]);
        assert_eq!(batches[1].body, json!({"targets": ["subject:b"], "reach": "access"}));
        for bad in ["alice", "{\"target\": \"alice\"}", "{\"target\": \"subject:a\", \"until\": 5}", "{}"] {
            let failure = read_lines(&format!("subject:a\n{bad}\n")).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.message().starts_with("line 2: "), "{failure}");
        }
    }

    #[test]
    fn batches_are_bounded_in_targets_and_bytes_and_hold_one_key() {
        let lines = |texts: Vec<String>| read_lines(&texts.join("\n")).unwrap();
        let count = |texts| batches(&Map::new(), &lines(texts)).len();
        assert_eq!(count((0..201).map(|index| format!("subject:u{index}")).collect()), 3);
        assert_eq!(count((0..40).map(|index| format!("subject:{index:02}{}", "x".repeat(2000))).collect()), 3);
        assert_eq!(count(vec!["key:a".to_owned(), "key:b".to_owned(), "subject:a".to_owned()]), 3);
    }
}
