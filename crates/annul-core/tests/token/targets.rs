//! What a token's targets are, and which entries revoke it.

use annul_core::algebra::{Cell, Cutoff, CutoffFields, HitCutoff, Reading, Until};
use annul_core::position::Position;
use annul_core::settings::MAX_TARGETS;
use annul_core::target::{HashKey, Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use annul_core::token::{Algorithm, Claims, Expect, Facts, TokenError, VerifiedToken};
use serde_json::{Value, json};

use crate::signing::*;

fn own_token(changes: Value) -> VerifiedToken {
    present_own(&with(own_claims(), changes)).unwrap()
}

fn foreign_token(changes: Value) -> VerifiedToken {
    present_payload(with(foreign_claims(), changes).to_string()).unwrap()
}

/// The targets' texts, as our own issuer writes them, sorted.
fn texts(token: &VerifiedToken, claims: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> =
        token.targets(&settings(claims, &[])).unwrap().iter().map(|target| target.text(OWN)).collect();
    texts.sort();
    texts
}

fn hash_of(text: &str) -> TargetHash {
    Target::parse(text, OWN).unwrap().hash(&hash_key())
}

#[test]
fn an_own_token_goes_by_all_its_names() {
    let token = own_token(json!({"cnf": {"jkt": "thumb", "x5t#S256": "cert"}}));
    let key = format!("key:{}", token.key_id());
    let mut expected = vec![
        "client:web",
        "confirmation:cert",
        "confirmation:thumb",
        "device:alice/phone",
        "issuer",
        &key,
        "session:s-1",
        "subject:alice",
        "subject_client:alice/web",
        "token:t-1",
    ];
    expected.sort_unstable();
    assert_eq!(texts(&token, &[]), expected);
}

#[test]
fn a_foreign_token_goes_by_names_of_its_own_issuer_and_its_key_does_too() {
    let token = foreign_token(json!({"azp": "app", "origin": [{"iss": OWN, "sid": "s-1"}]}));
    let expected = ["", "/client:app", "/key:shared", "/subject:bob", "/subject_client:bob/app", "/token:f-1"]
        .map(|rest| format!("issuer:https:%2F%2Fidp.example{rest}"));
    assert_eq!(texts(&token, &[]), expected);
}

#[test]
fn a_token_without_jti_goes_by_the_hash_of_what_was_signed() {
    let token = foreign_token(json!({"jti": null}));
    let target = token.token_target();
    assert_eq!((target.kind(), target.issuer_name()), (TargetKind::TokenHash, IDP));
    assert!(token.targets(&settings(&[], &[])).unwrap().contains(&target));
    assert_ne!(token.digest(), foreign_token(json!({"jti": null, "x": 1})).digest());
    assert_eq!(foreign_token(json!({})).token_target().kind(), TargetKind::Token);
    // The header is hashed too, apart from the payload.
    let signer = Signer::of(Algorithm::Hs256);
    let claims = with(foreign_claims(), json!({"jti": null})).to_string();
    let other = signer.sign(r#"{"alg":"HS256","x":1}"#, claims);
    let other = present(&other, &signer.keys(None), &Expect::foreign(IDP, API)).unwrap();
    assert_ne!(token.digest(), other.digest());
}

#[test]
fn ancestors_are_targets_under_their_own_issuer() {
    let token = own_token(json!({"origin": [
        {"iss": IDP, "sid": "s-9"}, {"iss": IDP, "sub": "bob"}, {"iss": OWN, "sid": "s-0", "sub": "alice"},
    ]}));
    let all = texts(&token, &[]);
    for text in
        ["issuer:https:%2F%2Fidp.example/session:s-9", "issuer:https:%2F%2Fidp.example/subject:bob", "session:s-0"]
    {
        assert!(all.iter().any(|other| other == text), "{text}");
    }
    assert_eq!(all.iter().filter(|text| *text == "subject:alice").count(), 1, "a target is held once");
}

#[test]
fn configured_claims_are_targets_by_value() {
    let token = own_token(json!({
        "tenant": "acme", "level": 7, "exact": 7.0, "ratio": 0.5, "beta": true, "roles": ["admin", 3, false, null, ["x"]],
        "scope": "read write read", "address": {"city": "x"}, "empty": "", "none": [], "other": "unread",
    }));
    let configured = [
        "tenant", "level", "exact", "ratio", "beta", "roles", "scope", "address", "empty", "none", "absent", "sub", "",
    ];
    let claims: Vec<String> =
        texts(&token, &configured).into_iter().filter(|text| text.starts_with("claim:")).collect();
    assert_eq!(
        claims,
        [
            "claim:beta=true",
            "claim:exact=7",
            "claim:level=7",
            "claim:ratio=0.5",
            "claim:roles=3",
            "claim:roles=admin",
            "claim:roles=false",
            "claim:scope=read",
            "claim:scope=write",
            "claim:sub=alice",
            "claim:tenant=acme",
        ]
    );
    assert!(texts(&token, &[]).iter().all(|text| !text.starts_with("claim:")), "only what the settings list");
}

#[test]
fn a_value_too_long_to_be_named_is_refused_with_its_token() {
    let token = own_token(json!({"tenant": "x".repeat(513), "roles": ["y".repeat(513)]}));
    for claim in ["tenant", "roles"] {
        let refused = token.facts(&settings(&[claim], &[]), &hash_key()).unwrap_err();
        assert_eq!(refused.code(), "claim_invalid");
    }
    let mut without = settings(&[], &[]);
    without.revision = 2;
    assert!(token.facts(&without, &hash_key()).is_ok());
}

#[test]
fn more_than_64_targets_are_refused_and_never_cut() {
    let plain = texts(&own_token(json!({})), &[]).len();
    let roles = |count: usize| (0..count).map(|role| format!("r{role}")).collect::<Vec<_>>();
    for (claims, ask_on) in [(["roles"], &[][..]), (["roles"], &["roles"][..])] {
        let settings = settings(&claims, ask_on);
        let most = own_token(json!({"roles": roles(MAX_TARGETS - plain)}));
        let facts = most.facts(&settings, &hash_key()).unwrap();
        assert_eq!(facts.targets.len() + facts.asks.len(), MAX_TARGETS);
        let over = own_token(json!({"roles": roles(MAX_TARGETS - plain + 1)}));
        assert_eq!(over.facts(&settings, &hash_key()), Err(TokenError::TooManyTargets));
    }
    let repeated = own_token(json!({"roles": vec!["admin"; 500]}));
    assert_eq!(repeated.facts(&settings(&["roles"], &[]), &hash_key()).unwrap().targets.len(), plain + 1);
}

#[test]
fn facts_hash_the_targets_that_are_named() {
    let token = own_token(json!({"tenant": "acme", "cnf": {"jkt": "t"}, "origin": [{"iss": IDP, "sid": "s-9"}]}));
    let settings = settings(&["tenant"], &[]);
    let facts = token.facts(&settings, &hash_key()).unwrap();
    let named: Vec<_> =
        token.targets(&settings).unwrap().iter().map(|target| (target.kind(), target.hash(&hash_key()))).collect();
    assert_eq!(facts.targets.to_vec(), named);
    assert_eq!(facts.reading, Reading::Own { position: LPOS, time: NOW.minus(100) });
    assert_eq!((facts.issued, facts.expires), (Some(NOW.minus(10)), NOW.plus(300)));
    assert_eq!((facts.revision, facts.lpos, facts.is_own()), (1, Some(LPOS), true));
}

#[test]
fn claims_to_ask_about_are_kept_apart() {
    let token = own_token(json!({"tenant": "acme", "plan": "free"}));
    let facts = token.facts(&settings(&["tenant", "plan"], &["plan"]), &hash_key()).unwrap();
    assert_eq!(facts.asks, [(TargetKind::Claim, hash_of("claim:plan=free"))]);
    assert!(facts.targets.contains(&(TargetKind::Claim, hash_of("claim:tenant=acme"))));
    assert!(!facts.targets.contains(&(TargetKind::Claim, hash_of("claim:plan=free"))));
    let cell = Cell::of(CutoffFields { always: true, ..CutoffFields::default() }, Position::new(9, 9), Until::Never);
    assert_eq!(facts.judge(|hash| (*hash == hash_of("claim:plan=free")).then_some(cell)), None);
}

#[test]
fn facts_are_computed_again_when_settings_or_hash_key_change() {
    let token = own_token(json!({"tenant": "acme"}));
    let first = token.facts(&settings(&[], &[]), &hash_key()).unwrap();
    let clone = token.clone();
    let again = clone.facts(&settings(&[], &[]), &hash_key()).unwrap();
    assert!(std::ptr::eq(&*first, &*again), "kept, and shared by clones");
    let mut changed = settings(&["tenant"], &[]);
    changed.revision = 2;
    let second = token.facts(&changed, &hash_key()).unwrap();
    assert_eq!((second.targets.len(), second.revision), (first.targets.len() + 1, 2));
    let other_key = token.facts(&changed, &HashKey::from_bytes([4; 32])).unwrap();
    assert!(other_key.targets.iter().all(|target| !second.targets.contains(target)));
}

#[test]
fn own_and_foreign_readings_never_mix() {
    let mut other_log = settings(&[], &[]);
    other_log.issuer = "https://other.example".to_owned();
    assert_eq!(own_token(json!({})).facts(&other_log, &hash_key()), Err(TokenError::IssuerMismatch));
    other_log.issuer = IDP.to_owned();
    assert_eq!(foreign_token(json!({})).facts(&other_log, &hash_key()), Err(TokenError::IssuerMismatch));
}

#[test]
fn the_login_is_what_a_time_cutoff_is_compared_with() {
    let reading = |changes| own_token(changes).reading();
    assert_eq!(reading(json!({})), Reading::Own { position: LPOS, time: NOW.minus(100) });
    assert_eq!(reading(json!({"auth_time": null})), Reading::Own { position: LPOS, time: NOW.minus(10) });
    assert_eq!(reading(json!({"auth_time": 5.9})), Reading::Own { position: LPOS, time: UnixSeconds(5) });
    let foreign = foreign_token(json!({"auth_time": 5})).reading();
    assert_eq!(foreign, Reading::Foreign { issued: Some(NOW.minus(10)), skew: 0 }, "foreign tokens go by iat");
    let signer = Signer::of(Algorithm::Hs256);
    let token = signer.token(&with(foreign_claims(), json!({"iat": null})));
    let skewed = present(&token, &signer.keys(None), &Expect::foreign(IDP, API).with_skew(30)).unwrap();
    assert_eq!(skewed.reading(), Reading::Foreign { issued: None, skew: 30 });
}

#[test]
fn each_target_revokes_and_its_neighbours_do_not() {
    let token = own_token(json!({"tenant": "acme", "cnf": {"jkt": "thumb"}, "origin": [{"iss": IDP, "sid": "s-9"}]}));
    let facts = token.facts(&settings(&["tenant"], &[]), &hash_key()).unwrap();
    let always = Cell::of(CutoffFields { always: true, ..CutoffFields::default() }, Position::new(1, 1), Until::Never);
    let judge = |text: &str| {
        let hash = hash_of(text);
        facts.judge(|probe| (*probe == hash).then_some(always)).map(|refusal| (refusal.kind, refusal.cutoff))
    };
    for (text, kind) in [
        ("issuer", TargetKind::Issuer),
        ("subject:alice", TargetKind::Subject),
        ("client:web", TargetKind::Client),
        ("subject_client:alice/web", TargetKind::SubjectClient),
        ("device:alice/phone", TargetKind::Device),
        ("session:s-1", TargetKind::Session),
        ("token:t-1", TargetKind::Token),
        (&format!("key:{}", token.key_id()), TargetKind::Key),
        ("confirmation:thumb", TargetKind::Confirmation),
        ("claim:tenant=acme", TargetKind::Claim),
        ("issuer:https:%2F%2Fidp.example/session:s-9", TargetKind::Session),
    ] {
        assert_eq!(judge(text), Some((kind, HitCutoff::Always)), "{text}");
    }
    for text in [
        "subject:bob",
        "subject:Alice",
        "subject:alice ",
        "subject:web",
        "client:alice",
        "device:alice/laptop",
        "device:bob/phone",
        "session:t-1",
        "token:s-1",
        "claim:tenant=acme2",
        "claim:tenan=tacme",
        "issuer:https:%2F%2Fidp.example",
        "issuer:https:%2F%2Fidp.example/subject:alice",
        "session:s-9",
        "token_hash:t-1",
    ] {
        assert_eq!(judge(text), None, "{text}");
    }
}

#[test]
fn a_refusal_that_holds_at_any_age_is_named_first() {
    let token = own_token(json!({}));
    let facts = token.facts(&settings(&[], &[]), &hash_key()).unwrap();
    let at = |seq| Position::new(1, seq);
    let now = |seq| Cell::of(CutoffFields::of(Cutoff::Now, false, UnixMillis(0)), at(seq), Until::Never);
    let always = |seq| Cell::of(CutoffFields::of(Cutoff::Always, false, UnixMillis(0)), at(seq), Until::Never);
    let judge = |cells: &[(&str, Cell)]| {
        let cells: Vec<_> = cells.iter().map(|(text, cell)| (hash_of(text), *cell)).collect();
        facts.judge(|probe| cells.iter().find(|(hash, _)| hash == probe).map(|(_, cell)| *cell))
    };
    let refusal = judge(&[("subject:alice", now(50)), ("session:s-1", always(51))]).unwrap();
    assert_eq!((refusal.kind, refusal.at), (TargetKind::Session, at(51)));
    let refusal = judge(&[("session:s-1", now(50)), ("issuer", now(51))]).unwrap();
    assert_eq!(refusal.kind, TargetKind::Issuer);
    let refusal = judge(&[("subject:alice", now(50)), ("session:s-1", now(51))]).unwrap();
    assert!(!refusal.holds_at_any_age());
    assert_eq!(judge(&[("subject:alice", now(42)), ("session:s-1", now(41))]), None, "cutoffs are strict");
}

#[test]
fn the_authority_judges_the_same_facts_before_it_signs() {
    let claims = with(own_claims(), json!({"tenant": "acme"}));
    let token = present_own(&claims).unwrap();
    let settings = settings(&["tenant"], &[]);
    let before = Claims::from_map(claims.as_object().unwrap().clone()).unwrap();
    let facts = Facts::for_issue(&before, token.key_id(), &settings, &hash_key()).unwrap();
    assert_eq!(facts, *token.facts(&settings, &hash_key()).unwrap());
    for (changes, answer) in [
        (json!({"iss": IDP}), "issuer_mismatch"),
        (json!({"lpos": null}), "claim_invalid"),
        (json!({"jti": null}), "claim_invalid"),
        (json!({"exp": null}), "claim_invalid"),
        (json!({"tenant": (0..64).collect::<Vec<_>>()}), "too_many_targets"),
    ] {
        let before = Claims::from_map(with(claims.clone(), changes).as_object().unwrap().clone()).unwrap();
        let refused = Facts::for_issue(&before, "k", &settings, &hash_key()).unwrap_err();
        assert_eq!(refused.code(), answer);
    }
}
