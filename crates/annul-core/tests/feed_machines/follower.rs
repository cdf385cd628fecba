//! One follower, input by input.

use std::time::Duration;

use annul_core::feed::FeedError;
use annul_core::feed::follower::{Fault, Follower, FollowerConfig, Input, Output, Request, Source};
use annul_core::feed::frame::frame_bytes;
use annul_core::feed::head::SignedHead;
use annul_core::feed::log::FeedLog;
use annul_core::feed::report::{CanaryReport, CanaryVerdict, ReplicaState, Report, ReportAnswer};
use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::feed::sse::{SseEvent, SseParser};
use annul_core::position::Position;
use annul_core::record::{Chain, EpochKind, EpochStart, HashedCell};
use annul_core::target::{HashKey, TargetKind};
use annul_core::time::{Moment, UnixSeconds};
use annul_core::view::View;

use crate::authority::{Authority, Reply, config, moment, signer, target};

/// A follower whose requests are answered one at a time, by name.
struct Bench {
    authority: Authority,
    follower: Follower,
    view: View,
    millis: u64,
    asked: Vec<Request>,
    out: Vec<Output>,
}

impl Bench {
    fn new(config: FollowerConfig) -> Self {
        let (view, writer) = View::new();
        let follower = Follower::new(config, writer);
        Self { authority: Authority::new(1000), follower, view, millis: 1000, asked: Vec::new(), out: Vec::new() }
    }

    /// A live follower on an open stream.
    fn live() -> Self {
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

    fn now(&self) -> Moment {
        moment(self.millis)
    }

    fn state(&self) -> ReplicaState {
        self.follower.state(self.now().mono)
    }

    fn age(&self) -> Option<u64> {
        self.view.age(self.now().mono).map(|age| age.as_millis() as u64)
    }

    fn start(&mut self, stored: Option<Vec<u8>>) {
        self.give(Input::Start { stored });
    }

    fn give(&mut self, input: Input) {
        for output in self.follower.step(input, self.now()) {
            match output {
                Output::Send(request) => self.asked.push(request),
                Output::WakeAt(_) => {}
                output => self.out.push(output),
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        self.millis += millis;
        self.give(Input::Tick);
    }

    /// Takes the request that was sent, which must be there.
    fn asked(&mut self, what: impl Fn(&Request) -> bool) -> Request {
        let index = self.asked.iter().position(what).unwrap_or_else(|| panic!("not asked: {:?}", self.asked));
        self.asked.remove(index)
    }

    fn is_asked(&self, what: impl Fn(&Request) -> bool) -> bool {
        self.asked.iter().any(what)
    }

    fn answer(&mut self, request: &Request) {
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

    fn refuse(&mut self, request: &Request, status: u16) {
        self.give(Input::Refused { request: request.clone(), status, retry_after: None });
    }

    /// Answers every errand until none is left.
    fn catch_up(&mut self) {
        while let Some(index) = self.asked.iter().position(is_errand) {
            let request = self.asked.remove(index);
            self.answer(&request);
        }
    }

    fn answer_report(&mut self) {
        let request = self.asked(is_report);
        self.answer(&request);
    }

    /// The report in the air, with which something else is done than answering it.
    fn report(&mut self) -> Report {
        match self.asked(is_report) {
            Request::Report { report, .. } => *report,
            _ => unreachable!(),
        }
    }

    /// What the stream of a follower at `after` would carry next.
    fn frame_after(&self, after: Position, chain: Chain) -> SseEvent {
        let mut cursor = self.authority.log.open_stream(after, Some(chain));
        match self.authority.stream(&mut cursor, self.now()) {
            annul_core::feed::log::StreamStep::Send(bytes) => SseParser::new().push(&bytes).unwrap().remove(0),
            step => panic!("{step:?}"),
        }
    }

    fn stream_next(&mut self) -> SseEvent {
        let at = self.follower.position().unwrap();
        self.frame_after(at, self.authority.lines[at.seq as usize - 1].chain)
    }

    fn rejections(&self) -> Vec<FeedError> {
        let reasons = self.out.iter().filter_map(|output| match output {
            Output::Rejected { reason } => Some(reason.clone()),
            _ => None,
        });
        reasons.collect()
    }
}

fn is_errand(request: &Request) -> bool {
    matches!(request, Request::Introduction { .. } | Request::Snapshot | Request::Changes { .. })
}

fn is_report(request: &Request) -> bool {
    matches!(request, Request::Report { .. })
}

fn is_changes(request: &Request) -> bool {
    matches!(request, Request::Changes { .. })
}

fn is_snapshot(request: &Request) -> bool {
    *request == Request::Snapshot
}

fn is_introduction(request: &Request) -> bool {
    matches!(request, Request::Introduction { .. })
}

#[test]
fn a_cold_start_is_introduction_snapshot_changes_stream() {
    let mut bench = Bench::new(config("one", 1));
    bench.start(None);
    assert_eq!(bench.state(), ReplicaState::Cold);
    let request = bench.asked(is_introduction);
    bench.answer(&request);
    let request = bench.asked(is_snapshot);
    bench.answer(&request);
    assert_eq!(bench.state(), ReplicaState::Stale, "a snapshot that arrived proves no freshness");
    let request = bench.asked(is_changes);
    bench.answer(&request);
    assert!(bench.is_asked(|request| matches!(request, Request::Stream { .. })));
}

#[test]
fn i5_neither_heartbeats_nor_frames_make_a_view_fresh() {
    let mut bench = Bench::live();
    for _ in 0..20 {
        bench.pass(1000);
        bench.authority.revoke(9, bench.now());
        let frame = bench.stream_next();
        bench.give(Input::StreamEvent(frame));
        let head = bench.authority.sign(bench.authority.tip(), bench.authority.log.point().chain, None);
        bench.give(Input::StreamEvent(SseEvent::new("heartbeat", head.to_line())));
    }
    assert_eq!(bench.follower.position(), Some(bench.authority.tip()));
    assert_eq!(bench.state(), ReplicaState::Stale);
    assert!(bench.age() >= Some(20_000));
}

#[test]
fn i5_a_head_not_yet_applied_proves_nothing_until_it_is_and_then_dates_from_the_sending() {
    let mut bench = Bench::live();
    bench.pass(3000);
    let report = bench.asked(is_report);
    bench.authority.revoke(9, bench.now());
    bench.pass(500);
    let before = bench.age();
    bench.answer(&report);
    assert_eq!(bench.age(), before, "the answer's head is ahead of the view");
    bench.pass(100);
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    assert_eq!(bench.age(), Some(600), "the report went out 600 ms ago");
}

#[test]
fn i5_an_answer_with_another_nonce_signature_or_key_is_refused() {
    let tip = |bench: &Bench| (bench.authority.tip(), bench.authority.log.point().chain);
    type Forge = fn(&Bench, &str, (Position, Chain)) -> SignedHead;
    let answers: [Forge; 3] = [
        |bench, _, (at, chain)| bench.authority.sign(at, chain, Some("another")),
        |bench, _, (at, chain)| bench.authority.sign(at, chain, None),
        |bench, nonce, (at, chain)| {
            let head = bench.authority.sign(at, chain, Some(nonce)).claimed().clone();
            signer(8).sign_head(head)
        },
    ];
    for (index, forge) in answers.iter().enumerate() {
        let mut bench = Bench::live();
        bench.pass(3000);
        let report = bench.report();
        let head = forge(&bench, &report.nonce, tip(&bench));
        let body = ReportAnswer { head, age: Duration::ZERO, hops: 0 }.to_json();
        let before = bench.age();
        bench.give(Input::Reported { sent: bench.now().mono, body });
        assert_eq!(bench.age(), before, "answer {index}");
        let expected = if index == 2 { FeedError::Signature } else { FeedError::Nonce };
        assert_eq!(bench.rejections(), [expected], "answer {index}");
    }
}

#[test]
fn i5_an_answer_is_good_once() {
    let mut bench = Bench::live();
    bench.pass(3000);
    let report = bench.report();
    let point = bench.authority.log.point().clone();
    let body = bench.authority.log.answer(&point, &report.nonce, bench.now()).unwrap().to_json();
    bench.give(Input::Reported { sent: bench.now().mono, body: body.clone() });
    bench.pass(3000);
    assert!(bench.is_asked(is_report));
    bench.give(Input::Reported { sent: bench.now().mono, body });
    assert_eq!(bench.age(), Some(3000), "a repeated answer is not over the new nonce");
}

#[test]
fn i11_a_head_below_what_was_reported_keeps_nobody_fresh() {
    let mut bench = Bench::live();
    bench.pass(3000);
    let report = bench.report();
    let older = &bench.authority.lines[0];
    let head = bench.authority.sign(older.at, older.chain, Some(&report.nonce));
    let before = bench.age();
    bench.give(Input::Reported {
        sent: bench.now().mono,
        body: ReportAnswer { head, age: Duration::ZERO, hops: 0 }.to_json(),
    });
    assert_eq!(bench.age(), before);
    assert!(matches!(bench.rejections()[..], [FeedError::Older { .. }]));
}

#[test]
fn a_suspended_machine_wakes_up_stale_and_a_stepped_wall_clock_changes_nothing() {
    let mut bench = Bench::live();
    let mut stepped = bench.now();
    stepped.wall = UnixSeconds(stepped.wall.0 + 86_400);
    bench.follower.step(Input::Tick, stepped);
    assert_eq!(bench.state(), ReplicaState::Live, "only the monotonic clock ages the view");
    bench.millis += 60_000;
    assert_eq!(bench.state(), ReplicaState::Stale, "before any input");
}

#[test]
fn reports_go_three_times_per_staleness_and_at_once_after_applying() {
    let mut bench = Bench::live();
    let mut reports = 0;
    for _ in 0..90 {
        bench.pass(100);
        while bench.is_asked(is_report) {
            reports += 1;
            bench.answer_report();
        }
    }
    assert_eq!(reports, 3, "nothing happened for nine seconds");
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    assert_eq!(bench.report().position, Some(bench.authority.tip()));
    bench.authority.revoke(8, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    assert!(!bench.is_asked(is_report), "at most one report is in the air");
}

#[test]
fn a_repeated_frame_changes_nothing() {
    let mut bench = Bench::live();
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame.clone()));
    bench.out.clear();
    bench.give(Input::StreamEvent(frame));
    assert_eq!(bench.out, []);
}

#[test]
fn i7_a_gap_on_the_stream_is_filled_beside_it() {
    let mut bench = Bench::live();
    bench.authority.revoke(8, bench.now());
    let missed = bench.authority.lines.last().unwrap().clone();
    bench.authority.revoke(9, bench.now());
    let frame = bench.frame_after(missed.at, missed.chain);
    bench.give(Input::StreamEvent(frame));
    assert!(bench.view.cell(&target(9)).is_none(), "what does not follow is not applied");
    bench.pass(300);
    bench.catch_up();
    assert_eq!(bench.follower.position(), Some(bench.authority.tip()));
    assert!(!bench.out.contains(&Output::CloseStream));
}

#[test]
fn an_unknown_critical_record_halts_and_an_unknown_optional_one_passes() {
    let mut bench = Bench::live();
    let next = bench.authority.tip().next();
    let now = bench.now();
    bench.authority.commit_line(format!(r#"{{"at":"{next}","kind":"glitter","optional":true}}"#), now);
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    assert_eq!(bench.follower.position(), Some(next));

    bench.authority.commit_line(format!(r#"{{"at":"{}","kind":"quantum_revoke"}}"#, next.next()), now);
    let line = bench.authority.lines.last().unwrap().clone();
    let head = bench.authority.sign(line.at, line.chain, None).to_line();
    let data = format!("{}\n{head}", line.line);
    bench.give(Input::StreamEvent(SseEvent::new("frame", data)));
    assert_eq!(bench.follower.position(), Some(next), "nothing was applied");
    assert_eq!(bench.follower.fault(), Some(&Fault::UnknownRecord { at: next.next() }));
    assert_eq!(bench.state(), ReplicaState::Halted);
    assert!(bench.view.status(bench.now()).halted.is_some());
}

#[test]
fn a_bad_signature_halts_until_the_feed_is_genuine_again() {
    let mut bench = Bench::live();
    bench.authority.revoke(9, bench.now());
    let line = bench.authority.lines.last().unwrap().clone();
    let forged = signer(8).sign_head(bench.authority.sign(line.at, line.chain, None).claimed().clone());
    let bytes = frame_bytes([line.line.as_str()], &forged.to_line());
    bench.give(Input::Changes(bytes));
    assert_eq!(bench.follower.fault(), Some(&Fault::Signature));
    assert!(bench.view.cell(&target(9)).is_none());
    bench.pass(300);
    bench.catch_up();
    assert!(bench.out.contains(&Output::Resumed));
    assert!(bench.view.cell(&target(9)).is_some());
    assert_eq!(bench.state(), ReplicaState::Live);
}

#[test]
fn i4_a_snapshot_older_than_the_view_is_refused() {
    let mut bench = Bench::live();
    let old = bench.authority.snapshot_bytes();
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    bench.give(Input::Snapshot(old));
    assert!(matches!(bench.rejections()[..], [FeedError::Older { .. }]));
    assert!(bench.view.cell(&target(9)).is_some());
}

#[test]
fn compacted_means_a_snapshot_and_ahead_means_waiting() {
    let mut bench = Bench::live();
    bench.give(Input::TokenAhead(Position::new(1, 99)));
    bench.pass(1100);
    let request = bench.asked(is_changes);
    bench.refuse(&request, 416);
    bench.pass(31_000);
    assert!(!bench.is_asked(is_snapshot), "416 is never a reason to reset");
    let request = bench.asked(is_changes);
    bench.refuse(&request, 410);
    bench.pass(1_000);
    assert!(bench.is_asked(is_snapshot));
}

#[test]
fn another_history_in_the_same_epoch_halts_and_is_never_taken() {
    let mut bench = Bench::live();
    bench.give(Input::TokenAhead(Position::new(1, 99)));
    bench.pass(1100);
    let request = bench.asked(is_changes);
    bench.refuse(&request, 409);
    let at = bench.follower.position().unwrap();
    assert_eq!(bench.follower.fault(), Some(&Fault::Diverged { at }));
    bench.pass(31_000);
    let request = bench.asked(is_introduction);
    bench.answer(&request);
    bench.pass(31_000);
    assert!(!bench.is_asked(is_snapshot));
    bench.authority.revoke(9, bench.now());
    bench.give(Input::Snapshot(bench.authority.snapshot_bytes()));
    assert_eq!(bench.follower.position(), Some(at));
    assert!(bench.view.cell(&target(1)).is_some(), "what is revoked here stays refused");
}

#[test]
fn i12_a_newer_epoch_is_taken_and_what_lies_above_its_fork_is_kept() {
    let mut bench = Bench::live();
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    let held = bench.authority.lines.last().unwrap().clone();
    let fork = &bench.authority.lines[bench.authority.lines.len() - 2];
    let start = EpochStart { epoch_kind: EpochKind::Failover, fork: fork.at, fork_chain: fork.chain };

    bench.give(Input::Refused {
        request: Request::Changes { after: held.at, chain: held.chain, wait: Duration::ZERO },
        status: 409,
        retry_after: None,
    });
    bench.pass(31_000);
    let (at, chain) = (Position::new(2, 4), Chain([4; 32]));
    let mut introduction = bench.authority.introduction("n", bench.now());
    introduction.head = bench.authority.sign(at, chain, None);
    bench.give(Input::Introduced(introduction.to_json()));
    assert!(bench.follower.fault().is_some());
    let kept = bench.view.cell(&target(9)).unwrap();
    let snapshot = Snapshot { at, chain, epoch: Some(start), cells: vec![lifted_one()], ..bench.authority.snapshot() };
    bench.give(Input::Snapshot(snapshot.to_bytes(&signer(7))));
    assert_eq!(bench.follower.position(), Some(at));
    assert_eq!(bench.follower.fault(), None);
    assert_eq!(bench.view.cell(&target(9)), Some(kept), "acknowledged before the failover, unknown to the new epoch");
    assert!(bench.view.cell(&target(1)).is_none(), "below the fork the new epoch's word holds");
}

/// A cell that has nothing to do with the others.
fn lifted_one() -> HashedCell {
    let always = Some(Position::new(2, 3));
    let until = annul_core::algebra::Until::Never;
    let cell = annul_core::algebra::Cell { always, position: None, time: None, until };
    HashedCell { target: target(77), kind: TargetKind::Key, cell: Some(cell) }
}

#[test]
fn the_first_feed_key_is_pinned_and_another_later_halts() {
    let mut bench = Bench::live();
    bench.give(Input::Refused {
        request: Request::Changes { after: Position::new(1, 3), chain: Chain([0; 32]), wait: Duration::ZERO },
        status: 409,
        retry_after: None,
    });
    bench.pass(31_000);
    let mut other = bench.authority.introduction("n", bench.now());
    other.head = signer(8).sign_head(other.head.claimed().clone());
    other.feed_key = signer(8).key().clone();
    bench.give(Input::Introduced(other.to_json()));
    let pinned = signer(7).key().fingerprint().to_owned();
    let offered = signer(8).key().fingerprint().to_owned();
    assert_eq!(bench.follower.fault(), Some(&Fault::FeedKey { pinned, offered }));
    assert_eq!(bench.state(), ReplicaState::Halted);
}

#[test]
fn a_fingerprint_given_beforehand_a_wrong_issuer_and_a_relay_without_a_key_are_held_to() {
    let given = FollowerConfig { feed_key: Some("another".to_owned()), ..config("one", 1) };
    let issuer = FollowerConfig { issuer: "https://other.example".to_owned(), ..config("one", 1) };
    let relay = FollowerConfig { source: Source::Relay, ..config("one", 1) };
    for (config, code) in [(given, "feed_key_differs"), (issuer, "issuer_differs"), (relay, "feed_key_missing")] {
        let mut bench = Bench::new(config);
        bench.start(None);
        let request = bench.asked(is_introduction);
        bench.answer(&request);
        assert_eq!(bench.follower.fault().map(Fault::code), Some(code));
        assert!(!bench.is_asked(is_snapshot), "{code}");
    }
}

#[test]
fn a_leeway_beyond_the_settings_halts_until_it_is_lowered() {
    let mut bench = Bench::live();
    bench.follower.set_routes(Default::default(), Duration::from_secs(9), Duration::from_secs(61));
    bench.give(Input::Tick);
    assert_eq!(bench.follower.fault(), Some(&Fault::Leeway { configured: 61, allowed: 60 }));
    bench.follower.set_routes(Default::default(), Duration::from_secs(9), Duration::from_secs(60));
    assert_eq!(bench.follower.fault(), None);
}

#[test]
fn a_refused_credential_is_named_and_leaves_the_view_as_it_is() {
    let mut bench = Bench::live();
    bench.pass(3000);
    let request = bench.asked(is_report);
    bench.refuse(&request, 403);
    assert_eq!(bench.follower.fault(), Some(&Fault::NotPermitted { status: 403 }));
    assert_eq!(bench.state(), ReplicaState::Live);
}

fn persisted(bench: &Bench) -> Vec<u8> {
    let mut states = bench.out.iter().filter_map(|output| match output {
        Output::Persist(bytes) => Some(bytes.clone()),
        _ => None,
    });
    states.next_back().expect("nothing was persisted")
}

#[test]
fn a_restored_view_refuses_at_once_and_is_fresh_only_after_a_round_trip() {
    let mut first = Bench::live();
    first.authority.revoke(9, first.now());
    let frame = first.stream_next();
    first.give(Input::StreamEvent(frame));
    first.pass(3000);
    let stored = persisted(&first);

    let mut bench = Bench::new(config("one", 2));
    bench.authority = first.authority;
    bench.millis = first.millis;
    bench.start(Some(stored));
    assert!(bench.view.cell(&target(9)).is_some());
    assert_eq!((bench.state(), bench.age()), (ReplicaState::Stale, None));
    bench.catch_up();
    assert!(!bench.is_asked(is_snapshot), "changes are enough");
    bench.answer_report();
    assert_eq!(bench.state(), ReplicaState::Live);
}

#[test]
fn what_is_logged_of_inputs_and_outputs_shows_no_secret() {
    let bench = Bench::live();
    let introduction = bench.authority.introduction("n", bench.now()).to_json();
    let text = String::from_utf8(introduction.clone()).unwrap();
    let secret = text.split("\"hash_key\":\"").last().unwrap().split('"').next().unwrap().to_owned();
    let token = "e30.e30.AAAA".to_owned();
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        Input::Introduced(introduction.clone()),
        Input::StreamEvent(SseEvent::new("canary", format!("{{\"id\":\"c\",\"token\":\"{token}\"}}"))),
        Output::Persist(introduction.clone()),
        Output::JudgeCanary { id: "c".to_owned(), token: token.clone() },
    );
    let bytes = format!("{introduction:?}");
    assert!(!shown.contains(&secret) && !shown.contains(&token) && !shown.contains(&bytes[1..80]), "{shown}");
}

#[test]
fn a_corrupt_state_is_discarded_by_name_and_everything_fetched_again() {
    let mut bench = Bench::new(config("one", 1));
    bench.start(Some(b"{\"state\":{\"v\":0,\"feed_key\":".to_vec()));
    assert!(matches!(bench.out[..], [Output::Discarded { .. }]));
    bench.catch_up();
    bench.answer_report();
    assert_eq!(bench.state(), ReplicaState::Live);
}

#[test]
fn a_state_of_another_feed_key_than_the_given_one_is_discarded() {
    let view = Authority::new(10).snapshot();
    let hash_key = HashKey::from_bytes([3; 32]);
    let state =
        StoredState { feed_key: signer(8).key().clone(), hash_key, view: Some(view), forgotten: UnixSeconds(0) };
    let given = signer(7).key().fingerprint().to_owned();
    let mut bench = Bench::new(FollowerConfig { feed_key: Some(given), ..config("one", 1) });
    bench.start(Some(state.to_bytes()));
    assert_eq!(bench.out, [Output::Discarded { reason: FeedError::Signature }]);
    assert_eq!(bench.follower.position(), None);
}

#[test]
fn i10_tokens_ahead_nudge_at_most_once_a_second() {
    let mut bench = Bench::live();
    let mut nudges = 0;
    for step in 0..500 {
        bench.give(Input::TokenAhead(Position::new(1, 1000 + step)));
        while bench.is_asked(is_changes) {
            nudges += 1;
            let request = bench.asked(is_changes);
            bench.answer(&request);
        }
        bench.pass(10);
    }
    assert!((4..=6).contains(&nudges), "{nudges} in five seconds");
}

#[test]
fn a_silent_stream_is_closed_and_opened_again_after_a_while() {
    let mut bench = Bench::live();
    bench.pass(10_001);
    assert!(bench.out.contains(&Output::CloseStream));
    bench.pass(1_000);
    assert!(bench.is_asked(|request| matches!(request, Request::Stream { .. })));
}

#[test]
fn a_canary_is_judged_and_its_verdict_reported_until_a_report_arrives() {
    let mut bench = Bench::live();
    bench.authority.log.canary("c-1", "a.b.c");
    bench.give(Input::StreamEvent(SseEvent::new("canary", r#"{"id":"c-1","token":"a.b.c"}"#)));
    assert_eq!(bench.out, [Output::JudgeCanary { id: "c-1".to_owned(), token: "a.b.c".to_owned() }]);
    bench.give(Input::CanaryJudged { id: "c-1".to_owned(), verdict: CanaryVerdict::Revoked });
    let expected = [CanaryReport { id: "c-1".to_owned(), verdict: CanaryVerdict::Revoked }];
    let lost = bench.asked(is_report);
    bench.give(Input::Failed(lost));
    bench.pass(3000);
    let Request::Report { id, report } = bench.asked(is_report) else { unreachable!() };
    assert_eq!(report.canaries, expected);
    bench.answer(&Request::Report { id, report });
    assert_eq!(bench.authority.log.canary_verdicts("c-1")[0].verdict, CanaryVerdict::Revoked);
    bench.pass(3000);
    assert_eq!(bench.report().canaries, []);
}

#[test]
fn i15_nothing_on_the_stream_panics_or_changes_the_view() {
    let mut bench = Bench::live();
    let at = bench.follower.position();
    for kind in ["frame", "heartbeat", "canary", "gone", "", "unheard-of"] {
        for data in ["", "{}", "null", "{\"head\":{}}", "\u{0}", &"[".repeat(100_000)] {
            bench.give(Input::StreamEvent(SseEvent::new(kind, data)));
            bench.give(Input::StreamOpened);
        }
    }
    bench.give(Input::Changes(FeedLog::gone_event("compacted")));
    bench.give(Input::Introduced(Vec::new()));
    assert_eq!(bench.follower.position(), at);
}
