//! Claims about a subject's state: no token outlives a change of it, and no session either where the
//! change says so.

use std::sync::atomic::{AtomicBool, Ordering};

use annul_core::algebra::Reach;
use annul_core::fold::{EmittedBy, NotLiftable};
use annul_core::position::Position;

use super::*;
use crate::model::{Chosen, IdempotencyKey, SubjectChange, SubjectPart, SubjectState};
use crate::store::Kept;
use crate::store::{CredentialChange, Holder};

fn change(part: SubjectPart, reach: Reach) -> SubjectChange {
    SubjectChange { parts: vec![part], reach }
}

fn stays(sid: &str) -> Option<Chosen> {
    Some(Chosen::Stays(sid.to_owned()))
}

fn ends(sid: &str) -> Option<Chosen> {
    Some(Chosen::Ends(sid.to_owned()))
}

async fn state(bench: &Bench) -> SubjectState {
    bench.store.subject(target("subject:alice")).await.unwrap()
}

/// The state moves with its entry, up and down, and nothing else of the subject or of others does.
pub async fn a_version_is_set_with_the_entry_that_refuses_what_was_before(bench: Bench) {
    let bench = bench.with_log().await;
    bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap();
    bench.open("alices", "alice").await;
    bench.open("bobs", "bob").await;
    let set = |part, reach| bench.store.change_subject(act(), "alice", change(part, reach), None);

    let first = set(SubjectPart::NextVersion, Reach::Access).await.unwrap();
    assert_eq!((first.positions.len(), first.sessions.ended), (1, 0));
    assert_eq!(bench.status("alices").await, SessionStatus::Live, "it reaches access only");
    let hash = target("subject:alice").hash(&bench.log().await.hash_key);
    let cell = bench.store.judging_snapshot(vec![hash], None).await.unwrap().access[&hash];
    assert_eq!(cell.position, Some(first.positions[0]));

    let up = set(SubjectPart::Version(7), Reach::Both).await.unwrap();
    assert_eq!((up.sessions.ended, state(&bench).await.version), (1, Some(7)));
    assert_revoked(bench.status("alices").await);
    bench.open("again", "alice").await;
    set(SubjectPart::Version(3), Reach::Both).await.unwrap();
    assert_revoked(bench.status("again").await);
    let now = state(&bench).await;
    assert_eq!((now.version, now.updated_at, now.blocked, now.claims), (Some(3), None, None, roles(&["admin"])));
    assert_eq!(bench.store.subject(target("subject:bob")).await.unwrap(), SubjectState::default());
    assert_eq!(bench.status("bobs").await, SessionStatus::Live);

    // Only another change undoes it.
    let entry = bench.store.revocation(up.positions[0]).await.unwrap().unwrap();
    assert_eq!(entry.emitted_by, EmittedBy::State);
    let refusal = refused(bench.store.lift(act(), vec![up.positions[0]]).await);
    assert_eq!(refusal, Refused::NotLiftable { at: up.positions[0], why: NotLiftable::State });
}

/// A retried call does not go on to the next version.
pub async fn a_repeated_change_of_a_subject_is_answered_and_not_repeated(bench: Bench) {
    let bench = bench.with_log().await;
    let named = || Act {
        idempotency: Some(IdempotencyKey { client: "a".to_owned(), key: "k".to_owned(), request: [1; 32] }),
        ..act()
    };
    let next = || change(SubjectPart::NextVersion, Reach::Both);
    let first = bench.store.change_subject(named(), "alice", next(), None).await.unwrap();
    bench.open("between", "alice").await;
    let again = bench.store.change_subject(named(), "alice", next(), None).await.unwrap();
    assert_eq!(again, Appended { repeated: true, ..first });
    assert_eq!(state(&bench).await.version, Some(1));
    assert_eq!(bench.status("between").await, SessionStatus::Live);
}

/// A record's change is told apart from the next one in its second by the position alone.
pub async fn a_records_change_refuses_what_was_before_it_in_the_same_second(bench: Bench) {
    let bench = bench.with_log().await;
    let record = || bench.store.change_subject(act(), "alice", change(SubjectPart::Record, Reach::Both), None);
    let first = record().await.unwrap();
    bench.open("between", "alice").await;
    let second = record().await.unwrap();
    assert_eq!((second.sessions.ended, second.positions[0] > first.positions[0]), (1, true));
    assert_revoked(bench.status("between").await);
    assert_eq!(state(&bench).await.updated_at, Some(bench.now()));
    bench.open("after", "alice").await;
    assert_eq!(bench.status("after").await, SessionStatus::Live);

    // New claims are a change of a record that is followed, and of none that is not.
    bench.pass(5);
    bench.store.set_claims(act(), "alice", roles(&["admin"])).await.unwrap();
    assert_eq!(state(&bench).await.updated_at, Some(bench.now()));
    bench.store.set_claims(act(), "bob", roles(&["admin"])).await.unwrap();
    assert_eq!(bench.store.subject(target("subject:bob")).await.unwrap().updated_at, None);
}

/// The device that made the change stays, unless something had revoked it.
pub async fn a_session_stays_through_a_change_only_if_it_was_usable(bench: Bench) {
    let bench = bench.with_log().await;
    for sid in ["mine", "other"] {
        bench.open(sid, "alice").await;
    }
    let set =
        |chosen| bench.store.change_subject(act(), "alice", change(SubjectPart::NextVersion, Reach::Both), chosen);
    let out = set(stays("mine")).await.unwrap();
    assert_eq!((out.kept, out.sessions.ended), (Some(Kept::Restamped(out.positions[0])), 1));
    assert_eq!(bench.status("mine").await, SessionStatus::Live);
    assert_revoked(bench.status("other").await);
    let out = set(stays("other")).await.unwrap();
    assert_eq!(out.kept, Some(Kept::Ended(out.head)));
    assert_eq!(bench.status("other").await, SessionStatus::Ended);

    bench.open("bobs", "bob").await;
    let before = bench.log().await.head;
    for chosen in [stays("bobs"), ends("bobs"), stays("nobodys")] {
        assert_eq!(refused(set(chosen).await), Refused::SessionUnknown, "it is not the subject's");
    }
    assert_eq!((bench.log().await.head, state(&bench).await.version), (before, Some(2)));
}

/// A logout ends its session for good, and changes the state once however often it is said.
pub async fn a_session_ends_with_a_change_once(bench: Bench) {
    let bench = bench.with_log().await;
    for sid in ["phone", "laptop"] {
        bench.open(sid, "alice").await;
    }
    let next = || change(SubjectPart::NextVersion, Reach::Both);
    let out = bench.store.change_subject(act(), "alice", next(), ends("phone")).await.unwrap();
    assert_eq!((out.positions.len(), out.sessions.ended), (2, 2));
    assert_eq!(bench.status("phone").await, SessionStatus::Ended);
    assert_revoked(bench.status("laptop").await);
    bench.open("later", "alice").await;
    let again = bench.store.change_subject(act(), "alice", next(), ends("phone")).await.unwrap();
    assert_eq!((again.positions, again.head), (vec![out.positions[0]], out.head));
    assert_eq!((bench.status("later").await, state(&bench).await.version), (SessionStatus::Live, Some(1)));

    // Where it reaches access only, the other session lives.
    let record = change(SubjectPart::Record, Reach::Access);
    bench.open("last", "alice").await;
    let out = bench.store.change_subject(act(), "alice", record, ends("last")).await.unwrap();
    assert_eq!((out.sessions.ended, bench.status("later").await), (1, SessionStatus::Live));
}

/// A credential is part of every record: where changes of it are reported, this is one.
pub async fn a_changed_credential_is_a_change_of_the_record(bench: Bench) {
    let bench = bench.with_log().await;
    let credential = || CredentialChange {
        holder: Holder::Subject("alice".to_owned()),
        password: None,
        fingerprint: "f".to_owned(),
        keep: None,
    };
    bench.store.change_credential(act(), credential()).await.unwrap();
    assert_eq!(state(&bench).await.updated_at, None, "nobody reports changes");
    let record = change(SubjectPart::Record, Reach::Access);
    bench.store.change_subject(act(), "alice", record, None).await.unwrap();
    bench.pass(5);
    bench.store.change_credential(act(), credential()).await.unwrap();
    assert_eq!(state(&bench).await.updated_at, Some(bench.now()));
}

/// A device's logout ends what is on it, and what a change that reaches access only spares lives on.
pub async fn a_device_ends_with_a_change(bench: Bench) {
    let bench = bench.with_log().await;
    let laptop = Some(Device { id: "laptop".to_owned(), ..Device::default() });
    bench.open("phone", "alice").await;
    bench.store.open_session(act(), NewSession { device: laptop, ..bench.login("other", "alice") }).await.unwrap();
    bench.open("bobs", "bob").await;
    let chosen = Some(Chosen::DeviceEnds("phone".to_owned()));
    let record = change(SubjectPart::Record, Reach::Access);
    let out = bench.store.change_subject(act(), "alice", record, chosen).await.unwrap();
    assert_eq!((out.positions.len(), out.sessions.ended), (2, 1));
    assert_revoked(bench.status("phone").await);
    assert_eq!(bench.status("other").await, SessionStatus::Live);
    assert_eq!(bench.status("bobs").await, SessionStatus::Live);
    assert_eq!(state(&bench).await.updated_at, Some(bench.now()));
}

/// A login that changes its subject ends what was before and not itself.
pub async fn a_login_is_dated_at_the_change_it_makes(bench: Bench) {
    let bench = bench.with_log().await;
    let login = |sid: &str, reach| {
        let change = Some(change(SubjectPart::Record, reach));
        NewSession { origin: Origin::Login(Login { change, ..Login::default() }), ..bench.login(sid, "alice") }
    };
    bench.open("old", "alice").await;
    let opened = bench.store.open_session(act(), login("gentle", Reach::Access)).await.unwrap();
    assert_eq!(opened.session.position, opened.log.head.at);
    assert_eq!(opened.subject.updated_at, Some(bench.now()));
    assert_eq!(bench.status("old").await, SessionStatus::Live);
    bench.store.open_session(act(), login("only", Reach::Both)).await.unwrap();
    assert_revoked(bench.status("old").await);
    assert_revoked(bench.status("gentle").await);
    assert_eq!(bench.status("only").await, SessionStatus::Live);

    // A login that is refused changes nothing.
    bench.store.block(act(), target("subject:alice")).await.unwrap();
    let before = (bench.log().await.head, state(&bench).await);
    bench.pass(5);
    refused(bench.store.open_session(act(), login("refused", Reach::Both)).await);
    assert_eq!((bench.log().await.head, state(&bench).await), before);
}

/// A snapshot with the old version has a head below the change, so the token issued from it is
/// revoked; one at or past the change has the new version.
pub async fn i9_no_snapshot_carries_a_version_past_its_change(bench: Bench) {
    let bench = bench.with_log().await;
    bench.open("s1", "alice").await;
    let first = bench.store.change_subject(act(), "alice", change(SubjectPart::Version(0), Reach::Access), None);
    let mut at = first.await.unwrap().positions[0];
    for round in 1..=40_u64 {
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (store, done) = (bench.store.clone(), done.clone());
                tokio::spawn(async move {
                    let mut seen: Vec<(Position, Option<u64>)> = Vec::new();
                    loop {
                        let last = done.load(Ordering::SeqCst);
                        let plan = Box::new(|_: &Issuing<'_>| Vec::new());
                        let snapshot = store.issuing_snapshot("s1", plan).await.unwrap().unwrap();
                        seen.push((snapshot.log.head.at, snapshot.subject.version));
                        if last {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let before = at;
        let set = change(SubjectPart::Version(round), Reach::Access);
        at = bench.store.change_subject(act(), "alice", set, None).await.unwrap().positions[0];
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            for (head, version) in reader.await.unwrap() {
                assert!(head >= before);
                assert_eq!(version, Some(if head < at { round - 1 } else { round }), "at {head}, changed at {at}");
            }
        }
    }
}
