//! The feed's machines against each other, without a network and with explicit moments.
//!
//! `authority` is a log with a store behind it, `world` a deterministic network of followers and
//! relays around it, `bench` one follower alone; the tests are in the other modules.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod authority;
mod bench;
mod faults;
mod follower;
mod forks;
mod log;
mod relay;
mod simulation;
mod world;
