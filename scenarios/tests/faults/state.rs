//! A verifier's state file that cannot be trusted: set aside, and everything is fetched again.

use scenarios::{Authority, Service};
use serde_json::json;

use crate::support::eventually;

#[tokio::test]
async fn a_corrupt_state_file_is_set_aside_and_nothing_revoked_is_accepted() {
    let authority = Authority::start();
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut service = Service::start_with(&authority, "api", |options| options.log = Some(log.path().to_owned())).await;
    let alice = authority.login("alice", "phone").await;
    let bob = authority.login("bob", "phone").await;
    let revoked = authority.revoke(json!({"targets": ["subject:alice"]})).await;
    service.has_stored(revoked.text("position")).await;
    service.kill();
    let state = service.state_dir().join("view.state");
    let good = std::fs::read(&state).expect("the state is stored");

    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let last = good.len() - 1;
    let mut damaged: Vec<(String, Vec<u8>)> =
        [0, 1, last / 2, last].iter().map(|cut| (format!("cut to {cut}"), good[..*cut].to_vec())).collect();
    damaged
        .extend([0, last / 4, last / 2, last / 4 * 3, last - 8].iter().map(|at| (format!("bit {at}"), flipped(*at))));
    damaged.push(("another file".to_owned(), vec![0xff; 10_000]));
    for (how, bytes) in damaged {
        std::fs::write(&state, &bytes).expect("damage the state");
        std::fs::write(log.path(), "").expect("empty the log");
        service.restart();
        // From the first answer on.
        let seen = service.call(alice.token()).await;
        assert_ne!(seen.status, 200, "{how}: a revoked token is accepted from a damaged state");
        service.ready().await;
        service.refuses_as_revoked(alice.token()).await;
        service.accepts(bob.token()).await;
        let said = std::fs::read_to_string(log.path()).expect("the log is text");
        assert!(said.contains("state_corrupt"), "{how}: the damage is not named: {said}");
        let kept = std::fs::read(service.state_dir().join("view.state.corrupt")).expect("it is set aside");
        assert!(kept == bytes, "{how}: what was set aside is not what was there");
        service.has_stored(revoked.text("position")).await;
        service.kill();
    }

    // What was stored again is good: a start from it needs no authority to refuse.
    std::fs::write(log.path(), "").expect("empty the log");
    service.restart();
    let seen = eventually("the stored state refuses", async || {
        let seen = service.call(alice.token()).await;
        assert_ne!(seen.status, 200);
        (seen.status == 401).then_some(seen)
    })
    .await;
    assert_eq!(seen.code, "token_revoked");
    let said = std::fs::read_to_string(log.path()).expect("the log is text");
    assert!(!said.contains("state_corrupt"), "{said}");
}
