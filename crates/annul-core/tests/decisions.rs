//! The vectors of `conformance/decisions.json`: token, keys, records, moment and policy on one side,
//! verdict and decision on the other. They were made by an independent program and are for every
//! language; this is the runner for Rust.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::time::Duration;

use annul_core::policy::{Basis, Decision, Denial, OnStale, Policy, RevokedStatus};
use annul_core::record::Record;
use annul_core::target::HashKey;
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use annul_core::token::Expect;
use annul_core::trust::Trust;
use annul_core::verdict::Verdict;
use annul_core::view::View;
use serde_json::{Value, json};

/// Far enough from zero that a confirmation can lie before it.
const BOOTED: Duration = Duration::from_secs(1_000_000);

struct Vectors {
    all: Value,
    moment: Moment,
    trust: Trust,
}

impl Vectors {
    fn load() -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/decisions.json");
        let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let audience = all["audience"].as_str().unwrap();
        let mut trust = Trust::new(all["issuer"].as_str().unwrap(), audience);
        for issuer in all["foreign"].as_array().unwrap() {
            trust = trust.with_foreign(Expect::foreign(issuer.as_str().unwrap(), audience));
        }
        let trust = trust.with_leeway(all["leeway"].as_u64().unwrap());
        let moment = Moment { wall: UnixSeconds(all["now"].as_u64().unwrap()), mono: Monotonic(BOOTED) };
        Self { all, moment, trust }
    }

    fn hash_key(&self) -> HashKey {
        let hex = self.all["hash_key"].as_str().unwrap();
        HashKey::from_bytes(std::array::from_fn(|index| {
            u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap()
        }))
    }

    fn view(&self, case: &Value) -> View {
        let (view, mut writer) = View::new();
        writer.set_hash_key(self.hash_key());
        let lines = case["records"].as_array().unwrap();
        let records: Vec<Record> =
            lines.iter().map(|line| Record::from_line(line.as_str().unwrap()).unwrap()).collect();
        writer.apply(&records).unwrap();
        if let Some(confirmed) = case["confirmed"].as_object() {
            let ago = confirmed["seconds_ago"].as_u64().unwrap();
            let head = confirmed["head"].as_str().unwrap().parse().unwrap();
            writer.confirm(head, self.moment.mono.minus(Duration::from_secs(ago)), self.moment.wall.minus(ago));
        }
        view
    }

    /// What comes of a case: the verdict, if the token got that far, and the decision.
    fn outcome(&self, case: &Value) -> (Value, Value) {
        let view = self.view(case);
        let policy = policy(&case["policy"]);
        let text = case["token"].as_str().unwrap();
        let token = match self.trust.verify(&view, text, self.moment.wall) {
            Ok(token) => token,
            Err(error) => return (Value::Null, denied(&policy.refuse(error, &view, text, self.moment))),
        };
        let checked = view.check(token);
        let verdict = match checked.verdict() {
            Verdict::Active { as_of } => json!({ "active": as_of }),
            Verdict::Revoked(refusal) => json!({ "revoked": refusal }),
            Verdict::Indeterminate(cause) => json!({ "indeterminate": cause.code() }),
        };
        let decision = match policy.decide(checked, self.moment) {
            Decision::Allow(authorized) => json!({ "allow": basis(authorized.basis()) }),
            Decision::Deny(denial) => denied(&denial),
            Decision::Ask(_) => json!({ "ask": true }),
        };
        (verdict, decision)
    }
}

fn denied(denial: &Denial) -> Value {
    assert_eq!(denial.retry_after().is_some(), denial.status() == 503, "{denial}");
    assert_eq!(denial.challenge().is_some(), denial.status() == 401, "{denial}");
    json!({ "deny": { "status": denial.status(), "code": denial.code() } })
}

const fn basis(basis: Basis) -> &'static str {
    match basis {
        Basis::Verified => "verified",
        Basis::Checked { .. } => "checked",
        Basis::Open { .. } => "open",
        Basis::Answered => "answered",
    }
}

fn policy(case: &Value) -> Policy {
    let seconds = |name: &str| case[name].as_u64().map(Duration::from_secs);
    let mut policy = match case["consults"].as_str().unwrap() {
        "check" => Policy::check(seconds("max_staleness").unwrap()),
        "verify" => Policy::verify_only(),
        "ask" => Policy::ask(),
        "introspect" => Policy::introspect(),
        other => panic!("a policy consults {other}"),
    };
    policy = match case["on_stale"].as_str() {
        None => policy,
        Some("ask") => policy.on_stale(OnStale::Ask),
        Some("open") => policy.on_stale(OnStale::Open { max_age: seconds("open_max_age").unwrap() }),
        Some(other) => panic!("on_stale is {other}"),
    };
    if let Some(window) = seconds("check_after") {
        policy = policy.check_after(window);
    }
    if let Some(window) = seconds("ask_after") {
        policy = policy.ask_after(window);
    }
    if let Some(max_age) = seconds("max_auth_age") {
        policy = policy.max_auth_age(max_age);
    }
    match case["revoked_status"].as_u64() {
        Some(403) => policy.revoked_status(RevokedStatus::Forbidden),
        _ => policy,
    }
}

#[test]
fn every_vector_comes_out_as_written() {
    let vectors = Vectors::load();
    let cases = vectors.all["cases"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let outcome = vectors.outcome(case);
        let expected = (case["verdict"].clone(), case["decision"].clone());
        if outcome != expected {
            wrong.push(format!("{}\n    expected {expected:?}\n    came     {outcome:?}", case["name"]));
        }
    }
    assert!(cases.len() > 90 && wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn i21_no_case_of_not_knowing_is_answered_as_revoked() {
    let vectors = Vectors::load();
    for case in vectors.all["cases"].as_array().unwrap() {
        let (verdict, decision) = vectors.outcome(case);
        if decision["deny"]["code"] == "token_revoked" {
            assert!(verdict["revoked"].is_object(), "{}", case["name"]);
        }
        if verdict["indeterminate"].is_string() && verdict["indeterminate"] != "too_many_targets" {
            assert!(decision["deny"].is_null() || decision["deny"]["status"] == 503, "{}", case["name"]);
        }
    }
}
