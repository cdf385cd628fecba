//! The strict reading of JSON that tokens and proofs share, written a second time and plainly.

use std::collections::HashSet;

use serde_json::{Map, Value};

const MAX_DEPTH: usize = 32;
const MAX_NAME: usize = 512;

/// `Err` of the reason unless it holds.
pub(crate) fn demand(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Whether it is a text that may name something.
pub(crate) fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|name| (1..=MAX_NAME).contains(&name.len()))
}

/// The object in these bytes, by a lenient reader, once a scan of the text has found no member twice and
/// no level too deep.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8")?;
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    scan(text)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err("it is no object".to_owned()),
    }
}

/// Goes through a text that is known to be JSON, with the names seen on each open level.
fn scan(text: &str) -> Result<(), String> {
    let mut levels: Vec<HashSet<String>> = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '{' | '[' => levels.push(HashSet::new()),
            '}' | ']' => {
                levels.pop();
            }
            '"' => {
                let end = end_of_string(rest);
                let name = format!("\"{}\"", &rest[..end]);
                rest = &rest[end + 1..];
                // Only a member's name is followed by a colon.
                if rest.trim_start().starts_with(':') {
                    let name: String = serde_json::from_str(&name).map_err(|error| error.to_string())?;
                    let level = levels.last_mut().ok_or("a name outside of everything")?;
                    demand(level.insert(name), "a member is named twice")?;
                }
            }
            _ => {}
        }
        demand(levels.len() <= MAX_DEPTH, "it is too deep")?;
    }
    Ok(())
}

fn end_of_string(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(rest.len())
}
