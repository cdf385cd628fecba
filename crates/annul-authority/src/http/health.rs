//! How the server is, for those who run it.

use std::sync::atomic::Ordering;

use annul_core::position::Position;
use axum::Json;
use axum::extract::State;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::auth::{Allowed, Anonymous, Read};
use super::codes::Code;
use super::problem::Problem;

/// Everything an operator asks first.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// The version of annul.
    pub version: &'static str,
    /// `live`, `read_only` when the store did not take the last write, `halted` when the feed could
    /// not follow the store, `stopping`.
    pub state: &'static str,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The log's id.
    pub log: String,
    /// The log's head.
    #[schema(value_type = String)]
    pub position: Position,
    /// The revision of the settings in force.
    pub settings_revision: u32,
    /// The fingerprint of the feed key, for verifiers that pin it.
    pub feed_key: String,
    /// Entries in force that only a lift ends.
    pub entries_without_until: u64,
    /// Open streams.
    pub streams: usize,
    /// The verifiers and relays heard from.
    #[schema(value_type = Vec<Object>)]
    pub replicas: serde_json::Value,
}

/// Whether the process runs. Depends on nothing, so that nothing outside gets it restarted.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = String)))]
pub async fn live() -> &'static str {
    "ok\n"
}

/// Whether the server takes work: the store is open and the feed follows it. One that is `read_only`
/// is still ready: tokens are issued and verifiers kept fresh, which would end if it were passed over.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = String)))]
pub async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    match state(&app) {
        "live" | "read_only" => Ok("ok\n"),
        state => Err(Problem::new(Code::NotReady, format!("the authority is {state}"))),
    }
}

/// The log, the feed and everyone who follows it.
#[utoipa::path(get, path = "/statusz", tag = "health", responses((status = 200, body = StatusAnswer)),
    security(("client" = ["annul.read"])))]
pub async fn status(State(app): State<App>, _: Allowed<Read>) -> Result<Json<StatusAnswer>, Problem> {
    let log = app.authority.store().log().await?;
    Ok(Json(StatusAnswer {
        version: env!("CARGO_PKG_VERSION"),
        state: state(&app),
        issuer: log.settings.issuer,
        log: log.log,
        position: log.head.at,
        settings_revision: log.settings.revision,
        feed_key: app.authority.feed_signer().key().fingerprint().to_owned(),
        entries_without_until: app.authority.store().count_without_until().await?,
        streams: app.feed.open_streams(),
        replicas: serde_json::to_value(app.feed.replicas()).unwrap_or_default(),
    }))
}

/// The counters, for Prometheus. No names of users, clients or targets are among them.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(
    State(app): State<App>,
    _: Anonymous,
) -> Result<([(http::HeaderName, &'static str); 1], String), Problem> {
    app.feed.measure(&app.metrics);
    let without_until = app.authority.store().count_without_until().await?;
    #[expect(clippy::cast_precision_loss, reason = "the count is capped far below 2^52")]
    app.metrics.set("annul_entries_without_until", &[], without_until as f64);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render()))
}

fn state(app: &App) -> &'static str {
    if app.stopping.load(Ordering::Relaxed) {
        "stopping"
    } else if !app.feed.is_following() {
        "halted"
    } else if app.authority.store().takes_writes() {
        "live"
    } else {
        "read_only"
    }
}
