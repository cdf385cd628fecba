//! Claims about revocations: what they reach, keeping, claims, blocks, rehearsals, repetitions.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;

use super::log::{all_lines, audit, everything};
use super::*;
use crate::model::IdempotencyKey;
use crate::store::{Kept, MAX_COUNTED, MAX_ENTRIES, MAX_PAGE};

/// Older sessions die, younger ones live, whichever second it is.
pub async fn now_reaches_what_was_there_before(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("old", "alice").await;
    bench.open("other", "bob").await;
    let out = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    assert_eq!((out.sessions.ended, out.sessions.at_least), (1, false));
    bench.open("new", "alice").await;
    assert_revoked(bench.status("old").await);
    assert_eq!(bench.status("new").await, SessionStatus::Live);
    assert_eq!(bench.status("other").await, SessionStatus::Live);
}

/// A thief's refresh does not make a login younger.
pub async fn before_reaches_an_old_login_however_young_its_session(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("stolen", "alice").await;
    bench.pass(100);
    let cutoff = bench.now();
    bench.pass(10);
    let exact = NewSession { auth_time: cutoff, ..bench.login("exact", "alice") };
    bench.store.open_session(act(), exact).await.unwrap();
    let out = bench.revoke("subject:alice", Cutoff::Before(cutoff), Reach::Access).await;
    assert_revoked(bench.status("stolen").await);
    assert_eq!(bench.status("exact").await, SessionStatus::Live);
    assert_eq!(out.sessions.ended, 1, "before always reaches both");
    let stored = bench.store.revocation(out.positions[0]).await.unwrap().unwrap();
    assert_eq!(stored.reach, Reach::Both);
}

/// Every target of a session, one by one; and those of another do not.
pub async fn each_target_of_a_session_reaches_it(bench: Bench) {
    let bench = bench.with_log().await;
    let mine = [
        "session:X",
        "subject:u-X",
        "device:u-X/phone",
        "client:c-X",
        "subject_client:u-X/c-X",
        "confirmation:p-X",
        "claim:roles=r-X",
        "claim:scope=w-X",
        "issuer",
    ];
    for (round, pattern) in mine.into_iter().enumerate() {
        let make = |name: String| {
            let new = NewSession {
                client_id: Some(format!("c-{name}")),
                confirmation: Some(ProofKey::Jwk(format!("p-{name}"))),
                scope: Some(format!("w-{name} x-{name}")),
                claims: roles(&[&format!("r-{name}")]),
                ..bench.login(&name, &format!("u-{name}"))
            };
            bench.store.open_session(act(), new)
        };
        let (name, other) = (format!("a{round}"), format!("b{round}"));
        make(name.clone()).await.unwrap();
        make(other.clone()).await.unwrap();
        let cutoff = if pattern.starts_with("confirmation") { Cutoff::Always } else { Cutoff::Now };
        let out = bench.revoke(&pattern.replace('X', &name), cutoff, Reach::Both).await;
        assert_revoked(bench.status(&name).await);
        if pattern == "issuer" {
            assert_revoked(bench.status(&other).await);
        } else {
            assert_eq!(bench.status(&other).await, SessionStatus::Live, "{pattern}");
            assert_eq!(out.sessions.ended, 1, "{pattern}");
        }
    }
}

/// A session that came from elsewhere dies with what it came from.
pub async fn an_ancestors_revocation_reaches_the_session(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    let by_sid = bench.descendant("s1", "a", vec![Ancestor::session(FOREIGN, "f1")]).await;
    let by_sub = bench.descendant("s2", "b", vec![Ancestor::subject(FOREIGN, "bob")]).await;
    bench.store.open_session(act(), by_sid).await.unwrap();
    bench.store.open_session(act(), by_sub).await.unwrap();
    let session = format!("issuer:{}/session:f1", FOREIGN.replace('/', "%2F"));
    assert_eq!(bench.revoke(&session, Cutoff::Always, Reach::Both).await.sessions.ended, 1);
    assert_revoked(bench.status("s1").await);
    assert_eq!(bench.status("s2").await, SessionStatus::Live);
    assert_eq!(bench.store.block(act(), foreign("bob")).await.unwrap().sessions.ended, 1);
    assert_revoked(bench.status("s2").await);
}

/// Three sessions down the line, and whatever name the first one is revoked by: none of them lives on.
pub async fn tx_5_what_reaches_an_ancestor_reaches_all_that_descends_from_it(bench: Bench) {
    let bench = bench.with_log().await;
    for (round, target) in ["session:s0", "device:u1/phone", "subject:u2", "client:web3"].into_iter().enumerate() {
        let (subject, client) = (format!("u{round}"), format!("web{round}"));
        let sids: Vec<String> = (0..4).map(|depth| format!("s{}", round * 10 + depth)).collect();
        for (depth, sid) in sids.iter().enumerate() {
            let above = sids[..depth].iter().map(|above| Ancestor::session(OWN, above)).collect();
            let descends = NewSession {
                client_id: Some(if depth == 0 { client.clone() } else { "other".to_owned() }),
                device: bench.login("", "").device.filter(|_| depth == 0),
                ..bench.descendant(sid, &subject, above).await
            };
            bench.store.open_session(act(), descends).await.unwrap();
        }
        bench.revoke(target, Cutoff::Always, Reach::Both).await;
        for sid in &sids {
            assert!(bench.status(sid).await != SessionStatus::Live, "{sid} outlives {target}");
        }
        let late = bench.descendant("late", "x", vec![Ancestor::session(OWN, &sids[0])]).await;
        assert!(matches!(refused(bench.store.open_session(act(), late).await), Refused::Revoked(_)), "{target}");
    }
}

/// Between the judgement of a token and the session that is opened with it no entry is lost.
pub async fn i9_a_session_is_dated_where_the_token_it_comes_from_was_judged(bench: Bench) {
    let bench = bench.with_log().await;
    let judged = bench.log().await.head.at;
    bench.revoke("subject:bob", Cutoff::Now, Reach::Both).await;
    let ends = bench.now().plus(7);
    let derived = |sid, subject| {
        let descent = Descent { ends: Some(ends), ..Descent::new(judged, Vec::new()) };
        NewSession { origin: Origin::Descent(descent), ..bench.login(sid, subject) }
    };
    let opened = bench.store.open_session(act(), derived("s1", "alice")).await.unwrap();
    assert_eq!((opened.session.position, opened.session.expires), (judged, ends));
    let refusal = refused(bench.store.open_session(act(), derived("s2", "bob")).await);
    assert!(matches!(refusal, Refused::Revoked(_)), "{refusal:?}");
    assert_eq!(bench.store.session("s2").await.unwrap(), None);
}

/// A role change does not log out, a cheap logout does not reach tokens.
pub async fn access_and_sessions_are_held_apart(bench: Bench) {
    let bench = bench.with_log().await;
    let key = bench.log().await.hash_key;
    bench.open("s1", "alice").await;
    bench.open("s2", "bob").await;
    assert_eq!(bench.revoke("subject:alice", Cutoff::Always, Reach::Access).await.sessions.ended, 0);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    assert_eq!(bench.revoke("subject:bob", Cutoff::Now, Reach::Sessions).await.sessions.ended, 1);
    let hashes = ["subject:alice", "subject:bob"].map(|text| target(text).hash(&key));
    let access = bench.store.judging_snapshot(hashes.to_vec(), None).await.unwrap().access;
    assert!(access.contains_key(&hashes[0]) && !access.contains_key(&hashes[1]));
    let token = bench.revoke("token:j1", Cutoff::Always, Reach::Both).await.positions[0];
    let stored = bench.store.revocation(token).await.unwrap().unwrap();
    assert_eq!(stored.reach, Reach::Access, "no session has a token's id");
}

/// "This device stays": dated at the entry, so that neither this entry nor any before it reaches it.
pub async fn a_kept_session_is_dated_at_the_entry(bench: Bench) {
    let bench = bench.with_log().await;
    for sid in ["phone", "laptop", "tv"] {
        bench.open(sid, "alice").await;
    }
    let others =
        vec![entry("subject:alice", Cutoff::Now, Reach::Both), entry("claim:roles=reader", Cutoff::Now, Reach::Both)];
    let all = Revoke { revocations: others, keep: Some("phone".to_owned()) };
    let out = bench.store.revoke(act(), all).await.unwrap();
    let last = *out.positions.last().unwrap();
    assert_eq!((out.kept, out.sessions.ended), (Some(Kept::Restamped(last)), 2));
    let kept = bench.store.session("phone").await.unwrap().unwrap();
    assert_eq!((kept.status, kept.session.position, kept.session.claims_position), (SessionStatus::Live, last, last));
    assert_revoked(bench.status("laptop").await);
    assert_eq!(bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.sessions.ended, 1);
    assert_revoked(bench.status("phone").await);
}

/// Keeping is no way around an earlier revocation.
pub async fn keeping_a_revoked_session_ends_it_instead(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let first = bench.revoke("device:alice/phone", Cutoff::Now, Reach::Both).await.positions[0];
    let keep = |sid: &str| Revoke {
        revocations: vec![entry("subject:alice", Cutoff::Now, Reach::Both)],
        keep: Some(sid.to_owned()),
    };
    let out = bench.store.revoke(act(), keep("s1")).await.unwrap();
    assert_eq!((out.kept, out.sessions.ended), (Some(Kept::Ended(out.head)), 0));
    assert!(out.head > out.positions[0], "the session's own entry comes after");
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
    bench.store.lift(act(), vec![first, out.positions[0]]).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Ended, "no lift revives it");
    assert_eq!(bench.store.revoke(act(), keep("s1")).await.unwrap().kept, Some(Kept::WasOver));
    assert_eq!(refused(bench.store.revoke(act(), keep("nobody")).await), Refused::SessionUnknown);
}

/// A session cannot be kept from what does not go by positions.
pub async fn keeping_works_with_now_only(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    for cutoff in [Cutoff::Always, Cutoff::Before(bench.now())] {
        let revocations = vec![entry("subject:alice", cutoff, Reach::Both)];
        let out = bench.store.revoke(act(), Revoke { revocations, keep: Some("s1".to_owned()) }).await;
        assert_eq!(refused(out), Refused::KeepNeedsNow);
    }
}

/// The next token of every session carries the new claims, and the old tokens are dead.
pub async fn claims_are_set_with_the_entry_that_ends_the_old_ones(bench: Bench) {
    let bench = bench.with_log().await;
    let opened = bench.open("s1", "alice").await.session;
    bench.open("bobs", "bob").await;
    let out = bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap();
    let session = bench.store.session("s1").await.unwrap().unwrap();
    assert_eq!((session.status, &session.session.claims), (SessionStatus::Live, &roles(&["admin"])));
    assert_eq!((session.session.position, session.session.claims_position), (opened.position, out.positions[0]));
    assert_eq!(bench.store.session("bobs").await.unwrap().unwrap().session.claims, roles(&["reader"]));
    let key = bench.log().await.hash_key;
    let hash = target("subject:alice").hash(&key);
    let cell = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access[&hash];
    assert_eq!((cell.position, cell.always), (Some(out.positions[0]), None));
    // The new claims are what the session is found and judged by.
    assert_eq!(bench.revoke("claim:roles=reader", Cutoff::Now, Reach::Both).await.sessions.ended, 1);
    assert_eq!(bench.revoke("claim:roles=admin", Cutoff::Now, Reach::Both).await.sessions.ended, 1);
    assert_revoked(bench.status("s1").await);
}

/// Setting claims is no way around an earlier revocation of the old ones.
pub async fn setting_claims_ends_what_was_revoked_before(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let revoked = bench.revoke("claim:roles=reader", Cutoff::Now, Reach::Both).await.positions[0];
    bench.open("s2", "alice").await;
    let out = bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
    assert_eq!(bench.status("s2").await, SessionStatus::Live);
    assert!(out.head > out.positions[0]);
    bench.store.lift(act(), vec![revoked]).await.unwrap();
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
}

/// However many sessions a subject has, each is judged by what it and its ancestors last carried.
pub async fn claims_are_set_in_each_of_many_sessions(bench: Bench) {
    let bench = bench.with_log().await;
    let brief = |sid: String| NewSession { life: 10, ..bench.login(&sid, "alice") };
    let mut opened = tokio::task::JoinSet::new();
    for number in 0..MAX_PAGE + 200 {
        let (store, new) = (bench.store.clone(), bench.login(&format!("s{number:05}"), "alice"));
        opened.spawn(async move { store.open_session(act(), new).await.unwrap() });
    }
    opened.join_all().await;
    bench.store.open_session(act(), brief("s00500a".to_owned())).await.unwrap();
    let old = Some(Device { id: "old".to_owned(), ..Device::default() });
    bench.store.open_session(act(), NewSession { device: old, ..bench.login("t", "alice") }).await.unwrap();
    let ancestors = vec![Ancestor::session(OWN, "s00001")];
    bench.store.open_session(act(), bench.descendant("u", "alice", ancestors).await).await.unwrap();
    let ancestors = vec![Ancestor::subject(OWN, "alice")];
    bench.store.open_session(act(), bench.descendant("bobs", "bob", ancestors).await).await.unwrap();
    bench.revoke("device:alice/old", Cutoff::Now, Reach::Sessions).await;
    let ban = bench.revoke("claim:roles=admin", Cutoff::Always, Reach::Both).await.positions[0];
    bench.pass(20);

    let out = bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap();
    assert_eq!(out.head, out.positions[0].next(), "one was revoked before, and ends");
    assert_eq!(bench.status("t").await, SessionStatus::Ended);
    let view = async |sid: &str| bench.store.session(sid).await.unwrap().unwrap();
    for sid in ["s00000", "s00001", "s00999", "s01000", "s01199", "u"] {
        assert_eq!(view(sid).await.session.claims, roles(&["admin"]), "{sid}");
        assert_revoked(view(sid).await.status);
    }
    for sid in ["s00500a", "bobs"] {
        assert_eq!(view(sid).await.session.claims, roles(&["reader"]), "{sid}");
    }
    bench.store.lift(act(), vec![ban]).await.unwrap();
    assert_eq!(view("u").await.status, SessionStatus::Live, "nothing had revoked it before");
}

/// Sessions that are over but kept do not stand in the way of those that a revocation ends.
pub async fn a_count_passes_over_what_is_over(bench: Bench) {
    let bench = bench.with_log().await;
    let mut opened = tokio::task::JoinSet::new();
    for number in 0..=MAX_COUNTED {
        let new = NewSession { life: 10, ..bench.login(&format!("s{number:05}"), "alice") };
        let store = bench.store.clone();
        opened.spawn(async move { store.open_session(act(), new).await.unwrap() });
    }
    opened.join_all().await;
    bench.pass(20);
    bench.open("t", "alice").await;
    let out = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await;
    assert_eq!((out.sessions.ended, out.sessions.at_least), (1, false));
}

/// `claim` targets go by when the claims were set, everything else by the login.
pub async fn a_claim_reaches_sessions_by_when_their_claims_were_set(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let claim = bench.revoke("claim:roles=admin", Cutoff::Now, Reach::Both).await.positions[0];
    let set = bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap().positions[0];
    assert!(set > claim);
    assert_eq!(bench.status("s1").await, SessionStatus::Live, "granted after the entry");
    bench.revoke("claim:roles=admin", Cutoff::Now, Reach::Both).await;
    assert_revoked(bench.status("s1").await);
}

/// A version changes under its sessions, so nothing on one is acknowledged that would not hold for them.
pub async fn a_claim_that_tokens_get_at_their_issue_reaches_access_only(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    for claim in ["ver", "updated_at", "grp"] {
        let text = format!("claim:{claim}=3");
        let head = bench.log().await.head;
        let sessions = bench.try_revoke(&text, Cutoff::Now, Reach::Sessions).await;
        assert_eq!(refused(sessions), Refused::ReachesNoSession { claim: claim.to_owned() });
        assert_eq!(bench.log().await.head, head, "nothing was acknowledged");
        for cutoff in [Cutoff::Now, Cutoff::Before(bench.now())] {
            let out = bench.revoke(&text, cutoff, Reach::Both).await;
            assert_eq!((out.revocations[0].reach, out.sessions.ended), (Reach::Access, 0), "it says what it does");
        }
    }
    bench.revoke("claim:roles=reader", Cutoff::Now, Reach::Both).await;
    assert_revoked(bench.status("s1").await);
}

/// What was set for a subject holds for its later sessions, below what a login itself brings.
pub async fn a_subjects_claims_are_those_of_its_next_session(bench: Bench) {
    let bench = bench.with_log().await;
    let mut claims = roles(&["admin"]);
    claims.insert("tenant".to_owned(), "acme".into());
    bench.store.set_claims(act(), "alice", claims.clone()).await.unwrap();
    assert_eq!(bench.store.subject(target("subject:alice")).await.unwrap().claims, claims);
    let plain = NewSession { claims: Claims::new(), ..bench.login("s1", "alice") };
    assert_eq!(bench.store.open_session(act(), plain).await.unwrap().session.claims, claims);
    let own = bench.open("s2", "alice").await.session.claims;
    assert_eq!((&own["roles"], &own["tenant"]), (&roles(&["reader"])["roles"], &claims["tenant"]));
}

/// A block is `subject now` plus state.
pub async fn a_blocked_subject_opens_no_session_and_unblocking_revives_nothing(bench: Bench) {
    let bench = bench.with_log().await;
    let alice = target("subject:alice");
    bench.open("s1", "alice").await;
    let out = bench.store.block(act(), alice.clone()).await.unwrap();
    assert_eq!(out.sessions.ended, 1);
    let refusal = refused(bench.store.open_session(act(), bench.login("s2", "alice")).await);
    assert_eq!(refusal, Refused::SubjectBlocked { at: out.positions[0] });
    let again = bench.store.block(act(), alice.clone()).await.unwrap();
    assert_eq!((again.positions, again.head), (out.positions, out.head));
    let unblocked = bench.store.unblock(act(), alice.clone()).await.unwrap();
    assert_eq!((unblocked.positions, unblocked.head), (Vec::new(), out.head));
    assert_revoked(bench.status("s1").await);
    bench.open("s2", "alice").await;
    assert_eq!(refused(bench.store.unblock(act(), alice).await), Refused::NotBlocked);
    assert_eq!(refused(bench.store.block(act(), target("client:web")).await), Refused::NotASubject);
}

/// A foreign subject has no sessions here that would refuse it: it is blocked by `always`.
pub async fn a_foreign_block_ends_in_a_now_and_a_lift(bench: Bench) {
    let bench = bench.with_log().await.with_foreign().await;
    let key = bench.log().await.hash_key;
    let hash = foreign("bob").hash(&key);
    let block = bench.store.block(act(), foreign("bob")).await.unwrap();
    let cell = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access[&hash];
    assert_eq!(cell.always, Some(block.head));
    let out = bench.store.unblock(act(), foreign("bob")).await.unwrap();
    assert_eq!(out.positions.len(), 2);
    let cell = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access[&hash];
    assert_eq!((cell.always, cell.position), (None, Some(out.positions[0])));
    let time = cell.time.unwrap();
    assert_eq!(time.time, START.next_second(), "what was issued until the end of the block stays dead");
}

/// A dry run is the real run, undone.
pub async fn a_rehearsal_answers_as_the_real_run_and_changes_nothing(bench: Bench) {
    let bench = bench.with_log().await;
    for user in 0..7 {
        bench.open(&format!("s{user}"), &format!("u{}", user % 3)).await;
    }
    bench.revoke("session:s0", Cutoff::Always, Reach::Both).await;
    for text in ["subject:u0", "client:web", "device:u1/phone", "claim:roles=reader", "session:s2", "issuer", "key:k"] {
        let before = (bench.log().await, audit(&bench).await, bench.store.feed_snapshot().await.unwrap().cells);
        let cutoff = if text.starts_with("key") || text.starts_with("session") { Cutoff::Always } else { Cutoff::Now };
        let asked = || revoke(vec![entry(text, cutoff, Reach::Both)]);
        let rehearsed = bench.store.rehearse(act(), asked()).await.unwrap();
        let after = (bench.log().await, audit(&bench).await, bench.store.feed_snapshot().await.unwrap().cells);
        assert_eq!(after, before, "rehearsing {text} left a trace");
        let real = bench.store.revoke(act(), asked()).await.unwrap();
        assert_eq!(rehearsed, real, "{text}");
        bench.open(&format!("again-{text}"), "u0").await;
    }
    assert_eq!(refused(bench.store.rehearse(act(), revoke(Vec::new())).await).code(), "entry_count");
}

/// Refusals have names and change nothing.
pub async fn what_cannot_be_meant_is_refused_by_name(bench: Bench) {
    let bench = bench.with_log().await;
    let head = bench.log().await.head;
    let future = Cutoff::Before(bench.now().plus(1));
    let elsewhere = format!("issuer:{}/subject:bob", "https:%2F%2Funknown.example");
    for (text, cutoff, reach, code) in [
        ("key:print", Cutoff::Now, Reach::Both, "cutoff_not_allowed"),
        ("token:j", Cutoff::Before(bench.now()), Reach::Both, "cutoff_not_allowed"),
        ("confirmation:p", Cutoff::Now, Reach::Both, "cutoff_not_allowed"),
        ("token:j", Cutoff::Always, Reach::Sessions, "reach_not_allowed"),
        ("subject:alice", future, Reach::Both, "cutoff_in_the_future"),
        (&elsewhere, Cutoff::Now, Reach::Both, "issuer_unknown"),
    ] {
        assert_eq!(refused(bench.try_revoke(text, cutoff, reach).await).code(), code, "{text}");
    }
    let many = vec![entry("subject:alice", Cutoff::Now, Reach::Both); MAX_ENTRIES + 1];
    assert_eq!(refused(bench.store.revoke(act(), revoke(many)).await).code(), "entry_count");
    let nothing = bench.store.lift(act(), vec![Position::new(1, 1)]).await;
    assert_eq!(refused(nothing), Refused::RevocationUnknown { at: Position::new(1, 1) });
    assert_eq!(bench.log().await.head, head);

    bench.open("s1", "alice").await;
    bench.store.end_session(act(), "s1").await.unwrap();
    assert_eq!(refused(bench.try_revoke("session:s1", Cutoff::Now, Reach::Both).await), Refused::SessionEnded);
}

/// A retried request is answered as the first was, for a day; another request under its key is not.
pub async fn a_repetition_is_answered_and_not_repeated(bench: Bench) {
    let bench = bench.with_log().await;
    let with_key = |client: &str, request: u8| Act {
        idempotency: Some(IdempotencyKey { client: client.to_owned(), key: "k".to_owned(), request: [request; 32] }),
        ..act()
    };
    let asked = || revoke(vec![entry("subject:alice", Cutoff::Now, Reach::Both)]);
    bench.open("s1", "alice").await;
    let first = bench.store.revoke(with_key("a", 1), asked()).await.unwrap();
    let lines = all_lines(&bench).await.len();
    let second = bench.store.revoke(with_key("a", 1), asked()).await.unwrap();
    assert_eq!(second, Appended { repeated: true, ..first.clone() });
    assert_eq!((all_lines(&bench).await.len(), bench.store.revocations(everything()).await.unwrap().len()), (lines, 1));
    assert_eq!(refused(bench.store.revoke(with_key("a", 2), asked()).await), Refused::IdempotencyConflict);
    let opened = bench.store.open_session(with_key("a", 1), bench.login("s9", "alice")).await;
    assert_eq!(refused(opened), Refused::IdempotencyConflict);
    assert!(!bench.store.revoke(with_key("b", 1), asked()).await.unwrap().repeated, "keys belong to clients");

    let open = || bench.store.open_session(with_key("c", 3), bench.login("s2", "alice"));
    let (once, again) = (open().await.unwrap(), open().await.unwrap());
    assert_eq!((once.session, once.repeated, again.repeated), (again.session, false, true));

    // A failed attempt is not remembered.
    let keep_unknown = Revoke { keep: Some("nobody".to_owned()), ..asked() };
    refused(bench.store.revoke(with_key("d", 4), keep_unknown).await);
    assert!(!bench.store.revoke(with_key("d", 4), asked()).await.unwrap().repeated);

    bench.pass(24 * 3600 + 1);
    assert!(!bench.store.revoke(with_key("a", 2), asked()).await.unwrap().repeated, "a day later the key is new");
}
