//! The feed's formats: against golden bytes that this code did not write
//! (`conformance/formats/v0/feed.json`), and against every kind of damage.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::path::PathBuf;

use annul_core::algebra::{Cell, TimeCutoff, Until};
use annul_core::feed::FeedError;
use annul_core::feed::frame::{Frame, frame_bytes};
use annul_core::feed::head::{FeedKey, FeedSigner, Head, SignedHead};
use annul_core::feed::report::{Introduction, Report, ReportAnswer};
use annul_core::feed::snapshot::{Snapshot, StoredState};
use annul_core::feed::sse::{SseError, SseEvent, SseParser};
use annul_core::position::Position;
use annul_core::record::{Chain, HashedCell, Record, RecordBody, RecordError};
use annul_core::target::{HashKey, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use annul_core::view::KeptContents;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::Value;

const LOG: &str = "log-golden";

fn golden() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/formats/v0/feed.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(name: &str) -> String {
    golden()[name].as_str().unwrap().to_owned()
}

fn snapshot() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text("snapshot")).unwrap()
}

fn key() -> FeedKey {
    FeedKey::from_jwk(&golden()["jwk"]).unwrap()
}

fn chain(name: &str) -> Chain {
    serde_json::from_value(golden()[name].clone()).unwrap()
}

fn signer() -> FeedSigner {
    FeedSigner::from_seed(&std::array::from_fn(|index| index as u8)).unwrap()
}

fn sign(at: Position, chain: Chain) -> SignedHead {
    signer().sign_head(Head {
        log: LOG.to_owned(),
        at,
        chain,
        revision: 1,
        hash_key: text("hash_key_id"),
        issued: UnixMillis(5),
        nonce: None,
    })
}

/// A frame of these lines from the log's beginning, honestly signed.
fn signed_frame(lines: &[&str], at: Position) -> Vec<u8> {
    let chain = lines.iter().fold(Chain::genesis(LOG), |chain, line| chain.extend(line));
    frame_bytes(lines.iter().copied(), &sign(at, chain).to_line())
}

fn read(bytes: &[u8], after: Position, chain: Chain) -> Result<Vec<Record>, FeedError> {
    let frame = Frame::from_bytes(bytes)?.verify(&key(), LOG, after, chain)?;
    Ok(frame.records().to_vec())
}

fn from_genesis(bytes: &[u8]) -> Result<Vec<Record>, FeedError> {
    read(bytes, Position::new(1, 0), Chain::genesis(LOG))
}

#[test]
fn the_fingerprint_is_the_rfc_7638_thumbprint() {
    assert_eq!(key().fingerprint(), text("fingerprint"));
    assert_eq!(signer().key(), &key());
    assert_eq!(FeedKey::from_jwk(&key().to_jwk()).unwrap(), key());
}

#[test]
fn a_head_written_elsewhere_verifies_as_the_bytes_that_arrived() {
    let signed = SignedHead::from_line(&text("head_with_nonce")).unwrap();
    let head = signed.verify(&key(), LOG).unwrap();
    assert_eq!((head.at, head.chain), (Position::new(1, 3), chain("chain")));
    assert_eq!(head.nonce.as_deref(), Some("n-1"));
    let passed_on = SignedHead::from_line(&signed.to_line()).unwrap();
    assert!(passed_on.verify(&key(), LOG).is_ok(), "passing a head on must not change what was signed");
}

#[test]
fn a_head_of_another_key_log_or_version_is_refused_by_name() {
    let signed = sign(Position::new(1, 1), Chain::genesis(LOG));
    let other = FeedSigner::from_seed(&[1; 32]).unwrap();
    assert_eq!(signed.verify(other.key(), LOG).unwrap_err(), FeedError::Signature);
    assert_eq!(signed.verify(&key(), "other").unwrap_err(), FeedError::OtherLog { named: LOG.to_owned() });
    let later = signed.to_line().replace("\"v\":0", "\"v\":1");
    assert_eq!(SignedHead::from_line(&later).unwrap_err(), FeedError::Version);
}

#[test]
fn a_frame_written_elsewhere_is_read_and_its_unknown_optional_kind_passes() {
    let records = from_genesis(text("frame").as_bytes()).unwrap();
    assert_eq!(records.len(), 3);
    assert!(matches!(records[1].body, RecordBody::Revoke(_)));
    assert_eq!(records[2].body, RecordBody::Noop);
}

#[test]
fn a_frame_that_overlaps_brings_only_what_is_new() {
    let first = text("frame").lines().next().unwrap().to_owned();
    let records = read(text("frame").as_bytes(), Position::new(1, 1), Chain::genesis(LOG).extend(&first)).unwrap();
    assert_eq!(records.iter().map(|record| record.at.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(read(text("frame").as_bytes(), Position::new(1, 3), chain("chain")).unwrap(), []);
}

#[test]
fn a_frame_of_the_past_brings_nothing() {
    assert_eq!(read(text("frame").as_bytes(), Position::new(1, 9), Chain([0; 32])).unwrap(), []);
}

#[test]
fn another_history_at_the_readers_own_position_is_divergence() {
    let empty = frame_bytes([], &sign(Position::new(1, 3), chain("chain")).to_line());
    let error = read(&empty, Position::new(1, 3), Chain([0; 32])).unwrap_err();
    assert_eq!(error, FeedError::Diverged { at: Position::new(1, 3) });
}

#[test]
fn i3_a_frame_with_a_hole_a_repeat_or_a_step_back_is_refused() {
    for seqs in [[2, 3], [1, 3], [1, 1], [2, 1]] {
        let lines = seqs.map(|seq| format!(r#"{{"at":"1:{seq}","kind":"noop"}}"#));
        let bytes = signed_frame(&lines.each_ref().map(String::as_str), Position::new(1, seqs[1]));
        assert!(matches!(from_genesis(&bytes), Err(FeedError::NotDense { .. })), "{seqs:?}");
    }
}

#[test]
fn an_unknown_critical_record_refuses_the_whole_frame() {
    let lines = [r#"{"at":"1:1","kind":"noop"}"#, r#"{"at":"1:2","kind":"quantum_revoke"}"#];
    let error = from_genesis(&signed_frame(&lines, Position::new(1, 2))).unwrap_err();
    assert_eq!(error, FeedError::Record(RecordError::UnknownKind { at: Position::new(1, 2) }));
}

#[test]
fn an_unknown_critical_record_that_nobody_signed_is_only_a_bad_frame() {
    let forged = text("frame").replace("\"kind\":\"revoke\"", "\"kind\":\"terrify\"");
    assert_eq!(from_genesis(forged.as_bytes()).unwrap_err(), FeedError::Chain { at: Position::new(1, 3) });
}

fn opening(fork: &str, fork_chain: Chain) -> String {
    format!(
        r#"{{"at":"2:1","kind":"epoch","epoch":{{"epoch_kind":"failover","fork":"{fork}","fork_chain":"{fork_chain}"}}}}"#
    )
}

#[test]
fn i12_a_frame_leads_into_an_epoch_only_from_the_place_it_forked_off() {
    let genesis = Chain::genesis(LOG);
    let held = genesis.extend(r#"{"at":"1:1","kind":"noop"}"#);
    let read_epoch = |fork: &str, fork_chain: Chain| {
        let line = opening(fork, fork_chain);
        let bytes = frame_bytes([line.as_str()], &sign(Position::new(2, 1), fork_chain.extend(&line)).to_line());
        read(&bytes, Position::new(1, 1), held)
    };
    assert_eq!(read_epoch("1:1", held).unwrap().len(), 1);
    let elsewhere = [("1:0", genesis), ("1:1", Chain([5; 32])), ("1:2", held), ("0:9", held)];
    for (fork, fork_chain) in elsewhere {
        assert!(matches!(read_epoch(fork, fork_chain), Err(FeedError::NotDense { .. })), "{fork}");
    }
}

#[test]
fn i15_no_line_before_an_epoch_goes_unsigned() {
    let genesis = Chain::genesis(LOG);
    let carried = r#"{"at":"1:1","kind":"noop"}"#;
    for (fork, fork_chain) in [("1:0", genesis), ("1:1", Chain([5; 32])), ("0:9", genesis)] {
        // What the feed key signed says nothing of the line in front of it.
        let line = opening(fork, fork_chain);
        let head = sign(Position::new(2, 1), fork_chain.extend(&line)).to_line();
        let error = from_genesis(&frame_bytes([carried, line.as_str()], &head)).unwrap_err();
        assert!(matches!(error, FeedError::NotDense { .. }), "{fork}: {error}");
    }
}

#[test]
fn i15_no_flipped_bit_and_no_cut_of_a_frame_is_taken() {
    let bytes = text("frame").into_bytes();
    let whole = from_genesis(&bytes).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            // The head's white space outside the signed object is nobody's; what is read is the same.
            assert!(
                from_genesis(&damaged).is_err() || from_genesis(&damaged).unwrap() == whole,
                "bit {bit} of byte {at}"
            );
        }
        assert!(from_genesis(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn i15_no_flipped_bit_and_no_cut_of_a_snapshot_is_taken() {
    let bytes = snapshot();
    let whole = Snapshot::from_bytes(&bytes, &key(), LOG).unwrap();
    assert_eq!((whole.at, whole.cells.len()), (Position::new(1, 3), 2));
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        let read = Snapshot::from_bytes(&damaged, &key(), LOG);
        assert!(read.is_err() || read.unwrap() == whole, "byte {at}");
        assert!(Snapshot::from_bytes(&bytes[..at], &key(), LOG).is_err(), "cut at {at}");
    }
}

#[test]
fn a_snapshot_written_elsewhere_is_read() {
    let cells: Vec<_> = Snapshot::from_bytes(&snapshot(), &key(), LOG).unwrap().cells.iter().collect();
    let [subject, killed] = &cells[..] else { panic!("two cells") };
    let until = Until::At(UnixSeconds(1_900_000_000));
    let cell = Cell { always: None, position: Some(Position::new(1, 2)), time: None, until };
    assert_eq!((subject.kind, subject.target.0, subject.cell), (TargetKind::Subject, [1; 16], Some(cell)));
    let time = TimeCutoff { time: UnixSeconds(1_899_999_000), at: Position::new(7, 300) };
    let cell = Cell { always: Some(Position::new(1, 1)), position: None, time: Some(time), until: Until::Never };
    assert_eq!((killed.kind, killed.target.0, killed.cell), (TargetKind::Key, [2; 16], Some(cell)));
}

#[test]
fn a_snapshot_with_cells_added_or_left_out_is_refused() {
    let added = [&snapshot()[..], &[0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]].concat();
    assert_eq!(Snapshot::from_bytes(&added, &key(), LOG).unwrap_err(), FeedError::Contents);
    let whole = snapshot();
    let header = &whole[..=whole.iter().position(|byte| *byte == b'\n').unwrap()];
    assert_eq!(Snapshot::from_bytes(header, &key(), LOG).unwrap_err(), FeedError::Contents);
}

/// What a holder of the golden snapshot may have from an epoch before.
fn kept() -> KeptContents {
    let line = r#"{"target":"AwMDAwMDAwMDAwMDAwMDAw","of":"subject","always":"0:9"}"#;
    KeptContents { cells: vec![HashedCell::from_line(line).unwrap()], forgotten: UnixSeconds(5) }
}

fn stored() -> StoredState {
    let view = Snapshot::from_bytes(&snapshot(), &key(), LOG).unwrap();
    let hash_key = HashKey::from_bytes([9; 32]);
    StoredState { feed_key: key(), hash_key, view: Some(view), kept: kept(), forgotten: UnixSeconds(7) }
}

#[test]
fn what_is_written_is_read_back() {
    let view = stored().view.unwrap();
    assert_eq!(Snapshot::from_bytes(&view.to_bytes(&signer()), &key(), LOG).unwrap(), view);
    assert_eq!(StoredState::from_bytes(&stored().to_bytes()).unwrap(), stored());
    let without_view = StoredState { view: None, kept: KeptContents::default(), ..stored() };
    assert_eq!(StoredState::from_bytes(&without_view.to_bytes()).unwrap(), without_view);
}

#[test]
fn i15_a_torn_or_rotten_state_is_refused_whole() {
    let bytes = stored().to_bytes();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(StoredState::from_bytes(&damaged).is_err(), "byte {at}");
        assert!(StoredState::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_report_beyond_its_bounds_is_refused() {
    let report = r#"{"position":"1:3","state":"live","longest_age":60,"interval":20,"nonce":"n","audiences":["api"]}"#;
    assert!(Report::from_json(report.as_bytes()).is_ok());
    for (what, with) in [
        (r#""n""#, format!("\"{}\"", "n".repeat(257))),
        (r#"["api"]"#, format!("[{}]", vec![r#""a""#; 65].join(","))),
        (r#""live""#, r#""dreaming""#.to_owned()),
        (r#""1:3""#, r#""1:03""#.to_owned()),
    ] {
        assert!(Report::from_json(report.replacen(what, &with, 1).as_bytes()).is_err(), "{what}");
    }
    assert!(Report::from_json(&vec![b' '; Report::MAX_BYTES + 1]).is_err());
}

#[test]
fn an_answers_age_never_looks_younger_than_it_is() {
    let head = sign(Position::new(1, 3), chain("chain"));
    let answer = ReportAnswer { head, age: std::time::Duration::from_nanos(1_000_001), hops: 2 };
    let read = ReportAnswer::from_json(&answer.to_json()).unwrap();
    assert_eq!((read.age.as_millis(), read.hops), (2, 2));
}

#[test]
fn an_introduction_is_read_back_and_does_not_show_its_secret() {
    let introduction = Introduction {
        head: sign(Position::new(1, 3), chain("chain")),
        feed_key: key(),
        hash_key: HashKey::from_bytes([9; 32]),
        issuer: "https://auth.example".to_owned(),
        hops: 0,
    };
    assert_eq!(Introduction::from_json(&introduction.to_json()).unwrap(), introduction);
    let secret = serde_json::from_slice::<Value>(&introduction.to_json()).unwrap()["hash_key"].clone();
    assert!(!format!("{introduction:?}").contains(secret.as_str().unwrap()));
}

#[test]
fn sse_line_ends_comments_and_a_byte_order_mark_are_read_as_the_standard_says() {
    let stream = "\u{feff}: hello\r\nevent: frame\rdata: a\ndata:b\r\nid: 1:2\n\nretry: 5\ndata\n\nevent: none\n\n";
    let events = SseParser::new().push(stream.as_bytes()).unwrap();
    let id = Some("1:2".to_owned());
    let first = SseEvent { event: "frame".to_owned(), data: "a\nb".to_owned(), id: id.clone() };
    assert_eq!(events, [first, SseEvent { event: String::new(), data: String::new(), id }]);
}

#[test]
fn sse_is_bounded_and_stays_broken_after_an_error() {
    let mut parser = SseParser::new();
    assert_eq!(parser.push(&vec![b'x'; SseParser::MAX_LINE + 1]), Err(SseError::LineTooLong));
    assert_eq!(parser.push(b"\n\ndata: a\n\n"), Err(SseError::LineTooLong));
    let mut parser = SseParser::new();
    let line = format!("data: {}\n", "x".repeat(100_000));
    let all: Result<Vec<_>, _> = (0..20).map(|_| parser.push(line.as_bytes())).collect();
    assert_eq!(all, Err(SseError::EventTooLarge));
    assert_eq!(SseParser::new().push(b"data: \xff\n"), Err(SseError::NotUtf8));
}

#[test]
fn i15_a_long_id_is_not_copied_into_every_event_behind_it() {
    let stream = |bytes: usize| format!("id: {}\n{}", "1".repeat(bytes), "data\n\n".repeat(1000));
    let events = SseParser::new().push(stream(SseParser::MAX_ID).as_bytes()).unwrap();
    assert_eq!(events.len(), 1000);
    assert_eq!(SseParser::new().push(stream(SseParser::MAX_ID + 1).as_bytes()), Err(SseError::IdTooLong));
    let longest = Position::new(u32::MAX, Position::MAX_SEQ).to_string();
    assert!(longest.len() <= SseParser::MAX_ID, "{longest}");
}

proptest! {
    #[test]
    fn sse_reads_the_same_however_it_is_cut(
        texts in prop::collection::vec("[a-z:\\n]{0,40}", 1..6),
        cuts in prop::collection::vec(1_usize..9, 1..60),
    ) {
        let events: Vec<SseEvent> = texts.iter().map(|text| SseEvent::new("frame", text)).collect();
        let bytes: Vec<u8> = events.iter().flat_map(SseEvent::to_bytes).collect();
        let mut parser = SseParser::new();
        let mut read = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            read.extend(parser.push(now).unwrap());
            rest = later;
        }
        prop_assert_eq!(read, events);
    }

    #[test]
    fn i15_no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Frame::from_bytes(&bytes);
        let _ = Snapshot::from_bytes(&bytes, &key(), LOG);
        let _ = StoredState::from_bytes(&bytes);
        let _ = Report::from_json(&bytes);
        let _ = ReportAnswer::from_json(&bytes);
        let _ = Introduction::from_json(&bytes);
        let _ = SseParser::new().push(&bytes);
    }
}
