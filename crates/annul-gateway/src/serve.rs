//! Starting, serving and stopping a gateway.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use annul::feed::log::FeedLogConfig;
use annul::http::Explain;
use annul::policy::{OnStale, Policy};
use annul::token::Expect;
use annul::{BuildError, Route, Verifier};
use axum::error_handling::HandleErrorLayer;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use axum::{BoxError, Router};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use http::StatusCode;
use hyper_util::rt::TokioTimer;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower::timeout::TimeoutLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::{Config, OnStaleConfig};
use crate::connections::Bounded;
use crate::credential::Client;
use crate::{feed, forward_auth, health, introspect};

/// What every handler reads.
#[derive(Clone)]
pub(crate) struct Gateway(Arc<Shared>);

/// See [`Gateway`].
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) route: Route,
    pub(crate) introspection: Option<Client>,
    pub(crate) followers: Option<Client>,
    /// Requests of followers that are held open.
    pub(crate) held: Arc<Semaphore>,
    pub(crate) explain: Explain,
    pub(crate) metrics: PrometheusHandle,
}

impl std::ops::Deref for Gateway {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Gateway {
    /// Whether the view has been synchronised at least once since the start.
    pub(crate) fn synchronised(&self) -> bool {
        self.verifier.status().age_ms.is_some()
    }
}

/// What whoever started the gateway should be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It takes connections. The first notice, and for programs a line of stdout.
    Listening {
        /// Where, with the port that was taken.
        url: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { url } => write!(f, "listening {url}"),
        }
    }
}

/// Why a gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}: {error}")]
    Listen {
        /// The configured address.
        listen: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Certificate and key cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(std::io::Error),
    /// A file that the configuration names cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The verifier does not start.
    #[error("the verifier does not start: {0}")]
    Verifier(#[from] BuildError),
    /// The server stopped by itself.
    #[error("the server failed: {0}")]
    Server(std::io::Error),
}

impl ServeError {
    /// The error's stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse => "port_in_use",
            Self::Listen { .. } => "listen_failed",
            Self::Tls(_) => "tls_unusable",
            Self::File { .. } => "file_unreadable",
            Self::Verifier(error) => error.code(),
            Self::Server(_) => "server_failed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "stop what uses it, or choose another address with --listen; nothing was started",
            Self::Tls(_) | Self::File { .. } => "check the paths and that this user may read them; nothing was started",
            Self::Verifier(_) => "correct the configuration; nothing was started",
            Self::Server(_) => "start it again; its view is kept where verifier.state says",
        }
    }
}

/// Runs a gateway until `shutdown` ends, then lets requests in flight finish for a moment.
///
/// # Errors
/// Nothing is left running, and the port is free again.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
    mut notice: impl FnMut(&Notice),
) -> Result<(), ServeError> {
    let listen = config.gateway.listen;
    let listener = TcpListener::bind(listen).map_err(|error| ServeError::Listen { listen, error })?;
    listener.set_nonblocking(true).map_err(ServeError::Server)?;
    let address = listener.local_addr().map_err(ServeError::Server)?;
    let tls = tls(&config).await?;
    let router = router(gateway(&config).await?);

    let handle = Handle::new();
    let stopper = handle.clone();
    tokio::spawn(async move {
        shutdown.await;
        stopper.graceful_shutdown(Some(DRAIN));
    });
    let scheme = if tls.is_some() { "https" } else { "http" };
    notice(&Notice::Listening { url: format!("{scheme}://{address}") });
    let mut server = axum_server::from_tcp(listener).map_err(ServeError::Server)?.handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let bounded = Bounded::new(config.gateway.connections.get());
    let service = router.into_make_service();
    match tls {
        None => server.acceptor(bounded).serve(service).await,
        Some(tls) => server.acceptor(RustlsAcceptor::new(tls).acceptor(bounded)).serve(service).await,
    }
    .map_err(ServeError::Server)
}

async fn tls(config: &Config) -> Result<Option<RustlsConfig>, ServeError> {
    let (Some(cert), Some(key)) = (&config.gateway.tls_cert, &config.gateway.tls_key) else { return Ok(None) };
    // Fails only when the process has a provider already, and then that one is used.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    RustlsConfig::from_pem_file(cert, key).await.map(Some).map_err(ServeError::Tls)
}

async fn gateway(config: &Config) -> Result<Gateway, ServeError> {
    let authority = &config.authority;
    let settings = &config.verifier;
    let mut builder = Verifier::builder(&settings.issuer, &settings.audience)
        .authority(&authority.url, &authority.client_id, authority.client_secret.expose())
        .name(&settings.name)
        .max_staleness(settings.max_staleness.0);
    if let Some(instance) = &settings.instance {
        builder = builder.instance(instance);
    }
    if let Some(path) = &settings.state {
        builder = builder.state_dir(path);
    }
    if let Some(fingerprint) = &authority.feed_key {
        builder = builder.feed_key(fingerprint);
    }
    if let Some(leeway) = settings.leeway {
        builder = builder.leeway(leeway.0);
    }
    if let Some(path) = &authority.tls_root {
        let pem = std::fs::read(path).map_err(|error| ServeError::File { path: path.clone(), error })?;
        builder = builder.tls_root(pem);
    }
    if config.feed.is_set() {
        // The relay puts the id of the log it follows in place.
        builder = builder.relay(FeedLogConfig::new(""));
    }
    for foreign in &config.foreign {
        builder = builder.foreign(Expect::foreign(&foreign.issuer, &foreign.audience));
    }
    let verifier = builder.build().await?;
    Ok(Gateway(Arc::new(Shared {
        route: verifier.route(policy(config)),
        verifier,
        introspection: Client::of(&config.introspection),
        followers: Client::of(&config.feed),
        held: Arc::new(Semaphore::new(feed::MAX_HELD)),
        explain: Explain::Discreetly,
        metrics: recorder(),
    })))
}

fn policy(config: &Config) -> Policy {
    let on_stale = match (config.verifier.on_stale, config.verifier.open_until) {
        (OnStaleConfig::Open, Some(max_age)) => OnStale::Open { max_age: max_age.0 },
        (OnStaleConfig::Ask, _) => OnStale::Ask,
        (OnStaleConfig::Closed | OnStaleConfig::Open, _) => OnStale::Closed,
    };
    Policy::check(config.verifier.max_staleness.0).on_stale(on_stale)
}

fn router(gateway: Gateway) -> Router {
    // One stack, for each `layer` of a router costs every request an allocation and copies of those below.
    // A timer is set only for a request that has to wait.
    let bounded = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(HandleErrorLayer::new(async |_: BoxError| StatusCode::SERVICE_UNAVAILABLE))
        .layer(TimeoutLayer::new(LONGEST_REQUEST));
    Router::new()
        .route("/v1/auth", any(forward_auth::authorise))
        .route("/v1/introspect", post(introspect::introspect))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/statusz", get(health::statusz))
        .route("/metrics", get(health::metrics))
        .layer(bounded)
        .merge(feed::routes(&gateway).layer(CatchPanicLayer::new()))
        .with_state(gateway)
}

/// The process's one recorder of metrics, installed by the first gateway in it.
fn recorder() -> PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            PrometheusBuilder::new()
                .install_recorder()
                .unwrap_or_else(|_| PrometheusBuilder::new().build_recorder().handle())
        })
        .clone()
}

/// A form with one token; the longest token that is looked at is far shorter.
const MAX_BODY: usize = 64 * 1024;
/// A decision takes microseconds, or a question to the authority; a slow sender of a body gets no more.
const LONGEST_REQUEST: Duration = Duration::from_secs(10);
/// How long a client may take over a request's head; slower ones only hold a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head that are buffered: proxies add a few headers to those of a browser.
const HEAD_BYTES: usize = 64 * 1024;
/// How long requests in flight may take after a signal to stop.
const DRAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::Sources;

    /// A gateway whose authority is not there: it starts, and knows nothing.
    async fn cold(further: &[(&str, &str)]) -> Router {
        let mut flags = vec![
            ("authority.url", "http://127.0.0.1:1"),
            ("authority.client_id", "gateway"),
            ("authority.client_secret", "s"),
            ("introspection.client_id", "rs"),
            ("introspection.client_secret", "s"),
        ];
        flags.extend(further);
        let flags = flags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        router(gateway(&config).await.unwrap())
    }

    async fn answer(
        router: &Router,
        request: http::request::Builder,
        body: &str,
    ) -> (StatusCode, http::HeaderMap, String) {
        let response = router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_gateway_without_its_authority_is_alive_and_not_ready() {
        let router = cold(&[]).await;
        assert_eq!(answer(&router, Request::get("/livez"), "").await.0, StatusCode::OK);
        assert_eq!(answer(&router, Request::get("/readyz"), "").await.0, StatusCode::SERVICE_UNAVAILABLE);
        let (status, _, body) = answer(&router, Request::get("/statusz"), "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("\"cold\""), "{body}");
    }

    #[tokio::test]
    async fn forward_auth_answers_only_what_every_proxy_passes_on() {
        let router = cold(&[]).await;
        let auth = || Request::get("/v1/auth");
        for (request, expected) in [
            (auth(), 401),
            (auth().header("authorization", "Bearer nonsense"), 401),
            (auth().header("authorization", "Bearer a b"), 401),
            (auth().header("authorization", "Bearer a").header("authorization", "Bearer b"), 401),
            (auth().header("authorization", "Bearer a.b.c").header("X-Annul-Subject", "root"), 403),
            (auth().header("x_annul_subject", "root"), 403),
            (auth().header("x.annul.subject", "root"), 403),
            (Request::post("/v1/auth"), 401),
        ] {
            let (status, headers, _) = answer(&router, request, "").await;
            assert_eq!(status.as_u16(), expected);
            assert_eq!(headers["cache-control"], "no-store");
            assert_eq!(headers.contains_key("www-authenticate"), status == StatusCode::UNAUTHORIZED);
        }
    }

    #[tokio::test]
    async fn r7662_1_introspection_needs_the_configured_client() {
        let router = cold(&[]).await;
        let form = |credential: &str| {
            Request::post("/v1/introspect")
                .header("content-type", "application/x-www-form-urlencoded")
                .header("authorization", credential)
        };
        assert_eq!(answer(&router, form("Basic cnM6eA=="), "token=a.b.c").await.0, StatusCode::UNAUTHORIZED);
        let good = "Basic cnM6cw==";
        assert_eq!(answer(&router, form(good), "nothing=1").await.0, StatusCode::BAD_REQUEST);
        let (status, _, body) = answer(&router, form(good), "token=nonsense").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "{\"active\":false}"));
        assert_eq!(answer(&router, Request::get("/v1/introspect"), "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn the_feed_is_relayed_only_where_configured_and_to_whom() {
        let off = cold(&[]).await;
        assert_eq!(answer(&off, Request::get("/v1/feed/head"), "").await.0, StatusCode::NOT_FOUND);
        let on = cold(&[("feed.client_id", "edge"), ("feed.client_secret", "s")]).await;
        for path in ["/v1/feed/head", "/v1/feed/snapshot", "/v1/feed/changes?after=1:0", "/v1/feed/stream?after=1:0"] {
            assert_eq!(answer(&on, Request::get(path), "").await.0, StatusCode::UNAUTHORIZED, "{path}");
            let request = Request::get(path).header("authorization", "Basic ZWRnZTpz");
            let (status, headers, body) = answer(&on, request, "").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: nothing to hand on yet: {body}");
            assert!(headers.contains_key("retry-after"), "{path}");
        }
        let request = Request::get("/v1/feed/changes?after=nonsense").header("authorization", "Basic ZWRnZTpz");
        assert_eq!(answer(&on, request, "").await.0, StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = taken.local_addr().unwrap().to_string();
        let flags =
            [("authority.client_id", "g"), ("authority.client_secret", "s"), ("gateway.listen", listen.as_str())];
        let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let error = serve(config, std::future::pending(), |_| {}).await.unwrap_err();
        assert_eq!(error.code(), "port_in_use");
        assert!(error.to_string().contains(&listen));
    }
}
