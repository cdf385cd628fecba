//! One follower on a bench: its requests are answered one at a time, by name.

use annul_core::feed::FeedError;
use annul_core::feed::follower::{Follower, FollowerConfig, Input, Output, Request};
use annul_core::feed::report::{ReplicaState, Report};
use annul_core::feed::sse::{SseEvent, SseParser};
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::time::Moment;
use annul_core::view::View;

use crate::authority::{Authority, Reply, config, moment};

/// A follower whose requests are answered one at a time, by name.
pub(crate) struct Bench {
    pub(crate) authority: Authority,
    pub(crate) follower: Follower,
    pub(crate) view: View,
    pub(crate) millis: u64,
    pub(crate) asked: Vec<Request>,
    pub(crate) out: Vec<Output>,
}

impl Bench {
    pub(crate) fn new(config: FollowerConfig) -> Self {
        let (view, writer) = View::new();
        let follower = Follower::new(config, writer);
        Self { authority: Authority::new(1000), follower, view, millis: 1000, asked: Vec::new(), out: Vec::new() }
    }

    /// A live follower on an open stream.
    pub(crate) fn live() -> Self {
        let mut bench = Self::new(config("one", 1));
        bench.authority.revoke(1, bench.now());
        bench.start(None);
        bench.catch_up();
        bench.give(Input::StreamOpened);
        bench.answer_report();
        assert_eq!(bench.state(), ReplicaState::Live);
        bench.pass(100);
        while bench.is_asked(is_report) {
            bench.answer_report();
            bench.pass(100);
        }
        bench.asked.clear();
        bench.out.clear();
        bench
    }

    pub(crate) fn now(&self) -> Moment {
        moment(self.millis)
    }

    pub(crate) fn state(&self) -> ReplicaState {
        self.follower.state(self.now().mono)
    }

    pub(crate) fn age(&self) -> Option<u64> {
        self.view.age(self.now().mono).map(|age| age.as_millis() as u64)
    }

    pub(crate) fn start(&mut self, stored: Option<Vec<u8>>) {
        self.give(Input::Start { stored });
    }

    pub(crate) fn give(&mut self, input: Input) {
        for output in self.follower.step(input, self.now()) {
            match output {
                Output::Send(request) => self.asked.push(request),
                Output::WakeAt(_) => {}
                output => self.out.push(output),
            }
        }
    }

    pub(crate) fn pass(&mut self, millis: u64) {
        self.millis += millis;
        self.give(Input::Tick);
    }

    /// Takes the request that was sent, which must be there.
    pub(crate) fn asked(&mut self, what: impl Fn(&Request) -> bool) -> Request {
        let index = self.asked.iter().position(what).unwrap_or_else(|| panic!("not asked: {:?}", self.asked));
        self.asked.remove(index)
    }

    pub(crate) fn is_asked(&self, what: impl Fn(&Request) -> bool) -> bool {
        self.asked.iter().any(what)
    }

    pub(crate) fn answer(&mut self, request: &Request) {
        let body = match self.authority.answer(request, self.now()) {
            Reply::Body(body) | Reply::Hold(body) => body,
            Reply::Status(status) => return self.refuse(request, status),
        };
        self.give(match request {
            Request::Introduction { .. } => Input::Introduced(body),
            Request::Snapshot => Input::Snapshot(body),
            Request::Changes { .. } => Input::Changes(body),
            Request::Report { .. } => Input::Reported { sent: self.now().mono, body },
            Request::Stream { .. } => unreachable!(),
        });
    }

    pub(crate) fn refuse(&mut self, request: &Request, status: u16) {
        self.give(Input::Refused { request: request.clone(), status, retry_after: None });
    }

    /// Answers every errand until none is left.
    pub(crate) fn catch_up(&mut self) {
        while let Some(index) = self.asked.iter().position(is_errand) {
            let request = self.asked.remove(index);
            self.answer(&request);
        }
    }

    pub(crate) fn answer_report(&mut self) {
        let request = self.asked(is_report);
        self.answer(&request);
    }

    /// The report in the air, with which something else is done than answering it.
    pub(crate) fn report(&mut self) -> Report {
        match self.asked(is_report) {
            Request::Report { report, .. } => *report,
            _ => unreachable!(),
        }
    }

    /// What the stream of a follower at `after` would carry next.
    pub(crate) fn frame_after(&self, after: Position, chain: Chain) -> SseEvent {
        let mut cursor = self.authority.log.open_stream(after, Some(chain));
        match self.authority.stream(&mut cursor, self.now()) {
            annul_core::feed::log::StreamStep::Send(bytes) => SseParser::new().push(&bytes).unwrap().remove(0),
            step => panic!("{step:?}"),
        }
    }

    pub(crate) fn stream_next(&mut self) -> SseEvent {
        let at = self.follower.position().unwrap();
        self.frame_after(at, self.authority.lines[at.seq as usize - 1].chain)
    }

    pub(crate) fn rejections(&self) -> Vec<FeedError> {
        let reasons = self.out.iter().filter_map(|output| match output {
            Output::Rejected { reason } => Some(reason.clone()),
            _ => None,
        });
        reasons.collect()
    }
}

pub(crate) fn is_errand(request: &Request) -> bool {
    matches!(request, Request::Introduction { .. } | Request::Snapshot | Request::Changes { .. })
}

pub(crate) fn is_report(request: &Request) -> bool {
    matches!(request, Request::Report { .. })
}

pub(crate) fn is_changes(request: &Request) -> bool {
    matches!(request, Request::Changes { .. })
}

pub(crate) fn is_snapshot(request: &Request) -> bool {
    *request == Request::Snapshot
}

pub(crate) fn is_introduction(request: &Request) -> bool {
    matches!(request, Request::Introduction { .. })
}

/// The state that was handed out last to be stored.
pub(crate) fn persisted(bench: &Bench) -> Vec<u8> {
    let mut states = bench.out.iter().filter_map(|output| match output {
        Output::Persist(bytes) => Some(bytes.clone()),
        _ => None,
    });
    states.next_back().expect("nothing was persisted")
}
