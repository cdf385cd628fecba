//! The primitives that flights and budget are built on. `tests/loom.rs` puts loom's in their place.

pub(crate) use std::sync::{Arc, Mutex};
