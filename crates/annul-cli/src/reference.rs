//! `docs/reference/cli.md` is what `--help` says. The test fails when they differ; run it with
//! `ANNUL_BLESS=1` to write the page anew.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::Cli;

const HEADER: &str = "\
# Command line

<!-- Generated from --help. To write it anew: ANNUL_BLESS=1 cargo test -p annul-cli reference -->

Data goes to stdout, `error:` and `hint:` lines to stderr. With `--json` the data is JSON. The exit
code says how it ended:

| code | meaning |
|---|---|
| 0 | done |
| 1 | refused, or a check failed |
| 2 | usage: the command line or a file it names makes no sense; nothing was sent |
| 3 | durable, but not every verifier confirmed it within `--wait` |
| 4 | no answer: the authority cannot be reached or cannot answer, or stdout cannot be written to |
| 5 | not permitted: the credential is missing, wrong or lacks the scope |

Verbs that call a running authority find it by `ANNUL_URL`, and show `ANNUL_CLIENT_ID` and
`ANNUL_CLIENT_SECRET`, or else the credential in `./annul-data/admin.credential`.

In the demonstration's output, `0.0` milliseconds means that the first refusal arrived before the
acknowledgement of the revoking call.
";

fn page() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = HEADER.to_owned();
    describe(&mut cli, &mut page);
    page
}

fn describe(command: &mut Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    // Variables of whoever runs the test must not reach the page.
    let mut bare = command.clone().term_width(100).mut_args(|argument| argument.hide_env_values(true));
    let help = bare.render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n"));
    for inner in command.get_subcommands_mut().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        describe(inner, page);
    }
}

#[test]
fn the_reference_is_what_help_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    let page = page();
    if std::env::var_os("ANNUL_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/reference/cli.md differs from --help; run again with ANNUL_BLESS=1");
}

#[test]
fn every_command_line_is_well_formed() {
    Cli::command().debug_assert();
}
