//! A service as a team would write it: an HTTP API and a WebSocket behind the public `annul` crate.

use std::time::Duration;

use annul::axum::Bearer;
use annul::{AnnulLayer, Policy, Route, Verifier};
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use scenarios::ServiceOptions;
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")))
        .init();
    let options: ServiceOptions = serde_json::from_str(&std::env::args().nth(1).unwrap_or_default())?;
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let verifier = verifier(&options).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening http://{}", listener.local_addr()?);
    axum::serve(listener, routes(&verifier, &options, metrics)).await?;
    Ok(())
}

async fn verifier(options: &ServiceOptions) -> anyhow::Result<Verifier> {
    let (id, secret) = &options.credential;
    let mut builder = Verifier::builder(&options.issuer, &options.audience)
        .authority(&options.authority, id, secret)
        .name(&options.name)
        .max_staleness(Duration::from_millis(options.max_staleness_ms))
        .cache_bytes(options.cache_bytes);
    if let Some(issuer) = &options.foreign_issuer {
        builder = builder.foreign(annul::Expect::foreign(issuer, &options.audience));
        if let Some((name, secret)) = &options.foreign_secret {
            let key = annul::Key::secret(name, annul::token::Algorithm::Hs256, secret.as_bytes())?;
            builder = builder.secret(issuer, key);
        }
    }
    if options.through_relay {
        builder = builder.through_relay();
    }
    if let Some(fingerprint) = &options.feed_key {
        builder = builder.feed_key(fingerprint);
    }
    if let Some(path) = &options.tls_root {
        builder = builder.tls_root(std::fs::read(path)?);
    }
    if let Some(state_dir) = &options.state_dir {
        builder = builder.state_dir(state_dir);
    }
    Ok(builder.build().await?)
}

fn routes(verifier: &Verifier, options: &ServiceOptions, metrics: PrometheusHandle) -> Router {
    let max_staleness = Duration::from_millis(options.max_staleness_ms);
    let check = Policy::check(max_staleness);
    let check =
        if options.revoked_status == 403 { check.revoked_status(annul::RevokedStatus::Forbidden) } else { check };
    let check = verifier.route(check);
    let guarded = |route: &Route| AnnulLayer::new(route.clone());
    Router::new()
        .route("/check", get(claims).layer(guarded(&check)))
        .route("/admin", get(admin).layer(guarded(&check)))
        .route("/socket", get(socket).with_state(check.clone()).layer(guarded(&check)))
        .route("/verify", get(claims).layer(guarded(&verifier.route(Policy::verify_only()))))
        .route("/ask", get(claims).layer(guarded(&verifier.route(Policy::ask()))))
        .route("/statusz", get(status).with_state(verifier.clone()))
        .route("/metrics", get(async move || metrics.render()))
}

/// The principal, from the claims alone.
async fn claims(Bearer(authorized): Bearer) -> Json<Value> {
    Json(Value::Object(authorized.token().claims().map().clone()))
}

/// Authorises from the token's roles; there is no user table.
async fn admin(Bearer(authorized): Bearer) -> Response {
    let roles = authorized.token().claims().get("roles").and_then(Value::as_array).cloned().unwrap_or_default();
    if roles.contains(&json!("admin")) { "welcome".into_response() } else { StatusCode::FORBIDDEN.into_response() }
}

/// Echoes until the token is revoked or expires.
async fn socket(State(route): State<Route>, Bearer(authorized): Bearer, upgrade: WebSocketUpgrade) -> Response {
    let watch = route.watch(&authorized);
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let mut watch = std::pin::pin!(watch.into_future());
        loop {
            tokio::select! {
                end = &mut watch => {
                    let reason = format!("{end:?}").split('(').next().unwrap_or_default().to_lowercase();
                    let frame = CloseFrame { code: 4401, reason: reason.into() };
                    let _ = socket.send(Message::Close(Some(frame))).await;
                    return;
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) => { let _ = socket.send(Message::Text(text)).await; }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
            }
        }
    })
}

async fn status(State(verifier): State<Verifier>) -> Json<Value> {
    Json(serde_json::to_value(verifier.status()).unwrap_or(Value::Null))
}
