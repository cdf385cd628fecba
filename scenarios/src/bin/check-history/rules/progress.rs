//! I4: what a verifier has, in memory within one life and on disk over all of them, never goes back.

use std::collections::BTreeMap;

use super::{Promise, Report};
use crate::history::{History, Micros, Position};

/// When something was seen to have been reached.
struct Reached {
    ended: Micros,
    at: Position,
}

pub(super) fn check(history: &History, report: &mut Report) {
    let mut stored = BTreeMap::<&str, Vec<Reached>>::new();
    for look in &history.stored {
        let before = stored.entry(&look.what.verifier).or_default();
        goes_on(report, before, look.sent, look.what.position, &look.id);
        before.push(Reached { ended: look.ended, at: look.what.position });
    }
    let mut reported = BTreeMap::<(&str, &str), Vec<Reached>>::new();
    for look in history.looks.iter().filter(|look| look.is_done()) {
        let Some(at) = look.what.position else { continue };
        // A later life begins with what was on disk.
        goes_on(
            report,
            stored.get(look.what.verifier.as_str()).map(Vec::as_slice).unwrap_or_default(),
            look.sent,
            at,
            &look.id,
        );
        let before = reported.entry((&look.what.verifier, &look.what.instance)).or_default();
        goes_on(report, before, look.sent, at, &look.id);
        before.push(Reached { ended: look.ended, at });
    }
}

fn goes_on(report: &mut Report, before: &[Reached], sent: Micros, at: Position, id: &str) {
    // The reader looks at one verifier after the other, so the last one before is the latest.
    let Some(last) = before.iter().rev().find(|reached| reached.ended < sent) else { return };
    if at >= last.at {
        report.kept(Promise::I4);
    } else {
        report.broken(Promise::I4, format!("{id}: went back from {} to {at}", last.at));
    }
}
