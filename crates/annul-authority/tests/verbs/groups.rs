//! Groups of subjects: what stays at the authority is enforced there as it would be at a verifier.

use std::num::NonZeroU32;

use annul_authority::authority::{Caller, Setup};
use annul_authority::secrets::secret::Secret;
use annul_authority::verbs::exchange::ExchangeRequest;
use annul_authority::verbs::exposure::ExposureQuery;
use annul_authority::verbs::revocations::{LiftRequest, RevokeRequest};
use annul_authority::verbs::subjects::SubjectVersion;
use annul_authority::verbs::tokens::{CheckAnswer, CheckVerdict};
use annul_core::algebra::Reach;
use annul_core::position::Position;
use serde_json::Value;

use crate::exchange::{client, of, said};
use crate::world::{AUDIENCE, ISSUER, World, target};

/// A world whose log began with a single group, so that everybody shares its watermark.
async fn grouped() -> World {
    let groups = Some(NonZeroU32::MIN);
    World::with(Setup { groups, ..Setup::new(ISSUER, AUDIENCE) }).await
}

async fn asked(world: &World, token: &Secret) -> CheckAnswer {
    let answer = world.check(token.expose()).await;
    let active = world.authority.introspect(token.expose()).await.unwrap().is_active();
    assert_eq!(active, answer.verdict == CheckVerdict::Active, "introspection and check disagree");
    answer
}

async fn assert_active(world: &World, token: &Secret, what: &str) {
    let answer = asked(world, token).await;
    assert_eq!(answer.verdict, CheckVerdict::Active, "{what}: {:?}", answer.refusal);
}

async fn assert_revoked_by(world: &World, token: &Secret, at: Position, what: &str) {
    let answer = asked(world, token).await;
    assert_eq!((answer.verdict, answer.refusal.map(|refusal| refusal.at)), (CheckVerdict::Revoked, Some(at)), "{what}");
}

#[tokio::test]
async fn a_kept_sessions_older_tokens_are_refused_and_its_newer_ones_pass() {
    let world = grouped().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    let bob = world.open("bob", "phone").await;
    let request = SubjectVersion { version: Some(2), keep: Some(phone.sid.clone()), ..SubjectVersion::default() };
    let changed = world.authority.set_subject_version(&world.caller, "alice", request).await.unwrap();
    let next = changed.access_token.clone().unwrap();
    assert_revoked_by(&world, &phone.access_token, changed.position, "issued under the version before").await;
    assert_revoked_by(&world, &laptop.access_token, changed.position, "of a session that was not kept").await;
    assert_active(&world, &next, "the kept session's next token").await;
    assert_active(&world, &bob.access_token, "another user of the group").await;

    // Somebody else's logout makes verifiers ask about all of them again, and changes no verdict.
    world.authority.end_session(&world.caller, &bob.sid, None).await.unwrap();
    assert_active(&world, &next, "older than its group's watermark").await;
    assert_revoked_by(&world, &phone.access_token, changed.position, "still").await;
}

#[tokio::test]
async fn a_lift_revives_what_the_entry_ended_and_nothing_else() {
    let world = grouped().await;
    let phone = world.open("alice", "phone").await;
    let laptop = world.open("alice", "laptop").await;
    world.authority.end_session(&world.caller, &laptop.sid, None).await.unwrap();
    let everywhere = world.revoke(target("subject:alice")).await;
    let at = everywhere.revocations[0].position;
    assert_revoked_by(&world, &phone.access_token, at, "logged out everywhere").await;
    let lift = LiftRequest { positions: vec![at], ..LiftRequest::default() };
    world.authority.lift(&world.caller, lift).await.unwrap();
    assert_active(&world, &phone.access_token, "revived").await;
    let ended = asked(&world, &laptop.access_token).await;
    assert_eq!(ended.verdict, CheckVerdict::Revoked, "its own entry stands");
    assert_eq!((world.next_code(&phone.sid).await, world.next_code(&laptop.sid).await), ("issued", "session_revoked"));
}

#[tokio::test]
async fn exposure_ends_with_the_watermark_of_an_entry_that_stays_here() {
    let world = grouped().await;
    let begun = world.now();
    let phone = world.open("alice", "phone").await;
    let bob = world.open("bob", "phone").await;
    world.advance(10);
    let revoked = world.revoke(target("subject:alice")).await;
    // This one was asked to spare access tokens, and no watermark of its own went out with it.
    world.advance(10);
    let spared = RevokeRequest { reach: Some(Reach::Sessions), ..target("subject:bob") };
    world.revoke(spared).await;
    world.advance(10);
    let query = |text: &str| ExposureQuery { target: text.to_owned(), from: begun, ..ExposureQuery::default() };
    let alice = world.authority.exposure(query("subject:alice"), Vec::new()).await.unwrap();
    let session = &alice.sessions[0];
    assert_eq!((&session.session.sid, session.refused_by), (&phone.sid, Some(revoked.revocations[0].position)));
    assert_eq!(session.check_until, revoked.acknowledged_at, "verifiers ask from there on");
    let of_bob = world.authority.exposure(query("subject:bob"), Vec::new()).await.unwrap();
    let session = &of_bob.sessions[0];
    assert_eq!((&session.session.sid, session.refused_by), (&bob.sid, None));
    assert_eq!(session.check_until, session.verify_until, "its tokens live on");
}

#[tokio::test]
async fn tx_5_what_ends_an_actors_session_is_asked_about_by_whoever_holds_the_token_of_both() {
    let groups = NonZeroU32::new(1 << 16);
    let world = World::with(Setup { groups, ..Setup::new(ISSUER, AUDIENCE) }).await;
    let alice = world.open("alice", "phone").await;
    let others = world.open("carol", "phone").await;
    for cut in ["session", "subject"] {
        let bob = world.open("bob", "phone").await;
        let of_both = ExchangeRequest { actor_token: Some(bob.access_token.clone()), ..of(&alice.access_token) };
        let granted = world.authority.exchange(&Caller::client("api"), &client("api"), of_both).await.unwrap();
        let token = granted.access_token;
        let named = said(&token)["grp"].clone();
        let of_each = [&alice, &bob].map(|user| said(&user.access_token)["grp"].clone());
        assert_eq!(named, Value::from(of_each.to_vec()), "the groups of both");
        assert_active(&world, &token, "before").await;
        let ended = match cut {
            "session" => world.authority.end_session(&world.caller, &bob.sid, None).await.unwrap(),
            _ => world.revoke(target("subject:bob")).await,
        };
        let answer = asked(&world, &token).await;
        assert_eq!(answer.verdict, CheckVerdict::Revoked, "by the actor's {cut}");
        assert!(answer.refusal.is_some_and(|refusal| refusal.at <= ended.position));
        assert_active(&world, &alice.access_token, "the one it was done for").await;
        assert_active(&world, &others.access_token, "somebody else").await;
    }
}
