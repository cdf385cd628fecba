//! A recorded history, read to be falsified: its lines, and what in them is certain.
//!
//! Of what was never answered a checker has to allow both. A case that rests on it is no case, so what is
//! offered here to be falsified is what must have been so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

/// Recorded lines, file by file.
pub(crate) type Files = BTreeMap<String, Vec<Value>>;

pub(crate) fn read(folder: &Path) -> Files {
    let files = std::fs::read_dir(folder).expect("the records can be listed").map_while(Result::ok);
    let lines = |text: String| text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    files
        .map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("records are text");
            (file.file_name().to_string_lossy().into_owned(), lines(text))
        })
        .collect()
}

pub(crate) fn write(folder: &Path, files: &Files) {
    for (name, lines) in files {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join(name), text).expect("the falsified records are written");
    }
}

/// The lines of a history that is being falsified.
pub(crate) struct Lines {
    pub(crate) files: Files,
    pub(crate) what: &'static str,
}

impl Lines {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Value> {
        self.files.values().flatten()
    }

    /// Copies of the lines of an operation.
    pub(crate) fn of(&self, op: &str) -> Vec<Value> {
        self.all().filter(|line| line["op"] == op).cloned().collect()
    }

    /// What `choose` finds first among copies of the lines of an operation.
    pub(crate) fn find<T>(&self, op: &str, choose: impl FnMut(&Value) -> Option<T>) -> T {
        let what = self.what;
        self.of(op).iter().find_map(choose).unwrap_or_else(|| panic!("the history has no case of: {what}"))
    }

    /// The one line that was noted under an id.
    pub(crate) fn line(&mut self, id: &Value) -> &mut Value {
        let mut lines = self.files.values_mut().flatten();
        lines.find(|line| line["id"] == *id).expect("an id that was read from a line")
    }

    pub(crate) fn at_the_end(&mut self) -> &mut Value {
        self.files.values_mut().flatten().find(|line| line["op"] == "final").expect("the log was read at the end")
    }

    /// The claims of the token with this `jti`.
    pub(crate) fn claims(&self, jti: &Value) -> Value {
        let claims = |line: &Value| line["token"]["claims"].clone();
        self.of("issue").iter().map(claims).find(|claims| claims["jti"] == *jti).unwrap_or_default()
    }

    /// An acknowledged end of a session that some line of the calm afterwards is about.
    pub(crate) fn ended_session<T>(&self, choose: impl Fn(&Self, &str) -> Option<T>) -> T {
        self.find("revoke", |line| {
            let stands = line["verb"] == "end" && is_done(line) && self.stands(own_entry(line)?);
            let sid = line["sid"].as_str().filter(|_| stands)?;
            let was_kept = self.all().any(|other| other["op"] == "revoke" && other["keep"] == sid);
            choose(self, sid).filter(|_| !was_kept)
        })
    }

    /// Whether nobody ever asked to lift the entry. Where somebody did and was not answered, a checker has to
    /// allow for both.
    pub(crate) fn stands(&self, entry: &Value) -> bool {
        let lifts = |line: &Value, at: &Value| line["positions"].as_array().is_some_and(|lifted| lifted.contains(at));
        !self.all().any(|line| line["op"] == "lift" && lifts(line, &entry["position"]))
    }

    /// The sessions opened in the calm that nothing can have revoked: they are younger than every cutoff but
    /// `always`, and whatever was revoked so is none of their names or was lifted by an acknowledged call.
    pub(crate) fn surely_live(&self) -> BTreeSet<String> {
        let lifts = self.of("lift").into_iter().filter(is_done);
        let lifted: Vec<Value> =
            lifts.flat_map(|line| line["positions"].as_array().cloned().unwrap_or_default()).collect();
        let end = self.of("final").remove(0);
        let entries = end["revocations"].as_array().into_iter().flatten();
        let always = entries.filter(|entry| entry["cutoff"] == "always" && !lifted.contains(&entry["position"]));
        let doubtful: BTreeSet<&str> = always.filter_map(|entry| entry["target"].as_str()).collect();
        let opened =
            self.of("issue").into_iter().filter(|line| is_calm(line) && is_done(line) && line["how"] == "open");
        let is_certain = |line: &Value| {
            let sid = line["sid"].as_str()?;
            let tenant = line["tenant"].as_str().map(|tenant| format!("claim:tenant={tenant}"));
            let mut names = tenant.into_iter().chain([format!("session:{sid}")]);
            names.all(|name| !doubtful.contains(name.as_str())).then(|| sid.to_owned())
        };
        opened.filter_map(|line| is_certain(&line)).collect()
    }

    /// The accepted check of a token that nothing can have revoked, in the calm.
    pub(crate) fn check_of_a_live_token(&self) -> Value {
        let live = self.surely_live();
        self.find("check", |check| {
            let sid = self.claims(&check["jti"])["sid"].as_str()?.to_owned();
            Some(check["id"].clone()).filter(|_| is_calm(check) && is_done(check) && live.contains(&sid))
        })
    }

    /// An acknowledged revocation of one entry, called once.
    pub(crate) fn single(&self) -> Vec<Value> {
        let all = self.of("revoke");
        let is_once = |line: &Value| all.iter().filter(|other| other["reason"] == line["reason"]).count() == 1;
        let single =
            |line: &&Value| is_done(line) && own_entry(line).is_some() && is_once(line) && !line["reason"].is_null();
        all.iter().filter(single).cloned().collect()
    }

    pub(crate) fn one_single(&self) -> Value {
        self.single().into_iter().next().unwrap_or_else(|| panic!("the history has no case of: {}", self.what))
    }

    /// The entry of the final list at a position.
    pub(crate) fn entry_at(&mut self, position: &Value) -> &mut Value {
        let entries = self.at_the_end()["revocations"].as_array_mut().expect("a list");
        entries.iter_mut().find(|entry| entry["position"] == *position).expect("a position that was acknowledged")
    }
}

pub(crate) fn is_done(line: &Value) -> bool {
    line["status"].as_u64().is_some_and(|status| status < 300)
}

/// The entry of a call that appended exactly one.
pub(crate) fn own_entry(line: &Value) -> Option<&Value> {
    let entries = line["entries"].as_array()?;
    entries.first().filter(|entry| entries.len() == 1 && entry["reason"] == line["reason"])
}

pub(crate) fn is_by(line: &Value, client: &str) -> bool {
    line["id"].as_str().and_then(|id| id.rsplit_once('-')).is_some_and(|(name, _)| name == client)
}

pub(crate) fn is_calm(line: &Value) -> bool {
    is_by(line, "calm")
}
