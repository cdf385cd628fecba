//! Reading a password: never an argument, never echoed.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::failure::Failure;

/// The password from the terminal, or the first line of stdin where there is none.
pub(crate) fn read(prompt: &str) -> Result<String, Failure> {
    let terminal = io::stdin().is_terminal();
    let quiet = terminal.then(Quiet::begin);
    if terminal {
        eprint!("{prompt}: ");
        let _ = io::stderr().flush();
    }
    let mut line = String::new();
    let read = io::stdin().lock().take(MAX_PASSWORD).read_line(&mut line);
    drop(quiet);
    read.map_err(|error| Failure::usage(format!("the password cannot be read: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::usage("no password was given").with_hint("type it, or write it to stdin"));
    }
    Ok(password.to_owned())
}

/// The terminal without echo, until dropped. Where `stty` does not exist the password is echoed,
/// which is said.
struct Quiet {
    quiet: bool,
}

impl Quiet {
    fn begin() -> Self {
        let quiet = stty("-echo");
        if !quiet {
            eprintln!("the terminal cannot be made silent: what you type is shown");
        }
        Self { quiet }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if self.quiet {
            stty("echo");
            eprintln!();
        }
    }
}

fn stty(mode: &str) -> bool {
    Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// The authority takes no longer password.
const MAX_PASSWORD: u64 = 4096;
