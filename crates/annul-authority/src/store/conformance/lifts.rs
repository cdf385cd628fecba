//! Claims about lifts.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::NotLiftable;
use annul_core::record::{HashedCell, Record, RecordBody};

use super::log::all_lines;
use super::*;
use crate::store::KillKey;

/// A refused session was not ended, so that a mistake can be taken back.
pub async fn a_lift_revives_what_only_it_held_down(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let mistake = bench.revoke("client:web", Cutoff::Always, Reach::Both).await.positions;
    assert_revoked(bench.status("s1").await);
    let lifted = bench.store.lift(act(), mistake.clone()).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    assert!(bench.store.feed_snapshot().await.unwrap().cells.is_empty());
    let hash = target("client:web").hash(&bench.log().await.hash_key);
    assert_eq!(last_lift(&bench).await.iter().map(|cell| (cell.target, cell.cell)).collect::<Vec<_>>(), [(hash, None)]);
    let entry = bench.store.revocation(mistake[0]).await.unwrap().unwrap();
    assert_eq!(entry.lifted, Some(lifted.positions[0]));
}

/// What remains is what the other entries amount to, field by field.
pub async fn a_lift_leaves_what_other_entries_hold(bench: Bench) {
    let bench = bench.with_log().await;
    let now = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.positions[0];
    let always = bench.revoke("subject:alice", Cutoff::Always, Reach::Both).await.positions[0];
    let later = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.positions[0];
    let before = bench.revoke("subject:alice", Cutoff::Before(bench.now()), Reach::Both).await.positions[0];
    let other = bench.revoke("subject:bob", Cutoff::Always, Reach::Both).await.positions[0];

    bench.store.lift(act(), vec![always, later, other]).await.unwrap();
    let cells = last_lift(&bench).await;
    assert_eq!(cells.len(), 2, "both targets in one record");
    let log = bench.log().await;
    let of = |text: &str| cells.iter().find(|cell| cell.target == target(text).hash(&log.hash_key)).unwrap().cell;
    assert_eq!(of("subject:bob"), None);
    let left = of("subject:alice").unwrap();
    assert_eq!((left.always, left.position, left.time.map(|time| time.at)), (None, Some(now), Some(before)));
    assert_eq!(bench.store.feed_snapshot().await.unwrap().cells.len(), 1);
}

/// Lifting what reaches tokens leaves sessions as they are, and the other way round.
pub async fn a_lift_computes_access_and_sessions_apart(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let hash = target("subject:alice").hash(&bench.log().await.hash_key);
    let access = bench.revoke("subject:alice", Cutoff::Always, Reach::Access).await.positions[0];
    let sessions = bench.revoke("subject:alice", Cutoff::Always, Reach::Sessions).await.positions[0];
    bench.store.lift(act(), vec![sessions]).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    let cells = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access;
    assert_eq!(cells[&hash].always, Some(access));

    let again = bench.revoke("subject:alice", Cutoff::Now, Reach::Sessions).await.positions[0];
    bench.store.lift(act(), vec![access]).await.unwrap();
    assert_revoked(bench.status("s1").await);
    assert!(bench.store.judging_snapshot(vec![hash], None).await.unwrap().access.is_empty());
    bench.store.lift(act(), vec![again]).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
}

/// One entry that cannot be lifted, and none is.
pub async fn a_lift_is_whole_or_not_at_all(bench: Bench) {
    let bench = bench.with_log().await;
    let good = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.positions[0];
    let key = bench.revoke("key:print", Cutoff::Always, Reach::Access).await.positions[0];
    let head = bench.log().await.head;
    refused(bench.store.lift(act(), vec![good, key]).await);
    assert_eq!(bench.log().await.head, head);
    assert_eq!(bench.store.revocation(good).await.unwrap().unwrap().lifted, None);
    bench.store.lift(act(), vec![good]).await.unwrap();
    let twice = refused(bench.store.lift(act(), vec![good]).await);
    assert_eq!(twice, Refused::NotLiftable { at: good, why: NotLiftable::AlreadyLifted });
}

/// What only its own verb undoes, or nothing, is refused by name.
pub async fn killed_keys_ended_sessions_and_states_entries_are_not_lifted(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    for sid in ["s1", "s2"] {
        bench.open(sid, "alice").await;
    }
    let kill = KillKey { key: target("key:print-k1"), reason: None, changes: Vec::new(), also: Vec::new() };
    let killed = bench.store.kill_key(act(), kill).await.unwrap().positions[0];
    let ended = bench.store.end_session(act(), "s1").await.unwrap().positions[0];
    let revoked = bench.revoke("session:s2", Cutoff::Always, Reach::Both).await.positions[0];
    let claims = bench.store.set_claims(act(), "bob", roles(&["x"])).await.unwrap().positions[0];
    let blocked = bench.store.block(act(), target("subject:bob")).await.unwrap().positions[0];
    let foreign = bench.store.block(act(), foreign("bob")).await.unwrap().positions[0];
    for (at, why) in [
        (killed, NotLiftable::KilledKey),
        (ended, NotLiftable::EndedSession),
        (revoked, NotLiftable::EndedSession),
        (claims, NotLiftable::State),
        (blocked, NotLiftable::State),
        (foreign, NotLiftable::State),
    ] {
        assert_eq!(refused(bench.store.lift(act(), vec![at]).await), Refused::NotLiftable { at, why });
    }
    assert_eq!(bench.status("s2").await, SessionStatus::Ended);
}

async fn last_lift(bench: &Bench) -> Vec<HashedCell> {
    let line = all_lines(bench).await.pop().unwrap();
    match Record::from_line(&line.line).unwrap().body {
        RecordBody::Lift(cells) => cells,
        other => panic!("not a lift: {other:?}"),
    }
}
