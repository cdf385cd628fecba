//! `annul serve` and `annul gateway` when they cannot start: what happened, by name, and exit code.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod binary;

use std::net::TcpListener;

use binary::{Server, annul, command};

#[test]
fn a_port_in_use_is_named_and_leaves_no_data_behind() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = annul(directory.path(), &["serve", "--listen", &address]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
    assert!(!directory.path().join("annul-data").exists(), "data was made for a server that never ran");

    let gateway = annul(
        directory.path(),
        &["gateway", "--listen", &address, "--client-id", "g", "--set", "authority.client_secret=s"],
    );
    assert_eq!(gateway.code, 1, "{}", gateway.stderr);
    assert!(gateway.stderr.contains("port_in_use"), "{}", gateway.stderr);
}

#[test]
fn an_unknown_configuration_key_is_named_wherever_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    for verb in ["serve", "gateway"] {
        let flag = annul(directory.path(), &[verb, "--set", "tokens.longest_live=5m"]);
        assert_eq!((flag.code, flag.stdout.as_str()), (2, ""), "{verb}: {}", flag.stderr);
        assert!(flag.stderr.starts_with("error: "), "{verb}: {}", flag.stderr);

        let environment =
            binary::ran(command(directory.path()).arg(verb).env("ANNUL_TOKENS__LONGEST_LIVE", "5m").output().unwrap());
        assert_eq!(environment.code, 2, "{verb}: {}", environment.stderr);

        std::fs::write(directory.path().join("other.toml"), "[tokens]\nlongest_live = \"5m\"\n").unwrap();
        let file = annul(directory.path(), &[verb, "--config", "other.toml"]);
        assert_eq!(file.code, 2, "{verb}: {}", file.stderr);
    }
    let named = annul(directory.path(), &["serve", "--set", "tokens.longest_live=5m"]);
    assert!(
        named.stderr.contains("tokens.longest_live") && named.stderr.contains("tokens.longest_life"),
        "{}",
        named.stderr
    );
    assert!(!directory.path().join("annul-data").exists());
}

#[test]
fn a_second_authority_on_the_same_data_is_refused_and_the_first_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Server::authority(directory.path());
    let second = annul(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("annul-data"), "{}", second.stderr);
    assert!(first.child.try_wait().unwrap().is_none(), "the first authority ended");
}

#[test]
fn a_wrong_master_key_is_named_and_the_data_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    drop(Server::authority(directory.path()));
    let key = directory.path().join("annul-data/master.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let wrong = annul(directory.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("master key"), "{}", wrong.stderr);
    std::fs::write(&key, right).unwrap();
    drop(Server::authority(directory.path()));
}

#[test]
fn a_gateway_without_a_client_says_how_to_make_one() {
    let directory = tempfile::tempdir().unwrap();
    let ran = annul(directory.path(), &["gateway"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("annul clients add"), "{}", ran.stderr);
}

#[test]
fn what_is_typed_with_set_beats_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    // Where the environment wins, the gateway comes as far as its port.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for key in ["authority.client_id", "authority.client_secret"] {
        let mut command = command(directory.path());
        let command = command.args(["gateway", "--listen", &address, "--set", &format!("{key}=")]);
        let ran = binary::ran(command.env("ANNUL_CLIENT_ID", "g").env("ANNUL_CLIENT_SECRET", "s").output().unwrap());
        assert_eq!(ran.code, 2, "{key}: {}", ran.stderr);
        assert!(ran.stderr.contains("the feed needs a client id and secret"), "{key}: {}", ran.stderr);
    }
}
