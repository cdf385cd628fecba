//! A relay: a follower that serves what it has verified to followers of its own.
//!
//! It invents nothing. The lines, heads and snapshots it hands on are the authority's bytes, so a
//! follower behind it verifies them against the same feed key. What it adds is age: a relay cannot
//! sign, so its answer to a report says how old its own proof is, and the follower counts that on
//! top. When the relay is cut off its age grows, and with it everybody's behind it (I5).

use std::sync::Arc;
use std::time::Duration;

use crate::feed::follower::{Follower, FollowerConfig, Input, Output, Request, Taken, Use};
use crate::feed::frame::VerifiedFrame;
use crate::feed::head::FeedKey;
use crate::feed::log::{Ask, Changes, FeedLog, FeedLogConfig, LogPoint, ReplicaId, ReplicaStatus, ReportRefused};
use crate::feed::log::{StreamCursor, StreamStep};
use crate::feed::report::{ChildReport, Introduction, ReplicaState, Report, ReportAnswer, RouteCounts};
use crate::position::Position;
use crate::record::Chain;
use crate::time::{Moment, Monotonic};
use crate::view::ViewWriter;

/// A relay of one log. See the module's documentation.
pub struct Relay {
    follower: Follower,
    bounds: FeedLogConfig,
    log: Option<FeedLog>,
    introduction: Option<Introduction>,
    snapshot: Option<HeldSnapshot>,
}

struct HeldSnapshot {
    at: Position,
    bytes: Arc<[u8]>,
}

/// Bytes of children's reports passed up at once; those beyond are counted, not listed.
const MOST_BEHIND_BYTES: usize = Report::MAX_BYTES * 3 / 4;

impl Relay {
    /// A relay that has not started. The log's id in `bounds` is replaced by the one it follows.
    #[must_use]
    pub fn new(config: FollowerConfig, writer: ViewWriter, bounds: FeedLogConfig) -> Self {
        Self { follower: Follower::passing_on(config, writer), bounds, log: None, introduction: None, snapshot: None }
    }

    /// The relay's own following: takes what happened, says what to do. What was verified in it is
    /// served from here on. A report that is sent lists the replicas behind as they are by then.
    pub fn step(&mut self, input: Input, now: Moment) -> Vec<Output> {
        let mut out = self.follower.step(input, now);
        for taken in self.follower.taken() {
            match taken {
                Taken::Introduced(introduction) => self.introduction = Some(introduction),
                Taken::Snapshot { bytes, point, used_for } => self.keep_snapshot(bytes, point, used_for),
                Taken::Frame(frame) => self.keep_frame(&frame),
            }
        }
        if let Some(log) = &mut self.log {
            for output in &mut out {
                match output {
                    Output::JudgeCanary { id, token } => log.canary(id, token),
                    Output::Send(Request::Report { report, .. }) => {
                        // Those that are gone for good are no longer reckoned with.
                        log.tick(now);
                        add_those_behind(report, log, now.mono);
                    }
                    _ => {}
                }
            }
        }
        out
    }

    /// The follower inside, to read its state.
    #[must_use]
    pub const fn follower(&self) -> &Follower {
        &self.follower
    }

    /// See [`Follower::set_routes`].
    pub fn set_routes(&mut self, routes: RouteCounts, longest_age: Duration, leeway: Duration) {
        self.follower.set_routes(routes, longest_age, leeway);
    }

    /// What a follower behind this relay is told first; `None` (503) before this relay was told.
    ///
    /// It holds the hash key, so it is for authenticated followers only; and a follower never takes
    /// the feed key from a relay.
    #[must_use]
    pub fn introduction(&self) -> Option<Introduction> {
        let introduction = self.introduction.clone()?;
        let head = self.log.as_ref()?.passed_head()?;
        Some(Introduction { head, hops: introduction.hops.saturating_add(1), ..introduction })
    }

    /// What follows a position; `None` (503) while this relay has nothing verified.
    #[must_use]
    pub fn changes(&self, ask: &Ask, now: Moment) -> Option<Changes> {
        self.log.as_ref().map(|log| log.changes(ask, now))
    }

    /// A stream that begins after a position; `None` (503) while nothing is verified.
    #[must_use]
    pub fn open_stream(&self, after: Position, chain: Option<Chain>) -> Option<StreamCursor> {
        self.log.as_ref().map(|log| log.open_stream(after, chain))
    }

    /// What the stream gets next.
    pub fn stream(&self, cursor: &mut StreamCursor, now: Moment) -> StreamStep {
        match &self.log {
            Some(log) => log.stream(cursor, now),
            None => StreamStep::End(FeedLog::gone_event("compacted").into()),
        }
    }

    /// The authority's snapshot, as long as the ring leads on from it. `None` (503): one is being
    /// fetched. Step with [`Input::Tick`] after either answer: a snapshot that was given away is
    /// replaced when it lags, for its taker may already hold more than is in it.
    pub fn snapshot(&mut self) -> Option<Arc<[u8]>> {
        let log = self.log.as_ref()?;
        let usable = self.snapshot.as_ref().filter(|held| log.reaches_back_to(held.at));
        if usable.is_none_or(|held| held.at < log.point().at) {
            self.follower.want_snapshot_to_serve();
        }
        usable.map(|held| Arc::clone(&held.bytes))
    }

    /// Takes a report from behind and answers it with this relay's newest head and proven age. The
    /// outputs, to be performed either way, pass the report on upward: at once, or with all others that
    /// come until the next report may go, so that one report costs the same however many replicas there are.
    pub fn report(
        &mut self,
        id: ReplicaId,
        report: Report,
        now: Moment,
    ) -> (Result<ReportAnswer, ReportRefused>, Vec<Output>) {
        let Some(log) = &mut self.log else {
            return (Err(ReportRefused::Unproven), Vec::new());
        };
        if let Err(refused) = log.report(id, report, now) {
            return (Err(refused), Vec::new());
        }
        let answer = self.answer(now.mono).ok_or(ReportRefused::Unproven);
        (answer, self.step(Input::HeardBehind, now))
    }

    /// What this relay can prove. Halted, it proves nothing: what stopped it may be a revocation.
    fn answer(&self, now: Monotonic) -> Option<ReportAnswer> {
        if self.follower.state(now) == ReplicaState::Halted {
            return None;
        }
        Some(ReportAnswer {
            head: self.log.as_ref()?.passed_head()?,
            age: self.follower.view().age(now)?,
            hops: self.introduction.as_ref()?.hops.saturating_add(1),
        })
    }

    /// The replicas behind this relay.
    #[must_use]
    pub fn replicas(&self, now: Monotonic) -> Vec<ReplicaStatus> {
        self.log.as_ref().map(|log| log.replicas(now)).unwrap_or_default()
    }

    fn keep_snapshot(&mut self, bytes: Vec<u8>, point: LogPoint, used_for: Use) {
        self.snapshot = Some(HeldSnapshot { at: point.at, bytes: bytes.into() });
        if used_for == Use::View {
            self.begin_at(point);
        }
    }

    fn keep_frame(&mut self, frame: &VerifiedFrame) {
        let follows = self.log.as_mut().is_some_and(|log| log.passed(frame).is_ok());
        let head = frame.head().claimed();
        if follows || head.at != frame.at() {
            return;
        }
        self.begin_at(LogPoint {
            at: head.at,
            chain: head.chain,
            revision: head.revision,
            hash_key: head.hash_key.clone(),
        });
        if let Some(log) = &mut self.log {
            log.begin_with(frame.head());
        }
    }

    /// Serves from `point` on. The ring is kept if it stands there already.
    fn begin_at(&mut self, point: LogPoint) {
        let Some((key, id)) = self.feed() else { return };
        match &mut self.log {
            Some(log) if (log.point().at, log.point().chain) == (point.at, point.chain) => {}
            Some(log) => log.restart(point),
            None => {
                let bounds = FeedLogConfig { log: id, ..self.bounds.clone() };
                self.log = Some(FeedLog::of_relay(bounds, key, point));
            }
        }
    }

    fn feed(&self) -> Option<(FeedKey, String)> {
        let introduction = self.introduction.as_ref()?;
        Some((introduction.feed_key.clone(), introduction.head.claimed().log.clone()))
    }
}

/// Adds the reports of the replicas behind, newest first and bounded; those beyond are counted. The longest
/// age is that of all of them.
fn add_those_behind(own: &mut Report, log: &FeedLog, now: Monotonic) {
    let mut room = MOST_BEHIND_BYTES;
    for (id, age, report) in log.reports(now) {
        own.longest_age = own.longest_age.max(report.longest_age);
        own.unlisted = own.unlisted.saturating_add(report.unlisted);
        let has_room = room > 0 && own.behind.len() < Report::MAX_BEHIND;
        if let Some((child, bytes)) = has_room.then(|| listed(id, age, report, room)).flatten() {
            room -= bytes;
            own.behind.push(child);
        } else {
            room = 0;
            own.unlisted = own.unlisted.saturating_add(1);
        }
    }
}

/// A replica's report as it is passed up, and the bytes it takes; `None` where they are more than `room`.
fn listed(id: &ReplicaId, age: Duration, report: &Report, room: usize) -> Option<(ChildReport, usize)> {
    let child = ChildReport {
        name: id.name().to_owned(),
        instance: id.instance().to_owned(),
        heard_ms_ago: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        report: Report { unlisted: 0, ..report.clone() },
    };
    let bytes = child.report.to_json().len() + 2 * ReplicaId::MAX_PART;
    (bytes <= room).then_some((child, bytes))
}
