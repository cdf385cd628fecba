//! A log as it is served: by the authority from its store, by a relay from what it verified.
//!
//! ```text
//! committed lines ─▶ ring ─▶ changes   one frame, or wait, or what the follower must do instead
//!                        └─▶ stream    the same frames, heartbeats and canaries, a cursor each
//! reports ─▶ replicas ─▶ confirmation  who has applied what, and by when it is enforced
//! ```
//!
//! Every method is pure and answers one question; the shell holds the lock, waits and writes. What
//! the ring no longer holds the shell reads from its store ([`Changes::NeedStore`]).

mod replicas;
mod ring;
mod stream;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::feed::FeedError;
use crate::feed::frame::{FRAME_BYTES, FRAME_RECORDS, VerifiedFrame, frame_bytes};
use crate::feed::head::{FeedKey, FeedSigner, Head, SignedHead};
use crate::feed::report::{Report, ReportAnswer};
use crate::position::Position;
use crate::record::{Chain, Record, RecordBody};
use crate::time::{Moment, Monotonic, UnixMillis};

pub use replicas::{
    Acknowledged, CanaryHeard, Confirmation, ConfirmedReplica, ReplicaId, ReplicaStatus, ReportRefused, UncoveredRoutes,
};
pub use stream::{StreamCursor, StreamStep};

use replicas::Replicas;
use ring::{Place, Ring, Run};
use stream::{Canary, LastEvent};

/// The bounds of a served log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedLogConfig {
    /// The log's id.
    pub log: String,
    /// Records the ring holds at most.
    pub ring_records: usize,
    /// Bytes of lines the ring holds at most.
    pub ring_bytes: usize,
    /// How often a quiet stream shows that it is alive.
    pub heartbeat: Duration,
    /// Replicas the registry counts at most.
    pub replicas: usize,
}

impl FeedLogConfig {
    /// The bounds for the log with this id: a ring that carries a follower over several minutes of
    /// a busy log, and a registry for ten thousand verifiers.
    #[must_use]
    pub fn new(log: impl Into<String>) -> Self {
        Self {
            log: log.into(),
            ring_records: 65_536,
            ring_bytes: 64 << 20,
            heartbeat: Duration::from_secs(1),
            replicas: 10_000,
        }
    }
}

/// A place in the log and what holds there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPoint {
    /// The position of the last record.
    pub at: Position,
    /// The chain there.
    pub chain: Chain,
    /// The revision of the settings in force.
    pub revision: u32,
    /// The name of the key that hashes targets.
    pub hash_key: String,
}

/// What a follower asks of `changes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The position it has applied.
    pub after: Position,
    /// The chain it has there, to find out whether the histories agree.
    pub chain: Option<Chain>,
    /// Records it wants at most; held to 1 to [`FRAME_RECORDS`].
    pub limit: usize,
}

/// The answer to [`Ask`].
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// 200: a frame.
    Frame(Vec<u8>),
    /// Nothing new: wait for the next commit and ask again, or answer 200 with the empty frame.
    Wait {
        /// A frame without records.
        empty: Vec<u8>,
    },
    /// 503: a relay that has not heard a head yet.
    NotYet,
    /// 410: compacted; take the snapshot.
    Gone,
    /// 409: the follower's history is another one.
    Diverged,
    /// 416: the follower is ahead of this log.
    Ahead,
    /// Older than the ring: read the store after this position and answer with
    /// [`FeedLog::store_frame`]; 409 if the store has another chain there, 410 if it has none.
    NeedStore(Ask),
}

/// A line read from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Its position.
    pub at: Position,
    /// The chain after it.
    pub chain: Chain,
    /// Its bytes, without a newline.
    pub line: String,
}

/// A log that is being served.
pub struct FeedLog {
    config: FeedLogConfig,
    heads: Heads,
    point: LogPoint,
    ring: Ring,
    replicas: Replicas,
    canaries: VecDeque<Canary>,
    last_event: LastEvent,
}

/// Where the signed heads come from.
enum Heads {
    /// This is the authority: any position can be signed, and a store lies behind the ring.
    Signed(Arc<FeedSigner>),
    /// This is a relay: frames end where a head came along.
    Passed(FeedKey),
}

impl FeedLog {
    /// The authority's log, its ring still empty. A fresh start should fill the ring from the store
    /// before it serves, by starting at an older point and calling [`committed`](Self::committed),
    /// so that the followers of the process before are not all sent to the store.
    #[must_use]
    pub fn of_authority(config: FeedLogConfig, signer: impl Into<Arc<FeedSigner>>, point: LogPoint) -> Self {
        Self::new(config, Heads::Signed(signer.into()), point)
    }

    /// A relay's log, beginning at a point it has verified. It has nothing to serve before the
    /// first head came along.
    #[must_use]
    pub(super) fn of_relay(config: FeedLogConfig, key: FeedKey, point: LogPoint) -> Self {
        Self::new(config, Heads::Passed(key), point)
    }

    fn new(config: FeedLogConfig, heads: Heads, point: LogPoint) -> Self {
        Self {
            ring: Ring::new(point.at, point.chain, config.ring_records, config.ring_bytes),
            replicas: Replicas::new(config.replicas),
            canaries: VecDeque::new(),
            last_event: LastEvent::default(),
            config,
            heads,
            point,
        }
    }

    /// The log's newest point here. The store may be ahead of it for a moment.
    #[must_use]
    pub const fn point(&self) -> &LogPoint {
        &self.point
    }

    /// The key that signs the heads.
    #[must_use]
    pub fn feed_key(&self) -> &FeedKey {
        match &self.heads {
            Heads::Signed(signer) => signer.key(),
            Heads::Passed(key) => key,
        }
    }

    /// Takes lines that are durable, in order, exactly as the store has them. On an error nothing
    /// after the offending line was taken, and the ring must be [`restart`](Self::restart)ed.
    pub fn committed<L: Into<Arc<str>>>(&mut self, lines: impl IntoIterator<Item = L>) -> Result<Position, FeedError> {
        for line in lines {
            self.append(&line.into())?;
        }
        Ok(self.point.at)
    }

    /// Takes what a relay verified: the lines, and the head that ends them.
    pub(super) fn passed(&mut self, frame: &VerifiedFrame) -> Result<(), FeedError> {
        self.committed(frame.lines().iter().map(String::as_str))?;
        self.begin_with(frame.head());
        Ok(())
    }

    /// The head of the point a relay's log begins at.
    pub(super) fn begin_with(&mut self, head: &SignedHead) {
        if (head.claimed().at, head.claimed().chain) == (self.point.at, self.point.chain) {
            self.ring.tip().head.get_or_init(|| Arc::from(head.to_line()));
        }
    }

    /// The head at the log's newest point, if it came along already.
    pub(super) fn passed_head(&self) -> Option<SignedHead> {
        self.ring.tip().head.get().and_then(|line| SignedHead::from_line(line).ok())
    }

    /// Whether the ring can carry a follower on from this position.
    pub(super) fn reaches_back_to(&self, at: Position) -> bool {
        matches!(self.ring.place(at), Place::Known { .. })
    }

    fn append(&mut self, line: &Arc<str>) -> Result<(), FeedError> {
        let record = Record::from_line(line)?;
        let at = record.at;
        if !record.continues(self.point.at, self.point.chain) {
            return Err(FeedError::NotDense { after: self.point.at, found: at });
        }
        if let RecordBody::Settings(settings) = record.body {
            self.point.revision = settings.revision;
            self.point.hash_key = settings.hash_key;
        }
        self.point.at = at;
        self.point.chain = self.point.chain.extend(line);
        self.ring.push(at, self.point.chain, Arc::clone(line));
        Ok(())
    }

    /// Begins again at `point` with an empty ring; replicas stay counted.
    pub fn restart(&mut self, point: LogPoint) {
        self.ring = Ring::new(point.at, point.chain, self.config.ring_records, self.config.ring_bytes);
        self.last_event = LastEvent::default();
        self.point = point;
    }

    /// What follows `ask.after`.
    pub fn changes(&self, ask: &Ask, now: Moment) -> Changes {
        match self.cut(ask, now) {
            Cut::Frame { lines, head, .. } => Changes::Frame(frame_bytes(lines, &head)),
            Cut::Nothing { head } => Changes::Wait { empty: frame_bytes([], &head) },
            Cut::Else(changes) => changes,
        }
    }

    /// The frame of lines read from the store for [`Changes::NeedStore`]; empty lines make no
    /// frame, for the store then has nothing the ring had not.
    #[must_use]
    pub fn store_frame(&self, lines: &[StoredLine], now: Moment) -> Option<Vec<u8>> {
        let last = lines.last()?;
        let head = self.sign(last.at, last.chain, None, now)?;
        Some(frame_bytes(lines.iter().map(|stored| stored.line.as_str()), &head.to_line()))
    }

    fn cut(&self, ask: &Ask, now: Moment) -> Cut<'_> {
        if ask.after > self.point.at {
            return Cut::Else(Changes::Ahead);
        }
        let (next, chain) = match self.ring.place(ask.after) {
            Place::Known { next, chain } => (next, chain),
            Place::Nowhere => return Cut::Else(Changes::Diverged),
            Place::Below => {
                return Cut::Else(match self.heads {
                    Heads::Signed(_) => Changes::NeedStore(*ask),
                    Heads::Passed(_) => Changes::Gone,
                });
            }
        };
        if ask.chain.is_some_and(|theirs| theirs != chain) {
            return Cut::Else(Changes::Diverged);
        }
        let ends = |slot: &ring::Slot| matches!(self.heads, Heads::Signed(_)) || slot.head.get().is_some();
        match self.ring.run(next, ask.limit.clamp(1, FRAME_RECORDS), FRAME_BYTES, ends) {
            Some(Run { lines, last }) => {
                Cut::Frame { lines, head: self.head_line(last, now), at: last.at, chain: last.chain }
            }
            None if matches!(self.heads, Heads::Passed(_)) && self.ring.tip().head.get().is_none() => {
                Cut::Else(Changes::NotYet)
            }
            None => Cut::Nothing { head: self.head_line(self.ring.tip(), now) },
        }
    }

    /// The head line of a slot, signed once for everybody.
    fn head_line(&self, slot: &ring::Slot, now: Moment) -> Arc<str> {
        let line = slot.head.get_or_init(|| {
            let head = self.sign(slot.at, slot.chain, None, now);
            Arc::from(head.expect("a relay's frames end where a head came along").to_line())
        });
        Arc::clone(line)
    }

    fn sign(&self, at: Position, chain: Chain, nonce: Option<String>, now: Moment) -> Option<SignedHead> {
        let point = LogPoint { at, chain, ..self.point.clone() };
        self.sign_point(&point, nonce, now)
    }

    fn sign_point(&self, point: &LogPoint, nonce: Option<String>, now: Moment) -> Option<SignedHead> {
        let Heads::Signed(signer) = &self.heads else { return None };
        Some(signer.sign_head(Head {
            log: self.config.log.clone(),
            at: point.at,
            chain: point.chain,
            revision: point.revision,
            hash_key: point.hash_key.clone(),
            issued: UnixMillis(now.wall.0.saturating_mul(1000)),
            nonce,
        }))
    }

    /// The authority's head at `point`, which the caller read from the store after the question
    /// came in. `None` from a relay, which cannot sign.
    #[must_use]
    pub fn head(&self, point: &LogPoint, nonce: Option<String>, now: Moment) -> Option<SignedHead> {
        self.sign_point(point, nonce, now)
    }

    /// Counts a replica by its report. A position that is not one of this log's, by its chain or
    /// because it lies ahead, counts as none. The caller answers with [`answer`](Self::answer).
    pub fn report(&mut self, id: ReplicaId, mut report: Report, now: Moment) -> Result<(), ReportRefused> {
        self.disbelieve(&mut report);
        for child in &mut report.behind {
            self.disbelieve(&mut child.report);
        }
        self.replicas.report(id, report, now.mono)
    }

    fn disbelieve(&self, report: &mut Report) {
        let Some(position) = report.position else { return };
        let ours = match self.ring.place(position) {
            Place::Known { chain, .. } => report.chain.is_none_or(|theirs| theirs == chain),
            Place::Below => true,
            Place::Nowhere => false,
        };
        if !ours {
            report.position = None;
        }
    }

    /// Counts a replica that had reported to the process before this one and has not to this one
    /// yet: without it, a revocation right after a restart would look confirmed by everybody. It is
    /// taken as heard from now, for nobody knows when it last was.
    pub fn recall(&mut self, status: &ReplicaStatus, now: Moment) {
        self.replicas.recall(status, now.mono);
    }

    /// The authority's answer to a report: the head at `point`, which the caller read from the
    /// store **after** the report came in, over the report's nonce. `None` from a relay.
    #[must_use]
    pub fn answer(&self, point: &LogPoint, nonce: &str, now: Moment) -> Option<ReportAnswer> {
        let head = self.sign_point(point, Some(nonce.to_owned()), now)?;
        Some(ReportAnswer { head, age: Duration::ZERO, hops: 0 })
    }

    /// Every replica that is counted or was until a while ago.
    #[must_use]
    pub fn replicas(&self, now: Monotonic) -> Vec<ReplicaStatus> {
        self.replicas.statuses(now)
    }

    pub(super) fn reports(&self, now: Monotonic) -> Vec<(&ReplicaId, Duration, &Report)> {
        self.replicas.reports(now)
    }

    /// What the replicas' reports say about the revocation at `at`.
    #[must_use]
    pub fn confirmation(&self, at: Position, acknowledged: Acknowledged, now: Monotonic) -> Confirmation {
        self.replicas.confirmation(at, acknowledged, now)
    }

    /// What replicas reported about a canary.
    #[must_use]
    pub fn canary_verdicts(&self, id: &str) -> Vec<CanaryHeard> {
        self.replicas.canary_verdicts(id)
    }

    /// Forgets replicas that have been silent for long. To be called every minute or so.
    pub fn tick(&mut self, now: Moment) {
        self.replicas.forget(now.mono);
    }
}

enum Cut<'a> {
    Frame { lines: Vec<&'a str>, head: Arc<str>, at: Position, chain: Chain },
    Nothing { head: Arc<str> },
    Else(Changes),
}
