//! Processes that are killed at random moments while clients work, and what the clients saw.
//!
//! Several clients open sessions, take tokens, revoke, lift, block, rotate and kill keys, keep
//! accounts and check tokens at three verifiers: one that follows the authority, one behind a relay,
//! and the gateway that is the relay. Each writes down what it sent and what came back, and nothing
//! else. Meanwhile the processes are killed, interrupted and suspended. Afterwards `check-history`, a
//! program that shares nothing with these clients but the form of their files, holds the files
//! against what annul promises; and no secret that was handed out may be in any log or data file.
//!
//! `KILLS` says how often SIGKILL is sent, 30 unless given; `cargo xtask kill 1000` asks for more.
//! `SEED` repeats a run's choices. `RECORDS` names a directory in which the files are kept.

mod chapter;
mod client;
mod disturbance;
mod lines;
mod mutations;
mod notebook;
mod reader;
mod shared;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use scenarios::{Dice, binary};

/// Kills of one run unless `KILLS` says otherwise.
const KILLS: u64 = 30;
/// Kills in the history that is falsified: it only has to be a real one, and is checked many times.
const KILLS_TO_FALSIFY: u64 = 6;
/// Kills that one authority sees at most. Then the next chapter begins with new data, so that what
/// has to be checked and searched stays bounded.
const KILLS_IN_A_CHAPTER: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kill_nine_at_any_moment_breaks_no_promise() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("KILLS is a number"));
    let dice = Dice::new();
    let mut left = kills;
    for number in 0.. {
        let kills = left.min(KILLS_IN_A_CHAPTER);
        let name = format!("chapter-{number}");
        let records = records(&name);
        chapter::live(&dice.apart(number), kills, records.path()).await;
        drop(holds(&name, records));
        left -= kills;
        if left == 0 {
            return;
        }
    }
}

/// A checker that finds nothing may be one that looks at nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_falsified_history_is_seen_for_what_it_is() {
    let records = records("falsified");
    chapter::live(&Dice::new(), KILLS_TO_FALSIFY, records.path()).await;
    let records = holds("falsified", records);
    mutations::are_all_seen(records.path());
}

/// Asserts that the checker finds nothing; where it does, the records are kept.
fn holds(name: &str, records: Records) -> Records {
    let output = check(records.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    if !output.status.success() {
        panic!("{name}: the records are in {}: {said}", records.keep().display());
    }
    records
}

/// Where a chapter's records lie.
struct Records {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Records {
    fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves them where they are.
    fn keep(self) -> PathBuf {
        self.temporary.map(tempfile::TempDir::keep);
        self.path
    }
}

fn records(name: &str) -> Records {
    if let Ok(folder) = std::env::var("RECORDS") {
        let path = Path::new(&folder).join(name);
        std::fs::create_dir_all(&path).expect("RECORDS names a directory that can be made");
        return Records { path, temporary: None };
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    Records { path: temporary.path().to_owned(), temporary: Some(temporary) }
}

/// Runs the checker over a directory of records.
fn check(folder: &Path) -> Output {
    let output = Command::new(binary("check-history")).arg(folder).output().expect("the checker runs");
    assert_ne!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    output
}
