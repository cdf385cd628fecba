//! Every target with every cutoff and reach: what is refused, and what still passes.

use annul_authority::verbs::revocations::{CutoffText, LiftRequest, RevokeRequest};
use annul_authority::verbs::sessions::{OpenSession, TokenAnswer};
use annul_core::algebra::Reach;
use annul_core::token::UnverifiedToken;

use crate::world::{World, code, login, revocation, target};

/// The targets of a login by `login(subject, device)` that are shared by later logins.
fn lasting_targets(subject: &str, device: &str) -> Vec<String> {
    vec![
        format!("subject:{subject}"),
        format!("client:app-of-{subject}"),
        format!("subject_client:{subject}/app-of-{subject}"),
        format!("device:{subject}/{device}"),
        format!("claim:tenant=tenant-of-{subject}"),
    ]
}

fn wide_targets() -> Vec<String> {
    vec!["claim:roles=editor".to_owned(), "claim:scope=write".to_owned(), "issuer".to_owned()]
}

async fn all_out(world: &mut World, old: &TokenAnswer, what: &str) {
    world.assert_revoked(&old.access_token, what).await;
    assert_eq!(world.next_code(&old.sid).await, "session_revoked", "{what}: the session gets a token");
}

#[tokio::test]
async fn now_on_both_ends_what_is_older_and_spares_a_login_in_the_same_millisecond() {
    for text in lasting_targets("alice", "phone").into_iter().chain(wide_targets()) {
        let mut world = World::new().await;
        let old = world.open("alice", "phone").await;
        let bob = world.open("bob", "laptop").await;
        world.revoke(revocation(&text, CutoffText::Now, Reach::Both)).await;
        let new = world.open("alice", "phone").await;

        all_out(&mut world, &old, &text).await;
        world.assert_active(&new.access_token, &format!("{text}: a login right after it")).await;
        world.next(&new.sid).await;
        if !wide_targets().contains(&text) {
            world.assert_active(&bob.access_token, &format!("{text}: somebody else")).await;
            world.next(&bob.sid).await;
        }
    }
}

#[tokio::test]
async fn now_on_access_refuses_the_token_and_the_next_one_is_clean() {
    for text in lasting_targets("alice", "phone").into_iter().chain(wide_targets()) {
        let mut world = World::new().await;
        let old = world.open("alice", "phone").await;
        world.revoke(revocation(&text, CutoffText::Now, Reach::Access)).await;
        world.assert_revoked(&old.access_token, &text).await;
        let next = world.next(&old.sid).await;
        world.assert_active(&next.access_token, &format!("{text}: the next token")).await;
    }
}

#[tokio::test]
async fn now_on_sessions_refuses_the_refresh_and_leaves_the_token_to_its_end() {
    for text in lasting_targets("alice", "phone").into_iter().chain(wide_targets()) {
        let mut world = World::new().await;
        let old = world.open("alice", "phone").await;
        world.revoke(revocation(&text, CutoffText::Now, Reach::Sessions)).await;
        world.assert_active(&old.access_token, &format!("{text}: verifiers see nothing of it")).await;
        assert_eq!(world.next_code(&old.sid).await, "session_revoked", "{text}");
        let new = world.open("alice", "phone").await;
        world.next(&new.sid).await;
    }
}

#[tokio::test]
async fn always_stands_against_new_logins_until_it_is_lifted() {
    for text in lasting_targets("alice", "phone").into_iter().chain(wide_targets()) {
        let mut world = World::new().await;
        let old = world.open("alice", "phone").await;
        let revoked = world.revoke(revocation(&text, CutoffText::Always, Reach::Both)).await;
        assert_eq!(revoked.revocations[0].until, None, "{text}: tokens may still be given to it");
        all_out(&mut world, &old, &text).await;
        assert_eq!(code(world.try_open(login("alice", "phone")).await), "session_revoked", "{text}: a new login");
        if !wide_targets().contains(&text) {
            let bob = world.open("bob", "laptop").await;
            world.assert_active(&bob.access_token, &format!("{text}: somebody else")).await;
        }

        let positions = revoked.revocations.iter().map(|item| item.position).collect();
        let lift = LiftRequest { positions, ..LiftRequest::default() };
        world.authority.lift(&world.caller, lift).await.unwrap();
        world.assert_active(&old.access_token, &format!("{text}: the lift revives it")).await;
        world.next(&old.sid).await;
    }
}

#[tokio::test]
async fn before_reaches_older_logins_also_when_their_token_is_fresh() {
    for text in lasting_targets("alice", "phone").into_iter().chain(wide_targets()) {
        let mut world = World::new().await;
        let stolen = world.open("alice", "phone").await;
        world.advance(10);
        let time = world.now();
        let after = world.open("alice", "phone").await;
        world.advance(10);
        let refreshed = world.next(&stolen.sid).await;
        world.revoke(RevokeRequest { cutoff: Some(CutoffText::Before(time)), ..target(&text) }).await;

        all_out(&mut world, &stolen, &text).await;
        world.assert_revoked(&refreshed.access_token, &format!("{text}: refreshed by a thief")).await;
        world.assert_active(&after.access_token, &format!("{text}: a login in that very second")).await;
        world.next(&after.sid).await;
    }
}

#[tokio::test]
async fn a_session_ends_alone_and_for_good() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let revoked = world.authority.end_session(&world.caller, &phone.sid, Some("lost".to_owned())).await.unwrap();
    assert_eq!((revoked.sessions, revoked.revocations.len()), (1, 1));
    world.assert_revoked_by(&phone.access_token, revoked.position, "the session ended").await;
    assert_eq!(world.next_code(&phone.sid).await, "session_revoked");
    world.assert_active(&laptop.access_token, "the other device").await;
    world.next(&laptop.sid).await;

    let again = world.authority.end_session(&world.caller, &phone.sid, None).await.unwrap();
    assert_eq!(again.revocations[0].position, revoked.revocations[0].position, "ending it again changes nothing");
    let lift = LiftRequest { positions: vec![revoked.position], ..LiftRequest::default() };
    assert_eq!(code(world.authority.lift(&world.caller, lift).await), "lifts_ended_session");
}

#[tokio::test]
async fn a_session_can_be_revoked_as_a_target_in_every_way() {
    for (cutoff, reach, token, refresh) in [
        (Some(CutoffText::Always), Some(Reach::Both), false, "session_revoked"),
        (Some(CutoffText::Always), Some(Reach::Access), false, "session_revoked"),
        (Some(CutoffText::Now), Some(Reach::Access), false, "issued"),
        (Some(CutoffText::Now), Some(Reach::Sessions), true, "session_revoked"),
        (Some(CutoffText::Now), Some(Reach::Both), false, "session_revoked"),
        (None, None, false, "session_revoked"),
    ] {
        let mut world = World::new().await;
        let phone = world.open("alice", "phone").await;
        let laptop = world.open("alice", "laptop").await;
        world.revoke(RevokeRequest { cutoff, reach, ..target(format!("session:{}", phone.sid)) }).await;
        let what = format!("{cutoff:?} {reach:?}");
        if token {
            world.assert_active(&phone.access_token, &what).await;
        } else {
            world.assert_revoked(&phone.access_token, &what).await;
        }
        assert_eq!(world.next_code(&phone.sid).await, refresh, "{what}");
        world.assert_active(&laptop.access_token, &format!("{what}: the other device")).await;
    }
}

#[tokio::test]
async fn one_token_is_revoked_by_its_jti_or_by_itself_and_its_session_lives_on() {
    for by_jti in [true, false] {
        let mut world = World::new().await;
        let phone = world.open("alice", "phone").await;
        let request = if by_jti {
            target(format!("token:{}", phone.jti))
        } else {
            RevokeRequest { token: Some(phone.access_token.clone()), ..RevokeRequest::default() }
        };
        let revoked = world.revoke(request).await;
        assert_eq!(revoked.revocations[0].target, format!("token:{}", phone.jti));
        assert_eq!(revoked.revocations[0].reach, Reach::Access);
        assert_eq!(revoked.sessions, 0);
        world.assert_revoked_by(&phone.access_token, revoked.position, "the token").await;
        let next = world.next(&phone.sid).await;
        world.assert_active(&next.access_token, "the session's next token").await;
    }
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_not_written_down() {
    let world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let before = world.head().await;
    let mut forged = phone.access_token.expose().to_owned();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for (token, expected) in [(forged.as_str(), "signature_invalid"), ("", "token_missing"), ("a.b", "token_malformed")]
    {
        let request = RevokeRequest { token: Some(token.to_owned().into()), ..RevokeRequest::default() };
        assert_eq!(code(world.try_revoke(request).await), expected);
    }
    assert_eq!(world.head().await, before);
}

#[tokio::test]
async fn several_targets_are_revoked_together_or_not_at_all() {
    let mut world = World::new().await;
    let alice = world.open("alice", "phone").await;
    let bob = world.open("bob", "phone").await;
    let carol = world.open("carol", "phone").await;
    let both = |second: &str| RevokeRequest {
        targets: vec!["subject:alice".to_owned(), second.to_owned(), "subject:alice".to_owned()],
        ..RevokeRequest::default()
    };
    let before = world.head().await;
    assert_eq!(code(world.try_revoke(both("subject")).await), "target_invalid");
    assert_eq!(code(world.try_revoke(both("issuer:nobody/subject:bob")).await), "issuer_unknown");
    assert_eq!(world.head().await, before);
    world.assert_active(&alice.access_token, "nothing was revoked").await;

    let revoked = world.revoke(both("subject:bob")).await;
    assert_eq!((revoked.revocations.len(), revoked.sessions), (2, 2), "the same target twice is one entry");
    world.assert_revoked(&alice.access_token, "alice").await;
    world.assert_revoked(&bob.access_token, "bob").await;
    world.assert_active(&carol.access_token, "carol").await;
}

#[tokio::test]
async fn a_dry_run_counts_what_the_real_run_ends_and_changes_nothing() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    world.open("alice", "laptop").await;
    world.open("bob", "phone").await;
    for request in [
        target("subject:alice"),
        target("issuer"),
        target("client:app-of-bob"),
        target("subject:nobody"),
        RevokeRequest { keep: Some(phone.sid.clone()), ..target("subject:alice") },
        revocation("subject:alice", CutoffText::Now, Reach::Access),
    ] {
        let before = world.head().await;
        let dry = world.rehearse(request.clone()).await;
        assert_eq!(world.head().await, before);
        world.assert_active(&phone.access_token, "a dry run revokes nothing").await;

        let real = World::new().await;
        let phone_there = real.open("alice", "phone").await;
        real.open("alice", "laptop").await;
        real.open("bob", "phone").await;
        let keep = request.keep.is_some().then(|| phone_there.sid.clone());
        let done = real.revoke(RevokeRequest { keep, ..request.clone() }).await;
        assert_eq!(dry.sessions, done.sessions, "{:?}", request.targets);
        assert_eq!(dry.kept, done.kept);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_name_and_writes_nothing() {
    let world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let before = world.head().await;
    let now = world.now();
    let keep = |request: RevokeRequest| RevokeRequest { keep: Some(phone.sid.clone()), ..request };
    let jti = format!("token:{}", phone.jti);
    for (request, expected) in [
        (RevokeRequest::default(), "nothing_named"),
        (RevokeRequest { token: Some(phone.access_token.clone()), ..target("subject:alice") }, "nothing_named"),
        (target("alice"), "target_invalid"),
        (target("subject:"), "target_invalid"),
        (revocation(&jti, CutoffText::Now, Reach::Both), "cutoff_not_allowed"),
        (revocation(&jti, CutoffText::Always, Reach::Sessions), "reach_not_allowed"),
        (revocation("confirmation:abc", CutoffText::Now, Reach::Both), "cutoff_not_allowed"),
        (revocation("subject:alice", CutoffText::Before(now + 1), Reach::Both), "cutoff_in_the_future"),
        (revocation("subject:alice", CutoffText::Before(now), Reach::Access), "reach_not_allowed"),
        (revocation("subject:alice", CutoffText::Before(now), Reach::Sessions), "reach_not_allowed"),
        (RevokeRequest { until: Some(now + 1), ..target("subject:alice") }, "until_too_early"),
        (keep(revocation("subject:alice", CutoffText::Always, Reach::Both)), "keep_needs_now"),
        (keep(revocation("subject:alice", CutoffText::Before(now), Reach::Both)), "keep_needs_now"),
        (keep(revocation("subject:alice", CutoffText::Now, Reach::Access)), "keep_needs_now"),
        (target("key:nobody"), "key_unknown"),
        (RevokeRequest { reason: Some("x".repeat(2000)), ..target("subject:alice") }, "request_invalid"),
    ] {
        let what = format!("{:?} {:?} {:?}", request.targets, request.cutoff, request.reach);
        let dry = RevokeRequest { dry_run: true, ..request.clone() };
        assert_eq!(code(world.try_revoke(request).await), expected, "{what}");
        assert_eq!(code(world.try_revoke(dry).await), expected, "{what}: a dry run says the same");
    }
    assert_eq!(world.head().await, before);
}

#[tokio::test]
async fn the_kept_device_stays_and_every_other_one_is_out() {
    let mut world = World::new().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let request = RevokeRequest { keep: Some(phone.sid.clone()), ..target("subject:alice") };
    let revoked = world.revoke(request.clone()).await;
    assert_eq!(revoked.sessions, 1);
    let kept = revoked.access_token.unwrap();
    world.assert_active(&kept, "the kept session's next token").await;
    world.assert_revoked(&phone.access_token, "its older token").await;
    world.next(&phone.sid).await;
    all_out(&mut world, &laptop, "the other device").await;

    // A session that was revoked before does not come back by being kept.
    let revoked = world.revoke(RevokeRequest { keep: Some(laptop.sid.clone()), ..request }).await;
    assert!(revoked.access_token.is_none());
    all_out(&mut world, &laptop, "kept too late").await;
    assert_eq!(world.next_code(&phone.sid).await, "session_revoked");
}

#[tokio::test]
async fn a_lift_leaves_what_else_stands_against_the_target() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let first = world.revoke(target("subject:alice")).await;
    let between = world.open("alice", "phone").await;
    let second = world.revoke(target("subject:alice")).await;
    let lift = |positions| LiftRequest { positions, ..LiftRequest::default() };
    world.authority.lift(&world.caller, lift(vec![second.position])).await.unwrap();
    world.assert_active(&between.access_token, "only the lifted entry stood against it").await;
    all_out(&mut world, &old, "the older entry still stands").await;
    assert_eq!(code(world.authority.lift(&world.caller, lift(vec![second.position])).await), "already_lifted");
    world.authority.lift(&world.caller, lift(vec![first.position])).await.unwrap();
    world.assert_active(&old.access_token, "everything is lifted").await;
    let item = world.authority.revocation(first.position).await.unwrap();
    assert!(item.lifted.is_some());
}

#[tokio::test]
async fn an_entry_leaves_the_view_only_after_its_last_token() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let revoked = world.revoke(target("subject:alice")).await;
    let settings = world.authority.settings();
    let until = revoked.revocations[0].until.unwrap();
    assert!(until >= world.now() + settings.longest_life + settings.max_leeway + settings.clock_skew);
    let exp = UnverifiedToken::parse(old.access_token.expose()).unwrap().claims().exp().unwrap();
    world.advance(exp.0 - world.now() - 1);
    world.assert_revoked(&old.access_token, "one second before it expires").await;
}

#[tokio::test]
async fn the_same_attempt_twice_is_one_revocation() {
    let mut world = World::new().await;
    let old = world.open("alice", "phone").await;
    let caller = world.caller.clone().with_idempotency("attempt-1", [1; 32]);
    let request = || target("subject:alice");
    let outcome = world.authority.revoke(&caller, request()).await.unwrap();
    let after_first = world.head().await;
    let new = world.open("alice", "phone").await;
    let head = world.head().await;
    let repeated = world.authority.revoke(&caller, request()).await.unwrap();
    assert_eq!(world.head().await, head, "the repetition wrote nothing");
    let position = |outcome| match outcome {
        annul_authority::verbs::revocations::RevokeOutcome::Done(revoked) => (revoked.position, revoked.repeated),
        other => panic!("not done: {other:?}"),
    };
    assert_eq!(position(outcome), (after_first, false));
    assert_eq!(position(repeated), (after_first, true));
    world.assert_revoked(&old.access_token, "revoked once").await;
    world.assert_active(&new.access_token, "the repetition did not revoke the new login").await;

    let other = caller.with_idempotency("attempt-1", [2; 32]);
    assert_eq!(code(world.authority.revoke(&other, target("subject:bob")).await), "idempotency_conflict");
    let reopened = world.try_open(OpenSession { subject: "bob".to_owned(), ..OpenSession::default() }).await.unwrap();
    world.assert_active(&reopened.access_token, "bob was not touched").await;
}

#[tokio::test]
async fn a_token_that_was_revoked_and_has_expired_is_answered_as_it_was_revoked() {
    let world = World::new().await;
    let old = world.open("alice", "phone").await;
    let request = || RevokeRequest { token: Some(old.access_token.clone()), ..RevokeRequest::default() };
    let caller = world.caller.clone().with_idempotency("attempt-1", [1; 32]);
    let ask = async || match world.authority.revoke(&caller, request()).await.unwrap() {
        annul_authority::verbs::revocations::RevokeOutcome::Done(revoked) => revoked,
        other => panic!("not done: {other:?}"),
    };
    let first = ask().await;
    world.advance(3600);
    assert_eq!(code(world.try_revoke(request()).await), "token_expired", "nobody has asked for this one before");
    let again = ask().await;
    assert_eq!((first.repeated, again.repeated), (false, true));
    assert_eq!((again.position, again.acknowledged_at), (first.position, first.acknowledged_at));
    assert_eq!(world.head().await, first.position);
}

/// I9: whatever is issued while a revocation is under way is either dead on arrival or newer than it.
#[tokio::test(flavor = "multi_thread")]
async fn i9_no_token_outruns_a_revocation() {
    let mut world = World::new().await;
    for _ in 0..50 {
        let old = world.open("alice", "phone").await;
        let (authority, sid) = (world.authority.clone(), old.sid.clone());
        let refresh = tokio::spawn(async move { authority.next_token(&sid).await });
        let (authority, caller) = (world.authority.clone(), world.caller.clone());
        let relogin = tokio::spawn(async move { authority.open_session(&caller, login("alice", "phone")).await });
        let revoked = world.revoke(target("subject:alice")).await;
        if let Ok(refreshed) = refresh.await.unwrap() {
            assert!(refreshed.position < revoked.position, "a session that is over got a token");
            world.assert_revoked(&refreshed.access_token, "refreshed before the revocation").await;
        }
        let relogin = relogin.await.unwrap().unwrap();
        if relogin.position < revoked.position {
            world.assert_revoked(&relogin.access_token, "logged in before the revocation").await;
        } else {
            world.assert_active(&relogin.access_token, "logged in after it").await;
        }
    }
}
