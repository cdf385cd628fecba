//! The authority over HTTP: the only place that knows status codes.
//!
//! One file per resource. A handler takes its proof of who calls ([`auth::Allowed`]), what was sent
//! ([`body`]), calls one verb and says what came of it; everything that holds of every request
//! (ids, error form, counting, no caching) is in the layers here.

pub mod accounts;
pub mod audit;
pub mod auth;
pub mod body;
pub mod certificate;
pub mod client_auth;
pub mod clients;
pub mod codes;
pub mod confirm;
pub mod credentials;
pub mod devices;
pub mod doctor;
pub mod document;
pub mod dpop;
pub mod feed;
pub mod health;
pub mod issuers;
pub mod keys;
pub mod limits;
pub mod login;
pub mod oauth;
pub mod openapi;
pub mod problem;
pub mod revocations;
pub mod sessions;
pub mod settings;
pub mod subject_keys;
pub mod subjects;
pub mod tokens;
mod unread;
pub mod wellknown;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use annul_core::token::ProofsSeen;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::authority::Authority;
use crate::config::Config;
use crate::feed::Feed;
use crate::jwks_fetch::JwksFetcher;
use crate::metrics::Metrics;
use limits::Limits;

/// What every handler shares.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// See [`App`].
pub struct Shared {
    /// The verbs.
    pub authority: Authority,
    /// The feed.
    pub feed: Feed,
    /// Fetches key sets of foreign issuers.
    pub fetcher: JwksFetcher,
    /// How clients reach the server, without a slash at its end.
    pub base_url: String,
    /// The configuration the server was started with.
    pub config: Config,
    /// The lanes.
    pub limits: Limits,
    /// The DPoP proofs that came in this minute.
    pub proofs_seen: ProofsSeen,
    /// The counters.
    pub metrics: Metrics,
    /// Set when the server stops taking work, so that readiness says so.
    pub stopping: AtomicBool,
}

impl App {
    /// What the handlers of one server share.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The whole service.
pub fn router(app: App) -> Router {
    let (router, document) = openapi::routes().split_for_parts();
    let document = document::finished(document, &app.config);
    router
        .merge(openapi::document_route(&document))
        // One stack: each `layer` of a router costs every request an allocation and copies of those below.
        .layer(
            ServiceBuilder::new()
                .layer(from_fn(problem::finish))
                .layer(from_fn_with_state(app.clone(), count))
                .layer(CatchPanicLayer::custom(panicked)),
        )
        .with_state(app)
}

/// Counts and logs each request by its route, never by its path: paths hold names.
async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let request_id = request.extensions().get::<problem::RequestId>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let request_id = request_id.as_ref().map_or("", problem::RequestId::as_str);
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    app.metrics.request(method.as_str(), route, status, took);
    let code = response.extensions().get::<problem::Problem>().map(|problem| problem.code().name());
    if status >= 500 {
        tracing::warn!(%method, route, status, code, request_id, "request failed");
    } else {
        tracing::debug!(%method, route, status, code, request_id, ?took, "request answered");
    }
    response
}

/// A panic answers as any other failure; what it said goes to the log, not to the client.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands the payload over")]
fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    use axum::response::IntoResponse as _;
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    problem::Problem::new(codes::Code::Internal, "the request met a fault of the authority").into_response()
}
