//! A stub authority: core's own log behind axum, and tokens signed by a key of its own.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use annul::feed::head::FeedSigner;
use annul::feed::log::{Ask, Changes, FeedLog, FeedLogConfig, LogPoint, ReplicaId, StreamStep};
use annul::feed::report::{Introduction, Report};
use annul::feed::snapshot::Snapshot;
use annul::policy::{Decision, Denial};
use annul::position::Position;
use annul::record::{Chain, Entry, Record, RecordBody};
use annul::settings::{ClaimNames, IssuerRecord, Settings};
use annul::target::{HashKey, Target, TargetKind};
use annul::time::{Moment, Monotonic, UnixSeconds};
use annul::view::{View, ViewWriter};
use annul::{Key, Verifier, VerifierBuilder};
use annul_core::algebra::{Cutoff, CutoffFields, Until};
use annul_core::time::UnixMillis;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

pub(crate) const ISSUER: &str = "https://auth.example";
pub(crate) const AUDIENCE: &str = "shop";
pub(crate) const STALENESS: Duration = Duration::from_secs(60);
/// How old a view may be where it is to become too old. On a busy machine much less would be so at once.
pub(crate) const SHORT: Duration = Duration::from_secs(3);
const LOG: &str = "stub-log";
const HASH_KEY: [u8; 32] = [7; 32];
const FEED_SEED: [u8; 32] = [9; 32];
const MAX_LEEWAY: u64 = 30;
/// How long a test waits for something that must come.
const BOUND: Duration = Duration::from_secs(60);

/// The stub, serving until the test's runtime ends.
#[derive(Clone)]
pub(crate) struct Stub {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    feed: Mutex<Feed>,
    changed: watch::Sender<()>,
    down: AtomicBool,
    feed_cut: AtomicBool,
    refuse_with: AtomicU16,
    asks: AtomicUsize,
    /// Whether each question wanted a re-stamped token.
    questions: Mutex<Vec<Value>>,
    /// What `/v1/tokens/check` answers, and how many answers may go out.
    answer: Mutex<Value>,
    answers: Semaphore,
    idempotency: Mutex<Vec<String>>,
    failures: AtomicUsize,
    started: Instant,
}

struct Feed {
    log: FeedLog,
    chain: Chain,
    writer: ViewWriter,
    signing: Ed25519KeyPair,
    kid: &'static str,
}

/// The claims of a token to be signed.
pub(crate) struct Token<'a> {
    pub(crate) subject: &'a str,
    pub(crate) jti: &'a str,
    pub(crate) life: u64,
    pub(crate) audience: &'a str,
    /// What it is bound to, `null` for nothing.
    pub(crate) cnf: Value,
}

impl Default for Token<'_> {
    fn default() -> Self {
        Self { subject: "alice", jti: "t1", life: 300, audience: AUDIENCE, cnf: Value::Null }
    }
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let (_, writer) = View::new();
        let signing = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let point = LogPoint {
            at: Position::new(1, 0),
            chain: Chain::genesis(LOG),
            revision: 1,
            hash_key: HashKey::from_bytes(HASH_KEY).id(),
        };
        let log = FeedLog::of_authority(FeedLogConfig::new(LOG), signer(), point);
        let feed = Feed { log, chain: Chain::genesis(LOG), writer, signing, kid: "k1" };
        let shared = Arc::new(Shared {
            feed: Mutex::new(feed),
            changed: watch::channel(()).0,
            down: AtomicBool::new(false),
            feed_cut: AtomicBool::new(false),
            refuse_with: AtomicU16::new(0),
            asks: AtomicUsize::new(0),
            questions: Mutex::default(),
            answer: Mutex::new(json!({"verdict": "active"})),
            answers: Semaphore::new(1_000_000),
            idempotency: Mutex::default(),
            failures: AtomicUsize::new(0),
            started: Instant::now(),
        });
        let app = axum::Router::new()
            .route("/v1/feed/head", get(head))
            .route("/v1/feed/snapshot", get(snapshot))
            .route("/v1/feed/changes", get(changes))
            .route("/v1/feed/stream", get(stream))
            .route("/v1/feed/replicas/{name}/{instance}", post(report))
            .route("/v1/tokens/check", post(check))
            .route("/v1/revocations", post(revoke))
            .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), gate))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let stub = Self { url, shared };
        stub.commit(|_| RecordBody::Settings(settings()));
        stub.publish_key("k1", [1; 32]);
        stub
    }

    /// A builder with everything a verifier needs.
    pub(crate) fn builder(&self) -> VerifierBuilder {
        Verifier::builder(ISSUER, AUDIENCE)
            .authority(&self.url, "follower", "secret")
            .max_staleness(STALENESS)
            .name("shop")
            .instance("one")
    }

    pub(crate) async fn verifier(&self) -> Verifier {
        let verifier = self.builder().build().await.unwrap();
        within(verifier.ready()).await;
        verifier
    }

    /// Signs a token with the present key, at the present head.
    pub(crate) fn token(&self, token: &Token<'_>) -> String {
        let kid = self.shared.feed.lock().unwrap().kid;
        let signed = self.unsigned(token, &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}));
        let signature = self.shared.feed.lock().unwrap().signing.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// A token that only an authority could verify: signed with a secret that nobody else has.
    pub(crate) fn secret_token(&self, token: &Token<'_>) -> String {
        let signed = self.unsigned(token, &json!({"alg": "HS256", "typ": "at+jwt"}));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([1; 32]))
    }

    fn unsigned(&self, token: &Token<'_>, header: &Value) -> String {
        let feed = self.shared.feed.lock().unwrap();
        let now = unix();
        let mut claims = json!({
            "iss": ISSUER, "aud": token.audience, "sub": token.subject, "jti": token.jti, "client_id": "web",
            "sid": format!("s-{}", token.subject), "grp": 1, "iat": now, "auth_time": now, "exp": now + token.life,
            "lpos": feed.log.point().at.to_string(),
        });
        if !token.cnf.is_null() {
            claims["cnf"] = token.cnf.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap());
        format!("{}.{}", part(header), part(&claims))
    }

    /// Appends `subject:… now`.
    pub(crate) fn revoke_subject(&self, subject: &str) -> Position {
        self.revoke(TargetKind::Subject, subject, Cutoff::Now)
    }

    pub(crate) fn revoke(&self, kind: TargetKind, name: &str, cutoff: Cutoff) -> Position {
        self.revoke_target(&Target::one(ISSUER, kind, name).unwrap(), cutoff)
    }

    /// Appends an entry on the group that every token here names.
    pub(crate) fn revoke_group(&self) -> Position {
        self.revoke_target(&Target::two(ISSUER, TargetKind::Claim, "grp", "1").unwrap(), Cutoff::Now)
    }

    fn revoke_target(&self, target: &Target, cutoff: Cutoff) -> Position {
        let (kind, target) = (target.kind(), target.hash(&HashKey::from_bytes(HASH_KEY)));
        let until = Until::At(UnixSeconds(unix() + 3600));
        let fields = CutoffFields::of(cutoff, false, UnixMillis(unix() * 1000));
        self.commit(|_| RecordBody::Revoke(Entry { target, kind, fields, until }))
    }

    /// The issuer's record with this one key, which signs from here on.
    pub(crate) fn publish_key(&self, kid: &'static str, seed: [u8; 32]) {
        let signing = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public: [u8; 32] = signing.public_key().as_ref().try_into().unwrap();
        let jwk = Key::ed25519(Some(kid), &public).unwrap().public_jwk().unwrap();
        self.commit(|_| RecordBody::Issuer(issuer_record(vec![jwk])));
        let mut feed = self.shared.feed.lock().unwrap();
        (feed.signing, feed.kid) = (signing, kid);
    }

    pub(crate) fn commit(&self, body: impl FnOnce(Position) -> RecordBody) -> Position {
        let mut feed = self.shared.feed.lock().unwrap();
        let at = feed.log.point().at.next();
        let record = Record { at, body: body(at) };
        let line = record.to_line();
        feed.chain = feed.chain.extend(&line);
        feed.writer.apply(&[record]).unwrap();
        feed.log.committed([line]).unwrap();
        drop(feed);
        self.shared.changed.send_replace(());
        at
    }

    /// Sends a canary down every stream.
    pub(crate) fn canary(&self, id: &str, token: &str) {
        self.shared.feed.lock().unwrap().log.canary(id, token);
        self.shared.changed.send_replace(());
    }

    pub(crate) fn feed<T>(&self, read: impl FnOnce(&FeedLog) -> T) -> T {
        read(&self.shared.feed.lock().unwrap().log)
    }

    /// Whether every request is answered 503 and every stream cut.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
        self.shared.changed.send_replace(());
    }

    /// From here on the feed is gone, and only it.
    pub(crate) fn cut_feed(&self) {
        self.shared.feed_cut.store(true, Ordering::SeqCst);
        self.shared.changed.send_replace(());
    }

    pub(crate) fn refuse_with(&self, status: u16) {
        self.shared.refuse_with.store(status, Ordering::SeqCst);
    }

    pub(crate) fn answer_asks(&self, answer: Value) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    /// Holds answers to asks back until they are let go.
    pub(crate) fn hold_asks(&self) {
        self.shared.answers.forget_permits(1_000_000);
    }

    pub(crate) fn let_asks_go(&self, count: usize) {
        self.shared.answers.add_permits(count);
    }

    pub(crate) fn asks(&self) -> usize {
        self.shared.asks.load(Ordering::SeqCst)
    }

    pub(crate) fn questions(&self) -> Vec<Value> {
        self.shared.questions.lock().unwrap().clone()
    }

    pub(crate) fn fail_next(&self, count: usize) {
        self.shared.failures.store(count, Ordering::SeqCst);
    }

    pub(crate) fn idempotency_keys(&self) -> Vec<String> {
        self.shared.idempotency.lock().unwrap().clone()
    }

    pub(crate) fn feed_key(&self) -> String {
        signer().key().fingerprint().to_owned()
    }
}

pub(crate) fn signer() -> FeedSigner {
    FeedSigner::from_seed(&FEED_SEED).unwrap()
}

fn settings() -> Settings {
    Settings {
        revision: 1,
        issuer: ISSUER.to_owned(),
        longest_life: 3600,
        max_leeway: MAX_LEEWAY,
        clock_skew: 5,
        claims: vec!["grp".to_owned()],
        ask_on: vec!["grp".to_owned()],
        hash_key: HashKey::from_bytes(HASH_KEY).id(),
    }
}

fn issuer_record(keys: Vec<Value>) -> IssuerRecord {
    IssuerRecord {
        issuer: ISSUER.to_owned(),
        keys,
        longest_life: 3600,
        skew: 0,
        requires_jti: true,
        claims: ClaimNames::default(),
        keys_due: None,
        removed: false,
    }
}

pub(crate) fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Shared {
    fn now(&self) -> Moment {
        Moment { wall: UnixSeconds(unix()), mono: Monotonic(self.started.elapsed()) }
    }
}

type Stubbed = State<Arc<Shared>>;

async fn gate(shared: Stubbed, request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    let refused = shared.refuse_with.load(Ordering::SeqCst);
    if shared.down.load(Ordering::SeqCst) {
        let asked = request.uri().path() == "/v1/tokens/check";
        shared.asks.fetch_add(usize::from(asked), Ordering::SeqCst);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if shared.feed_cut.load(Ordering::SeqCst) && request.uri().path().starts_with("/v1/feed/") {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if refused != 0 {
        return StatusCode::from_u16(refused).unwrap().into_response();
    }
    next.run(request).await
}

#[derive(serde::Deserialize)]
struct After {
    after: Option<Position>,
    chain: Option<Chain>,
    nonce: Option<String>,
    wait: Option<u64>,
}

async fn head(shared: Stubbed, Query(query): Query<After>) -> Vec<u8> {
    let feed = shared.feed.lock().unwrap();
    let head = feed.log.head(feed.log.point(), query.nonce, shared.now()).unwrap();
    let (feed_key, hash_key) = (feed.log.feed_key().clone(), HashKey::from_bytes(HASH_KEY));
    Introduction { head, feed_key, hash_key, issuer: ISSUER.to_owned(), hops: 0 }.to_json()
}

async fn snapshot(shared: Stubbed) -> Vec<u8> {
    let feed = shared.feed.lock().unwrap();
    let contents = feed.writer.contents().unwrap();
    Snapshot {
        log: LOG.to_owned(),
        at: contents.position,
        chain: feed.chain,
        epochs: Vec::new(),
        settings: contents.settings,
        issuers: contents.issuers,
        cells: contents.cells,
    }
    .to_bytes(&signer())
}

async fn changes(shared: Stubbed, Query(query): Query<After>) -> Response {
    let Some(after) = query.after else { return StatusCode::BAD_REQUEST.into_response() };
    let ask = Ask { after, chain: query.chain, limit: 1000 };
    let mut changed = shared.changed.subscribe();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(query.wait.unwrap_or_default());
    loop {
        let answer = shared.feed.lock().unwrap().log.changes(&ask, shared.now());
        let empty = match answer {
            Changes::Frame(frame) => return frame.into_response(),
            Changes::Wait { empty } => empty,
            Changes::NotYet => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Changes::Gone | Changes::NeedStore(_) => return StatusCode::GONE.into_response(),
            Changes::Diverged => return StatusCode::CONFLICT.into_response(),
            Changes::Ahead => return StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
        };
        if !matches!(tokio::time::timeout_at(deadline, changed.changed()).await, Ok(Ok(()))) {
            return empty.into_response();
        }
    }
}

async fn stream(State(shared): Stubbed, Query(query): Query<After>) -> Response {
    let Some(after) = query.after else { return StatusCode::BAD_REQUEST.into_response() };
    let cursor = shared.feed.lock().unwrap().log.open_stream(after, query.chain);
    let changed = shared.changed.subscribe();
    let events = futures::stream::unfold((shared, cursor, changed), |(shared, mut cursor, mut changed)| async {
        loop {
            changed.borrow_and_update();
            if shared.down.load(Ordering::SeqCst) || shared.feed_cut.load(Ordering::SeqCst) {
                return None;
            }
            let now = shared.now();
            let step = shared.feed.lock().unwrap().log.stream(&mut cursor, now);
            match step {
                StreamStep::Send(bytes) => {
                    return Some((Ok::<_, std::io::Error>(Bytes::from_owner(bytes)), (shared, cursor, changed)));
                }
                StreamStep::Wait { until } => {
                    let _ = tokio::time::timeout(until.since(now.mono), changed.changed()).await;
                }
                StreamStep::NeedStore(_) | StreamStep::End(_) => return None,
            }
        }
    });
    Body::from_stream(events).into_response()
}

async fn report(shared: Stubbed, Path((name, instance)): Path<(String, String)>, body: Bytes) -> Response {
    let report = Report::from_json(&body).unwrap();
    let nonce = report.nonce.clone();
    let mut feed = shared.feed.lock().unwrap();
    let id = ReplicaId::new(&name, &instance).unwrap();
    feed.log.report(id, report, shared.now()).unwrap();
    let point = feed.log.point().clone();
    feed.log.answer(&point, &nonce, shared.now()).unwrap().to_json().into_response()
}

async fn check(shared: Stubbed, question: axum::Json<Value>) -> Response {
    shared.asks.fetch_add(1, Ordering::SeqCst);
    shared.questions.lock().unwrap().push(question["restamp"].clone());
    shared.answers.acquire().await.unwrap().forget();
    let answer = shared.answer.lock().unwrap().clone();
    axum::Json(answer).into_response()
}

async fn revoke(shared: Stubbed, headers: HeaderMap) -> Response {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    shared.idempotency.lock().unwrap().push(key);
    let failing = shared.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    if failing {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let answer = json!({
        "revocations": [{"position": "1:9", "target": "subject:alice", "cutoff": "now", "reach": "both", "until": null}],
        "position": "1:9", "sessions": 2, "acknowledged_at": 1, "enforced_by": 2, "a_member_of_a_later_version": true,
    });
    (StatusCode::CREATED, axum::Json(answer)).into_response()
}

/// Fails the test when `future` does not end within the bound.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("what the test waits for did not come")
}

/// Waits for a state that must come; looks often and gives up at the bound.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !holds() {
        assert!(Instant::now() < deadline, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The code of a denial, `ok` for what is let in.
pub(crate) fn code(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow(_) => "ok",
        Decision::Deny(denial) => Denial::code(denial),
        Decision::Ask(_) => "ask",
    }
}
