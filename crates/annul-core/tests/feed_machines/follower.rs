//! One follower, input by input.

use std::time::Duration;

use annul_core::feed::FeedError;
use annul_core::feed::follower::{Follower, FollowerConfig, Input, Output, Request, Source};
use annul_core::feed::head::SignedHead;
use annul_core::feed::log::FeedLog;
use annul_core::feed::report::{CanaryReport, CanaryVerdict, ReplicaState, ReportAnswer};
use annul_core::feed::snapshot::StoredState;
use annul_core::feed::sse::SseEvent;
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::target::HashKey;
use annul_core::time::UnixSeconds;
use annul_core::view::{KeptContents, View, ViewLimits};

use crate::authority::{Authority, config, signer, target};
use crate::bench::{Bench, is_changes, is_introduction, is_report, is_snapshot, persisted};

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

/// A machine that was just started counts from zero, and a moment before that cannot be written.
#[test]
fn i5_a_relays_age_beyond_this_clocks_beginning_proves_nothing() {
    let feed_key = Some(signer(7).key().fingerprint().to_owned());
    let mut bench = Bench::new(FollowerConfig { source: Source::Relay, feed_key, ..config("one", 1) });
    let uptime = bench.now().mono.0;
    bench.start(None);
    bench.catch_up();
    let answer = |bench: &mut Bench, age| {
        let head = bench.authority.sign(bench.authority.tip(), bench.authority.log.point().chain, None);
        let body = ReportAnswer { head, age, hops: 1 }.to_json();
        bench.asked(is_report);
        bench.give(Input::Reported { sent: bench.now().mono, body });
    };
    answer(&mut bench, uptime * 3);
    assert_eq!(bench.age(), None, "three times as old as this clock");
    bench.pass(3_000);
    answer(&mut bench, Duration::from_secs(5));
    assert_eq!(bench.age(), Some(5_000));
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
fn a_report_whose_answer_is_lost_is_repeated_before_the_view_is_stale() {
    let mut bench = Bench::live();
    bench.pass(3_000);
    bench.asked(is_report);
    for _ in 0..28 {
        bench.pass(200);
        assert_eq!(bench.state(), ReplicaState::Live);
        if bench.is_asked(is_report) {
            bench.answer_report();
            assert_eq!(bench.age(), Some(0));
            return;
        }
    }
    panic!("nothing was repeated in {} ms", bench.millis);
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
fn i4_a_snapshot_older_than_the_view_is_refused() {
    let mut bench = Bench::live();
    let old = bench.authority.snapshot_bytes();
    bench.authority.revoke(9, bench.now());
    let frame = bench.stream_next();
    bench.give(Input::StreamEvent(frame));
    let request = Request::Changes { after: Position::new(1, 4), chain: Chain([0; 32]), wait: Duration::ZERO };
    bench.refuse(&request, 410);
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
fn a_state_that_the_view_cannot_hold_is_discarded_and_leaves_no_halt_behind() {
    let mut before = Bench::live();
    before.pass(5_000);
    let (view, writer) = View::with_limits(ViewLimits { entries: 0, entries_without_until: 0 });
    let follower = Follower::new(config("one", 1), writer);
    let mut bench = Bench { follower, view, ..Bench::new(config("one", 1)) };
    bench.start(Some(persisted(&before)));
    assert!(bench.out.iter().any(|output| matches!(output, Output::Discarded { .. })), "{:?}", bench.out);
    assert_eq!(bench.view.status(bench.now()).halted, None);
}

#[test]
fn a_state_of_another_feed_key_than_the_given_one_is_discarded() {
    let view = Authority::new(10).snapshot();
    let hash_key = HashKey::from_bytes([3; 32]);
    let state = StoredState {
        feed_key: signer(8).key().clone(),
        hash_key,
        view: Some(view),
        kept: KeptContents::default(),
        forgotten: UnixSeconds(0),
    };
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
