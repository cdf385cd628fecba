//! The atomics of the table: those of the standard library, or, under `--cfg loom`, those of the
//! model checker, which tries every order in which two threads can see them.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
