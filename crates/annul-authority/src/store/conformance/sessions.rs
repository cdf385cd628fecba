//! Claims about opening, reading and ending sessions.

use std::num::NonZeroU32;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::settings::MAX_TARGETS;
use annul_core::target::TargetKind;

use super::log::audit;
use super::*;

/// Position first, then session: both from the transaction that opened it.
pub async fn a_session_carries_the_head_it_was_opened_at(bench: Bench) {
    let bench = bench.with_log().await;
    bench.revoke("subject:bob", Cutoff::Now, Reach::Both).await;
    let head = bench.log().await.head;
    let opened = bench.open("s1", "alice").await;
    assert_eq!((opened.session.position, opened.session.claims_position), (head.at, head.at));
    assert_eq!((opened.log.head, opened.replaced), (head, None), "opening alone appends nothing");
    let view = bench.store.session("s1").await.unwrap().unwrap();
    assert_eq!((view.session, view.status), (opened.session, SessionStatus::Live));
    assert_eq!(bench.store.session("s2").await.unwrap(), None);
    bench.pass(1);
    bench.open("s2", "alice").await;
    let listed = bench.store.sessions_of("alice").await.unwrap();
    assert_eq!(listed.iter().map(|view| view.session.sid.as_str()).collect::<Vec<_>>(), ["s2", "s1"]);
    assert_eq!(refused(bench.store.open_session(act(), bench.login("s1", "bob")).await), Refused::SessionExists);
}

fn replacing(sid: &str) -> Origin {
    Origin::Login(Login { replaces: Some(sid.to_owned()), ..Login::default() })
}

/// The old session ends in the transaction that opens the new.
pub async fn a_replaced_session_is_ended_by_an_entry_that_dates_the_new_one(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("old", "alice").await;
    let step_up = NewSession { origin: replacing("old"), ..bench.login("new", "alice") };
    let opened = bench.store.open_session(act(), step_up).await.unwrap();
    assert_eq!(opened.replaced, Some(opened.session.position));
    assert_eq!(bench.log().await.head.at, opened.session.position);
    assert_eq!(bench.status("old").await, SessionStatus::Ended);
    assert_eq!(bench.status("new").await, SessionStatus::Live);
    let again = NewSession { origin: replacing("old"), ..bench.login("newer", "alice") };
    assert_eq!(bench.store.open_session(act(), again).await.unwrap().replaced, None);
}

/// A session id is no way to end somebody else's session.
pub async fn a_session_of_another_subject_cannot_be_replaced(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("alices", "alice").await;
    let theft = NewSession { origin: replacing("alices"), ..bench.login("bobs", "bob") };
    assert_eq!(refused(bench.store.open_session(act(), theft).await), Refused::SessionUnknown);
    assert_eq!(bench.status("alices").await, SessionStatus::Live);
}

/// A session whose first token would be dead on arrival is not opened, on whichever side it is dead.
pub async fn a_session_is_refused_where_it_could_not_be_used(bench: Bench) {
    let bench = bench.with_log().await;
    for (target, reach) in [("client:web", Reach::Access), ("device:alice/phone", Reach::Sessions)] {
        let at = bench.revoke(target, Cutoff::Always, reach).await.positions[0];
        let Refused::Revoked(refusal) = refused(bench.store.open_session(act(), bench.login("s", "alice")).await)
        else {
            panic!("not revoked by {target}");
        };
        assert_eq!(refusal.at, at);
        bench.store.lift(act(), vec![at]).await.unwrap();
    }
    bench.open("s", "alice").await;

    // A login from before T is refused even when its session is opened after.
    bench.pass(100);
    bench.revoke("subject:alice", Cutoff::Before(bench.now()), Reach::Both).await;
    let old = NewSession { auth_time: bench.now().minus(1), ..bench.login("t", "alice") };
    assert!(matches!(refused(bench.store.open_session(act(), old).await), Refused::Revoked(_)));
    bench.open("t", "alice").await;
}

/// Bounds at the edges.
pub async fn a_session_is_bounded_in_life_login_and_targets(bench: Bench) {
    let bench = bench.with_log().await;
    let opened = |new| bench.store.open_session(act(), new);
    let longest = 86_400;
    let long = NewSession { life: longest + 1, ..bench.login("s", "a") };
    assert_eq!(refused(opened(long).await), Refused::SessionTooLong { longest });
    for auth_time in [bench.now().plus(1), bench.now().minus(longest + 1)] {
        let login = NewSession { auth_time, ..bench.login("s", "a") };
        assert_eq!(refused(opened(login).await), Refused::AuthTimeOutOfRange { auth_time });
    }
    let many: Vec<String> = (0..64).map(|role| format!("r{role}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let wide = NewSession { claims: roles(&many), ..bench.login("s", "a") };
    assert!(matches!(refused(opened(wide).await), Refused::TooManyTargets { .. }));
    let ancestor = |sid: u8| Ancestor::session(FOREIGN, sid.to_string());
    let deep = bench.descendant("s", "a", (0..9).map(ancestor).collect()).await;
    assert_eq!(refused(opened(deep).await), Refused::TooManyAncestors);
    let edge = NewSession { life: longest, auth_time: bench.now().minus(longest), ..bench.login("s", "a") };
    opened(edge).await.unwrap();
}

/// What tokens get besides their session's claims is left room for, so that none is refused for it later.
pub async fn a_session_leaves_room_for_what_its_tokens_get(bench: Bench) {
    let bench = bench.with_log().await;
    bench.store.set_groups(act(), NonZeroU32::new(8)).await.unwrap();
    let read = bench.log().await.settings;
    let claims = [read.claims.clone(), vec!["ver".to_owned(), "updated_at".to_owned()]].concat();
    let more = Settings { revision: read.revision + 1, claims, ..read };
    bench.store.publish_settings(act(), more.clone()).await.unwrap();
    // A session of `login` has these besides its roles: session, device, subject, client, subject_client, issuer.
    let others = 6;
    let of_its_tokens = ["token", "key", "ver", "updated_at", "grp"].len();
    let room = MAX_TARGETS - others - of_its_tokens;
    let with_roles = |sid: &str, count: usize| {
        let names: Vec<String> = (0..count).map(|role| format!("r{role}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        NewSession { claims: roles(&names), ..bench.login(sid, "alice") }
    };
    let full = bench.store.open_session(act(), with_roles("full", room)).await.unwrap().session;
    assert_eq!(full.targets(&more).len(), others + room);
    let over = refused(bench.store.open_session(act(), with_roles("over", room + 1)).await);
    assert_eq!(over, Refused::TooManyTargets { count: MAX_TARGETS + 1 });
}

/// Ending is final, and asking again answers with the entry that did it.
pub async fn an_ended_session_is_found_by_nothing_and_ends_once(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let ended = bench.store.end_session(act().because(Some("logout".to_owned())), "s1").await.unwrap();
    assert_eq!(ended.sessions.ended, 1);
    let view = bench.store.session("s1").await.unwrap().unwrap();
    assert_eq!(view.status, SessionStatus::Ended);
    let why = view.session.ended.unwrap();
    assert_eq!((why.at, why.reason.as_deref()), (ended.positions[0], Some("logout")));
    let again = bench.store.end_session(act(), "s1").await.unwrap();
    assert_eq!((again.positions, again.head, again.sessions.ended), (ended.positions, ended.head, 0));
    assert_eq!(bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.sessions.ended, 0);
    assert_eq!(refused(bench.store.end_session(act(), "s2").await), Refused::SessionUnknown);
    // Verifiers were told.
    let key = bench.log().await.hash_key;
    let cells = bench.store.judging_snapshot(vec![target("session:s1").hash(&key)], None).await.unwrap().access;
    assert_eq!(cells.values().next().unwrap().always, Some(ended.head.min(why.at)));
}

/// Its own limits end a session; nothing is appended and nothing is counted.
pub async fn a_session_expires_without_an_entry(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("absolute", "alice").await;
    let idle = NewSession { idle_limit: Some(100), ..bench.login("idle", "alice") };
    bench.store.open_session(act(), idle).await.unwrap();
    bench.pass(100);
    assert_eq!(bench.status("idle").await, SessionStatus::Live);
    bench.pass(1);
    assert_eq!(bench.status("idle").await, SessionStatus::Expired);
    assert_eq!(bench.status("absolute").await, SessionStatus::Live);
    bench.pass(3600);
    assert_eq!(bench.status("absolute").await, SessionStatus::Expired);
    assert_eq!(bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.sessions.ended, 0);
}

/// Noting a use moves the idle limit, forwards only, and nothing else.
pub async fn uses_are_noted_and_never_go_back(bench: Bench) {
    let bench = bench.with_log().await;
    let opened = bench.open("s1", "alice").await.session;
    let before = (bench.log().await, audit(&bench).await);
    let later = UnixMillis(START.0 + 50_000);
    let uses = vec![("s1".to_owned(), later), ("unknown".to_owned(), later)];
    bench.store.note_uses(uses).await.unwrap();
    bench.store.note_uses(vec![("s1".to_owned(), START)]).await.unwrap();
    let noted = bench.store.session("s1").await.unwrap().unwrap().session;
    assert_eq!(noted, crate::model::Session { last_used: later, ..opened });
    assert_eq!((bench.log().await, audit(&bench).await), before);
}

/// The plan sees the session as it was read, and gets what verifiers enforce at that head.
pub async fn an_issuing_snapshot_gives_the_cells_its_plan_asks_for(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let at = bench.revoke("claim:roles=admin", Cutoff::Always, Reach::Access).await.positions[0];
    bench.revoke("client:web", Cutoff::Now, Reach::Access).await;
    let plan = Box::new(|Issuing { log, session, .. }: &Issuing<'_>| {
        assert_eq!(session.sid, "s1");
        vec![target("claim:roles=admin").hash(&log.hash_key), target("claim:roles=reader").hash(&log.hash_key)]
    });
    let snapshot = bench.store.issuing_snapshot("s1", plan).await.unwrap().unwrap();
    assert_eq!((snapshot.status, snapshot.log), (SessionStatus::Live, bench.log().await));
    let cells: Vec<_> = snapshot.access.values().map(|cell| cell.always).collect();
    assert_eq!(cells, [Some(at)], "only what was asked for, only what is in force");
    assert_eq!(snapshot.keys.len(), 2);
    let nobody = bench.store.issuing_snapshot("s2", Box::new(|_: &Issuing<'_>| Vec::new())).await.unwrap();
    assert!(nobody.is_none());
}

/// The same for a token that is only checked.
pub async fn a_judging_snapshot_gives_cells_and_session_at_one_head(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let head = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.head;
    let log = bench.log().await;
    let hash = target("subject:alice").hash(&log.hash_key);
    let snapshot = bench.store.judging_snapshot(vec![hash], Some("s1".to_owned())).await.unwrap();
    assert_eq!(snapshot.log.head.at, head);
    assert_eq!(snapshot.access[&hash].position, Some(head));
    let SessionStatus::Revoked(refusal) = snapshot.session.unwrap().status else { panic!("live") };
    assert_eq!((refusal.kind, refusal.at), (TargetKind::Subject, head));
}
