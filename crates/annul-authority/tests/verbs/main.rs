//! The domain verbs over the memory store (`verbs_sqlite` runs them over the other one), judged from outside: every assertion about a token is
//! made twice, by a fresh check at the authority and by a view that followed the log, and the two
//! must agree.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Which store these verbs run on.
const ON_DISK: bool = false;

mod accounts;
mod assertions;
mod credentials;
mod exchange;
mod exposure;
mod foreign;
mod groups;
mod idp;
mod keys;
mod refresh;
mod schedules;
mod self_renewing;
mod sessions;
mod start;
mod subjects;
mod targets;
mod tokens;
mod world;
