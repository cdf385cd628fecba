//! `annul token inspect`: what a token says, marked as unverified.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use binary::{Issuer, annul, annul_with_stdin};
use serde_json::{Value, json};

#[test]
fn what_is_shown_is_marked_as_unverified() {
    let directory = tempfile::tempdir().unwrap();
    let ran = annul(directory.path(), &["token", "inspect", &Issuer::new(1).token()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("NOT VERIFIED"), "{}", ran.stdout);
    assert!(ran.stdout.contains("alice"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1970-01-01T00:21:40Z"), "exp as a time: {}", ran.stdout);
}

#[test]
fn json_holds_header_and_claims_and_says_that_nothing_was_verified() {
    let directory = tempfile::tempdir().unwrap();
    let ran = annul(directory.path(), &["token", "inspect", "--json", &Issuer::new(1).token()]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["verified"], false);
    assert_eq!(answer["header"]["alg"], "EdDSA");
    assert_eq!(answer["claims"]["sub"], "alice");
}

#[test]
fn a_token_on_stdin_is_not_seen_by_other_users_of_the_machine() {
    let directory = tempfile::tempdir().unwrap();
    let token = format!("{}\n", Issuer::new(1).token());
    let ran = annul_with_stdin(directory.path(), &["token", "inspect", "-"], token.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("alice"));
}

#[test]
fn what_is_no_token_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let ran = annul(directory.path(), &["token", "inspect", "nonsense"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("(token_malformed)"), "{}", ran.stderr);
    let empty = annul_with_stdin(directory.path(), &["token", "inspect", "-"], b"");
    assert_eq!(empty.code, 2);
}

#[test]
fn a_claim_cannot_steer_the_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let token = Issuer::new(1).token_with("sub", json!("\u{1b}[2Jroot\r"));
    let ran = annul(directory.path(), &["token", "inspect", &token]);
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stdout.contains('\r'), "{:?}", ran.stdout);
}
