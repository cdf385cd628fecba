//! What the SQLite store does with files: durability, whose database it is, who holds it, and what
//! happens when the disk is full.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use annul_authority::clock::{Clock, ManualClock};
use annul_authority::model::{Act, NewRevocation};
use annul_authority::store::conformance::{OWN, START};
use annul_authority::store::{
    FeedSnapshot, Genesis, Lines, OpenError, RevocationFilter, Revoke, SqliteOptions, SqliteStore, Store, StoreError,
};
use annul_core::algebra::{Cutoff, Reach, Until};
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::{HashKey, Target};
use annul_core::time::UnixMillis;
use futures::future::join_all;

#[tokio::test]
async fn i2_what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_log(dir.path()).await;
    for subject in ["a", "b", "c"] {
        revoke(&store, subject).await.unwrap();
    }
    let before = everything(&store).await;
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.committed().borrow().head, before.0.head.at, "told before anything is written");
    assert_same(&everything(&store).await, &before);
    let next = revoke(&store, "d").await.unwrap();
    assert_eq!(next, before.0.head.at.next());
}

#[tokio::test]
async fn i16_entries_outlast_tokens_from_when_the_clock_of_an_earlier_process_ran_ahead() {
    let ahead = UnixMillis(START.0 + 3600 * 1000);
    let act = || Act::new("tester", "test");
    for known_by in ["an audit event", "the last line"] {
        let dir = tempfile::tempdir().unwrap();
        drop(with_log(dir.path()).await);
        let source = ManualClock::at(ahead);
        let clock = Clock::from_source(source.clone());
        let store = SqliteStore::open(dir.path(), SqliteOptions::default(), clock).unwrap();
        // What is issued meanwhile expires an hour later than it should.
        if known_by == "an audit event" {
            store.note(act(), None).await.unwrap();
            source.set_wall(START);
            store.note(act(), None).await.unwrap();
        } else {
            store.log().await.unwrap();
            source.set_wall(START);
            revoke(&store, "bob").await.unwrap();
        }
        drop(store);
        let store = open(dir.path()).unwrap();
        let at = revoke(&store, "alice").await.unwrap();
        let until = store.revocation(at).await.unwrap().unwrap().until;
        assert_eq!(until, Until::At(START.next_second().plus(3600 + 900 + 60 + 5)), "{known_by}");
    }
}

/// A machine that woke up in another decade must not keep every entry for that long, now and after each start.
#[tokio::test]
async fn a_wild_reading_of_an_earlier_process_is_reckoned_with_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_log(dir.path()).await);
    let clock = Clock::from_source(ManualClock::at(UnixMillis(2 * START.0)));
    let store = SqliteStore::open(dir.path(), SqliteOptions::default(), clock).unwrap();
    store.note(Act::new("tester", "test"), None).await.unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    let at = revoke(&store, "alice").await.unwrap();
    let until = store.revocation(at).await.unwrap().unwrap().until;
    assert_eq!(until, Until::At(START.next_second().plus(24 * 3600 + 900 + 60 + 5)));
}

#[tokio::test]
async fn i2_what_was_acknowledged_is_on_disk_without_closing() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_log(dir.path()).await;
    for round in 0..20 {
        let at = revoke(&store, &format!("u{round}")).await.unwrap();
        // What a machine that stops now would find: the files as they are, nothing closed.
        let found = tempfile::tempdir().unwrap();
        for name in ["annul.db", "annul.db-wal"] {
            fs::copy(dir.path().join(name), found.path().join(name)).unwrap();
        }
        let found = open(found.path()).unwrap();
        assert_eq!(found.log().await.unwrap().head.at, at);
        assert!(found.revocation(at).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn one_that_fails_spoils_no_other_of_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(with_log(dir.path()).await);
    let head = store.log().await.unwrap().head.at;
    let many = (0..100).map(|index| {
        let store = store.clone();
        async move {
            let cutoff = if index % 3 == 0 { "key" } else { "subject" };
            let target = Target::parse(&format!("{cutoff}:{index}"), OWN).unwrap();
            store.revoke(Act::new("t", "t"), asked(target)).await.map(|appended| appended.positions[0])
        }
    });
    let answers = join_all(many).await;
    let mut given: Vec<Position> = answers.iter().filter_map(|answer| answer.as_ref().ok().copied()).collect();
    given.sort_unstable();
    assert_eq!(given.len(), 66);
    assert_eq!(given, (1..=66).map(|step| Position::new(1, head.seq + step)).collect::<Vec<_>>());
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Refused(_)))).count();
    assert_eq!(refused, 34);
}

#[tokio::test]
async fn a_second_authority_is_refused_and_told_who_has_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_log(dir.path()).await;
    let error = open(dir.path()).err().unwrap();
    assert_eq!(error.code(), "data_in_use");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    revoke(&store, "a").await.unwrap();
    drop(store);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_log(dir.path()).await);
    let path = dir.path().join("annul.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.close().unwrap();
    let before = fs::read(&path).unwrap();
    let error = open(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_as_it_is() {
    let text = tempfile::tempdir().unwrap();
    fs::write(text.path().join("annul.db"), "not a database at all, but longer than a header ".repeat(100)).unwrap();
    let other = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(other.path().join("annul.db")).unwrap();
    connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
    connection.close().unwrap();
    for dir in [text, other] {
        let path = dir.path().join("annul.db");
        let before = fs::read(&path).unwrap();
        assert_eq!(open(dir.path()).err().unwrap().code(), "not_an_annul_database");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_damaged_database_is_named_and_nothing_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_log(dir.path()).await;
    for round in 0..200 {
        revoke(&store, &format!("u{round}")).await.unwrap();
    }
    drop(store);
    let path = dir.path().join("annul.db");
    let mut bytes = fs::read(&path).unwrap();
    // Everything behind the first page, which holds the schema.
    bytes[4096..].fill(0xA5);
    fs::write(&path, &bytes).unwrap();
    let code = match open(dir.path()) {
        Err(error) => error.code(),
        Ok(store) => revoke(&store, "a").await.unwrap_err().code(),
    };
    assert_eq!(code, "database_corrupt");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_log(dir.path()).await);
    let small = SqliteOptions { most_pages: Some(120), ..SqliteOptions::default() };
    let store = SqliteStore::open(dir.path(), small, clock()).unwrap();
    let mut acknowledged = Vec::new();
    let error = loop {
        match revoke(&store, &format!("somebody with a long name {}", acknowledged.len())).await {
            Ok(at) => acknowledged.push(at),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 10_000, "the disk never filled");
    };
    assert_eq!(error, StoreError::DiskFull);
    assert!(acknowledged.len() > 10, "{} entries", acknowledged.len());
    // Many at once, so that the disk is full in the middle of a shared commit.
    let store = Arc::new(store);
    let more = (0..50).map(|index| {
        let store = store.clone();
        async move { revoke(&store, &format!("late {index}")).await }
    });
    for answer in join_all(more).await {
        match answer {
            Ok(at) => acknowledged.push(at),
            Err(error) => assert_eq!(error, StoreError::DiskFull),
        }
    }
    for at in &acknowledged {
        assert!(store.revocation(*at).await.unwrap().is_some(), "{at} was acknowledged");
    }
    let head = store.log().await.unwrap().head.at;
    assert_eq!(head, *acknowledged.iter().max().unwrap());
    drop(store);

    let store = open(dir.path()).unwrap();
    let next = revoke(&store, "when there is space again").await.unwrap();
    assert_eq!(next, head.next(), "no position was lost to a failed commit");
}

#[tokio::test]
async fn a_write_that_could_not_begin_leaves_the_store_usable() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_log(dir.path()).await;
    let head = store.log().await.unwrap().head.at;
    // Nobody else can write while another holds the database; the store waits, fails, and goes on.
    let other = rusqlite::Connection::open(dir.path().join("annul.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = revoke(&store, "a").await.unwrap_err();
    assert_eq!(error.code(), "store_failed");
    assert_eq!(store.log().await.unwrap().head.at, head, "reads go on");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(revoke(&store, "a").await.unwrap(), head.next());
}

#[tokio::test]
async fn the_data_is_for_its_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let store = with_log(&dir).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for name in ["annul.db", "annul.db-wal", "lock"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    drop(store);
}

fn clock() -> Clock {
    Clock::from_source(ManualClock::at(START))
}

fn open(dir: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(dir, SqliteOptions::default(), clock())
}

async fn with_log(dir: &Path) -> SqliteStore {
    let store = open(dir).unwrap();
    let hash_key = HashKey::from_bytes([3; 32]);
    let settings = Settings {
        revision: 1,
        issuer: OWN.to_owned(),
        longest_life: 900,
        max_leeway: 60,
        clock_skew: 5,
        claims: Vec::new(),
        ask_on: Vec::new(),
        hash_key: hash_key.id(),
    };
    let log = "log-on-disk".to_owned();
    let (sealed_feed_key, keys, clients) = (Vec::new(), Vec::new(), Vec::new());
    store.bootstrap(Genesis { log, hash_key, sealed_feed_key, settings, groups: None, keys, clients }).await.unwrap();
    store
}

fn asked(target: Target) -> Revoke {
    let (cutoff, reach) = (Cutoff::Now, Reach::Both);
    let new = NewRevocation { target, cutoff, reach, exp: None, until: None, reason: Some("test".to_owned()) };
    Revoke { revocations: vec![new], keep: None }
}

async fn revoke(store: &SqliteStore, subject: &str) -> Result<Position, StoreError> {
    let target = Target::parse(&format!("subject:{subject}"), OWN).unwrap();
    store.revoke(Act::new("tester", "test"), asked(target)).await.map(|appended| appended.positions[0])
}

type Everything = (Lines, FeedSnapshot, usize);

async fn everything(store: &SqliteStore) -> Everything {
    let lines = store.lines_after(Position::new(1, 0), 1000).await.unwrap();
    let entries = store.revocations(RevocationFilter { limit: 1000, ..RevocationFilter::default() }).await.unwrap();
    (lines, store.feed_snapshot().await.unwrap(), entries.len())
}

fn assert_same(found: &Everything, expected: &Everything) {
    assert_eq!(found.0, expected.0);
    assert_eq!((&found.1.log, &found.1.cells), (&expected.1.log, &expected.1.cells));
    assert_eq!(found.2, expected.2);
}
