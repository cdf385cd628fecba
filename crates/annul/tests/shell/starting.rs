//! How a verifier starts, and when it must not.

use std::time::Duration;

use annul::feed::report::ReplicaState;
use annul::feed::snapshot::StoredState;
use annul::policy::Policy;
use annul::{Expect, Verifier};

use crate::stub::{AUDIENCE, ISSUER, STALENESS, Stub, Token, code, eventually, within};

async fn refusal(builder: annul::VerifierBuilder) -> &'static str {
    within(builder.build()).await.expect_err("the verifier must not start").code()
}

#[tokio::test]
async fn what_must_be_chosen_is_asked_for_by_name() {
    let with = |issuer: &str, audience: &str| {
        Verifier::builder(issuer, audience).authority("http://127.0.0.1:1", "id", "secret").max_staleness(STALENESS)
    };
    assert_eq!(refusal(with("", AUDIENCE)).await, "issuer_missing");
    assert_eq!(refusal(with(ISSUER, "")).await, "audience_missing");
    assert_eq!(refusal(with(ISSUER, AUDIENCE).foreign(Expect::foreign("https://idp", ""))).await, "audience_missing");
    assert_eq!(refusal(with(ISSUER, AUDIENCE).max_staleness(Duration::ZERO)).await, "max_staleness_missing");
    assert_eq!(refusal(with(ISSUER, AUDIENCE).name("a/b")).await, "name_invalid");
    assert_eq!(refusal(with(ISSUER, AUDIENCE).authority("http://auth.example", "id", "s")).await, "plain_http_refused");
    assert_eq!(refusal(with(ISSUER, AUDIENCE).authority("http://127.0.0.1:1", "", "s")).await, "credential_invalid");
    let unset = Verifier::builder(ISSUER, AUDIENCE).max_staleness(STALENESS);
    assert_eq!(refusal(unset).await, "authority_missing");
}

#[tokio::test]
async fn an_authority_that_does_not_fit_is_refused_by_name() {
    let stub = Stub::start().await;
    let elsewhere = Verifier::builder("https://other.example", AUDIENCE)
        .authority(&stub.url, "follower", "secret")
        .max_staleness(STALENESS);
    assert_eq!(refusal(elsewhere).await, "issuer_differs");
    assert_eq!(refusal(stub.builder().leeway(Duration::from_secs(31))).await, "leeway_beyond_settings");
    assert_eq!(refusal(stub.builder().feed_key("another")).await, "feed_key_differs");
    assert!(stub.builder().feed_key(&stub.feed_key()).leeway(Duration::from_secs(30)).build().await.is_ok());
    stub.refuse_with(401);
    assert_eq!(refusal(stub.builder()).await, "feed_not_permitted");
    stub.refuse_with(403);
    assert_eq!(refusal(stub.builder()).await, "feed_not_permitted");
}

#[tokio::test]
async fn an_unreachable_authority_is_no_error_and_no_401() {
    let stub = Stub::start().await;
    let alice = stub.token(&Token::default());
    stub.set_down(true);
    let verifier = within(stub.builder().build()).await.unwrap();
    let route = verifier.route(Policy::check(STALENESS));
    assert_eq!(verifier.status().state, ReplicaState::Cold);
    let annul::Decision::Deny(denial) = route.decide(&alice).await else { panic!("a cold view cannot let in") };
    assert_eq!(denial.status(), 503, "{denial}");
    stub.set_down(false);
    within(verifier.ready()).await;
    assert_eq!(code(&route.decide(&alice).await), "ok");
}

#[tokio::test]
async fn a_restart_without_the_authority_forgets_no_revocation() {
    let stub = Stub::start().await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mallory = stub.token(&Token { subject: "mallory", ..Token::default() });
    let alice = stub.token(&Token { jti: "t2", ..Token::default() });
    let at = stub.revoke_subject("mallory");
    let verifier = stub.builder().state_dir(&state).build().await.unwrap();
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    eventually("the revocation is stored", || {
        let stored = std::fs::read(state.join("view.state")).ok();
        let stored = stored.and_then(|bytes| StoredState::from_bytes(&bytes).ok());
        stored.and_then(|stored| stored.view).is_some_and(|view| view.at >= at)
    })
    .await;
    drop(verifier);

    stub.set_down(true);
    let verifier = reopen(&stub, &state).await;
    let route = verifier.route(Policy::check(STALENESS));
    assert_eq!(verifier.status().state, ReplicaState::Stale);
    assert_eq!(code(&route.decide(&mallory).await), "token_revoked");
    assert_eq!(code(&route.decide(&alice).await), "view_stale", "how old the state is cannot be known");
}

#[tokio::test]
async fn a_corrupt_state_is_set_aside_and_fetched_again() {
    let stub = Stub::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("view.state"), b"{ half a stat").unwrap();
    let verifier = stub.builder().state_dir(dir.path()).build().await.unwrap();
    within(verifier.ready()).await;
    let route = verifier.route(Policy::check(STALENESS));
    assert_eq!(code(&route.decide(&stub.token(&Token::default())).await), "ok");
    assert_eq!(std::fs::read(dir.path().join("view.state.corrupt")).unwrap(), b"{ half a stat");
    let second = stub.builder().state_dir(dir.path()).build().await.unwrap_err();
    assert_eq!(second.code(), "state_dir_unusable", "one directory, one verifier");
}

/// The task that held the directory's lock ends a moment after its verifier was dropped.
async fn reopen(stub: &Stub, state: &std::path::Path) -> Verifier {
    let open = async {
        loop {
            match stub.builder().state_dir(state).build().await {
                Ok(verifier) => return verifier,
                Err(error) if error.code() == "state_dir_unusable" => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    within(open).await
}
