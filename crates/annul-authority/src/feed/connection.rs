//! One open stream: a cursor into the shared ring, polled only while its socket has room.

use annul_core::feed::log::{FeedLog, StreamCursor, StreamStep};
use annul_core::time::Monotonic;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Feed, FeedRefusal, RETRY};

/// One open stream.
pub(super) struct Connection {
    pub(super) feed: Feed,
    pub(super) cursor: StreamCursor,
    pub(super) news: watch::Receiver<u64>,
    pub(super) is_over: bool,
    pub(super) _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// The next bytes to write; `None` when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if self.is_over || self.feed.is_closed() {
                return None;
            }
            self.news.borrow_and_update();
            let clock = &self.feed.0.clock;
            let step = self.feed.log().stream(&mut self.cursor, clock.moment());
            match step {
                StreamStep::Send(bytes) => return Some(bytes),
                StreamStep::End(bytes) => {
                    self.is_over = true;
                    return Some(bytes);
                }
                StreamStep::NeedStore(ask) => match self.feed.stored(&ask).await {
                    Ok(lines) => {
                        let event = self.feed.log().store_event(&mut self.cursor, &lines, clock.moment());
                        if event.is_some() {
                            return event;
                        }
                        self.pause(clock.mono().plus(RETRY)).await;
                    }
                    Err(refusal) => {
                        self.is_over = true;
                        return match refusal {
                            FeedRefusal::Diverged => Some(FeedLog::gone_event("diverged")),
                            FeedRefusal::Compacted => Some(FeedLog::gone_event("compacted")),
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
        let pause = until.since(self.feed.0.clock.mono());
        // Either way the machine is asked again.
        let _ = tokio::time::timeout(pause, self.news.changed()).await;
    }
}
