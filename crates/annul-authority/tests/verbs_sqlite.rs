//! The suite of `verbs`, whole, over the SQLite store: what a verb promises does not depend on where
//! the rows are kept.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Which store these verbs run on.
const ON_DISK: bool = true;

#[path = "verbs/accounts.rs"]
mod accounts;
#[path = "verbs/assertions.rs"]
mod assertions;
#[path = "verbs/credentials.rs"]
mod credentials;
#[path = "verbs/exchange.rs"]
mod exchange;
#[path = "verbs/exposure.rs"]
mod exposure;
#[path = "verbs/foreign.rs"]
mod foreign;
#[path = "verbs/groups.rs"]
mod groups;
#[path = "verbs/idp.rs"]
mod idp;
#[path = "verbs/keys.rs"]
mod keys;
#[path = "verbs/refresh.rs"]
mod refresh;
#[path = "verbs/schedules.rs"]
mod schedules;
#[path = "verbs/self_renewing.rs"]
mod self_renewing;
#[path = "verbs/sessions.rs"]
mod sessions;
#[path = "verbs/start.rs"]
mod start;
#[path = "verbs/subjects.rs"]
mod subjects;
#[path = "verbs/targets.rs"]
mod targets;
#[path = "verbs/tokens.rs"]
mod tokens;
#[path = "verbs/world.rs"]
mod world;
