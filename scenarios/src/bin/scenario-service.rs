//! A service as a team would write it: an HTTP API and a WebSocket behind the public `annul` crate.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use annul::axum::Bearer;
use annul::{AnnulLayer, Policy, Route, VerifiedToken, Verifier};
use axum::Json;
use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, put};
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
    let refused = RefusedList::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let verifier = verifier(&options, &url, &refused).await?;
    println!("listening {url}");
    axum::serve(listener, routes(&verifier, &options, refused, metrics)).await?;
    Ok(())
}

async fn verifier(options: &ServiceOptions, url: &str, refused: &RefusedList) -> anyhow::Result<Verifier> {
    let (id, secret) = &options.credential;
    let mut builder = Verifier::builder(&options.issuer, &options.audience)
        .authority(&options.authority, id, secret)
        .name(&options.name)
        .public_url(url)
        .max_staleness(Duration::from_millis(options.max_staleness_ms))
        .cache_bytes(options.cache_bytes);
    if let Some(issuer) = &options.foreign_issuer {
        builder = builder.foreign(annul::Expect::foreign(issuer, &options.audience));
        if let Some((name, secret)) = &options.foreign_secret {
            let key = annul::Key::secret(name, annul::token::Algorithm::Hs256, secret.as_bytes())?;
            builder = builder.secret(issuer, key);
        }
    }
    if let Some(leeway) = options.leeway {
        builder = builder.leeway(Duration::from_secs(leeway));
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
    if options.refuses_by_list {
        let refused = refused.clone();
        builder = builder.refuse_when(move |token| refused.refuses(token));
    }
    Ok(builder.build().await?)
}

/// The application's own idea of who may not: a list in memory.
#[derive(Clone, Default)]
struct RefusedList(Arc<Mutex<BTreeSet<String>>>);

impl RefusedList {
    fn refuses(&self, token: &VerifiedToken) -> bool {
        let subject = token.subject().unwrap_or_default().to_owned();
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&subject);
        metrics::counter!("scenario_hook_calls_total", "subject" => subject).increment(1);
        refused
    }

    fn change(&self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        let _changed = change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn routes(verifier: &Verifier, options: &ServiceOptions, refused: RefusedList, metrics: PrometheusHandle) -> Router {
    let max_staleness = Duration::from_millis(options.max_staleness_ms);
    let check = Policy::check(max_staleness);
    let check =
        if options.revoked_status == 403 { check.revoked_status(annul::RevokedStatus::Forbidden) } else { check };
    let check = verifier.route(check);
    let guarded = |route: &Route| AnnulLayer::new(route.clone());
    let mut further = Router::new();
    if let Some(window) = options.window_ms.map(Duration::from_millis) {
        let (windowed, immediate) =
            (check.policy().clone().check_after(window), check.policy().clone().ask_after(window));
        further = further
            .route("/windowed", get(claims).layer(guarded(&verifier.route(windowed))))
            .route("/immediate", get(claims).layer(guarded(&verifier.route(immediate))));
    }
    if options.introspects {
        let introspect = verifier.route(Policy::introspect());
        further = further
            .route("/introspect", get(claims).layer(guarded(&introspect)))
            .route("/introspect/socket", get(socket).with_state(introspect.clone()).layer(guarded(&introspect)));
    }
    further
        .route("/refused/{subject}", put(refuse).delete(pardon).with_state((refused, verifier.clone())))
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

/// Puts a subject on the application's list, for open connections too.
async fn refuse(State((refused, verifier)): State<(RefusedList, Verifier)>, Path(subject): Path<String>) {
    refused.change(|subjects| subjects.insert(subject));
    verifier.reconsider();
}

/// Takes a subject off it.
async fn pardon(State((refused, verifier)): State<(RefusedList, Verifier)>, Path(subject): Path<String>) {
    refused.change(|subjects| subjects.remove(&subject));
    verifier.reconsider();
}

/// Echoes until the token is revoked or expires.
async fn socket(
    State(route): State<Route>,
    Bearer(authorized): Bearer,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let watch = route.watch(&authorized);
    let watch = match annul::http::bearer(&headers) {
        Ok(token) => watch.asking(token),
        Err(_) => watch,
    };
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
