//! What the vectors cannot say: what becomes of an answer, of the application's last word, of a
//! view that halts or whose clock is set back, and of settings that change under a token.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::time::Duration;

use annul_core::UnverifiedToken;
use annul_core::algebra::{CutoffFields, HitCutoff, Refusal, Until};
use annul_core::policy::{Answer, Basis, Decision, Denial, DenyReason, OnStale, Policy, RevokedStatus, Vouched};
use annul_core::position::Position;
use annul_core::record::{Entry, Record, RecordBody};
use annul_core::settings::Settings;
use annul_core::target::{HashKey, TargetHash, TargetKind};
use annul_core::time::{Moment, Monotonic, UnixSeconds};
use annul_core::token::{Expect, TokenError, VerifiedToken};
use annul_core::trust::{Misfit, Trust};
use annul_core::verdict::{Cause, Verdict};
use annul_core::view::{Halt, View, ViewWriter};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);
const MOMENT: Moment = Moment { wall: UnixSeconds(1_800_000_000), mono: Monotonic(Duration::from_secs(1_000)) };
const ISSUER: &str = "https://id.example";
const CLOSED: Policy = Policy::check(MINUTE);

fn key() -> HashKey {
    HashKey::from_bytes(std::array::from_fn(|index| u8::try_from(index).unwrap()))
}

fn case(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/decisions.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all["cases"].as_array().unwrap().iter().find(|case| case["name"] == name).unwrap().clone()
}

/// The token and the records of a vector, in a view that is fresh.
fn vector(name: &str) -> (View, ViewWriter, VerifiedToken) {
    let case = case(name);
    let (view, mut writer) = View::new();
    writer.set_hash_key(key());
    let lines = case["records"].as_array().unwrap();
    let records: Vec<Record> = lines.iter().map(|line| Record::from_line(line.as_str().unwrap()).unwrap()).collect();
    writer.apply(&records).unwrap();
    writer.confirm(records.last().unwrap().at, MOMENT.mono, MOMENT.wall);
    let trust = Trust::new(ISSUER, "api");
    let token = trust.verify(&view, case["token"].as_str().unwrap(), MOMENT.wall).unwrap();
    (view, writer, token)
}

fn good() -> (View, ViewWriter, VerifiedToken) {
    vector("a token that nothing revokes is allowed")
}

fn dead() -> (View, ViewWriter, VerifiedToken) {
    vector("now revokes what was issued before it")
}

fn denial(decision: Decision) -> Denial {
    match decision {
        Decision::Deny(denial) => denial,
        other => panic!("not denied: {other:?}"),
    }
}

fn asked(answer: Answer) -> Decision {
    let (view, _writer, token) = good();
    match Policy::ask().revoked_status(RevokedStatus::Forbidden).decide(view.check(token), MOMENT) {
        Decision::Ask(unsettled) => unsettled.settle(answer),
        other => panic!("not asked: {other:?}"),
    }
}

#[test]
fn an_answer_settles_what_was_asked() {
    let Decision::Allow(authorized) = asked(Answer::Active(Vouched::default())) else {
        panic!("an active token was refused")
    };
    assert_eq!(authorized.basis(), Basis::Answered);
    let refusal = Refusal { kind: TargetKind::Claim, cutoff: HitCutoff::Position, at: Position::new(1, 9) };
    assert_eq!(denial(asked(Answer::Revoked(Some(refusal)))).status(), 403, "the route's own status holds");
    assert_eq!(denial(asked(Answer::Refused)).status(), 401);
    let unavailable = denial(asked(Answer::Unavailable));
    assert_eq!((unavailable.status(), unavailable.code()), (503, "ask_unavailable"));
}

#[test]
fn the_application_can_only_refuse() {
    let (view, _writer, token) = good();
    let allowed = || CLOSED.decide(view.check(token.clone()), MOMENT);
    assert!(matches!(allowed().unless_refused(|_| true), Decision::Allow(_)));
    let refused = denial(allowed().unless_refused(|_| false));
    assert_eq!((refused.status(), refused.reason()), (403, &DenyReason::RefusedByApplication));

    let (view, _writer, token) = dead();
    let denied = CLOSED.decide(view.check(token), MOMENT).unless_refused(|_| panic!("asked about a denial"));
    assert_eq!(denial(denied).code(), "token_revoked");
}

#[test]
fn the_view_goes_on_ageing_between_check_and_decision() {
    let (view, _writer, token) = good();
    let checked = view.check(token);
    let later = Moment { mono: MOMENT.mono.plus(MINUTE + Duration::from_secs(1)), ..MOMENT };
    assert_eq!(denial(CLOSED.decide(checked, later)).code(), "view_stale");
}

#[test]
fn a_halted_view_vouches_for_nothing_and_still_refuses() {
    let (view, mut writer, token) = good();
    writer.halt(Halt::BadFeed);
    writer.halt(Halt::Diverged);
    let checked = view.check(token.clone());
    assert_eq!(checked.verdict(), Verdict::Indeterminate(Cause::Halted(Halt::BadFeed)), "the first reason stays");
    assert_eq!(denial(CLOSED.decide(checked.clone(), MOMENT)).status(), 503);
    let open = CLOSED.on_stale(OnStale::Open { max_age: MINUTE });
    assert!(matches!(open.decide(checked.clone(), MOMENT), Decision::Allow(_)));
    assert!(matches!(CLOSED.on_stale(OnStale::Ask).decide(checked, MOMENT), Decision::Ask(_)));
    writer.resume();
    assert!(matches!(CLOSED.decide(view.check(token), MOMENT), Decision::Allow(_)));

    let (view, mut writer, token) = dead();
    writer.halt(Halt::BadFeed);
    assert!(matches!(view.check(token).verdict(), Verdict::Revoked(_)));
}

#[test]
fn i16_a_clock_set_forth_and_back_revives_nothing() {
    let (view, mut writer, token) = dead();
    let snapshot = writer.contents().unwrap();
    writer.expire(MOMENT.wall.plus(1_000_000));
    let checked = view.check(token.clone());
    assert_eq!(checked.verdict(), Verdict::Indeterminate(Cause::ClockStepped), "its entry was forgotten too early");
    let open = CLOSED.on_stale(OnStale::Open { max_age: MINUTE });
    assert_eq!(denial(open.decide(checked, MOMENT)).status(), 503);
    assert!(writer.contents().unwrap().forgotten > MOMENT.wall, "what is persisted says so too");
    writer.replace(snapshot).unwrap();
    assert!(matches!(view.check(token).verdict(), Verdict::Revoked(_)));
}

#[test]
fn i16_an_expiry_by_a_true_clock_troubles_no_token() {
    let (view, mut writer, token) = good();
    writer.expire(MOMENT.wall);
    assert!(matches!(view.check(token).verdict(), Verdict::Active { .. }));
}

#[test]
fn without_the_hash_key_of_the_settings_nothing_is_judged() {
    let (view, mut writer, token) = good();
    writer.set_hash_key(HashKey::from_bytes([1; 32]));
    let checked = view.check(token);
    assert_eq!(checked.verdict(), Verdict::Indeterminate(Cause::SettingsUnknown));
    assert_eq!(denial(CLOSED.decide(checked, MOMENT)).status(), 503);
}

#[test]
fn facts_of_an_older_revision_are_computed_again() {
    let (view, mut writer, token) = vector("always on its claim revokes a token");
    assert!(matches!(view.check(token.clone()).verdict(), Verdict::Revoked(_)));
    let change = |revision, claims: &[&str]| {
        let claims = claims.iter().map(|claim| (*claim).to_owned()).collect();
        Settings { revision, claims, ..view.settings().unwrap().as_ref().clone() }
    };
    let next = |settings| Record { at: view.position().unwrap().next(), body: RecordBody::Settings(settings) };
    let without = next(change(2, &["groups"]));
    writer.apply(&[without]).unwrap();
    assert!(matches!(view.check(token.clone()).verdict(), Verdict::Active { .. }));
    let with = next(change(3, &["tenant"]));
    writer.apply(&[with]).unwrap();
    assert!(matches!(view.check(token).verdict(), Verdict::Revoked(_)));
}

#[test]
fn an_answer_has_to_know_of_the_newest_entry_that_is_asked_about() {
    let (view, mut writer, token) = vector("an entry on an ask_on claim makes a route ask");
    let at = view.position().unwrap();
    assert_eq!(view.check(token.clone()).asked_since(), Some(at));
    let mut settings = Settings::clone(&view.settings().unwrap());
    settings.revision += 1;
    settings.ask_on.push("tenant".to_owned());
    let entry = Entry {
        target: TargetHash::of(&key(), ISSUER, TargetKind::Claim, &["tenant", "acme"]),
        kind: TargetKind::Claim,
        fields: CutoffFields { now: true, ..CutoffFields::default() },
        until: Until::Never,
    };
    let bodies = [RecordBody::Settings(settings), RecordBody::Revoke(entry)];
    let records = [at.next(), at.next().next()].into_iter().zip(bodies).map(|(at, body)| Record { at, body });
    writer.apply(&records.collect::<Vec<_>>()).unwrap();
    let checked = view.check(token);
    assert_eq!(checked.asked_since(), view.position(), "of the second claim");
}

#[test]
fn a_token_ahead_of_the_view_says_so() {
    let (view, _writer, token) = vector("a token ahead of the view is checked like any other");
    assert_eq!(view.check(token).ahead(), Some(Position::new(1, 9)));
    let (view, _writer, token) = good();
    assert_eq!(view.check(token).ahead(), None);
}

#[test]
fn the_reported_age_covers_every_way_to_accept() {
    let seconds = Duration::from_secs;
    let open = |max_age| OnStale::Open { max_age };
    for (policy, expected) in [
        (CLOSED, Some(MINUTE)),
        (CLOSED.on_stale(OnStale::Ask), Some(MINUTE)),
        (CLOSED.on_stale(open(seconds(300))), Some(seconds(300))),
        (CLOSED.check_after(seconds(90)), Some(seconds(90))),
        (CLOSED.on_stale(open(seconds(70))).check_after(seconds(90)), Some(seconds(90))),
        (Policy::ask(), Some(Duration::ZERO)),
        (Policy::verify_only(), None),
    ] {
        assert_eq!(policy.longest_age(), expected, "{policy:?}");
    }
}

#[test]
fn challenges_are_those_of_rfc_6750_and_9470() {
    let challenge = |reason| CLOSED.denial(reason).challenge();
    assert_eq!(challenge(DenyReason::TokenRefused(TokenError::Missing)).unwrap(), "Bearer");
    let revoked = challenge(DenyReason::Revoked(None)).unwrap();
    assert_eq!(revoked, "Bearer error=\"invalid_token\", error_description=\"token_revoked\"");
    let step_up = challenge(DenyReason::AuthTooOld { max_age: MINUTE }).unwrap();
    assert!(step_up.starts_with("Bearer error=\"insufficient_user_authentication\""));
    assert!(step_up.ends_with("max_age=\"60\""));
    assert_eq!(challenge(DenyReason::Stale { age: None }), None, "503 is no challenge");
}

#[test]
fn a_verifier_beyond_the_settings_does_not_fit() {
    let (view, _writer, _token) = good();
    let settings = view.settings().unwrap();
    let trust = Trust::new(ISSUER, "api").with_foreign(Expect::foreign("https://idp.example", "api"));
    assert_eq!(trust.fits(&settings), Ok(()));
    assert_eq!(trust.clone().with_leeway(60).fits(&settings), Ok(()));
    let too_large = Misfit::LeewayTooLarge { leeway: 61, max_leeway: 60 };
    assert_eq!(trust.with_leeway(61).fits(&settings), Err(too_large));
    let other = Misfit::OtherIssuer { of_log: ISSUER.to_owned() };
    assert_eq!(Trust::new("https://other.example", "api").fits(&settings), Err(other));
}

/// A fresh view whose issuer has lost its keys, and a token by one of them.
fn without_keys() -> (View, ViewWriter, String) {
    let (view, mut writer, _) = good();
    let text = case("a token that nothing revokes is allowed")["token"].as_str().unwrap().to_owned();
    let mut record = view.issuer(ISSUER).unwrap().record.clone();
    record.keys.clear();
    let at = view.position().unwrap().next();
    writer.apply(&[Record { at, body: RecordBody::Issuer(record) }]).unwrap();
    (view, writer, text)
}

/// How a token that cannot be verified is refused.
fn refused(view: &View, text: &str, moment: Moment) -> (&'static str, u16) {
    let error = Trust::new(ISSUER, "api").verify(view, text, MOMENT.wall).unwrap_err();
    (error.code(), CLOSED.refuse(error, view, text, moment).status())
}

#[test]
fn a_token_of_a_killed_key_is_refused_by_a_stale_view_too_and_one_of_an_unknown_key_is_not_judged() {
    let (view, mut writer, text) = without_keys();
    let kid = UnverifiedToken::parse(&text).unwrap().header().kid().unwrap().to_owned();
    let stale = Moment { mono: MOMENT.mono.plus(MINUTE * 2), ..MOMENT };
    assert_eq!(refused(&view, &text, stale), ("key_unknown", 503));
    let kill = Entry {
        target: TargetHash::of(&key(), ISSUER, TargetKind::Key, &[&kid]),
        kind: TargetKind::Key,
        fields: CutoffFields { always: true, ..CutoffFields::default() },
        until: Until::Never,
    };
    let at = view.position().unwrap().next();
    writer.apply(&[Record { at, body: RecordBody::Revoke(kill) }]).unwrap();
    assert_eq!(refused(&view, &text, stale), ("key_killed", 401));
}

#[test]
fn an_unknown_key_is_refused_for_good_by_a_view_that_has_all_it_was_told_of() {
    let (view, mut writer, text) = without_keys();
    assert_eq!(refused(&view, &text, MOMENT), ("key_unknown", 401));
    let told = view.position().unwrap().next();
    writer.confirm(told, MOMENT.mono, MOMENT.wall);
    assert_eq!(refused(&view, &text, MOMENT), ("key_unknown", 503), "what it has not got may publish the key");
    let issuer = view.issuer(ISSUER).unwrap().record.clone();
    writer.apply(&[Record { at: told, body: RecordBody::Issuer(issuer) }]).unwrap();
    assert_eq!(refused(&view, &text, MOMENT), ("key_unknown", 401));
}

/// The same for what else a record that is on its way may put right.
#[test]
fn a_longer_life_and_another_key_for_tokens_without_a_kid_may_be_among_what_a_view_was_told_of_and_has_not_got() {
    let (view, mut writer, _) = good();
    let text = |name| case(name)["token"].as_str().unwrap().to_owned();
    let nameless = text("a bad signature without a kid is refused while the view is fresh");
    let long = text("a token that outlives its issuer's longest life is refused");
    assert_eq!(refused(&view, &nameless, MOMENT), ("signature_invalid", 401));
    assert_eq!(refused(&view, &long, MOMENT), ("life_too_long", 401));
    writer.confirm(view.position().unwrap().next(), MOMENT.mono, MOMENT.wall);
    assert_eq!(refused(&view, &nameless, MOMENT), ("signature_invalid", 503));
    assert_eq!(refused(&view, &long, MOMENT), ("life_too_long", 503));
}
