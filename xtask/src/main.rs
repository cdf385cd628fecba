//! The house's own checks: `cargo xtask tidy`, `scenarios`, `kill N`, `refresh N` and `document N`.

mod document;
mod kill;
mod refresh;
mod rows;
mod scenarios;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned();
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy::run(&root),
        Some("scenarios") => scenarios::run(&root),
        Some("kill") => kill::run(&root, &std::env::args().nth(2).unwrap_or_default()),
        Some("refresh") => refresh::run(&root, &std::env::args().nth(2).unwrap_or_default()),
        Some("document") => document::run(&root, &std::env::args().nth(2).unwrap_or_default()),
        _ => Err(anyhow::anyhow!("usage: cargo xtask tidy | scenarios | kill N | refresh N | document N")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
