//! I9 and I14: what is handed out is not dead already, and a revoked session gets nothing.

use super::{Promise, Report};
use crate::history::{History, Issue, Position, Request};
use crate::world::World;

pub(super) fn check(history: &History, world: &World<'_>, report: &mut Report) {
    let mut issues: Vec<_> = history.issues.iter().collect();
    issues.sort_by_key(|issue| issue.sent);
    let mut acknowledged = world.writes.iter().peekable();
    let mut greatest = Position::default();
    for issue in issues {
        while let Some(write) = acknowledged.next_if(|write| write.ended < issue.sent) {
            greatest = greatest.max(write.last);
        }
        outruns_no_revocation(world, issue, greatest, report);
        session_is_not_revoked(world, issue, report);
        subject_is_not_blocked(history, issue, report);
    }
}

fn outruns_no_revocation(world: &World<'_>, issue: &Request<Issue>, greatest: Position, report: &mut Report) {
    let Some(token) = issue.what.token.as_ref().filter(|_| issue.is_done()) else { return };
    if token.position() < greatest {
        let position = token.position();
        report.broken(Promise::I9, format!("{}: asked for after {greatest}, carries {position}", issue.id));
    } else if greatest > Position::default() {
        report.kept(Promise::I9);
    }
    if issue.what.position.is_some_and(|position| position != token.position()) {
        report.broken(Promise::I9, format!("{}: answer and token name different positions", issue.id));
    }
    for entry in world.revoking(token) {
        if entry.surely_holds(issue.sent, issue.ended) {
            report.broken(Promise::I9, format!("{}: handed out what {} had revoked", issue.id, entry.at));
        }
    }
}

fn session_is_not_revoked(world: &World<'_>, issue: &Request<Issue>, report: &mut Report) {
    if issue.what.how != "next" {
        return;
    }
    let session = issue.what.sid.as_deref().and_then(|sid| world.sessions.get(sid));
    let Some((session, position)) = session.and_then(|it| Some((it, it.greatest_position(issue.ended)?))) else {
        return;
    };
    let dead = world.against(&session.names.targets()).into_iter().find(|entry| {
        entry.on_sessions && entry.cutoff.reaches(position, session.time) && entry.surely_holds(issue.sent, issue.ended)
    });
    match dead {
        Some(entry) if issue.is_done() => {
            report
                .broken(Promise::I14, format!("{}: a next token although {} revokes the session", issue.id, entry.at));
        }
        Some(_) if issue.is_refused_as("session_revoked") => report.kept(Promise::I14),
        _ => {}
    }
}

fn subject_is_not_blocked(history: &History, issue: &Request<Issue>, report: &mut Report) {
    let about = |verb: &'static str| {
        let subject = &issue.what.subject;
        history.revokes.iter().filter(move |other| other.what.verb == verb && other.what.subject == *subject)
    };
    let mut blocks = about("block").filter(|block| block.is_done() && block.ended < issue.sent);
    let blocked = blocks.any(|block| {
        !about("unblock").any(|end| end.may_be_done() && end.ended > block.sent && end.sent < issue.ended)
    });
    if blocked && issue.is_done() {
        report.broken(Promise::I14, format!("{}: a token for a blocked subject", issue.id));
    } else if blocked && issue.is_refused_as("subject_blocked") {
        report.kept(Promise::I14);
    }
}
