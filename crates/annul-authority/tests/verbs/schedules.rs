//! Revocations for later: at a time, spread over minutes, cancelled, lifted.

use annul_authority::verbs::revocations::{CutoffText, LiftRequest, RevokeOutcome, RevokeRequest};
use annul_authority::verbs::schedules::ScheduleState;
use annul_authority::verbs::sessions::{OpenSession, TokenAnswer};
use annul_core::algebra::Reach;
use serde_json::json;

use crate::world::{World, claims, code, login, revocation, target};

fn at(text: &str, at: u64) -> RevokeRequest {
    RevokeRequest { at: Some(at), ..target(text) }
}

fn over(text: &str, seconds: u64) -> RevokeRequest {
    RevokeRequest { over: Some(seconds), ..target(text) }
}

/// A login of one tenant `ago` seconds before now.
async fn of_acme(world: &World, subject: &str, ago: u64) -> TokenAnswer {
    let request = OpenSession {
        claims: claims(json!({ "tenant": "acme" })),
        auth_time: Some(world.now() - ago),
        ..login(subject, "phone")
    };
    world.try_open(request).await.unwrap()
}

#[tokio::test]
async fn a_scheduled_now_is_the_moment_it_is_done() {
    let mut world = World::new().await;
    let early = world.open("alice", "phone").await;
    let plan = world.plan(at("subject:alice", world.now() + 60)).await;
    assert_eq!((plan.state, plan.expected, plan.sessions), (ScheduleState::Waiting, 1, 0));
    assert!(world.authority.run_due().await.unwrap().is_some());
    world.assert_active(&early.access_token, "its time has not come").await;

    world.advance(61);
    let before = world.open("alice", "laptop").await;
    assert_eq!(world.authority.run_due().await.unwrap(), None);
    let after = world.open("alice", "phone").await;
    world.assert_revoked(&early.access_token, "there before").await;
    world.assert_revoked(&before.access_token, "opened after the asking and before the entry").await;
    world.assert_active(&after.access_token, "opened after the entry").await;
    let done = world.authority.schedule(&plan.schedule).await.unwrap();
    assert_eq!((done.state, done.sessions), (ScheduleState::Done, 2));

    let lift = LiftRequest { positions: done.steps[0].positions.clone(), ..LiftRequest::default() };
    world.authority.lift(&world.caller, lift).await.unwrap();
    world.assert_active(&early.access_token, "its entry was lifted like any other").await;
}

#[tokio::test]
async fn a_repetition_after_its_time_is_answered_with_the_schedule_that_was_made() {
    let world = World::new().await;
    world.open("alice", "phone").await;
    let caller = world.caller.clone().with_idempotency("attempt-1", [1; 32]);
    let due = world.now() + 2;
    let ask = async |request: RevokeRequest| match world.authority.revoke(&caller, request).await.unwrap() {
        RevokeOutcome::Scheduled(schedule) => schedule,
        other => panic!("not kept for later: {other:?}"),
    };
    let first = ask(at("subject:alice", due)).await;
    world.advance(3);
    let again = ask(at("subject:alice", due)).await;
    assert_eq!((&again.schedule, again.state), (&first.schedule, ScheduleState::Waiting));
    world.authority.run_due().await.unwrap();
    let done = ask(at("subject:alice", due)).await;
    assert_eq!((&done.schedule, done.state, done.sessions), (&first.schedule, ScheduleState::Done, 1));
    assert_eq!(world.authority.schedules().await.unwrap().schedules.len(), 1);

    let late = world.authority.revoke(&world.caller, at("subject:alice", due)).await;
    assert_eq!(code(late), "request_invalid", "whoever did not ask before is told that it has passed");
    let other = caller.clone().with_idempotency("attempt-1", [2; 32]);
    let other = world.authority.revoke(&other, at("subject:bob", due + 60)).await;
    assert_eq!(code(other), "idempotency_conflict");
}

#[tokio::test]
async fn a_before_that_lies_ahead_can_be_asked_for_when_it_is_due() {
    let mut world = World::new().await;
    let cutoff = world.now() + 100;
    let ahead = || revocation("subject:alice", CutoffText::Before(cutoff), Reach::Both);
    assert_eq!(code(world.try_revoke(ahead()).await), "cutoff_in_the_future");
    assert_eq!(code(world.try_revoke(RevokeRequest { at: Some(cutoff - 1), ..ahead() }).await), "request_invalid");
    world.plan(RevokeRequest { at: Some(cutoff + 10), ..ahead() }).await;
    world.advance(50);
    let within = world.open("alice", "phone").await;
    world.advance(51);
    let beyond = world.open("alice", "laptop").await;
    world.advance(10);
    assert_eq!(world.authority.run_due().await.unwrap(), None);
    world.assert_revoked(&within.access_token, "it logged in before the cutoff").await;
    world.assert_active(&beyond.access_token, "it logged in after it").await;
}

#[tokio::test]
async fn a_spread_revocation_takes_the_oldest_logins_first_and_everybody_once() {
    let mut world = World::new().await;
    let mut logins = Vec::new();
    for index in 0..4 {
        logins.push(of_acme(&world, &format!("user-{index}"), 400 - index * 100).await);
    }
    let other = world.open("bob", "phone").await;
    let dry = world.rehearse(over("claim:tenant=acme", 30)).await;
    assert_eq!(dry.sessions, 4);
    let foretold = dry.schedule.unwrap();
    let plan = world.plan(over("claim:tenant=acme", 30)).await;
    assert_eq!(plan.steps.iter().map(|step| step.expected).collect::<Vec<_>>(), [1, 1, 1, 1]);
    assert_eq!(plan.steps.len(), foretold.steps.len(), "the dry run told the slices");
    assert_eq!(plan.complete_at, plan.created + 30_000);

    for done in 1..=4u64 {
        world.authority.run_due().await.unwrap();
        let now = world.authority.schedule(&plan.schedule).await.unwrap();
        assert_eq!(now.sessions, done, "one slice every ten seconds");
        for (index, login) in logins.iter().enumerate() {
            if (index as u64) < done {
                world.assert_revoked(&login.access_token, "its slice is done").await;
                assert_eq!(world.next_code(&login.sid).await, "session_revoked");
            } else {
                world.assert_active(&login.access_token, "its slice waits").await;
            }
        }
        world.advance(10);
    }
    let again = of_acme(&world, "user-0", 35).await;
    assert_eq!(world.authority.run_due().await.unwrap(), None);
    world.assert_active(&again.access_token, "whoever logged in meanwhile is not sent away twice").await;
    world.assert_active(&other.access_token, "another tenant").await;
}

#[tokio::test]
async fn a_spread_revocation_that_was_a_mistake_stops_and_is_lifted() {
    let mut world = World::new().await;
    let (first, second) = (of_acme(&world, "alice", 200).await, of_acme(&world, "bob", 100).await);
    let plan = world.plan(over("claim:tenant=acme", 60)).await;
    world.authority.run_due().await.unwrap();
    world.assert_revoked(&first.access_token, "the first slice").await;
    let cancelled = world.authority.cancel_schedule(&world.caller, &plan.schedule, None).await.unwrap();
    assert_eq!((cancelled.state, cancelled.sessions), (ScheduleState::Cancelled, 1));
    world.advance(120);
    assert_eq!(world.authority.run_due().await.unwrap(), None);
    world.assert_active(&second.access_token, "its slice was cancelled").await;
    let positions = cancelled.steps.iter().flat_map(|step| step.positions.clone()).collect();
    world.authority.lift(&world.caller, LiftRequest { positions, ..LiftRequest::default() }).await.unwrap();
    world.assert_active(&first.access_token, "the first slice was lifted").await;
}

#[tokio::test]
async fn logins_of_one_second_are_one_slice_and_are_said_to_be() {
    let mut world = World::new().await;
    let mut logins = Vec::new();
    for index in 0..5 {
        logins.push(of_acme(&world, &format!("user-{index}"), 0).await);
    }
    let plan = world.plan(over("claim:tenant=acme", 600)).await;
    assert_eq!(plan.steps.iter().map(|step| step.expected).collect::<Vec<_>>(), [5]);
    assert_eq!(plan.complete_at % 1000, 0, "the cutoff is the second after the asking, and so is the slice");
    world.advance(1);
    assert_eq!(world.authority.run_due().await.unwrap(), None);
    world.assert_revoked(&logins[0].access_token, "the one slice").await;
}

#[tokio::test]
async fn what_cannot_be_planned_is_refused_by_name() {
    let world = World::new().await;
    let session = world.open("alice", "phone").await;
    let now = world.now();
    let head = world.head().await;
    let with = |request: RevokeRequest| RevokeRequest { at: Some(now + 60), ..request };
    for (request, refused) in [
        (at("subject:alice", now - 1), "request_invalid"),
        (at("subject:alice", now + 400 * 24 * 3600), "request_invalid"),
        (RevokeRequest { over: Some(60), ..at("subject:alice", now + 60) }, "request_invalid"),
        (over("subject:alice", 9), "request_invalid"),
        (over("subject:alice", 90_000), "request_invalid"),
        (over("confirmation:abc", 60), "request_invalid"),
        (
            RevokeRequest { over: Some(60), ..revocation("subject:alice", CutoffText::Now, Reach::Access) },
            "request_invalid",
        ),
        (
            RevokeRequest { over: Some(60), ..revocation("subject:alice", CutoffText::Before(now + 9), Reach::Both) },
            "cutoff_in_the_future",
        ),
        (with(RevokeRequest { keep: Some(session.sid.clone()), ..target("subject:alice") }), "request_invalid"),
        (with(revocation("confirmation:abc", CutoffText::Now, Reach::Both)), "cutoff_not_allowed"),
        (with(target("issuer:https:%2F%2Fnobody.example/subject:alice")), "issuer_unknown"),
    ] {
        assert_eq!(code(world.try_revoke(request.clone()).await), refused, "{request:?}");
    }
    assert_eq!(world.head().await, head);
    assert!(world.authority.schedules().await.unwrap().schedules.is_empty());
}
