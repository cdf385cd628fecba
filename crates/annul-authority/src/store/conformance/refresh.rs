//! Claims about refresh families: redeemed once, repeated in the grace, and what a reuse ends.

use annul_core::algebra::{Cutoff, Reach};

use super::families::{
    GRACE, access, ask, asker, ended, hash, mark, open, plan, redeem, redeem_as, refreshable, refusal, renewed_by,
    repeated, rotated, sealed, token, with_family, written,
};
use super::*;
use crate::model::{Presented, RefreshAsker, RefreshMark, Seen};
use crate::store::{NewSuccessor, NotIssued, Redeem, Redeemed, RefreshRefusal, RefreshWindow};

/// One redemption moves the family on; what was redeemed is worth its successor until the grace ends.
pub async fn rt_1_a_credential_is_redeemed_once_and_moves_the_family_on(bench: Bench) {
    let bench = refreshable(bench).await;
    bench.pass(60);
    let Redeemed::Rotated(snapshot) = redeem(&bench, 1, 1).await.unwrap() else { panic!("not rotated") };
    assert_eq!((snapshot.log, snapshot.status), (bench.log().await, SessionStatus::Live));
    let family = bench.store.family("s1").await.unwrap().unwrap();
    assert_eq!((family.generation, &family.current), (2, &mark(2)));
    assert_eq!(family.access_expires, bench.now().plus(LIFE));
    let spent = family.spent.unwrap();
    assert_eq!((spent.mark, spent.successor.as_slice()), (mark(1), sealed(2).as_slice()));
    assert_eq!(spent.until, UnixMillis(START.0 + (60 + GRACE) * 1000));
    rotated(redeem(&bench, 2, 2).await);
    let family = bench.store.family("s1").await.unwrap().unwrap();
    assert_eq!(family.spent.unwrap().mark, mark(2), "the successor was used, and what was sealed for it is gone");
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
}

/// The same asker gets the same successor until the grace ends; the first moment after it is too late.
pub async fn rt_2_a_repetition_in_the_grace_gets_the_same_successor(bench: Bench) {
    let bench = refreshable(bench).await;
    rotated(redeem(&bench, 1, 1).await);
    bench.pass(GRACE - 1);
    for _ in 0..3 {
        assert_eq!(repeated(redeem(&bench, 1, 1).await), sealed(2));
    }
    assert_eq!(bench.store.family("s1").await.unwrap().unwrap().generation, 2);
    bench.pass(1);
    assert_eq!(refusal(redeem(&bench, 1, 1).await), RefreshRefusal::Reused);
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
}

/// A repetition with another proof key or scope is no repetition, whatever the grace says.
pub async fn rt_2_a_repetition_is_by_the_same_asker_or_a_reuse(bench: Bench) {
    let bench = refreshable(bench).await;
    let other_key = RefreshAsker { proof: Some(ProofKey::Jwk("other".to_owned())), ..asker() };
    let less = RefreshAsker { scope: Some("read".to_owned()), ..asker() };
    for (subject, by) in [("bob", other_key), ("carol", less)] {
        open(&bench, subject, subject).await;
        rotated(redeem_as(&bench, subject, token(1), asker()).await);
        assert_eq!(refusal(redeem_as(&bench, subject, token(1), by).await), RefreshRefusal::Reused);
        assert_eq!(bench.status(subject).await, SessionStatus::Ended);
    }
    // The whole scope by its names is the whole scope.
    rotated(redeem(&bench, 1, 1).await);
    let named = RefreshAsker { scope: Some("write read".to_owned()), ..asker() };
    assert_eq!(repeated(redeem_as(&bench, "s1", token(1), named).await), sealed(2));
}

/// A session that is over, or a token that would be refused, is no reason to change anything: what a lift
/// revives is as it was. That holds for the first redemption and for a repetition.
pub async fn rt_4_what_would_issue_nothing_changes_nothing(bench: Bench) {
    let bench = refreshable(bench).await;
    let before = bench.store.family("s1").await.unwrap();
    let stop = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.positions;
    let over = refused(redeem(&bench, 1, 1).await);
    assert!(matches!(over, Refused::NotIssued(NotIssued::SessionOver(SessionStatus::Revoked(_)))), "{over:?}");
    assert_eq!(bench.store.family("s1").await.unwrap(), before);
    bench.store.lift(act(), stop).await.unwrap();
    // Reaches access only, but any token, the next one too.
    let ban = bench.revoke("claim:roles=reader", Cutoff::Always, Reach::Access).await.positions;
    let banned = refused(redeem(&bench, 1, 1).await);
    assert!(matches!(banned, Refused::NotIssued(NotIssued::Revoked(refusal)) if refusal.at == ban[0]), "{banned:?}");
    assert_eq!(bench.store.family("s1").await.unwrap(), before);
    bench.store.lift(act(), ban).await.unwrap();
    let unissuable = Box::new(|_: &Issuing<'_>| Err(NotIssued::KeysChanged));
    let none = bench.store.redeem(act(), ask("s1", token(1), asker()), unissuable).await;
    assert_eq!(refused(none), Refused::NotIssued(NotIssued::KeysChanged));
    assert_eq!(bench.store.family("s1").await.unwrap(), before);

    rotated(redeem(&bench, 1, 1).await);
    let stop = bench.revoke("session:s1", Cutoff::Always, Reach::Sessions).await;
    assert_eq!(refused(redeem(&bench, 1, 1).await), ended(), "no successor from the grace after {}", stop.head);
    assert_eq!(bench.store.family("s1").await.unwrap().unwrap().spent, None);
}

/// A repetition of a revoked session's redemption is refused, and once lifted it is what it was.
pub async fn rt_4_a_repetition_is_judged_again(bench: Bench) {
    let bench = refreshable(bench).await;
    rotated(redeem(&bench, 1, 1).await);
    let stop = bench.revoke("subject:alice", Cutoff::Now, Reach::Sessions).await.positions;
    assert!(matches!(refused(redeem(&bench, 1, 1).await), Refused::NotIssued(NotIssued::SessionOver(_))));
    assert!(matches!(refused(redeem(&bench, 2, 2).await), Refused::NotIssued(NotIssued::SessionOver(_))));
    bench.store.lift(act(), stop).await.unwrap();
    assert_eq!(repeated(redeem(&bench, 1, 1).await), sealed(2));
    rotated(redeem(&bench, 2, 2).await);
}

/// The session is the key's with the redemption, so that nothing of it is redeemed without the key; one
/// that has a key keeps it, and what issues nothing binds nothing. What it was bound by was anybody's: its copy
/// ends the session, for the key may be the thief's.
pub async fn dp_5_a_redemption_binds_a_session_that_is_bound_to_no_key(bench: Bench) {
    let bench = refreshable(bench).await;
    let [hers, other] = ["hers", "other"].map(|key| ProofKey::Jwk(key.to_owned()));
    let with = |key: &ProofKey| RefreshAsker { proof: Some(key.clone()), ..asker() };
    let binding =
        |generation, key: &ProofKey| Redeem { bind_to: Some(key.clone()), ..ask("s1", token(generation), with(key)) };
    let bound_to = async || bench.store.session("s1").await.unwrap().unwrap().session.confirmation;
    let stolen = bench.revoke("confirmation:hers", Cutoff::Always, Reach::Both).await.positions;
    let refused_one = refused(bench.store.redeem(act(), binding(1, &hers), plan(&bench)).await);
    assert!(matches!(refused_one, Refused::NotIssued(NotIssued::SessionOver(_))), "{refused_one:?}");
    assert_eq!(bound_to().await, None);
    bench.store.lift(act(), stolen).await.unwrap();

    rotated(bench.store.redeem(act(), binding(1, &hers), plan(&bench)).await);
    assert_eq!(bound_to().await, Some(hers.clone()));
    for by in [asker(), with(&other)] {
        assert_eq!(refusal(redeem_as(&bench, "s1", token(2), by).await), RefreshRefusal::OtherKey);
    }
    assert_eq!(repeated(redeem_as(&bench, "s1", token(1), with(&hers)).await), sealed(2));
    rotated(redeem_as(&bench, "s1", token(2), with(&hers)).await);
    assert_eq!(refusal(redeem_as(&bench, "s1", token(2), asker()).await), RefreshRefusal::OtherKey);
    let stolen = bench.revoke("confirmation:hers", Cutoff::Always, Reach::Both).await.positions;
    assert_revoked(bench.status("s1").await);
    bench.store.lift(act(), stolen).await.unwrap();

    assert_eq!(refusal(redeem_as(&bench, "s1", token(1), asker()).await), RefreshRefusal::Reused);
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
}

/// What the family never issued proves nothing; what belongs to somebody else ends nothing and is written
/// down; the order of refusals is the same for all.
pub async fn te_5_refusals_that_end_nothing(bench: Bench) {
    let bench = refreshable(bench).await;
    let bound = ProofKey::Jwk("her key".to_owned());
    let login = NewSession { confirmation: Some(bound.clone()), ..with_family(bench.login("bound", "bob")) };
    bench.store.open_session(act(), login).await.unwrap();
    let before = bench.store.family("s1").await.unwrap();
    let unknown = Refused::NotIssued(NotIssued::Refused(RefreshRefusal::Unknown));
    assert_eq!(refused(redeem_as(&bench, "nobody", token(1), asker()).await), unknown);
    bench.open("plain", "alice").await;
    assert_eq!(refused(redeem_as(&bench, "plain", token(1), asker()).await), unknown, "it has no family");
    for presented in [token(2), Presented::RefreshToken { generation: 1, hash: [9; 32] }, access("s")] {
        assert_eq!(refused(redeem_as(&bench, "s1", presented, asker()).await), unknown);
    }
    let thief = RefreshAsker { client_id: "other".to_owned(), ..asker() };
    assert_eq!(refusal(redeem_as(&bench, "s1", token(1), thief.clone()).await), RefreshRefusal::OtherClient);
    for proof in [None, Some(ProofKey::Jwk("his key".to_owned())), Some(ProofKey::Certificate("her key".to_owned()))] {
        let by = RefreshAsker { proof, ..asker() };
        assert_eq!(refusal(redeem_as(&bench, "bound", token(1), by).await), RefreshRefusal::OtherKey);
    }
    // Also with a spent one: whoever cannot redeem it cannot end the session with it either.
    let hers = RefreshAsker { proof: Some(bound), ..asker() };
    rotated(redeem_as(&bench, "bound", token(1), hers.clone()).await);
    rotated(redeem_as(&bench, "bound", token(2), hers).await);
    assert_eq!(refusal(redeem_as(&bench, "bound", token(1), asker()).await), RefreshRefusal::OtherKey);
    assert_eq!(refusal(redeem_as(&bench, "bound", token(1), thief).await), RefreshRefusal::OtherClient);
    let wide = RefreshAsker { scope: Some("read admin".to_owned()), ..asker() };
    let beyond = refused(redeem_as(&bench, "s1", token(1), wide).await);
    assert_eq!(beyond, Refused::NotIssued(NotIssued::Scope { scope: "admin".to_owned() }));
    assert_eq!(bench.store.family("s1").await.unwrap(), before);
    for sid in ["s1", "bound"] {
        assert_eq!(bench.status(sid).await, SessionStatus::Live);
    }
    let written: Vec<String> = written(&bench).await.into_iter().map(|event| event.action).collect();
    let count = |action: &str| written.iter().filter(|written| *written == action).count();
    assert_eq!((count("refresh.other_client"), count("refresh.other_key")), (2, 4));
}

/// A credential that was redeemed before ends its session and no other, by the session's own entry, and
/// the audit says why. Once ended there is nothing more to end.
pub async fn rt_1_a_reuse_ends_the_session_and_no_other(bench: Bench) {
    let bench = refreshable(bench).await;
    open(&bench, "s2", "alice").await;
    for generation in 1..=3 {
        rotated(redeem(&bench, generation, generation).await);
    }
    assert_eq!(refusal(redeem(&bench, 1, 1).await), RefreshRefusal::Reused);
    let session = bench.store.session("s1").await.unwrap().unwrap().session;
    let at = session.ended.unwrap().at;
    let written = written(&bench).await.into_iter().filter(|event| event.action == "refresh.reuse").collect::<Vec<_>>();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].at, written[0].target.as_deref()), (Some(at), Some("session:s1")));
    assert_eq!(bench.store.revocation(at).await.unwrap().unwrap().actor, "tester");
    for generation in [4, 3, 1] {
        assert!(matches!(redeem(&bench, generation, generation).await, Err(StoreError::Refused(_))));
    }
    assert_eq!(bench.status("s2").await, SessionStatus::Live);
    // A session that is only revoked is ended by a reuse too: no lift is to bring a stolen family back.
    rotated(redeem_as(&bench, "s2", token(1), asker()).await);
    rotated(redeem_as(&bench, "s2", token(2), asker()).await);
    let stop = bench.revoke("subject:alice", Cutoff::Now, Reach::Both).await.positions;
    assert_eq!(refusal(redeem_as(&bench, "s2", token(1), asker()).await), RefreshRefusal::Reused);
    bench.store.lift(act(), stop).await.unwrap();
    assert_eq!(bench.status("s2").await, SessionStatus::Ended);
}

/// A reuse is told as long as the session's row is there, also when it has expired long since.
pub async fn rt_6_a_reuse_of_an_expired_credential_is_told(bench: Bench) {
    let bench = refreshable(bench).await;
    rotated(redeem(&bench, 1, 1).await);
    bench.pass(3600);
    assert_eq!(bench.status("s1").await, SessionStatus::Expired);
    assert!(matches!(refused(redeem(&bench, 2, 2).await), Refused::NotIssued(NotIssued::SessionOver(_))));
    assert_eq!(refusal(redeem(&bench, 1, 1).await), RefreshRefusal::Reused);
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
}

/// Whoever repeats from elsewhere is written down as an alarm, each time.
pub async fn rt_2_a_repetition_from_elsewhere_is_an_alarm(bench: Bench) {
    let bench = refreshable(bench).await;
    let elsewhere = |address: &str, agent: &str| RefreshAsker {
        seen: Seen { address: Some(address.to_owned()), agent: Some(agent.to_owned()) },
        ..asker()
    };
    for generation in 1..=5 {
        rotated(redeem(&bench, generation, generation).await);
        repeated(redeem(&bench, generation, generation).await);
        for thief in [elsewhere("203.0.113.9", "app/1"), elsewhere("192.0.2.1", "curl")] {
            let took = redeem_as(&bench, "s1", token(generation), thief).await;
            assert_eq!(repeated(took), sealed(generation + 1));
        }
    }
    let written = written(&bench).await;
    let of = |action: &str| written.iter().filter(|event| event.action == action).collect::<Vec<_>>();
    assert_eq!((of("refresh.repeat").len(), of("refresh.repeat_elsewhere").len()), (5, 10));
    let reason = of("refresh.repeat_elsewhere")[0].reason.as_deref().unwrap();
    assert_eq!(reason, "from 203.0.113.9 (app/1); redeemed a moment before from 192.0.2.1 (app/1)");
}

/// Without a grace nothing is sealed, and the second use is a reuse.
pub async fn rt_3_without_a_grace_the_second_use_ends_the_session(bench: Bench) {
    let bench = refreshable(bench).await;
    let at_once = || Redeem { grace: 0, ..ask("s1", token(1), asker()) };
    rotated(bench.store.redeem(act(), at_once(), plan(&bench)).await);
    assert_eq!(bench.store.family("s1").await.unwrap().unwrap().spent, None);
    assert_eq!(bench.store.first_grace_end().await.unwrap(), None);
    assert_eq!(refusal(bench.store.redeem(act(), at_once(), plan(&bench)).await), RefreshRefusal::Reused);
    assert_eq!(bench.status("s1").await, SessionStatus::Ended);
}

/// What is sealed goes with the end of the grace, in the order of the ends; the session's end takes it too.
pub async fn rt_2_a_sealed_successor_is_forgotten_when_its_grace_ends(bench: Bench) {
    let bench = refreshable(bench).await;
    open(&bench, "s2", "bob").await;
    open(&bench, "s3", "carol").await;
    rotated(redeem(&bench, 1, 1).await);
    rotated(redeem_as(&bench, "s3", token(1), asker()).await);
    bench.pass(1);
    rotated(redeem_as(&bench, "s2", token(1), asker()).await);
    bench.store.end_session(act(), "s3").await.unwrap();
    let held = async |sid: &str| bench.store.family(sid).await.unwrap().unwrap().spent.is_some();
    assert!(!held("s3").await, "its session has ended");
    assert_eq!(bench.store.first_grace_end().await.unwrap(), Some(UnixMillis(START.0 + GRACE * 1000)));
    bench.pass(GRACE - 2);
    assert_eq!(bench.store.end_graces(10).await.unwrap().rows, 0);
    bench.pass(1);
    assert_eq!(bench.store.end_graces(10).await.unwrap().rows, 1);
    assert_eq!((held("s1").await, held("s2").await), (false, true));
    bench.pass(1);
    assert_eq!(bench.store.end_graces(10).await.unwrap().rows, 1);
    assert_eq!(bench.store.first_grace_end().await.unwrap(), None);
    rotated(redeem(&bench, 2, 2).await);
    let far = bench.store.session("s1").await.unwrap().unwrap().session.expires.0 - bench.now().0;
    bench.pass(far + 3 * 3600);
    while bench.store.prune(100).await.unwrap().more {}
    assert_eq!(bench.store.family("s1").await.unwrap(), None, "the family goes with its session");
    assert_eq!(bench.store.first_grace_end().await.unwrap(), None);
}

/// Outside of the window a credential is refused and written down, and ends nothing; a reuse ends the
/// session there too.
pub async fn a_credential_is_redeemed_within_its_window_only(bench: Bench) {
    let bench = refreshable(bench).await;
    let window = Some(RefreshWindow { before: 600, after: 10 });
    let within = |presented| Redeem { window, ..ask("s1", presented, asker()) };
    let outside = RefreshRefusal::OutsideWindow;
    assert_eq!(refusal(bench.store.redeem(act(), within(token(1)), plan(&bench)).await), outside);
    bench.pass(LIFE - 601);
    assert_eq!(refusal(bench.store.redeem(act(), within(token(1)), plan(&bench)).await), outside);
    bench.pass(1);
    rotated(bench.store.redeem(act(), within(token(1)), plan(&bench)).await);
    assert_eq!(repeated(bench.store.redeem(act(), within(token(1)), plan(&bench)).await), sealed(2));
    assert_eq!(
        refusal(bench.store.redeem(act(), within(token(2)), plan(&bench)).await),
        outside,
        "reckoned from the last"
    );
    bench.pass(LIFE + 9);
    rotated(bench.store.redeem(act(), within(token(2)), plan(&bench)).await);
    bench.pass(LIFE + 10);
    assert_eq!(refusal(bench.store.redeem(act(), within(token(3)), plan(&bench)).await), outside);
    assert_eq!(bench.status("s1").await, SessionStatus::Live);
    assert_eq!(refusal(bench.store.redeem(act(), within(token(1)), plan(&bench)).await), RefreshRefusal::Reused);
    let written = written(&bench).await.into_iter().filter(|event| event.action == "refresh.outside_window").count();
    assert_eq!(written, 4);
}

/// An access token that is its own credential is redeemed by its id, in its window, and not when it is
/// itself revoked.
pub async fn an_access_token_is_exchanged_once(bench: Bench) {
    let bench = bench.with_log().await;
    let login = renewed_by(RefreshMark::Jti("01".to_owned()), bench.login("s1", "alice"));
    bench.store.open_session(act(), login).await.unwrap();
    let plan_read = Box::new(|issuing: &Issuing<'_>| {
        assert_eq!(issuing.family.and_then(|family| family.current.jti()), Some("01"));
        Vec::new()
    });
    let read = bench.store.issuing_snapshot("s1", plan_read).await.unwrap().unwrap();
    assert_eq!(read.family, bench.store.family("s1").await.unwrap(), "whoever issues its token finds its id");
    let exchange = |jti: &str, next: &str| Redeem {
        presented: access(jti),
        named: vec![target(&format!("token:{jti}")).hash(&genesis().hash_key)],
        successor: NewSuccessor { mark: RefreshMark::Jti(next.to_owned()), sealed: Vec::new() },
        ..ask("s1", token(1), asker())
    };
    let stop = bench.revoke("token:01", Cutoff::Always, Reach::Access).await.positions;
    let dead = refused(bench.store.redeem(act(), exchange("01", "02"), plan(&bench)).await);
    assert!(matches!(dead, Refused::NotIssued(NotIssued::Revoked(refusal)) if refusal.at == stop[0]), "{dead:?}");
    bench.store.lift(act(), stop).await.unwrap();
    rotated(bench.store.redeem(act(), exchange("01", "02"), plan(&bench)).await);
    let Redeemed::Repeated { snapshot, .. } =
        bench.store.redeem(act(), exchange("01", "03"), plan(&bench)).await.unwrap()
    else {
        panic!("not repeated")
    };
    assert_eq!(snapshot.family.unwrap().current.jti(), Some("02"), "the same id again");
    rotated(bench.store.redeem(act(), exchange("02", "04"), plan(&bench)).await);
    assert_eq!(
        refused(bench.store.redeem(act(), exchange("05", "06"), plan(&bench)).await),
        Refused::NotIssued(NotIssued::Refused(RefreshRefusal::Unknown)),
        "issued after what this store knows"
    );
    assert_eq!(refusal(bench.store.redeem(act(), exchange("01", "05"), plan(&bench)).await), RefreshRefusal::Reused);
}

/// A repeated opening gives a refresh token in place of the lost one while nobody has used that.
pub async fn a_repeated_opening_replaces_a_refresh_token_that_was_not_used(bench: Bench) {
    let bench = bench.with_log().await;
    let attempt = || Act {
        idempotency: Some(crate::model::IdempotencyKey {
            client: "web".to_owned(),
            key: "k".to_owned(),
            request: [1; 32],
        }),
        ..act()
    };
    let login = |number: u32| renewed_by(mark(number), bench.login(&format!("s{number}"), "alice"));
    let first = bench.store.open_session(attempt(), login(1)).await.unwrap();
    let second = bench.store.open_session(attempt(), login(2)).await.unwrap();
    assert_eq!((second.session.sid.as_str(), second.repeated), ("s1", true));
    assert_eq!(second.family.map(|family| (family.generation, family.current)), Some((1, mark(2))));
    assert_eq!(first.family.map(|family| family.current), Some(mark(1)));
    let lost = Presented::RefreshToken { generation: 1, hash: hash(1) };
    let unknown = Refused::NotIssued(NotIssued::Refused(RefreshRefusal::Unknown));
    assert_eq!(refused(redeem_as(&bench, "s1", lost, asker()).await), unknown, "the lost one ends nothing");
    let found = Presented::RefreshToken { generation: 1, hash: hash(2) };
    rotated(redeem_as(&bench, "s1", found, asker()).await);
    let third = bench.store.open_session(attempt(), login(3)).await.unwrap();
    assert_ne!(third.family.map(|family| family.current), Some(mark(3)), "it is in use");
}
