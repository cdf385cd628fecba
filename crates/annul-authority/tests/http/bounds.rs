//! Bad input and too much of it.

use reqwest::Method;
use serde_json::json;

use crate::running::{both, expect, expect_problem, in_memory};

#[tokio::test]
async fn a_body_that_is_not_json_changes_nothing() {
    for authority in both().await {
        let before = authority.get("/statusz").await["position"].clone();
        for body in ["", "{", "[]", "{\"targets\":", "nonsense", "{\"targets\":[\"subject:a\"],\"targets\":[]}"] {
            let request = authority.request(Method::POST, "/v1/revocations").header("content-type", "application/json");
            let response = request.body(body).send().await.unwrap();
            assert_eq!(response.status(), 400, "{body}");
        }
        let request = authority.request(Method::POST, "/v1/revocations").header("content-type", "application/json");
        expect_problem(request.body("{\"targets\""), 400, "request_malformed").await;
        let request = authority.request(Method::POST, "/v1/revocations").body("{\"targets\":[\"subject:a\"]}");
        expect_problem(request, 415, "media_type_unsupported").await;
        assert_eq!(authority.get("/statusz").await["position"], before);
    }
}

#[tokio::test]
async fn an_array_is_not_read_as_the_members_in_their_order() {
    let authority = in_memory(|_| {}).await;
    let before = authority.get("/v1/subjects/alice").await;
    let request = authority.request(Method::POST, "/v1/subjects/alice/block").json(&json!([null, null, null]));
    expect_problem(request, 400, "request_malformed").await;
    assert_eq!(authority.get("/v1/subjects/alice").await, before);
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name() {
    let authority = in_memory(|_| {}).await;
    let body = json!({"targets": ["subject:alice"], "cuttoff": "now"});
    let problem =
        expect_problem(authority.request(Method::POST, "/v1/revocations").json(&body), 400, "request_unknown_field");
    assert!(problem.await["detail"].as_str().unwrap().contains("cuttoff"));
    let request = authority.request(Method::GET, "/v1/revocations?limitt=3");
    expect_problem(request, 400, "request_unknown_field").await;
}

#[tokio::test]
async fn an_issuer_is_a_name_wherever_one_is_given() {
    let authority = in_memory(|_| {}).await;
    let before = authority.get("/statusz").await["position"].clone();
    let long = "x".repeat(513);
    for issuer in ["", "a\u{1}b", "a\u{9f}", &long] {
        let query = [("issuer", issuer)];
        let about = |method: Method, path: &str| authority.request(method, path).query(&query);
        expect_problem(about(Method::GET, "/v1/subjects/alice"), 400, "request_invalid").await;
        expect_problem(about(Method::DELETE, "/v1/subjects/alice/block"), 400, "request_invalid").await;
        let body = json!({"issuer": issuer});
        let block = authority.request(Method::POST, "/v1/subjects/alice/block").json(&body);
        expect_problem(block, 400, "request_invalid").await;
        let body = json!({"targets": ["subject:alice"], "issuer": issuer});
        let revocation = authority.request(Method::POST, "/v1/revocations").json(&body);
        expect_problem(revocation, 400, "request_invalid").await;
    }
    assert_eq!(authority.get("/statusz").await["position"], before);
}

#[tokio::test]
async fn an_oversized_body_is_refused_whatever_its_length_says() {
    let authority = in_memory(|config| config.limits.body = 4096).await;
    let large = format!("{{\"reason\":\"{}\"}}", "x".repeat(5000));
    let request = || authority.request(Method::POST, "/v1/revocations").header("content-type", "application/json");
    expect_problem(request().body(large.clone()), 413, "body_too_large").await;
    let chunks = futures::stream::iter(large.into_bytes().chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let chunks = futures::StreamExt::map(chunks, Ok::<_, std::io::Error>);
    expect_problem(request().body(reqwest::Body::wrap_stream(chunks)), 413, "body_too_large").await;
    authority.session("alice").await;
}

#[tokio::test]
async fn deep_json_is_refused_and_not_recursed_into() {
    let authority = in_memory(|_| {}).await;
    let body = format!("{{\"subject\":\"a\",\"claims\":{{\"x\":{}{}}}}}", "[".repeat(5000), "]".repeat(5000));
    let request = authority.request(Method::POST, "/v1/sessions").header("content-type", "application/json");
    let response = request.body(body).send().await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn unknown_addresses_and_methods_answer_as_problems() {
    let authority = in_memory(|_| {}).await;
    expect_problem(authority.bare(Method::GET, "/v2/sessions"), 404, "not_found").await;
    expect_problem(authority.bare(Method::PATCH, "/v1/sessions"), 405, "method_not_allowed").await;
    expect_problem(authority.request(Method::GET, "/v1/revocations/nonsense"), 400, "request_invalid").await;
}

#[tokio::test]
async fn a_full_lane_says_when_to_come_back_and_leaves_administration_alone() {
    let authority = in_memory(|config| config.limits.issue = 1).await;
    let open = || authority.request(Method::POST, "/v1/sessions").json(&json!({"subject": "alice"}));
    let mut refused = None;
    for _ in 0..10 {
        let response = open().send().await.unwrap();
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("ten requests at once fit into a lane of one per second");
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["code"], "rate_limited");

    authority.get("/v1/clients").await;
    authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
    let other = authority.client("other", &["annul.issue"]).await;
    let request = authority.request_as(&other, Method::POST, "/v1/sessions").json(&json!({"subject": "bob"}));
    expect(request, 201).await;
}

#[tokio::test]
async fn a_client_without_the_scope_is_limited_like_any_other() {
    let authority = in_memory(|config| config.limits.admin = 1).await;
    let reader = authority.client("reader", &["annul.read"]).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let request = authority.request_as(&reader, Method::GET, "/v1/clients");
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&403) && statuses.contains(&429), "{statuses:?}");
    expect(authority.request_as(&reader, Method::GET, "/v1/keys"), 200).await;
}

#[tokio::test]
async fn guessing_is_slowed_and_locks_out_nobody_with_a_credential() {
    let authority = in_memory(|config| config.limits.anonymous = 1).await;
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let request = authority.bare(Method::GET, "/v1/keys").basic_auth("admin", Some("guess"));
        statuses.push(request.send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
    authority.get("/v1/keys").await;
    assert_eq!(authority.bare(Method::GET, "/livez").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_callers_request_id_is_kept_when_it_is_plain() {
    let authority = in_memory(|_| {}).await;
    let sent = |id: &'static str| authority.bare(Method::GET, "/livez").header("x-request-id", id).send();
    assert_eq!(sent("trace-1.a").await.unwrap().headers()["x-request-id"], "trace-1.a");
    assert_ne!(sent("with space").await.unwrap().headers()["x-request-id"], "with space");
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_the_open_ones_go_on() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let authority = in_memory(|config| config.limits.connections = 2).await;
    let address = authority.server.url().trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        open.push(stream);
    }
    let mut third = tokio::net::TcpStream::connect(&address).await.unwrap();
    // The peer may be gone before anything is written.
    let _ = third.write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = third.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    let mut rest = [0; 64];
    open[0].write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(open[0].read(&mut rest).await.unwrap() > 0);
}
