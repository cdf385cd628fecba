//! Configuring a verifier. What must be chosen has no default; what cannot work has a name.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annul_core::feed::follower::{Fault, Follower, FollowerConfig, Source};
use annul_core::feed::log::{FeedLogConfig, ReplicaId};
use annul_core::feed::relay;
use annul_core::feed::snapshot::Snapshot;
use annul_core::token::FactsCache;
use annul_core::trust::Trust;
use annul_core::view::{View, ViewWriter};
use annul_core::{Expect, Key, VerifiedToken};
use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::ask::Asks;
use crate::client::AuthorityClient;
use crate::error::{BuildError, ConfigError};
use crate::feed_client::FeedClient;
use crate::follow::{Machine, Shell, Startup};
use crate::relay::RelayMachine;
use crate::route::Routes;
use crate::sender::{self, Senders};
use crate::state_file::StateFile;
use crate::transport::{self, Credential};
use crate::verifier::{Inner, RefuseWhen, Shared, Verifier};

/// What the facts cache may take when nothing is said: some 25,000 tokens.
const CACHE_BYTES: u64 = 64 << 20;
/// Steps of a relay that those behind may have waiting; past it they wait to ask, which slows only them.
const STEPS_BEHIND: usize = 64;
/// How long [`VerifierBuilder::build`] waits to learn whether it may follow this authority. One that
/// does not answer is no reason not to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// Besides the cells a stored state holds what a snapshot does, and keys.
const STATE_LIMIT: u64 = Snapshot::MAX_BYTES as u64 + (1 << 20);

/// Configures a [`Verifier`].
#[must_use = "a builder does nothing until it is built"]
pub struct VerifierBuilder {
    issuer: String,
    audience: String,
    authority: Option<Access>,
    asking: Option<(String, String)>,
    name: Option<String>,
    instance: Option<String>,
    max_staleness: Option<Duration>,
    leeway: Option<Duration>,
    state_dir: Option<PathBuf>,
    feed_key: Option<String>,
    source: Source,
    roots: Vec<Vec<u8>>,
    audiences: Vec<String>,
    foreign: Vec<Expect>,
    secrets: Vec<(String, Key)>,
    refuse_when: Option<Box<RefuseWhen>>,
    cache_bytes: u64,
    relays: Option<FeedLogConfig>,
    public_url: Option<String>,
}

struct Access {
    url: String,
    id: String,
    secret: String,
}

impl VerifierBuilder {
    pub(crate) fn new(issuer: String, audience: String) -> Self {
        Self {
            issuer,
            audience,
            authority: None,
            asking: None,
            name: None,
            instance: None,
            max_staleness: None,
            leeway: None,
            state_dir: None,
            feed_key: None,
            source: Source::Authority,
            roots: Vec::new(),
            audiences: Vec::new(),
            foreign: Vec::new(),
            secrets: Vec::new(),
            refuse_when: None,
            cache_bytes: CACHE_BYTES,
            relays: None,
            public_url: None,
        }
    }

    /// The authority to follow, as a client with the scope `annul.follow`. Needed. Beyond loopback
    /// the address must be `https`.
    pub fn authority(mut self, url: &str, client_id: &str, client_secret: &str) -> Self {
        self.authority =
            Some(Access { url: url.to_owned(), id: client_id.to_owned(), secret: client_secret.to_owned() });
        self
    }

    /// The address in [`authority`](Self::authority) is that of a relay. Its proven age is added to
    /// this verifier's, and the feed key must be given.
    pub fn through_relay(mut self) -> Self {
        self.source = Source::Relay;
        self
    }

    /// Serves the feed to verifiers behind this one, see [`Verifier::relay`]. The log's id in `bounds`
    /// is replaced by the one that is followed.
    pub fn relay(mut self, bounds: FeedLogConfig) -> Self {
        self.relays = Some(bounds);
        self
    }

    /// Asks about tokens as another client, with the scope `annul.read`; the follower's own client
    /// when not given.
    pub fn asking_as(mut self, client_id: &str, client_secret: &str) -> Self {
        self.asking = Some((client_id.to_owned(), client_secret.to_owned()));
        self
    }

    /// The age past which this verifier calls itself stale. Needed. It reports at a third of it, so it
    /// should be the smallest `max_staleness` of its routes.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = Some(max_staleness);
        self
    }

    /// The name the authority counts this verifier under, such as the service's. The audience when
    /// not given and fit for one.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Which one of that name this process is. Random when not given; a stable one lets the authority
    /// see a restart as a restart.
    pub fn instance(mut self, instance: &str) -> Self {
        self.instance = Some(instance.to_owned());
        self
    }

    /// Where the view is kept over a restart. Without it every start takes a snapshot.
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// The fingerprint of the feed key. When not given it is taken from the authority's first answer,
    /// and kept in the state directory.
    pub fn feed_key(mut self, fingerprint: &str) -> Self {
        self.feed_key = Some(fingerprint.to_owned());
        self
    }

    /// The address by which clients know this service, before any proxy, such as `https://shop.example/api`:
    /// what the path of a request is appended to. With it proofs of possession (RFC 9449) are taken, and with
    /// them tokens that are bound to a key; without it those tokens are refused. No header of a request is
    /// believed about it. A proof is taken once by each process.
    pub fn public_url(mut self, url: &str) -> Self {
        self.public_url = Some(url.to_owned());
        self
    }

    /// By how much `exp` and `nbf` are stretched for every issuer, in whole seconds. Refused when it is
    /// more than the log's `max_leeway`.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(leeway);
        self
    }

    /// Accepts the own issuer's tokens for this audience too.
    pub fn or_audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    /// Accepts tokens of a foreign issuer, which the authority must accept as well.
    pub fn foreign(mut self, expect: Expect) -> Self {
        self.foreign.push(expect);
        self
    }

    /// Verifies HMAC tokens of `issuer` by this secret, which never travels in the feed.
    pub fn secret(mut self, issuer: &str, secret: Key) -> Self {
        self.secrets.push((issuer.to_owned(), secret));
        self
    }

    /// Trusts this certificate (PEM) for the authority instead of the platform's. May be given again.
    pub fn tls_root(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// The application's last word: `refuse` is called with every token that would be let in, by the
    /// view or by the authority's answer, and can only refuse it (403). A token that is refused already
    /// is not shown to it. It is called on the request's path and should not block. Open connections
    /// are shown to it again by their [`Watch`](crate::Watch).
    pub fn refuse_when(mut self, refuse: impl Fn(&VerifiedToken) -> bool + Send + Sync + 'static) -> Self {
        self.refuse_when = Some(Box::new(refuse));
        self
    }

    /// Roughly the bytes that facts of verified tokens may take; 64 MiB when not given, none for 0.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Starts the verifier. An authority that cannot be reached is no error: the verifier starts with
    /// its stored state, or cold, and its routes answer by their policies until it is reached.
    ///
    /// # Errors
    /// When the configuration cannot work, or the authority answers and the two do not belong
    /// together. Nothing keeps running then.
    pub async fn build(self) -> Result<Verifier, BuildError> {
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let (verifier, mut startup) = self.start(runtime).await?;
        let settled = startup.wait_for(|startup| !matches!(startup, Startup::Waiting));
        if let Ok(Ok(startup)) = tokio::time::timeout(SETTLE_WITHIN, settled).await
            && let Startup::Faulted(fault) = &*startup
            && is_configuration(fault)
        {
            return Err(BuildError::Feed(fault.clone()));
        }
        if verifier.view().settings().is_none() {
            tracing::warn!("the authority has not answered yet; the verifier starts cold and keeps trying");
        }
        Ok(verifier)
    }

    async fn start(mut self, runtime: Handle) -> Result<(Verifier, watch::Receiver<Startup>), ConfigError> {
        let trust = self.trust()?;
        let max_staleness =
            self.max_staleness.filter(|staleness| !staleness.is_zero()).ok_or(ConfigError::Staleness)?;
        let id = self.id()?;
        let senders = Senders::new(self.public_url.as_deref().map(sender::base).transpose()?);
        let access = self.authority.as_ref().ok_or(ConfigError::MissingAuthority)?;
        let base = transport::address(&access.url)?;
        let http = transport::connect(&base, &self.roots)?;
        let credential = Credential::basic(&access.id, &access.secret)?;
        let client = self.client(&access.url, &access.id, &access.secret)?;
        let asking = match &self.asking {
            Some((asking_id, secret)) => self.client(&access.url, asking_id, secret)?,
            None => client.clone(),
        };
        let (state, stored) = stored_state(self.state_dir.as_deref()).await?;

        let (view, writer) = View::new();
        let mut config = self.follower_config(id.clone(), &trust, max_staleness);
        config.persist_every = config.persist_every.filter(|_| state.is_some());
        let (machine, relay) = self.machine(config, writer);

        let (routes, routes_of_shell) = watch::channel(Routes::none(max_staleness));
        let (ahead, ahead_of_shell) = watch::channel(None);
        let (changed_of_shell, changed) = watch::channel(());
        let (startup_of_shell, startup) = watch::channel(Startup::Waiting);
        let facts = FactsCache::new(self.cache_bytes, seed());
        let shared = Arc::new(Shared { id, view, trust, facts, max_staleness, fault: ArcSwapOption::empty() });
        let shell = Shell {
            machine,
            feed: FeedClient::new(http, base, credential),
            state,
            leeway: Duration::from_secs(shared.trust.leeway()),
            shared: Arc::clone(&shared),
            routes: routes_of_shell,
            ahead: ahead_of_shell,
            changed: changed_of_shell,
            startup: startup_of_shell,
        };
        runtime.spawn(shell.run(stored));
        let inner = Inner {
            shared,
            asks: Arc::new(Asks::new(&asking, runtime)),
            client,
            senders,
            refuse_when: self.refuse_when,
            routes,
            ahead,
            changed,
            reconsider: watch::channel(()).0,
            nudged_at_ms: AtomicU64::new(0),
            relay,
        };
        Ok((Verifier::new(Arc::new(inner)), startup))
    }

    fn follower_config(&mut self, id: ReplicaId, trust: &Trust, max_staleness: Duration) -> FollowerConfig {
        let mut config = FollowerConfig::new(id, self.issuer.as_str(), max_staleness, seed());
        config.source = self.source;
        config.feed_key = self.feed_key.take();
        config.leeway = Duration::from_secs(trust.leeway());
        config.audiences = trust.audiences().map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect();
        config
    }

    /// What follows the feed, and what is handed out where it also relays it.
    fn machine(&mut self, config: FollowerConfig, writer: ViewWriter) -> (Machine, Option<RelayMachine>) {
        let Some(bounds) = self.relays.take() else {
            return (Machine::Follower(Box::new(Follower::new(config, writer))), None);
        };
        let (steps, steps_of_shell) = mpsc::channel(STEPS_BEHIND);
        let relay = Arc::new(Mutex::new(relay::Relay::new(config, writer, bounds)));
        let relay = RelayMachine { relay, steps };
        (Machine::Relay(relay.clone(), steps_of_shell), Some(relay))
    }

    fn trust(&mut self) -> Result<Trust, ConfigError> {
        if self.issuer.is_empty() || self.foreign.iter().any(|expect| expect.issuer().is_empty()) {
            return Err(ConfigError::MissingIssuer);
        }
        let foreign_audiences = self.foreign.iter().flat_map(|expect| expect.audiences());
        if self.audience.is_empty() || self.audiences.iter().chain(foreign_audiences).any(String::is_empty) {
            return Err(ConfigError::MissingAudience);
        }
        let own = Expect::own(self.issuer.as_str(), self.audience.as_str());
        let own = self.audiences.drain(..).fold(own, Expect::or_audience);
        let mut trust = self.foreign.drain(..).fold(Trust::expecting(own), Trust::with_foreign);
        for (issuer, secret) in self.secrets.drain(..) {
            trust = trust.with_secret(issuer, secret);
        }
        Ok(match self.leeway {
            Some(leeway) => trust.with_leeway(leeway.as_secs()),
            None => trust,
        })
    }

    fn id(&self) -> Result<ReplicaId, ConfigError> {
        let name = self.name.as_deref().unwrap_or(&self.audience);
        let random = uuid::Uuid::now_v7().simple().to_string();
        let instance = self.instance.as_deref().unwrap_or(&random);
        ReplicaId::new(name, instance).ok_or_else(|| ConfigError::Name(format!("{name}/{instance}")))
    }

    fn client(&self, url: &str, id: &str, secret: &str) -> Result<AuthorityClient, ConfigError> {
        let builder = AuthorityClient::builder(url).credentials(id, secret);
        self.roots.iter().fold(builder, |builder, root| builder.tls_root(root.clone())).build()
    }
}

async fn stored_state(dir: Option<&std::path::Path>) -> Result<(Option<Arc<StateFile>>, Option<Vec<u8>>), ConfigError> {
    let Some(dir) = dir.map(std::path::Path::to_owned) else { return Ok((None, None)) };
    let reading = tokio::task::spawn_blocking(move || {
        let state = StateFile::open(&dir)?;
        let stored = state.read(STATE_LIMIT).unwrap_or_else(|error| {
            let aside = state.set_aside();
            tracing::warn!(code = "state_unreadable", %error, set_aside = aside.is_ok(), "the stored state cannot be read; everything is fetched again");
            None
        });
        Ok((Some(Arc::new(state)), stored))
    });
    reading.await.unwrap_or(Err(ConfigError::NoRuntime))
}

/// Whether a fault at the start is one of what was configured, here or at the authority, rather than
/// of what the log holds. With the latter the verifier runs, and refuses what it must.
const fn is_configuration(fault: &Fault) -> bool {
    !matches!(fault, Fault::UnknownRecord { .. } | Fault::Diverged { .. } | Fault::ViewFull(_))
}

/// Randomness for nonces and jitter: the random half of a fresh UUID.
fn seed() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}
