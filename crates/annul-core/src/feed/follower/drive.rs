//! What a follower does next, and when: errands, the stream, reports, storing.

use std::time::Duration;

use super::machine::{Flight, Follower, Persist, Place, Stream};
use super::{Output, Request};
use crate::feed::report::Report;
use crate::time::{Moment, Monotonic, UnixSeconds};

/// How much longer than [`Request::timeout`] an answer is waited for before it counts as lost.
const TIMEOUT_GRACE: Duration = Duration::from_secs(2);
/// Heartbeats come every second: after this silence the line is dead, or held back by a proxy.
const STREAM_SILENCE: Duration = Duration::from_secs(10);
/// A stream that lived this long starts counting failures anew.
pub(super) const STREAM_HEALTHY: Duration = Duration::from_secs(60);
/// From so many failed streams on, changes are polled while the next attempt waits.
const POLL_FROM_FAILURES: u32 = 2;
/// How long a poll may wait for something new.
const POLL_WAIT: Duration = Duration::from_secs(25);
/// The longest wait between attempts.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
/// Tokens and heads ahead of the view wake it at most this often.
const NUDGE_EVERY: Duration = Duration::from_secs(1);
/// How long an open stream is given to bring what a head already named.
pub(super) const STREAM_GRACE: Duration = Duration::from_millis(250);
/// Reports that follow each other at once still leave the authority room.
pub(super) const REPORT_SPACING: Duration = Duration::from_millis(20);
/// An answer to a report is waited for at least this long, however little staleness is allowed.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
/// Expiry may lag; once in a while is enough.
const EXPIRE_EVERY: Duration = Duration::from_secs(10);
/// Entries for each of which storing the view waits a little longer.
const ENTRIES_STORED_PER_SECOND: usize = 100_000;
/// How far the wall clock may lie behind what was already forgotten before it is fetched again.
const CLOCK_STEP: u64 = 60;

impl Follower {
    /// Gives up on what should have answered by now.
    pub(super) fn notice_lost(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.errand.in_air.is_some_and(|deadline| now.mono >= deadline) {
            self.errand.in_air = None;
            self.errand.backoff.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono);
        }
        if self.reports.in_air.as_ref().is_some_and(|flight| now.mono >= flight.deadline) {
            self.reports.in_air = None;
            self.reports.soon = true;
            let cap = self.report_interval().min(LONGEST_BACKOFF);
            self.reports.backoff.failed(cap, None, &mut self.draw, now.mono);
        }
        if self.stream_deadline().is_some_and(|deadline| now.mono >= deadline) {
            out.push(Output::CloseStream);
            self.stream_ended(None, now);
        }
    }

    fn stream_deadline(&self) -> Option<Monotonic> {
        match self.stream {
            Stream::Closed => None,
            Stream::Opening { deadline } => Some(deadline),
            Stream::Open { heard, .. } => Some(heard.plus(STREAM_SILENCE)),
        }
    }

    pub(super) fn expire(&mut self, now: Moment) {
        if now.mono < self.expire_at {
            return;
        }
        self.expire_at = now.mono.plus(EXPIRE_EVERY);
        self.writer.expire(now.wall);
        if matches!(self.stream, Stream::Open { since, .. } if now.mono.since(since) >= STREAM_HEALTHY) {
            self.snapshots.succeeded();
        }
        if self.forgotten(now) > now.wall.plus(CLOCK_STEP) && self.introduced {
            self.compacted(now);
        }
    }

    fn forgotten(&self, now: Moment) -> UnixSeconds {
        self.writer.view().status(now).forgotten
    }

    /// The next errand, if there is one, and the moment before which it must not go.
    fn next_errand(&mut self) -> Option<(Request, Monotonic)> {
        let not_before = self.errand.backoff.not_before();
        let (true, Some(place)) = (self.introduced, self.place) else {
            if self.introduced {
                return Some((Request::Snapshot, not_before.max(self.snapshots.not_before())));
            }
            return Some((Request::Introduction { nonce: String::new() }, not_before));
        };
        if self.needs_snapshot {
            return Some((Request::Snapshot, not_before.max(self.snapshots.not_before())));
        }
        let changes = |wait| Request::Changes { after: place.at, chain: place.chain, wait };
        if self.behind_log {
            return Some((changes(Duration::ZERO), not_before));
        }
        if self.wanted.is_some_and(|wanted| wanted > place.at) {
            return Some((changes(Duration::ZERO), not_before.max(self.nudge_at)));
        }
        if self.wants_to_serve {
            return Some((Request::Snapshot, not_before.max(self.snapshots.not_before())));
        }
        let polls = matches!(self.stream, Stream::Closed) && self.stream_backoff.failures() >= POLL_FROM_FAILURES;
        polls.then(|| (changes(POLL_WAIT), not_before))
    }

    pub(super) fn send_errand(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.errand.in_air.is_some() {
            return;
        }
        let Some((mut request, not_before)) = self.next_errand() else { return };
        if now.mono < not_before {
            return;
        }
        match &mut request {
            Request::Introduction { nonce } => *nonce = self.draw.nonce(),
            Request::Snapshot if self.needs_snapshot => self.close_stream(out),
            Request::Changes { .. } => self.nudge_at = now.mono.plus(NUDGE_EVERY),
            Request::Snapshot | Request::Stream { .. } | Request::Report { .. } => {}
        }
        self.errand.in_air = Some(now.mono.plus(request.timeout() + TIMEOUT_GRACE));
        out.push(Output::Send(request));
    }

    pub(super) fn close_stream(&mut self, out: &mut Vec<Output>) {
        if !matches!(self.stream, Stream::Closed) {
            self.stream = Stream::Closed;
            out.push(Output::CloseStream);
        }
    }

    fn may_stream(&self) -> Option<Place> {
        let settled = self.introduced && !self.needs_snapshot && !self.behind_log && self.fault.is_none();
        self.place.filter(|_| settled && matches!(self.stream, Stream::Closed))
    }

    pub(super) fn send_stream(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(place) = self.may_stream() else { return };
        if now.mono >= self.stream_backoff.not_before() {
            self.stream = Stream::Opening { deadline: now.mono.plus(STREAM_SILENCE) };
            out.push(Output::Send(Request::Stream { after: place.at, chain: place.chain }));
        }
    }

    /// A third of the staleness allowed, so that a report that is lost can be repeated in time.
    pub(super) fn report_interval(&self) -> Duration {
        (self.config.max_staleness / 3).max(REPORT_SPACING)
    }

    /// How long an answer is worth waiting for. One that takes longer than half the staleness allowed
    /// could not keep the view fresh; one that was lost must be given up while there is time for another.
    fn report_patience(&self) -> Duration {
        (self.config.max_staleness / 2).max(LEAST_PATIENCE)
    }

    pub(super) fn send_report(&mut self, now: Moment, out: &mut Vec<Output>) {
        if self.report_due(now.mono).is_none_or(|due| now.mono < due) {
            return;
        }
        let nonce = self.draw.nonce();
        let report = self.compose_report(nonce.clone(), now.mono);
        let (position, canaries) = (report.position, report.canaries.len());
        let request = Request::Report { id: self.config.id.clone(), report: Box::new(report) };
        let deadline = now.mono.plus(self.report_patience().min(request.timeout() + TIMEOUT_GRACE));
        self.reports.in_air = Some(Flight { nonce, emitted: now.mono, position, canaries, deadline });
        self.reports.soon = false;
        self.reports.due = now.mono.plus(self.report_interval());
        self.reports.backoff.hold(now.mono.plus(REPORT_SPACING));
        out.push(Output::Send(request));
    }

    /// When the next report goes: `None` while one is in the air or nothing could verify its answer.
    fn report_due(&self, now: Monotonic) -> Option<Monotonic> {
        let answerable = self.trusted.as_ref().is_some_and(|trusted| trusted.log.is_some());
        let due = if self.reports.soon { now } else { self.reports.due };
        (answerable && self.reports.in_air.is_none()).then(|| due.max(self.reports.backoff.not_before()))
    }

    /// The report on itself; a relay adds the replicas behind it.
    fn compose_report(&self, nonce: String, now: Monotonic) -> Report {
        Report {
            position: self.position(),
            chain: self.place.map(|place| place.chain),
            state: self.state(now),
            leeway: seconds_up(self.config.leeway),
            longest_age: seconds_up(self.config.longest_age),
            audiences: self.config.audiences.iter().take(Report::MAX_AUDIENCES).cloned().collect(),
            routes: self.config.routes,
            interval: seconds_up(self.report_interval()),
            version: self.config.version.clone(),
            nonce,
            canaries: self.reports.canaries.clone(),
            behind: Vec::new(),
            unlisted: 0,
        }
    }

    pub(super) fn persist(&mut self, now: Moment, out: &mut Vec<Output>) {
        let Some(every) = self.config.persist_every else { return };
        if !self.persist.dirty || now.mono < self.persist.due || self.position() < self.persist.position {
            return;
        }
        let Some(bytes) = self.stored_state().map(|state| state.to_bytes()) else { return };
        self.persist =
            Persist { dirty: false, due: now.mono.plus(every + self.cost_of_storing(now)), position: self.position() };
        out.push(Output::Persist(bytes));
    }

    /// The whole view is written each time, so a large one is written less often.
    fn cost_of_storing(&self, now: Moment) -> Duration {
        let status = self.writer.view().status(now);
        Duration::from_secs(
            u64::try_from((status.entries + status.kept) / ENTRIES_STORED_PER_SECOND).unwrap_or(u64::MAX),
        )
    }

    /// The next moment at which something is due that no input will announce.
    pub(super) fn wake(&mut self, now: Moment) -> Option<Monotonic> {
        if !self.started {
            return None;
        }
        let errand = self.errand.in_air.or_else(|| self.next_errand().map(|(_, not_before)| not_before));
        let stream = self.stream_deadline().or_else(|| self.may_stream().map(|_| self.stream_backoff.not_before()));
        let report = self.reports.in_air.as_ref().map(|flight| flight.deadline).or_else(|| self.report_due(now.mono));
        let persist = self.config.persist_every.filter(|_| self.persist.dirty).map(|_| self.persist.due);
        [errand, stream, report, persist, Some(self.expire_at)].into_iter().flatten().min()
    }
}

fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
