//! Input that makes no sense: refused by name, and nothing changes.

use std::process::Command;

use scenarios::{Authority, ISSUER, Service, ServiceOptions, binary};
use serde_json::{Value, json};

use crate::support::{annul, is_problem, run, serve};

async fn position(authority: &Authority) -> Value {
    authority.admin().get("/statusz").await.expect_status(200).body["position"].clone()
}

#[tokio::test]
async fn malformed_requests_are_refused_by_name_and_change_nothing() {
    let authority = Authority::start();
    let before = position(&authority).await;
    assert!(before.is_string(), "{before}");
    let cases: [(&[u8], &str); 7] = [
        (b"{\"targets\": [\"subject:alice\"", "request_malformed"),
        (b"not json at all", "request_malformed"),
        (b"\xff\xfe\x00", "request_malformed"),
        (b"{\"targets\": [\"subject:alice\"]} and more", "request_malformed"),
        (b"{\"target\": [\"subject:alice\"]}", "request_unknown_field"),
        (b"{\"targets\": \"subject:alice\"}", "request_invalid"),
        (b"{\"targets\": [\"nonsense\"]}", "target_invalid"),
    ];
    for (body, code) in cases {
        let answer = authority.admin().post_bytes("/v1/revocations", body.to_vec()).await;
        is_problem(&answer, 400, code);
    }
    let nested =
        [&b"{\"subject\": \"alice\", \"claims\": {\"x\": "[..], &[b'['; 20_000], &[b']'; 20_000], b"}}"].concat();
    is_problem(&authority.admin().post_bytes("/v1/sessions", nested).await, 400, "request_malformed");
    assert_eq!(position(&authority).await, before, "a refused request changed the log");
    authority.revoke(json!({"targets": ["subject:alice"]})).await;
}

#[tokio::test]
async fn oversized_bodies_and_tokens_are_refused_by_name_and_change_nothing() {
    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let alice = authority.login("alice", "phone").await;
    service.accepts(alice.token()).await;
    let before = position(&authority).await;

    let huge = format!("{{\"reason\": \"{}\"}}", "x".repeat(100_000));
    is_problem(&authority.admin().post_bytes("/v1/revocations", huge.into_bytes()).await, 413, "body_too_large");
    let long = format!("{}{}", alice.token(), "A".repeat(40_000));
    let refused = authority.admin().post("/v1/revocations", json!({"token": long})).await;
    is_problem(&refused, 400, "token_too_large");
    assert_eq!(position(&authority).await, before, "a refused request changed the log");

    // A header that no server takes whole is refused before it reaches anything; a token that fits
    // into one and is longer than tokens are is refused by name.
    let seen = service.call_raw(&format!("{}{}", alice.token(), "A".repeat(20_000))).await;
    assert_eq!(seen.status, 401, "{seen:?}");
    service.accepts(alice.token()).await;

    let ended =
        run(&mut annul(&["token", "verify", "--issuer", ISSUER, "--audience", "api", "--url", authority.url(), &long]));
    assert_eq!((ended.code, ended.stdout.trim()), (Some(1), "REFUSED token_too_large"), "{}", ended.stderr);
    authority.revoke(json!({"token": alice.token()})).await;
    service.refuses_as_revoked(alice.token()).await;
}

#[test]
fn an_unknown_configuration_key_is_named_with_the_nearest_and_nothing_starts() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let unharmed = "nothing was started or written";
    let ended = serve(home.path(), "longest_live = \"1m\"");
    ended.refused(2, "tokens.longest_live", &["tokens.longest_life", "annul.toml", unharmed]);
    let ended = run(Authority::command(home.path(), "", "127.0.0.1:0").env("ANNUL_SERVER__LISTN", "x"));
    ended.refused(2, "server.listn", &["server.listen", "ANNUL_SERVER__LISTN", unharmed]);
    let ended = run(Authority::command(home.path(), "", "127.0.0.1:0").args(["--set", "limits.bdy=1"]));
    ended.refused(2, "limits.bdy", &["limits.body", unharmed]);
    assert!(!home.path().join("annul-data").exists(), "a refused start left data behind");
}

#[tokio::test]
async fn a_missing_issuer_or_audience_is_named_on_both_sides() {
    let home = tempfile::tempdir().expect("a temporary directory");
    for (flag, key) in [("--issuer", "tokens.issuer"), ("--audience", "tokens.audience")] {
        let ended = run(Authority::command(home.path(), "", "127.0.0.1:0").args([flag, ""]));
        ended.refused(2, key, &["nothing was started or written"]);
    }
    assert!(!home.path().join("annul-data").exists(), "a refused start left data behind");

    let authority = Authority::start();
    let service = Service::start(&authority, "api").await;
    let refused = |change: &dyn Fn(&mut ServiceOptions), says: &str| {
        let mut options = service.options().clone();
        options.state_dir = None;
        change(&mut options);
        let options = serde_json::to_string(&options).expect("options are JSON");
        let ended = run(Command::new(binary("scenario-service")).arg(options));
        assert!(ended.code == Some(1) && ended.stderr.contains(says), "{:?}: {}", ended.code, ended.stderr);
    };
    refused(&|options| options.issuer.clear(), "no issuer is configured; give the exact `iss`");
    refused(&|options| options.audience.clear(), "no audience is configured; give the `aud`");
    service.ready().await;
}
