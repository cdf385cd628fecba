//! Histories that were falsified: the checker has to see each, by the promise that it breaks.
//!
//! A checker that finds nothing may be one that looks at nothing. Each mutation changes a recorded
//! history in one place, as an authority or a verifier that broke the promise would have left it.

use std::path::Path;

use serde_json::{Value, json};

use crate::check;
use crate::lines::{Lines, is_by, is_calm, is_done, own_entry, read, write};

/// What is falsified, how the checker has to judge it, and how it is done.
type Mutation = (&'static str, &'static str, fn(&mut Lines));

const MUTATIONS: &[Mutation] = &[
    ("a token of an ended session is accepted", "BROKEN I1", accept_after_the_end),
    ("a confirmed verifier accepts at once", "BROKEN I1-confirmed", accept_after_confirmation),
    ("an acknowledged entry is gone", "BROKEN I2", drop_an_entry),
    ("an acknowledged entry names another target", "BROKEN I2", change_an_entry),
    ("a refused call left an entry", "BROKEN I2", refuse_what_was_done),
    ("a repeated call was committed twice", "BROKEN I2", commit_twice),
    ("an acknowledged lift is gone", "BROKEN I2", drop_a_lift),
    ("an acknowledged session is gone", "BROKEN I2", drop_a_session),
    ("an ended session lives again", "BROKEN I2", revive_a_session),
    ("a killed key signs again", "BROKEN I2", revive_a_key),
    ("a changed password is taken", "BROKEN I2", take_an_old_password),
    ("an account is gone", "BROKEN I2", drop_an_account),
    ("two acknowledgements are swapped", "BROKEN I3", swap_positions),
    ("a position is given twice", "BROKEN I3", give_a_position_twice),
    ("the log has a hole", "BROKEN I3", make_a_hole),
    ("a follower read what is not there", "BROKEN I3", change_a_frame),
    ("a verifier goes back", "BROKEN I4", report_an_older_position),
    ("a stored position goes back", "BROKEN I4", store_an_older_position),
    ("a live token is called revoked", "BROKEN I8", refuse_a_live_token),
    ("a verifier has not heard of a key after so long", "BROKEN I8", miss_an_old_key),
    ("a verifier has not heard of a key that it has", "BROKEN I8", miss_a_new_key),
    ("a live session is called revoked", "BROKEN I8", refuse_a_live_session),
    ("a login after \"log out everywhere\" is refused", "BROKEN I8-fresh", refuse_a_fresh_login),
    ("a token carries less than was acknowledged", "BROKEN I9", issue_an_older_position),
    ("a token by a killed key is handed out", "BROKEN I9", sign_with_a_killed_key),
    ("a next token after the end", "BROKEN I14", next_after_the_end),
    ("a token for a blocked subject", "BROKEN I14", issue_to_a_blocked_subject),
    ("nobody checked anything", "UNTRIED I1", forget_the_checks),
];

/// Asserts that the checker sees every mutation of the history in `records`.
pub(crate) fn are_all_seen(records: &Path) {
    let files = read(records);
    for (what, verdict, falsify) in MUTATIONS {
        let mut lines = Lines { files: files.clone(), what };
        falsify(&mut lines);
        let folder = tempfile::tempdir().expect("a temporary directory");
        write(folder.path(), &lines.files);
        let output = check(folder.path());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "not seen: {what}: {said}");
        assert!(said.lines().any(|line| words(line) == *verdict), "{what}: not seen as {verdict}: {said}");
        println!("seen: {what}");
    }
}

fn is_refused_as_revoked(line: &Value) -> bool {
    line["code"] == "token_revoked"
}

fn accept(line: &mut Value) {
    line["status"] = json!(200);
    line["code"] = Value::Null;
}

fn refuse(line: &mut Value, status: u16, code: &str) {
    line["status"] = json!(status);
    line["code"] = json!(code);
}

fn accept_after_the_end(lines: &mut Lines) {
    let id = lines.ended_session(|lines, sid| {
        let checks = lines.of("check").into_iter().filter(|line| is_calm(line) && is_refused_as_revoked(line));
        checks.into_iter().find(|check| lines.claims(&check["jti"])["sid"] == sid).map(|check| check["id"].clone())
    });
    accept(lines.line(&id));
}

fn accept_after_confirmation(lines: &mut Lines) {
    let id = lines.find("revoke", |revoke| {
        let confirmed = revoke["confirmed"].as_array().filter(|names| !names.is_empty() && is_done(revoke))?;
        own_entry(revoke).filter(|entry| lines.stands(entry))?;
        let ended = revoke["ended"].as_u64()?;
        // So soon that the view's greatest age has not run out.
        let soon = |check: &Value| check["sent"].as_u64().is_some_and(|sent| sent > ended && sent < ended + 1_400_000);
        let mut checks = lines.of("check").into_iter().filter(soon);
        let check = checks.find(|check| {
            let is_named = confirmed.contains(&check["verifier"]) && is_refused_as_revoked(check);
            is_named && lines.claims(&check["jti"])["sid"] == revoke["sid"]
        })?;
        Some(check["id"].clone())
    });
    accept(lines.line(&id));
}

fn drop_an_entry(lines: &mut Lines) {
    let position = lines.one_single()["entries"][0]["position"].clone();
    lines.at_the_end()["revocations"].as_array_mut().expect("a list").retain(|entry| entry["position"] != position);
}

fn change_an_entry(lines: &mut Lines) {
    let position = lines.one_single()["entries"][0]["position"].clone();
    lines.entry_at(&position)["target"] = json!("subject:somebody-else");
}

fn refuse_what_was_done(lines: &mut Lines) {
    let id = lines.one_single()["id"].clone();
    let line = lines.line(&id);
    refuse(line, 400, "request_invalid");
    line["entries"] = json!([]);
    line["position"] = Value::Null;
}

fn commit_twice(lines: &mut Lines) {
    let position = lines.one_single()["entries"][0]["position"].clone();
    let mut again = lines.entry_at(&position).clone();
    again["position"] = json!("1:999999");
    lines.at_the_end()["revocations"].as_array_mut().expect("a list").push(again);
}

fn drop_a_lift(lines: &mut Lines) {
    let position = lines.find("lift", |lift| Some(lift["positions"][0].clone()).filter(|_| is_done(lift)));
    lines.entry_at(&position)["lifted"] = Value::Null;
}

fn drop_a_session(lines: &mut Lines) {
    let sid = lines.find("issue", |issue| Some(issue["sid"].as_str()?.to_owned()).filter(|_| issue["how"] == "open"));
    lines.at_the_end()["sessions"][sid] = json!({"code": "session_unknown"});
}

fn revive_a_session(lines: &mut Lines) {
    let sid = lines.ended_session(|_, sid| Some(sid.to_owned()));
    lines.at_the_end()["sessions"][sid]["status"] = json!("live");
}

/// A key that was killed for sure, and when.
fn killed_key(lines: &Lines) -> (String, u64) {
    lines.find("revoke", |line| {
        let kid = own_entry(line).filter(|entry| lines.stands(entry))?["target"].as_str()?.strip_prefix("key:")?;
        Some((kid.to_owned(), line["ended"].as_u64()?)).filter(|_| is_done(line))
    })
}

fn revive_a_key(lines: &mut Lines) {
    let (kid, _) = killed_key(lines);
    lines.at_the_end()["keys"][kid] = json!("active");
}

fn take_an_old_password(lines: &mut Lines) {
    let id = lines.find("login", |login| {
        let own = lines.of("password").into_iter().filter(|set| set["username"] == login["username"]);
        let is_certain = own.clone().all(|set| is_done(&set)) && own.count() > 1;
        Some(login["id"].clone()).filter(|_| is_certain && login["code"] == "invalid_credentials")
    });
    accept(lines.line(&id));
}

fn drop_an_account(lines: &mut Lines) {
    let username = lines.find("password", |first| {
        let own = lines.of("password").into_iter().filter(|set| set["username"] == first["username"]);
        let is_there = own.clone().all(|set| is_done(&set) && set["generation"].is_u64()) && own.count() > 1;
        Some(first["username"].clone()).filter(|_| is_there)
    });
    lines.at_the_end()["accounts"].as_array_mut().expect("a list").retain(|name| *name != username);
}

/// Two acknowledged revocations, the second asked for after the first was answered.
fn two_in_order(lines: &Lines) -> (Value, Value) {
    let all = lines.single();
    let later = |first: &Value| all.iter().find(|second| second["sent"].as_u64() > first["ended"].as_u64()).cloned();
    let found = all.iter().find_map(|first| Some((first.clone(), later(first)?)));
    found.unwrap_or_else(|| panic!("the history has no case of: {}", lines.what))
}

fn set_position(line: &mut Value, position: &Value) {
    line["position"] = position.clone();
    line["entries"][0]["position"] = position.clone();
}

fn swap_positions(lines: &mut Lines) {
    let (first, second) = two_in_order(lines);
    set_position(lines.line(&first["id"]), &second["entries"][0]["position"]);
    set_position(lines.line(&second["id"]), &first["entries"][0]["position"]);
}

fn give_a_position_twice(lines: &mut Lines) {
    let (first, second) = two_in_order(lines);
    set_position(lines.line(&second["id"]), &first["entries"][0]["position"]);
}

fn make_a_hole(lines: &mut Lines) {
    lines.at_the_end()["records"].as_array_mut().expect("a list").remove(3);
}

fn change_a_frame(lines: &mut Lines) {
    let id = lines.find("frame", |frame| Some(frame["id"].clone()));
    lines.line(&id)["records"][0]["line"] = json!("{\"at\":\"1:1\",\"kind\":\"noop\"}");
}

/// In the last look of all, long after the verifier started for the last time.
fn go_back(lines: &mut Lines, op: &str) {
    let looks = lines.of(op).into_iter().filter(|look| look["verifier"] == "near" && look["position"].is_string());
    let last = looks.max_by_key(|look| look["sent"].as_u64());
    let id = last.unwrap_or_else(|| panic!("the history has no case of: {}", lines.what))["id"].clone();
    lines.line(&id)["position"] = json!("1:1");
}

fn report_an_older_position(lines: &mut Lines) {
    go_back(lines, "look");
}

fn store_an_older_position(lines: &mut Lines) {
    go_back(lines, "stored");
}

fn refuse_a_live_token(lines: &mut Lines) {
    let id = lines.check_of_a_live_token();
    refuse(lines.line(&id), 401, "token_revoked");
}

fn miss_an_old_key(lines: &mut Lines) {
    let id = lines.check_of_a_live_token();
    refuse(lines.line(&id), 401, "token_invalid");
}

/// The last check by the client that did each thing once: the key was published a moment before.
fn miss_a_new_key(lines: &mut Lines) {
    let own = lines.of("check").into_iter().filter(|check| is_by(check, "each") && is_done(check));
    let last = own.max_by_key(|check| check["sent"].as_u64());
    let id = last.unwrap_or_else(|| panic!("the history has no case of: {}", lines.what))["id"].clone();
    refuse(lines.line(&id), 401, "token_invalid");
}

fn refuse_a_live_session(lines: &mut Lines) {
    let live = lines.surely_live();
    let id = lines.find("issue", |issue| {
        let is_next = is_calm(issue) && is_done(issue) && issue["how"] == "next";
        Some(issue["id"].clone()).filter(|_| is_next && live.contains(issue["sid"].as_str().unwrap_or_default()))
    });
    let line = lines.line(&id);
    refuse(line, 403, "session_revoked");
    line["token"] = Value::Null;
}

fn refuse_a_fresh_login(lines: &mut Lines) {
    let id = lines.find("revoke", |revoke| {
        let entry = own_entry(revoke).filter(|entry| entry["target"] == "issuer" && is_done(revoke))?;
        // Beside other clients something else might revoke the login.
        let ended = revoke["ended"].as_u64().filter(|_| is_by(revoke, "each"))?;
        let mut checks = lines.of("check").into_iter().filter(|check| {
            let sent = check["sent"].as_u64().unwrap_or_default();
            is_by(check, "each") && is_done(check) && sent > ended && sent < ended + 1_900_000
        });
        let check = checks.find(|check| {
            let sequence = |position: &Value| position.as_str()?.split_once(':')?.1.parse::<u64>().ok();
            sequence(&lines.claims(&check["jti"])["lpos"]) >= sequence(&entry["position"])
        })?;
        Some(check["id"].clone())
    });
    refuse(lines.line(&id), 401, "token_revoked");
}

fn issue_an_older_position(lines: &mut Lines) {
    let id = lines.find("issue", |issue| Some(issue["id"].clone()).filter(|_| is_calm(issue) && is_done(issue)));
    let line = lines.line(&id);
    line["position"] = json!("1:2");
    line["token"]["claims"]["lpos"] = json!("1:2");
}

fn sign_with_a_killed_key(lines: &mut Lines) {
    let (kid, ended) = killed_key(lines);
    let id = lines.find("issue", |issue| {
        Some(issue["id"].clone()).filter(|_| is_done(issue) && issue["sent"].as_u64() > Some(ended))
    });
    lines.line(&id)["token"]["kid"] = json!(kid);
}

fn next_after_the_end(lines: &mut Lines) {
    let (id, token) = lines.ended_session(|lines, sid| {
        let refused = |line: &Value| line["code"] == "session_revoked" && line["how"] == "next" && line["sid"] == sid;
        let issues = lines.of("issue");
        let id = issues.iter().find(|line| is_calm(line) && refused(line))?["id"].clone();
        let token = issues.iter().find(|line| is_done(line) && line["sid"] == sid)?["token"].clone();
        Some((id, token))
    });
    let line = lines.line(&id);
    accept(line);
    line["token"] = token;
    line["token"]["claims"]["lpos"] = json!("1:999999");
    line["token"]["claims"]["jti"] = json!("a-new-one");
}

fn issue_to_a_blocked_subject(lines: &mut Lines) {
    let (token, issues) = (lines.find("issue", |issue| issue.get("token").cloned()), lines.of("issue"));
    let unblocks: Vec<Value> = lines.of("revoke").into_iter().filter(|line| line["verb"] == "unblock").collect();
    let id = lines.find("revoke", |block| {
        let is_block = block["verb"] == "block" && is_done(block);
        let after = |line: &&Value| line["sent"].as_u64() > block["ended"].as_u64() && is_block;
        let refused = |line: &&Value| line["code"] == "subject_blocked" && line["subject"] == block["subject"];
        let unblocked = |line: &Value| {
            let own =
                |end: &&Value| end["subject"] == block["subject"] && end["ended"].as_u64() > block["sent"].as_u64();
            unblocks.iter().filter(own).any(|end| end["sent"].as_u64() < line["ended"].as_u64())
        };
        Some(issues.iter().filter(after).filter(refused).find(|line| !unblocked(line))?["id"].clone())
    });
    let line = lines.line(&id);
    accept(line);
    line["token"] = token;
}

fn forget_the_checks(lines: &mut Lines) {
    for file in lines.files.values_mut() {
        file.retain(|line| line["op"] != "check");
    }
}
