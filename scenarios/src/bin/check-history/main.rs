//! Checks what clients wrote down against what annul promises, offline.
//!
//! `check-history DIR` reads every `*.jsonl` in a directory and nothing else: no process, no store,
//! no code of annul or of whoever made the requests. Each line is one JSON object:
//!
//! - always `op`; for what a client did also `id` (its own name for the request), `sent` and `ended`
//!   (microseconds on one clock that all clients read, which does not jump), `status` (absent when
//!   the line broke, so that nobody knows what became of the request) and `code` of an error;
//! - `setup`: `max_staleness`, in microseconds;
//! - `issue`: `how` (`open`, `next`, `login`, `keep`), `subject`, `device`, `tenant`, `sid`, and what
//!   came back: `position` and `token` (its `kid` and its decoded claims);
//! - `revoke`: `verb`, `reason` (written into every entry), `sid` (the session that is ended) or
//!   `keep` (the one that stays), `subject` for a block, and what came back: `position`, `entries`,
//!   `kept`, `confirmed` (the verifiers that a confirmed answer names);
//! - `lift`: `positions`, and the `position` that came back;
//! - `rotate`: the `active` key and the `position` that came back;
//! - `password` (`generation`, or none when the account is removed) and `login` (`generation`) of `username`;
//! - `check`: `verifier` and the `jti` that was shown to it;
//! - `look`: `verifier`, `instance`, `position` it named; `stored`: `verifier`, `position` in its file;
//! - `frame`: `after` and the `records` that a follower read: `at` and the `line`;
//! - after the last restart `final`: `records`, `revocations`, `sessions`, `keys`, `accounts`, as read.
//!
//! It prints one line per promise and ends with 0 when all hold, 1 when one is broken, 2 when there
//! is nothing to read. A promise for which the history shows no case counts as broken: a history
//! in which nothing could have gone wrong proves nothing.

mod algebra;
mod history;
mod rules;
mod world;

use std::process::ExitCode;

use history::History;
use rules::Report;
use world::World;

fn main() -> ExitCode {
    let Some(folder) = std::env::args().nth(1) else {
        eprintln!("usage: check-history DIR");
        return ExitCode::from(2);
    };
    let history = match History::read(folder.as_ref()) {
        Ok(history) => history,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let world = World::of(&history);
    let mut report = Report::default();
    rules::check_all(&history, &world, &mut report);
    report.print();
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
