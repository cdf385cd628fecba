//! Measures annul beside its peers.
//!
//! ```text
//! subjects/   one question each, run in a process of its own: what is timed, and beside what
//! world/      what annul needs to be timed: keys, tokens, revocations, an authority, a verifier
//! peers/      what stands beside it: libraries, servers, floors
//! measure/    rounds, clocks, pinning; a sheet of raw rounds is all that a subject hands back
//! report/     from the sheets to docs/performance.md: the lines, the page, the charts, the check
//! ```
//!
//! Nothing here is needed to build or run annul.

pub mod measure;
pub mod peers;
pub mod report;
pub mod subjects;
pub mod world;
