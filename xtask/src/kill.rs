//! The kill test, as often as one likes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Kills `kills` times under load and has the clients' records checked.
pub(crate) fn run(root: &Path, kills: &str) -> Result<()> {
    ensure!(kills.parse::<u64>().is_ok_and(|kills| kills > 0), "{kills:?} is no number of kills");
    let cargo = |arguments: &[&str]| -> Result<()> {
        let status = Command::new(env!("CARGO")).args(arguments).env("KILLS", kills).current_dir(root).status();
        ensure!(
            status.context("start cargo")?.success(),
            "the output above says which promise broke, and where the records are"
        );
        Ok(())
    };
    // The test starts the binaries that were built beside it.
    cargo(&["build", "-p", "annul-cli", "-p", "scenarios", "--bins"])?;
    cargo(&["test", "-p", "scenarios", "--test", "kill", "--", "--nocapture", "--test-threads=1"])
}
