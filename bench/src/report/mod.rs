//! From raw rounds to the page: the lines that are to be met, the page, its charts, and the check that
//! the page says nothing else than the results.

mod chart;
pub mod check;
mod counts;
mod curves;
mod lines;
mod machine;
mod notes;
mod page;
mod results;
pub mod run;
mod spread;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

pub use self::counts::{Counts, check as check_counts};

/// Where the results of the full run are kept.
const RESULTS: &str = "bench/results.json";
/// Why lines are missed, by hand.
const NOTES: &str = "bench/notes.toml";
/// The page.
const PAGE: &str = "docs/performance.md";
/// Its charts.
const CHARTS: &str = "docs/performance";

/// Everything that follows from results and notes, by path below some root.
fn files(results: &results::Results, notes: &notes::Notes) -> BTreeMap<String, String> {
    let charts = chart::all(results);
    let mut files: BTreeMap<String, String> =
        charts.iter().map(|chart| (format!("{CHARTS}/{}.svg", chart.name), chart.svg.clone())).collect();
    files.insert(PAGE.to_owned(), page::write(results, notes, &charts));
    files
}

fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let path = root.join(path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}
