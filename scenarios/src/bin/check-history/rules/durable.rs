//! I2: what was acknowledged is there after every crash, with exactly the content that was named;
//! what was refused is not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Promise, Report};
use crate::history::{History, Issue, Position, Request, Shown};

pub(super) fn check(history: &History, report: &mut Report) {
    let revocations: BTreeMap<Position, &Shown> =
        history.at_the_end.revocations.iter().map(|shown| (shown.position, shown)).collect();
    entries_stand(history, &revocations, report);
    lifts_stand(history, &revocations, report);
    refused_calls_left_nothing(history, report);
    sessions_stand(history, report);
    keys_stand(history, report);
    accounts_stand(history, report);
}

fn entries_stand(history: &History, revocations: &BTreeMap<Position, &Shown>, report: &mut Report) {
    for revoke in history.revokes.iter().filter(|revoke| revoke.is_done()) {
        for acknowledged in &revoke.what.entries {
            let at = acknowledged.position;
            match revocations.get(&at) {
                None => report.broken(Promise::I2, format!("{}: {at} was acknowledged and is lost", revoke.id)),
                // Whether it was lifted since is no part of what was acknowledged.
                Some(found) if Shown { lifted: None, ..(*found).clone() } != *acknowledged => {
                    report.broken(Promise::I2, format!("{}: {at} was {acknowledged:?} and is {found:?}", revoke.id));
                }
                Some(_) => report.kept(Promise::I2),
            }
        }
    }
    let mut seen = BTreeSet::new();
    for shown in &history.at_the_end.revocations {
        if let Some(reason) = shown.reason.as_deref().filter(|reason| is_unique(reason))
            && !seen.insert((reason, &shown.target))
        {
            report.broken(
                Promise::I2,
                format!("{reason}: a repeated call was committed twice, again at {}", shown.position),
            );
        }
    }
}

/// Clients number their reasons; the authority's own texts repeat.
fn is_unique(reason: &str) -> bool {
    reason.ends_with(|last: char| last.is_ascii_digit())
}

fn lifts_stand(history: &History, revocations: &BTreeMap<Position, &Shown>, report: &mut Report) {
    for lift in history.lifts.iter().filter(|lift| lift.is_done()) {
        for at in &lift.what.positions {
            let lifted = revocations.get(at).and_then(|shown| shown.lifted);
            if lifted == lift.what.position {
                report.kept(Promise::I2);
            } else {
                report.broken(Promise::I2, format!("{}: the lift of {at} is lost; it says {lifted:?}", lift.id));
            }
        }
    }
}

fn refused_calls_left_nothing(history: &History, report: &mut Report) {
    // A call that was repeated may have been done by one of its attempts.
    let done: BTreeSet<_> =
        history.revokes.iter().filter(|revoke| revoke.may_be_done()).filter_map(|r| r.what.reason.as_deref()).collect();
    let in_log: BTreeSet<_> =
        history.at_the_end.revocations.iter().filter_map(|shown| shown.reason.as_deref()).collect();
    for revoke in history.revokes.iter().filter(|revoke| !revoke.may_be_done()) {
        let Some(reason) = revoke.what.reason.as_deref().filter(|reason| !done.contains(reason)) else { continue };
        if in_log.contains(reason) {
            report.broken(Promise::I2, format!("{}: was refused and is in the log", revoke.id));
        } else {
            report.kept(Promise::I2);
        }
    }
}

fn sessions_stand(history: &History, report: &mut Report) {
    let text = |session: &Value, at: &str| session.pointer(at).and_then(Value::as_str).map(str::to_owned);
    for issue in history.issues.iter().filter(|issue| is_opening(issue)) {
        let sid = issue.what.sid.as_deref().unwrap_or_default();
        let found = history.at_the_end.sessions.get(sid);
        let is_same = found.is_some_and(|session| {
            text(session, "/subject") == issue.what.subject && text(session, "/device/id") == issue.what.device
        });
        if is_same {
            report.kept(Promise::I2);
        } else {
            report.broken(Promise::I2, format!("{}: the session {sid} is lost: {found:?}", issue.id));
        }
    }
    for revoke in history.revokes.iter().filter(|revoke| revoke.is_done() && revoke.what.verb == "end") {
        let Some(sid) = &revoke.what.sid else { continue };
        let session = history.at_the_end.sessions.get(sid);
        if session.and_then(|session| text(session, "/status")).as_deref() == Some("ended") {
            report.kept(Promise::I2);
        } else {
            report.broken(Promise::I2, format!("{}: the end of session {sid} is lost: {session:?}", revoke.id));
        }
    }
}

fn is_opening(issue: &Request<Issue>) -> bool {
    issue.is_done() && matches!(issue.what.how.as_str(), "open" | "login")
}

fn keys_stand(history: &History, report: &mut Report) {
    let keys = &history.at_the_end.keys;
    let killed = history.revokes.iter().filter(|revoke| revoke.is_done()).flat_map(|revoke| &revoke.what.entries);
    for kid in killed.filter_map(|entry| entry.target.strip_prefix("key:")) {
        if keys.get(kid).map(String::as_str) == Some("killed") {
            report.kept(Promise::I2);
        } else {
            report.broken(Promise::I2, format!("the key {kid} was killed and is {:?}", keys.get(kid)));
        }
    }
    for rotation in history.rotations.iter().filter(|rotation| rotation.is_done()) {
        if rotation.what.active.as_ref().is_some_and(|kid| keys.contains_key(kid)) {
            report.kept(Promise::I2);
        } else {
            report.broken(Promise::I2, format!("{}: the key that was to sign is lost", rotation.id));
        }
    }
}

/// The passwords that may be an account's; `None` stands for no account.
type Possible = BTreeSet<Option<u64>>;

/// One client tells the life of an account, step by step.
fn accounts_stand(history: &History, report: &mut Report) {
    let mut steps: Vec<_> = history.passwords.iter().filter(|step| step.may_be_done()).collect();
    steps.sort_by_key(|step| step.sent);
    let possible = |username: &str, before: u64| {
        let own = steps.iter().filter(|step| step.what.username == username && step.sent < before);
        own.fold(Possible::from([None]), |mut possible, step| {
            if step.is_done() {
                possible.clear();
            }
            possible.insert(step.what.generation);
            possible
        })
    };
    for login in &history.logins {
        let possible = possible(&login.what.username, login.sent);
        let own = Some(login.what.generation);
        if login.is_done() && !possible.contains(&own) {
            report.broken(Promise::I2, format!("{}: a password that is gone was taken", login.id));
        } else if login.is_refused_as("invalid_credentials") && possible == Possible::from([own]) {
            report.broken(Promise::I2, format!("{}: the password that was set is not taken", login.id));
        } else if !login.is_unknown() {
            report.kept(Promise::I2);
        }
    }
    let names: BTreeSet<_> = steps.iter().map(|step| step.what.username.as_str()).collect();
    for username in names {
        let possible = possible(username, u64::MAX);
        let is_there = history.at_the_end.accounts.iter().any(|name| name == username);
        let may_be = if is_there { possible.iter().any(Option::is_some) } else { possible.contains(&None) };
        if may_be {
            report.kept(Promise::I2);
        } else {
            report.broken(
                Promise::I2,
                format!("the account {username} is there: {is_there}, but {possible:?} was acknowledged"),
            );
        }
    }
}
