//! The page on record is what the results on record say, byte for byte.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::results::Results;
use super::{CHARTS, NOTES, RESULTS, files, notes};
use crate::measure::Form;
use crate::world::workspace;

/// Checks what is in the tree.
///
/// # Errors
/// When page, charts, notes and results contradict each other; every contradiction is printed first.
pub fn on_record() -> Result<()> {
    let root = workspace::project();
    let results = Results::read(&root.join(RESULTS))?;
    let notes = notes::read(&root.join(NOTES))?;
    let mut found = notes::contradictions(&results, &notes);
    if results.form != Form::Full {
        found.push("the results on record are those of a quick run, whose figures mean nothing".to_owned());
    }
    let expected = files(&results, &notes);
    for (path, text) in &expected {
        let on_record = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        if on_record != *text {
            found.push(format!("{path} says something else than the results"));
        }
    }
    for path in charts_on_record(root)? {
        if !expected.contains_key(&path) {
            found.push(format!("{path} belongs to no result"));
        }
    }
    for contradiction in &found {
        eprintln!("bench: {contradiction}");
    }
    if !found.is_empty() {
        bail!(
            "{} contradictions; measure again with bench/run, or write the page again with bench/run --page",
            found.len()
        );
    }
    println!("bench: the page says what the results say, in {} files", expected.len());
    Ok(())
}

/// Writes page and charts from the results and notes on record.
///
/// # Errors
/// When a file cannot be read or written.
pub fn write_again() -> Result<()> {
    let root = workspace::project();
    let results = Results::read(&root.join(RESULTS))?;
    let notes = notes::read(&root.join(NOTES))?;
    write_into(root, &results, &notes)
}

/// Writes page and charts below `root`, and removes charts that belong to nothing.
pub(super) fn write_into(root: &Path, results: &Results, notes: &notes::Notes) -> Result<()> {
    let expected = files(results, notes);
    for path in charts_on_record(root)? {
        if !expected.contains_key(&path) {
            std::fs::remove_file(root.join(path))?;
        }
    }
    expected.iter().try_for_each(|(path, text)| super::write(root, path, text))
}

fn charts_on_record(root: &Path) -> Result<BTreeSet<String>> {
    let folder = root.join(CHARTS);
    if !folder.exists() {
        return Ok(BTreeSet::new());
    }
    let names = std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    names.map(|entry| Ok(format!("{CHARTS}/{}", entry?.file_name().to_string_lossy()))).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_on_record_says_what_was_measured() {
        super::on_record().unwrap();
    }
}
