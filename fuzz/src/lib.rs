//! What must hold for any bytes from outside, one module for each kind of bytes.
//!
//! Every `check` panics when its promise is broken and returns otherwise, whatever it is given. The
//! programs in `fuzz_targets/` only hand it the fuzzer's bytes; `fuzz/run` builds and runs them.

pub mod follower;
pub mod frame;
mod golden;
pub mod jwk_set;
pub mod proof;
pub mod record;
pub mod signed_token;
pub mod snapshot;
pub mod sse;
mod strict;
pub mod target_text;
pub mod token;
