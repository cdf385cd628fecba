//! Answers on stdout: tables for people, JSON for programs.
//!
//! Text that came from outside (device names, reasons, an authority's error) may hold terminal
//! escapes; for people it is printed with control characters replaced, for programs JSON escapes it.

use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::Value;

use crate::failure::Failure;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables and sentences.
    Human,
    /// One JSON document, or one per line where answers are a stream.
    Json,
}

/// Prints one line of an answer. Where it cannot be written, the verb goes on, for what it does is not
/// undone by that, and [`lost`] tells in the end.
pub(crate) fn line(text: &str) {
    if let Err(error) = write_line(text) {
        UNWRITTEN.get_or_init(|| error);
    }
}

/// Prints one line of a process that goes on, such as where it listens. It runs all the same where
/// nobody can read that.
pub(crate) fn notice(text: &str) {
    let _ = write_line(text);
}

fn write_line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Whether a line was not written, for whatever reason: an answer without an end may stop.
pub(crate) fn goes_nowhere() -> bool {
    UNWRITTEN.get().is_some()
}

/// What there is to say of an answer that could not be written. A reader that went away
/// (`annul … | head`) had what it wanted.
pub(crate) fn lost() -> Option<Failure> {
    let error = UNWRITTEN.get().filter(|error| error.kind() != ErrorKind::BrokenPipe)?;
    let failure = Failure::unreachable(format!("the answer cannot be written to stdout: {error}"));
    Some(
        failure
            .with_hint("what was asked for may be done, and a secret in the answer is lost; look before repeating it"),
    )
}

/// Why the first line that could not be written was not. There is one stdout, so there is one of these.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Prints a JSON document, indented.
pub(crate) fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).expect("a JSON value has a text"));
}

/// Prints a JSON document on one line, for answers that are a stream.
pub(crate) fn json_line(value: &Value) {
    line(&value.to_string());
}

/// Prints rows under a heading. Without rows it prints `none` instead, so that an empty answer
/// cannot be taken for a failed one.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: Vec<[String; N]>, none: &str) {
    if rows.is_empty() {
        line(none);
        return;
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(heading);
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    for text in table.lines() {
        // The style pads every cell by a space on both sides, the first one too.
        line(text.strip_prefix(' ').unwrap_or(&text).trim_end());
    }
}

/// Prints the list that the member `of` of an answer holds: a row of each for people, all of the answer
/// for programs.
pub(crate) fn list<const N: usize>(
    answer: &Value,
    of: &str,
    format: Format,
    heading: [&str; N],
    row: impl Fn(&Value) -> [String; N],
) {
    match format {
        Format::Json => json(answer),
        Format::Human => table(heading, rows(answer, of).iter().map(row).collect(), &format!("no {of}")),
    }
}

/// Prints `name  value` lines with the values under each other.
pub(crate) fn fields(rows: &[(&str, String)]) {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in rows {
        line(format!("{name:width$}  {}", clean(value)).trim_end());
    }
}

/// Rows of a table that a person reads; `--json` has all.
pub(crate) const MAX_SHOWN: usize = 50;

/// A count with its thousands apart: `1,240`.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The text without control characters, so that nothing from outside moves the cursor.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

/// A member of a JSON object as text for a table: strings bare, absent and null as nothing.
pub(crate) fn member(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The rows of a list answer, or nothing when the member is absent.
pub(crate) fn rows<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}");
    }

    #[test]
    fn thousands_stand_apart() {
        let text = [0, 7, 999, 1_000, 1_240, 1_000_000].map(thousands);
        assert_eq!(text, ["0", "7", "999", "1,000", "1,240", "1,000,000"]);
    }

    #[test]
    fn members_of_any_type_become_text() {
        let value = serde_json::json!({"name": "x", "count": 3, "list": ["a", 1], "none": null});
        assert_eq!(member(&value, "name"), "x");
        assert_eq!(member(&value, "count"), "3");
        assert_eq!(member(&value, "list"), "a 1");
        assert_eq!(member(&value, "none"), "");
        assert_eq!(member(&value, "absent"), "");
    }
}
