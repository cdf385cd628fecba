//! I8: whatever is refused, by a verifier or by the authority, is refused for a reason that stands
//! in the log.

use super::{Promise, Report};
use crate::algebra::{Cutoff, Names};
use crate::history::{Check, History, Issue, Micros, Position, Request};
use crate::world::{Entry, World};

pub(super) fn check(history: &History, world: &World<'_>, report: &mut Report) {
    for check in &history.checks {
        at_a_verifier(world, check, history.max_staleness, report);
    }
    for issue in history.issues.iter().filter(|issue| !issue.is_unknown() && !issue.is_done()) {
        let justified = match issue.code.as_deref() {
            Some("session_revoked") => session_may_be_revoked(world, issue),
            Some("subject_blocked") => may_be_blocked(history, issue),
            _ => false,
        };
        if justified {
            report.kept(Promise::I8);
        } else {
            report.broken(Promise::I8, format!("{}: refused as {:?} for no reason", issue.id, issue.code));
        }
    }
}

fn at_a_verifier(world: &World<'_>, check: &Request<Check>, max_staleness: Micros, report: &mut Report) {
    let Some(token) = world.tokens.get(check.what.jti.as_str()) else { return };
    match check.status {
        Some(200) => {
            report.kept(Promise::I8);
            if is_login_after_a_wide_revocation(world, token.position(), check.sent) {
                report.kept(Promise::I8Fresh);
            }
        }
        Some(503) | None => {}
        Some(status) => {
            let reached = world.reached(check);
            let entries = world.revoking(token);
            let is_key = matches!(check.code.as_deref(), Some("key_killed" | "key_unknown"));
            let knows_why = check.is_refused_as("token_revoked") || is_key && status == 401;
            let is_revoked = || entries.iter().any(|entry| entry.may_hold_in_view(reached, check.ended));
            let knows_no_key = check.is_refused_as("token_invalid") && status == 401;
            if knows_why && is_revoked() || knows_no_key && world.may_lack_the_key(check, token, max_staleness) {
                report.kept(Promise::I8);
                return;
            }
            let (verifier, code) = (&check.what.verifier, &check.code);
            let what = format!("{}: {verifier} refused as {code:?} what nothing revokes", check.id);
            if is_login_after_a_wide_revocation(world, token.position(), check.sent) {
                report.broken(Promise::I8Fresh, what.clone());
            }
            report.broken(Promise::I8, what);
        }
    }
}

/// Whether everything was revoked shortly before, and the token is of after that.
fn is_login_after_a_wide_revocation(world: &World<'_>, position: Position, sent: Micros) -> bool {
    /// What counts as shortly.
    const RIGHT_AFTER: Micros = 2_000_000;
    world.against(&["issuer".to_owned()]).into_iter().any(|entry: &Entry| {
        let recent = entry.acknowledged.is_some_and(|at| at < sent && sent - at < RIGHT_AFTER);
        recent && entry.at <= position
    })
}

fn session_may_be_revoked(world: &World<'_>, issue: &Request<Issue>) -> bool {
    let what = &issue.what;
    let session = what.sid.as_deref().and_then(|sid| world.sessions.get(sid));
    let (names, position, time) = match session {
        Some(session) => (session.names.clone(), session.least_position(issue.sent), session.time),
        // A session not opened yet is younger than every cutoff but `always`.
        None => {
            let asked = Names {
                subject: what.subject.as_deref(),
                device: what.device.as_deref(),
                tenant: what.tenant.as_deref(),
                ..Names::default()
            };
            (asked, Position(u64::MAX, 0), u64::MAX)
        }
    };
    // Its time is read before it waits for its place in the log, so a cutoff in seconds that overtook it reaches it:
    // one that did not surely have its place when it was asked for.
    let overtook = |entry: &Entry| {
        let was_there = world.writes.iter().any(|write| write.ended < issue.sent && write.last >= entry.at);
        session.is_none() && !was_there && matches!(entry.cutoff, Cutoff::Before(_))
    };
    let entries = world.against(&names.targets());
    entries.into_iter().any(|entry| {
        let reaches = entry.cutoff.reaches(position, time) || overtook(entry);
        entry.on_sessions && reaches && entry.may_hold(issue.sent, issue.ended)
    })
}

/// Whether the subject may be blocked while this is asked for.
fn may_be_blocked(history: &History, issue: &Request<Issue>) -> bool {
    let about = |verb: &'static str| {
        let subject = &issue.what.subject;
        history.revokes.iter().filter(move |other| other.what.verb == verb && other.what.subject == *subject)
    };
    about("block").filter(|block| block.may_be_done() && block.sent <= issue.ended).any(|block| {
        // An unanswered block may come into effect at any time.
        let over = |end: &&Request<_>| end.is_done() && end.sent > block.ended && end.ended < issue.sent;
        block.is_unknown() || !about("unblock").any(|end| over(&end))
    })
}
