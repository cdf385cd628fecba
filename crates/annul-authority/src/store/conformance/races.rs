//! Claims about what happens at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;

use super::log::all_lines;
use super::*;

/// Eight writers, each acknowledged position given once, no hole, and whoever is acknowledged later
/// than another began has the greater position.
pub async fn i3_positions_are_dense_and_in_commit_order_under_eight_writers(bench: Bench) {
    let bench = Arc::new(bench.with_log().await);
    let first = bench.log().await.head.at;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for round in 0..25 {
                    let before = bench.log().await.head.at;
                    let appended = bench.revoke(&format!("subject:{writer}-{round}"), Cutoff::Now, Reach::Both).await;
                    let at = appended.positions[0];
                    assert!(at > before, "{at} was given after {before} was visible");
                    assert!(bench.log().await.head.at >= at, "{at} is acknowledged and not visible");
                    mine.push(at);
                }
                assert!(mine.is_sorted());
                mine
            })
        })
        .collect();
    let mut given = BTreeSet::new();
    for writer in writers {
        for at in writer.await.unwrap() {
            assert!(given.insert(at), "{at} was given twice");
        }
    }
    let dense: BTreeSet<_> = (1..=200).map(|step| Position::new(1, first.seq + step)).collect();
    assert_eq!(given, dense);
    assert!(all_lines(&bench).await.iter().map(|line| line.at.seq).eq(1..=first.seq + 200));
}

/// Whoever was answered finds the commit told: what is kept in memory may be used when it is as new
/// as what was told, and then holds all that anyone was told of.
pub async fn i2_a_commit_is_told_before_it_is_answered(bench: Bench) {
    let bench = bench.with_log().await;
    let told = bench.store.committed();
    let mut before = bench.log().await.head.at;
    for round in 0..50 {
        let one = revoke(vec![entry(&format!("subject:{round}"), Cutoff::Now, Reach::Both)]);
        let appended = bench.store.revoke(act(), one).await.unwrap();
        let now = told.borrow().clone();
        assert!(now.head >= appended.head, "{} was answered", appended.head);
        let stored = bench.store.lines_after(before, 10).await.unwrap().lines;
        assert_eq!(now.lines_after(before), Some(stored.as_slice()), "the lines come along");
        assert_eq!(now.lines_after(appended.head), Some([].as_slice()));
        assert_eq!(now.lines_after(Position::new(1, 0)), None, "those from before are the store's");
        before = appended.head;
    }
    let before = told.borrow().client_changes;
    bench.store.add_client(act(), client("shop")).await.unwrap();
    let added = told.borrow().client_changes;
    assert_ne!(added, before);
    bench.store.remove_client(act(), "shop").await.unwrap();
    assert_ne!(told.borrow().client_changes, added);
}

/// A head that was told can be read, with every line below it.
pub async fn i3_what_was_told_as_committed_can_be_read(bench: Bench) {
    let bench = bench.with_log().await;
    let mut committed = bench.store.committed();
    let store = bench.store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..50 {
            let one = revoke(vec![entry(&format!("subject:{round}"), Cutoff::Now, Reach::Both)]);
            store.revoke(act(), one).await.unwrap();
        }
    });
    let last = Position::new(1, 52);
    loop {
        let told = committed.borrow_and_update().head;
        let lines = bench.store.lines_after(Position::new(1, 0), 100).await.unwrap();
        assert!(lines.head.at >= told, "told {told}, readable {}", lines.head.at);
        assert!(lines.lines.iter().map(|line| line.at.seq).eq(1..=lines.head.at.seq));
        if told == last {
            break;
        }
        committed.changed().await.unwrap();
    }
    writing.await.unwrap();
}

/// A snapshot that lets a session be used has a head below every revocation it does not contain, so
/// the token issued from it is revoked by them.
pub async fn i9_no_snapshot_issues_past_a_concurrent_revocation(bench: Bench) {
    let bench = bench.with_log().await;
    for round in 0..40 {
        let (sid, subject) = (format!("s{round}"), format!("u{round}"));
        bench.open(&sid, &subject).await;
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (store, sid, done) = (bench.store.clone(), sid.clone(), done.clone());
                tokio::spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        let last = done.load(Ordering::SeqCst);
                        let plan = Box::new(|_: &Issuing<'_>| Vec::new());
                        let snapshot = store.issuing_snapshot(&sid, plan).await.unwrap().unwrap();
                        seen.push((snapshot.log.head.at, snapshot.status));
                        if last {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let at = bench.revoke(&format!("subject:{subject}"), Cutoff::Now, Reach::Both).await.positions[0];
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            let seen = reader.await.unwrap();
            for (head, status) in &seen {
                assert_eq!(*status == SessionStatus::Live, *head < at, "{status:?} at {head}, revoked at {at}");
            }
            assert_revoked(seen.last().unwrap().1);
        }
    }
}

/// After the acknowledgement no read sees the session live.
pub async fn i14_a_session_is_dead_once_its_revocation_is_acknowledged(bench: Bench) {
    let bench = Arc::new(bench.with_log().await);
    let tasks: Vec<_> = (0..8)
        .map(|user| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let (sid, subject) = (format!("s{user}"), format!("u{user}"));
                bench.open(&sid, &subject).await;
                bench.revoke(&format!("subject:{subject}"), Cutoff::Now, Reach::Sessions).await;
                assert_revoked(bench.status(&sid).await);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// In the same millisecond as "log out everywhere", and after it, a login lives.
pub async fn i8_a_login_right_after_log_out_everywhere_lives(bench: Bench) {
    let bench = bench.with_log().await;
    for round in 0..10 {
        bench.open(&format!("old{round}"), "alice").await;
        let out = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
        assert_eq!(out.sessions.ended, if round == 0 { 1 } else { 2 });
        let new = bench.open(&format!("new{round}"), "alice").await;
        assert!(new.session.position >= out.positions[0]);
        assert_revoked(bench.status(&format!("old{round}")).await);
        assert_eq!(bench.status(&format!("new{round}")).await, SessionStatus::Live);
    }
}
