//! What a follower makes of incoming bytes. Each is verified whole before it changes anything.

use serde::Deserialize;

use super::drive::{LONGEST_BACKOFF, REPORT_SPACING};
use super::fault::Fault;
use super::machine::{Flight, Follower, Place, Stream, Taken, Trusted, Use};
use super::{Output, Source};
use crate::feed::frame::Frame;
use crate::feed::head::{FeedKey, Head, SignedHead};
use crate::feed::log::{FeedLog, LogPoint};
use crate::feed::report::{Introduction, Report, ReportAnswer};
use crate::feed::snapshot::{Snapshot, StoredState};
use crate::feed::sse::SseEvent;
use crate::feed::{FeedError, MAX_HOPS};
use crate::position::Position;
use crate::record::RecordError;
use crate::time::{Moment, Monotonic, UnixSeconds};
use crate::view::{ApplyError, KeptContents, ReplaceError, ViewContents};

impl Follower {
    /// Takes up a stored state: its denials hold at once, its age is unknown until a round trip.
    pub(super) fn restore(&mut self, state: StoredState) -> Result<(), FeedError> {
        if self.config.feed_key.as_deref().is_some_and(|pinned| pinned != state.feed_key.fingerprint()) {
            return Err(FeedError::Signature);
        }
        let log = state.view.as_ref().map(|view| view.log.clone());
        if let Some(view) = state.view {
            if view.settings.issuer != self.config.issuer {
                return Err(FeedError::OtherLog { named: view.log });
            }
            let place = Place { at: view.at, chain: view.chain };
            let contents = ViewContents {
                position: view.at,
                settings: view.settings,
                issuers: view.issuers,
                cells: view.cells,
                kept: state.kept,
                forgotten: state.forgotten,
            };
            self.writer.replace(contents).map_err(|_| FeedError::Contents)?;
            self.place = Some(place);
        }
        self.writer.set_hash_key(state.hash_key.clone());
        self.trusted = Some(Trusted { feed_key: state.feed_key, hash_key: state.hash_key, log });
        self.check_settings();
        Ok(())
    }

    /// The state as it is to be stored.
    pub(super) fn stored_state(&self) -> Option<StoredState> {
        let trusted = self.trusted.as_ref()?;
        let (mut kept, mut forgotten) = (KeptContents::default(), UnixSeconds::default());
        let view = self.place.zip(self.writer.contents()).zip(trusted.log.clone()).map(|((place, contents), log)| {
            (kept, forgotten) = (contents.kept, contents.forgotten);
            Snapshot {
                log,
                at: place.at,
                chain: place.chain,
                epochs: Vec::new(),
                settings: contents.settings,
                issuers: contents.issuers,
                cells: contents.cells,
            }
        });
        let (feed_key, hash_key) = (trusted.feed_key.clone(), trusted.hash_key.clone());
        Some(StoredState { feed_key, hash_key, view, kept, forgotten })
    }

    pub(super) fn introduce(&mut self, body: &[u8]) -> Result<(), FeedError> {
        let introduction = Introduction::from_json(body)?;
        let head = introduction.head.verify(&introduction.feed_key, &introduction.head.claimed().log)?.clone();
        if head.hash_key != introduction.hash_key.id() {
            return Err(FeedError::Malformed { what: "an introduction" });
        }
        if let Some(fault) = self.objection(&introduction, &head) {
            self.set_fault(fault);
            return Ok(());
        }
        // What the view holds was hashed with the key before. Probed with another it would seem to hold
        // nothing, so the new key waits for the snapshot that was hashed with it.
        let held = self.trusted.as_ref().filter(|_| self.place.is_some()).map(|trusted| trusted.hash_key.clone());
        let hash_key = held.unwrap_or_else(|| introduction.hash_key.clone());
        self.next_hash_key = (hash_key != introduction.hash_key).then(|| introduction.hash_key.clone());
        self.needs_snapshot |= self.next_hash_key.is_some();
        self.writer.set_hash_key(hash_key.clone());
        let trusted = Trusted { feed_key: introduction.feed_key.clone(), hash_key, log: Some(head.log) };
        // Mostly it is what was stored, which need not be stored again.
        self.persist.dirty |= self.trusted.as_ref() != Some(&trusted);
        self.trusted = Some(trusted);
        self.introduced = true;
        self.reports.soon = true;
        self.behind_log = true;
        match (&self.fault, self.place) {
            // The epoch this view knows has ended: its history may rightly be another one now.
            (Some(Fault::Diverged { .. }), Some(place)) if head.at.epoch > place.at.epoch => self.needs_snapshot = true,
            (Some(fault), _) if fault.of_introduction() => self.clear_fault(),
            (Some(Fault::NotPermitted { .. }), _) => self.clear_fault(),
            _ => {}
        }
        self.check_settings();
        if let Some(taken) = &mut self.taken {
            taken.push(Taken::Introduced(introduction));
        }
        Ok(())
    }

    /// Why this is not whom this follower follows.
    fn objection(&self, introduction: &Introduction, head: &Head) -> Option<Fault> {
        let offered = introduction.feed_key.fingerprint();
        let stored = self.trusted.as_ref().map(|trusted| trusted.feed_key.fingerprint());
        match self.config.feed_key.as_deref().or(stored) {
            Some(pinned) if pinned != offered => {
                return Some(Fault::FeedKey { pinned: pinned.to_owned(), offered: offered.to_owned() });
            }
            None if self.config.source == Source::Relay => return Some(Fault::NoFeedKey),
            _ => {}
        }
        if introduction.issuer != self.config.issuer {
            return Some(Fault::Issuer { named: introduction.issuer.clone() });
        }
        if introduction.hops > MAX_HOPS {
            return Some(Fault::TooManyHops);
        }
        let known = self.trusted.as_ref().and_then(|trusted| trusted.log.as_deref());
        known.is_some_and(|log| log != head.log).then(|| Fault::OtherLog { named: head.log.clone() })
    }

    pub(super) fn take_snapshot(&mut self, body: Vec<u8>, now: Moment, out: &mut Vec<Output>) -> Result<(), FeedError> {
        let (key, log) = self.verifier()?;
        let snapshot = Snapshot::from_bytes(&body, &key, &log)?;
        if self.place.is_some() && !self.needs_snapshot {
            self.serve_only(body, point_of(&snapshot), now);
            return Ok(());
        }
        self.accept_place(&snapshot)?;
        let place = Place { at: snapshot.at, chain: snapshot.chain };
        let kept = self.writer.beyond(|at| snapshot.has(at));
        let point = point_of(&snapshot);
        let contents = ViewContents {
            position: snapshot.at,
            settings: snapshot.settings,
            issuers: snapshot.issuers,
            cells: snapshot.cells,
            kept,
            forgotten: UnixSeconds::default(),
        };
        match self.writer.replace(contents) {
            Ok(()) => {}
            Err(ReplaceError::Older { held, offered }) => return Err(FeedError::Older { held, offered }),
            Err(ReplaceError::Full(halt)) => {
                self.set_fault(Fault::ViewFull(halt));
                return Ok(());
            }
        }
        self.place = Some(place);
        if let (Some(trusted), Some(hash_key)) = (&mut self.trusted, self.next_hash_key.take()) {
            self.writer.set_hash_key(hash_key.clone());
            trusted.hash_key = hash_key;
        }
        if self.fault.as_ref().is_some_and(|fault| fault.is_over_at(place.at)) {
            self.clear_fault();
        }
        self.needs_snapshot = false;
        self.behind_log = true;
        // Not a failure, but the next one needed soon after this one is to wait.
        self.snapshots.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono);
        self.applied(place.at, out);
        self.hand_on(body, point, Use::View);
        Ok(())
    }

    /// A snapshot that the view does not need is for a relay's followers, if they wait for one. The view goes on by
    /// records, which show that they continue what it holds. A snapshot cannot: it is taken on the feed key's word,
    /// so only where the log has said that it no longer has the records.
    fn serve_only(&mut self, body: Vec<u8>, point: LogPoint, now: Moment) {
        if std::mem::take(&mut self.wants_to_serve) {
            self.snapshots.failed(LONGEST_BACKOFF, None, &mut self.draw, now.mono);
            self.hand_on(body, point, Use::Serve);
        }
    }

    fn hand_on(&mut self, bytes: Vec<u8>, point: LogPoint, used_for: Use) {
        if let Some(taken) = &mut self.taken {
            taken.push(Taken::Snapshot { bytes, point, used_for });
        }
    }

    /// A snapshot never takes the view back, and within an epoch never to another history.
    fn accept_place(&self, snapshot: &Snapshot) -> Result<(), FeedError> {
        let Some(place) = self.place else { return Ok(()) };
        if snapshot.at.epoch > place.at.epoch {
            return Ok(());
        }
        if snapshot.at < place.at {
            return Err(FeedError::Older { held: place.at, offered: snapshot.at });
        }
        let diverged = matches!(self.fault, Some(Fault::Diverged { .. }));
        if diverged || (snapshot.at == place.at && snapshot.chain != place.chain) {
            return Err(FeedError::Diverged { at: place.at });
        }
        Ok(())
    }

    pub(super) fn take_changes(&mut self, body: &[u8], out: &mut Vec<Output>) -> Result<(), FeedError> {
        let brought = self.take_frame(body, out)?;
        self.behind_log = brought;
        if !brought {
            self.wanted = None;
        }
        Ok(())
    }

    /// Verifies and applies a frame; says whether it brought records.
    fn take_frame(&mut self, bytes: &[u8], out: &mut Vec<Output>) -> Result<bool, FeedError> {
        let taken = self.apply_frame(bytes, out);
        // A genuine frame ends a fault of the feed, but not one of what is configured here.
        self.check_settings();
        taken
    }

    fn apply_frame(&mut self, bytes: &[u8], out: &mut Vec<Output>) -> Result<bool, FeedError> {
        let (key, log) = self.verifier()?;
        let Some(place) = self.place else { return Ok(false) };
        let frame = Frame::from_bytes(bytes)?.verify(&key, &log, place.at, place.chain)?;
        let is_current = frame.head().claimed().at >= place.at;
        if self.fault.as_ref().is_some_and(|fault| is_current && fault.is_over_at(frame.at())) {
            self.clear_fault();
        }
        if !frame.records().is_empty() {
            match self.writer.apply(frame.records()) {
                Ok(()) => {}
                Err(ApplyError::Full(halt) | ApplyError::Halted(halt)) => {
                    self.set_fault(self.fault.clone().unwrap_or(Fault::ViewFull(halt)));
                    return Ok(false);
                }
                Err(ApplyError::NotNext { expected, got }) => {
                    return Err(FeedError::NotDense { after: expected, found: got });
                }
                Err(_) => return Err(FeedError::Record(RecordError::Malformed)),
            }
            self.place = Some(Place { at: frame.at(), chain: frame.chain() });
            self.applied(frame.at(), out);
        }
        let brought = !frame.records().is_empty();
        if let Some(taken) = &mut self.taken {
            taken.push(Taken::Frame(frame));
        }
        Ok(brought)
    }

    fn applied(&mut self, at: Position, out: &mut Vec<Output>) {
        if self.wanted.is_some_and(|wanted| wanted <= at) {
            self.wanted = None;
        }
        self.mark_dirty();
        self.reports.soon = true;
        self.check_settings();
        out.push(Output::Applied(at));
    }

    /// Holds this verifier to the log's settings, and fetches the hash key they name.
    pub(super) fn check_settings(&mut self) {
        let Some(settings) = self.writer.view().settings() else { return };
        let configured = self.config.leeway.as_secs();
        // While another key waits for its snapshot, the settings held here rightly name the one before.
        let settled = self.trusted.as_ref().filter(|_| self.next_hash_key.is_none());
        let hash_key = settled.map(|trusted| trusted.hash_key.id());
        let fault = if settings.issuer != self.config.issuer {
            Some(Fault::Issuer { named: settings.issuer.clone() })
        } else if configured > settings.max_leeway {
            Some(Fault::Leeway { configured, allowed: settings.max_leeway })
        } else if hash_key.is_some_and(|id| id != settings.hash_key) {
            Some(Fault::HashKey)
        } else {
            None
        };
        match fault {
            Some(fault) => {
                self.introduced &= fault != Fault::HashKey || self.fault == Some(Fault::HashKey);
                self.set_fault(fault);
            }
            None if matches!(self.fault, Some(Fault::Issuer { .. } | Fault::Leeway { .. } | Fault::HashKey)) => {
                self.clear_fault();
            }
            None => {}
        }
    }

    pub(super) fn take_event(&mut self, event: SseEvent, now: Moment, out: &mut Vec<Output>) {
        let Stream::Open { heard, .. } = &mut self.stream else { return };
        *heard = now.mono;
        match event.event.as_str() {
            "frame" => {
                let mut bytes = event.data.into_bytes();
                bytes.push(b'\n');
                match self.take_frame(&bytes, out) {
                    Ok(_) => {}
                    // A gap: what is missing is fetched beside the stream, which stays good.
                    Err(reason @ FeedError::NotDense { .. }) => self.reject(reason, out),
                    Err(reason) => {
                        self.close_stream(out);
                        self.stream_ended(None, now);
                        self.reject(reason, out);
                    }
                }
            }
            "heartbeat" => self.hear_heartbeat(&event.data, now),
            "canary" => take_canary(&event.data, out),
            "gone" => {
                self.close_stream(out);
                self.stream_ended(None, now);
                self.behind_log = true;
                if gone_code(&event.data).as_deref() == Some("compacted") {
                    self.compacted(now);
                }
            }
            _ => {}
        }
    }

    /// A heartbeat shows that the line is alive. It never makes the view fresh; a genuine one that
    /// is ahead shows that something was missed.
    fn hear_heartbeat(&mut self, line: &str, now: Moment) {
        let Ok((key, log)) = self.verifier() else { return };
        if let Ok(signed) = SignedHead::from_line(line)
            && let Ok(head) = signed.verify(&key, &log)
        {
            self.want_after_grace(head.at, now.mono);
        }
    }

    pub(super) fn take_answer(&mut self, sent: Monotonic, body: &[u8], now: Moment, out: &mut Vec<Output>) {
        let Some(flight) = self.reports.in_air.take() else { return };
        if let Err(reason) = self.confirm(&flight, sent, body, now) {
            let cap = self.report_interval().min(LONGEST_BACKOFF);
            self.reports.backoff.failed(cap, None, &mut self.draw, now.mono);
            self.reports.soon = true;
            self.reject(reason, out);
            return;
        }
        self.reports.backoff.succeeded();
        self.reports.backoff.hold(flight.emitted.plus(REPORT_SPACING));
        self.reports.canaries.drain(..flight.canaries.min(self.reports.canaries.len()));
        if matches!(self.fault, Some(Fault::NotPermitted { .. })) {
            self.clear_fault();
        }
    }

    /// What the answer to a report proves.
    fn confirm(&mut self, flight: &Flight, sent: Monotonic, body: &[u8], now: Moment) -> Result<(), FeedError> {
        let (key, log) = self.verifier()?;
        let answer = ReportAnswer::from_json(body)?;
        let head = answer.head.verify(&key, &log)?.clone();
        if self.config.source == Source::Authority && head.nonce.as_deref() != Some(&flight.nonce) {
            return Err(FeedError::Nonce);
        }
        if answer.hops > MAX_HOPS {
            self.set_fault(Fault::TooManyHops);
            return Ok(());
        }
        // The head was read after the report came in, so it cannot lie before what was reported:
        // such a log has lost records, or is one that was left behind by a newer epoch (I11).
        if let Some(reported) = flight.position
            && head.at < reported
        {
            return Err(FeedError::Older { held: reported, offered: head.at });
        }
        if let Some(place) = self.place
            && head.at == place.at
            && head.chain != place.chain
        {
            return Err(FeedError::Diverged { at: place.at });
        }
        // The request left no earlier than it was handed out; the earlier moment is the safe one.
        let asked = sent.min(flight.emitted);
        if answer.age > asked.0 {
            // Older than this clock, which began with the machine: set to its beginning, the proof
            // would look younger than it is.
            return Ok(());
        }
        let proven = asked.minus(answer.age);
        let elapsed = now.mono.since(proven);
        let wall = now.wall.minus(elapsed.as_secs() + u64::from(elapsed.subsec_nanos() > 0));
        self.writer.confirm(head.at, proven, wall);
        self.want_after_grace(head.at, now.mono);
        Ok(())
    }

    fn verifier(&self) -> Result<(FeedKey, String), FeedError> {
        const TOO_EARLY: FeedError = FeedError::Malformed { what: "an answer before the introduction" };
        let trusted = self.trusted.as_ref().ok_or(TOO_EARLY)?;
        Ok((trusted.feed_key.clone(), trusted.log.clone().ok_or(TOO_EARLY)?))
    }
}

fn point_of(snapshot: &Snapshot) -> LogPoint {
    LogPoint {
        at: snapshot.at,
        chain: snapshot.chain,
        revision: snapshot.settings.revision,
        hash_key: snapshot.settings.hash_key.clone(),
    }
}

fn take_canary(data: &str, out: &mut Vec<Output>) {
    #[derive(Deserialize)]
    struct WireCanary {
        id: String,
        token: String,
    }
    if let Ok(WireCanary { id, token }) = serde_json::from_str(data)
        && id.len() <= Report::MAX_NAME
        && token.len() <= FeedLog::MAX_CANARY
    {
        out.push(Output::JudgeCanary { id, token });
    }
}

fn gone_code(data: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Gone {
        code: String,
    }
    serde_json::from_str::<Gone>(data).ok().map(|gone| gone.code)
}
