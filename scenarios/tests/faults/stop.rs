//! Stopping while it starts. Kills and interrupts under load have a suite of their own, `kill`.

use std::time::Duration;

use scenarios::{Authority, Dice, Launch};

#[test]
fn sigint_during_the_start_ends_in_good_order() {
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
