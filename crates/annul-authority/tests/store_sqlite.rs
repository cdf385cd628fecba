//! The store in SQLite passes the suite of every store.
#![allow(clippy::unwrap_used, reason = "tests")]

use annul_authority::store::conformance::Bench;
use annul_authority::store::{SqliteOptions, SqliteStore};

annul_authority::store_conformance!(Bench::new(|limits, clock| {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions { limits, ..SqliteOptions::default() };
    (SqliteStore::open(dir.path(), options, clock).unwrap(), dir)
}));
