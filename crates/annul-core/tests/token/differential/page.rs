//! The generated part of docs/reference/strictness.md.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::defect::Defect;
use super::peers::{Answer, Peers};
use super::reasons;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/strictness.md");
const BEGIN: &str = "<!-- disagreements: written by the test differential, do not edit -->\n";
const END: &str = "<!-- end of disagreements -->\n";

/// What the libraries said of all tokens with one defect.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    what: &'static str,
    answers: Vec<[Answer; 4]>,
}

impl Row {
    pub(super) fn of(defect: &Defect, peers: &mut Peers) -> Self {
        let answers = defect.cases.iter().map(|case| peers.ask(case)).collect();
        Self { id: defect.id, what: defect.what, answers }
    }

    pub(super) fn is_accepted_everywhere(&self) -> bool {
        self.answers.iter().flatten().all(Result::is_ok) && !self.is_disagreement()
    }

    /// Whether any other library says something else than annul about any of the tokens, or reads other claims.
    pub(super) fn is_disagreement(&self) -> bool {
        self.answers.iter().any(|[annul, others @ ..]| others.iter().any(|other| !agree(annul, other)))
    }

    /// What the library in this column did, in a few words.
    fn column(&self, index: usize) -> String {
        let accepted = self.answers.iter().filter(|answers| answers[index].is_ok()).count();
        let misread = self
            .answers
            .iter()
            .filter(|answers| answers[index].is_ok() && answers[0].is_ok() && !agree(&answers[0], &answers[index]));
        let mut said = match accepted {
            0 => "refuses".to_owned(),
            all if all == self.answers.len() => "accepts".to_owned(),
            some => format!("accepts {some}"),
        };
        if misread.count() > 0 {
            said.push_str(", reads other claims");
        }
        let codes: BTreeSet<&str> =
            self.answers.iter().filter_map(|answers| answers[0].as_ref().err()).map(String::as_str).collect();
        if index == 0 && !codes.is_empty() {
            let codes: Vec<String> = codes.into_iter().map(|code| format!("`{code}`")).collect();
            let _ = write!(said, ": {}", codes.join(", "));
        }
        said
    }
}

fn agree(annul: &Answer, other: &Answer) -> bool {
    match (annul, other) {
        (Ok(ours), Ok(theirs)) => same(ours, theirs),
        (ours, theirs) => ours.is_ok() == theirs.is_ok(),
    }
}

/// Equal as JSON, numbers by their value: `600.0` and `600` are one.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_u64(), other.as_u64()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, one)| other.get(name).is_some_and(|it| same(one, it)))
        }
        (one, other) => one == other,
    }
}

/// Fails when the page does not say what was found, or rewrites it.
pub(super) fn hold(rows: &[Row], tokens: usize) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the first marker");
    let (_, after) = rest.split_once(END).expect("the page has the second marker");
    let found = format!("{before}{BEGIN}{}{END}{after}", table(rows, tokens));
    if std::env::var_os("ANNUL_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, found).unwrap();
        return;
    }
    assert!(
        page == found,
        "the page's list of disagreements is not what was found; see the module's documentation\n{found}"
    );
}

fn table(rows: &[Row], tokens: usize) -> String {
    let agreed = rows.iter().filter(|row| !row.is_disagreement()).count();
    let mut text = format!(
        "\n{tokens} tokens with {} defects or none; on {agreed} of these all four libraries agree about every token. The others:\n\n\
         | defect | what is wrong | tokens | annul | jsonwebtoken | jose | PyJWT | why annul differs |\n\
         |---|---|---|---|---|---|---|---|\n",
        rows.len(),
    );
    for row in rows.iter().filter(|row| row.is_disagreement()) {
        let columns: Vec<String> = (0..4).map(|index| row.column(index)).collect();
        let reason = reasons::of(row.id).unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {reason} |",
            row.id,
            row.what,
            row.answers.len(),
            columns.join(" | ")
        );
    }
    text.push('\n');
    text
}
