//! The stream of one follower: a cursor into the shared ring.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::{Ask, Changes, Cut, FeedLog, StoredLine};
use crate::feed::frame::FRAME_RECORDS;
use crate::feed::report::Report;
use crate::feed::sse::SseEvent;
use crate::position::Position;
use crate::record::Chain;
use crate::time::{Moment, Monotonic};

/// Where one stream stands. It is all the state a connection has.
#[derive(Clone, Debug)]
pub struct StreamCursor {
    at: Position,
    chain: Option<Chain>,
    heartbeat_due: Monotonic,
    canary: u64,
}

impl StreamCursor {
    /// The position up to which the stream has been given records.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }
}

/// What to do next with a stream.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamStep {
    /// Write these bytes, then ask again. Followers at one place share them.
    Send(Arc<[u8]>),
    /// Read the store as for [`Changes::NeedStore`], write [`FeedLog::store_event`], ask again.
    NeedStore(Ask),
    /// Ask again at the next commit or canary, and at this moment at the latest.
    Wait {
        /// When the next heartbeat is due.
        until: Monotonic,
    },
    /// Write these bytes and close: the follower must go another way.
    End(Arc<[u8]>),
}

/// The last frame that a stream was given: the next one mostly stands where that one stood.
#[derive(Default)]
pub(super) struct LastEvent(Mutex<Option<FrameEvent>>);

struct FrameEvent {
    after: Position,
    at: Position,
    bytes: Arc<[u8]>,
}

impl LastEvent {
    /// The event with the records after `after` up to `at`, written anew unless it is the last one.
    fn between(&self, after: Position, at: Position, write: impl FnOnce() -> Vec<u8>) -> Arc<[u8]> {
        // Replaced whole, so a panic elsewhere cannot have left half of one.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(event) if (event.after, event.at) == (after, at) => Arc::clone(&event.bytes),
            _ => Arc::clone(&last.insert(FrameEvent { after, at, bytes: write().into() }).bytes),
        }
    }
}

/// A token that verifiers judge by their ordinary path and never act on.
pub(super) struct Canary {
    number: u64,
    /// The log's newest position when it came. It goes to no stream before the records up to there:
    /// it asks whether they are in effect.
    at: Position,
    event: Arc<[u8]>,
}

impl FeedLog {
    /// Bytes a canary's token may have.
    pub const MAX_CANARY: usize = 16 * 1024;

    /// A stream that begins after `after`. Canaries from before it are not repeated.
    #[must_use]
    pub fn open_stream(&self, after: Position, chain: Option<Chain>) -> StreamCursor {
        let canary = self.canaries.back().map_or(0, |canary| canary.number);
        StreamCursor { at: after, chain, heartbeat_due: Monotonic::default(), canary }
    }

    /// What the stream gets next. Heartbeats go only to a cursor that has been given everything, so
    /// none ever speaks of more than it delivered; a canary only to one that has been given every
    /// record from before it.
    pub fn stream(&self, cursor: &mut StreamCursor, now: Moment) -> StreamStep {
        let ask = Ask { after: cursor.at, chain: cursor.chain, limit: FRAME_RECORDS };
        let cut = self.cut(&ask, now);
        let next_canary = self.canaries.iter().find(|canary| canary.number > cursor.canary);
        if let (Cut::Frame { .. } | Cut::Nothing { .. }, Some(canary)) = (&cut, next_canary)
            && canary.at <= cursor.at
        {
            cursor.canary = canary.number;
            return StreamStep::Send(Arc::clone(&canary.event));
        }
        match cut {
            Cut::Frame { lines, head, at, chain } => {
                let bytes = self.last_event.between(cursor.at, at, || frame_event(lines, &head, at));
                cursor.moved(at, chain, now.mono.plus(self.config.heartbeat));
                StreamStep::Send(bytes)
            }
            Cut::Nothing { head } if now.mono >= cursor.heartbeat_due => {
                cursor.heartbeat_due = now.mono.plus(self.config.heartbeat);
                StreamStep::Send(SseEvent::new("heartbeat", &*head).to_bytes().into())
            }
            Cut::Nothing { .. } => StreamStep::Wait { until: cursor.heartbeat_due },
            Cut::Else(Changes::NotYet) => StreamStep::Wait { until: now.mono.plus(self.config.heartbeat) },
            Cut::Else(Changes::NeedStore(ask)) => StreamStep::NeedStore(ask),
            Cut::Else(Changes::Diverged) => StreamStep::End(Self::gone_event("diverged").into()),
            Cut::Else(Changes::Ahead) => StreamStep::End(Self::gone_event("ahead").into()),
            Cut::Else(_) => StreamStep::End(Self::gone_event("compacted").into()),
        }
    }

    /// The event for lines read from the store, and the cursor moved past them. `None` without
    /// lines.
    #[must_use]
    pub fn store_event(&self, cursor: &mut StreamCursor, lines: &[StoredLine], now: Moment) -> Option<Vec<u8>> {
        let last = lines.last()?;
        let head = self.sign(last.at, last.chain, None, now)?.to_line();
        cursor.moved(last.at, last.chain, now.mono.plus(self.config.heartbeat));
        Some(frame_event(lines.iter().map(|stored| stored.line.as_str()).collect(), &head, last.at))
    }

    /// The event that sends a follower another way: `compacted`, `diverged` or `ahead`.
    #[must_use]
    pub fn gone_event(code: &str) -> Vec<u8> {
        SseEvent::new("gone", serde_json::json!({ "code": code }).to_string()).to_bytes()
    }

    /// Puts a token on every stream for its follower to judge and report. The newest ones are kept
    /// for streams that are behind; a token larger than [`MAX_CANARY`](Self::MAX_CANARY) is none.
    pub fn canary(&mut self, id: &str, token: &str) {
        #[derive(Serialize)]
        struct WireCanary<'a> {
            id: &'a str,
            token: &'a str,
        }
        if token.len() > Self::MAX_CANARY {
            return;
        }
        let data = serde_json::to_string(&WireCanary { id, token }).expect("two strings are JSON");
        let number = self.canaries.back().map_or(0, |canary| canary.number) + 1;
        if self.canaries.len() == Report::MAX_CANARIES {
            self.canaries.pop_front();
        }
        let event = SseEvent::new("canary", data).to_bytes().into();
        self.canaries.push_back(Canary { number, at: self.point().at, event });
    }
}

impl StreamCursor {
    fn moved(&mut self, at: Position, chain: Chain, heartbeat_due: Monotonic) {
        self.at = at;
        self.chain = Some(chain);
        self.heartbeat_due = heartbeat_due;
    }
}

fn frame_event<'a>(mut lines: Vec<&'a str>, head: &'a str, at: Position) -> Vec<u8> {
    lines.push(head);
    SseEvent { event: "frame".to_owned(), data: lines.join("\n"), id: Some(at.to_string()) }.to_bytes()
}
