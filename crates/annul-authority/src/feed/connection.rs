//! One open stream: a cursor into the shared ring, polled only while its socket has room.

use std::pin::Pin;

use annul_core::feed::log::{FeedLog, StreamCursor, StreamStep};
use annul_core::time::Monotonic;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Sleep};

use super::{Feed, FeedRefusal, RETRY};
use crate::admission::Admission;

/// One open stream.
pub(super) struct Connection {
    pub(super) feed: Feed,
    pub(super) cursor: StreamCursor,
    pub(super) news: watch::Receiver<u64>,
    /// Set once and left while it rings early enough: whoever is woken too early asks again, and a
    /// thousand streams need not set a timer anew for every record.
    pub(super) alarm: Pin<Box<Sleep>>,
    pub(super) admission: Admission,
    pub(super) is_over: bool,
    pub(super) _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// The next bytes to write; `None` when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let bytes = self.taken().await?;
        // Asked when the bytes are at hand: what was committed after a removal comes after the news of it.
        if matches!(self.admission.holds().await, Ok(true)) {
            return Some(bytes);
        }
        // The follower reconnects and is told by status.
        self.is_over = true;
        None
    }

    async fn taken(&mut self) -> Option<Bytes> {
        loop {
            if self.is_over || self.feed.is_closed() {
                return None;
            }
            self.news.borrow_and_update();
            let clock = &self.feed.0.clock;
            let step = self.feed.log().stream(&mut self.cursor, clock.moment());
            match step {
                StreamStep::Send(bytes) => return Some(Bytes::from_owner(bytes)),
                StreamStep::End(bytes) => {
                    self.is_over = true;
                    return Some(Bytes::from_owner(bytes));
                }
                StreamStep::NeedStore(ask) => match self.feed.stored(&ask).await {
                    Ok(lines) => {
                        let event = self.feed.log().store_event(&mut self.cursor, &lines, clock.moment());
                        if event.is_some() {
                            return event.map(Bytes::from);
                        }
                        self.pause(clock.mono().plus(RETRY)).await;
                    }
                    Err(refusal) => {
                        self.is_over = true;
                        return match refusal {
                            FeedRefusal::Diverged => Some(FeedLog::gone_event("diverged").into()),
                            FeedRefusal::Compacted => Some(FeedLog::gone_event("compacted").into()),
                            // The follower reconnects and is told by status.
                            _ => None,
                        };
                    }
                },
                StreamStep::Wait { until } => self.pause(until).await,
            }
        }
    }

    async fn pause(&mut self, until: Monotonic) {
        let until = Instant::now() + until.since(self.feed.0.clock.mono());
        if self.alarm.is_elapsed() || self.alarm.deadline() > until {
            self.alarm.as_mut().reset(until);
        }
        // Either way the machine is asked again.
        tokio::select! {
            _ = self.news.changed() => {}
            () = &mut self.alarm => {}
        }
    }
}
