//! Stopping at any moment, asked to or not: what was acknowledged is there afterwards.

use std::time::Duration;

use scenarios::{Authority, Launch, Service};

use crate::ledger::Ledger;
use crate::support::{Dice, eventually};

#[tokio::test]
async fn sigint_at_any_moment_ends_in_good_order_and_loses_nothing() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let ledger = Ledger::default();
    let mut dice = Dice::new();
    for round in 0..20 {
        let until = ledger.acknowledged() + dice.below(20);
        let moment = Duration::from_micros(dice.below(20_000));
        let admin = authority.admin().clone();
        let stop = async {
            eventually("enough was acknowledged", async || (ledger.acknowledged() >= until).then_some(())).await;
            // Not to wait for anything: to hit another moment each time.
            tokio::time::sleep(moment).await;
            authority.process().signal("INT");
        };
        tokio::join!(ledger.write(&admin, round, 4), stop);
        assert_eq!(authority.ended(), Some(0), "round {round}: SIGINT is an ordinary end");
        authority.restart();
        if round % 5 == 4 {
            ledger.check(&authority, &service).await;
        }
    }
    assert!(ledger.acknowledged() > 100, "the rounds did next to nothing");
}

#[test]
fn sigint_during_the_start_ends_in_good_order_too() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let mut dice = Dice::new();
    let start = || Authority::launch(Launch { home: Some(home.path().to_owned()), ..Launch::default() });
    drop(start());
    for round in 0..10 {
        let mut command = Authority::command(home.path(), "", "127.0.0.1:0");
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("it starts");
        // The first instants belong to the loader, before any code of ours; the rest is ours.
        let caught = format!("/proc/{}/status", child.id());
        while !std::fs::read_to_string(&caught).is_ok_and(|status| catches_interrupt(&status)) {
            assert!(child.try_wait().expect("it can be waited for").is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        #[expect(clippy::disallowed_methods, reason = "not to wait for anything: to hit another moment each time")]
        std::thread::sleep(Duration::from_micros(dice.below(30_000)));
        let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        let code = child.wait().expect("it ends").code();
        assert_eq!(code, Some(0), "round {round}: SIGINT during the start is an ordinary end");
    }
    // The data is as good as before.
    drop(start());
}

/// Whether a process handles SIGINT, by what the kernel says of it.
fn catches_interrupt(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

#[tokio::test]
async fn kill_nine_under_load_loses_no_acknowledgement() {
    let mut authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let ledger = Ledger::default();
    let mut dice = Dice::new();
    for round in 0..10 {
        let until = ledger.acknowledged() + 5 + dice.below(40);
        let moment = Duration::from_micros(dice.below(20_000));
        let admin = authority.admin().clone();
        let stop = async {
            eventually("enough was acknowledged", async || (ledger.acknowledged() >= until).then_some(())).await;
            // Not to wait for anything: to hit another moment each time.
            tokio::time::sleep(moment).await;
            authority.kill();
        };
        tokio::join!(ledger.write(&admin, round, 8), stop);
        authority.restart();
        ledger.check(&authority, &service).await;
    }
    assert!(ledger.acknowledged() > 100, "the rounds did next to nothing");
}
