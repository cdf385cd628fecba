//! The feed's shell: it connects the store to core's [`FeedLog`], holds the lock and does the waiting.
//!
//! ```text
//! store ── committed ──▶ following: lines ──▶ FeedLog (ring) ──▶ changes, streams: one cursor each
//!   ▲                                           ▲
//!   └── head, read after a report came in ──── reports ──▶ confirmations
//! ```
//!
//! Nothing is queued per follower. A stream is polled only while its socket has room, so a slow
//! reader is a cursor that lags behind and costs nobody else anything (I19).

mod connection;
mod following;
mod refusal;
mod registry;
mod reports;
mod snapshots;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annul_core::feed::frame::FRAME_BYTES;
use annul_core::feed::head::FeedSigner;
use annul_core::feed::log::{Ask, CanaryHeard, Changes, FeedLog, FeedLogConfig, LogPoint, StoredLine};
use annul_core::feed::report::{Introduction, ReplicaState};
use annul_core::position::Position;
use annul_core::record::Chain;
use bytes::Bytes;
use futures::stream::{self, Stream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::admission::Admission;
use crate::authority::Authority;
use crate::clock::Clock;
use crate::config::FeedConfig;
use crate::metrics::Metrics;
use crate::store::{LogState, Store};

use connection::Connection;
use following::ring_start;
pub use refusal::{FeedRefusal, FeedStartError};
use registry::Registry;
use snapshots::BuiltSnapshot;

/// How the feed is served.
#[derive(Clone, Debug)]
pub struct FeedOptions {
    /// How often a quiet stream shows that it is alive.
    pub heartbeat: Duration,
    /// Records held in memory.
    pub ring: usize,
    /// Streams open at once.
    pub streams: usize,
    /// Snapshots in flight at once.
    pub snapshots: usize,
}

impl FeedOptions {
    /// What the configuration says.
    #[must_use]
    pub const fn of(config: &FeedConfig) -> Self {
        Self {
            heartbeat: config.heartbeat.0,
            ring: config.ring as usize,
            streams: config.streams as usize,
            snapshots: config.snapshots as usize,
        }
    }
}

/// The feed of one authority. Clones are the same feed.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    log: Mutex<FeedLog>,
    registry: Registry,
    store: Arc<dyn Store>,
    signer: Arc<FeedSigner>,
    clock: Clock,
    issuer: String,
    options: FeedOptions,
    /// Bumped when there are records or canaries that were not there before.
    news: watch::Sender<u64>,
    /// Bumped with every report.
    reports: watch::Sender<u64>,
    streams: Arc<Semaphore>,
    snapshots: Arc<Semaphore>,
    /// The last snapshot built; whoever holds the lock is building the next.
    snapshot: tokio::sync::Mutex<Option<BuiltSnapshot>>,
    follows: AtomicBool,
    closed: AtomicBool,
    refusals: AtomicUsize,
}

/// Where a follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerAt {
    /// The position of the last record it has; the place before the first one when left out.
    pub after: Option<Position>,
    /// The chain there.
    pub chain: Option<Chain>,
}

/// How soon the store is asked again after it failed, or had not yet what a stream was at.
const RETRY: Duration = Duration::from_millis(250);
/// How long a request may wait for the ring to reach what the store has.
const RING_LAG: Duration = Duration::from_secs(2);
/// The most seconds by which a refused follower is told to wait.
const BUSY_SPREAD: usize = 5;

impl Feed {
    /// The feed with its ring filled from the store, and the future that keeps it following.
    pub async fn start(
        authority: &Authority,
        options: FeedOptions,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), FeedStartError> {
        let store = Arc::clone(authority.store());
        let commits = store.committed();
        let log = store.log().await?;
        let config = FeedLogConfig {
            ring_records: options.ring.max(1),
            heartbeat: options.heartbeat,
            ..FeedLogConfig::new(log.log.clone())
        };
        let point = ring_start(store.as_ref(), &log, options.ring).await?;
        let signer = Arc::clone(authority.feed_signer());
        let mut machine = FeedLog::of_authority(config, Arc::clone(&signer), point);
        let recalled = store.replicas().await?;
        recalled.iter().for_each(|status| machine.recall(status, authority.clock().moment()));
        let feed = Self(Arc::new(Inner {
            log: Mutex::new(machine),
            registry: Registry::new(&recalled),
            store,
            signer,
            clock: authority.clock().clone(),
            issuer: authority.issuer().to_owned(),
            news: watch::Sender::new(0),
            reports: watch::Sender::new(0),
            streams: Arc::new(Semaphore::new(options.streams)),
            snapshots: Arc::new(Semaphore::new(options.snapshots)),
            options,
            snapshot: tokio::sync::Mutex::new(None),
            follows: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            refusals: AtomicUsize::new(0),
        }));
        let told = commits.borrow().clone();
        feed.catch_up(&told).await?;
        let follow = feed.clone().follow(commits);
        Ok((feed, follow))
    }

    /// Whether the feed keeps up with the store.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.0.follows.load(Ordering::Relaxed)
    }

    /// Ends the streams and the waits, so that their connections can be drained.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        bump(&self.0.news);
        bump(&self.0.reports);
    }

    /// The introduction's JSON: signed head, feed key and the key that hashes targets.
    pub async fn introduction(&self, nonce: Option<String>) -> Result<Vec<u8>, FeedRefusal> {
        let state = self.0.store.log().await?;
        let head = self.log().head(&point_of(&state), nonce, self.0.clock.moment());
        let introduction = Introduction {
            head: head.expect("an authority signs its heads"),
            feed_key: self.0.signer.key().clone(),
            hash_key: state.hash_key,
            issuer: self.0.issuer.clone(),
            hops: 0,
        };
        Ok(introduction.to_json())
    }

    /// A frame with what follows; an empty one when nothing came within `wait`.
    pub async fn changes(&self, from: FollowerAt, limit: usize, wait: Duration) -> Result<Vec<u8>, FeedRefusal> {
        let ask = Ask { after: from.after.unwrap_or(BEGINNING), chain: from.chain, limit };
        let deadline = Instant::now() + wait;
        let mut lag_ends = None;
        let mut news = self.0.news.subscribe();
        loop {
            news.borrow_and_update();
            let changes = self.log().changes(&ask, self.0.clock.moment());
            let until = match changes {
                Changes::Frame(frame) => return Ok(frame),
                Changes::Gone | Changes::NotYet => return Err(FeedRefusal::Compacted),
                Changes::Diverged => return Err(FeedRefusal::Diverged),
                Changes::NeedStore(ask) => {
                    let lines = self.stored(&ask).await?;
                    if let Some(frame) = self.log().store_frame(&lines, self.0.clock.moment()) {
                        return Ok(frame);
                    }
                    deadline
                }
                Changes::Ahead => {
                    let head = self.0.store.log().await?.head.at;
                    let ends = *lag_ends.get_or_insert_with(|| Instant::now() + RING_LAG);
                    if head < ask.after || Instant::now() >= ends {
                        return Err(FeedRefusal::Ahead { head });
                    }
                    ends
                }
                Changes::Wait { empty } if Instant::now() >= deadline || self.is_closed() => return Ok(empty),
                Changes::Wait { .. } => deadline,
            };
            // Either way the question is asked again; an elapsed wait is seen there.
            let _ = tokio::time::timeout_at(until, news.changed()).await;
        }
    }

    /// The events of one stream, until the follower or the server leaves, or the follower's client is
    /// removed: nothing that was committed after that is on it. It ends with the record of the removal,
    /// which it does not carry any more.
    pub async fn stream(
        &self,
        from: FollowerAt,
        admission: Admission,
    ) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<>, FeedRefusal> {
        let slot = Arc::clone(&self.0.streams).try_acquire_owned().map_err(|_| self.busy())?;
        // Refuses by status while there still is one; later the stream says it by an event.
        self.changes(from, 1, Duration::ZERO).await?;
        let cursor = self.log().open_stream(from.after.unwrap_or(BEGINNING), from.chain);
        let connection = Connection {
            news: self.0.news.subscribe(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
            feed: self.clone(),
            cursor,
            admission,
            is_over: false,
            _slot: slot,
        };
        Ok(stream::unfold(connection, |mut connection| async move {
            let bytes = connection.next().await?;
            Some((Ok(bytes), connection))
        }))
    }

    /// Puts a canary on every stream.
    pub fn canary(&self, id: &str, token: &str) {
        self.log().canary(id, token);
        bump(&self.0.news);
    }

    /// What replicas said of a canary.
    #[must_use]
    pub fn canary_verdicts(&self, id: &str) -> Vec<CanaryHeard> {
        self.log().canary_verdicts(id)
    }

    /// Open streams.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.0.options.streams.saturating_sub(self.0.streams.available_permits())
    }

    /// Sets the gauges of the feed as they are now.
    #[expect(clippy::cast_precision_loss, reason = "counts and sequences stay below 2^53")]
    pub fn measure(&self, metrics: &Metrics) {
        let head = self.log().point().at;
        let replicas = self.replicas();
        metrics.set("annul_feed_head_sequence", &[], head.seq as f64);
        metrics.set("annul_feed_head_epoch", &[], f64::from(head.epoch));
        metrics.set("annul_feed_streams", &[], self.open_streams() as f64);
        for state in [ReplicaState::Cold, ReplicaState::Live, ReplicaState::Stale, ReplicaState::Halted] {
            let count = replicas.iter().filter(|replica| replica.state == state).count();
            metrics.set("annul_feed_replicas", &[("state", state.name())], count as f64);
        }
        let behind = replicas.iter().filter(|replica| replica.position.is_none_or(|position| position < head)).count();
        metrics.set("annul_feed_replicas_behind", &[], behind as f64);
    }

    async fn stored(&self, ask: &Ask) -> Result<Vec<StoredLine>, FeedRefusal> {
        let read = self.0.store.lines_after(ask.after, ask.limit).await?;
        let base = read.base.ok_or(FeedRefusal::Compacted)?;
        if ask.chain.is_some_and(|chain| chain != base) {
            return Err(FeedRefusal::Diverged);
        }
        let mut bytes = 0;
        let fits = read.lines.into_iter().enumerate().take_while(|(index, line)| {
            bytes += line.line.len();
            *index == 0 || bytes <= FRAME_BYTES
        });
        Ok(fits.map(|(_, line)| StoredLine { at: line.at, chain: line.chain, line: line.line }).collect())
    }

    fn log(&self) -> MutexGuard<'_, FeedLog> {
        // The machine is whole after each of its methods, so a panic elsewhere cannot have broken it.
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// A refusal with a time of its own, so that a crowd that was turned away comes back spread out.
    fn busy(&self) -> FeedRefusal {
        let turn = self.0.refusals.fetch_add(1, Ordering::Relaxed) % BUSY_SPREAD;
        FeedRefusal::Busy { retry_after: 1 + turn as u64 }
    }
}

/// The place before the first record of the first epoch.
const BEGINNING: Position = Position::new(1, 0);

fn point_of(state: &LogState) -> LogPoint {
    LogPoint {
        at: state.head.at,
        chain: state.head.chain,
        revision: state.settings.revision,
        hash_key: state.settings.hash_key.clone(),
    }
}

fn bump(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}
