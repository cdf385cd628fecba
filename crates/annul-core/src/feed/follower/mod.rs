//! The follower: keeps one view fed, and proves how fresh it is.
//!
//! ```text
//! stored state ─▶ introduction ─▶ changes … until nothing new ─▶ stream
//!                      │             ▲    410: the log was compacted
//!                      └─ snapshot ──┘◀── 409: another history: halt; a newer epoch is taken
//!                                         416: the log is behind: wait, never reset
//! beside it: reports, at least every max_staleness/3 and whenever something was applied
//! ```
//!
//! It is a function of what came in and the moment: no I/O, no clock, no randomness but a seed. The
//! shell performs each [`Output`] and answers each [`Request`] with exactly one [`Input`]: its
//! data, [`Input::Refused`] or [`Input::Failed`]. At most one introduction, snapshot or changes,
//! one stream and one report are in the air.
//!
//! Nothing that arrives makes the view fresh. A report goes up with a nonce; the head that comes
//! back is signed over it, so it was read later than the report was sent; once the view has applied
//! that head, it is as fresh as that sending.

mod drive;
mod fault;
mod intake;
mod machine;
mod pace;

use std::fmt;
use std::time::Duration;

use crate::feed::FeedError;
use crate::feed::log::ReplicaId;
use crate::feed::report::{CanaryVerdict, Report, RouteCounts};
use crate::feed::sse::SseEvent;
use crate::position::Position;
use crate::record::Chain;
use crate::time::Monotonic;

pub use fault::Fault;
pub use machine::Follower;
pub(in crate::feed) use machine::{Taken, Use};

/// What a follower is told once.
#[derive(Clone, Debug)]
pub struct FollowerConfig {
    /// Under which name it reports.
    pub id: ReplicaId,
    /// The log's own issuer; a feed of another one is refused.
    pub issuer: String,
    /// Whom it follows.
    pub source: Source,
    /// The fingerprint of the feed key, if it was given beforehand. Without it the key is taken
    /// from the first introduction, which must then come from the authority over TLS or loopback.
    pub feed_key: Option<String>,
    /// The age past which its view is stale.
    pub max_staleness: Duration,
    /// The leeway its routes grant to `exp`.
    pub leeway: Duration,
    /// The greatest age at which any of its routes accepts.
    pub longest_age: Duration,
    /// The audiences it answers for.
    pub audiences: Vec<String>,
    /// What its routes consult.
    pub routes: RouteCounts,
    /// The version it reports.
    pub version: String,
    /// How often, at most, the state is handed out to be stored; never, where nobody stores it.
    pub persist_every: Option<Duration>,
    /// Fresh randomness at every start: nonces and jitter are drawn from it.
    pub seed: u64,
}

impl FollowerConfig {
    /// The configuration of a follower of the authority with no routes yet.
    #[must_use]
    pub fn new(id: ReplicaId, issuer: impl Into<String>, max_staleness: Duration, seed: u64) -> Self {
        Self {
            id,
            issuer: issuer.into(),
            source: Source::Authority,
            feed_key: None,
            max_staleness,
            leeway: Duration::ZERO,
            longest_age: max_staleness,
            audiences: Vec::new(),
            routes: RouteCounts::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            persist_every: Some(Duration::from_secs(2)),
            seed,
        }
    }
}

/// Whom a follower follows, and so what an answer to its report proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The authority: the head must be signed over the report's own nonce.
    Authority,
    /// A relay, which cannot sign: its proven age is added to the report's sending. The feed key
    /// is never taken from a relay.
    Relay,
}

/// What happened. Its debug form names the kind only: bodies may hold secrets.
#[derive(Clone)]
pub enum Input {
    /// The process started, with the bytes of the last [`Output::Persist`], if there are any.
    Start {
        /// The stored state.
        stored: Option<Vec<u8>>,
    },
    /// The body of the introduction.
    Introduced(Vec<u8>),
    /// The body of the snapshot.
    Snapshot(Vec<u8>),
    /// The body of the changes.
    Changes(Vec<u8>),
    /// The server answered, but not with data.
    Refused {
        /// What was asked.
        request: Request,
        /// The HTTP status.
        status: u16,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// No answer came.
    Failed(Request),
    /// The stream answered 200.
    StreamOpened,
    /// An event of the stream.
    StreamEvent(SseEvent),
    /// The stream ended, or could not be read on.
    StreamClosed,
    /// A report was answered with 200.
    Reported {
        /// When the report began to be sent.
        sent: Monotonic,
        /// The body.
        body: Vec<u8>,
    },
    /// A verified token names a position the view has not reached.
    TokenAhead(Position),
    /// A canary was judged by the ordinary path.
    CanaryJudged {
        /// The canary's id.
        id: String,
        /// What became of it.
        verdict: CanaryVerdict,
    },
    /// A replica behind a relay reported: there is something to report upward.
    HeardBehind,
    /// Time passed.
    Tick,
}

/// What to do. Its debug form leaves out the stored state and canary tokens.
#[derive(Clone, PartialEq)]
pub enum Output {
    /// Send the request, and answer with one input.
    Send(Request),
    /// Close the stream; no [`Input::StreamClosed`] is expected for it.
    CloseStream,
    /// Store these bytes instead of those before, whole or not at all. They hold the hash key.
    Persist(Vec<u8>),
    /// Judge the token by the ordinary path and report the verdict; act on nothing.
    JudgeCanary {
        /// The canary's id.
        id: String,
        /// The token.
        token: String,
    },
    /// The view has reached this position.
    Applied(Position),
    /// The stored state was not usable and was left aside; everything is fetched again.
    Discarded {
        /// Why.
        reason: FeedError,
    },
    /// Something from the feed was not taken; it is asked for again.
    Rejected {
        /// Why.
        reason: FeedError,
    },
    /// The follower met what it must not pass. It keeps trying, seldom.
    Halted(Fault),
    /// The fault is over.
    Resumed,
    /// Call with [`Input::Tick`] at this moment, if nothing happens before.
    WakeAt(Monotonic),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { stored } => write!(f, "Start {{ stored: {} }}", stored.is_some()),
            Self::Introduced(_) => f.write_str("Introduced"),
            Self::Snapshot(body) => write!(f, "Snapshot({} bytes)", body.len()),
            Self::Changes(body) => write!(f, "Changes({} bytes)", body.len()),
            Self::Refused { request, status, .. } => write!(f, "Refused({request}, {status})"),
            Self::Failed(request) => write!(f, "Failed({request})"),
            Self::StreamOpened => f.write_str("StreamOpened"),
            Self::StreamEvent(event) => write!(f, "StreamEvent({:?})", event.event),
            Self::StreamClosed => f.write_str("StreamClosed"),
            Self::Reported { .. } => f.write_str("Reported"),
            Self::TokenAhead(position) => write!(f, "TokenAhead({position})"),
            Self::CanaryJudged { id, verdict } => write!(f, "CanaryJudged({id:?}, {verdict:?})"),
            Self::HeardBehind => f.write_str("HeardBehind"),
            Self::Tick => f.write_str("Tick"),
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(request) => write!(f, "Send({request})"),
            Self::CloseStream => f.write_str("CloseStream"),
            Self::Persist(bytes) => write!(f, "Persist({} bytes)", bytes.len()),
            Self::JudgeCanary { id, .. } => write!(f, "JudgeCanary({id:?})"),
            Self::Applied(position) => write!(f, "Applied({position})"),
            Self::Discarded { reason } => write!(f, "Discarded({reason})"),
            Self::Rejected { reason } => write!(f, "Rejected({reason})"),
            Self::Halted(fault) => write!(f, "Halted({})", fault.code()),
            Self::Resumed => f.write_str("Resumed"),
            Self::WakeAt(moment) => write!(f, "WakeAt({:?})", moment.0),
        }
    }
}

/// Something to ask the feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// The introduction.
    Introduction {
        /// What the head in it should be signed over.
        nonce: String,
    },
    /// The snapshot.
    Snapshot,
    /// What follows a position.
    Changes {
        /// The position applied.
        after: Position,
        /// The chain there.
        chain: Chain,
        /// For how long the answer may wait for something new.
        wait: Duration,
    },
    /// The stream of what follows a position.
    Stream {
        /// The position applied.
        after: Position,
        /// The chain there.
        chain: Chain,
    },
    /// A report.
    Report {
        /// Who reports.
        id: ReplicaId,
        /// What.
        report: Box<Report>,
    },
}

impl Request {
    /// The HTTP method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Report { .. } => "POST",
            _ => "GET",
        }
    }

    /// The path under the authority's URL, with its query.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match self {
            Self::Introduction { nonce } => format!("/v1/feed/head?nonce={nonce}"),
            Self::Snapshot => "/v1/feed/snapshot".to_owned(),
            Self::Changes { after, chain, wait } => {
                format!("/v1/feed/changes?after={after}&chain={chain}&wait={}", wait.as_secs())
            }
            Self::Stream { after, chain } => format!("/v1/feed/stream?after={after}&chain={chain}"),
            Self::Report { id, .. } => format!("/v1/feed/replicas/{}/{}", id.name(), id.instance()),
        }
    }

    /// How long the shell should wait for the whole answer; for the stream, for its beginning.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::Snapshot => Duration::from_secs(45),
            Self::Changes { wait, .. } => Duration::from_secs(10).saturating_add(*wait),
            Self::Introduction { .. } | Self::Stream { .. } | Self::Report { .. } => Duration::from_secs(10),
        }
    }

    /// The JSON body, if the request has one.
    #[must_use]
    pub fn body(&self) -> Option<Vec<u8>> {
        match self {
            Self::Report { report, .. } => Some(report.to_json()),
            _ => None,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method(), self.path_and_query())
    }
}
