//! The served log: what it answers, and what it says of a revocation.

use std::sync::Arc;

use annul_core::feed::FeedError;
use annul_core::feed::frame::Frame;
use annul_core::feed::log::{
    Acknowledged, Ask, Changes, FeedLog, FeedLogConfig, LogPoint, ReplicaId, ReportRefused, StreamStep,
};
use annul_core::feed::report::{ChildReport, ReplicaState, Report, RouteCounts};
use annul_core::feed::sse::SseParser;
use annul_core::position::Position;
use annul_core::record::{Chain, EpochKind, EpochStart, Record, RecordBody};
use annul_core::time::{Monotonic, UnixMillis};

use crate::authority::{Authority, LOG, moment, signer};

const NOW: u64 = 50_000;

fn ask(after: u64, chain: Option<Chain>) -> Ask {
    Ask { after: Position::new(1, after), chain, limit: 256 }
}

/// Records 1 to 10, of which the ring holds the last three.
fn authority() -> Authority {
    let mut authority = Authority::new(3);
    for byte in 0..8 {
        authority.revoke(byte, moment(NOW));
    }
    authority
}

fn positions(bytes: &[u8], after: u64, authority: &Authority) -> Vec<u64> {
    let chain = authority.lines[after as usize - 1].chain;
    let frame = Frame::from_bytes(bytes).unwrap().verify(signer(7).key(), LOG, Position::new(1, after), chain).unwrap();
    frame.records().iter().map(|record| record.at.seq).collect()
}

#[test]
fn a_cursor_exactly_at_the_compaction_is_still_answered_from_the_ring() {
    let authority = authority();
    let Changes::Frame(bytes) = authority.log.changes(&ask(7, None), moment(NOW)) else { panic!() };
    assert_eq!(positions(&bytes, 7, &authority), [8, 9, 10]);
    let below = ask(6, None);
    assert_eq!(authority.log.changes(&below, moment(NOW)), Changes::NeedStore(below));
}

#[test]
fn a_cursor_at_the_compaction_of_everything_waits() {
    let mut authority = authority();
    authority.compact();
    assert!(matches!(authority.log.changes(&ask(10, None), moment(NOW)), Changes::Wait { .. }));
    assert!(matches!(authority.log.changes(&ask(9, None), moment(NOW)), Changes::NeedStore(_)));
    assert!(matches!(authority.log.changes(&ask(11, None), moment(NOW)), Changes::Ahead));
}

#[test]
fn another_chain_or_a_position_that_never_was_is_divergence_and_a_later_epoch_is_ahead() {
    let authority = authority();
    let other = Some(Chain([1; 32]));
    assert_eq!(authority.log.changes(&ask(9, other), moment(NOW)), Changes::Diverged);
    let later = Ask { after: Position::new(2, 1), chain: None, limit: 1 };
    assert_eq!(authority.log.changes(&later, moment(NOW)), Changes::Ahead);
}

#[test]
fn a_later_epoch_is_taken_where_it_forked_off_and_who_had_gone_past_the_fork_is_sent_away() {
    let begin = |at: u64, chain: Chain| {
        let start = EpochStart { epoch_kind: EpochKind::Failover, fork: Position::new(1, at), fork_chain: chain };
        Record { at: Position::new(2, 1), body: RecordBody::Epoch(start) }.to_line()
    };
    let mut log = authority().log;
    let (tip, before) = (log.point().chain, authority().lines[8].chain);
    for line in [begin(9, before), begin(10, before), begin(11, tip)] {
        let refused = log.committed([line.as_str()]).unwrap_err();
        assert_eq!(refused, FeedError::NotDense { after: Position::new(1, 10), found: Position::new(2, 1) });
    }
    log.committed([begin(10, tip).as_str()]).unwrap();
    assert!(matches!(log.changes(&ask(10, Some(tip)), moment(NOW)), Changes::Frame(_)));
    assert_eq!(log.changes(&ask(11, None), moment(NOW)), Changes::Diverged, "1:11 is no place of this log");
}

#[test]
fn a_frame_is_bounded_by_the_limit_and_by_bytes_but_never_empty() {
    let mut authority = Authority::new(1000);
    let wide = "x".repeat(200_000);
    for _ in 0..3 {
        let line = format!(r#"{{"at":"{}","kind":"pad","optional":true,"pad":"{wide}"}}"#, authority.tip().next());
        authority.commit_line(line, moment(NOW));
    }
    let Changes::Frame(bytes) = authority.log.changes(&ask(2, None), moment(NOW)) else { panic!() };
    assert_eq!(positions(&bytes, 2, &authority), [3]);
    let two = Ask { limit: 1, ..ask(1, None) };
    let Changes::Frame(bytes) = authority.log.changes(&two, moment(NOW)) else { panic!() };
    assert_eq!(positions(&bytes, 1, &authority), [2]);
}

#[test]
fn a_line_that_does_not_follow_is_refused() {
    let mut authority = authority();
    assert!(authority.log.committed([r#"{"at":"1:12","kind":"noop"}"#]).is_err());
    assert!(authority.log.committed([r#"{"at":"1:10","kind":"noop"}"#]).is_err());
    assert_eq!(authority.log.point().at, Position::new(1, 10));
}

#[test]
fn i5_heartbeats_go_only_to_a_stream_that_has_everything() {
    let authority = authority();
    let mut cursor = authority.log.open_stream(Position::new(1, 7), None);
    let mut kinds = Vec::new();
    let until = loop {
        match authority.log.stream(&mut cursor, moment(NOW)) {
            StreamStep::Send(bytes) => kinds.push(SseParser::new().push(&bytes).unwrap().remove(0).event),
            StreamStep::Wait { until } => break until,
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(kinds, ["frame"]);
    assert_eq!(cursor.at(), Position::new(1, 10));
    let due = moment(NOW + 1000);
    assert_eq!(until, due.mono);
    let StreamStep::Send(bytes) = authority.log.stream(&mut cursor, due) else { panic!() };
    assert_eq!(SseParser::new().push(&bytes).unwrap()[0].event, "heartbeat");
}

#[test]
fn i6_a_shared_frame_goes_to_those_who_stand_where_it_begins() {
    let mut authority = authority();
    let stand = |authority: &Authority, seq: u64| authority.log.open_stream(Position::new(1, seq), None);
    let frame = |authority: &Authority, mut cursor| match authority.log.stream(&mut cursor, moment(NOW)) {
        StreamStep::Send(bytes) => bytes,
        step => panic!("{step:?}"),
    };
    let first = frame(&authority, stand(&authority, 8));
    assert!(Arc::ptr_eq(&first, &frame(&authority, stand(&authority, 8))), "written once for both");
    let behind = frame(&authority, stand(&authority, 7));
    assert_eq!(behind.len().cmp(&first.len()), std::cmp::Ordering::Greater, "it lacks one record more");
    assert_eq!(frame(&authority, stand(&authority, 8)), first);
    authority.revoke(9, moment(NOW));
    let later = SseParser::new().push(&frame(&authority, stand(&authority, 8))).unwrap().remove(0);
    assert_eq!(later.id.as_deref(), Some("1:11"), "what was committed since is in it");
}

#[test]
fn a_canary_follows_the_records_from_before_it_and_waits_for_none_after() {
    let mut authority = authority();
    let mut cursor = authority.log.open_stream(Position::new(1, 7), None);
    authority.log.canary("c", "token");
    let next = |authority: &Authority, cursor: &mut _| match authority.log.stream(cursor, moment(NOW)) {
        StreamStep::Send(bytes) => SseParser::new().push(&bytes).unwrap().remove(0).event,
        step => panic!("{step:?}"),
    };
    assert_eq!(next(&authority, &mut cursor), "frame", "a canary may be about what is in it");
    authority.revoke(9, moment(NOW));
    assert_eq!(next(&authority, &mut cursor), "canary", "a busy log must not hold it back");
    assert_eq!(next(&authority, &mut cursor), "frame");
}

pub(crate) fn report(position: Option<u64>, longest_age: u64) -> Report {
    Report {
        position: position.map(|seq| Position::new(1, seq)),
        chain: None,
        state: ReplicaState::Live,
        leeway: 0,
        longest_age,
        audiences: Vec::new(),
        routes: RouteCounts { verify: 1, open: 2, ask: 0, check: 3 },
        interval: 3,
        version: String::new(),
        nonce: "n".to_owned(),
        canaries: Vec::new(),
        behind: Vec::new(),
        unlisted: 0,
    }
}

fn id(instance: &str) -> ReplicaId {
    ReplicaId::new("api", instance).unwrap()
}

fn mono(millis: u64) -> Monotonic {
    moment(millis).mono
}

const ACKNOWLEDGED: u64 = 10_000;

fn confirmation(log: &FeedLog, at: u64) -> annul_core::feed::log::Confirmation {
    let acknowledged = Acknowledged { at: mono(ACKNOWLEDGED), wall: UnixMillis(5_000_000) };
    log.confirmation(Position::new(1, 8), acknowledged, mono(at))
}

#[test]
fn only_a_report_that_names_the_position_counts_as_applied() {
    let mut log = authority().log;
    log.report(id("has"), report(Some(8), 9), moment(10_500)).unwrap();
    log.report(id("has-not"), report(Some(7), 9), moment(10_500)).unwrap();
    log.report(id("cold"), report(None, 9), moment(10_500)).unwrap();
    let confirmation = confirmation(&log, 11_000);
    assert_eq!((confirmation.applied, confirmation.connected, confirmation.silent), (1, 3, 0));
    assert!(!confirmation.confirmed);
    assert_eq!((confirmation.routes.verify, confirmation.routes.open), (3, 6));
}

#[test]
fn i1_enforced_by_is_the_acknowledgement_and_the_longest_age_heard_from() {
    let mut log = authority().log;
    assert_eq!(confirmation(&log, 11_000).enforced_by, UnixMillis(5_000_000), "nobody has ever reported");
    log.report(id("a"), report(Some(8), 9), moment(9_000)).unwrap();
    log.report(id("b"), report(Some(8), 60), moment(9_000)).unwrap();
    assert_eq!(confirmation(&log, 11_000).enforced_by, UnixMillis(5_060_000));
    log.report(id("gone"), report(Some(1), 5), moment(0)).unwrap();
    assert_eq!(confirmation(&log, 11_000).enforced_by, UnixMillis(5_060_000), "its age had run out before");
}

#[test]
fn a_silent_replica_is_done_when_its_age_has_run_out_and_not_before() {
    let mut log = authority().log;
    log.report(id("cut-off"), report(Some(7), 9), moment(9_000)).unwrap();
    let at = |millis| {
        let confirmation = confirmation(&log, millis);
        (confirmation.connected, confirmation.silent, confirmation.confirmed)
    };
    assert_eq!(at(11_000), (1, 0, false));
    assert_eq!(at(15_001), (1, 1, false), "two intervals missed");
    assert_eq!(at(18_000), (1, 1, false), "at exactly its age it still accepts");
    assert_eq!(at(18_001), (0, 0, true));
}

#[test]
fn i15_a_report_of_absurd_figures_is_reckoned_with() {
    let mut log = authority().log;
    let most = u32::MAX;
    let routes = RouteCounts { verify: most, open: most, ask: most, check: most };
    let figures = report(Some(7), u64::MAX);
    let absurd = Report { interval: u64::MAX, leeway: u64::MAX, unlisted: most, routes, ..figures };
    let child = |instance: &str| ChildReport {
        name: "api".to_owned(),
        instance: instance.to_owned(),
        heard_ms_ago: u64::MAX,
        report: absurd.clone(),
    };
    log.report(id("one"), Report { behind: vec![child("a"), child("?")], ..absurd.clone() }, moment(9_000)).unwrap();
    log.tick(moment(10_000));
    let confirmation = confirmation(&log, 11_000);
    assert_eq!((confirmation.confirmed, confirmation.enforced_by), (false, UnixMillis(u64::MAX)));
    assert_eq!((confirmation.routes.verify, confirmation.routes.open), (most, most), "two of them each");
    assert_eq!(log.replicas(mono(11_000)).len(), 2);
}

#[test]
fn a_replica_that_reports_without_applying_is_done_an_age_after_the_acknowledgement() {
    let mut log = authority().log;
    log.report(id("stuck"), report(Some(7), 9), moment(18_900)).unwrap();
    assert!(!confirmation(&log, 19_000).confirmed);
    assert!(confirmation(&log, 19_001).confirmed, "its view dates from before the acknowledgement");
}

#[test]
fn replicas_behind_a_relay_are_counted_by_when_the_relay_heard_them() {
    let mut log = authority().log;
    let child = ChildReport {
        name: "api".to_owned(),
        instance: "child".to_owned(),
        heard_ms_ago: 4_000,
        report: report(Some(7), 9),
    };
    let relay = Report { behind: vec![child], unlisted: 2, ..report(Some(8), 20) };
    log.report(ReplicaId::new("relay", "r").unwrap(), relay, moment(11_000)).unwrap();
    let statuses = log.replicas(mono(11_000));
    assert_eq!(statuses[0].via.as_deref(), Some("relay/r"));
    assert_eq!(statuses[0].heard_ms_ago, 4_000);
    let early = confirmation(&log, 16_001);
    assert_eq!((early.applied, early.confirmed), (1, false), "the unlisted ones are not known to be done");
    assert!(early.verifiers[0].done, "the child's age ran out at 16 s");
    assert!(confirmation(&log, 30_001).confirmed, "the relay's longest age covers those it could not list");
}

#[test]
fn a_position_of_another_history_or_ahead_of_the_log_is_not_applied() {
    let mut log = authority().log;
    let forked = Report { chain: Some(Chain([1; 32])), ..report(Some(9), 9) };
    log.report(id("forked"), forked, moment(10_500)).unwrap();
    log.report(id("ahead"), report(Some(11), 9), moment(10_500)).unwrap();
    assert_eq!(confirmation(&log, 11_000).applied, 0);
}

#[test]
fn a_restarted_log_does_not_take_silence_for_confirmation() {
    let mut before = authority().log;
    before.report(id("a"), report(Some(7), 9), moment(9_000)).unwrap();
    let known = before.replicas(mono(9_500));
    let mut log = authority().log;
    assert!(confirmation(&log, 10_001).confirmed);
    known.iter().for_each(|status| log.recall(status, moment(9_900)));
    let recalled = confirmation(&log, 10_001);
    assert_eq!((recalled.confirmed, recalled.enforced_by), (false, UnixMillis(5_009_000)));
    log.report(id("a"), report(Some(8), 9), moment(10_100)).unwrap();
    assert!(confirmation(&log, 10_200).confirmed);
}

#[test]
fn the_registry_is_bounded_and_forgets_the_silent() {
    let point = LogPoint { at: Position::new(1, 0), chain: Chain::genesis(LOG), revision: 0, hash_key: String::new() };
    let bounds = FeedLogConfig { replicas: 2, ..FeedLogConfig::new(LOG) };
    let mut log = FeedLog::of_authority(bounds, signer(7), point);
    log.report(id("a"), report(None, 9), moment(0)).unwrap();
    log.report(id("b"), report(None, 9), moment(0)).unwrap();
    assert_eq!(log.report(id("c"), report(None, 9), moment(0)), Err(ReportRefused::Full));
    assert_eq!(log.report(id("a"), report(None, 9), moment(1)), Ok(()), "who is counted stays counted");
    let later = 3_600_000;
    assert_eq!(log.report(id("c"), report(None, 9), moment(later)), Ok(()));
    assert_eq!(log.replicas(mono(later)).len(), 1);
    assert!(ReplicaId::new("api", "a/b").is_none() && ReplicaId::new("", "a").is_none());
}
