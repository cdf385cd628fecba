//! A verifier in its ordinary life.

use std::time::Duration;

use annul::Policy;
use annul::feed::report::{CanaryVerdict, ReplicaState};
use annul::policy::OnStale;
use annul::target::TargetKind;
use annul_core::algebra::Cutoff;

use crate::stub::{SHORT, STALENESS, Stub, Token, code, eventually};

#[tokio::test]
async fn a_revocation_is_refused_once_applied_and_touches_nobody_else() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS));
    let (alice, bob) =
        (stub.token(&Token::default()), stub.token(&Token { subject: "bob", jti: "t2", ..Token::default() }));
    assert_eq!(code(&route.decide(&alice).await), "ok");
    assert_eq!(code(&route.decide(&bob).await), "ok");
    assert_eq!(verifier.status().cache_entries, 2, "facts of verified tokens are kept");

    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    assert_eq!(code(&route.decide(&alice).await), "token_revoked", "facts are cached, verdicts never");
    assert_eq!(code(&route.decide(&bob).await), "ok");
    let again = stub.token(&Token { jti: "t3", ..Token::default() });
    assert_eq!(code(&route.decide(&again).await), "ok", "a login after it lives");
}

#[tokio::test]
async fn junk_is_refused_and_never_kept() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS));
    let good = stub.token(&Token::default());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(86));
    for (token, expected) in [
        ("", "token_missing"),
        ("a.b.c", "token_malformed"),
        (forged.as_str(), "signature_invalid"),
        (&stub.token(&Token { audience: "elsewhere", ..Token::default() }), "audience_mismatch"),
        (&stub.token(&Token { life: 100_000, ..Token::default() }), "life_too_long"),
    ] {
        assert_eq!(code(&route.decide(token).await), expected);
    }
    assert_eq!(verifier.status().cache_entries, 0);
}

#[tokio::test]
async fn a_token_seen_before_is_verified_again_when_its_issuer_changes() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let route = verifier.route(Policy::check(STALENESS));
    let old = stub.token(&Token::default());
    assert_eq!(code(&route.decide(&old).await), "ok");

    stub.publish_key("k2", [2; 32]);
    let at = stub.feed(|log| log.point().at);
    eventually("the new key set is applied", || verifier.view().position() >= Some(at)).await;
    assert_eq!(code(&route.decide(&old).await), "key_unknown", "its key is no longer published");
    let new = stub.token(&Token { jti: "t2", ..Token::default() });
    assert_eq!(code(&route.decide(&new).await), "ok");
}

#[tokio::test]
async fn cut_off_from_the_feed_each_route_answers_by_its_policy_and_recovers() {
    let stub = Stub::start().await;
    let verifier = stub.builder().max_staleness(SHORT).build().await.unwrap();
    verifier.ready().await;
    let closed = verifier.route(Policy::check(SHORT));
    let open = verifier.route(Policy::check(SHORT).on_stale(OnStale::Open { max_age: Duration::from_secs(600) }));
    let verify = verifier.route(Policy::verify_only());
    let alice = stub.token(&Token::default());
    let killed = stub.token(&Token { subject: "mallory", jti: "t2", ..Token::default() });
    let at = stub.revoke_subject("mallory");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;

    stub.set_down(true);
    eventually("the view is stale", || verifier.status().state == ReplicaState::Stale).await;
    assert_eq!(code(&closed.decide(&alice).await), "view_stale");
    assert_eq!(code(&open.decide(&alice).await), "ok");
    assert_eq!(code(&verify.decide(&alice).await), "ok");
    for route in [&closed, &open] {
        assert_eq!(code(&route.decide(&killed).await), "token_revoked", "what is known to be revoked stays refused");
    }

    stub.set_down(false);
    eventually("the view is live again", || verifier.status().is_live()).await;
    assert_eq!(code(&closed.decide(&alice).await), "ok");
}

#[tokio::test]
async fn what_routes_accept_is_what_is_reported() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let reported = |longest: u64, check: u32, open: u32| {
        stub.feed(|log| {
            let replicas = log.replicas(annul::time::Monotonic(Duration::from_secs(1)));
            let shop = replicas.iter().find(|replica| replica.name == "shop" && replica.instance == "one");
            shop.is_some_and(|shop| {
                shop.longest_age == longest && shop.routes.check == check && shop.routes.open == open
            })
        })
    };
    let _route = verifier.route(Policy::check(STALENESS));
    eventually("a route is reported", || reported(60, 1, 0)).await;
    let _open = verifier.route(Policy::check(STALENESS).on_stale(OnStale::Open { max_age: Duration::from_secs(600) }));
    eventually("a longer age is reported when it is registered", || reported(600, 1, 1)).await;
    assert_eq!(verifier.status().longest_age_ms, 600_000);
}

#[tokio::test]
async fn a_canary_takes_the_ordinary_path() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let canary = stub.token(&Token { subject: "annul-canary", jti: "c1", ..Token::default() });
    let heard = |id: &str, verdict: CanaryVerdict| {
        stub.feed(|log| log.canary_verdicts(id).iter().any(|heard| heard.verdict == verdict))
    };
    eventually("a stream is open", || verifier.status().is_live()).await;
    let mut rounds = 0;
    eventually("the canary is judged", || {
        // Canaries go to open streams only, and the first may come before the stream.
        rounds += 1;
        if rounds % 20 == 1 {
            stub.canary("before", &canary);
        }
        heard("before", CanaryVerdict::Active)
    })
    .await;
    let at = stub.revoke(TargetKind::Token, "c1", Cutoff::Always);
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    stub.canary("after", &canary);
    eventually("it is judged again", || heard("after", CanaryVerdict::Revoked)).await;
}

#[tokio::test]
async fn the_application_can_refuse_and_only_refuse() {
    let stub = Stub::start().await;
    let verifier = stub.builder().refuse_when(|token| token.subject() == Some("bob")).build().await.unwrap();
    verifier.ready().await;
    let route = verifier.route(Policy::check(STALENESS));
    let (alice, bob) =
        (stub.token(&Token::default()), stub.token(&Token { subject: "bob", jti: "t2", ..Token::default() }));
    assert_eq!(code(&route.decide(&bob).await), "refused_by_application");
    assert_eq!(code(&route.decide(&alice).await), "ok");
    let at = stub.revoke_subject("alice");
    eventually("the revocation is applied", || verifier.view().position() >= Some(at)).await;
    assert_eq!(code(&route.decide(&alice).await), "token_revoked", "the hook cannot let in what is revoked");
}

#[tokio::test]
async fn the_task_ends_with_the_last_verifier() {
    let stub = Stub::start().await;
    let verifier = stub.verifier().await;
    let mut changes = verifier.changes();
    let route = verifier.route(Policy::check(STALENESS));
    drop(verifier);
    assert!(changes.has_changed().is_ok(), "a route keeps it alive");
    drop(route);
    crate::stub::within(async { while changes.changed().await.is_ok() {} }).await;
}
