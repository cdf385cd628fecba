//! Fifty refreshes at once, as often as one likes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs `rounds` rounds with a grace and as many without.
pub(crate) fn run(root: &Path, rounds: &str) -> Result<()> {
    ensure!(rounds.parse::<u64>().is_ok_and(|rounds| rounds > 0), "{rounds:?} is no number of rounds");
    let cargo = |arguments: &[&str]| -> Result<()> {
        let status =
            Command::new(env!("CARGO")).args(arguments).env("REFRESH_ROUNDS", rounds).current_dir(root).status();
        ensure!(status.context("start cargo")?.success(), "the output above says which round broke, and how");
        Ok(())
    };
    // The test starts the binary that was built beside it.
    cargo(&["build", "-p", "annul-cli", "--bins"])?;
    cargo(&["test", "-p", "scenarios", "--test", "faults", "--", "rt_3_", "--nocapture", "--test-threads=1"])
}
