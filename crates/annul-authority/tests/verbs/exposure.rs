//! Which requests could have been accepted: what is said of sessions, and what is said not to be known.

use annul_authority::verbs::exposure::{ExposureAnswer, ExposureQuery};
use annul_authority::verbs::sessions::OpenSession;
use serde_json::json;

use crate::world::{World, claims, code, login, target};

async fn ask(world: &World, text: &str, from: u64, to: u64) -> ExposureAnswer {
    let query = ExposureQuery { target: text.to_owned(), from, to: Some(to), ..ExposureQuery::default() };
    world.authority.exposure(query, Vec::new()).await.unwrap()
}

fn sids(answer: &ExposureAnswer) -> Vec<&str> {
    let mut sids: Vec<&str> = answer.sessions.iter().map(|item| item.session.sid.as_str()).collect();
    sids.sort_unstable();
    sids
}

#[tokio::test]
async fn sessions_are_exposed_from_their_login_until_their_tokens_are_refused() {
    let world = World::new().await;
    let begun = world.now();
    let first = world.open("alice", "phone").await;
    world.advance(1000);
    let second = world.open("alice", "laptop").await;
    world.open("bob", "phone").await;
    world.advance(10);
    let revoked = world.revoke(target("device:alice/phone")).await;
    world.advance(10);
    // A later entry does not make it look exposed for longer.
    world.revoke(target("subject:bob")).await;
    world.revoke(target("device:alice/phone")).await;

    let mut both = [first.sid.as_str(), second.sid.as_str()];
    both.sort_unstable();
    let whole = ask(&world, "subject:alice", begun, world.now()).await;
    assert_eq!(sids(&whole), both);
    let phone = whole.sessions.iter().find(|item| item.session.sid == first.sid).unwrap();
    assert_eq!(phone.refused_by, Some(revoked.position), "the first entry, and not the last");
    assert_eq!(phone.check_until, revoked.acknowledged_at, "no verifier was known to be behind");
    assert!(phone.verify_until > phone.check_until, "a route that never checks goes by exp");
    let laptop = whole.sessions.iter().find(|item| item.session.sid == second.sid).unwrap();
    assert_eq!((laptop.refused_by, laptop.check_until), (None, laptop.verify_until));

    assert_eq!(sids(&ask(&world, "subject:alice", begun, begun + 500).await), [first.sid.as_str()]);
    let much_later = phone.verify_until / 1000 + 1;
    assert_eq!(sids(&ask(&world, "subject:alice", much_later, much_later + 1).await), [second.sid.as_str()]);
    let on_target = ask(&world, "device:alice/phone", begun, world.now()).await;
    assert_eq!(on_target.entries.len(), 2);
    assert_eq!(on_target.entries[0].enforced_by, revoked.acknowledged_at);
}

#[tokio::test]
async fn an_ended_session_is_found_by_what_it_named_and_pages_go_on() {
    let world = World::new().await;
    let begun = world.now();
    for index in 0..5 {
        let request =
            OpenSession { claims: claims(json!({ "tenant": "acme" })), ..login(&format!("user-{index}"), "phone") };
        let opened = world.try_open(request).await.unwrap();
        if index % 2 == 0 {
            world.authority.end_session(&world.caller, &opened.sid, None).await.unwrap();
        }
    }
    world.open("bob", "phone").await;
    let (mut found, mut after) = (0, String::new());
    loop {
        let query = ExposureQuery {
            target: "claim:tenant=acme".to_owned(),
            from: begun,
            to: None,
            after: after.clone(),
            limit: Some(2),
        };
        let page = world.authority.exposure(query, Vec::new()).await.unwrap();
        found += page.sessions.len();
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(found, 5, "three ended and two live");
}

#[tokio::test]
async fn what_cannot_be_known_is_said() {
    let world = World::new().await;
    let answer = ask(&world, "token:abc", world.now(), world.now()).await;
    assert!(answer.sessions.is_empty());
    let said = answer.not_known.join("\n");
    for unknown in ["which requests were made", "tokens without a session", "not on record that far back"] {
        assert!(said.contains(unknown), "{unknown}: {said}");
    }
    let backwards = ExposureQuery { target: "issuer".to_owned(), from: 9, to: Some(8), ..ExposureQuery::default() };
    assert_eq!(code(world.authority.exposure(backwards, Vec::new()).await), "request_invalid");
    let nothing = ExposureQuery { target: "alice".to_owned(), ..ExposureQuery::default() };
    assert_eq!(code(world.authority.exposure(nothing, Vec::new()).await), "target_invalid");
}
