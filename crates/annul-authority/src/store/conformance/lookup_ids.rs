//! Claims about lookup ids: left behind for good, and no way around anything.

use annul_core::algebra::{Cutoff, Reach};

use super::credentials::{attempt, log_in};
use super::*;
use crate::model::{Account, SubjectState};
use crate::store::{CredentialChange, Holder, LookupIdChange, NewSchedule, SchedulePlan};

/// Nothing of the old id finds a user; the account, and a login with the new id, work.
pub async fn a_retired_id_finds_nobody_again(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    bench.store.set_claims(act(), "u1", roles(&["reader"])).await.unwrap();
    bench.store.log_in(act(), log_in(&bench, "old", "hash")).await.unwrap();
    bench.open("bobs", "bob").await;
    let proven = Holder::Account { username: "alice".to_owned(), proven: Some("hash".to_owned()) };
    let changed = bench.store.change_lookup_id(act(), to(proven.clone(), "n1")).await.unwrap();
    assert_eq!((changed.subject.as_str(), changed.appended.sessions.ended), ("n1", 1));
    let at = changed.appended.positions[0];
    assert_revoked(bench.status("old").await);
    assert_eq!(bench.status("bobs").await, SessionStatus::Live);
    assert_eq!(refused(bench.store.lift(act(), vec![at]).await).code(), "emitted_by_state");

    let retired = Refused::SubjectRetired { at };
    assert_eq!(refused(bench.store.open_session(act(), bench.login("s", "u1")).await), retired);
    assert_eq!(refused(bench.store.change_lookup_id(act(), to(by("u1"), "n2")).await), retired);
    let credential = CredentialChange { holder: by("u1"), password: None, fingerprint: "f".to_owned(), keep: None };
    assert_eq!(refused(bench.store.change_credential(act(), credential).await), retired);
    let usurper = account("mallory", "u1");
    assert_eq!(refused(bench.store.add_account(act(), usurper).await), retired);
    assert_eq!(refused(bench.store.add_client(act(), client("u1")).await), retired);

    assert_eq!(bench.store.account("alice").await.unwrap().unwrap().subject, "n1");
    let new = bench.store.log_in(act(), log_in(&bench, "new", "hash")).await.unwrap().session;
    assert_eq!((new.subject.as_str(), &new.claims["roles"]), ("n1", &json!(["reader"])));
    assert_eq!(bench.status("new").await, SessionStatus::Live);
    let left = SubjectState { retired: Some(at), ..SubjectState::default() };
    assert_eq!(bench.state_of("u1").await, left, "the old id keeps nothing else");
    // The name stays the account's, and its new subject is found like its old one.
    assert_eq!(refused(bench.store.add_client(act(), client("alice")).await), Refused::NameTaken);
    assert_eq!(refused(bench.store.add_client(act(), client("n1")).await), Refused::NameTaken);
    let again = bench.store.change_lookup_id(act(), to(by("n1"), "n3")).await.unwrap();
    assert_eq!(bench.store.account("alice").await.unwrap().unwrap().subject, again.subject);
    assert_revoked(bench.status("new").await);
    // Whoever proved the password before does so for the account, whatever its subject is by now.
    let login = bench.store.log_in(act(), log_in(&bench, "newest", "hash")).await.unwrap();
    assert_eq!(login.session.subject, "n3");
}

/// What waits for its time finds the subject by its new id, and leaves everybody else's alone.
pub async fn a_new_lookup_id_is_no_way_out_of_a_schedule(bench: Bench) {
    let bench = bench.with_log().await;
    let due = UnixMillis(bench.now().plus(60).0 * 1000);
    let plan = SchedulePlan::At { due, expected: 0 };
    let ban = ["subject:alice", "device:alice/phone", "subject_client:alice/web", "subject:bob"];
    let cutoff = |text: &str| if text == "subject:alice" { Cutoff::Always } else { Cutoff::Now };
    let revocations = ban.iter().map(|text| entry(text, cutoff(text), Reach::Both)).collect();
    bench.store.schedule(act(), NewSchedule { id: "a".to_owned(), revocations, plan }).await.unwrap();
    bench.store.change_lookup_id(act(), to(by("alice"), "n1")).await.unwrap();
    bench.open("after", "n1").await;
    bench.pass(60);
    let ran = bench.store.run_step("a").await.unwrap().unwrap();
    let named: Vec<_> = ran.steps[0].revocations.iter().map(|new| new.target.clone()).collect();
    let expected = ["subject:n1", "device:n1/phone", "subject_client:n1/web", "subject:bob"];
    assert_eq!(named, expected.map(target));
    assert_revoked(bench.status("after").await);
}

/// A lost answer is given again: with another id the user would be lost.
pub async fn a_lookup_id_is_changed_once_for_each_attempt(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let first = bench.store.change_lookup_id(attempt("a"), to(by("alice"), "n1")).await.unwrap();
    let again = bench.store.change_lookup_id(attempt("a"), to(by("alice"), "n2")).await.unwrap();
    assert!(again.appended.repeated);
    assert_eq!((again.subject, again.appended.positions), (first.subject, first.appended.positions));
    assert_eq!(bench.state_of("n2").await, SubjectState::default());
    assert_eq!(refused(bench.store.end_session(attempt("a"), "s1").await), Refused::IdempotencyConflict);
}

/// What an administrator forbids is forbidden to the person.
pub async fn a_new_lookup_id_is_no_way_out_of_a_block_or_a_ban(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    let at = bench.store.block(act(), target("subject:u1")).await.unwrap().positions[0];
    let change = || bench.store.change_lookup_id(act(), to(by("u1"), "n1"));
    assert_eq!(refused(change().await), Refused::SubjectBlocked { at });
    bench.store.unblock(act(), target("subject:u1")).await.unwrap();
    for reach in [Reach::Access, Reach::Sessions] {
        let ban = bench.revoke("subject:u1", Cutoff::Always, reach).await.positions[0];
        let Refused::Revoked(refusal) = refused(change().await) else { panic!("not banned on {reach:?}") };
        assert_eq!(refusal.at, ban);
        bench.store.lift(act(), vec![ban]).await.unwrap();
    }
    bench.revoke("subject:u1", Cutoff::Now, Reach::Both).await;
    change().await.unwrap();
}

/// Whose name it is, or was, cannot be taken over.
pub async fn a_new_lookup_id_was_nobodys(bench: Bench) {
    let bench = bench.with_log().await.with_account().await;
    bench.open("carols", "carol").await;
    bench.store.set_claims(act(), "dave", roles(&["x"])).await.unwrap();
    bench.store.change_lookup_id(act(), to(by("erin"), "n1")).await.unwrap();
    for taken in ["admin", "alice", "u1", "carol", "dave", "erin", "bob"] {
        let change = bench.store.change_lookup_id(act(), to(by("bob"), taken)).await;
        assert_eq!(refused(change), Refused::NameTaken, "{taken}");
    }
    let machine = bench.store.change_lookup_id(act(), to(by("admin"), "n9")).await;
    assert_eq!(refused(machine), Refused::NameTaken, "a client is no user");
}

fn by(subject: &str) -> Holder {
    Holder::Subject(subject.to_owned())
}

fn to(holder: Holder, fresh: &str) -> LookupIdChange {
    LookupIdChange { holder, fresh: fresh.to_owned() }
}

fn account(username: &str, subject: &str) -> Account {
    Account { username: username.to_owned(), subject: subject.to_owned(), password: "hash".to_owned(), created: START }
}
