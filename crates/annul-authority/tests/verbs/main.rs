//! The domain verbs over the memory store, judged from outside: every assertion about a token is
//! made twice, by a fresh check at the authority and by a view that followed the log, and the two
//! must agree.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod foreign;
mod keys;
mod sessions;
mod start;
mod targets;
mod tokens;
mod world;
