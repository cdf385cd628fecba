//! Routes that have the authority asked.

use std::time::Duration;

use annul::policy::{OnStale, Policy};
use annul::{ASKS_PER_SECOND, Decision, Outcome, Route};
use serde_json::json;

use crate::stub::{AUDIENCE, STALENESS, Stub, Token, code, eventually, within};

#[tokio::test]
async fn the_answer_decides() {
    let stub = Stub::start().await;
    let route = stub.verifier().await.route(Policy::ask());
    let token = stub.token(&Token::default());
    for (answer, expected) in [
        (json!({"verdict": "active", "position": "1:2"}), "ok"),
        (
            json!({"verdict": "revoked", "refusal": {"kind": "session", "cutoff": "position", "at": "1:2"}}),
            "token_revoked",
        ),
        (json!({"verdict": "revoked"}), "token_revoked"),
        (json!({"verdict": "refused", "code": "token_expired"}), "refused_by_authority"),
        (json!({"what": "is this"}), "ask_unavailable"),
    ] {
        stub.answer_asks(answer);
        assert_eq!(code(&within(route.decide(&token)).await), expected);
    }
}

#[tokio::test]
async fn what_is_known_to_be_revoked_is_not_asked_about() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::ask());
    let token = stub.token(&Token::default());
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    assert_eq!(code(&route.decide(&token).await), "token_revoked");
    assert_eq!(stub.asks(), 0);
}

/// I1: the answer may have been computed before the revocation and arrive long after it was applied.
#[tokio::test]
async fn an_answer_does_not_outweigh_what_the_view_has_learnt_since() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::ask());
    let token = stub.token(&Token::default());
    stub.hold_asks();
    let answer = asking(&route, &token);
    eventually("the call is in the air", || stub.asks() == 1).await;
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    stub.let_asks_go(1);
    assert_eq!(code(&within(answer).await.unwrap()), "token_revoked");
}

/// An entry on a claim to be asked about came while the question was under way: the answer is from
/// before it, and may be wrong about it.
#[tokio::test]
async fn an_answer_from_before_an_entry_to_be_asked_about_is_no_answer_to_it() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS));
    let token = stub.token(&Token::default());
    let first = stub.revoke_group();
    eventually("the first entry is applied", || verifier.view().position() >= Some(first)).await;
    stub.answer_asks(json!({"verdict": "active", "position": first.to_string()}));
    assert_eq!(code(&within(route.decide(&token)).await), "ok");
    stub.hold_asks();
    let answer = asking(&route, &token);
    eventually("the call is in the air", || stub.asks() == 2).await;
    let second = stub.revoke_group();
    eventually("the second entry is applied", || verifier.view().position() >= Some(second)).await;
    stub.let_asks_go(1);
    assert_eq!(code(&within(answer).await.unwrap()), "ask_unavailable");
    stub.answer_asks(json!({"verdict": "active", "position": second.to_string()}));
    stub.let_asks_go(1);
    assert_eq!(code(&within(route.decide(&token)).await), "ok");
}

#[tokio::test]
async fn only_what_could_be_accepted_is_introspected_and_its_key_must_be_named() {
    let stub = Stub::start().await;
    let verifier = stub.builder().leeway(Duration::ZERO).build().await.unwrap();
    within(verifier.ready()).await;
    let (introspect, check) = (verifier.route(Policy::introspect()), verifier.route(Policy::check(STALENESS)));
    let token = stub.secret_token(&Token::default());
    stub.answer_asks(json!({"verdict": "active", "position": "1:2", "key": "subject-secret-1"}));
    let Decision::Allow(authorized) = within(introspect.decide(&token)).await else { panic!("it is active") };
    assert_eq!(authorized.token().key_id(), "subject-secret-1");
    assert_eq!(code(&check.decide(&token).await), "alg_not_allowed", "other routes ask nobody");
    assert_eq!(stub.asks(), 1);
    for (life, audience, refused) in [(0, AUDIENCE, "token_expired"), (300, "mail", "audience_mismatch")] {
        let token = stub.secret_token(&Token { life, audience, ..Token::default() });
        assert_eq!(code(&introspect.decide(&token).await), refused);
    }
    assert_eq!(stub.asks(), 1, "it could not be accepted whatever the authority says");
    stub.answer_asks(json!({"verdict": "active", "position": "1:2"}));
    assert_eq!(code(&within(introspect.decide(&token)).await), "ask_unavailable");
    // Whoever vouches, what is known here to be revoked is refused.
    stub.answer_asks(json!({"verdict": "active", "position": "1:2", "key": "subject-secret-1"}));
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    assert_eq!(code(&within(introspect.decide(&token)).await), "token_revoked");
}

#[tokio::test]
async fn a_crowd_shares_two_calls_and_every_answer_is_younger_than_its_question() {
    let stub = Stub::start().await;
    let route = stub.verifier().await.route(Policy::ask());
    let token = stub.token(&Token::default());
    stub.hold_asks();
    let first = asking(&route, &token);
    eventually("the first call is in the air", || stub.asks() == 1).await;
    let crowd: Vec<_> = (0..100).map(|_| asking(&route, &token)).collect();
    // What the first call finds is from before the crowd's questions.
    stub.let_asks_go(1);
    assert_eq!(code(&within(first).await.unwrap()), "ok");
    eventually("the crowd's call is in the air", || stub.asks() == 2).await;
    stub.answer_asks(json!({"verdict": "revoked"}));
    stub.let_asks_go(1);
    for one in crowd {
        assert_eq!(code(&within(one).await.unwrap()), "token_revoked");
    }
    assert_eq!(stub.asks(), 2);
}

#[tokio::test]
async fn beyond_the_budget_the_route_closes() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS).on_stale(OnStale::Ask));
    let ask = verifier.route(Policy::ask());
    let mut closed = 0;
    let tokens: Vec<_> = (0..ASKS_PER_SECOND * 3)
        .map(|number| stub.token(&Token { jti: &format!("t{number}"), ..Token::default() }))
        .collect();
    for decision in futures::future::join_all(tokens.iter().map(|token| ask.decide(token))).await {
        closed += usize::from(code(&decision) == "ask_unavailable");
    }
    assert!(closed >= 50, "only {closed} of 150 were turned away at once");
    assert!(stub.asks() <= 100, "{} calls left the process", stub.asks());
    assert_eq!(code(&route.decide(&tokens[0]).await), "ok", "a live view needs no asking");
}

#[tokio::test]
async fn a_question_that_was_not_delivered_is_not_repeated() {
    let stub = Stub::start().await;
    let route = stub.verifier().await.route(Policy::ask());
    let token = stub.token(&Token::default());
    stub.set_down(true);
    let Outcome::Ask(answer) = route.check(&token) else { panic!("an ask route asks") };
    assert_eq!(code(&within(answer).await), "ask_unavailable");
    assert_eq!(stub.asks(), 1, "repeats would not be counted by the budget");
}

fn asking(route: &Route, token: &str) -> tokio::task::JoinHandle<Decision> {
    let Outcome::Ask(answer) = route.check(token) else { panic!("an ask route asks") };
    tokio::spawn(answer)
}

/// The verifier's runtime ends while somebody on another one waits for its answer.
#[test]
fn nobody_waits_for_ever_when_the_runtime_of_the_calls_is_gone() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (calls, requests) = (runtime(), runtime());
    let (stub, route, token) = calls.block_on(async {
        let stub = Stub::start().await;
        let route = stub.verifier().await.route(Policy::ask());
        let token = stub.token(&Token::default());
        stub.hold_asks();
        (stub, route, token)
    });
    let asking = |route: &Route| {
        let Outcome::Ask(answer) = route.check(&token) else { panic!("an ask route asks") };
        requests.spawn(answer)
    };
    let first = asking(&route);
    calls.block_on(eventually("the call is in the air", || stub.asks() == 1));
    let second = asking(&route);
    calls.shutdown_background();
    for waiting in [first, second] {
        assert_eq!(code(&requests.block_on(within(waiting)).unwrap()), "ask_unavailable");
    }
    // Nor does whoever asks afterwards.
    let late = asking(&route);
    assert_eq!(code(&requests.block_on(within(late)).unwrap()), "ask_unavailable");
}
