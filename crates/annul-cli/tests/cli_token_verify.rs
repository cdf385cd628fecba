//! `annul token verify`: one answer per token, exit 1 when any was refused.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use binary::{Issuer, Ran, annul, annul_with_stdin, command};
use serde_json::{Value, json};

fn directory(issuer: &Issuer) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("jwks.json"), issuer.jwks().to_string()).unwrap();
    directory
}

const EXPECTED: [&str; 10] =
    ["token", "verify", "--jwks", "jwks.json", "--issuer", "https://idp.example", "--audience", "api", "--now", "1100"];

fn verify(directory: &Path, further: &[&str]) -> Ran {
    annul(directory, &[&EXPECTED, further].concat())
}

#[test]
fn a_good_token_is_ok_and_exit_0() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let ran = verify(directory.path(), &[&issuer.token()]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "OK\n", ""));
}

#[test]
fn each_token_has_its_answer_in_order_and_one_refusal_is_exit_1() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let ran = verify(
        directory.path(),
        &[
            &issuer.token(),
            &Issuer::new(2).token(),
            &issuer.token_with("exp", json!(1050)),
            &issuer.token_with("aud", json!("other")),
            &issuer.token_with("iss", json!("https://other.example")),
            &issuer.token_with("nbf", json!(1200)),
            "nonsense",
            &issuer.token(),
        ],
    );
    let expected = "OK\nREFUSED signature_invalid\nREFUSED token_expired\nREFUSED audience_mismatch\n\
                    REFUSED issuer_mismatch\nREFUSED token_not_yet_valid\nREFUSED token_malformed\nOK\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (1, expected));
}

#[test]
fn lines_of_hostile_bytes_each_get_an_answer() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let good = issuer.token();
    let mut input = Vec::new();
    for line in [good.as_bytes(), b"", b"\xff\xfe\0", b"a.b.c", &vec![b'a'; 1_000_000], b"....", b"{\"alg\":\"none\"}"]
    {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    input.extend_from_slice(good.as_bytes());
    let ran = annul_with_stdin(directory.path(), &[&EXPECTED[..], &["--stdin"]].concat(), &input);
    let codes: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(codes.len(), 8, "{}", ran.stdout);
    assert_eq!((codes[0], codes[7]), ("OK", "OK"));
    assert_eq!(codes[1], "REFUSED token_missing");
    assert_eq!(codes[2], "REFUSED token_malformed");
    assert_eq!(codes[4], "REFUSED token_too_large");
    assert!(codes[1..7].iter().all(|code| code.starts_with("REFUSED ")), "{}", ran.stdout);
    assert_eq!(ran.code, 1);
}

#[test]
fn leeway_and_typ_are_as_the_flags_say() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let late = issuer.token_with("exp", json!(1090));
    assert_eq!(verify(directory.path(), &["--leeway", "0", &late]).stdout, "REFUSED token_expired\n");
    assert_eq!(verify(directory.path(), &["--leeway", "30", &late]).stdout, "OK\n");
    assert_eq!(verify(directory.path(), &["--typ", "at+jwt", &issuer.token()]).stdout, "REFUSED typ_mismatch\n");
    assert_eq!(verify(directory.path(), &["--alg", "ES256", &issuer.token()]).stdout, "REFUSED alg_not_allowed\n");
}

#[test]
fn jws_only_stops_at_the_signature_and_does_not_read_the_payload() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let good = issuer.sign(&json!({ "alg": "EdDSA", "kid": "one" }), b"\xffnot JSON\0");
    let forged = Issuer::new(2).sign(&json!({ "alg": "EdDSA", "kid": "one" }), b"\xffnot JSON\0");
    let ran = annul(directory.path(), &["token", "verify", "--jwks", "jwks.json", "--jws-only", &good, &forged]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, "OK\nREFUSED signature_invalid\n"));
}

#[test]
fn json_is_one_document_per_token_with_the_code() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let ran = verify(directory.path(), &["--json", &issuer.token(), "x"]);
    let answers: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["verdict"], "ok");
    assert_eq!(answers[0]["claims"]["sub"], "alice");
    assert_eq!((&answers[1]["verdict"], &answers[1]["code"]), (&json!("refused"), &json!("token_malformed")));
}

#[test]
fn an_issuer_and_an_audience_are_not_optional_for_claims() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let token = issuer.token();
    let without_audience =
        annul(directory.path(), &["token", "verify", "--jwks", "jwks.json", "--issuer", "https://idp.example", &token]);
    assert_eq!((without_audience.code, without_audience.stdout.as_str()), (2, ""));
    let without_issuer =
        annul(directory.path(), &["token", "verify", "--jwks", "jwks.json", "--audience", "api", &token]);
    assert_eq!((without_issuer.code, without_issuer.stdout.as_str()), (2, ""));
    assert!(without_issuer.stderr.contains("hint: add --issuer"), "{}", without_issuer.stderr);
}

#[test]
fn a_key_set_that_is_none_is_a_usage_error_before_any_answer() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    for (name, content) in
        [("empty", ""), ("array", "[]"), ("text", "nonsense"), ("twice", "{\"keys\":[],\"keys\":[]}")]
    {
        std::fs::write(directory.path().join(name), content).unwrap();
        let ran = annul(directory.path(), &["token", "verify", "--jwks", name, "--jws-only", &issuer.token()]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{name}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    let absent = annul(directory.path(), &["token", "verify", "--jwks", "absent", "--jws-only", &issuer.token()]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("absent cannot be read"), "{}", absent.stderr);
}

#[test]
fn without_keys_and_without_an_authority_nothing_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let ran = annul(
        directory.path(),
        &["token", "verify", "--url", "http://127.0.0.1:1", "--audience", "api", &Issuer::new(1).token()],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.contains("cannot be reached"), "{}", ran.stderr);
}

#[test]
fn a_token_by_another_library_verifies() {
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let claims = json!({ "iss": "https://idp.example", "aud": ["other", "api"], "iat": 1000, "exp": 1300 });
    let secret = b"a secret of at least thirty-two bytes";
    let token = jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(secret)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let k = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret);
    let jwks = json!({ "keys": [{ "kty": "oct", "alg": "HS256", "k": k, "kid": "shared" }] });
    std::fs::write(directory.path().join("jwks.json"), jwks.to_string()).unwrap();
    let ran = verify(directory.path(), &[&token]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "OK\n"), "{}", ran.stderr);
}

#[test]
fn a_line_is_judged_at_the_time_it_comes() {
    let issuer = Issuer::new(1);
    let directory = directory(&issuer);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "iss": "https://idp.example", "aud": "api", "sub": "alice", "iat": now, "nbf": now + 2, "exp": now + 300 });
    let token = issuer.sign(&json!({ "alg": "EdDSA", "kid": "one" }), claims.to_string().as_bytes());
    let (expected, _now) = EXPECTED.split_at(EXPECTED.len() - 2);
    let mut child = command(directory.path())
        .args(expected)
        .args(["--leeway", "0", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut answer = || {
        writeln!(stdin, "{token}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    let started = Instant::now();
    loop {
        let told = answer();
        if told == "OK\n" {
            break;
        }
        assert_eq!(told, "REFUSED token_not_yet_valid\n");
        assert!(started.elapsed() < Duration::from_secs(20), "a token is judged by the time of the start");
    }
    drop(stdin);
    child.wait().unwrap();
}
