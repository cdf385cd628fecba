//! A deterministic network: one authority, followers and relays, and links that delay, lose, repeat
//! and reorder. One seed drives everything; one clock is everybody's, and nobody else sees it.
//!
//! After every event an omniscient check asks each view: are you as complete as your age claims?

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use annul_core::feed::follower::{Follower, FollowerConfig, Input, Output, Request, Source};
use annul_core::feed::log::{Ask, Changes, FeedLogConfig, ReplicaId, StreamCursor, StreamStep};
use annul_core::feed::relay::Relay;
use annul_core::feed::report::{ReplicaState, Report};
use annul_core::feed::snapshot::StoredState;
use annul_core::feed::sse::SseParser;
use annul_core::position::Position;
use annul_core::time::{Moment, Monotonic};
use annul_core::view::View;

use crate::authority::{Authority, Reply, moment, signer, target};

/// What the links do, in per mille of messages.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) flipped: u64,
    pub(crate) cut: u64,
    pub(crate) longest_delay: u64,
    pub(crate) no_streams: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parent {
    Authority,
    Relay(usize),
    Nobody,
}

pub(crate) struct World {
    pub(crate) authority: Authority,
    pub(crate) nodes: Vec<Node>,
    pub(crate) faults: Faults,
    pub(crate) now: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    payloads: Vec<Option<Event>>,
    draw: u64,
    pub(crate) snapshots_served: usize,
    pub(crate) changes_served: usize,
}

pub(crate) struct Node {
    machine: Machine,
    config: FollowerConfig,
    parent: Parent,
    view: View,
    stored: Option<Vec<u8>>,
    stored_at: Option<Position>,
    seen: Option<Position>,
    stream: Option<StreamCursor>,
    generation: u64,
    stream_generation: u64,
    pub(crate) outputs: Vec<Output>,
}

enum Machine {
    Follower(Box<Follower>),
    Relay(Box<Relay>),
}

enum Event {
    Arrive { node: usize, generation: u64, request: Request, sent: Monotonic, held_until: Option<u64> },
    Deliver { node: usize, generation: u64, input: Input },
    StreamBytes { node: usize, stream: u64, bytes: Vec<u8> },
    Pump { node: usize, stream: u64 },
    Wake { node: usize, generation: u64 },
}

impl World {
    pub(crate) fn new(seed: u64, ring_records: usize, faults: Faults) -> Self {
        Self {
            authority: Authority::new(ring_records),
            nodes: Vec::new(),
            faults,
            now: 1000,
            events: BinaryHeap::new(),
            payloads: Vec::new(),
            draw: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            snapshots_served: 0,
            changes_served: 0,
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        moment(self.now)
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.draw ^= self.draw << 13;
        self.draw ^= self.draw >> 7;
        self.draw ^= self.draw << 17;
        self.draw % below.max(1)
    }

    fn happens(&mut self, per_mille: u64) -> bool {
        self.random(1000) < per_mille
    }

    pub(crate) fn add(&mut self, mut config: FollowerConfig, parent: Parent, is_relay: bool) -> usize {
        if parent != Parent::Authority {
            config.source = Source::Relay;
            config.feed_key = Some(signer(7).key().fingerprint().to_owned());
        }
        let (machine, view) = Machine::new(&config, is_relay);
        self.nodes.push(Node {
            machine,
            config,
            parent,
            view,
            stored: None,
            stored_at: None,
            seen: None,
            stream: None,
            generation: 0,
            stream_generation: 0,
            outputs: Vec::new(),
        });
        let node = self.nodes.len() - 1;
        self.input(node, Input::Start { stored: None });
        node
    }

    /// Kills a node and starts it again from what it had stored.
    pub(crate) fn restart(&mut self, node: usize) {
        let fresh_seed = self.random(u64::MAX);
        let state = &mut self.nodes[node];
        state.config.seed = fresh_seed;
        let is_relay = matches!(state.machine, Machine::Relay(_));
        (state.machine, state.view) = Machine::new(&state.config, is_relay);
        state.generation += 1;
        state.stream_generation += 1;
        state.stream = None;
        state.seen = None;
        let stored = state.stored.clone();
        self.input(node, Input::Start { stored });
        assert_eq!(self.nodes[node].seen, self.nodes[node].stored_at, "I4: a restart begins where it had stored");
    }

    /// Cuts a node off from its parent; nodes behind it are not touched.
    pub(crate) fn cut_off(&mut self, node: usize) {
        self.nodes[node].parent = Parent::Nobody;
    }

    pub(crate) fn reconnect(&mut self, node: usize, parent: Parent) {
        self.nodes[node].parent = parent;
    }

    pub(crate) fn state(&self, node: usize) -> ReplicaState {
        self.nodes[node].machine.follower().state(self.moment().mono)
    }

    pub(crate) fn follower(&self, node: usize) -> &Follower {
        self.nodes[node].machine.follower()
    }

    pub(crate) fn view(&self, node: usize) -> &View {
        &self.nodes[node].view
    }

    /// Runs for so many milliseconds, `each` between the events.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(Reverse((at, _, index))) = self.events.peek().copied()
            && at <= end
        {
            self.events.pop();
            self.now = self.now.max(at);
            let event = self.payloads[index].take().unwrap();
            self.happen(event);
        }
        self.now = end;
        self.check_honesty();
    }

    fn schedule(&mut self, after: u64, event: Event) {
        let index = self.payloads.len();
        self.payloads.push(Some(event));
        self.events.push(Reverse((self.now + after, index as u64, index)));
    }

    fn delay(&mut self) -> u64 {
        1 + self.random(self.faults.longest_delay.max(1))
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { node, generation, request, sent, held_until } => {
                if self.nodes[node].generation == generation {
                    self.arrive(node, request, sent, held_until);
                }
            }
            Event::Deliver { node, generation, input } => {
                if self.nodes[node].generation == generation {
                    self.input(node, input);
                }
            }
            Event::StreamBytes { node, stream, bytes } => {
                if self.nodes[node].stream_generation == stream && self.nodes[node].stream.is_some() {
                    let mut parser = SseParser::new();
                    for event in parser.push(&bytes).unwrap_or_default() {
                        self.input(node, Input::StreamEvent(event));
                    }
                }
            }
            Event::Pump { node, stream } => self.pump(node, stream),
            Event::Wake { node, generation } => {
                if self.nodes[node].generation == generation {
                    self.input(node, Input::Tick);
                }
            }
        }
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let now = self.moment();
        let outputs = self.nodes[node].machine.step(input, now);
        self.perform(node, outputs);
        self.check_node(node);
    }

    /// A report of a replica that is no node here, to a relay.
    pub(crate) fn report_behind(&mut self, relay: usize, instance: &str, report: Report) {
        let (id, now) = (ReplicaId::new("api", instance).unwrap(), self.moment());
        let (answer, outputs) = self.nodes[relay].machine.relay().report(id, report, now);
        answer.unwrap();
        self.perform(relay, outputs);
    }

    fn perform(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            let generation = self.nodes[node].generation;
            match output {
                Output::Send(request) => self.send(node, request),
                Output::CloseStream => {
                    self.nodes[node].stream = None;
                    self.nodes[node].stream_generation += 1;
                }
                Output::Persist(bytes) => {
                    let at = StoredState::from_bytes(&bytes).unwrap().view.map(|view| view.at);
                    assert!(at >= self.nodes[node].stored_at, "I4: the persisted position went back");
                    self.nodes[node].stored_at = at;
                    self.nodes[node].stored = Some(bytes);
                }
                Output::WakeAt(at) => {
                    let after = at.since(self.moment().mono).as_millis() as u64 + 1;
                    self.schedule(after.max(1), Event::Wake { node, generation });
                }
                other => self.nodes[node].outputs.push(other),
            }
        }
    }

    fn send(&mut self, node: usize, request: Request) {
        let generation = self.nodes[node].generation;
        let sent = self.moment().mono;
        if self.happens(self.faults.lost) {
            let after = self.random(request.timeout().as_millis() as u64);
            return self.schedule(after, Event::Deliver { node, generation, input: Input::Failed(request) });
        }
        let after = self.delay();
        self.schedule(after, Event::Arrive { node, generation, request, sent, held_until: None });
    }

    fn arrive(&mut self, node: usize, request: Request, sent: Monotonic, held_until: Option<u64>) {
        let now = self.moment();
        if let Request::Stream { after, chain } = request {
            return self.open_stream(node, after, chain);
        }
        self.snapshots_served += usize::from(request == Request::Snapshot);
        self.changes_served += usize::from(matches!(request, Request::Changes { .. }));
        let reply = match self.nodes[node].parent {
            Parent::Nobody => {
                let generation = self.nodes[node].generation;
                return self.schedule(2_000, Event::Deliver { node, generation, input: Input::Failed(request) });
            }
            Parent::Authority => self.authority.answer(&request, now),
            Parent::Relay(relay) => {
                let (reply, outputs) = self.nodes[relay].machine.relay().answer(&request, now);
                self.perform(relay, outputs);
                reply
            }
        };
        let generation = self.nodes[node].generation;
        let body = match reply {
            Reply::Body(body) => body,
            Reply::Hold(empty) => {
                let Request::Changes { wait, .. } = &request else { unreachable!() };
                let until = held_until.unwrap_or(self.now + wait.as_millis() as u64);
                if self.now < until {
                    let held_until = Some(until);
                    return self.schedule(20, Event::Arrive { node, generation, request, sent, held_until });
                }
                empty
            }
            Reply::Status(status) => {
                let after = self.delay();
                let input = Input::Refused { request, status, retry_after: None };
                return self.schedule(after, Event::Deliver { node, generation, input });
            }
        };
        // A relay's age is vouched for by the connection (TLS), not by a signature: damage to it is
        // not something a follower could see.
        let vouched_by_connection =
            matches!((&request, self.nodes[node].parent), (Request::Report { .. }, Parent::Relay(_)));
        let body = if vouched_by_connection { body } else { self.damaged(body) };
        let input = match &request {
            Request::Introduction { .. } => Input::Introduced(body),
            Request::Snapshot => Input::Snapshot(body),
            Request::Changes { .. } => Input::Changes(body),
            Request::Report { .. } => Input::Reported { sent, body },
            Request::Stream { .. } => unreachable!(),
        };
        if self.happens(self.faults.repeated) {
            let after = self.delay();
            self.schedule(after, Event::Deliver { node, generation, input: input.clone() });
        }
        let input = if self.happens(self.faults.lost) { Input::Failed(request) } else { input };
        let after = self.delay();
        self.schedule(after, Event::Deliver { node, generation, input });
    }

    fn damaged(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.happens(self.faults.flipped) {
            let at = self.random(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.random(8);
        }
        if self.happens(self.faults.cut) {
            let at = self.random(bytes.len() as u64) as usize;
            bytes.truncate(at);
        }
        bytes
    }

    fn open_stream(&mut self, node: usize, after: Position, chain: annul_core::record::Chain) {
        let generation = self.nodes[node].generation;
        let refused = Input::Refused { request: Request::Stream { after, chain }, status: 503, retry_after: None };
        let cursor = match self.nodes[node].parent {
            _ if self.faults.no_streams => None,
            Parent::Nobody => None,
            Parent::Authority => Some(self.authority.log.open_stream(after, Some(chain))),
            Parent::Relay(relay) => self.nodes[relay].machine.relay().open_stream(after, Some(chain)),
        };
        let Some(cursor) = cursor else {
            return self.schedule(1, Event::Deliver { node, generation, input: refused });
        };
        self.nodes[node].stream_generation += 1;
        self.nodes[node].stream = Some(cursor);
        let stream = self.nodes[node].stream_generation;
        self.input(node, Input::StreamOpened);
        self.schedule(1, Event::Pump { node, stream });
    }

    /// Writes what is due on a stream. Its events may be lost, repeated, damaged and overtake each
    /// other: worse than any connection, and still nothing may go wrong.
    fn pump(&mut self, node: usize, stream: u64) {
        if self.nodes[node].stream_generation != stream {
            return;
        }
        let now = self.moment();
        let Some(mut cursor) = self.nodes[node].stream.take() else { return };
        let step = match self.nodes[node].parent {
            Parent::Nobody => StreamStep::Wait { until: now.mono },
            Parent::Authority => self.authority.stream(&mut cursor, now),
            Parent::Relay(relay) => self.nodes[relay].machine.relay().stream(&mut cursor, now),
        };
        self.nodes[node].stream = Some(cursor);
        match step {
            StreamStep::Send(bytes) | StreamStep::End(bytes) => {
                let copies = u64::from(!self.happens(self.faults.lost)) + u64::from(self.happens(self.faults.repeated));
                for _ in 0..copies {
                    let (after, bytes) = (self.delay(), self.damaged(bytes.to_vec()));
                    self.schedule(after, Event::StreamBytes { node, stream, bytes });
                }
            }
            StreamStep::Wait { .. } => {}
            StreamStep::NeedStore(_) => unreachable!("the authority reads its store itself"),
        }
        self.schedule(10, Event::Pump { node, stream });
    }

    fn check_node(&mut self, node: usize) {
        let position = self.nodes[node].view.position();
        assert!(position >= self.nodes[node].seen, "I4: a view went back");
        assert_eq!(position, self.nodes[node].machine.follower().position());
        self.nodes[node].seen = position;
    }

    /// I1 and I5: whoever says its view is `age` old holds everything committed until then.
    pub(crate) fn check_honesty(&self) {
        let now = self.moment().mono;
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(age) = node.view.age(now) else { continue };
            let as_of = now.minus(age);
            let committed = self.authority.commits.iter().take_while(|(_, at)| *at < as_of).last().map(|(at, _)| *at);
            assert!(node.view.position() >= committed, "I5: node {index} claims more than it holds at {}", self.now);
        }
    }

    /// I6, I8, I17: the same view as replaying every record, by whatever way it came.
    pub(crate) fn assert_caught_up(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let fault = node.machine.follower().fault();
            assert_eq!(node.view.position(), Some(self.authority.tip()), "node {index} is behind: {fault:?}");
            assert_eq!(self.state(index), ReplicaState::Live, "node {index} is not live: {fault:?}");
            for byte in 0..=u8::MAX {
                let (held, right) = (node.view.cell(&target(byte)), self.authority.view.cell(&target(byte)));
                assert_eq!(held, right, "node {index} differs in target {byte}");
            }
        }
    }
}

impl Machine {
    fn new(config: &FollowerConfig, is_relay: bool) -> (Self, View) {
        let (view, writer) = View::new();
        let machine = if is_relay {
            let bounds = FeedLogConfig { ring_records: 64, ..FeedLogConfig::new("") };
            Self::Relay(Box::new(Relay::new(config.clone(), writer, bounds)))
        } else {
            Self::Follower(Box::new(Follower::new(config.clone(), writer)))
        };
        (machine, view)
    }

    fn step(&mut self, input: Input, now: Moment) -> Vec<Output> {
        match self {
            Self::Follower(follower) => follower.step(input, now),
            Self::Relay(relay) => relay.step(input, now),
        }
    }

    fn follower(&self) -> &Follower {
        match self {
            Self::Follower(follower) => follower,
            Self::Relay(relay) => relay.follower(),
        }
    }

    fn relay(&mut self) -> &mut Relay {
        match self {
            Self::Follower(_) => panic!("only a relay has followers"),
            Self::Relay(relay) => relay,
        }
    }
}

/// A relay as its HTTP shell would answer.
trait Answers {
    fn answer(&mut self, request: &Request, now: Moment) -> (Reply, Vec<Output>);
}

impl Answers for Relay {
    fn answer(&mut self, request: &Request, now: Moment) -> (Reply, Vec<Output>) {
        let reply = match request {
            Request::Introduction { .. } => self.introduction().map(|introduction| Reply::Body(introduction.to_json())),
            Request::Snapshot => {
                let held = self.snapshot().map(|bytes| Reply::Body(bytes.to_vec()));
                let outputs = self.step(Input::Tick, now);
                return (held.unwrap_or(Reply::Status(503)), outputs);
            }
            Request::Changes { after, chain, wait } => {
                let ask = Ask { after: *after, chain: Some(*chain), limit: 256 };
                self.changes(&ask, now).map(|changes| match changes {
                    Changes::Frame(bytes) => Reply::Body(bytes),
                    Changes::Wait { empty } if *wait > Duration::ZERO => Reply::Hold(empty),
                    Changes::Wait { empty } => Reply::Body(empty),
                    Changes::Gone => Reply::Status(410),
                    Changes::Diverged => Reply::Status(409),
                    Changes::Ahead => Reply::Status(416),
                    Changes::NotYet => Reply::Status(503),
                    Changes::NeedStore(_) => panic!("a relay has no store"),
                })
            }
            Request::Report { id, report } => {
                let (answer, outputs) = self.report(id.clone(), (**report).clone(), now);
                let reply = answer.map_or(Reply::Status(503), |answer| Reply::Body(answer.to_json()));
                return (reply, outputs);
            }
            Request::Stream { .. } => unreachable!(),
        };
        (reply.unwrap_or(Reply::Status(503)), Vec::new())
    }
}
