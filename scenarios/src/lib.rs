//! What a scenario stands on: a real authority, real verifiers, and a client for each side.
//!
//! Every process is started on a free loopback port in a temporary directory and stopped by its
//! own process id when its handle is dropped. Nothing here knows the authority's code: the harness
//! speaks HTTP and reads what a user would read.

mod api;
mod authority;
mod command;
mod dice;
mod foreign;
mod gateway;
mod keyed_client;
mod process;
mod proxy;
mod secrets;
mod service;
mod tls;

pub use api::{Answer, Client, JWT_BEARER, claims};
pub use authority::{AUDIENCE, Authority, ISSUER, Launch};
pub use command::{Cli, Ran};
pub use dice::Dice;
pub use foreign::{ForeignIssuer, now, now_millis};
pub use gateway::{Gateway, GatewayOptions};
pub use keyed_client::KeyedClient;
pub use process::{Process, binary};
pub use proxy::Proxy;
pub use secrets::Secrets;
pub use service::{Seen, Service, ServiceOptions};
pub use tls::LocalCa;
