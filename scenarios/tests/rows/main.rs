//! One test per row of the strategies, over real processes.
//!
//! Each drives a running authority and at least one separately running service, and asserts both
//! sides: what must be refused and what must still pass.

mod accounts;
mod claims;
mod cutoff;
mod deny;
mod groups;
mod keys;
mod lifetimes;
mod logout;
mod oauth;
mod refresh;
mod routes;
mod sessions;
mod subjects;
mod surfaces;
mod windows;
