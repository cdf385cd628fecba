//! What every verb answers before anything is sent: usage, credentials, an authority that is not there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use binary::{Issuer, Ran, annul, annul_with_stdin, command, ran};

/// No process listens on port 1.
const NOBODY: &str = "http://127.0.0.1:1";

#[test]
fn nonsense_is_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["no-such-verb"],
        &["revoke", "--no-such-flag", "subject:alice"],
        &["revoke"],
        &["revoke", "sbject:alice"],
        &["revoke", "subject:"],
        &["revoke", "device:alice"],
        &["revoke", "subject:alice", "--cutoff", "yesterday"],
        &["revoke", "subject:alice", "--cutoff", "before:soon"],
        &["revoke", "subject:alice", "--reach", "everything"],
        &["revoke", "subject:alice", "--wait", "2"],
        &["revoke", "subject:alice", "--wait", "61s"],
        &["lift", "1:42", "--wait", "2m"],
        &["sessions", "end", "s1", "--wait", "1h"],
        &["subjects", "block", "alice", "--wait", "60001ms"],
        &["keys", "kill", "k1", "--yes", "--wait", "61s"],
        &["keys", "subject-secret", "--yes", "--wait", "61s"],
        &["doctor", "--wait", "61s"],
        &["revoke", "subject:alice", "--token", "a.b.c"],
        &["revoke", "--file", "absent"],
        &["lift"],
        &["lift", "42"],
        &["keys", "kill"],
        &["issuers", "add", "https://idp.example", "--longest-life", "5m"],
        &["issuers", "add", "https://idp.example", "--jwks-uri", "https://idp.example/k", "--longest-life", "1500ms"],
        &["issuers", "add", "https://idp.example", "--jwks-uri", "x", "--longest-life", "5m", "--skew", "900ms"],
        &["clients", "add", "web"],
        &["clients", "add", "web", "--scope", "everything"],
        &["token", "issue"],
        &["token", "verify"],
        &["audit", "--position", "x"],
    ] {
        let ran = annul(directory.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?} put words where data belongs");
        assert!(!ran.stderr.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn help_and_version_are_exit_0() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["revoke", "--help"], &["help", "keys", "kill"]] {
        assert_eq!(annul(directory.path(), arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn without_a_credential_the_file_that_was_tried_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let tried = annul(directory.path(), &["revoke", "subject:alice"]);
    assert_eq!(tried.code, 5, "{}", tried.stderr);
    assert!(tried.stderr.contains("./annul-data/admin.credential cannot be read"), "{}", tried.stderr);
    assert!(tried.stderr.contains("\nhint: "), "{}", tried.stderr);

    std::fs::write(directory.path().join("half"), "ANNUL_CLIENT_ID=admin\n").unwrap();
    let half = annul(directory.path(), &["revoke", "subject:alice", "--credential", "half"]);
    assert_eq!(half.code, 5);
    assert!(half.stderr.contains("half does not hold them"), "{}", half.stderr);
}

#[test]
fn half_a_credential_in_the_environment_is_not_completed_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let half = ran(command(directory.path()).args(["keys", "list"]).env("ANNUL_CLIENT_ID", "admin").output().unwrap());
    assert_eq!(half.code, 2);
    assert!(half.stderr.contains("ANNUL_CLIENT_SECRET is not"), "{}", half.stderr);
}

#[test]
fn an_authority_that_is_not_there_is_exit_4_and_nothing_was_done() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [&["revoke", "subject:alice"][..], &["keys", "list"], &["sessions", "list", "alice"], &["doctor"]]
    {
        let ran = ran(command(directory.path())
            .args(arguments)
            .env("ANNUL_URL", NOBODY)
            .env("ANNUL_CLIENT_ID", "admin")
            .env("ANNUL_CLIENT_SECRET", "hidden")
            .output()
            .unwrap());
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: nothing was done"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("hidden"), "the secret is shown: {}", ran.stderr);
    }
}

#[test]
fn a_wide_revocation_is_not_made_without_a_terminal_or_yes() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("targets"), "# everybody\nsubject:alice\n\nsubject:bob\n").unwrap();
    for arguments in [
        &["revoke", "issuer"][..],
        &["revoke", "client:web"],
        &["revoke", "claim:tenant=acme"],
        &["revoke", "key:abc"],
        &["revoke", "subject:alice", "client:web"],
        &["revoke", "--file", "targets"],
        &["keys", "kill", "abc"],
        &["issuers", "remove", "https://idp.example"],
    ] {
        let ran = annul_with_stdin(directory.path(), arguments, b"yes\n");
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing was done"), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--yes"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_bad_line_in_a_file_is_named_and_nothing_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("targets"), "subject:alice\nsubjct:bob\n").unwrap();
    let ran = annul(directory.path(), &["revoke", "--file", "targets", "--yes"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("line 2"), "{}", ran.stderr);
}

#[test]
fn a_secret_is_not_sent_in_the_clear_to_another_machine() {
    let directory = tempfile::tempdir().unwrap();
    let plain = ran(command(directory.path())
        .args(["keys", "list", "--url", "http://auth.example:7400"])
        .env("ANNUL_CLIENT_ID", "admin")
        .env("ANNUL_CLIENT_SECRET", "hidden")
        .output()
        .unwrap());
    assert_eq!(plain.code, 2);
    assert!(plain.stderr.contains("plain HTTP"), "{}", plain.stderr);
}

#[test]
fn a_secret_for_this_machine_goes_through_no_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    for base in [NOBODY, "http://localhost:1"] {
        let mut command = command(directory.path());
        for name in ["NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
            command.env(name, &address);
        }
        let keys = command.args(["keys", "list", "--url", base]);
        let keys = keys.env("ANNUL_CLIENT_ID", "admin").env("ANNUL_CLIENT_SECRET", "hidden");
        // The proxy answers nobody: a request that went there would be given up after half a minute.
        let ran = ran(keys.output().unwrap());
        let seen = proxy.accept().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(seen, Err(ErrorKind::WouldBlock), "{base}: the proxy was asked");
        assert_eq!(ran.code, 4, "{}", ran.stderr);
        assert!(ran.stderr.contains("cannot be reached"), "{}", ran.stderr);
    }
}

/// What `annul` with these arguments makes of an authority that answers every request with this status
/// and body.
fn answered_with(status: &str, body: &str, arguments: &[&str]) -> Ran {
    let directory = tempfile::tempdir().unwrap();
    let authority = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", authority.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Ends with the test's process.
    std::thread::spawn(move || {
        for connection in authority.incoming() {
            let mut connection = connection.unwrap();
            let mut request = Vec::new();
            // Every body that these tests send is an object.
            while request.last() != Some(&b'}') {
                let mut part = [0; 4096];
                let count = connection.read(&mut part).unwrap();
                assert!(count > 0, "the request ended before its body did");
                request.extend_from_slice(&part[..count]);
            }
            connection.write_all(answer.as_bytes()).unwrap();
        }
    });
    let mut command = command(directory.path());
    let command = command.args(arguments).args(["--url", &url]);
    ran(command.env("ANNUL_CLIENT_ID", "admin").env("ANNUL_CLIENT_SECRET", "hidden").output().unwrap())
}

#[test]
fn an_authority_that_failed_is_exit_4_and_the_hint_names_the_key_to_repeat_with() {
    let body = r#"{"code":"internal","title":"The authority failed.","hint":"report the request id"}"#;
    for status in ["500 Internal Server Error", "503 Service Unavailable"] {
        let ran = answered_with(status, body, &["revoke", "subject:alice", "--idempotency-key", "inc-17"]);
        assert_eq!(ran.code, 4, "{status}: {}", ran.stderr);
        for part in ["(internal)", "hint: report the request id; ", "--idempotency-key inc-17"] {
            assert!(ran.stderr.contains(part), "{status}: {part:?} is missing: {}", ran.stderr);
        }
    }
    let refused = answered_with("409 Conflict", body, &["revoke", "subject:alice", "--idempotency-key", "inc-17"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(!refused.stderr.contains("inc-17"), "a refusal is not to be repeated: {}", refused.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let inspect = |stdout: Stdio| {
        let mut command = command(directory.path());
        ran(command.args(["token", "inspect", &Issuer::new(1).token()]).stdout(stdout).output().unwrap())
    };
    let full = inspect(File::options().write(true).open("/dev/full").unwrap().into());
    assert_eq!(full.code, 4, "{}", full.stderr);
    assert_eq!(full.stderr.matches("error: ").count(), 1, "{}", full.stderr);
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    assert!(full.stderr.contains("\nhint: "), "{}", full.stderr);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread = inspect(writer.into());
    assert_eq!((unread.code, unread.stderr.as_str()), (0, ""), "nobody wanted to read it");
}
