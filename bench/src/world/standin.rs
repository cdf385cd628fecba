//! An authority's feed without an authority: a log at one position, with as many revocations as a
//! subject needs, served in the feed's own formats. The authority itself would have to commit each
//! of a million of them first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annul::Verifier;
use annul_core::feed::head::FeedSigner;
use annul_core::feed::log::{Ask, Changes, FeedLog, FeedLogConfig, LogPoint, ReplicaId, StreamStep};
use annul_core::feed::report::{Introduction, Report};
use annul_core::feed::snapshot::Snapshot;
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell};
use annul_core::settings::{ClaimNames, IssuerRecord, Settings};
use annul_core::target::HashKey;
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use anyhow::{Context as _, Result, anyhow, bail};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::tokens::LONGEST_LIFE;
use super::{AUDIENCE, HMAC_ISSUER, ISSUER, keys, unix};

/// The id of the log.
pub const LOG: &str = "bench-log";
const HASH_KEY: [u8; 32] = [7; 32];
/// What its feed key is made of.
pub const FEED_SEED: [u8; 32] = [9; 32];
/// Longer than any wait of a follower.
const MAX_STALENESS: Duration = Duration::from_secs(60);
/// How long a verifier may take until it holds ten million entries and has proven its age.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// A served log. It ends with its handle.
pub struct Standin {
    url: String,
    served: Arc<Served>,
    snapshot_bytes: usize,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Served {
    log: Mutex<FeedLog>,
    snapshot: Bytes,
    snapshots: AtomicUsize,
    started: Instant,
}

/// The hash key of the log.
#[must_use]
pub fn hash_key() -> HashKey {
    HashKey::from_bytes(HASH_KEY)
}

/// The settings of the log: no claims besides the registered names are targets.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        revision: 1,
        issuer: ISSUER.to_owned(),
        longest_life: LONGEST_LIFE,
        max_leeway: 60,
        clock_skew: 5,
        claims: Vec::new(),
        ask_on: Vec::new(),
        hash_key: hash_key().id(),
    }
}

/// Our own issuer with these keys, and the one that signs by HMAC.
#[must_use]
pub fn issuers(keys: Vec<Value>) -> Vec<IssuerRecord> {
    let issuer = |name: &str, keys| IssuerRecord {
        issuer: name.to_owned(),
        keys,
        longest_life: LONGEST_LIFE,
        skew: 0,
        requires_jti: true,
        claims: ClaimNames::default(),
        keys_due: None,
        removed: false,
    };
    vec![issuer(ISSUER, keys), issuer(HMAC_ISSUER, Vec::new())]
}

impl Standin {
    /// Serves a log that holds these cells and publishes these keys.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(keys: Vec<Value>, cells: Vec<HashedCell>) -> Result<Self> {
        let signer = || FeedSigner::from_seed(&FEED_SEED).map_err(|error| anyhow!("{error}"));
        let at = Position::new(1, cells.len() as u64 + 1);
        let chain = Chain::genesis(LOG);
        let snapshot = Snapshot {
            log: LOG.to_owned(),
            at,
            chain,
            epochs: Vec::new(),
            settings: settings(),
            issuers: issuers(keys),
            cells: PackedCells::of(at, cells),
        };
        let bytes = Bytes::from(snapshot.to_bytes(&signer()?));
        drop(snapshot);
        let point = LogPoint { at, chain, revision: 1, hash_key: hash_key().id() };
        let log = FeedLog::of_authority(FeedLogConfig::new(LOG), signer()?, point);
        let snapshot_bytes = bytes.len();
        let served = Arc::new(Served {
            log: Mutex::new(log),
            snapshot: bytes,
            snapshots: AtomicUsize::new(0),
            started: Instant::now(),
        });

        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a free port")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("standin".to_owned()).spawn({
            let served = Arc::clone(&served);
            move || serve(listener, served, stopped)
        })?;
        Ok(Self { url, served, snapshot_bytes, stop: Some(stop), thread: Some(thread) })
    }

    /// How many bytes its snapshot has on the wire.
    #[must_use]
    pub const fn snapshot_bytes(&self) -> usize {
        self.snapshot_bytes
    }

    /// How many snapshots were asked for.
    #[must_use]
    pub fn snapshots_served(&self) -> usize {
        self.served.snapshots.load(Ordering::Relaxed)
    }

    /// A builder of verifiers that follow it and know the secret of the HMAC issuer.
    ///
    /// # Errors
    /// When annul does not take the secret.
    pub fn builder(&self) -> Result<annul::VerifierBuilder> {
        let hmac = annul_core::Expect::foreign(HMAC_ISSUER, AUDIENCE).with_algorithms([annul_core::Algorithm::Hs256]);
        Ok(Verifier::builder(ISSUER, AUDIENCE)
            .authority(&self.url, "follower", "secret")
            .max_staleness(MAX_STALENESS)
            .foreign(hmac)
            .secret(HMAC_ISSUER, keys::verifiers_secret()?))
    }

    /// A verifier on `runtime` that holds everything and has proven its age.
    ///
    /// # Errors
    /// When it does not get there in time, with what it says of itself.
    pub fn verifier(&self, runtime: &Runtime, cache_bytes: u64) -> Result<Verifier> {
        let builder = self.builder()?.cache_bytes(cache_bytes);
        runtime.block_on(ready(builder))
    }
}

/// Builds a verifier and waits until it is ready.
///
/// # Errors
/// When it does not get there in time, with what it says of itself.
pub async fn ready(builder: annul::VerifierBuilder) -> Result<Verifier> {
    let verifier = builder.build().await.map_err(|error| anyhow!("{error}"))?;
    if tokio::time::timeout(READY_WITHIN, verifier.ready()).await.is_err() {
        bail!("the verifier is not ready: {}", serde_json::to_string(&verifier.status())?);
    }
    Ok(verifier)
}

/// A runtime whose one worker keeps verifiers fed.
///
/// # Errors
/// When no thread can be started.
pub fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: std::net::TcpListener, served: Arc<Served>, stopped: oneshot::Receiver<()>) {
    let app = axum::Router::new()
        .route("/v1/feed/head", get(head))
        .route("/v1/feed/snapshot", get(snapshot))
        .route("/v1/feed/changes", get(changes))
        .route("/v1/feed/stream", get(stream))
        .route("/v1/feed/replicas/{name}/{instance}", post(report))
        .with_state(served);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let serving = axum::serve(listener, app).into_future();
        // Ends at once, open streams and all: the handle was dropped.
        tokio::select! { _ = serving => {}, _ = stopped => {} }
    });
}

impl Served {
    fn now(&self) -> Moment {
        Moment { wall: UnixSeconds(unix()), mono: Monotonic(self.started.elapsed()) }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, FeedLog> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

type Log = State<Arc<Served>>;

#[derive(serde::Deserialize)]
struct After {
    after: Option<Position>,
    chain: Option<Chain>,
    nonce: Option<String>,
    wait: Option<u64>,
}

async fn head(served: Log, Query(query): Query<After>) -> Response {
    let log = served.log();
    let Some(head) = log.head(log.point(), query.nonce, served.now()) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let feed_key = log.feed_key().clone();
    let introduction = Introduction { head, feed_key, hash_key: hash_key(), issuer: ISSUER.to_owned(), hops: 0 };
    introduction.to_json().into_response()
}

async fn snapshot(served: Log) -> Bytes {
    served.snapshots.fetch_add(1, Ordering::Relaxed);
    served.snapshot.clone()
}

async fn changes(served: Log, Query(query): Query<After>) -> Response {
    let Some(after) = query.after else { return StatusCode::BAD_REQUEST.into_response() };
    let ask = Ask { after, chain: query.chain, limit: 1000 };
    let answer = served.log().changes(&ask, served.now());
    match answer {
        Changes::Frame(frame) => frame.into_response(),
        Changes::Wait { empty } => {
            // Nothing is ever committed here.
            tokio::time::sleep(Duration::from_secs(query.wait.unwrap_or_default())).await;
            empty.into_response()
        }
        Changes::NotYet => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Changes::Gone | Changes::NeedStore(_) => StatusCode::GONE.into_response(),
        Changes::Diverged => StatusCode::CONFLICT.into_response(),
        Changes::Ahead => StatusCode::RANGE_NOT_SATISFIABLE.into_response(),
    }
}

async fn stream(State(served): Log, Query(query): Query<After>) -> Response {
    let Some(after) = query.after else { return StatusCode::BAD_REQUEST.into_response() };
    let cursor = served.log().open_stream(after, query.chain);
    let events = futures::stream::unfold((served, cursor), |(served, mut cursor)| async {
        loop {
            let now = served.now();
            let step = served.log().stream(&mut cursor, now);
            match step {
                StreamStep::Send(bytes) => {
                    return Some((Ok::<_, std::io::Error>(Bytes::from_owner(bytes)), (served, cursor)));
                }
                StreamStep::Wait { until } => tokio::time::sleep(until.since(now.mono)).await,
                StreamStep::NeedStore(_) | StreamStep::End(_) => return None,
            }
        }
    });
    Body::from_stream(events).into_response()
}

async fn report(served: Log, Path((name, instance)): Path<(String, String)>, body: Bytes) -> Response {
    let (Ok(report), Some(id)) = (Report::from_json(&body), ReplicaId::new(&name, &instance)) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let nonce = report.nonce.clone();
    let mut log = served.log();
    let point = log.point().clone();
    let taken = log.report(id, report, served.now()).ok();
    match taken.and_then(|()| log.answer(&point, &nonce, served.now())) {
        Some(answer) => answer.to_json().into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
