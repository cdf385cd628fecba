//! The follower, given whatever a network, a relay or a confused authority may bring, in any order.
//!
//! The bytes are a script over two histories that the feed key really signed and that part in the midst, over
//! their heads, frames and snapshots at any place, true and damaged, asked for or not. After every step the
//! view holds exactly what one of the histories holds at one position, that position has not gone back, and
//! the view's age counts from a report that was really answered.
//!
//! No frame leads from one history to the other, and no snapshot that was not asked for. One that was, because the
//! log no longer had the records between, may: nothing in it could show what it continues.

use std::sync::LazyLock;
use std::time::Duration;

use annul_core::feed::follower::{Follower, FollowerConfig, Input, Output, Request};
use annul_core::feed::frame::frame_bytes;
use annul_core::feed::log::ReplicaId;
use annul_core::feed::report::{Introduction, ReportAnswer};
use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::feed::sse::SseEvent;
use annul_core::packed::PackedCells;
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell, Record};
use annul_core::target::{HashKey, TargetHash, TargetKind};
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use annul_core::view::{KeptContents, View, ViewContents};
use arbitrary::{Arbitrary, Unstructured};
use serde_json::json;

use crate::golden::{self, LOG};

const ISSUER: &str = "https://auth.example";

/// Records of each history, and the last that both have.
const RECORDS: u64 = 12;
const FORK: u64 = 6;

/// Steps of one script: after some dozens nothing happens that could not happen sooner.
const MAX_STEPS: usize = 64;

/// One log, as it was at every sequence from 0.
struct History {
    lines: Vec<String>,
    chains: Vec<Chain>,
    contents: Vec<Option<ViewContents>>,
}

static HISTORIES: LazyLock<[History; 2]> = LazyLock::new(|| [History::new("main"), History::new("fork")]);

/// One cell for every target that any history names.
static NAMED: LazyLock<Vec<HashedCell>> = LazyLock::new(|| {
    let all = HISTORIES.iter().flat_map(|history| history.contents.iter().flatten());
    let mut named: Vec<HashedCell> = all.flat_map(|contents| contents.cells.iter()).collect();
    named.sort_by_key(|cell| cell.target);
    named.dedup_by_key(|cell| cell.target);
    named
});

fn hash_key() -> HashKey {
    HashKey::from_bytes([9; 32])
}

impl History {
    fn new(branch: &str) -> Self {
        let mut lines = Vec::new();
        let target = |name: String| TargetHash::of(&hash_key(), ISSUER, TargetKind::Subject, &[&name]);
        for seq in 1..=RECORDS {
            let at = format!("1:{seq}");
            let name = if seq > FORK { format!("{branch}-{seq}") } else { format!("both-{}", seq % 4) };
            let line = match seq {
                1 => json!({"at": at, "kind": "settings", "settings": {
                    "revision": 1, "issuer": ISSUER, "longest_life": 900, "max_leeway": 60, "clock_skew": 5,
                    "claims": [], "ask_on": [], "hash_key": hash_key().id(),
                }}),
                2 => json!({"at": at, "kind": "issuer", "issuer": {
                    "issuer": ISSUER, "keys": [], "longest_life": 900, "skew": 0, "requires_jti": true,
                }}),
                5 => json!({"at": at, "kind": "noop"}),
                9 => json!({"at": at, "kind": "lift", "cells": [
                    {"target": target(format!("{branch}-7")), "of": "subject"}]}),
                11 => json!({"at": at, "kind": "decoration", "optional": true}),
                _ => json!({"at": at, "kind": "revoke", "target": target(name), "of": "subject", "now": true,
                    "always": seq % 2 == 0}),
            };
            lines.push(line.to_string());
        }
        let mut chains = vec![Chain::genesis(LOG)];
        let (_, mut writer) = View::new();
        let mut contents = vec![None];
        for line in &lines {
            chains.push(chains[chains.len() - 1].extend(line));
            writer.apply(&[Record::from_line(line).expect("a record")]).expect("the next record");
            contents.push(writer.contents().map(|contents| ViewContents { forgotten: UnixSeconds(0), ..contents }));
        }
        Self { lines, chains, contents }
    }

    fn frame(&self, from: u64, to: u64) -> Vec<u8> {
        let (from, to) = (from.min(to), from.max(to));
        let head = golden::head(Position::new(1, to), self.chain(to), &hash_key().id(), None).to_line();
        frame_bytes(self.lines[from as usize..to as usize].iter().map(String::as_str), &head)
    }

    fn chain(&self, seq: u64) -> Chain {
        self.chains[seq as usize]
    }

    fn snapshot(&self, seq: u64) -> Vec<u8> {
        let Some(contents) = self.contents[seq as usize].clone() else { return Vec::new() };
        let ViewContents { position: at, settings, issuers, cells, .. } = contents;
        let snapshot =
            Snapshot { log: LOG.to_owned(), at, chain: self.chain(seq), epochs: Vec::new(), settings, issuers, cells };
        snapshot.to_bytes(golden::signer())
    }
}

/// Where something comes from: a history and a place in it.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Origin {
    forked: bool,
    seq: u8,
}

impl Origin {
    fn history(self) -> &'static History {
        &HISTORIES[usize::from(self.forked)]
    }

    fn seq(self) -> u64 {
        u64::from(self.seq) % (RECORDS + 1)
    }
}

/// What happens next.
#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Introduction { of: Origin, is_asked_nonce: bool },
    Snapshot { of: Origin, damage: Option<u8> },
    Changes { to: Origin, from: u8, damage: Option<u8> },
    Event { to: Origin, from: u8, damage: Option<u8> },
    Answer { of: Origin, is_asked_nonce: bool },
    Raw { channel: u8, bytes: Vec<u8> },
    Refused { status: u16 },
    Failed,
    StreamOpened,
    StreamClosed,
    Ahead { seq: u8 },
    Pass { millis: u16 },
    Restart { damage: Option<u8> },
}

/// Plays the script in these bytes.
pub fn check(bytes: &[u8]) {
    let mut script = Unstructured::new(bytes);
    let mut stage = Stage::new();
    for _ in 0..MAX_STEPS {
        if script.is_empty() {
            return;
        }
        let Ok(step) = Step::arbitrary(&mut script) else { return };
        stage.play(step);
    }
}

struct Stage {
    view: View,
    follower: Follower,
    millis: u64,
    asked: Vec<Request>,
    stored: Option<Vec<u8>>,
    seen: Option<Position>,
    /// Which history the view was found to be of, once it has passed the fork.
    forked: Option<bool>,
    /// Whether what is being given is a snapshot that was asked for.
    is_asked_snapshot: bool,
    /// When the last report went up that was answered over its own nonce.
    answered: Option<u64>,
}

impl Stage {
    fn new() -> Self {
        let (view, follower) = follower();
        let mut stage = Self {
            view,
            follower,
            millis: 1000,
            asked: Vec::new(),
            stored: None,
            seen: None,
            forked: None,
            is_asked_snapshot: false,
            answered: None,
        };
        stage.give(Input::Start { stored: None });
        stage
    }

    fn play(&mut self, step: Step) {
        let body = |bytes: Vec<u8>, damage: Option<u8>| damage.map_or(bytes.clone(), |damage| damaged(bytes, damage));
        match step {
            Step::Introduction { of, is_asked_nonce } => {
                let nonce = self.asked.iter().find_map(|request| match request {
                    Request::Introduction { nonce } => Some(nonce.clone()),
                    _ => None,
                });
                let nonce = if is_asked_nonce { nonce } else { None };
                let at = Position::new(1, of.seq());
                let introduction = Introduction {
                    head: golden::head(at, of.history().chain(of.seq()), &hash_key().id(), nonce),
                    feed_key: golden::key().clone(),
                    hash_key: hash_key(),
                    issuer: ISSUER.to_owned(),
                    hops: 0,
                };
                self.give(Input::Introduced(introduction.to_json()));
            }
            Step::Snapshot { of, damage } => {
                let asked = self.asked.iter().position(|request| *request == Request::Snapshot);
                self.is_asked_snapshot = asked.map(|index| self.asked.remove(index)).is_some();
                self.give(Input::Snapshot(body(of.history().snapshot(of.seq()), damage)));
                self.is_asked_snapshot = false;
            }
            Step::Changes { to, from, damage } => {
                let frame = to.history().frame(u64::from(from) % (RECORDS + 1), to.seq());
                self.give(Input::Changes(body(frame, damage)));
            }
            Step::Event { to, from, damage } => {
                let frame = body(to.history().frame(u64::from(from) % (RECORDS + 1), to.seq()), damage);
                let text = String::from_utf8_lossy(&frame).into_owned();
                let text = text.strip_suffix('\n').map_or(text.clone(), str::to_owned);
                self.give(Input::StreamEvent(SseEvent::new("frame", text)));
            }
            Step::Answer { of, is_asked_nonce } => self.answer(of, is_asked_nonce),
            Step::Raw { channel, bytes } => self.give(match channel % 8 {
                0 => Input::Introduced(bytes),
                1 => Input::Snapshot(bytes),
                2 => Input::Changes(bytes),
                3 => Input::Reported { sent: self.now().mono, body: bytes },
                channel => {
                    let event = ["frame", "heartbeat", "canary", "gone"][usize::from(channel - 4)];
                    Input::StreamEvent(SseEvent::new(event, String::from_utf8_lossy(&bytes)))
                }
            }),
            Step::Refused { status } => {
                if let Some(request) = self.asked.pop() {
                    self.give(Input::Refused { request, status, retry_after: Some(Duration::from_secs(1)) });
                }
            }
            Step::Failed => {
                if let Some(request) = self.asked.pop() {
                    self.give(Input::Failed(request));
                }
            }
            Step::StreamOpened => self.give(Input::StreamOpened),
            Step::StreamClosed => self.give(Input::StreamClosed),
            Step::Ahead { seq } => self.give(Input::TokenAhead(Position::new(1, u64::from(seq)))),
            Step::Pass { millis } => {
                self.millis += u64::from(millis);
                self.give(Input::Tick);
            }
            Step::Restart { damage } => self.restart(damage),
        }
    }

    fn answer(&mut self, of: Origin, is_asked_nonce: bool) {
        let index = self.asked.iter().position(|request| matches!(request, Request::Report { .. }));
        let Some(Request::Report { report, .. }) = index.map(|index| self.asked.remove(index)) else { return };
        let nonce = if is_asked_nonce { report.nonce } else { "another".to_owned() };
        let head =
            golden::head(Position::new(1, of.seq()), of.history().chain(of.seq()), &hash_key().id(), Some(nonce));
        let body = ReportAnswer { head, age: Duration::ZERO, hops: 0 }.to_json();
        if is_asked_nonce {
            self.answered = Some(self.millis);
        }
        self.give(Input::Reported { sent: self.now().mono, body });
    }

    /// The process ends and starts again with what was last stored.
    fn restart(&mut self, damage: Option<u8>) {
        let stored = self.stored.clone().map(|bytes| damage.map_or(bytes.clone(), |damage| damaged(bytes, damage)));
        (self.view, self.follower) = follower();
        self.asked.clear();
        self.answered = None;
        // What was not stored is fetched again: only within one process the position never goes back.
        self.seen = None;
        self.forked = None;
        self.give(Input::Start { stored });
    }

    fn give(&mut self, input: Input) {
        for output in self.follower.step(input, self.now()) {
            match output {
                Output::Send(request) => self.asked.push(request),
                Output::Persist(bytes) => {
                    let state = StoredState::from_bytes(&bytes).expect("what is stored can be read");
                    assert_eq!(state.view.map(|view| view.at), self.view.position());
                    self.stored = Some(bytes);
                }
                _ => {}
            }
        }
        self.asked.truncate(MAX_STEPS);
        self.holds();
    }

    fn holds(&mut self) {
        let position = self.view.position();
        assert_eq!(self.follower.position(), position);
        assert!(position >= self.seen, "the view went back from {:?} to {position:?}", self.seen);
        self.seen = position;
        if let Some(at) = position {
            let held = Some(contents(&self.view, at));
            let of = [false, true].map(|forked| held == HISTORIES[usize::from(forked)].contents[at.seq as usize]);
            assert!(of[0] || of[1], "the view at {at} is of no history");
            if at.seq > FORK {
                let forked = of[1];
                let was = *self.forked.get_or_insert(forked);
                assert!(was == forked || self.is_asked_snapshot, "the view changed histories");
                self.forked = Some(forked);
            }
        }
        if let Some(age) = self.view.age(self.now().mono) {
            let answered = self.answered.expect("a view has an age only by a report that was answered");
            assert!(age >= Duration::from_millis(self.millis - answered), "younger than its last proof");
        }
    }

    fn now(&self) -> Moment {
        let mono = Monotonic(Duration::from_millis(self.millis));
        Moment { wall: UnixSeconds(1_800_000_000 + self.millis / 1000), mono }
    }
}

fn follower() -> (View, Follower) {
    let (view, writer) = View::new();
    let id = ReplicaId::new("fuzz", "one").expect("a plain name");
    let mut config = FollowerConfig::new(id, ISSUER, Duration::from_secs(60), 7);
    config.persist_every = Some(Duration::ZERO);
    (view, Follower::new(config, writer))
}

/// What the view shows of itself at `at`, for every target that any history names.
fn contents(view: &View, at: Position) -> ViewContents {
    let held = |named: &HashedCell| {
        let cell = view.cell(&named.target)?;
        Some(HashedCell { cell: Some(cell), ..*named })
    };
    let cells = NAMED.iter().filter_map(held).collect();
    ViewContents {
        position: at,
        settings: view.settings().expect("a view with a position has settings").as_ref().clone(),
        issuers: view.issuer(ISSUER).map(|issuer| issuer.record.clone()).into_iter().collect(),
        cells: PackedCells::of(at, cells),
        kept: KeptContents::default(),
        forgotten: UnixSeconds(0),
    }
}

fn damaged(mut bytes: Vec<u8>, damage: u8) -> Vec<u8> {
    let place = usize::from(damage) * 31 % bytes.len().max(1);
    match bytes.get_mut(place) {
        Some(byte) => *byte ^= 1 << (damage % 8),
        None => bytes.push(damage),
    }
    bytes
}
