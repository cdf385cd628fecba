//! The authority: the one value that all domain verbs are methods of.
//!
//! ```text
//! verb = validate what was asked -> one store verb, one transaction -> answer
//! ```
//!
//! The verbs lie in the modules named after their subjects. Everything that decides is read from
//! the store in one snapshot per verb; what is kept in memory ([`Standing`]) are keys and settings,
//! which verify signatures and save reads but decide nothing alone.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annul_core::feed::head::FeedSigner;
use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::UnixMillis;
use arc_swap::ArcSwap;
use tokio::sync::RwLock;

use crate::clients::{ADMIN, new_admin};
use crate::clock::Clock;
use crate::error::VerbError;
use crate::model::{Act, IdempotencyKey, KeyState};
use crate::passwords::PasswordQueue;
use crate::random;
use crate::sealing::{MasterKey, SealError};
use crate::secret::Secret;
use crate::signing::{SigningAlgorithm, SigningError, SigningKey};
use crate::standing::{Standing, sealed_key_record};
use crate::store::{Genesis, Store, StoreError};

/// What the purpose of the sealed feed key is called.
const FEED_KEY_PURPOSE: &str = "feed key";
/// Rows one clean-up step removes, so that no transaction holds up the log.
const PRUNE_STEP: usize = 1000;

/// What an authority is started with. Everything has a default but the issuer and the audience.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `iss` of its tokens. Fixed at the first start.
    pub issuer: String,
    /// The `aud` of a token whose request names none.
    pub audience: Vec<String>,
    /// How long an access token lives.
    pub token_life: Duration,
    /// How long a session may stay unused.
    pub session_idle: Duration,
    /// How long a session may live at all; the store must have been opened with at least this.
    pub session_longest: Duration,
    /// What the first signing keys sign with; a rotation can change it.
    pub algorithm: SigningAlgorithm,
    /// How long a signing key is published before it may sign.
    pub key_lead: Duration,
    /// How often a foreign issuer's keys are fetched.
    pub jwks_refresh: Duration,
    /// How many passwords are hashed at once.
    pub password_workers: usize,
    /// The settings of a new log, in force until they are changed by a verb.
    pub settings: FirstSettings,
}

/// The settings a new log begins with.
#[derive(Clone, Debug)]
pub struct FirstSettings {
    /// The longest life of any own token.
    pub longest_life: Duration,
    /// The largest leeway any verifier may grant.
    pub max_leeway: Duration,
    /// By how much any two clocks may differ.
    pub clock_skew: Duration,
    /// The claims that can be revoked by.
    pub claims: Vec<String>,
    /// Those on which an entry makes every route ask.
    pub ask_on: Vec<String>,
}

impl FirstSettings {
    fn are_those_of(&self, settings: &Settings) -> bool {
        self.longest_life.as_secs() == settings.longest_life
            && self.max_leeway.as_secs() == settings.max_leeway
            && self.clock_skew.as_secs() == settings.clock_skew
            && self.claims == settings.claims
            && self.ask_on == settings.ask_on
    }
}

impl Setup {
    /// The defaults, for this issuer and audience.
    #[must_use]
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        const MINUTE: u64 = 60;
        const DAY: u64 = 24 * 60 * MINUTE;
        Self {
            issuer: issuer.into(),
            audience: vec![audience.into()],
            token_life: Duration::from_secs(5 * MINUTE),
            session_idle: Duration::from_secs(14 * DAY),
            session_longest: Duration::from_secs(30 * DAY),
            algorithm: SigningAlgorithm::default(),
            key_lead: Duration::from_secs(10 * MINUTE),
            jwks_refresh: Duration::from_secs(5 * MINUTE),
            password_workers: std::thread::available_parallelism().map_or(1, usize::from),
            settings: FirstSettings {
                longest_life: Duration::from_secs(15 * MINUTE),
                max_leeway: Duration::from_secs(MINUTE),
                clock_skew: Duration::from_secs(5),
                claims: vec!["roles".to_owned(), "scope".to_owned(), "tenant".to_owned()],
                ask_on: Vec::new(),
            },
        }
    }
}

/// The domain verbs over a store. Clones are cheap and are the same authority.
#[derive(Clone)]
pub struct Authority {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    master: MasterKey,
    setup: Setup,
    log_id: String,
    hash_key: HashKey,
    feed_signer: Arc<FeedSigner>,
    standing: ArcSwap<Standing>,
    /// Read while a token is signed, written while keys change: a key that is being killed signs
    /// nothing after the kill was committed.
    signing: RwLock<()>,
    reloading: tokio::sync::Mutex<()>,
    passwords: PasswordQueue,
    /// When sessions were last used, not yet in the store.
    uses: Mutex<HashMap<String, UnixMillis>>,
}

/// A started authority, and what the first start made.
#[derive(Debug)]
pub struct Started {
    /// The authority.
    pub authority: Authority,
    /// There only at the first start.
    pub first: Option<FirstStart>,
}

/// The credential that the first start made. It is shown once.
#[derive(Debug)]
pub struct FirstStart {
    /// The administrator's client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl Authority {
    /// Whether the store holds no log yet, so that a master key may still be made for it.
    pub async fn is_new(store: &dyn Store) -> Result<bool, StoreError> {
        match store.log().await {
            Ok(_) => Ok(false),
            Err(StoreError::NotBootstrapped) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Starts on a store: creates the log with its keys and the administrator's client where there
    /// is none, or opens what is there.
    ///
    /// # Errors
    /// A wrong master key, another issuer than the log's, settings that contradict each other. The
    /// store is left as it was.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        master: MasterKey,
        setup: Setup,
    ) -> Result<Started, StartError> {
        check_setup(&setup)?;
        let (log, first) = match store.log().await {
            Ok(log) => (log, None),
            Err(StoreError::NotBootstrapped) => {
                let (genesis, first) = genesis(&master, &setup, clock.millis())?;
                let ours = genesis.log.clone();
                let log = store.bootstrap(genesis).await?;
                let first = (log.log == ours).then_some(first);
                (log, first)
            }
            Err(error) => return Err(error.into()),
        };
        if log.settings.issuer != setup.issuer {
            return Err(StartError::OtherIssuer { log: log.settings.issuer, configured: setup.issuer });
        }
        let feed_key = master.open(FEED_KEY_PURPOSE, &log.sealed_feed_key)?;
        let feed_signer = FeedSigner::from_pkcs8(&feed_key).map_err(|_| StartError::FeedKey)?;
        let standing = Standing::read(&*store, &master, None).await?;
        let life = setup.token_life.as_secs();
        if life > standing.settings.longest_life {
            return Err(StartError::LifeBeyondLongest { life, longest: standing.settings.longest_life });
        }
        if first.is_none() && !setup.settings.are_those_of(&standing.settings) {
            tracing::warn!(
                revision = standing.settings.revision,
                "the log's settings differ from the configured ones and stand; PUT /v1/settings changes them"
            );
        }
        let passwords = PasswordQueue::new(setup.password_workers)?;
        let inner = Inner {
            store,
            clock,
            master,
            setup,
            log_id: log.log,
            hash_key: log.hash_key,
            feed_signer: Arc::new(feed_signer),
            standing: ArcSwap::from_pointee(standing),
            signing: RwLock::new(()),
            reloading: tokio::sync::Mutex::new(()),
            passwords,
            uses: Mutex::new(HashMap::new()),
        };
        Ok(Started { authority: Self { inner: Arc::new(inner) }, first })
    }

    /// The settings in force, as of the last change this process knows of.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.inner.standing.load().settings)
    }

    /// The `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.inner.setup.issuer
    }

    /// The log's id.
    #[must_use]
    pub fn log_id(&self) -> &str {
        &self.inner.log_id
    }

    /// The key that hashes targets, for authenticated followers.
    #[must_use]
    pub fn hash_key(&self) -> &HashKey {
        &self.inner.hash_key
    }

    /// What signs heads, frames and snapshots.
    #[must_use]
    pub fn feed_signer(&self) -> &Arc<FeedSigner> {
        &self.inner.feed_signer
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// What it was started with.
    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.inner.setup
    }

    /// Reads keys, issuers and settings again. The verbs that change them do it themselves; it is
    /// needed when somebody else changed the store.
    pub async fn reload(&self) -> Result<(), VerbError> {
        // One at a time: what was read earlier must not replace what was read later, or a killed key
        // would be back in memory.
        let _one_at_a_time = self.inner.reloading.lock().await;
        let now = Standing::read(self.store().as_ref(), self.master(), Some(&self.standing())).await?;
        self.inner.standing.store(Arc::new(now));
        Ok(())
    }

    /// Clean-up, to be called every minute or so: writes down when sessions were last used, drops
    /// retired keys whose tokens are gone, and removes what no answer depends on any more. Never
    /// needed for correctness.
    pub async fn housekeep(&self) -> Result<(), VerbError> {
        self.write_uses().await?;
        self.forget_retired_keys().await?;
        while self.store().prune(PRUNE_STEP).await?.more {}
        Ok(())
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.inner.standing.load_full()
    }

    pub(crate) fn master(&self) -> &MasterKey {
        &self.inner.master
    }

    pub(crate) fn passwords(&self) -> &PasswordQueue {
        &self.inner.passwords
    }

    pub(crate) fn signing_lock(&self) -> &RwLock<()> {
        &self.inner.signing
    }

    pub(crate) fn uses(&self) -> MutexGuard<'_, HashMap<String, UnixMillis>> {
        // The map is whole after every statement, so a panic elsewhere cannot have broken it.
        self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("issuer", &self.inner.setup.issuer)
            .field("log", &self.inner.log_id)
            .finish_non_exhaustive()
    }
}

/// Who calls a verb, and how the call is told from its repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    actor: String,
    request_id: Option<String>,
    idempotency: Option<IdempotencyKey>,
}

impl Caller {
    /// A client that authenticated itself.
    #[must_use]
    pub fn client(client_id: impl Into<String>) -> Self {
        Self { actor: client_id.into(), ..Self::default() }
    }

    /// A user who acts on their own sessions.
    #[must_use]
    pub fn subject(subject: &str) -> Self {
        Self { actor: format!("subject:{subject}"), ..Self::default() }
    }

    /// The authority itself.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: "annul".to_owned(), ..Self::default() }
    }

    /// The same with the id of the request, for the audit.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The same with the caller's name for this attempt: a repetition gets the first answer, and the
    /// same name with another request is refused. `request` is a hash of the whole request.
    #[must_use]
    pub fn with_idempotency(mut self, key: impl Into<String>, request: [u8; 32]) -> Self {
        self.idempotency = Some(IdempotencyKey { client: self.actor.clone(), key: key.into(), request });
        self
    }

    /// Who calls.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn act(&self, action: &str, reason: Option<String>) -> Act {
        Act {
            actor: self.actor.clone(),
            action: action.to_owned(),
            reason,
            request_id: self.request_id.clone(),
            idempotency: self.idempotency.clone(),
        }
    }

    /// The same act as a further step of a call, which has no idempotency of its own.
    pub(crate) fn step(&self, action: &str, reason: Option<String>) -> Act {
        Act { idempotency: None, ..self.act(action, reason) }
    }
}

/// Why an authority does not start. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The issuer or the audience is missing.
    #[error("{what} is missing")]
    Missing {
        /// Which of them.
        what: &'static str,
    },
    /// The log belongs to another issuer.
    #[error("this log belongs to the issuer {log:?} and the configuration says {configured:?}")]
    OtherIssuer {
        /// The log's.
        log: String,
        /// The configuration's.
        configured: String,
    },
    /// Tokens would live longer than verifiers accept.
    #[error("tokens would live {life} s and the log's longest life is {longest} s")]
    LifeBeyondLongest {
        /// Seconds that tokens would live.
        life: u64,
        /// Seconds that they may.
        longest: u64,
    },
    /// The feed key is not a key.
    #[error("the stored feed key is not an Ed25519 key")]
    FeedKey,
    /// Something sealed cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key cannot be made.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Keys or settings cannot be made or read.
    #[error(transparent)]
    Verb(#[from] VerbError),
}

impl StartError {
    /// The error's stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "setting_missing",
            Self::OtherIssuer { .. } => "issuer_changed",
            Self::LifeBeyondLongest { .. } => "life_beyond_longest",
            Self::FeedKey => "feed_key_damaged",
            Self::Seal(error) => error.code(),
            Self::Signing(_) => "signing_failed",
            Self::Store(error) => error.code(),
            Self::Verb(error) => error.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "configure tokens.issuer and tokens.audience",
            Self::OtherIssuer { .. } => "configure the log's issuer, or another data directory for a new log",
            Self::LifeBeyondLongest { .. } => {
                "configure a shorter tokens.life, or raise longest_life by PUT /v1/settings"
            }
            Self::FeedKey => "restore the data from a backup; it was left as it is",
            Self::Seal(error) => error.hint(),
            Self::Signing(_) => "check the system's random number generator",
            Self::Store(_) => "see the detail; the data was left as it is",
            Self::Verb(error) => error.hint(),
        }
    }
}

fn check_setup(setup: &Setup) -> Result<(), StartError> {
    if setup.issuer.is_empty() {
        return Err(StartError::Missing { what: "the issuer" });
    }
    if setup.audience.is_empty() || setup.audience.iter().any(String::is_empty) {
        return Err(StartError::Missing { what: "the audience" });
    }
    Ok(())
}

fn genesis(master: &MasterKey, setup: &Setup, now: UnixMillis) -> Result<(Genesis, FirstStart), StartError> {
    let hash_key = HashKey::from_bytes(random::bytes()?);
    let feed_key = SigningKey::generate(SigningAlgorithm::EdDsa)?;
    let active = SigningKey::generate(setup.algorithm)?;
    let reserve = SigningKey::generate(setup.algorithm)?;
    let first = &setup.settings;
    let settings = Settings {
        revision: 1,
        issuer: setup.issuer.clone(),
        longest_life: first.longest_life.as_secs(),
        max_leeway: first.max_leeway.as_secs(),
        clock_skew: first.clock_skew.as_secs(),
        claims: first.claims.clone(),
        ask_on: first.ask_on.clone(),
        hash_key: hash_key.id(),
    };
    let (admin, client_secret) = new_admin(now)?;
    let genesis = Genesis {
        log: random::name()?,
        hash_key,
        sealed_feed_key: master.seal(FEED_KEY_PURPOSE, &feed_key.to_pkcs8()?)?,
        settings,
        keys: vec![
            sealed_key_record(master, &active, KeyState::Active, now)?,
            sealed_key_record(master, &reserve, KeyState::Reserve, now)?,
        ],
        clients: vec![admin],
    };
    Ok((genesis, FirstStart { client_id: ADMIN.to_owned(), client_secret }))
}
