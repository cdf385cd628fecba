//! The document against its server, with as many examples as one likes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Has Schemathesis make up to `examples` requests for each operation, right and wrong ones.
pub(crate) fn run(root: &Path, examples: &str) -> Result<()> {
    ensure!(examples.parse::<u32>().is_ok_and(|examples| examples > 0), "{examples:?} is no number of examples");
    let cargo = |arguments: &[&str]| -> Result<()> {
        let status =
            Command::new(env!("CARGO")).args(arguments).env("DOCUMENT_EXAMPLES", examples).current_dir(root).status();
        ensure!(status.context("start cargo")?.success(), "the output above has the requests and their answers");
        Ok(())
    };
    // The test starts the binary that was built beside it.
    cargo(&["build", "-p", "annul-cli", "--bins"])?;
    cargo(&["test", "-p", "scenarios", "--test", "clients", "--", "document", "--nocapture", "--test-threads=1"])
}
