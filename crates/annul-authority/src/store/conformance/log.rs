//! Claims about the log: its beginning, its lines, its state at a position, its audit.

use std::collections::BTreeMap;

use annul_core::algebra::{Cell, Cutoff, Reach};
use annul_core::feed::log::{ReplicaId, ReplicaStatus};
use annul_core::feed::report::{ReplicaState, RouteCounts};
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell, Record, RecordBody};
use annul_core::target::TargetHash;

use super::*;
use crate::model::LogLine;
use crate::store::{AuditFilter, MAX_PAGE, RevocationFilter};

/// Before a log is made every verb says so, and the first commit told is none.
pub async fn a_store_without_a_log_says_so(bench: Bench) {
    assert_eq!(bench.store.log().await.unwrap_err(), StoreError::NotBootstrapped);
    assert_eq!(bench.try_revoke("subject:a", Cutoff::Now, Reach::Both).await, Err(StoreError::NotBootstrapped));
    let opened = bench.store.open_session(act(), bench.login("s", "a")).await;
    assert_eq!(opened.unwrap_err(), StoreError::NotBootstrapped);
    assert_eq!(bench.store.committed().borrow().head, Position::default());
}

/// A second bootstrap changes nothing, whatever it asks for.
pub async fn a_log_begins_once(bench: Bench) {
    let first = bench.store.bootstrap(genesis()).await.unwrap();
    assert_eq!(first.head.at, Position::new(1, 2));
    let other = Genesis { log: "another".to_owned(), keys: Vec::new(), ..genesis() };
    assert_eq!(bench.store.bootstrap(other).await.unwrap(), first);
    assert_eq!(bench.store.keys().await.unwrap().len(), 2);
    let lines = all_lines(&bench).await;
    let bodies: Vec<_> = lines.iter().map(|line| Record::from_line(&line.line).unwrap().body).collect();
    assert!(matches!(&bodies[0], RecordBody::Settings(settings) if settings.issuer == OWN));
    assert!(matches!(&bodies[1], RecordBody::Issuer(issuer) if issuer.keys.len() == 2));
}

/// Lines are dense from the position asked for, in the bytes that the chain is taken over.
pub async fn lines_follow_from_the_position_asked_for(bench: Bench) {
    let bench = bench.with_log().await;
    for subject in ["a", "b", "c"] {
        bench.revoke(&format!("subject:{subject}"), Cutoff::Now, Reach::Both).await;
    }
    let log = bench.log().await;
    let mut chain = Chain::genesis(&log.log);
    for (line, seq) in all_lines(&bench).await.iter().zip(1..) {
        chain = chain.extend(&line.line);
        assert_eq!((line.at, line.chain), (Position::new(1, seq), chain));
    }
    assert_eq!(log.head.chain, chain);

    let some = bench.store.lines_after(Position::new(1, 3), 1).await.unwrap();
    assert_eq!(some.lines.iter().map(|line| line.at.seq).collect::<Vec<_>>(), [4]);
    assert_eq!(some.head, log.head);
    let none = bench.store.lines_after(log.head.at, 10).await.unwrap();
    assert_eq!((none.base, none.lines.len()), (Some(chain), 0));
    let ahead = bench.store.lines_after(log.head.at.next(), 10).await.unwrap();
    assert_eq!((ahead.base, ahead.lines.len()), (None, 0));
}

/// Old lines are compacted, the last one never is, and a position before them has no base.
pub async fn a_follower_that_was_away_too_long_finds_no_base(bench: Bench) {
    let bench = bench.with_log().await;
    bench.revoke("subject:a", Cutoff::Now, Reach::Both).await;
    bench.pass(7200);
    bench.store.prune(MAX_PAGE).await.unwrap();
    let head = bench.log().await.head;
    let old = bench.store.lines_after(Position::new(1, 0), 10).await.unwrap();
    assert_eq!((old.base, old.lines.len(), old.head), (None, 0, head));
    let current = bench.store.lines_after(head.at, 10).await.unwrap();
    assert_eq!(current.base, Some(head.chain));
}

/// The state at a position is the fold of the lines up to it.
pub async fn i6_a_snapshot_is_what_replaying_the_lines_gives(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    bench.open("s1", "alice").await;
    let mut entries = Vec::new();
    for (text, cutoff, reach) in [
        ("subject:alice", Cutoff::Now, Reach::Both),
        ("subject:alice", Cutoff::Before(bench.now()), Reach::Both),
        ("subject:alice", Cutoff::Always, Reach::Access),
        ("client:web", Cutoff::Now, Reach::Sessions),
        ("claim:roles=admin", Cutoff::Now, Reach::Access),
        ("claim:roles=admin", Cutoff::Always, Reach::Access),
        ("device:alice/phone", Cutoff::Now, Reach::Both),
        ("issuer", Cutoff::Now, Reach::Access),
    ] {
        entries.push(bench.revoke(text, cutoff, reach).await.positions[0]);
        compare_with_replay(&bench).await;
    }
    bench.store.end_session(act(), "s1").await.unwrap();
    bench.store.block(act(), foreign("bob")).await.unwrap();
    bench.store.lift(act(), vec![entries[2], entries[3], entries[5]]).await.unwrap();
    compare_with_replay(&bench).await;
    bench.store.unblock(act(), foreign("bob")).await.unwrap();
    bench.store.lift(act(), vec![entries[0], entries[1], entries[6]]).await.unwrap();
    compare_with_replay(&bench).await;
}

/// What verifiers have no business with leaves a position and nothing else.
pub async fn what_reaches_sessions_only_is_a_bare_noop(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let appended = bench.revoke("subject:alice", Cutoff::Now, Reach::Sessions).await;
    let line = all_lines(&bench).await.pop().unwrap();
    assert_eq!(line.line, format!(r#"{{"at":"{}","kind":"noop"}}"#, appended.head));
    assert!(bench.store.feed_snapshot().await.unwrap().cells.is_empty());
    assert_revoked(bench.status("s1").await);
    // A lift of it says as little.
    let lifted = bench.store.lift(act(), appended.positions).await.unwrap();
    let line = all_lines(&bench).await.pop().unwrap();
    assert_eq!(line.line, format!(r#"{{"at":"{}","kind":"noop"}}"#, lifted.head));
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
}

/// A verb that fails after it wrote leaves nothing of it.
pub async fn a_failed_verb_leaves_no_trace(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let before = (bench.log().await, audit(&bench).await);
    let half =
        revoke(vec![entry("subject:alice", Cutoff::Now, Reach::Both), entry("key:print", Cutoff::Now, Reach::Both)]);
    assert_eq!(refused(bench.store.revoke(act(), half).await).code(), "cutoff_not_allowed");
    assert_eq!((bench.log().await, audit(&bench).await), before);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    assert!(bench.store.revocations(everything()).await.unwrap().is_empty());
}

/// What a refusal names by its position, the audit and the entry explain.
pub async fn the_audit_resolves_a_position(bench: Bench) {
    let bench = bench.with_log().await;
    let mut why = entry("device:alice/phone", Cutoff::Now, Reach::Both);
    why.reason = Some("lost".to_owned());
    let act = Act { request_id: Some("r1".to_owned()), ..Act::new("support", "device.revoke") };
    let at = bench.store.revoke(act, revoke(vec![why])).await.unwrap().positions[0];
    let found = bench.store.audit(AuditFilter { at: Some(at), limit: 10, ..AuditFilter::default() }).await.unwrap();
    let [event] = found.as_slice() else { panic!("one event: {found:?}") };
    assert_eq!((event.actor.as_str(), event.action.as_str()), ("support", "device.revoke"));
    assert_eq!(event.target.as_deref(), Some("device:alice/phone"));
    assert_eq!((event.reason.as_deref(), event.request_id.as_deref()), (Some("lost"), Some("r1")));
    let of_target = AuditFilter { target: event.target.clone(), limit: 10, ..AuditFilter::default() };
    assert_eq!(bench.store.audit(of_target).await.unwrap(), found);
    let later = AuditFilter { after: Some(event.id), limit: 10, ..AuditFilter::default() };
    assert!(bench.store.audit(later).await.unwrap().is_empty());

    let entry = bench.store.revocation(at).await.unwrap().unwrap();
    assert_eq!((entry.actor.as_str(), entry.reason.as_deref(), entry.time), ("support", Some("lost"), START));
    let of_target = RevocationFilter { target: Some(entry.target.clone()), after: None, limit: 10 };
    assert_eq!(bench.store.revocations(of_target).await.unwrap(), [entry]);
}

/// Whoever looks without saying from where sees what happened last, and goes on from there.
pub async fn the_audit_shows_the_newest_events_and_pages_from_the_first(bench: Bench) {
    let bench = bench.with_log().await;
    for round in 0..7 {
        let target = if round % 2 == 0 { "even" } else { "odd" };
        bench.store.note(Act::new("tests", format!("act {round}")), Some(target.to_owned())).await.unwrap();
    }
    let listed = async |filter: AuditFilter| -> Vec<(u64, String)> {
        let events = bench.store.audit(filter).await.unwrap();
        events.into_iter().map(|event| (event.id, event.action)).collect()
    };
    let all = listed(AuditFilter { after: Some(0), limit: MAX_PAGE, ..AuditFilter::default() }).await;
    assert!(all.is_sorted() && all.len() >= 7, "{all:?}");
    assert_eq!(listed(AuditFilter { limit: MAX_PAGE, ..AuditFilter::default() }).await, all);

    let newest = listed(AuditFilter { limit: 3, ..AuditFilter::default() }).await;
    assert_eq!(newest, all[all.len() - 3..], "the newest, in the order of their ids");
    let even = AuditFilter { target: Some("even".to_owned()), limit: 2, ..AuditFilter::default() };
    let actions: Vec<String> = listed(even.clone()).await.into_iter().map(|(_, action)| action).collect();
    assert_eq!(actions, ["act 4", "act 6"]);
    let actions: Vec<String> =
        listed(AuditFilter { after: Some(0), ..even }).await.into_iter().map(|it| it.1).collect();
    assert_eq!(actions, ["act 0", "act 2"]);

    let mut paged = Vec::new();
    while paged.len() < all.len() {
        let after = Some(paged.last().map_or(0, |(id, _)| *id));
        let page = listed(AuditFilter { after, limit: 2, ..AuditFilter::default() }).await;
        assert!((1..=2).contains(&page.len()), "{page:?}");
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let after = Some(all[all.len() - 1].0);
    assert_eq!(listed(AuditFilter { after, limit: 3, ..AuditFilter::default() }).await, []);
}

/// Who follows the log is known after a restart, and says nothing in the log.
pub async fn replicas_are_remembered_and_forgotten(bench: Bench) {
    assert_eq!(bench.store.replicas().await.unwrap_err(), StoreError::NotBootstrapped);
    let none = bench.store.remember_replicas(vec![replica("api", 60)], Vec::new()).await;
    assert_eq!(none.unwrap_err(), StoreError::NotBootstrapped);
    let bench = bench.with_log().await;
    let head = bench.log().await.head;
    bench.store.remember_replicas(vec![replica("web", 60), replica("api", 60)], Vec::new()).await.unwrap();
    assert_eq!(bench.store.replicas().await.unwrap(), [replica("api", 60), replica("web", 60)]);
    let gone = ReplicaId::new("web", "1").unwrap();
    bench.store.remember_replicas(vec![replica("api", 90)], vec![gone]).await.unwrap();
    assert_eq!(bench.store.replicas().await.unwrap(), [replica("api", 90)]);
    assert_eq!(bench.log().await.head, head);
}

fn replica(name: &str, longest_age: u64) -> ReplicaStatus {
    ReplicaStatus {
        name: name.to_owned(),
        instance: "1".to_owned(),
        via: None,
        state: ReplicaState::Live,
        position: Some(Position::new(1, 1)),
        heard_ms_ago: 5,
        interval: 20,
        leeway: 0,
        longest_age,
        audiences: vec!["api".to_owned()],
        routes: RouteCounts { check: 1, ..RouteCounts::default() },
        version: "0".to_owned(),
        unlisted: 0,
    }
}

pub(super) async fn all_lines(bench: &Bench) -> Vec<LogLine> {
    bench.store.lines_after(Position::new(1, 0), 10_000).await.unwrap().lines
}

pub(super) async fn audit(bench: &Bench) -> usize {
    bench.store.audit(AuditFilter { limit: MAX_PAGE, ..AuditFilter::default() }).await.unwrap().len()
}

pub(super) fn everything() -> RevocationFilter {
    RevocationFilter { limit: MAX_PAGE, ..RevocationFilter::default() }
}

async fn compare_with_replay(bench: &Bench) {
    let mut cells: BTreeMap<TargetHash, HashedCell> = BTreeMap::new();
    for line in all_lines(bench).await {
        let record = Record::from_line(&line.line).unwrap();
        match record.body {
            RecordBody::Revoke(entry) => {
                let more = Cell::of(entry.fields, record.at, entry.until);
                let held = cells.get(&entry.target).and_then(|held| held.cell);
                let cell = Some(held.map_or(more, |held| held.absorb(more)));
                cells.insert(entry.target, HashedCell { target: entry.target, kind: entry.kind, cell });
            }
            RecordBody::Lift(replaced) => cells.extend(replaced.into_iter().map(|cell| (cell.target, cell))),
            _ => {}
        }
    }
    let snapshot = bench.store.feed_snapshot().await.unwrap();
    let replayed: Vec<_> = cells.into_values().filter(|hashed| hashed.cell.is_some()).collect();
    assert_eq!(snapshot.cells, replayed, "at {}", snapshot.log.head.at);
}
