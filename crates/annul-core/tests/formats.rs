//! Format v0 against golden files that this code did not write: `conformance/formats/v0`.
//!
//! The lines and their meanings are written by hand, with other encodings for the meanings than the
//! lines use; chain and hashes are computed by an independent program (`make.py` beside them).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use annul_core::algebra::{Cell, CutoffFields, TimeCutoff, Until};
use annul_core::position::Position;
use annul_core::record::{Chain, Entry, EpochKind, EpochStart, HashedCell, Record, RecordBody, RecordError};
use annul_core::settings::{ClaimNames, IssuerRecord, Settings};
use annul_core::target::{HashKey, Target, TargetHash, TargetKind};
use annul_core::time::UnixSeconds;
use serde_json::Value;

fn golden(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/formats/v0").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn golden_json(name: &str) -> Value {
    serde_json::from_str(&golden(name)).unwrap()
}

fn lines() -> Vec<String> {
    golden("records.ndjson").lines().map(str::to_owned).collect()
}

fn unhex<const N: usize>(value: &Value) -> [u8; N] {
    let text = value.as_str().unwrap();
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap())
}

fn seconds(value: &Value) -> Option<UnixSeconds> {
    value.as_u64().map(UnixSeconds)
}

fn until(value: &Value) -> Until {
    seconds(value).map_or(Until::Never, Until::At)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(text).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn small(value: &Value) -> u32 {
    u32::try_from(number(value)).unwrap()
}

fn position(value: &Value) -> Option<Position> {
    let pair = value.as_array()?;
    Some(Position::new(small(&pair[0]), number(&pair[1])))
}

fn kind(value: &Value) -> TargetKind {
    TargetKind::from_name(value.as_str().unwrap()).unwrap()
}

fn cell(value: &Value) -> Option<Cell> {
    let cell = value.as_object()?;
    let time = cell["time"].as_array().map(|time| TimeCutoff {
        time: UnixSeconds(number(&time[0])),
        at: Position::new(small(&time[1]), number(&time[2])),
    });
    Some(Cell {
        always: position(&cell["always"]),
        position: position(&cell["position"]),
        time,
        until: until(&cell["until"]),
    })
}

fn settings(value: &Value) -> Settings {
    Settings {
        revision: small(&value["revision"]),
        issuer: text(&value["issuer"]),
        longest_life: number(&value["longest_life"]),
        max_leeway: number(&value["max_leeway"]),
        clock_skew: number(&value["clock_skew"]),
        claims: texts(&value["claims"]),
        ask_on: texts(&value["ask_on"]),
        hash_key: text(&value["hash_key"]),
    }
}

/// Compares an issuer without its keys, of which the meaning only tells how many there are.
fn assert_issuer(read: &IssuerRecord, value: &Value) {
    assert_eq!(read.keys.len() as u64, number(&value["keys"]));
    let meant = IssuerRecord {
        issuer: text(&value["issuer"]),
        keys: read.keys.clone(),
        longest_life: number(&value["longest_life"]),
        skew: number(&value["skew"]),
        requires_jti: value["requires_jti"].as_bool().unwrap(),
        claims: ClaimNames {
            session: text(&value["session"]),
            device: text(&value["device"]),
            client: texts(&value["client"]),
        },
        keys_due: seconds(&value["keys_due"]),
        removed: value["removed"].as_bool().unwrap(),
    };
    assert_eq!(read, &meant);
}

fn assert_means(record: &Record, meaning: &Value) {
    assert_eq!(record.at, Position::new(small(&meaning["epoch"]), number(&meaning["seq"])));
    match &record.body {
        RecordBody::Noop => assert!(meaning["noop"].is_object()),
        RecordBody::Settings(read) => assert_eq!(read, &settings(&meaning["settings"])),
        RecordBody::Issuer(read) => assert_issuer(read, &meaning["issuer"]),
        RecordBody::Revoke(read) => {
            let meant = &meaning["revoke"];
            let fields = CutoffFields {
                always: meant["always"].as_bool().unwrap(),
                now: meant["now"].as_bool().unwrap(),
                before: seconds(&meant["before"]),
            };
            let target = TargetHash(unhex(&meant["target"]));
            assert_eq!(read, &Entry { target, kind: kind(&meant["kind"]), fields, until: until(&meant["until"]) });
        }
        RecordBody::Lift(read) => {
            let meant: Vec<HashedCell> = meaning["lift"]
                .as_array()
                .unwrap()
                .iter()
                .map(|meant| HashedCell {
                    target: TargetHash(unhex(&meant["target"])),
                    kind: kind(&meant["kind"]),
                    cell: cell(&meant["cell"]),
                })
                .collect();
            assert_eq!(read, &meant);
        }
        RecordBody::Epoch(read) => {
            let meant = &meaning["begins"];
            assert_eq!(meant["kind"], "restore");
            let meant = EpochStart {
                epoch_kind: EpochKind::Restore,
                fork: position(&meant["fork"]).unwrap(),
                fork_chain: Chain(unhex(&meant["fork_chain"])),
            };
            assert_eq!(read, &meant);
        }
    }
}

#[test]
fn every_line_means_what_is_written_beside_it() {
    let meanings = golden_json("records.json");
    let meanings = meanings.as_array().unwrap();
    assert_eq!(lines().len(), meanings.len());
    for (line, meaning) in lines().iter().zip(meanings) {
        assert_means(&Record::from_line(line).unwrap(), meaning);
    }
}

#[test]
fn the_writer_writes_exactly_the_golden_bytes() {
    for line in lines() {
        assert_eq!(Record::from_line(&line).unwrap().to_line(), line);
    }
}

#[test]
fn every_kind_of_record_has_a_golden_line() {
    let mut kinds: Vec<String> =
        lines().iter().map(|line| text(&serde_json::from_str::<Value>(line).unwrap()["kind"])).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds, ["epoch", "issuer", "lift", "noop", "revoke", "settings"]);
}

#[test]
fn lines_that_differ_in_form_only_read_alike() {
    for line in golden("read-alike.ndjson").lines() {
        let read = Record::from_line(line).unwrap();
        assert_eq!(read, Record { at: Position::new(1, 8), body: RecordBody::Noop }, "{line}");
    }
}

#[test]
fn i15_what_is_no_record_is_refused_by_name() {
    for case in golden_json("refused.json").as_array().unwrap() {
        let code = match Record::from_line(case["line"].as_str().unwrap()) {
            Ok(record) => panic!("{}: read as {record:?}", case["why"]),
            Err(RecordError::UnknownKind { .. }) => "unknown_kind",
            Err(RecordError::Malformed) => "malformed",
            Err(other) => panic!("{}: {other}", case["why"]),
        };
        assert_eq!(case["code"], code, "{}", case["why"]);
    }
    let long = format!("{}{}", lines()[7], " ".repeat(Record::MAX_LINE));
    assert_eq!(Record::from_line(&long), Err(RecordError::TooLong));
}

#[test]
fn the_chain_is_what_an_independent_program_computes() {
    let golden = golden_json("chain.json");
    let mut chain = Chain::genesis(golden["log"].as_str().unwrap());
    assert_eq!(chain.to_string(), golden["genesis"].as_str().unwrap());
    let after = texts(&golden["after"]);
    assert_eq!(after.len(), lines().len());
    for (line, expected) in lines().iter().zip(after) {
        chain = chain.extend(line);
        assert_eq!(chain.to_string(), expected, "{line}");
    }
}

#[test]
fn target_hashes_are_what_an_independent_program_computes() {
    let golden = golden_json("targets.json");
    let key = HashKey::from_bytes(unhex(&golden["hash_key"]));
    let own = golden["own_issuer"].as_str().unwrap();
    assert_eq!(key.id(), golden["hash_key_id"].as_str().unwrap());
    let mut seen = std::collections::HashSet::new();
    for case in golden["targets"].as_array().unwrap() {
        let text_form = case["text"].as_str().unwrap();
        let target = Target::parse(text_form, own).unwrap();
        assert_eq!(target.issuer_name(), case["issuer"], "{text_form}");
        assert_eq!(target.kind(), kind(&case["kind"]), "{text_form}");
        assert_eq!(target.parts(), texts(&case["parts"]), "{text_form}");
        assert_eq!(target.text(own), text_form);
        assert_eq!(target.hash(&key).to_string(), case["hash"].as_str().unwrap(), "{text_form}");
        assert!(seen.insert(target.hash(&key)), "{text_form} shares its hash with another target");
    }
    for kind in TargetKind::ALL {
        assert!(golden["targets"].as_array().unwrap().iter().any(|case| case["kind"] == kind.name()), "{kind}");
    }
}
