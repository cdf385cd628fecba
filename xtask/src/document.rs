//! The document against its server, with as many examples as one likes.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The test that runs it: named in full, and looked for, because a run of no test passes too.
const TEST: &str = "document::what_the_document_allows_is_accepted_and_what_it_does_not_is_refused";

/// Has Schemathesis make up to `examples` requests for each operation, right and wrong ones.
pub(crate) fn run(root: &Path, examples: &str) -> Result<()> {
    ensure!(examples.parse::<u32>().is_ok_and(|examples| examples > 0), "{examples:?} is no number of examples");
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).env("DOCUMENT_EXAMPLES", examples).current_dir(root);
        command
    };
    let test = |last: &'static str| vec!["test", "-p", "scenarios", "--test", "clients", "--", "--exact", TEST, last];
    let listed = cargo(&test("--list")).stderr(Stdio::inherit()).output().context("start cargo")?;
    ensure!(String::from_utf8_lossy(&listed.stdout).contains(TEST), "there is no test {TEST} that builds");
    // The test starts the binary that was built beside it.
    for arguments in [vec!["build", "-p", "annul-cli", "--bins"], test("--nocapture")] {
        let status = cargo(&arguments).status().context("start cargo")?;
        ensure!(status.success(), "the output above has the requests and their answers");
    }
    Ok(())
}
