//! What an authority is started with, what a new log begins with, and why a start fails.

use std::num::NonZeroU32;
use std::time::Duration;

use annul_core::settings::Settings;
use annul_core::target::HashKey;
use annul_core::time::UnixMillis;
use annul_core::token::Key;

use serde::{Deserialize, Serialize};

use crate::error::VerbError;
use crate::model::{GROUP_CLAIM, Groups, KeyState, MAX_GRACE, RecordFields};
use crate::secrets::random;
use crate::secrets::sealing::{MasterKey, SealError};
use crate::secrets::secret::Secret;
use crate::secrets::signing::{SigningAlgorithm, SigningError, SigningKey};
use crate::standing::sealed_key_record;
use crate::store::{Genesis, RefreshWindow, StoreError, with_group_claim};
use crate::verbs::clients::{ADMIN, admin_record, new_secret};
use crate::verbs::refresh::RefreshRevocation;

/// What the purpose of the sealed feed key is called.
pub(crate) const FEED_KEY_PURPOSE: &str = "feed key";

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
    /// The secrets of foreign issuers that sign by HMAC. They are kept here only.
    pub secrets: Vec<IssuerSecret>,
    /// Whether a logout sets its subject's next version, and so ends all the user has.
    pub logout_sets_version: bool,
    /// The fields of user records and what a change of each reaches.
    pub record_fields: RecordFields,
    /// What signs the tokens of sessions.
    pub token_key: TokenKey,
    /// Into how many groups subjects fall; `None` for no groups.
    pub groups: Option<NonZeroU32>,
    /// How refresh credentials are redeemed.
    pub refresh: RefreshSetup,
    /// The settings of a new log, in force until they are changed by a verb.
    pub settings: FirstSettings,
}

/// What signs the tokens of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKey {
    /// The log's signing key, whose public half every verifier has.
    #[default]
    Signing,
    /// A key of the subject's own. Only the authority can verify by it, so routes have to introspect.
    PerSubject,
}

/// How refresh credentials are redeemed.
#[derive(Clone, Debug)]
pub struct RefreshSetup {
    /// How long a repetition gets the same successor, in whole seconds up to [`MAX_GRACE`]. Without any,
    /// whoever sends a refresh twice at once has the session ended.
    pub grace: Duration,
    /// When a refresh token may be redeemed, around the `exp` of the last access token; any time unless
    /// set.
    pub window: Option<RefreshWindow>,
    /// When an access token that is its own refresh credential may be exchanged, around its `exp`; the store
    /// must have been opened with at least as much after it.
    pub exchange: RefreshWindow,
    /// What revoking a refresh token ends.
    pub revocation: RefreshRevocation,
}

impl Default for RefreshSetup {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(15),
            window: None,
            exchange: RefreshWindow { before: 600, after: 0 },
            revocation: RefreshRevocation::default(),
        }
    }
}

/// A secret that a foreign issuer signs with.
#[derive(Clone, Debug)]
pub struct IssuerSecret {
    /// The exact `iss`.
    pub issuer: String,
    /// The secret under its name.
    pub key: Key,
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
    /// Whether a log has these settings. The claim of groups is put among its claims by the log itself.
    pub(crate) fn are_those_of(&self, settings: &Settings) -> bool {
        let same = |ours: &[String], theirs: &[String]| {
            theirs.iter().filter(|claim| ours.contains(claim) || *claim != GROUP_CLAIM).eq(ours)
        };
        self.longest_life.as_secs() == settings.longest_life
            && self.max_leeway.as_secs() == settings.max_leeway
            && self.clock_skew.as_secs() == settings.clock_skew
            && same(&self.claims, &settings.claims)
            && same(&self.ask_on, &settings.ask_on)
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
            secrets: Vec::new(),
            logout_sets_version: false,
            record_fields: RecordFields::default(),
            token_key: TokenKey::default(),
            groups: None,
            refresh: RefreshSetup::default(),
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

/// The administrator's credential, which the first start gives to the log. It is shown once.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The administrator's client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
}

impl FirstStart {
    /// A new credential for the administrator of a log that is yet to be created.
    pub fn generate() -> Result<Self, VerbError> {
        Ok(Self { client_id: ADMIN.to_owned(), client_secret: new_secret()? })
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
    /// The log's targets were hashed in another way than they are here.
    #[error(
        "the targets of this log are hashed as {log:?} and would be looked up as {here:?}, so nothing that was \
         revoked would be found"
    )]
    OtherTargetHash {
        /// The id of the hash key as the log says it.
        log: String,
        /// The id that this build gives the same key.
        here: String,
    },
    /// Tokens would live longer than verifiers accept.
    #[error("tokens would live {life} s and the log's longest life is {longest} s")]
    LifeBeyondLongest {
        /// Seconds that tokens would live.
        life: u64,
        /// Seconds that they may.
        longest: u64,
    },
    /// A spent refresh token would be repeatable for too long.
    #[error("a spent refresh token would be repeatable for {grace} s, and may be for {MAX_GRACE} s")]
    GraceTooLong {
        /// Seconds it would be.
        grace: u64,
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
            Self::OtherTargetHash { .. } => "other_target_hash",
            Self::LifeBeyondLongest { .. } => "life_beyond_longest",
            Self::GraceTooLong { .. } => "grace_too_long",
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
            Self::OtherTargetHash { .. } => {
                "the data was left as it is: run the version that wrote it, or configure another data directory for a new log"
            }
            Self::LifeBeyondLongest { .. } => {
                "configure a shorter tokens.life, or raise longest_life by PUT /v1/settings"
            }
            Self::GraceTooLong { .. } => "configure a shorter sessions.rotation_grace",
            Self::FeedKey => "restore the data from a backup; it was left as it is",
            Self::Seal(error) => error.hint(),
            Self::Signing(_) => "check the system's random number generator",
            Self::Store(_) => "see the detail; the data was left as it is",
            Self::Verb(error) => error.hint(),
        }
    }
}

pub(crate) fn check_setup(setup: &Setup) -> Result<(), StartError> {
    if setup.issuer.is_empty() {
        return Err(StartError::Missing { what: "the issuer" });
    }
    if setup.refresh.grace.as_secs() > MAX_GRACE {
        return Err(StartError::GraceTooLong { grace: setup.refresh.grace.as_secs() });
    }
    if setup.audience.is_empty() || setup.audience.iter().any(String::is_empty) {
        return Err(StartError::Missing { what: "the audience" });
    }
    Ok(())
}

pub(crate) fn genesis(
    master: &MasterKey,
    setup: &Setup,
    admin: &FirstStart,
    now: UnixMillis,
) -> Result<Genesis, StartError> {
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
    let settings = if setup.groups.is_some() { with_group_claim(settings) } else { settings };
    Ok(Genesis {
        log: random::name()?,
        hash_key,
        sealed_feed_key: master.seal(FEED_KEY_PURPOSE, &feed_key.to_pkcs8()?)?,
        settings,
        // No token was issued yet, so none lacks its group.
        groups: setup.groups.map(|count| Groups { count, since: UnixMillis::default(), until: None }),
        keys: vec![
            sealed_key_record(master, &active, KeyState::Active, now)?,
            sealed_key_record(master, &reserve, KeyState::Reserve, now)?,
        ],
        clients: vec![admin_record(&admin.client_secret, now)],
    })
}
