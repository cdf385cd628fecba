//! `bench/notes.toml`: why a line is missed and what is tried next, by hand.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::lines::{LINES, Verdict};
use super::results::Results;

/// By the line's name.
pub(super) type Notes = BTreeMap<String, Note>;

/// What is to be said of a missed line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// Why.
    pub(super) reason: String,
    /// The next idea.
    pub(super) next: String,
}

/// The notes on record.
pub(super) fn read(path: &Path) -> Result<Notes> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

/// What does not fit together: a missed line without a note, a note without a missed line, and numbers
/// in notes, which no run has written.
pub(super) fn contradictions(results: &Results, notes: &Notes) -> Vec<String> {
    let mut found = Vec::new();
    for line in LINES {
        let missed = matches!(line.judge(results).verdict, Verdict::Missed | Verdict::NotMeasured);
        match (missed, notes.contains_key(line.id)) {
            (true, false) => found.push(format!("{} is missed, and bench/notes.toml does not say why", line.id)),
            (false, true) => found.push(format!("{} is not missed, but bench/notes.toml says why it is", line.id)),
            _ => {}
        }
    }
    for (id, note) in notes {
        if !LINES.iter().any(|line| line.id == id) {
            found.push(format!("bench/notes.toml speaks of {id}, and no line has that name"));
        }
        for text in [&note.reason, &note.next] {
            if let Some(word) = text.split_whitespace().find(|word| is_number(word)) {
                found.push(format!("the note on {id} says {word}: numbers come from a run only"));
            }
        }
    }
    found
}

/// Whether a word is a figure; names such as HS256 are not.
fn is_number(word: &str) -> bool {
    let bare = word.trim_matches(|character: char| !character.is_ascii_alphanumeric());
    let figure = bare.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    !figure.is_empty() && figure.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_told_from_names() {
        assert!(["3x", "0.9", "(15", "20ms,"].iter().all(|word| is_number(word)));
        assert!(["HS256", "128-bit", "two", "fast-jwt's"].iter().all(|word| !is_number(word)));
    }
}
