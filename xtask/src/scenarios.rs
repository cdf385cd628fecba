//! Runs the scenarios and counts the rows whose test passed in this very run.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::rows::{self, State};

/// Runs every scenario, then demands that the rows said to work are exactly those that passed.
pub(crate) fn run(root: &Path) -> Result<()> {
    let rows = rows::read(root)?;
    // Two at a time: a scenario starts several processes, and mostly waits for tokens to expire.
    let mut tests = Command::new(env!("CARGO"))
        .args(["test", "--workspace", "--test", "rows", "--", "--test-threads=2"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo test")?;
    let mut passed = BTreeSet::new();
    for line in BufReader::new(tests.stdout.take().expect("stdout is piped")).lines() {
        let line = line?;
        println!("{line}");
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... ok")) {
            passed.insert(name.rsplit("::").next().unwrap_or(name).to_owned());
        }
    }
    ensure!(tests.wait()?.success(), "a scenario failed; its output is above");

    for (row, state) in &rows {
        ensure!(
            (*state == State::Works) == passed.contains(row),
            "rows.toml says {row} is {state:?}, but its scenario {}",
            if passed.contains(row) { "passes" } else { "did not run" }
        );
    }
    let working = rows.values().filter(|state| **state == State::Works).count();
    println!("scenarios: {working} of {} rows work", rows::TOTAL);
    Ok(())
}
