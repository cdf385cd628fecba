//! Starts that must be refused: what is there stays as it is, and the right start still works.

use std::net::TcpListener;
use std::path::Path;

use scenarios::{Answer, Authority, Launch};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ended, revoke_all, run, serve, still_has};

/// An authority that was stopped, with what it acknowledged.
struct Stopped {
    authority: Authority,
    home: TempDir,
    settings: String,
    revoked: Vec<String>,
    session: Answer,
    dead: Answer,
}

/// Runs an authority for a while and stops it in good order.
async fn stopped(settings: impl FnOnce(&Path) -> String) -> Stopped {
    let home = tempfile::tempdir().expect("a temporary directory");
    let settings = settings(home.path());
    let launch = Launch { settings: settings.clone(), home: Some(home.path().to_owned()), ..Launch::default() };
    let mut authority = Authority::launch(launch);
    let (session, dead) = (authority.login("alice", "phone").await, authority.login("bob", "phone").await);
    // Enough rows for every table to have pages of its own.
    for index in 0..40 {
        authority.login(&format!("user-{index}"), "phone").await;
    }
    let revoked = revoke_all(&authority, &["bob", "carol", "dave"]).await;
    assert_eq!(authority.interrupt(), Some(0), "SIGINT ends in good order");
    Stopped { authority, home, settings, revoked, session, dead }
}

impl Stopped {
    /// Starts it, which must be refused, and asserts that no byte of its data changed.
    #[track_caller]
    fn refuses(&self, settings: &str) -> Ended {
        let before = self.database();
        let ended = serve(self.home.path(), settings);
        assert!(before == self.database(), "a refused start changed the database");
        ended
    }

    fn database(&self) -> Vec<u8> {
        std::fs::read(self.authority.data().join("annul.db")).expect("the database is there")
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(self.authority.data().join("annul.db"), bytes).expect("write the database");
    }

    /// Starts it as it should be started, and asserts that nothing was lost.
    async fn works_again(mut self) {
        self.authority.restart();
        still_has(&self.authority, &self.revoked).await;
        self.authority.next_token(self.session.sid()).await.expect_status(200);
        self.authority.next_token(self.dead.sid()).await.expect_status(403);
        self.authority.revoke(json!({"targets": ["subject:alice"]})).await;
        self.authority.next_token(self.session.sid()).await.expect_status(403);
    }
}

#[tokio::test]
async fn a_wrong_master_key_is_refused_and_the_right_one_still_works() {
    let right = |home: &Path| format!("[keys]\nmaster_key = {:?}\n", home.join("right.key"));
    let write = |home: &Path, name: &str, digit: char| {
        std::fs::write(home.join(name), digit.to_string().repeat(64)).expect("write a master key");
    };
    let stopped = stopped(|home| {
        write(home, "right.key", '7');
        right(home)
    })
    .await;
    let home = stopped.home.path();
    write(home, "wrong.key", '8');
    std::fs::write(home.join("no.key"), "hunter2").expect("write something else");
    let with = |name: &str| format!("[keys]\nmaster_key = {:?}\n", home.join(name));
    stopped.refuses(&with("wrong.key")).refused(
        1,
        "wrong_master_key",
        &["wrong master key", "data is unharmed", "configure the key"],
    );
    stopped.refuses(&with("no.key")).refused(1, "master_key_malformed", &["no.key"]);
    stopped.refuses(&with("gone.key")).refused(1, "master_key_missing", &["gone.key"]);
    // The default place has none either, and one made now would be a wrong one.
    stopped.refuses("").refused(1, "master_key_missing", &["master.key"]);
    assert!(!stopped.authority.data().join("master.key").exists(), "a key was made for data it does not open");
    assert!(!stopped.settings.is_empty());
    stopped.works_again().await;
}

#[tokio::test]
async fn a_corrupt_database_is_refused_left_as_it_is_and_the_backup_works() {
    let stopped = stopped(|_| String::new()).await;
    let good = stopped.database();

    // Not a database at all.
    let mut garbled = good.clone();
    garbled[..16].copy_from_slice(b"not a database!!");
    stopped.write(&garbled);
    stopped.refuses("").refused(1, "not_an_annul_database", &["annul.db", "left as it is"]);

    // Every page but the first garbled, and one that was cut off in the middle.
    let mut garbled = good.clone();
    garbled[4096..].iter_mut().for_each(|byte| *byte ^= 0xa5);
    stopped.write(&garbled);
    stopped.refuses("").refused(1, "database_corrupt", &["annul.db", "left as it is", "backup"]);
    stopped.write(&good[..good.len() / 2]);
    stopped.refuses("").refused(1, "database_corrupt", &["annul.db", "left as it is", "backup"]);

    stopped.write(&good);
    stopped.works_again().await;
}

#[tokio::test]
async fn a_database_from_a_newer_version_is_refused_and_left_as_it_is() {
    /// Where the header of a database has the version of its schema, in four bytes.
    const USER_VERSION: std::ops::Range<usize> = 60..64;
    let stopped = stopped(|_| String::new()).await;
    let good = stopped.database();
    let mut newer = good.clone();
    newer[USER_VERSION].copy_from_slice(&99_u32.to_be_bytes());
    stopped.write(&newer);
    stopped.refuses("").refused(1, "database_newer", &["schema 99", "newer annul", "left as it is"]);
    stopped.write(&good);
    stopped.works_again().await;
}

#[test]
fn a_port_in_use_is_named_and_no_data_is_touched() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let ended = run(&mut Authority::command(home.path(), "", &address));
    ended.refused(1, "port_in_use", &[&address, "no data was touched", "server.listen"]);
    assert!(!home.path().join("annul-data").exists(), "a refused start left data behind");
}

#[tokio::test]
async fn a_second_authority_on_the_same_data_is_refused_and_the_first_goes_on() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let first = Authority::launch(Launch { home: Some(home.path().to_owned()), ..Launch::default() });
    let revoked = revoke_all(&first, &["alice"]).await;
    let process = format!("process {}", first.process().id());
    serve(home.path(), "").refused(1, "data_in_use", &[&process, "stop the other authority"]);
    still_has(&first, &revoked).await;
    let bob = first.login("bob", "phone").await;
    first.revoke(json!({"targets": ["subject:bob"]})).await;
    first.next_token(bob.sid()).await.expect_status(403);
}
