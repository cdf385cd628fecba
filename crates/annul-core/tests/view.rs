//! The view's own promises: whole batches, honest age, no forgetting, no false refusal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annul_core::algebra::{Cell, Cutoff, CutoffFields, Until};
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::{Chain, Entry, EpochKind, EpochStart, HashedCell, Record, RecordBody};
use annul_core::settings::{IssuerRecord, Settings};
use annul_core::target::{HashKey, TargetHash, TargetKind};
use annul_core::time::{Moment, Monotonic, UnixMillis, UnixSeconds};
use annul_core::view::{ApplyError, Halt, ReplaceError, View, ViewContents, ViewLimits, ViewWriter};

const KEY: HashKey = HashKey::from_bytes([7; 32]);

fn position(seq: u64) -> Position {
    Position::new(1, seq)
}

fn settings(revision: u32) -> Settings {
    Settings {
        revision,
        issuer: "https://id.example".to_owned(),
        longest_life: 900,
        max_leeway: 60,
        clock_skew: 5,
        claims: vec![],
        ask_on: vec![],
        hash_key: KEY.id(),
    }
}

fn record(at: Position, body: RecordBody) -> Record {
    Record { at, body }
}

fn first() -> Record {
    record(position(1), RecordBody::Settings(settings(1)))
}

fn target(byte: u8) -> TargetHash {
    TargetHash([byte; 16])
}

fn revoke(seq: u64, byte: u8, until: Until) -> Record {
    let fields = CutoffFields::of(Cutoff::Now, false, UnixMillis(0));
    record(position(seq), RecordBody::Revoke(Entry { target: target(byte), kind: TargetKind::Subject, fields, until }))
}

fn noop(at: Position) -> Record {
    record(at, RecordBody::Noop)
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

const fn until(seconds: u64) -> Until {
    Until::At(UnixSeconds(seconds))
}

fn begun() -> (View, ViewWriter) {
    let (view, mut writer) = View::new();
    writer.set_hash_key(KEY);
    writer.apply(&[first()]).unwrap();
    (view, writer)
}

#[test]
fn a_batch_with_one_bad_record_leaves_nothing_behind() {
    let (view, mut writer) = begun();
    let before = writer.contents();
    let refused = writer.apply(&[revoke(2, 1, Until::Never), revoke(4, 2, Until::Never)]);
    assert_eq!(refused, Err(ApplyError::NotNext { expected: position(3), got: position(4) }));
    assert_eq!(writer.contents(), before);
    assert!(view.cell(&target(1)).is_none());
}

#[test]
fn readers_see_a_batch_whole_or_not_at_all() {
    let (view, mut writer) = begun();
    let done = AtomicBool::new(false);
    let all_are_here = Barrier::new(3);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    all_are_here.wait();
                    while !done.load(Ordering::Acquire) {
                        // A batch has two records; both cells come with one and go with the next.
                        let status = view.status(Moment::default());
                        assert!(status.entries == 0 || status.entries == 2, "{status:?}");
                        assert_eq!(status.position.unwrap().seq % 2, 1, "half a batch was seen");
                    }
                })
            })
            .collect();
        all_are_here.wait();
        for round in 0..2_000 {
            let seq = 2 + 2 * round;
            let batch = match round % 2 {
                0 => vec![revoke(seq, 1, Until::Never), revoke(seq + 1, 2, Until::Never)],
                _ => {
                    let gone = |byte| HashedCell { target: target(byte), kind: TargetKind::Subject, cell: None };
                    vec![record(position(seq), RecordBody::Lift(vec![gone(1), gone(2)])), noop(position(seq + 1))]
                }
            };
            writer.apply(&batch).unwrap();
        }
        done.store(true, Ordering::Release);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn i5_age_moves_with_a_round_trip_and_never_with_arrival() {
    let (view, mut writer) = begun();
    assert_eq!(view.age(at(100)), None);
    writer.confirm(position(2), at(50), UnixSeconds(1_000));
    assert_eq!(view.age(at(100)), None, "the head is not applied yet");
    writer.apply(&[noop(position(2))]).unwrap();
    assert_eq!(view.age(at(100)), Some(Duration::from_secs(50)));
    writer.apply(&[noop(position(3))]).unwrap();
    assert_eq!(view.age(at(100)), Some(Duration::from_secs(50)), "a record that arrives proves nothing");
}

#[test]
fn i4_a_snapshot_never_lowers_the_position() {
    let (view, mut writer) = begun();
    let old = writer.contents().unwrap();
    writer.apply(&[revoke(2, 1, Until::Never)]).unwrap();
    let older = ReplaceError::Older { held: position(2), offered: position(1) };
    assert_eq!(writer.replace(old), Err(older));
    assert!(view.cell(&target(1)).is_some());
}

#[test]
fn i7_a_snapshot_keeps_the_proven_age() {
    let (view, mut writer) = begun();
    writer.confirm(position(1), at(10), UnixSeconds(1_000));
    writer.confirm(position(5), at(20), UnixSeconds(1_010));
    let newer = ViewContents { position: position(6), ..writer.contents().unwrap() };
    writer.replace(newer).unwrap();
    assert_eq!(view.age(at(30)), Some(Duration::from_secs(10)), "the snapshot holds the pending head");
}

#[test]
fn i16_expiry_is_set_back_by_the_skew() {
    let (view, mut writer) = begun();
    writer.apply(&[revoke(2, 1, until(119))]).unwrap();
    writer.expire(UnixSeconds(124));
    assert!(view.cell(&target(1)).is_some());
    writer.expire(UnixSeconds(125));
    assert!(view.cell(&target(1)).is_none());
    assert_eq!(view.status(Moment::default()).forgotten, UnixSeconds(119));
}

#[test]
fn entries_beyond_the_limit_halt_the_view_and_evict_nothing() {
    let (view, mut writer) = View::with_limits(ViewLimits { entries: 3, entries_without_until: 1 });
    writer.apply(&[first(), revoke(2, 1, Until::Never)]).unwrap();
    let full = writer.apply(&[revoke(3, 2, Until::Never)]);
    assert_eq!(full, Err(ApplyError::Full(Halt::TooManyWithoutUntil)));
    assert!(view.cell(&target(1)).is_some() && view.cell(&target(2)).is_none());
    assert_eq!(view.status(Moment::default()).halted, Some(Halt::TooManyWithoutUntil));
    assert_eq!(writer.apply(&[noop(position(3))]), Err(ApplyError::Halted(Halt::TooManyWithoutUntil)));
    writer.resume();
    writer.apply(&[revoke(3, 2, until(100)), revoke(4, 3, until(100))]).unwrap();
    assert_eq!(writer.apply(&[revoke(5, 4, until(100))]), Err(ApplyError::Full(Halt::TooManyEntries)));
}

#[test]
fn a_snapshot_beyond_the_limit_halts_the_view_and_changes_nothing_else() {
    let (_, mut big) = begun();
    big.apply(&[revoke(2, 1, until(100)), revoke(3, 2, until(100))]).unwrap();
    let (view, mut writer) = View::with_limits(ViewLimits { entries: 1, entries_without_until: 1 });
    writer.apply(&[first()]).unwrap();
    assert_eq!(writer.replace(big.contents().unwrap()), Err(ReplaceError::Full(Halt::TooManyEntries)));
    assert_eq!(view.position(), Some(position(1)));
}

#[test]
fn settings_whose_revision_does_not_rise_are_refused() {
    let (_, mut writer) = begun();
    let again = record(position(2), RecordBody::Settings(settings(1)));
    assert_eq!(writer.apply(&[again]), Err(ApplyError::Revision { at: position(2), revision: 1 }));
    writer.apply(&[record(position(2), RecordBody::Settings(settings(2)))]).unwrap();
}

#[test]
fn an_issuer_is_replaced_whole_and_a_removed_one_has_no_keys() {
    let (view, mut writer) = begun();
    let issuer = |removed| IssuerRecord {
        issuer: "https://idp.example".to_owned(),
        keys: vec![serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": "not a key"})],
        longest_life: 60,
        skew: 0,
        requires_jti: false,
        claims: Default::default(),
        keys_due: None,
        removed,
    };
    writer.apply(&[record(position(2), RecordBody::Issuer(issuer(false)))]).unwrap();
    assert_eq!(view.issuer("https://idp.example").unwrap().skipped.len(), 1, "a bad key is named, not fatal");
    assert!(view.keys("https://idp.example").is_some());
    writer.apply(&[record(position(3), RecordBody::Issuer(issuer(true)))]).unwrap();
    assert!(view.keys("https://idp.example").is_none());
    assert!(view.issuer("https://idp.example").unwrap().record.removed);
}

fn epoch(at: Position, fork: Position) -> Record {
    let start = EpochStart { epoch_kind: EpochKind::Failover, fork, fork_chain: Chain([0; 32]) };
    record(at, RecordBody::Epoch(start))
}

#[test]
fn i12_a_new_epoch_keeps_what_the_view_held() {
    let (view, mut writer) = begun();
    writer.apply(&[revoke(2, 1, Until::Never), revoke(3, 2, Until::Never)]).unwrap();
    writer.apply(&[epoch(Position::new(2, 1), position(3)), noop(Position::new(2, 2))]).unwrap();
    assert_eq!(view.position(), Some(Position::new(2, 2)));
    assert!(view.cell(&target(1)).is_some() && view.cell(&target(2)).is_some());
}

/// A view in the second epoch that keeps one cell, with an until of 500, from above the fork.
fn past_a_fork() -> (View, ViewWriter) {
    let (view, mut writer) = begun();
    writer.apply(&[revoke(2, 1, until(500))]).unwrap();
    let kept = writer.beyond(|at| at < position(2));
    let second = Position::new(2, 1);
    writer
        .replace(ViewContents { position: second, cells: PackedCells::default(), kept, ..writer.contents().unwrap() })
        .unwrap();
    assert_eq!((view.status(Moment::default()).entries, view.status(Moment::default()).kept), (0, 1));
    (view, writer)
}

#[test]
fn i12_no_lift_takes_away_what_lies_above_a_fork() {
    let (view, mut writer) = past_a_fork();
    let gone = HashedCell { target: target(1), kind: TargetKind::Subject, cell: None };
    writer.apply(&[record(Position::new(2, 2), RecordBody::Lift(vec![gone]))]).unwrap();
    assert_eq!(view.cell(&target(1)).unwrap().position, Some(position(2)));
    let later = Record { at: Position::new(2, 3), ..revoke(3, 1, until(900)) };
    writer.apply(&[later]).unwrap();
    assert_eq!(view.cell(&target(1)).unwrap().position, Some(Position::new(2, 3)), "both are in force");
}

#[test]
fn i12_what_a_clock_ahead_made_a_view_forget_from_above_a_fork_stays_known() {
    let (view, mut writer) = past_a_fork();
    writer.expire(UnixSeconds(5_000));
    assert_eq!(view.status(Moment::default()).kept, 0);
    let next = ViewContents {
        position: Position::new(2, 9),
        kept: writer.beyond(|_| true),
        forgotten: UnixSeconds(0),
        ..writer.contents().unwrap()
    };
    writer.replace(next).unwrap();
    let contents = writer.contents().unwrap();
    assert_eq!((contents.forgotten, contents.kept.forgotten), (UnixSeconds(0), UnixSeconds(509)));
}

#[test]
fn what_lies_above_a_fork_counts_like_the_rest() {
    let (_, big) = past_a_fork();
    let (view, mut writer) = View::with_limits(ViewLimits { entries: 0, entries_without_until: 0 });
    assert_eq!(writer.replace(big.contents().unwrap()), Err(ReplaceError::Full(Halt::TooManyEntries)));
    assert_eq!(view.position(), None);
}

#[test]
fn i3_an_epoch_that_continues_what_the_view_lacks_is_a_gap() {
    let (_, mut writer) = begun();
    assert!(matches!(writer.apply(&[epoch(Position::new(2, 1), position(2))]), Err(ApplyError::NotNext { .. })));
    assert!(matches!(writer.apply(&[epoch(Position::new(2, 2), position(1))]), Err(ApplyError::NotNext { .. })));
    let below = epoch(Position::new(2, 1), position(0));
    assert!(
        matches!(writer.apply(&[below]), Err(ApplyError::NotNext { .. })),
        "what lies above the fork is not its own"
    );
    assert!(matches!(writer.apply(&[noop(Position::new(2, 1))]), Err(ApplyError::NotNext { .. })));
    assert_eq!(writer.apply(&[epoch(position(2), position(1))]), Err(ApplyError::Epoch { at: position(2) }));
    writer.apply(&[epoch(Position::new(2, 1), position(1))]).unwrap();
    assert!(matches!(writer.apply(&[noop(position(2))]), Err(ApplyError::NotNext { .. })), "the old epoch is over");
}

#[test]
fn i11_a_head_of_an_epoch_that_is_over_proves_nothing() {
    let (view, mut writer) = begun();
    writer.apply(&[epoch(Position::new(2, 1), position(1))]).unwrap();
    writer.confirm(position(1), at(50), UnixSeconds(1_000));
    assert_eq!(view.age(at(60)), None);
    writer.confirm(Position::new(2, 1), at(55), UnixSeconds(1_005));
    assert_eq!(view.age(at(60)), Some(Duration::from_secs(5)));
}

#[test]
fn a_repeated_target_is_absorbed_into_one_cell() {
    let (view, mut writer) = begun();
    writer.apply(&[revoke(2, 1, until(500)), revoke(3, 1, until(300))]).unwrap();
    let expected = Cell { always: None, position: Some(position(3)), time: None, until: until(500) };
    assert_eq!(view.cell(&target(1)), Some(expected));
    assert_eq!(view.status(Moment::default()).entries, 1);
}
