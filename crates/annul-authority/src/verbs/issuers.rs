//! Foreign issuers: whose tokens are accepted, by which keys.
//!
//! Fetching a key set is for the server; the verbs here take its bytes. A weak key is refused by
//! name instead of being passed on to every verifier, and a key that was killed stays dead however
//! often its issuer publishes it.

use annul_core::position::Position;
use annul_core::settings::{ClaimNames, IssuerRecord};
use annul_core::token::{JwkError, Key, KeySet};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::{Thing, VerbError};
use crate::model::{IssuerConfig, KeySource, SubjectNames};
use crate::verbs::bounds;

/// Seconds that a foreign token may live at most. More would keep every entry for longer.
pub const MAX_LIFE: u64 = 30 * 24 * 3600;
/// Seconds that an issuer's clock may run ahead.
pub const MAX_SKEW: u64 = 3600;
/// Fetches that may fail before an unknown `kid` means "cannot tell".
const MISSED_FETCHES: u64 = 3;

/// An issuer whose tokens are to be accepted.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerRequest {
    /// The exact `iss`.
    pub issuer: String,
    /// Its keys as a JWK Set. An empty set is for an issuer that signs with shared secrets.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// Where the authority fetches its keys, in place of `jwks`.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// The longest life of its tokens in seconds; longer ones are refused.
    pub longest_life: u64,
    /// By how many seconds its clock may run ahead of ours.
    #[serde(default)]
    pub skew: u64,
    /// The longest life of its sessions in seconds; without it a revoked session of its is kept
    /// until it is lifted.
    #[serde(default)]
    pub longest_session: Option<u64>,
    /// Whether a token without `jti` is refused.
    #[serde(default)]
    pub requires_jti: bool,
    /// Which claims carry session, device and client.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub claims: Option<ClaimNames>,
    /// Whether its tokens and assertions open sessions at `/oauth2/token`, and for whom: `shared`, its
    /// `sub` names our own subject; `apart`, its subjects have names of their own here. They open none
    /// unless given.
    #[serde(default)]
    pub subjects: Option<SubjectNames>,
}

/// An accepted issuer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IssuerAnswer {
    /// The exact `iss`.
    pub issuer: String,
    /// Where its keys are fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Its keys, by `kid` where they have one, else by thumbprint.
    pub keys: Vec<String>,
    /// Keys of the set that were left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The longest life of its tokens in seconds.
    pub longest_life: u64,
    /// By how many seconds its clock may run ahead.
    pub skew: u64,
    /// The longest life of its sessions in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_session: Option<u64>,
    /// Whether a token without `jti` is refused.
    pub requires_jti: bool,
    /// Which claims carry session, device and client.
    #[schema(value_type = Object)]
    pub claims: ClaimNames,
    /// For whom its tokens open sessions here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<SubjectNames>,
    /// The record that said so, where this call wrote one.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// The accepted issuers, by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IssuerList {
    /// The issuers.
    pub issuers: Vec<IssuerAnswer>,
}

/// An issuer that is accepted no more.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IssuerRemoved {
    /// The exact `iss`.
    pub issuer: String,
    /// The record that said so.
    #[schema(value_type = String)]
    pub position: Position,
}

/// An issuer whose keys should be fetched now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerDue {
    /// The exact `iss`.
    pub issuer: String,
    /// Where.
    pub jwks_uri: String,
}

impl Authority {
    /// Accepts an issuer, or replaces what is known of it. `fetched` is what was found at its
    /// `jwks_uri`.
    pub async fn add_issuer(
        &self,
        caller: &Caller,
        request: IssuerRequest,
        fetched: Option<Vec<u8>>,
    ) -> Result<IssuerAnswer, VerbError> {
        check(&request)?;
        let (source, document) = match (request.jwks, request.jwks_uri, fetched) {
            (Some(jwks), None, _) => (KeySource::Given, jwks.to_string().into_bytes()),
            (None, Some(uri), Some(fetched)) => (KeySource::Uri(uri), fetched),
            _ => {
                return Err(VerbError::Invalid {
                    member: "jwks",
                    why: "or jwks_uri is given, and not both".to_owned(),
                });
            }
        };
        let _one_at_a_time = self.issuers_lock().lock().await;
        let keys = self.read_keys(&request.issuer, &document).await?;
        let config = IssuerConfig {
            record: IssuerRecord {
                issuer: request.issuer,
                keys: keys.accepted,
                longest_life: request.longest_life,
                skew: request.skew,
                requires_jti: request.requires_jti,
                claims: request.claims.unwrap_or_default(),
                keys_due: self.keys_due(&source),
                removed: false,
            },
            source,
            longest_session: request.longest_session,
            subjects: request.subjects,
        };
        let act = caller.act("issuer.put", None);
        let appended = self.store().put_issuer(act, config.clone()).await?;
        self.reload().await?;
        Ok(answer(&config, keys.left_out, Some(appended.head)))
    }

    /// Takes an issuer's key set as it was just fetched from `uri`, if that is still its place. It is published even when the keys are the
    /// same, for verifiers must hear that they were fetched in time.
    ///
    /// # Errors
    /// When the document cannot be used, the keys that are known stay.
    pub async fn refresh_issuer(&self, issuer: &str, uri: &str, fetched: Vec<u8>) -> Result<IssuerAnswer, VerbError> {
        // Read under the lock and from the store: an issuer that was removed or replaced while its keys
        // were on their way must not come back as it was.
        let _one_at_a_time = self.issuers_lock().lock().await;
        let known = self.store().issuers().await?;
        let mut config =
            known.into_iter().find(|config| config.record.issuer == issuer).ok_or_else(|| unknown(issuer))?;
        if !matches!(&config.source, KeySource::Uri(known) if known == uri) {
            return Err(unknown(issuer));
        }
        let keys = self.read_keys(issuer, &fetched).await?;
        let same = config.record.keys == keys.accepted;
        config.record.keys = keys.accepted;
        config.record.keys_due = self.keys_due(&config.source);
        let act = Caller::system().act(if same { "issuer.fetch" } else { "issuer.keys" }, None);
        let appended = self.store().put_issuer(act, config.clone()).await?;
        self.reload().await?;
        Ok(answer(&config, keys.left_out, Some(appended.head)))
    }

    /// The issuers whose keys should be fetched now: one fetch interval after the last.
    pub async fn issuers_due(&self) -> Result<Vec<IssuerDue>, VerbError> {
        let now = self.clock().seconds();
        let interval = self.setup().jwks_refresh.as_secs();
        let due = |config: IssuerConfig| match config.source {
            KeySource::Uri(jwks_uri) => {
                let fetched = config.record.keys_due.map(|due| due.minus(interval * MISSED_FETCHES));
                let is_due = fetched.is_none_or(|fetched| now >= fetched.plus(interval));
                is_due.then_some(IssuerDue { issuer: config.record.issuer, jwks_uri })
            }
            KeySource::Given => None,
        };
        Ok(self.store().issuers().await?.into_iter().filter_map(due).collect())
    }

    /// The accepted issuers.
    pub async fn list_issuers(&self) -> Result<IssuerList, VerbError> {
        let issuers = self.store().issuers().await?;
        Ok(IssuerList { issuers: issuers.iter().map(|config| answer(config, Vec::new(), None)).collect() })
    }

    /// Accepts an issuer no more. Revocations against it are kept.
    pub async fn remove_issuer(&self, caller: &Caller, issuer: &str) -> Result<IssuerRemoved, VerbError> {
        let _one_at_a_time = self.issuers_lock().lock().await;
        let appended = self.store().remove_issuer(caller.act("issuer.remove", None), issuer).await?;
        self.reload().await?;
        Ok(IssuerRemoved { issuer: issuer.to_owned(), position: appended.head })
    }

    fn keys_due(&self, source: &KeySource) -> Option<annul_core::time::UnixSeconds> {
        match source {
            KeySource::Uri(_) => {
                Some(self.clock().seconds().plus(self.setup().jwks_refresh.as_secs() * MISSED_FETCHES))
            }
            KeySource::Given => None,
        }
    }

    async fn read_keys(&self, issuer: &str, document: &[u8]) -> Result<ReadKeys, VerbError> {
        let values = KeySet::values(document).map_err(|error| VerbError::KeyRefused { kid: None, error })?;
        let mut read = ReadKeys { accepted: Vec::new(), left_out: Vec::new() };
        for value in &values {
            let kid = value.get("kid").and_then(Value::as_str).map(str::to_owned);
            let label = kid.clone().unwrap_or_else(|| "a key without kid".to_owned());
            let key = match Key::from_jwk(value) {
                Ok(key) if key.is_secret() => Err(JwkError::Secret),
                other => other,
            };
            match key {
                Ok(key) if self.is_killed(issuer, key.id()).await? => read.left_out.push(format!("{label}: killed")),
                Ok(key) => read.accepted.extend(key.public_jwk()),
                Err(error) if is_of_no_use(&error) => read.left_out.push(format!("{label}: {error}")),
                Err(error) => return Err(VerbError::KeyRefused { kid, error }),
            }
        }
        if read.accepted.is_empty() && !values.is_empty() {
            return Err(VerbError::NoUsableKey);
        }
        Ok(read)
    }
}

struct ReadKeys {
    accepted: Vec<Value>,
    left_out: Vec<String>,
}

/// A key for something else than verifying signatures, or of a kind that is not supported, does no
/// harm and is left out. Any other refusal is a fault of the issuer, and is said.
const fn is_of_no_use(error: &JwkError) -> bool {
    matches!(error, JwkError::KeyType | JwkError::Curve | JwkError::Algorithm | JwkError::Purpose)
}

fn check(request: &IssuerRequest) -> Result<(), VerbError> {
    bounds::name("issuer", &request.issuer)?;
    if request.longest_life == 0 || request.longest_life > MAX_LIFE {
        let why = format!("is between 1 and {MAX_LIFE} seconds");
        return Err(VerbError::Invalid { member: "longest_life", why });
    }
    if request.skew > MAX_SKEW {
        return Err(VerbError::Invalid { member: "skew", why: format!("is at most {MAX_SKEW} seconds") });
    }
    if let Some(names) = &request.claims {
        bounds::name("claims.session", &names.session)?;
        bounds::name("claims.device", &names.device)?;
        names.client.iter().try_for_each(|name| bounds::name("claims.client", name))?;
    }
    Ok(())
}

fn answer(config: &IssuerConfig, left_out: Vec<String>, position: Option<Position>) -> IssuerAnswer {
    let (keys, _) = KeySet::from_values(&config.record.keys);
    IssuerAnswer {
        issuer: config.record.issuer.clone(),
        jwks_uri: match &config.source {
            KeySource::Uri(uri) => Some(uri.clone()),
            KeySource::Given => None,
        },
        keys: keys.iter().map(|key| key.kid().unwrap_or(key.id()).to_owned()).collect(),
        left_out,
        longest_life: config.record.longest_life,
        skew: config.record.skew,
        longest_session: config.longest_session,
        requires_jti: config.record.requires_jti,
        claims: config.record.claims.clone(),
        subjects: config.subjects,
        position,
    }
}

fn unknown(issuer: &str) -> VerbError {
    VerbError::Unknown { what: Thing::Issuer, name: issuer.to_owned() }
}
