//! What a scenario stands on: a real authority, real verifiers, and a client for each side.
//!
//! Every process is started on a free loopback port in a temporary directory and stopped by its
//! own process id when its handle is dropped. Nothing here knows the authority's code: the harness
//! speaks HTTP and reads what a user would read.

mod api;
mod authority;
mod foreign;
mod process;
mod service;

pub use api::{Answer, Client};
pub use authority::{AUDIENCE, Authority, ISSUER};
pub use foreign::{ForeignIssuer, now};
pub use process::Process;
pub use service::{Seen, Service, ServiceOptions};
