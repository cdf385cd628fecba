//! Every order in which a reader can meet the writer of the view's table, tried out.
//!
//! What is examined is the table's concurrent core, the segment, compiled here from its source with
//! the model checker's atomics. The swap of the view's state is another crate's; a mutex stands for
//! it, which gives no more order than the swap does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "the tests use a part of what the table uses")]

use annul_core::{algebra, target};
use loom::sync::{Arc, Mutex};
use loom::thread;

mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}
#[path = "../src/view/table/segment.rs"]
mod segment;

use algebra::{Cell, TimeCutoff, Until};
use annul_core::position::Position;
use annul_core::time::UnixSeconds;
use segment::{Key, Segment};
use target::TargetHash;

/// A key of the same segment, bucket and word of the filter as any other with a small `last`.
fn key(last: u8) -> Key {
    let mut hash = [7; 16];
    hash[15] = last;
    Key::of(&TargetHash(hash))
}

/// A segment in which these keys, all with the same first half, have these values.
fn published(entries: &[(u8, u64)]) -> Arc<Segment> {
    let segment = Segment::with_room(4, 2);
    for &(last, value) in entries {
        segment.insert(key(last), value).unwrap();
    }
    Arc::new(segment)
}

#[test]
fn an_entry_published_before_is_never_missed_while_others_come() {
    loom::model(|| {
        let segment = published(&[(1, 10)]);
        let reader = {
            let segment = Arc::clone(&segment);
            thread::spawn(move || assert_eq!(segment.find(key(1)), Some(10)))
        };
        segment.insert(key(2), 20).unwrap();
        segment.insert(key(3), 30).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn an_entry_that_is_seen_is_whole_and_its_own() {
    loom::model(|| {
        let segment = published(&[]);
        let reader = {
            let segment = Arc::clone(&segment);
            thread::spawn(move || {
                assert!(matches!(segment.find(key(2)), None | Some(20)));
                assert!(matches!(segment.find(key(1)), None | Some(10)));
                assert_eq!(segment.find(key(3)), None, "its first half is that of the others");
            })
        };
        segment.insert(key(1), 10).unwrap();
        segment.insert(key(2), 20).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn an_update_is_seen_as_the_old_value_or_the_new_and_never_taken_back() {
    loom::model(|| {
        let segment = published(&[(1, 10), (2, 20)]);
        let reader = {
            let segment = Arc::clone(&segment);
            thread::spawn(move || {
                let first = segment.find(key(1)).unwrap();
                let second = segment.find(key(1)).unwrap();
                assert!([10, 11, 12].contains(&first) && second >= first);
                assert_eq!(segment.find(key(2)), Some(20));
            })
        };
        let slot = segment.locate(key(1)).unwrap();
        segment.set(slot, 11);
        segment.set(slot, 12);
        reader.join().unwrap();
    });
}

#[test]
fn a_wide_cell_is_there_before_the_value_that_names_it() {
    let cell = Cell {
        always: Some(Position::new(1, 2)),
        position: Some(Position::new(1, 3)),
        time: Some(TimeCutoff { time: UnixSeconds(9), at: Position::new(1, 1) }),
        until: Until::Never,
    };
    const COMPACT: u64 = 99;
    loom::model(move || {
        let segment = published(&[(1, COMPACT)]);
        let reader = {
            let segment = Arc::clone(&segment);
            thread::spawn(move || match segment.find(key(1)).unwrap() {
                COMPACT => {}
                index => assert_eq!(segment.wide(index as usize), Some(cell)),
            })
        };
        let index = segment.add_wide(cell).unwrap();
        segment.set(segment.locate(key(1)).unwrap(), index as u64);
        reader.join().unwrap();
    });
}

#[test]
fn growth_loses_nothing_that_was_published() {
    loom::model(|| {
        let state = Arc::new(Mutex::new(published(&[(1, 10)])));
        let reader = {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                let segment = Arc::clone(&state.lock().unwrap());
                assert!(matches!(segment.find(key(1)), Some(10 | 11)));
                let after = Arc::clone(&state.lock().unwrap());
                if !Arc::ptr_eq(&segment, &after) {
                    assert_eq!(after.find(key(1)), Some(11));
                    assert_eq!(after.find(key(2)), Some(20));
                }
            })
        };
        let old = Arc::clone(&state.lock().unwrap());
        old.set(old.locate(key(1)).unwrap(), 11);
        let grown = Segment::with_room(8, 2);
        old.entries().for_each(|(key, value)| grown.insert(key, value).unwrap());
        grown.insert(key(2), 20).unwrap();
        *state.lock().unwrap() = Arc::new(grown);
        reader.join().unwrap();
    });
}

#[test]
fn who_sees_the_second_of_two_published_batches_sees_the_first() {
    loom::model(|| {
        let segment = published(&[]);
        let position = Arc::new(Mutex::new(0));
        let reader = {
            let (segment, position) = (Arc::clone(&segment), Arc::clone(&position));
            thread::spawn(move || {
                let position = *position.lock().unwrap();
                if position >= 1 {
                    assert_eq!(segment.find(key(1)), Some(10));
                }
                if position >= 2 {
                    assert_eq!(segment.find(key(2)), Some(20));
                }
            })
        };
        segment.insert(key(1), 10).unwrap();
        *position.lock().unwrap() = 1;
        segment.insert(key(2), 20).unwrap();
        *position.lock().unwrap() = 2;
        reader.join().unwrap();
    });
}
