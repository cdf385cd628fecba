//! Wall clocks that jump, by libfaketime: no jump makes a revoked token accepted, and a cutoff of
//! `now` stays exact.

use std::path::{Path, PathBuf};

use scenarios::{Authority, Launch, Service};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Proofs, eventually};

/// A wall clock that can be set from outside; the other clocks go on as they are.
pub(crate) struct FakeClock {
    folder: TempDir,
    library: PathBuf,
}

impl FakeClock {
    pub(crate) fn new() -> Self {
        let folders = std::fs::read_dir("/usr/lib").expect("/usr/lib can be listed").map_while(Result::ok);
        let library = folders
            .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
            .chain([PathBuf::from("/usr/lib/faketime/libfaketimeMT.so.1")])
            .find(|path| path.exists())
            .expect("libfaketime is missing; ./test installs the package faketime");
        let clock = Self { folder: tempfile::tempdir().expect("a temporary directory"), library };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// Sets it to this many seconds from the true time.
    pub(crate) fn set(&self, seconds: i64) {
        // Renamed into place: a process that reads meanwhile sees the old offset or the new one.
        let next = self.folder.path().join("next");
        std::fs::write(&next, format!("{seconds:+}\n")).expect("write the offset");
        std::fs::rename(&next, self.file()).expect("set the clock");
    }

    /// What a process that lives by this clock needs in its environment.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// Round trips, one per second, between which a verifier has looked for what is over.
const EXPIRED_AFTER: u32 = 12;
const HOUR: i64 = 3600;
/// Every jump of an hour in both directions, small ones, and both returns.
const JUMPS: [i64; 9] = [HOUR, 0, -HOUR, 0, -HOUR, HOUR, -30, 30, 0];

#[tokio::test]
async fn a_verifiers_clock_that_jumps_never_makes_a_revoked_token_accepted() {
    let clock = FakeClock::new();
    let authority = Authority::start();
    let service = Service::start_with(&authority, "api", |options| {
        options.max_staleness_ms = 3_000;
        options.environment = clock.environment();
    })
    .await;
    let dead = authority.login("alice", "phone").await;
    let single = authority.login("bob", "phone").await;
    let live = authority.login("carol", "phone").await;
    for token in [&dead, &single, &live] {
        service.accepts(token.token()).await;
    }
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    let last = authority.revoke(json!({"token": single.token()})).await;
    service.has_applied(last.text("position")).await;

    for (index, jump) in JUMPS.into_iter().enumerate() {
        clock.set(jump);
        // Long enough that the follower has reported, applied and expired by the new time.
        let mark = authority.revoke(json!({"targets": ["subject:nobody"]})).await;
        let mut proofs = Proofs::default();
        eventually("it reported by the new time", async || {
            for token in [&dead, &single] {
                assert_ne!(service.call(token.token()).await.status, 200, "accepted after a jump to {jump:+} s");
            }
            let status = service.status().await;
            let applied = status["position"].as_str() == Some(mark.text("position"));
            // The first jump is forward: there it has to forget what is over by then.
            let forgot = index > 0 || status["entries"] == 0;
            (proofs.look(&status) >= 2 && applied && forgot).then_some(())
        })
        .await;
        // By the true time the token is good. A verifier that has forgotten must not say that it is
        // dead for ever; it may say that it cannot know.
        if jump == 0 {
            let seen = service.call(live.token()).await;
            assert!([200, 503].contains(&seen.status), "after the jumps: {seen:?}");
        }
    }

    // What is revoked after all that dies as always, and what is not lives.
    let next = authority.login("dave", "phone").await;
    service.accepts_soon(next.token()).await;
    authority.revoke(json!({"targets": ["subject:dave"]})).await;
    service.refuses_as_revoked(next.token()).await;
}

#[tokio::test]
async fn an_authoritys_clock_that_jumps_keeps_now_exact() {
    let clock = FakeClock::new();
    let launch = Launch { environment: clock.environment(), ..Launch::default() };
    let mut authority = Authority::launch(launch);
    // The whole machine's clock jumps, so the service beside it lives by the same one.
    let service = Service::start_with(&authority, "api", |options| options.environment = clock.environment()).await;
    let check = async |authority: &Authority, token: &str| {
        let answer = authority.admin().post("/v1/tokens/check", json!({"token": token})).await.expect_status(200);
        answer.text("verdict").to_owned()
    };
    let mut dead = Vec::new();
    for (round, jump) in [-HOUR, 0, HOUR, 0, -30, 0].into_iter().enumerate() {
        // A login, the revocation, the jump, and a login that is younger by the log and, going
        // back, older by the clock.
        let subject = format!("alice-{round}");
        let revoke = json!({"targets": [format!("subject:{subject}")]});
        let before = authority.login(&subject, "phone").await;
        authority.revoke(revoke.clone()).await;
        clock.set(jump);
        let after = authority.login(&subject, "phone").await;
        assert_eq!(check(&authority, after.token()).await, "active", "to {jump:+}: the later login is revoked");
        assert_ne!(check(&authority, before.token()).await, "active", "to {jump:+}: the earlier login lives");
        authority.next_token(before.sid()).await.expect_status(403);
        let next = authority.next_token(after.sid()).await.expect_status(200);
        service.accepts_soon(next.token()).await;
        service.accepts_soon(after.token()).await;
        assert_ne!(service.call(before.token()).await.status, 200);

        // And the other order: a login before the jump, revoked after it.
        authority.revoke(revoke).await;
        service.refuses_as_revoked(after.token()).await;
        authority.next_token(after.sid()).await.expect_status(403);
        dead.extend([before, after, next]);
        for token in &dead {
            assert_ne!(service.call(token.token()).await.status, 200, "accepted after a jump to {jump:+} s");
        }
    }

    // Also after a restart by a clock that is wrong, and one that is right again.
    for jump in [-HOUR, 0] {
        clock.set(jump);
        authority.kill();
        authority.restart();
        for token in dead.iter().filter(|token| !token.sid().is_empty()) {
            assert_ne!(check(&authority, token.token()).await, "active");
            authority.next_token(token.sid()).await.expect_status(403);
        }
    }
}

#[tokio::test]
async fn a_revocation_made_while_the_authoritys_clock_is_slow_outlasts_the_tokens_it_revokes() {
    let clock = FakeClock::new();
    let authority = Authority::launch(Launch { environment: clock.environment(), ..Launch::default() });
    // This service keeps true time throughout.
    let service = Service::start_with(&authority, "api", |options| options.max_staleness_ms = 3_000).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    service.accepts(alice.token()).await;

    clock.set(-HOUR);
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
    service.refuses_as_revoked(alice.token()).await;
    let mut proofs = Proofs::default();
    eventually("it had the time to expire what is over by its own clock", async || {
        let seen = service.call(alice.token()).await;
        assert_eq!((seen.status, seen.code.as_str()), (401, "token_revoked"), "the revocation lapsed before the token");
        (proofs.look(&service.status().await) >= EXPIRED_AFTER).then_some(())
    })
    .await;
    service.accepts(bob.token()).await;
}
