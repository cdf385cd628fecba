//! The authority: the one value that all domain verbs are methods of.
//!
//! ```text
//! verb = validate what was asked -> one store verb, one transaction -> answer
//! ```
//!
//! The verbs lie in the modules named after their subjects. Everything that decides is read from
//! the store in one snapshot per verb. What is kept in memory saves reads: keys and settings
//! (`Standing`) decide nothing alone; the own view and the clients seen before are used only while
//! they are as new as the last commit that was told.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annul_core::feed::head::FeedSigner;
use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::UnixMillis;
use annul_core::token::{FactsCache, KeySet};
use annul_core::view::View;
use arc_swap::ArcSwap;
use tokio::sync::RwLock;

use crate::clock::Clock;
use crate::error::VerbError;
use crate::known_clients::KnownClients;
use crate::own_view::{OwnLog, OwnView};
use crate::secrets::nonces::Nonces;
use crate::secrets::passwords::PasswordQueue;
use crate::secrets::random;
use crate::secrets::sealing::MasterKey;
use crate::secrets::subject_key::SubjectSecret;
use crate::setup::{FEED_KEY_PURPOSE, check_setup, genesis};
use crate::standing::Standing;
use crate::store::{LogState, Store, StoreError};

pub use crate::caller::Caller;
pub use crate::setup::{FirstSettings, FirstStart, IssuerSecret, RefreshSetup, Setup, StartError, TokenKey};

/// Bytes that tokens asked about before may take: some ten thousand tokens. Those that ask are resource
/// servers, about the tokens of their users of the last minutes.
const FACTS_BYTES: u64 = 32 << 20;

/// Rows one clean-up step removes, so that no transaction holds up the log.
const PRUNE_STEP: usize = 1000;

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
    clients: KnownClients,
    own_view: OwnView,
    /// Tokens that were asked about before.
    facts: FactsCache,
    /// Until somebody follows the log with it.
    own_log: Mutex<Option<OwnLog>>,
    /// Read while a token is signed, written while keys change: a key that is being killed signs
    /// nothing after the kill was committed.
    signing: RwLock<()>,
    reloading: tokio::sync::Mutex<()>,
    /// Held while an issuer is read, changed and written.
    issuers: tokio::sync::Mutex<()>,
    passwords: PasswordQueue,
    /// The secrets of foreign issuers, by `iss`.
    secrets: BTreeMap<String, KeySet>,
    dpop_nonces: Nonces,
    /// Woken when a schedule was made.
    scheduled: tokio::sync::Notify,
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
    /// A wrong master key, another issuer than the log's, targets that were hashed in another way,
    /// settings that contradict each other. The store is left as it was.
    pub async fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        master: MasterKey,
        setup: Setup,
    ) -> Result<Started, StartError> {
        Self::start_with(store, clock, master, setup, FirstStart::generate()?).await
    }

    /// The same, with the credential that a new log's administrator gets. Whoever wrote it down
    /// before cannot be left with a log that nobody can administer.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn start_with(
        store: Arc<dyn Store>,
        clock: Clock,
        master: MasterKey,
        setup: Setup,
        admin: FirstStart,
    ) -> Result<Started, StartError> {
        check_setup(&setup)?;
        let (log, first) = open_log(&*store, &master, &setup, admin, clock.millis()).await?;
        check_log(&log, &setup)?;
        let feed_key = master.open(FEED_KEY_PURPOSE, &log.sealed_feed_key)?;
        let feed_signer = FeedSigner::from_pkcs8(&feed_key).map_err(|_| StartError::FeedKey)?;
        keep_to(&*store, &master, &setup).await?;
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
        let (own_view, own_log) = OwnView::new(store.as_ref());
        let inner = Inner {
            clients: KnownClients::new(store.as_ref()),
            own_view,
            facts: FactsCache::new(FACTS_BYTES, u64::from_le_bytes(random::bytes()?)),
            own_log: Mutex::new(Some(own_log)),
            dpop_nonces: Nonces::new(&master),
            store,
            clock,
            secrets: secrets_by_issuer(&setup),
            master,
            setup,
            log_id: log.log,
            hash_key: log.hash_key,
            feed_signer: Arc::new(feed_signer),
            standing: ArcSwap::from_pointee(standing),
            signing: RwLock::new(()),
            reloading: tokio::sync::Mutex::new(()),
            issuers: tokio::sync::Mutex::new(()),
            passwords,
            scheduled: tokio::sync::Notify::new(),
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
    ///
    /// # Errors
    /// The first of the chores that failed. The others were done all the same.
    pub async fn housekeep(&self) -> Result<(), VerbError> {
        self.passwords().release_memory();
        self.facts().sweep(self.clock().seconds());
        let chores = [self.write_uses().await, self.forget_retired_keys().await, self.prune().await];
        chores.into_iter().collect()
    }

    async fn prune(&self) -> Result<(), VerbError> {
        while self.store().prune(PRUNE_STEP).await?.more {}
        Ok(())
    }

    /// Keeps the authority's own view fed until the store is gone; a second call ends at once.
    /// Without it every token is judged by the store, which is as right and slower.
    pub async fn follow_own_log(&self) {
        let own_log = self.inner.own_log.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(own_log) = own_log {
            own_log.follow(self.store().as_ref(), self.clock()).await;
        }
    }

    /// Tokens that were asked about before, under the number of the standing they were verified by.
    pub(crate) fn facts(&self) -> &FactsCache {
        &self.inner.facts
    }

    /// The log as verifiers hold it, while that is all that was acknowledged.
    pub(crate) fn own_view(&self) -> Option<&View> {
        self.inner.own_view.current()
    }

    pub(crate) fn clients(&self) -> &KnownClients {
        &self.inner.clients
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.inner.standing.load_full()
    }

    pub(crate) fn master(&self) -> &MasterKey {
        &self.inner.master
    }

    /// The secrets that an accepted issuer signs with, if some are configured.
    pub(crate) fn secrets_of(&self, issuer: &str) -> Option<&KeySet> {
        self.inner.secrets.get(issuer)
    }

    /// What an idempotency row keeps of a request in place of the request.
    pub(crate) fn fingerprint(&self, request: &[u8; 32]) -> [u8; 32] {
        self.inner.master.fingerprint(request)
    }

    /// What stands in a subject's tokens for its credential.
    pub(crate) fn credential_fingerprint(&self, subject: &str, credential: &str) -> String {
        self.inner.master.credential_fingerprint(subject, credential)
    }

    /// The nonces of DPoP proofs.
    pub(crate) fn dpop_nonces(&self) -> &Nonces {
        &self.inner.dpop_nonces
    }

    pub(crate) fn passwords(&self) -> &PasswordQueue {
        &self.inner.passwords
    }

    pub(crate) fn issuers_lock(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.issuers
    }

    pub(crate) fn signing_lock(&self) -> &RwLock<()> {
        &self.inner.signing
    }

    pub(crate) fn scheduled(&self) -> &tokio::sync::Notify {
        &self.inner.scheduled
    }

    pub(crate) fn uses(&self) -> MutexGuard<'_, HashMap<String, UnixMillis>> {
        // The map is whole after every statement, so a panic elsewhere cannot have broken it.
        self.inner.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log that the store holds; else a new one, with what was made for its administrator. Where another
/// authority made it first, that one's stands.
async fn open_log(
    store: &dyn Store,
    master: &MasterKey,
    setup: &Setup,
    admin: FirstStart,
    now: UnixMillis,
) -> Result<(LogState, Option<FirstStart>), StartError> {
    match store.log().await {
        Ok(log) => Ok((log, None)),
        Err(StoreError::NotBootstrapped) => {
            let genesis = genesis(master, setup, &admin, now)?;
            let ours = genesis.log.clone();
            let log = store.bootstrap(genesis).await?;
            let first = (log.log == ours).then_some(admin);
            Ok((log, first))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the log is one that this setup can go on with.
fn check_log(log: &LogState, setup: &Setup) -> Result<(), StartError> {
    if log.settings.issuer != setup.issuer {
        return Err(StartError::OtherIssuer { log: log.settings.issuer.clone(), configured: setup.issuer.clone() });
    }
    // An id stands for the key and for the way of hashing with it.
    let here = log.hash_key.id();
    if log.settings.hash_key != here {
        return Err(StartError::OtherTargetHash { log: log.settings.hash_key.clone(), here });
    }
    Ok(())
}

fn secrets_by_issuer(setup: &Setup) -> BTreeMap<String, KeySet> {
    let mut secrets: BTreeMap<String, KeySet> = BTreeMap::new();
    for secret in &setup.secrets {
        secrets.entry(secret.issuer.clone()).or_default().insert(secret.key.clone());
    }
    secrets
}

/// Brings a log in line with what was configured since: the groups, and the secret that keys of
/// subjects are derived from, made when it is first needed.
async fn keep_to(store: &dyn Store, master: &MasterKey, setup: &Setup) -> Result<(), StartError> {
    let log = store.log().await?;
    if log.groups.and_then(|groups| groups.in_use()) != setup.groups {
        store.set_groups(Caller::system().act("groups.set", None), setup.groups).await?;
    }
    if setup.token_key == TokenKey::PerSubject && log.subject_secret.is_none() {
        let first = SubjectSecret::generate(master, 1)?;
        store.set_subject_secret(Caller::system().act("subject_secret.create", None), first).await?;
    }
    Ok(())
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("issuer", &self.inner.setup.issuer)
            .field("log", &self.inner.log_id)
            .finish_non_exhaustive()
    }
}
