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

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use annul_core::token::ProofsSeen;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures::FutureExt as _;
use http::Method;

use crate::authority::Authority;
use crate::config::Config;
use crate::feed::Feed;
use crate::jwks_fetch::JwksFetcher;
use crate::metrics::Metrics;
use limits::Limits;
use problem::Asked;

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
        // One layer: each of them costs every request allocations and copies of those below.
        .layer(from_fn_with_state(app.clone(), around))
        .with_state(app)
}

/// What is done around every request, whatever it asks.
async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let (request, asked) = Asked::of(request).await;
    let response = unharmed(next.run(request)).await;
    count(&app, &method, matched.as_ref(), asked.request_id(), &response, begun.elapsed());
    asked.answered(response).await
}

/// Counts and logs a request by its route, never by its path: paths hold names.
fn count(
    app: &App,
    method: &Method,
    matched: Option<&MatchedPath>,
    request_id: &str,
    response: &Response,
    took: Duration,
) {
    let route = matched.map_or("none", MatchedPath::as_str);
    let status = response.status().as_u16();
    app.metrics.request(method.as_str(), route, status, took);
    let code = response.extensions().get::<problem::Problem>().map(|problem| problem.code().name());
    if status >= 500 {
        tracing::warn!(%method, route, status, code, request_id, "request failed");
    } else {
        tracing::debug!(%method, route, status, code, request_id, ?took, "request answered");
    }
}

/// What a handler answers. A panic answers as any other failure; what it said goes to the log, not to the client.
async fn unharmed(handling: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|panic| panicked(panic.as_ref()))
}

fn panicked(payload: &(dyn Any + Send)) -> Response {
    use axum::response::IntoResponse as _;
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    problem::Problem::new(codes::Code::Internal, "the request met a fault of the authority").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_answers_as_any_other_failure() {
        let response = unharmed(async { panic!("a secret of the fault, on purpose") }).await;
        assert_eq!(response.status().as_u16(), 500);
        let problem = response.extensions().get::<problem::Problem>().unwrap();
        assert_eq!(problem.code(), codes::Code::Internal);
    }
}
