//! Verify JSON Web Tokens in memory, and refuse a revoked one within a stated bound.
//!
//! This is what a service embeds. A [`Verifier`] follows the authority's feed and keeps a view of
//! what is revoked; a [`Route`] decides by it, with no lookup over the network. A token that was seen
//! before costs a hash, a lookup and a few probes, and is refused the instant its revocation is
//! applied here.
//!
//! ```no_run
//! # #[cfg(feature = "axum")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use annul::policy::{OnStale, Policy};
//! use annul::{AnnulLayer, Verifier};
//! use axum::routing::get;
//!
//! async fn account(annul::axum::Bearer(authorized): annul::axum::Bearer) -> String {
//!     format!("hello {}", authorized.token().subject().unwrap_or("nobody"))
//! }
//!
//! let verifier = Verifier::builder("https://auth.example", "shop")
//!     .authority("https://auth.example", "shop-follower", "the client's secret")
//!     .max_staleness(Duration::from_secs(60))
//!     .state_dir("/var/lib/shop/annul")
//!     .build()
//!     .await?;
//!
//! // One route per kind of need, made when the process starts.
//! let closed = verifier.route(Policy::check(Duration::from_secs(60)));
//! let lenient = verifier.route(
//!     Policy::check(Duration::from_secs(60)).on_stale(OnStale::Open { max_age: Duration::from_secs(600) }),
//! );
//!
//! let app = axum::Router::new()
//!     .route("/account", get(account))
//!     .layer(AnnulLayer::new(closed))
//!     .merge(axum::Router::new().route("/catalogue", get(account)).layer(AnnulLayer::new(lenient)));
//!
//! verifier.ready().await;
//! axum::serve(tokio::net::TcpListener::bind("127.0.0.1:8080").await?, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Three verbs, never mixed: **verify** is about the token's own bytes and is cached; **check** reads
//! the live view and never is; **decide** is the route's policy. When this process cannot tell, the
//! answer is 503 with `Retry-After`, not 401: an outage of the feed must not become a storm of logins.
//!
//! - a connection that stays, such as a WebSocket: [`Route::watch`]
//! - a backend that opens sessions and revokes: [`AuthorityClient`]
//! - an application that calls such services for a user: [`TokenHolder`]
//! - handing the feed on to verifiers behind this one: [`Verifier::relay`]
//! - what is counted: [`metrics`]
//!
//! The crate runs on tokio, brings its own TLS (rustls on aws-lc-rs, whatever the process installed)
//! and has no unsafe code. One background task belongs to each verifier and ends with it.
#![forbid(unsafe_code)]
// What comes from outside is never believed to be long enough.
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::string_slice, clippy::panic, clippy::unwrap_used))]

mod ask;
#[cfg(feature = "axum")]
pub mod axum;
mod builder;
pub mod client;
mod clock;
pub mod error;
mod feed_client;
mod flights;
mod follow;
pub mod holder;
pub mod http;
mod layer;
pub mod metrics;
mod relay;
mod route;
mod sender;
mod state_file;
mod sync;
mod transport;
mod verifier;
mod watch;

pub use annul_core::policy::{Authorized, Decision, Denial, DenyReason, OnStale, Policy, RevokedStatus};
pub use annul_core::{
    Expect, Key, TokenError, UnverifiedToken, VerifiedToken, algebra, feed, policy, position, record, settings, target,
    time, token, trust, verdict, view,
};

pub use ask::PER_SECOND as ASKS_PER_SECOND;
pub use builder::VerifierBuilder;
pub use client::{AuthorityClient, ClientError};
pub use error::{BuildError, ConfigError};
pub use holder::{HolderError, TokenHolder};
pub use layer::{AnnulFuture, AnnulLayer, AnnulService};
pub use relay::{Relay, RelayAnswer};
pub use route::{AskFuture, Outcome, Route};
pub use verifier::{FaultStatus, Status, Verifier};
pub use watch::{Watch, WatchEvent};
