//! The feed as a follower meets it, read with core's own verifying readers.

use std::time::{Duration, Instant};

use annul_core::feed::frame::Frame;
use annul_core::feed::report::{Introduction, Report, ReportAnswer};
use annul_core::feed::snapshot::Snapshot;
use annul_core::feed::sse::{SseEvent, SseParser};
use annul_core::position::Position;
use annul_core::record::{Chain, RecordBody};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::running::{Credential, Running, both, expect, expect_problem, in_memory, text};

/// What a follower holds after the introduction.
struct Follower {
    introduction: Introduction,
    log: String,
}

impl Follower {
    async fn of(authority: &Running) -> Self {
        let request = authority.request(Method::GET, "/v1/feed/head?nonce=n1");
        let body = request.send().await.unwrap().bytes().await.unwrap();
        let introduction = Introduction::from_json(&body).unwrap();
        let log = introduction.head.claimed().log.clone();
        introduction.head.verify(&introduction.feed_key, &log).unwrap();
        assert_eq!(introduction.head.claimed().nonce.as_deref(), Some("n1"));
        Self { introduction, log }
    }

    fn at(&self) -> Position {
        self.introduction.head.claimed().at
    }

    fn chain(&self) -> Chain {
        self.introduction.head.claimed().chain
    }
}

fn report(position: Position, nonce: &str) -> Value {
    json!({
        "position": position, "state": "live", "leeway": 0, "longest_age": 60, "audiences": ["api"],
        "routes": {"check": 1}, "interval": 20, "version": "0.1.0", "nonce": nonce,
    })
}

/// An open stream, read event by event.
struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    parser: SseParser,
    ready: std::collections::VecDeque<SseEvent>,
}

impl Events {
    async fn open(authority: &Running, after: Position, chain: Chain) -> Self {
        Self::open_as(&authority.admin, authority, after, chain).await
    }

    async fn open_as(client: &Credential, authority: &Running, after: Position, chain: Chain) -> Self {
        let path = format!("/v1/feed/stream?after={after}&chain={chain}");
        let response = authority.request_as(client, Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store, no-transform");
        Self { body: response.bytes_stream().boxed(), parser: SseParser::new(), ready: [].into() }
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<SseEvent> {
        while self.ready.is_empty() {
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.unwrap()?;
            self.ready.extend(self.parser.push(&chunk.ok()?).unwrap());
        }
        self.ready.pop_front()
    }

    async fn next_of(&mut self, kind: &str) -> SseEvent {
        loop {
            let event = self.next().await.unwrap();
            if event.event == kind {
                return event;
            }
        }
    }
}

#[tokio::test]
async fn a_poll_is_answered_by_the_revocation_it_waits_for() {
    for authority in both().await {
        let follower = Follower::of(&authority).await;
        let path = format!("/v1/feed/changes?after={}&chain={}&wait=30", follower.at(), follower.chain());
        let poll = authority.request(Method::GET, &path).send();
        let revoke = authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201);
        let begun = Instant::now();
        let (response, revoked) = tokio::join!(poll, revoke);
        assert!(begun.elapsed() < Duration::from_secs(25), "it waited to its end");
        let response = response.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let frame = Frame::from_bytes(&response.bytes().await.unwrap()).unwrap();
        let frame =
            frame.verify(&follower.introduction.feed_key, &follower.log, follower.at(), follower.chain()).unwrap();
        assert!(matches!(frame.records()[0].body, RecordBody::Revoke(_)));
        assert_eq!(frame.at().to_string(), text(&revoked, "position"));
    }
}

#[tokio::test]
async fn an_empty_poll_ends_in_time_with_a_signed_head() {
    for authority in both().await {
        let follower = Follower::of(&authority).await;
        let path = format!("/v1/feed/changes?after={}&wait=1", follower.at());
        let response = authority.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let frame = Frame::from_bytes(&response.bytes().await.unwrap()).unwrap();
        let frame =
            frame.verify(&follower.introduction.feed_key, &follower.log, follower.at(), follower.chain()).unwrap();
        assert!(frame.records().is_empty());
    }
}

#[tokio::test]
async fn the_whole_log_is_read_from_its_beginning() {
    for authority in both().await {
        for index in 0..30 {
            authority.post("/v1/revocations", json!({"targets": [format!("subject:s{index}")]}), 201).await;
        }
        let follower = Follower::of(&authority).await;
        let (mut at, mut chain) = (Position::new(1, 0), Chain::genesis(&follower.log));
        let mut records = 0;
        while at < follower.at() {
            let path = format!("/v1/feed/changes?after={at}&chain={chain}&limit=7");
            let body = authority.request(Method::GET, &path).send().await.unwrap().bytes().await.unwrap();
            let frame = Frame::from_bytes(&body).unwrap();
            let frame = frame.verify(&follower.introduction.feed_key, &follower.log, at, chain).unwrap();
            assert!((1..=7).contains(&frame.records().len()));
            (at, chain, records) = (frame.at(), frame.chain(), records + frame.records().len());
        }
        assert_eq!((at, chain), (follower.at(), follower.chain()));
        assert_eq!(records as u64, at.seq);
    }
}

#[tokio::test]
async fn a_stream_carries_records_and_shows_that_it_is_alive() {
    for authority in both().await {
        let follower = Follower::of(&authority).await;
        let mut events = Events::open(&authority, follower.at(), follower.chain()).await;
        events.next_of("heartbeat").await;
        let revoked = authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
        let event = events.next_of("frame").await;
        assert_eq!(event.id.as_deref(), revoked["position"].as_str());
        let frame = Frame::from_bytes(format!("{}\n", event.data).as_bytes()).unwrap();
        let frame =
            frame.verify(&follower.introduction.feed_key, &follower.log, follower.at(), follower.chain()).unwrap();
        assert_eq!(frame.records().len(), 1);
        assert_eq!(authority.get("/statusz").await["streams"], 1);
    }
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_event() {
    let authority = in_memory(|_| {}).await;
    let follower = Follower::of(&authority).await;
    authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
    let request = authority.request(Method::GET, "/v1/feed/stream").header("last-event-id", follower.at().to_string());
    let response = request.send().await.unwrap();
    let mut events = Events { body: response.bytes_stream().boxed(), parser: SseParser::new(), ready: [].into() };
    let event = events.next_of("frame").await;
    assert_eq!(event.data.lines().count(), 2, "the one record after it, and the head");
}

#[tokio::test]
async fn i6_the_snapshot_is_the_head_and_goes_on_from_there() {
    for authority in both().await {
        authority.post("/v1/revocations", json!({"targets": ["subject:alice", "issuer"]}), 201).await;
        let follower = Follower::of(&authority).await;
        let response = authority.request(Method::GET, "/v1/feed/snapshot").send().await.unwrap();
        let body = response.bytes().await.unwrap();
        let snapshot = Snapshot::from_bytes(&body, &follower.introduction.feed_key, &follower.log).unwrap();
        assert_eq!((snapshot.at, snapshot.chain), (follower.at(), follower.chain()));
        assert_eq!(snapshot.cells.len(), 2);
        assert_eq!(snapshot.issuers.len(), 1);
        assert_eq!(snapshot.settings.hash_key, follower.introduction.hash_key.id());
    }
}

#[tokio::test]
async fn a_follower_of_another_history_is_told_apart_from_one_that_is_ahead() {
    for authority in both().await {
        let follower = Follower::of(&authority).await;
        let other = Chain::genesis("another log");
        let changes = |query: String| authority.request(Method::GET, &format!("/v1/feed/changes?{query}"));
        expect_problem(changes(format!("after={}&chain={other}", follower.at())), 409, "diverged").await;
        let problem = expect_problem(changes("after=1:900".to_owned()), 416, "ahead").await;
        assert_eq!(text(&problem, "head"), follower.at().to_string());
        expect_problem(changes("after=sometime".to_owned()), 400, "request_invalid").await;
        let stream = authority.request(Method::GET, "/v1/feed/stream?after=1:900");
        expect_problem(stream, 416, "ahead").await;
    }
}

#[tokio::test]
async fn a_revocation_is_confirmed_by_reports_of_what_is_applied() {
    for authority in both().await {
        let follower = Follower::of(&authority).await;
        let replica = "/v1/feed/replicas/api/api-1";
        let request = authority.request(Method::POST, replica).json(&report(follower.at(), "r1"));
        let body = request.send().await.unwrap().bytes().await.unwrap();
        let answer = ReportAnswer::from_json(&body).unwrap();
        let head = answer.head.verify(&follower.introduction.feed_key, &follower.log).unwrap();
        assert_eq!(head.nonce.as_deref(), Some("r1"), "the head was signed after the report came in");

        let unheard = authority.post("/v1/revocations", json!({"targets": ["subject:a"], "wait": "100ms"}), 201).await;
        assert_eq!(unheard["confirmation"]["confirmed"], false, "a replica that did not report has not applied it");
        let enforced = unheard["enforced_by"].as_u64().unwrap() - unheard["acknowledged_at"].as_u64().unwrap();
        assert_eq!(enforced, 60_000, "the longest age that was reported");

        let mut events = Events::open(&authority, follower.at(), follower.chain()).await;
        let begun = Instant::now();
        let waiting = authority.post("/v1/revocations", json!({"targets": ["subject:b"], "wait": "20s"}), 201);
        let following = async {
            events.next_of("frame").await;
            let event = events.next_of("frame").await;
            let at: Position = event.id.unwrap().parse().unwrap();
            expect(authority.request(Method::POST, replica).json(&report(at, "r2")), 200).await;
            at
        };
        let (confirmed, at) = tokio::join!(waiting, following);
        assert!(begun.elapsed() < Duration::from_secs(15));
        let confirmation = &confirmed["confirmation"];
        assert_eq!(confirmation["confirmed"], true, "{confirmed}");
        assert_eq!(confirmation["applied"], 1);
        assert_eq!(confirmation["verifiers"][0]["instance"], "api-1");
        assert_eq!(confirmation["verifiers"][0]["position"], at.to_string());
        assert_eq!(confirmation["not_counted"], json!(["bare JWKS holders", "introspection caches"]));
        assert_eq!(authority.get("/statusz").await["replicas"][0]["name"], "api");
    }
}

#[tokio::test]
async fn the_doctor_asks_each_verifier_over_its_own_stream() {
    let authority = in_memory(|_| {}).await;
    let follower = Follower::of(&authority).await;
    let replica = "/v1/feed/replicas/api/api-1";
    expect(authority.request(Method::POST, replica).json(&report(follower.at(), "r")), 200).await;
    let mut events = Events::open(&authority, follower.at(), follower.chain()).await;

    let doctor = authority.post("/v1/doctor", json!({"wait": "20s"}), 200);
    let verifier = async {
        let mut at = follower.at();
        let mut verdict = "active";
        while verdict != "gone" {
            let Some(event) = events.next().await else { break };
            match event.event.as_str() {
                "frame" => at = event.id.unwrap().parse().unwrap(),
                "canary" => {
                    let canary: Value = serde_json::from_str(&event.data).unwrap();
                    let token = text(&canary, "token");
                    let id = text(&canary, "id");
                    verdict = if at > follower.at() { "revoked" } else { "active" };
                    assert_eq!(annul_core::token::UnverifiedToken::parse(&token).unwrap().claims().jti(), Some(&*id));
                    let mut body = report(at, "r");
                    body["canaries"] = json!([{"id": id, "verdict": verdict}]);
                    expect(authority.request(Method::POST, replica).json(&body), 200).await;
                    if verdict == "revoked" {
                        break;
                    }
                }
                _ => {}
            }
        }
    };
    let (found, ()) = tokio::join!(doctor, verifier);
    assert_eq!(found["ok"], true, "{found}");
    let verifier = &found["verifiers"][0];
    assert_eq!((&verifier["before"], &verifier["after"]), (&json!("active"), &json!("revoked")));
    assert!(verifier["applied_ms"].is_u64());
    assert!(found["cannot_see"].as_array().unwrap().len() >= 3);
}

#[tokio::test]
async fn a_doctor_without_verifiers_says_that_it_saw_nothing() {
    let authority = in_memory(|_| {}).await;
    let found = authority.post("/v1/doctor", json!({"wait": "1s"}), 200).await;
    assert_eq!((&found["ok"], &found["verifiers"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn streams_beyond_the_bound_are_turned_away_with_a_time() {
    let authority = in_memory(|config| config.feed.streams = 1).await;
    let follower = Follower::of(&authority).await;
    let _first = Events::open(&authority, follower.at(), follower.chain()).await;
    let path = format!("/v1/feed/stream?after={}", follower.at());
    let response = authority.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn a_removed_client_hears_nothing_more_over_what_it_had_open() {
    for authority in both().await {
        let leaked = authority.client("leaked", &["annul.follow"]).await;
        let follower = Follower::of(&authority).await;
        let mut events = Events::open_as(&leaked, &authority, follower.at(), follower.chain()).await;
        events.next_of("heartbeat").await;
        let mut others = Events::open(&authority, follower.at(), follower.chain()).await;
        let path = format!("/v1/feed/changes?after={}&wait=60", follower.at());
        let poll = authority.request_as(&leaked, Method::GET, &path);
        let waiting = expect_problem(poll, 401, "invalid_client");
        let removal = async {
            expect(authority.request(Method::DELETE, "/v1/clients/leaked"), 204).await;
            // Whoever gets the id next has not opened these.
            authority.client("leaked", &["annul.follow"]).await;
            authority.post("/v1/revocations", json!({"targets": ["subject:alice"]}), 201).await;
        };
        tokio::join!(waiting, removal);
        while let Some(event) = events.next().await {
            assert_eq!(event.event, "heartbeat", "{}", event.data);
        }
        for _ in 0..2 {
            others.next_of("frame").await;
        }
        assert_eq!(authority.get("/statusz").await["streams"], 1, "its place is free again");
    }
}

#[tokio::test]
async fn a_report_out_of_form_is_refused() {
    let authority = in_memory(|_| {}).await;
    let replica = "/v1/feed/replicas/api/api-1";
    expect_problem(authority.request(Method::POST, replica).body("{}"), 400, "request_malformed").await;
    let named = authority.request(Method::POST, "/v1/feed/replicas/api/a%20b").json(&report(Position::new(1, 1), "n"));
    expect_problem(named, 400, "request_invalid").await;
    let large = authority.request(Method::POST, replica).body("x".repeat(Report::MAX_BYTES + 1));
    expect_problem(large, 413, "body_too_large").await;
}
