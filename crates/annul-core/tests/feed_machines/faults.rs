//! What a follower must not pass, and what ends it.

use std::time::Duration;

use annul_core::feed::follower::{Fault, FollowerConfig, Input, Output, Request, Source};
use annul_core::feed::frame::frame_bytes;
use annul_core::feed::head::Head;
use annul_core::feed::report::ReplicaState;
use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::feed::sse::SseEvent;
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::{Chain, EpochKind, EpochStart, HashedCell};
use annul_core::target::{HashKey, TargetKind};

use crate::authority::{config, signer, target};
use crate::bench::{Bench, is_changes, is_introduction, is_report, is_snapshot, persisted};

#[test]
fn an_unknown_critical_record_halts_and_an_unknown_optional_one_passes() {
    let mut bench = Bench::live();
    let next = bench.authority.tip().next();
    let now = bench.now();
    bench.authority.commit_line(format!(r#"{{"at":"{next}","kind":"glitter","optional":true}}"#), now);
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    assert_eq!(bench.follower.position(), Some(next));

    bench.authority.commit_line(format!(r#"{{"at":"{}","kind":"quantum_revoke"}}"#, next.next()), now);
    let line = bench.authority.lines.last().unwrap().clone();
    let head = bench.authority.sign(line.at, line.chain, None).to_line();
    let data = format!("{}\n{head}", line.line);
    bench.give(Input::StreamEvent(SseEvent::new("frame", data)));
    assert_eq!(bench.follower.position(), Some(next), "nothing was applied");
    assert_eq!(bench.follower.fault(), Some(&Fault::UnknownRecord { at: next.next() }));
    assert_eq!(bench.state(), ReplicaState::Halted);
    assert!(bench.view.status(bench.now()).halted.is_some());
}

#[test]
fn a_bad_signature_halts_until_the_feed_is_genuine_again() {
    let mut bench = Bench::live();
    bench.authority.revoke(9, bench.now());
    let line = bench.authority.lines.last().unwrap().clone();
    let forged = signer(8).sign_head(bench.authority.sign(line.at, line.chain, None).claimed().clone());
    let bytes = frame_bytes([line.line.as_str()], &forged.to_line());
    bench.give(Input::Changes(bytes));
    assert_eq!(bench.follower.fault(), Some(&Fault::Signature));
    assert!(bench.view.cell(&target(9)).is_none());
    bench.pass(300);
    bench.catch_up();
    assert!(bench.out.contains(&Output::Resumed));
    assert!(bench.view.cell(&target(9)).is_some());
    assert_eq!(bench.state(), ReplicaState::Live);
}

#[test]
fn another_history_in_the_same_epoch_halts_and_is_never_taken() {
    let mut bench = Bench::live();
    bench.give(Input::TokenAhead(Position::new(1, 99)));
    bench.pass(1100);
    let request = bench.asked(is_changes);
    bench.refuse(&request, 409);
    let at = bench.follower.position().unwrap();
    assert_eq!(bench.follower.fault(), Some(&Fault::Diverged { at }));
    bench.pass(31_000);
    let request = bench.asked(is_introduction);
    bench.answer(&request);
    bench.pass(31_000);
    assert!(!bench.is_asked(is_snapshot));
    bench.authority.revoke(9, bench.now());
    bench.give(Input::Snapshot(bench.authority.snapshot_bytes()));
    assert_eq!(bench.follower.position(), Some(at));
    assert!(bench.view.cell(&target(1)).is_some(), "what is revoked here stays refused");
}

/// The snapshot that an authority would give away that had lost records and given their positions to others.
fn of_another_history(bench: &Bench) -> Vec<u8> {
    let at = Position::new(1, bench.follower.position().unwrap().seq + 5);
    Snapshot { at, chain: Chain([6; 32]), cells: PackedCells::default(), ..bench.authority.snapshot() }
        .to_bytes(&signer(7))
}

#[test]
fn a_snapshot_that_nobody_needs_takes_no_view_to_another_history() {
    let mut bench = Bench::live();
    let held = bench.follower.position();
    let other = of_another_history(&bench);
    bench.give(Input::Snapshot(other));
    assert_eq!(bench.follower.position(), held);
    assert!(bench.view.cell(&target(1)).is_some());
    assert_eq!(bench.state(), ReplicaState::Live);
}

#[test]
fn once_the_log_is_compacted_a_snapshot_is_taken_on_the_feed_keys_word() {
    let mut bench = Bench::live();
    let (held, other) = (bench.follower.position().unwrap(), of_another_history(&bench));
    let request = Request::Changes { after: held, chain: Chain([0; 32]), wait: Duration::ZERO };
    bench.refuse(&request, 410);
    bench.give(Input::Snapshot(other));
    assert_eq!(bench.follower.position(), Some(Position::new(1, held.seq + 5)));
}

#[test]
fn i12_a_newer_epoch_is_taken_and_what_lies_above_its_fork_is_kept() {
    let mut bench = Bench::live();
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    let held = bench.authority.lines.last().unwrap().clone();
    let fork = &bench.authority.lines[bench.authority.lines.len() - 2];
    let start = EpochStart { epoch_kind: EpochKind::Failover, fork: fork.at, fork_chain: fork.chain };

    bench.give(Input::Refused {
        request: Request::Changes { after: held.at, chain: held.chain, wait: Duration::ZERO },
        status: 409,
        retry_after: None,
    });
    bench.pass(31_000);
    let (at, chain) = (Position::new(2, 4), Chain([4; 32]));
    let mut introduction = bench.authority.introduction("n", bench.now());
    introduction.head = bench.authority.sign(at, chain, None);
    bench.give(Input::Introduced(introduction.to_json()));
    assert!(bench.follower.fault().is_some());
    let kept = bench.view.cell(&target(9)).unwrap();
    let cells = PackedCells::of(at, vec![lifted_one()]);
    let snapshot = Snapshot { at, chain, epochs: vec![start], cells, ..bench.authority.snapshot() };
    bench.give(Input::Snapshot(snapshot.to_bytes(&signer(7))));
    assert_eq!(bench.follower.position(), Some(at));
    assert_eq!(bench.follower.fault(), None);
    assert_eq!(bench.view.cell(&target(9)), Some(kept), "acknowledged before the failover, unknown to the new epoch");
    assert!(bench.view.cell(&target(1)).is_none(), "below the fork the new epoch's word holds");
}

/// A cell that has nothing to do with the others.
fn lifted_one() -> HashedCell {
    let always = Some(Position::new(2, 3));
    let until = annul_core::algebra::Until::Never;
    let cell = annul_core::algebra::Cell { always, position: None, time: None, until };
    HashedCell { target: target(77), kind: TargetKind::Key, cell: Some(cell) }
}

#[test]
fn the_first_feed_key_is_pinned_and_another_later_halts() {
    let mut bench = Bench::live();
    bench.give(Input::Refused {
        request: Request::Changes { after: Position::new(1, 3), chain: Chain([0; 32]), wait: Duration::ZERO },
        status: 409,
        retry_after: None,
    });
    bench.pass(31_000);
    let mut other = bench.authority.introduction("n", bench.now());
    other.head = signer(8).sign_head(other.head.claimed().clone());
    other.feed_key = signer(8).key().clone();
    bench.give(Input::Introduced(other.to_json()));
    let pinned = signer(7).key().fingerprint().to_owned();
    let offered = signer(8).key().fingerprint().to_owned();
    assert_eq!(bench.follower.fault(), Some(&Fault::FeedKey { pinned, offered }));
    assert_eq!(bench.state(), ReplicaState::Halted);
}

#[test]
fn a_fingerprint_given_beforehand_a_wrong_issuer_and_a_relay_without_a_key_are_held_to() {
    let given = FollowerConfig { feed_key: Some("another".to_owned()), ..config("one", 1) };
    let issuer = FollowerConfig { issuer: "https://other.example".to_owned(), ..config("one", 1) };
    let relay = FollowerConfig { source: Source::Relay, ..config("one", 1) };
    for (config, code) in [(given, "feed_key_differs"), (issuer, "issuer_differs"), (relay, "feed_key_missing")] {
        let mut bench = Bench::new(config);
        bench.start(None);
        let request = bench.asked(is_introduction);
        bench.answer(&request);
        assert_eq!(bench.follower.fault().map(Fault::code), Some(code));
        assert!(!bench.is_asked(is_snapshot), "{code}");
    }
}

#[test]
fn a_leeway_beyond_the_settings_halts_until_it_is_lowered() {
    let mut bench = Bench::live();
    bench.follower.set_routes(Default::default(), Duration::from_secs(9), Duration::from_secs(61));
    bench.give(Input::Tick);
    assert_eq!(bench.follower.fault(), Some(&Fault::Leeway { configured: 61, allowed: 60 }));
    bench.follower.set_routes(Default::default(), Duration::from_secs(9), Duration::from_secs(60));
    assert_eq!(bench.follower.fault(), None);
}

#[test]
fn nothing_that_the_feed_brings_ends_a_leeway_beyond_the_settings() {
    let mut bench = Bench::live();
    bench.follower.set_routes(Default::default(), Duration::from_secs(9), Duration::from_secs(61));
    let fault = Fault::Leeway { configured: 61, allowed: 60 };
    let tip = bench.authority.lines.last().unwrap().clone();
    bench.give(Input::Changes(frame_bytes([], &bench.authority.sign(tip.at, tip.chain, None).to_line())));
    assert_eq!(bench.follower.fault(), Some(&fault), "an empty frame");
    bench.authority.revoke(4, bench.now());
    let frame = bench.frame_after(tip.at, tip.chain);
    bench.give(Input::Changes(format!("{}\n", frame.data).into_bytes()));
    assert_eq!(bench.follower.fault(), Some(&fault), "a frame with records");
    assert!(bench.view.cell(&target(4)).is_some(), "what is revoked is taken all the same");
    assert_eq!(bench.state(), ReplicaState::Halted);
}

/// The cells of a view were hashed with the key it had; probed with another they would all be missed.
#[test]
fn i1_another_hash_key_is_used_only_with_the_snapshot_that_was_hashed_with_it() {
    let mut bench = Bench::live();
    let old = HashKey::from_bytes([3; 32]);
    let tip = bench.authority.lines.last().unwrap().clone();
    bench.give(Input::Refused {
        request: Request::Changes { after: tip.at, chain: tip.chain, wait: Duration::ZERO },
        status: 409,
        retry_after: None,
    });
    bench.pass(31_000);
    let other = HashKey::from_bytes([4; 32]);
    let mut introduction = bench.authority.introduction("n", bench.now());
    let head = introduction.head.claimed().clone();
    introduction.head = signer(7).sign_head(Head { hash_key: other.id(), ..head });
    introduction.hash_key = other.clone();
    bench.out.clear();
    bench.give(Input::Introduced(introduction.to_json()));
    bench.pass(31_000);
    assert!(bench.is_asked(is_snapshot));
    let stored_key = |bytes: &[u8]| StoredState::from_bytes(bytes).unwrap().hash_key;
    for output in &bench.out {
        if let Output::Persist(bytes) = output {
            assert_eq!(stored_key(bytes), old, "a restart must not mix the two either");
        }
    }
    let mut snapshot = bench.authority.snapshot();
    snapshot.at = Position::new(2, 1);
    snapshot.settings.revision = 2;
    snapshot.settings.hash_key = other.id();
    bench.give(Input::Snapshot(snapshot.to_bytes(&signer(7))));
    assert_eq!(bench.follower.fault(), None);
    bench.pass(31_000);
    assert_eq!(stored_key(&persisted(&bench)), other);
}

#[test]
fn a_refused_credential_is_named_and_leaves_the_view_as_it_is() {
    let mut bench = Bench::live();
    bench.pass(3000);
    let request = bench.asked(is_report);
    bench.refuse(&request, 403);
    assert_eq!(bench.follower.fault(), Some(&Fault::NotPermitted { status: 403 }));
    assert_eq!(bench.state(), ReplicaState::Live);
}
