//! The follower's state and how a step goes. What it makes of incoming bytes is in `intake`, what it
//! does next in `drive`.

use std::time::Duration;

use super::drive::{LONGEST_BACKOFF, STREAM_GRACE, STREAM_HEALTHY};
use super::fault::Fault;
use super::pace::{Backoff, Draw};
use super::{FollowerConfig, Input, Output, Request};
use crate::feed::FeedError;
use crate::feed::frame::VerifiedFrame;
use crate::feed::head::FeedKey;
use crate::feed::log::LogPoint;
use crate::feed::report::{CanaryReport, Introduction, ReplicaState, Report, RouteCounts};
use crate::feed::snapshot::StoredState;
use crate::position::Position;
use crate::record::Chain;
use crate::target::HashKey;
use crate::time::{Moment, Monotonic};
use crate::view::{View, ViewWriter};

/// Keeps one view fed. See the module's documentation for the protocol.
pub struct Follower {
    pub(super) config: FollowerConfig,
    pub(super) writer: ViewWriter,
    pub(super) draw: Draw,
    pub(super) trusted: Option<Trusted>,
    /// Another hash key than the view's, until the snapshot that was hashed with it is taken.
    pub(super) next_hash_key: Option<HashKey>,
    pub(super) introduced: bool,
    pub(super) place: Option<Place>,
    pub(super) fault: Option<Fault>,
    pub(super) errand: Line,
    pub(super) needs_snapshot: bool,
    /// A relay has no snapshot that its followers could go on from.
    pub(super) wants_to_serve: bool,
    pub(super) behind_log: bool,
    pub(super) snapshots: Backoff,
    pub(super) wanted: Option<Position>,
    pub(super) nudge_at: Monotonic,
    pub(super) stream: Stream,
    pub(super) stream_backoff: Backoff,
    pub(super) reports: Reports,
    pub(super) persist: Persist,
    pub(super) expire_at: Monotonic,
    pub(super) started: bool,
    /// What a relay passes on; `None` in a follower that does not.
    pub(super) taken: Option<Vec<Taken>>,
}

/// What is pinned: how the feed is verified, and how targets are hashed.
#[derive(PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) feed_key: FeedKey,
    /// What the view's cells were hashed with.
    pub(super) hash_key: HashKey,
    /// The log's id; unknown only between reading a state without a view and the introduction.
    pub(super) log: Option<String>,
}

/// Where the view stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) at: Position,
    pub(super) chain: Chain,
}

/// The one errand in the air, by its deadline, and the pace of errands.
#[derive(Default)]
pub(super) struct Line {
    pub(super) in_air: Option<Monotonic>,
    pub(super) backoff: Backoff,
}

/// The stream's connection.
#[derive(Clone, Copy)]
pub(super) enum Stream {
    Closed,
    Opening { deadline: Monotonic },
    Open { since: Monotonic, heard: Monotonic },
}

#[derive(Default)]
pub(super) struct Reports {
    pub(super) in_air: Option<Flight>,
    pub(super) backoff: Backoff,
    pub(super) soon: bool,
    pub(super) due: Monotonic,
    pub(super) canaries: Vec<CanaryReport>,
}

/// A report in the air.
pub(super) struct Flight {
    pub(super) nonce: String,
    pub(super) emitted: Monotonic,
    pub(super) position: Option<Position>,
    pub(super) canaries: usize,
    pub(super) deadline: Monotonic,
}

#[derive(Default)]
pub(super) struct Persist {
    pub(super) dirty: bool,
    pub(super) due: Monotonic,
    pub(super) position: Option<Position>,
}

/// What a snapshot was fetched for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::feed) enum Use {
    /// The view is at its position now.
    View,
    /// To be served only; the view goes on as it was.
    Serve,
}

/// What was verified, for a relay to pass on.
pub(in crate::feed) enum Taken {
    Introduced(Introduction),
    Snapshot { bytes: Vec<u8>, point: LogPoint, used_for: Use },
    Frame(VerifiedFrame),
}

impl Follower {
    /// A follower that has not started. It writes the view through `writer`.
    #[must_use]
    pub fn new(config: FollowerConfig, writer: ViewWriter) -> Self {
        Self {
            draw: Draw::new(config.seed),
            config,
            writer,
            trusted: None,
            next_hash_key: None,
            introduced: false,
            place: None,
            fault: None,
            errand: Line::default(),
            needs_snapshot: false,
            wants_to_serve: false,
            behind_log: true,
            snapshots: Backoff::default(),
            wanted: None,
            nudge_at: Monotonic::default(),
            stream: Stream::Closed,
            stream_backoff: Backoff::default(),
            reports: Reports::default(),
            persist: Persist::default(),
            expire_at: Monotonic::default(),
            started: false,
            taken: None,
        }
    }

    /// A follower that keeps what it verified for [`Follower::taken`].
    pub(in crate::feed) fn passing_on(config: FollowerConfig, writer: ViewWriter) -> Self {
        Self { taken: Some(Vec::new()), ..Self::new(config, writer) }
    }

    /// What was verified since the last call.
    pub(in crate::feed) fn taken(&mut self) -> Vec<Taken> {
        self.taken.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes what happened and says what to do. Never panics on what the network brought.
    pub fn step(&mut self, input: Input, now: Moment) -> Vec<Output> {
        let mut out = Vec::new();
        let fault_before = self.fault.clone();
        self.take(input, now, &mut out);
        if self.started {
            self.notice_lost(now, &mut out);
            self.expire(now);
            self.send_errand(now, &mut out);
            self.send_stream(now, &mut out);
            self.send_report(now, &mut out);
            self.persist(now, &mut out);
        }
        if self.fault != fault_before {
            out.push(self.fault.clone().map_or(Output::Resumed, Output::Halted));
        }
        if let Some(wake) = self.wake(now) {
            out.push(Output::WakeAt(wake));
        }
        out
    }

    /// The view this follower writes.
    #[must_use]
    pub fn view(&self) -> View {
        self.writer.view()
    }

    /// The position the view has applied.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.place.map(|place| place.at)
    }

    /// Why the follower stands still, if it does.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// What the follower would say of itself at `now`.
    #[must_use]
    pub fn state(&self, now: Monotonic) -> ReplicaState {
        if self.fault.as_ref().is_some_and(|fault| fault.halt().is_some()) {
            return ReplicaState::Halted;
        }
        let fresh = self.writer.view().age(now).is_some_and(|age| age <= self.config.max_staleness);
        match self.place {
            None => ReplicaState::Cold,
            Some(_) if fresh => ReplicaState::Live,
            Some(_) => ReplicaState::Stale,
        }
    }

    /// Declares what the routes are, as they are registered; the next step reports it.
    pub fn set_routes(&mut self, routes: RouteCounts, longest_age: Duration, leeway: Duration) {
        self.config.routes = routes;
        self.config.longest_age = longest_age;
        self.config.leeway = leeway;
        self.reports.soon = true;
        self.check_settings();
    }

    /// Fetches a snapshot to serve, beside the following and at the pace of resynchronisations.
    pub(in crate::feed) fn want_snapshot_to_serve(&mut self) {
        self.wants_to_serve = true;
    }

    fn take(&mut self, input: Input, now: Moment, out: &mut Vec<Output>) {
        match input {
            Input::Start { stored } => self.start(stored, out),
            Input::Introduced(body) => {
                self.errand.in_air = None;
                let taken = self.introduce(&body);
                self.settle_errand(taken, now, out);
            }
            Input::Snapshot(body) => {
                self.errand.in_air = None;
                let taken = self.take_snapshot(body, now, out);
                self.settle_errand(taken, now, out);
            }
            Input::Changes(body) => {
                self.errand.in_air = None;
                let taken = self.take_changes(&body, out);
                self.settle_errand(taken, now, out);
            }
            Input::Refused { request, status, retry_after } => self.refused(&request, status, retry_after, now, out),
            Input::Failed(request) => self.failed(&request, None, now),
            Input::StreamOpened => {
                if matches!(self.stream, Stream::Opening { .. }) {
                    self.stream = Stream::Open { since: now.mono, heard: now.mono };
                }
            }
            Input::StreamEvent(event) => self.take_event(event, now, out),
            Input::StreamClosed => {
                if !matches!(self.stream, Stream::Closed) {
                    self.stream_ended(None, now);
                }
            }
            Input::Reported { sent, body } => self.take_answer(sent, &body, now, out),
            Input::TokenAhead(position) => self.want(position),
            Input::CanaryJudged { id, verdict } => {
                if self.reports.canaries.len() < Report::MAX_CANARIES {
                    self.reports.canaries.push(CanaryReport { id, verdict });
                }
                self.reports.soon = true;
            }
            Input::HeardBehind => self.reports.soon = true,
            Input::Tick => {}
        }
    }

    fn start(&mut self, stored: Option<Vec<u8>>, out: &mut Vec<Output>) {
        self.started = true;
        // What was read is gone from memory before the view is built beside it.
        let read = stored.map(|bytes| StoredState::from_bytes(&bytes));
        let restored = read.map_or(Ok(()), |state| self.restore(state?));
        if let Err(reason) = restored {
            // A view that could not hold it has halted; it is as empty as before, and starts anew.
            self.writer.resume();
            out.push(Output::Discarded { reason });
        }
        self.persist.position = self.position();
    }

    /// Asks for what lies between here and `position`, soon but never more than once a second.
    pub(super) fn want(&mut self, position: Position) {
        if self.place.is_none_or(|place| position > place.at) {
            self.wanted = self.wanted.max(Some(position));
        }
    }

    /// Like [`want`](Self::want), after an open stream had its chance to bring it.
    pub(super) fn want_after_grace(&mut self, position: Position, now: Monotonic) {
        if self.wanted.is_none() && matches!(self.stream, Stream::Open { .. }) {
            self.nudge_at = self.nudge_at.max(now.plus(STREAM_GRACE));
        }
        self.want(position);
    }

    pub(super) fn set_fault(&mut self, fault: Fault) {
        if let Some(halt) = fault.halt() {
            self.writer.halt(halt);
        }
        if fault.of_introduction() {
            self.introduced = false;
        }
        self.fault = Some(fault);
    }

    pub(super) fn clear_fault(&mut self) {
        if self.fault.take().is_some() {
            self.writer.resume();
        }
    }

    pub(super) fn mark_dirty(&mut self) {
        self.persist.dirty = true;
    }

    /// What follows from an errand's data: the pace of the next one, and a fault if it shows one.
    fn settle_errand(&mut self, taken: Result<(), FeedError>, now: Moment, out: &mut Vec<Output>) {
        match taken {
            Ok(()) if self.fault.is_none() => self.errand.backoff.succeeded(),
            Ok(()) => self.errand.backoff.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono),
            Err(reason) => {
                self.errand.backoff.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono);
                self.reject(reason, out);
            }
        }
    }

    /// Names what was not taken. Nothing of it was applied; what it may mean is found out by asking
    /// for changes with the chain held here.
    pub(super) fn reject(&mut self, reason: FeedError, out: &mut Vec<Output>) {
        match Fault::of_error(&reason) {
            Some(Fault::Diverged { at }) => self.diverged(at),
            Some(fault) => self.set_fault(fault),
            None => {}
        }
        self.behind_log = true;
        out.push(Output::Rejected { reason });
    }

    /// The log has another history. Only a newer epoch can be followed from here, and the
    /// introduction tells whether there is one.
    fn diverged(&mut self, at: Position) {
        self.set_fault(Fault::Diverged { at });
        self.introduced = false;
    }

    fn refused(
        &mut self,
        request: &Request,
        status: u16,
        retry_after: Option<Duration>,
        now: Moment,
        out: &mut Vec<Output>,
    ) {
        let follows = matches!(request, Request::Changes { .. } | Request::Stream { .. });
        match status {
            401 | 403 if self.fault.is_none() => self.set_fault(Fault::NotPermitted { status }),
            410 if follows => self.compacted(now),
            409 if follows => {
                if let Some(place) = self.place {
                    self.diverged(place.at);
                }
            }
            416 if follows => self.behind_log = true,
            _ => {}
        }
        if matches!(request, Request::Stream { .. }) && matches!(self.stream, Stream::Open { .. }) {
            out.push(Output::CloseStream);
        }
        if status == 410 && follows && retry_after.is_none() {
            self.landed(request);
        } else {
            self.failed(request, retry_after, now);
        }
    }

    /// A request that is over without counting as a failure.
    fn landed(&mut self, request: &Request) {
        match request {
            Request::Stream { .. } => self.stream = Stream::Closed,
            Request::Report { .. } => self.reports.in_air = None,
            _ => self.errand.in_air = None,
        }
    }

    /// The log no longer has what follows: only a snapshot helps. One that is needed again soon
    /// after another waits, so that no log and follower can chase each other round.
    pub(super) fn compacted(&mut self, now: Moment) {
        if !self.needs_snapshot && self.snapshots.failures() > 0 {
            self.snapshots.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono);
        }
        self.needs_snapshot = true;
    }

    fn failed(&mut self, request: &Request, retry_after: Option<Duration>, now: Moment) {
        self.landed(request);
        match request {
            Request::Stream { .. } => self.stream_ended(retry_after, now),
            Request::Report { .. } => {
                let cap = self.report_interval().min(LONGEST_BACKOFF);
                self.reports.backoff.failed(cap, retry_after, &mut self.draw, now.mono);
                self.reports.soon = true;
            }
            _ => self.errand.backoff.failed(LONGEST_BACKOFF, retry_after, &mut self.draw, now.mono),
        }
    }

    pub(super) fn stream_ended(&mut self, retry_after: Option<Duration>, now: Moment) {
        if let Stream::Open { since, .. } = self.stream
            && now.mono.since(since) >= STREAM_HEALTHY
        {
            self.stream_backoff.succeeded();
        }
        self.stream = Stream::Closed;
        self.stream_backoff.failed(LONGEST_BACKOFF, retry_after, &mut self.draw, now.mono);
    }
}
