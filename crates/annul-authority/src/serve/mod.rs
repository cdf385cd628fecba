//! Starting, serving and stopping.
//!
//! ```text
//! bind -> open the store -> master key -> authority -> feed -> TLS -> serve -> signal -> drain
//! ```
//!
//! The port is bound first, so that a port in use leaves no data behind. Nothing is served before
//! the store is open and the feed follows it.

mod error;
mod notice;
mod secrets;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annul_core::token::ProofsSeen;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinHandle;

use crate::authority::{Authority, FirstSettings, IssuerSecret, RefreshSetup, Setup};
use crate::clock::Clock;
use crate::config::{Config, SecretConfig, SessionsConfig, StoreKind};
use crate::connections::Bounded;
use crate::feed::{Feed, FeedOptions};
use crate::http::limits::Limits;
use crate::http::{self, App, Shared};
use crate::jwks_fetch::JwksFetcher;
use crate::metrics::Metrics;
use crate::secrets::signing::SigningAlgorithm;
use crate::span::Span;
use crate::store::{self, MemoryStore, RefreshWindow, SqliteOptions, SqliteStore, Store};

pub use error::ServeError;
pub use notice::Notice;
use tls::TlsAcceptor;

/// Serves until `shutdown` ends, then lets requests in flight finish for `server.drain`.
///
/// `notice` is told what an operator should know; the address comes first.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
    mut notice: impl FnMut(&Notice) + Send,
) -> Result<(), ServeError> {
    let server = Server::start(config).await?;
    server.notices().iter().for_each(&mut notice);
    server.until(shutdown).await
}

/// Serves as a process: the address on standard output, other notices on standard error, until
/// SIGINT or SIGTERM.
pub async fn run(config: Config) -> Result<(), ServeError> {
    serve(config, stop_signal(), |notice| {
        use std::io::Write as _;
        match notice {
            // A closed pipe is no reason to stop serving.
            Notice::Listening { .. } => {
                let mut out = io::stdout().lock();
                let _ = writeln!(out, "{notice}").and_then(|()| out.flush());
            }
            _ => {
                let _ = writeln!(io::stderr(), "{notice}");
            }
        }
    })
    .await
}

/// Ends on SIGINT or SIGTERM. From this call on, not only once it is awaited, neither ends the
/// process by itself: a signal that arrives during the start is acted on after it.
pub fn stop_signal() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{Signal, SignalKind, signal};
        // Where the system gives no handler, its own way of ending the process is left in place.
        let listen = |signals: io::Result<Signal>| async move {
            match signals {
                Ok(mut signals) => _ = signals.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        async move {
            tokio::select! {
                () = listen(interrupt) => {}
                () = listen(terminate) => {}
            }
        }
    }
    #[cfg(not(unix))]
    async {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// A running server.
pub struct Server {
    url: String,
    notices: Vec<Notice>,
    app: App,
    handle: Handle<SocketAddr>,
    serving: JoinHandle<io::Result<()>>,
    background: Vec<JoinHandle<()>>,
    drain: Duration,
}

impl Server {
    /// Starts everything and returns as soon as requests are answered.
    ///
    /// # Errors
    /// Nothing was changed, unless the error says otherwise.
    pub async fn start(config: Config) -> Result<Self, ServeError> {
        // Fails only when the process has a provider already, and then that one is used.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = bind(config.server.listen)?;
        let local =
            listener.local_addr().map_err(|error| ServeError::Listen { listen: config.server.listen, error })?;
        let tls = tls::configured(&config)?;

        let setup = setup(&config)?;

        let clock = Clock::system();
        let store = open_store(&config, &clock).await?;
        let (master, mut notices) = secrets::master_key(&config, store.as_ref()).await?;
        let admin = secrets::administrator(&config, store.as_ref()).await?;
        let started = Authority::start_with(Arc::clone(&store), clock.clone(), master, setup, admin).await?;
        if let Some(first) = started.first {
            notices.insert(0, secrets::told(&config, &first));
        }
        if !config.server.is_loopback() && !config.server.has_tls() {
            notices.push(Notice::PlainHttp { listen: local });
        }
        let url = format!("{}://{local}", if tls.is_some() { "https" } else { "http" });
        notices.insert(0, Notice::Listening { url: url.clone() });

        let authority = started.authority;
        let (feed, follow) = Feed::start(&authority, FeedOptions::of(&config.feed)).await?;
        let fetcher = JwksFetcher::new()?;
        let app = App::new(Shared {
            base_url: config.server.public_url.clone().unwrap_or_else(|| url.clone()),
            limits: Limits::new(&config.limits),
            proofs_seen: ProofsSeen::default(),
            metrics: Metrics::new(),
            stopping: AtomicBool::new(false),
            authority: authority.clone(),
            feed,
            fetcher: fetcher.clone(),
            config: config.clone(),
        });
        let background = vec![
            tokio::spawn(follow),
            tokio::spawn(fetcher.keep_fresh(authority.clone())),
            tokio::spawn(follow_own_log(authority.clone())),
            tokio::spawn(authority.clone().keep_schedules()),
            tokio::spawn(keep_graces(authority.clone())),
            tokio::spawn(keep_house(authority)),
            tokio::spawn(keep_metrics(app.clone())),
        ];
        let handle = Handle::new();
        let serving = spawn_server(listener, tls, &app, handle.clone())?;
        Ok(Self { url, notices, app, handle, serving, background, drain: config.server.drain.0 })
    }

    /// Where the server is reached.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What an operator should know, the address first.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Serves until `shutdown` ends, then stops.
    pub async fn until(mut self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        tokio::select! {
            () = shutdown => {}
            ended = &mut self.serving => return Err(served(ended).err().unwrap_or(ServeError::Stopped)),
        }
        self.stop().await
    }

    /// Takes no more requests, ends the streams, waits for what is in flight, but not longer than
    /// `server.drain`, and closes the store.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.app.stopping.store(true, Ordering::Relaxed);
        self.app.feed.close();
        self.handle.graceful_shutdown(Some(self.drain));
        let ended = self.serving.await;
        for task in self.background {
            task.abort();
            // An aborted task ends with an error that says so.
            let _ = task.await;
        }
        if let Err(error) = self.app.authority.housekeep().await {
            tracing::warn!(error = %error, "the last clean-up failed; nothing depends on it");
        }
        served(ended)
    }
}

fn served(ended: Result<io::Result<()>, tokio::task::JoinError>) -> Result<(), ServeError> {
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ServeError::Accept { error }),
        Err(_) => Err(ServeError::Stopped),
    }
}

async fn follow_own_log(authority: Authority) {
    authority.follow_own_log().await;
}

/// How often clean-up runs. Correctness never waits for it.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

async fn keep_house(authority: Authority) {
    let mut rounds = tokio::time::interval(HOUSEKEEPING);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(error) = authority.housekeep().await {
            tracing::warn!(error = %error, "clean-up failed; it is tried again in a minute");
        }
    }
}

/// How often it is looked whether a grace has ended: a sealed successor outlives it by about as long.
const GRACES: Duration = Duration::from_secs(1);

async fn keep_graces(authority: Authority) {
    let mut rounds = tokio::time::interval(GRACES);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(error) = authority.end_graces().await {
            tracing::warn!(error = %error, "successors past their grace are kept; forgetting them is tried again");
        }
    }
}

/// How often measurements are folded: they are held one by one until then.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

async fn keep_metrics(app: App) {
    let mut rounds = tokio::time::interval(METRICS_UPKEEP);
    loop {
        rounds.tick().await;
        app.metrics.upkeep();
    }
}

fn bind(listen: SocketAddr) -> Result<TcpListener, ServeError> {
    let in_use = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { listen },
        _ => ServeError::Listen { listen, error },
    };
    let listener = TcpListener::bind(listen).map_err(in_use)?;
    listener.set_nonblocking(true).map_err(in_use)?;
    Ok(listener)
}

/// How long a client may take over a request's head; slower ones only hold a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head that are buffered.
const HEAD_BYTES: usize = 64 * 1024;

fn spawn_server(
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    app: &App,
    handle: Handle<SocketAddr>,
) -> Result<JoinHandle<io::Result<()>>, ServeError> {
    let service = http::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let failed = |error| ServeError::Accept { error };
    let mut server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle);
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES);
    let bounded = Bounded::new(app.config.limits.connections);
    Ok(match tls {
        None => tokio::spawn(server.acceptor(bounded).serve(service)),
        Some(tls) => tokio::spawn(server.acceptor(TlsAcceptor::new(bounded, tls)).serve(service)),
    })
}

async fn open_store(config: &Config, clock: &Clock) -> Result<Arc<dyn Store>, ServeError> {
    let limits = store::Limits {
        longest_session: config.sessions.absolute.as_secs(),
        exchange_after: config.sessions.exchange_after.as_secs(),
        ..store::Limits::default()
    };
    match config.store.kind {
        StoreKind::Memory => Ok(Arc::new(MemoryStore::new(limits, clock.clone()))),
        StoreKind::Sqlite => {
            let (dir, clock) = (config.store.data.clone(), clock.clone());
            let options = SqliteOptions { limits, ..SqliteOptions::default() };
            let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&dir, options, clock)).await;
            Ok(Arc::new(opened.map_err(|_| ServeError::Stopped)??))
        }
    }
}

fn issuer_secret(section: &SecretConfig) -> Result<IssuerSecret, ServeError> {
    let (issuer, name) = (section.issuer.clone(), section.name.clone());
    match section.key() {
        Ok(key) => Ok(IssuerSecret { issuer, key }),
        Err(detail) => Err(ServeError::IssuerSecret { issuer, name, detail }),
    }
}

fn refresh(config: &SessionsConfig) -> RefreshSetup {
    let window = |before: Span| RefreshWindow { before: before.as_secs(), after: config.exchange_after.as_secs() };
    RefreshSetup {
        grace: config.rotation_grace.0,
        window: config.refresh_window.map(window),
        exchange: window(config.exchange_before),
        revocation: config.refresh_revocation,
    }
}

fn setup(config: &Config) -> Result<Setup, ServeError> {
    let algorithm = SigningAlgorithm::from_name(&config.tokens.algorithm)
        .ok_or_else(|| ServeError::Algorithm { name: config.tokens.algorithm.clone() })?;
    Ok(Setup {
        token_life: config.tokens.life.0,
        session_idle: config.sessions.idle.0,
        session_longest: config.sessions.absolute.0,
        algorithm,
        key_lead: config.feed.key_lead.0,
        jwks_refresh: config.feed.jwks_refresh.0,
        secrets: config.issuers.secrets.iter().map(issuer_secret).collect::<Result<_, _>>()?,
        token_key: config.tokens.key,
        groups: NonZeroU32::new(config.groups.count),
        refresh: refresh(&config.sessions),
        settings: FirstSettings {
            longest_life: config.tokens.longest_life.0,
            max_leeway: config.tokens.max_leeway.0,
            clock_skew: config.tokens.clock_skew.0,
            claims: config.tokens.claims.clone(),
            ask_on: config.tokens.ask_on.clone(),
        },
        logout_sets_version: config.subjects.logout_sets_version,
        record_fields: config.subjects.record_fields.clone(),
        ..Setup::new(&config.tokens.issuer, &config.tokens.audience)
    })
}
