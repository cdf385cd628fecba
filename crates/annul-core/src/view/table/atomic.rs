//! The atomics of the table. `tests/loom.rs` puts those of the model checker in their place, which tries
//! every order in which two threads can see them.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
