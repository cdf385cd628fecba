//! The primitives that flights and the budget of questions are built on. `tests/loom.rs` puts loom's in their place.

pub(crate) use std::sync::{Arc, Mutex};
