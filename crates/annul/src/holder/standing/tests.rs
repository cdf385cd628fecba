//! What follows from where a holder stands, step by step.

use super::*;
use crate::client::{ClientError, Problem};
use crate::http::Scheme;

const LIFE: u64 = 300;

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(1_000 + seconds))
}

fn token(text: &str) -> AccessToken {
    AccessToken::new(text, Scheme::Bearer)
}

fn grant(number: u32, sent: u64) -> Grant {
    let (access, refresh) = (token(&format!("a{number}")), RefreshToken::from(format!("r{number}")));
    Grant { access, refresh, sent: at(sent), life: Duration::from_secs(LIFE) }
}

fn resumed() -> Standing {
    Standing::resumed("r0".into(), Lead { length: None, draw: |_| Duration::ZERO })
}

/// A standing that had its first token at 0.
fn holding() -> Standing {
    let mut standing = resumed();
    standing.kept(grant(1, 0), at(0));
    standing
}

fn text(need: Need) -> String {
    match need {
        Need::Nothing(Ok(token)) => token.expose().to_owned(),
        Need::Nothing(Err(error)) => error.code().to_owned(),
        Need::Soon(token) => format!("soon {}", token.expose()),
        Need::Now => "now".to_owned(),
    }
}

fn next(step: Step) -> String {
    match step {
        Step::Done(Ok(token)) => token.expose().to_owned(),
        Step::Done(Err(error)) => error.code().to_owned(),
        Step::Keep(grant) => format!("keep {}", grant.refresh.expose()),
        Step::Redeem(refresh) => format!("redeem {}", refresh.expose()),
    }
}

fn unreachable() -> HolderError {
    HolderError::not_now(ClientError::Unreachable {
        url: "http://127.0.0.1:1/".to_owned(),
        cause: "refused".to_owned(),
    })
}

fn over() -> HolderError {
    HolderError::of(Problem::read(400, br#"{"error":"invalid_grant","code":"session_revoked"}"#, None))
}

#[test]
fn a_refresh_departs_once_ahead_of_need_and_is_waited_for_only_at_the_end() {
    let mut standing = holding();
    assert_eq!(text(standing.need(at(209))), "a1");
    assert_eq!(text(standing.need(at(210))), "soon a1");
    assert_eq!(text(standing.need(at(211))), "a1", "one of all who ask sees to it");
    assert_eq!(text(standing.need(at(298))), "now");
    assert_eq!(next(standing.step(at(298))), "redeem r1");
}

#[test]
fn due_times_are_spread_over_the_first_third_of_the_lead() {
    let due = |draw, length| Lead { length, draw }.of(&grant(1, 0)).0;
    assert_eq!(due(|_| Duration::ZERO, None), at(210));
    assert_eq!(due(|most| most, None), at(240));
    let second = Some(Duration::from_secs(60));
    assert_eq!((due(|_| Duration::ZERO, second), due(|most| most, second)), (at(240), at(260)));
    assert_eq!(due(|_| Duration::ZERO, Some(Duration::from_secs(900))), at(150), "not more than half the life");
}

#[test]
fn the_shortest_life_neither_underflows_nor_is_given_out_when_over() {
    let lead = Lead { length: None, draw: |most| most };
    for life in [0, 1] {
        let (due, ends) = lead.of(&Grant { life: Duration::from_secs(life), ..grant(1, 0) });
        assert!(at(0) <= due && due <= ends && ends <= at(life), "{life}");
    }
}

#[test]
fn nothing_is_used_before_it_is_kept() {
    let mut standing = resumed();
    standing.granted(grant(1, 0));
    assert_eq!(text(standing.need(at(0))), "now");
    assert_eq!(next(standing.step(at(0))), "keep r1");
    let failed = standing.failed(HolderError::NotKept { cause: "full".to_owned() }, at(0));
    assert_eq!(failed.unwrap_err().code(), "refresh_token_not_kept");
    assert_eq!(text(standing.need(at(0))), "refresh_token_not_kept");
    assert_eq!(next(standing.step(at(1))), "keep r1", "the authority is not asked for what is here already");
    standing.kept(grant(1, 0), at(1));
    assert_eq!(text(standing.need(at(1))), "a1");
    assert_eq!(next(standing.step(at(299))), "redeem r1");
}

#[test]
fn no_answer_leaves_the_token_in_use_and_spares_the_authority_for_a_moment() {
    let mut standing = holding();
    assert_eq!(text(standing.need(at(250))), "soon a1");
    assert_eq!(standing.failed(unreachable(), at(250)).unwrap(), token("a1"), "it is good to its end");
    assert_eq!(text(standing.need(at(250))), "a1");
    assert_eq!(next(standing.step(at(250))), "a1", "whoever was on board asks nothing more");
    assert_eq!(text(standing.need(at(251))), "soon a1");
    assert_eq!(standing.failed(unreachable(), at(299)).unwrap_err().code(), "authority_unreachable");
    assert_eq!(text(standing.need(at(299))), "authority_unreachable");
    assert_eq!(text(standing.need(at(300))), "now", "still logged in, however long it took");
}

#[test]
fn the_end_is_final_and_told_at_once() {
    let mut standing = holding();
    assert_eq!(standing.failed(over(), at(250)).unwrap_err().code(), "session_revoked");
    for seconds in [250, 300, 1_000_000] {
        assert_eq!(text(standing.need(at(seconds))), "session_revoked");
        assert_eq!(next(standing.step(at(seconds))), "session_revoked");
    }
}

#[test]
fn a_refused_token_is_replaced_once() {
    let mut standing = holding();
    standing.refuse(&token("a1"), at(5)).unwrap();
    assert_eq!(text(standing.need(at(5))), "now");
    assert_eq!(next(standing.step(at(5))), "redeem r1");
    standing.kept(grant(2, 5), at(6));
    standing.refuse(&token("a1"), at(7)).unwrap();
    assert_eq!(text(standing.need(at(7))), "a2", "who was refused with the old one takes the new one");
    assert_eq!(standing.refuse(&token("a2"), at(8)).unwrap_err().code(), "token_still_refused");
    assert_eq!(text(standing.need(at(8))), "a2", "the token stays in use");
    standing.refuse(&token("a2"), at(16)).unwrap();
    assert_eq!(text(standing.need(at(16))), "now", "a later refusal is another matter");
}

#[test]
fn a_refresh_outside_its_window_is_early_while_the_token_lives_and_late_after() {
    let outside = || {
        let body = br#"{"error":"invalid_grant","code":"refresh_outside_window"}"#;
        HolderError::of(Problem::read(400, body, None))
    };
    let mut standing = holding();
    assert_eq!(standing.failed(outside(), at(250)).unwrap(), token("a1"));
    assert_eq!(text(standing.need(at(251))), "soon a1");
    assert!(!standing.failed(outside(), at(299)).unwrap_err().is_logged_in());
    let mut unknown = resumed();
    assert!(unknown.failed(outside(), at(0)).unwrap_err().is_logged_in(), "the last token may still live");
}
