//! The store in memory passes the suite of every store.
#![allow(clippy::unwrap_used, reason = "tests")]

use annul_authority::store::MemoryStore;
use annul_authority::store::conformance::Bench;

annul_authority::store_conformance!(Bench::new(|limits, clock| (MemoryStore::new(limits, clock), ())));
