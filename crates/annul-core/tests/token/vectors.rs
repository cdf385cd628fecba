//! Runs the language-neutral vectors of `conformance/tokens.json`.

use std::collections::BTreeMap;

use annul_core::time::UnixSeconds;
use annul_core::token::{Algorithm, Expect, KeySet, TokenError, Typ, UnverifiedToken, VerifiedToken};
use serde_json::Value;

use crate::signing::settings;

const VECTORS: &str = include_str!("../../../../conformance/tokens.json");

fn expectation(case: &Value) -> Expect {
    let expect = &case["expect"];
    let text = |member: &str| expect[member].as_str().unwrap();
    let mut wanted = match text("kind") {
        "own" => Expect::own(text("issuer"), text("audience")),
        "foreign" => Expect::foreign(text("issuer"), text("audience")),
        other => panic!("{other}"),
    };
    for (member, value) in expect.as_object().unwrap() {
        wanted = match (member.as_str(), value) {
            ("kind" | "issuer" | "audience", _) => wanted,
            ("leeway", value) => wanted.with_leeway(value.as_u64().unwrap()),
            ("longest_life", value) => wanted.with_longest_life(value.as_u64().unwrap()),
            ("skew", value) => wanted.with_skew(value.as_u64().unwrap()),
            ("typ", value) => wanted.with_typ(Typ::Exactly(value.as_str().unwrap().to_owned())),
            ("requires_jti", Value::Bool(true)) => wanted.requiring_jti(),
            ("algorithms", Value::Array(names)) => {
                wanted.with_algorithms(names.iter().map(|name| Algorithm::from_name(name.as_str().unwrap()).unwrap()))
            }
            (other, _) => panic!("{other}"),
        };
    }
    wanted
}

pub(crate) fn run(case: &Value, sets: &BTreeMap<&str, KeySet>) -> Result<VerifiedToken, TokenError> {
    let now = UnixSeconds(case["now"].as_u64().unwrap());
    UnverifiedToken::parse(case["token"].as_str().unwrap())?.verify(
        &sets[case["keys"].as_str().unwrap()],
        &expectation(case),
        now,
    )
}

pub(crate) fn key_sets(vectors: &Value) -> BTreeMap<&str, KeySet> {
    let read = |(name, set): (&'_ String, &Value)| {
        let (keys, skipped) = KeySet::from_jwks(set.to_string().as_bytes()).unwrap();
        assert_eq!(skipped, [], "{name}");
        keys
    };
    let sets = vectors["keys"].as_object().unwrap();
    sets.iter().map(|(name, set)| (name.as_str(), read((name, set)))).collect()
}

#[test]
fn every_vector_gets_its_answer() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let sets = key_sets(&vectors);
    let cases = vectors["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let outcome = run(case, &sets);
        let answer = outcome.as_ref().map_or_else(TokenError::code, |_| "OK");
        if answer != case["answer"].as_str().unwrap() {
            wrong.push(format!("{id}: {answer}, not {}", case["answer"]));
        }
        if let (Ok(token), Some(wanted)) = (outcome, case["targets"].as_array()) {
            let own = case["own_issuer"].as_str().unwrap();
            let claims: Vec<&str> = case["claims"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
            let mut targets: Vec<String> =
                token.targets(&settings(&claims, &[])).unwrap().iter().map(|target| target.text(own)).collect();
            targets.sort();
            let wanted: Vec<&str> = wanted.iter().map(|it| it.as_str().unwrap()).collect();
            assert_eq!(targets, wanted, "{id}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.len() > 100, "the file was cut");
}
