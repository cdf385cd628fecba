//! What becomes of what a verifier holds when a later epoch forks off below it (I12).
//!
//! The oracle knows entries and lifts, no cells: an entry that a verifier applied is in force until the log that it
//! was an entry of lifts it, or, once a later log does not have it, for good.

use std::collections::BTreeSet;
use std::time::Duration;

use annul_core::algebra::{CutoffFields, Reading, Until};
use annul_core::feed::follower::{Follower, FollowerConfig, Input, Output, Request};
use annul_core::feed::frame::frame_bytes;
use annul_core::feed::head::Head;
use annul_core::feed::report::Introduction;
use annul_core::feed::snapshot::Snapshot;
use annul_core::position::Position;
use annul_core::record::{Chain, Entry, EpochKind, EpochStart, HashedCell, Record, RecordBody};
use annul_core::settings::Settings;
use annul_core::target::{HashKey, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use annul_core::view::{View, ViewContents};
use proptest::prelude::*;

use crate::authority::{ISSUER, LOG, WALL, config, moment, signer, target};

/// Targets of a history: few, so that entries and lifts meet.
const TARGETS: u8 = 3;

fn hash_key() -> HashKey {
    HashKey::from_bytes([3; 32])
}

/// A log, line by line, and how its later epochs began.
#[derive(Clone)]
struct Log {
    records: Vec<Record>,
    chains: Vec<Chain>,
    epochs: Vec<EpochStart>,
}

impl Log {
    fn new() -> Self {
        let mut log = Self { records: Vec::new(), chains: vec![Chain::genesis(LOG)], epochs: Vec::new() };
        log.push(Position::new(1, 1), RecordBody::Settings(settings()));
        log
    }

    fn push(&mut self, at: Position, body: RecordBody) {
        let record = Record { at, body };
        self.chains.push(self.chains[self.records.len()].extend(&record.to_line()));
        self.records.push(record);
    }

    fn append(&mut self, body: RecordBody) {
        self.push(self.records.last().unwrap().at.next(), body);
    }

    fn revoke(&mut self, byte: u8, fields: CutoffFields, until: Until) {
        let entry = Entry { target: target(byte), kind: TargetKind::Subject, fields, until };
        self.append(RecordBody::Revoke(entry));
    }

    fn lift(&mut self, byte: u8) {
        let cell = HashedCell { target: target(byte), kind: TargetKind::Subject, cell: None };
        self.append(RecordBody::Lift(vec![cell]));
    }

    /// The log as it goes on in a later epoch, without its last `lost` records.
    fn forked(&self, lost: usize, epoch: u32) -> Self {
        let end = self.records.len().saturating_sub(lost).max(1);
        let (fork, fork_chain) = (self.records[end - 1].at, self.chains[end]);
        let mut log = self.clone();
        log.records.truncate(end);
        log.chains.truncate(end + 1);
        log.epochs.retain(|start| start.fork.epoch < fork.epoch);
        let start = EpochStart { epoch_kind: EpochKind::Failover, fork, fork_chain };
        log.epochs.push(start);
        log.push(Position::new(epoch, 1), RecordBody::Epoch(start));
        log
    }

    fn index(&self, at: Position) -> Option<usize> {
        self.records.iter().position(|record| record.at == at)
    }

    fn head(&self, last: usize) -> annul_core::feed::head::SignedHead {
        signer(7).sign_head(Head {
            log: LOG.to_owned(),
            at: self.records[last].at,
            chain: self.chains[last + 1],
            revision: 1,
            hash_key: hash_key().id(),
            issued: UnixMillis(0),
            nonce: None,
        })
    }

    fn introduction(&self) -> Vec<u8> {
        let head = self.head(self.records.len() - 1);
        let (feed_key, issuer) = (signer(7).key().clone(), ISSUER.to_owned());
        Introduction { head, feed_key, hash_key: hash_key(), issuer, hops: 0 }.to_json()
    }

    fn frame(&self, first: usize, last: usize) -> Vec<u8> {
        let lines: Vec<String> = self.records[first..=last].iter().map(Record::to_line).collect();
        frame_bytes(lines.iter().map(String::as_str), &self.head(last).to_line())
    }

    fn snapshot(&self, last: usize) -> Vec<u8> {
        let (_, mut writer) = View::new();
        writer.apply(&self.records[..=last]).unwrap();
        let ViewContents { position: at, settings, issuers, cells, .. } = writer.contents().unwrap();
        let epochs = self.epochs.iter().filter(|start| start.fork.epoch < at.epoch).copied().collect();
        let chain = self.chains[last + 1];
        Snapshot { log: LOG.to_owned(), at, chain, epochs, settings, issuers, cells }.to_bytes(&signer(7))
    }

    /// The entries up to `last` that none of its lifts undid.
    fn live(&self, last: usize) -> BTreeSet<Live> {
        let mut live = BTreeSet::new();
        for record in &self.records[..=last] {
            match &record.body {
                RecordBody::Revoke(entry) => {
                    live.insert(Live { at: record.at, target: entry.target.0[0], always: entry.fields.always });
                }
                RecordBody::Lift(cells) => live.retain(|entry| entry.target != cells[0].target.0[0]),
                _ => {}
            }
        }
        live
    }
}

fn settings() -> Settings {
    Settings {
        revision: 1,
        issuer: ISSUER.to_owned(),
        longest_life: 900,
        max_leeway: 60,
        clock_skew: 5,
        claims: Vec::new(),
        ask_on: Vec::new(),
        hash_key: hash_key().id(),
    }
}

/// An entry in force: `always`, or `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Live {
    at: Position,
    target: u8,
    always: bool,
}

/// A verifier, and the oracle of what it must refuse.
struct Verifier {
    view: View,
    follower: Follower,
    stored: Option<Vec<u8>>,
    millis: u64,
    held: BTreeSet<Live>,
}

impl Verifier {
    fn new(log: &Log) -> Self {
        let (view, follower) = follower();
        let mut verifier = Self { view, follower, stored: None, millis: 1000, held: BTreeSet::new() };
        verifier.give(Input::Start { stored: None });
        verifier.give(Input::Introduced(log.introduction()));
        verifier.give(Input::Snapshot(log.snapshot(0)));
        verifier
    }

    fn give(&mut self, input: Input) {
        for output in self.follower.step(input, moment(self.millis)) {
            if let Output::Persist(bytes) = output {
                self.stored = Some(bytes);
            }
        }
    }

    /// Brings the verifier to the record `last` of a log, by a frame where that is wanted and can be.
    fn take(&mut self, log: &Log, last: usize, by_frame: bool) {
        let held = self.follower.position().unwrap();
        let place = log.index(held);
        if log.records[last].at <= held {
            return;
        }
        match place {
            Some(place) if by_frame => self.give(Input::Changes(log.frame(place + 1, last))),
            _ => {
                let request = Request::Changes { after: held, chain: Chain([0; 32]), wait: Duration::ZERO };
                self.give(Input::Refused { request, status: 410, retry_after: None });
                self.give(Input::Snapshot(log.snapshot(last)));
            }
        }
        assert_eq!(self.follower.position(), Some(log.records[last].at));
        let has = |at| log.index(at).is_some_and(|index| index <= last);
        self.held.retain(|entry| !has(entry.at));
        self.held.extend(log.live(last));
    }

    fn restart(&mut self) {
        (self.view, self.follower) = follower();
        self.give(Input::Start { stored: self.stored.clone() });
    }

    fn refuses(&self, byte: u8, position: Position) -> bool {
        let reading = Reading::Own { position, time: UnixSeconds(WALL) };
        self.view.cell(&target(byte)).is_some_and(|cell| cell.judge(&reading).is_some())
    }

    fn is_as_promised(&self, places: &[Position]) -> Result<(), TestCaseError> {
        for byte in 0..TARGETS {
            for place in places {
                let promised =
                    self.held.iter().any(|entry| entry.target == byte && (entry.always || entry.at > *place));
                prop_assert_eq!(self.refuses(byte, *place), promised, "subject {} at {}: {:?}", byte, place, self.held);
            }
        }
        Ok(())
    }
}

fn follower() -> (View, Follower) {
    let (view, writer) = View::new();
    let config = FollowerConfig { persist_every: Some(Duration::ZERO), ..config("one", 1) };
    (view, Follower::new(config, writer))
}

const NOW: CutoffFields = CutoffFields { always: false, now: true, before: None };
const ALWAYS: CutoffFields = CutoffFields { always: true, now: false, before: None };

/// What happens next: to the log, or to the verifier.
#[derive(Clone, Copy, Debug)]
enum Step {
    Revoke { target: u8, always: bool },
    Lift { target: u8 },
    Fork { lost: usize },
    Follow { behind: usize, by_frame: bool },
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..TARGETS, any::<bool>()).prop_map(|(target, always)| Step::Revoke { target, always }),
        2 => (0..TARGETS).prop_map(|target| Step::Lift { target }),
        2 => (0..8_usize).prop_map(|lost| Step::Fork { lost }),
        5 => (0..3_usize, any::<bool>()).prop_map(|(behind, by_frame)| Step::Follow { behind, by_frame }),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn i12_a_verifier_refuses_what_its_log_says_and_what_it_had_from_above_every_fork(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut log = Log::new();
        let mut verifier = Verifier::new(&log);
        let (mut places, mut epoch) = (vec![Position::new(1, 0)], 1);
        for step in steps {
            match step {
                Step::Revoke { target, always: true } => log.revoke(target, ALWAYS, Until::Never),
                Step::Revoke { target, always: false } => log.revoke(target, NOW, Until::At(UnixSeconds(WALL + 9_000))),
                Step::Lift { target } => log.lift(target),
                Step::Fork { lost } => {
                    epoch += 1;
                    log = log.forked(lost, epoch);
                }
                Step::Follow { behind, by_frame } => {
                    verifier.take(&log, log.records.len().saturating_sub(1 + behind), by_frame);
                }
                Step::Restart => verifier.restart(),
            }
            places.push(log.records.last().unwrap().at);
            verifier.is_as_promised(&places)?;
        }
    }
}

/// A verifier at 1:3 with entries on the subjects 0 and 1, and the log that goes on without the second.
fn past_the_fork(until: Until) -> (Verifier, Log) {
    let mut log = Log::new();
    log.revoke(0, NOW, Until::Never);
    log.revoke(1, NOW, until);
    let mut verifier = Verifier::new(&log);
    verifier.take(&log, 2, true);
    (verifier, log.forked(1, 2))
}

#[test]
fn i12_what_lies_above_a_fork_outlives_lifts_snapshots_and_restarts() {
    let (mut verifier, mut log) = past_the_fork(Until::Never);
    let before = Position::new(1, 1);
    log.lift(0);
    log.lift(1);
    verifier.take(&log, 2, false);
    assert!(verifier.refuses(0, before) && verifier.refuses(1, before));
    verifier.take(&log, 4, true);
    assert!(!verifier.refuses(0, before), "below the fork the log's word holds");
    assert!(verifier.refuses(1, before), "the log has lifted an entry of its own, not this one");
    log.revoke(2, NOW, Until::Never);
    verifier.take(&log, 5, false);
    verifier.restart();
    assert!(verifier.refuses(1, before));
    assert_eq!(verifier.view.status(moment(verifier.millis)).kept, 1);
    assert!(!verifier.refuses(1, Position::new(2, 1)), "a login of the new epoch is none of its business");
}

#[test]
fn i12_what_lies_above_a_fork_ends_with_its_until_and_not_before() {
    let (mut verifier, log) = past_the_fork(Until::At(UnixSeconds(WALL + 100)));
    verifier.take(&log, 2, false);
    let before = Position::new(1, 1);
    for (seconds, is_refused) in [(100, true), (130, false)] {
        verifier.millis = seconds * 1000;
        verifier.give(Input::Tick);
        assert_eq!(verifier.refuses(1, before), is_refused, "after {seconds} s");
    }
    assert_eq!(verifier.view.status(moment(verifier.millis)).kept, 0);
}

#[test]
fn i8_a_verifier_that_missed_an_epoch_keeps_nothing_that_the_log_has() {
    let (mut verifier, _) = past_the_fork(Until::Never);
    let mut log = Log::new();
    log.revoke(0, NOW, Until::Never);
    log.revoke(1, NOW, Until::Never);
    let mut log = log.forked(0, 2);
    log.lift(1);
    let log = log.forked(0, 3);
    verifier.take(&log, log.records.len() - 1, false);
    assert!(!verifier.refuses(1, Position::new(1, 1)), "its entry is the log's, which has lifted it");
    assert_eq!(verifier.view.status(moment(verifier.millis)).kept, 0);
}

#[test]
fn i12_no_frame_leads_a_verifier_past_a_fork() {
    let (mut verifier, log) = past_the_fork(Until::Never);
    verifier.give(Input::Changes(log.frame(2, 2)));
    assert_eq!(verifier.follower.position(), Some(Position::new(1, 3)));
    assert_eq!(verifier.follower.fault(), None, "it asks again, and is told to take the snapshot");
}
