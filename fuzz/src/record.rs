//! A line of the log, and the running hash over its lines.

use annul_core::record::{Chain, HashedCell, Record, RecordBody, RecordError};
use serde_json::Value;

/// Holds the promise to these bytes.
pub fn check(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    chains(line);
    if let Ok(cell) = HashedCell::from_line(line) {
        let written = cell.to_line();
        assert_eq!(HashedCell::from_line(&written), Ok(cell), "{written}");
    }
    match Record::from_line(line) {
        Ok(record) => {
            let Some(ordinary) = ordinary(line) else { return assert_eq!(record.body, RecordBody::Noop) };
            assert_eq!(ordinary["at"], record.at.to_string(), "its place is written in one way");
            says_what_it_says(&record, &ordinary);
            let written = record.to_line();
            let again = Record::from_line(&written).expect("what is written can be read");
            assert_eq!((&again, again.to_line()), (&record, written), "reading and writing are each other's inverse");
        }
        Err(RecordError::UnknownKind { at }) => {
            let Some(ordinary) = ordinary(line) else { return };
            assert_eq!(ordinary["at"], at.to_string());
            assert_ne!(ordinary["optional"], true, "what may be ignored stops nobody");
        }
        Err(_) => {}
    }
}

/// The line as others read it. `None` where they cannot hold a number of it, such as `1e999`: a kind that is not
/// known here may have such members.
fn ordinary(line: &str) -> Option<Value> {
    let read = serde_json::from_str(line);
    if let Err(error) = &read {
        assert!(error.to_string().starts_with("number out of range"), "a record is JSON: {error}");
    }
    read.ok()
}

/// A revocation that is in the line is in the record: nothing that revokes reads as nothing.
fn says_what_it_says(record: &Record, ordinary: &Value) {
    let kind = ordinary["kind"].as_str().expect("a record has a kind");
    let body = match &record.body {
        RecordBody::Revoke(entry) => {
            assert_eq!(ordinary["target"], entry.target.to_string());
            assert_eq!(ordinary["always"].as_bool().unwrap_or(false), entry.fields.always);
            assert_eq!(ordinary["now"].as_bool().unwrap_or(false), entry.fields.now);
            assert_eq!(ordinary["before"].as_u64(), entry.fields.before.map(|before| before.0));
            assert!(entry.fields.always || entry.fields.now || entry.fields.before.is_some());
            "revoke"
        }
        RecordBody::Noop if ordinary["optional"] == true => {
            return assert!(!["revoke", "lift", "settings", "issuer", "epoch", "noop"].contains(&kind));
        }
        RecordBody::Noop => "noop",
        RecordBody::Lift(cells) => {
            assert_eq!(ordinary["cells"].as_array().map(Vec::len), Some(cells.len()));
            "lift"
        }
        RecordBody::Settings(_) => "settings",
        RecordBody::Issuer(_) => "issuer",
        RecordBody::Epoch(_) => "epoch",
    };
    assert_eq!(kind, body);
}

/// The chain is BLAKE3 over what came before and the line's own bytes, so it tells apart lines that read
/// alike, and where one line ends and the next begins.
fn chains(line: &str) {
    let genesis = Chain::genesis("fuzz");
    let extended = genesis.extend(line);
    assert_eq!(extended.0, *blake3::hash(&[&genesis.0[..], line.as_bytes()].concat()).as_bytes());
    assert_ne!(extended, genesis.extend(&format!("{line} ")));
    let middle = (0..=line.len() / 2).rev().find(|index| line.is_char_boundary(*index)).unwrap_or(0);
    let (first, second) = line.split_at(middle);
    assert_ne!(genesis.extend(first).extend(second), extended, "two lines are not one");
}
