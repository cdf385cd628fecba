//! I3: positions are dense, in commit order, given once; whoever reads one reads what is there.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Promise, Report};
use crate::history::{History, Position};
use crate::world::World;

pub(super) fn check(history: &History, world: &World<'_>, report: &mut Report) {
    the_log_is_dense(history, report);
    acknowledged_positions_are_their_own(history, report);
    acknowledgements_are_in_order(world, report);
    followers_read_what_is_there(history, report);
}

fn the_log_is_dense(history: &History, report: &mut Report) {
    let mut next = Position(1, 1);
    for record in &history.at_the_end.records {
        if record.at == next {
            report.kept(Promise::I3);
        } else {
            report.broken(Promise::I3, format!("the log has {} where {next} belongs", record.at));
        }
        next = Position(record.at.0, record.at.1 + 1);
    }
}

/// Nobody else was told the same position, and the log has a record of that kind there.
fn acknowledged_positions_are_their_own(history: &History, report: &mut Report) {
    let kinds: BTreeMap<Position, String> = history
        .at_the_end
        .records
        .iter()
        .filter_map(|record| {
            let line: Value = serde_json::from_str(&record.line).ok()?;
            Some((record.at, line["kind"].as_str()?.to_owned()))
        })
        .collect();
    // A call that was repeated under its reason is answered as the first one was.
    let mut owners = HashMap::<Position, &str>::new();
    let mut claim = |report: &mut Report, at: Position, owner, expected: &[&str]| {
        let other = owners.insert(at, owner).filter(|other| *other != owner);
        let kind = kinds.get(&at).map(String::as_str);
        if let Some(other) = other {
            report.broken(Promise::I3, format!("{at} was acknowledged to {other} and to {owner}"));
        } else if !kind.is_some_and(|kind| expected.contains(&kind)) {
            report.broken(Promise::I3, format!("{owner}: at {at} there is {kind:?} and not {expected:?}"));
        } else {
            report.kept(Promise::I3);
        }
    };
    for revoke in history.revokes.iter().filter(|revoke| revoke.is_done()) {
        let owner = revoke.what.reason.as_deref().unwrap_or(&revoke.id);
        for entry in revoke.what.own_entries() {
            let expected = if entry.reach == "sessions" { "noop" } else { "revoke" };
            claim(report, entry.position, owner, &[expected]);
        }
    }
    for lift in history.lifts.iter().filter(|lift| lift.is_done()) {
        if let Some(at) = lift.what.position {
            claim(report, at, &lift.id, &["lift", "noop"]);
        }
    }
}

/// Whoever asks after an acknowledgement gets a later place.
fn acknowledgements_are_in_order(world: &World<'_>, report: &mut Report) {
    let mut by_sent: Vec<_> = world.writes.iter().collect();
    by_sent.sort_by_key(|write| write.sent);
    let mut earlier = world.writes.iter().peekable();
    let mut greatest = None;
    for write in by_sent {
        while let Some(done) = earlier.next_if(|done| done.ended < write.sent) {
            greatest = greatest.max(Some((done.last, done.id)));
        }
        if let Some((last, id)) = greatest {
            if write.first > last {
                report.kept(Promise::I3);
            } else {
                report.broken(
                    Promise::I3,
                    format!("{} was asked for after {id} had {last} and got {}", write.id, write.first),
                );
            }
        }
    }
}

fn followers_read_what_is_there(history: &History, report: &mut Report) {
    let lines: BTreeMap<Position, &str> =
        history.at_the_end.records.iter().map(|record| (record.at, record.line.as_str())).collect();
    for frame in history.frames.iter().filter(|frame| frame.is_done()) {
        let mut next = frame.what.after.1 + 1;
        for record in &frame.what.records {
            let is_next = record.at.1 == next;
            if is_next && lines.get(&record.at) == Some(&record.line.as_str()) {
                report.kept(Promise::I3);
            } else {
                report.broken(Promise::I3, format!("{}: a follower read another record at {}", frame.id, record.at));
            }
            next = record.at.1 + 1;
        }
    }
}
