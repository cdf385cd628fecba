//! What the authority keeps in memory: the keys it signs and verifies with, and the settings.
//!
//! It is read from the store as a whole and swapped as a whole. Nothing here decides alone: whether
//! something is revoked is always read from the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::time::UnixMillis;
use annul_core::token::KeySet;
use serde_json::{Value, json};

use crate::error::VerbError;
use crate::model::{IssuerConfig, KeyRecord, KeyState, SealedSecret};
use crate::secrets::sealing::MasterKey;
use crate::secrets::signing::{SigningAlgorithm, SigningError, SigningKey};
use crate::secrets::subject_key::SubjectSecret;
use crate::store::Store;

/// Keys, issuers and settings as of one read of the store.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Counts the readings: what was verified under one number is verified alike while it stays.
    pub(crate) number: u64,
    pub(crate) settings: Arc<Settings>,
    /// Every own key that is published.
    pub(crate) own_keys: KeySet,
    pub(crate) jwks: Value,
    /// The private halves of the active and the reserve keys, by `kid`.
    signers: HashMap<String, Arc<SigningKey>>,
    active: String,
    /// The newest in reserve, which the next rotation promotes; one that it replaced may be there still.
    reserve: String,
    /// A position at which each key was published at the latest, by `kid`.
    published_by: HashMap<String, Position>,
    pub(crate) foreign: BTreeMap<String, Foreign>,
    subject_secret: Option<Arc<SubjectSecret>>,
}

/// An accepted issuer and its keys, ready to verify with.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) config: IssuerConfig,
    pub(crate) keys: KeySet,
}

impl Standing {
    /// Reads everything; `before` is what was known until now.
    pub(crate) async fn read(store: &dyn Store, master: &MasterKey, before: Option<&Self>) -> Result<Self, VerbError> {
        // The keys first: what is in them was published at or below the head read after them.
        let records = store.keys().await?;
        let issuers = store.issuers().await?;
        let log = store.log().await?;

        let published: Vec<Value> =
            records.iter().filter(|record| record.state.is_published()).map(|record| record.public.clone()).collect();
        let (own_keys, _) = KeySet::from_values(&published);
        let mut signers = HashMap::new();
        let (mut active, mut reserve) = (String::new(), String::new());
        for record in &records {
            if matches!(record.state, KeyState::Active | KeyState::Reserve) {
                let signer = match before.and_then(|before| before.signers.get(&record.kid)) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(open_key(master, record)?),
                };
                signers.insert(record.kid.clone(), signer);
            }
            // They come in the order they were made, so the newest stays.
            match record.state {
                KeyState::Active => active.clone_from(&record.kid),
                KeyState::Reserve => reserve.clone_from(&record.kid),
                KeyState::Retired | KeyState::Killed => {}
            }
        }
        let published_by = records
            .iter()
            .map(|record| {
                let known = before.and_then(|before| before.published_by.get(&record.kid)).copied();
                (record.kid.clone(), known.unwrap_or(log.head.at))
            })
            .collect();
        let foreign = issuers
            .into_iter()
            .map(|config| {
                let (keys, _) = KeySet::from_values(&config.record.keys);
                (config.record.issuer.clone(), Foreign { config, keys })
            })
            .collect();
        let subject_secret = open_secret(master, log.subject_secret.as_ref(), before)?;
        Ok(Self {
            number: before.map_or(0, |before| before.number + 1),
            settings: Arc::new(log.settings),
            own_keys,
            jwks: json!({ "keys": published }),
            signers,
            active,
            reserve,
            published_by,
            foreign,
            subject_secret,
        })
    }

    /// The key that signs.
    pub(crate) fn signer(&self) -> Result<&Arc<SigningKey>, VerbError> {
        self.signers.get(&self.active).ok_or(VerbError::KeysChanging)
    }

    /// The secret that keys of subjects are derived from.
    pub(crate) fn subject_secret(&self) -> Result<&SubjectSecret, VerbError> {
        self.subject_secret.as_deref().ok_or(VerbError::SubjectKeysOff)
    }

    /// What the newest key in reserve signs with.
    pub(crate) fn reserve_algorithm(&self) -> Option<SigningAlgorithm> {
        self.signers.get(&self.reserve).map(|signer| signer.algorithm())
    }

    /// Whether there is an own key of that name, killed ones included.
    pub(crate) fn owns(&self, kid: &str) -> bool {
        self.published_by.contains_key(kid)
    }

    /// A position at or above that of the record that published the key.
    pub(crate) fn published_by(&self, kid: &str) -> Option<Position> {
        self.published_by.get(kid).copied()
    }
}

/// The record of a new key, its private half sealed.
pub(crate) fn sealed_key_record(
    master: &MasterKey,
    key: &SigningKey,
    state: KeyState,
    now: UnixMillis,
) -> Result<KeyRecord, VerbError> {
    Ok(KeyRecord {
        kid: key.kid().to_owned(),
        thumbprint: key.kid().to_owned(),
        algorithm: key.algorithm().name().to_owned(),
        public: key.public_jwk().clone(),
        sealed: master.seal(&purpose(key.kid()), &key.to_pkcs8()?)?,
        state,
        created: now,
        published: Some(now),
        changed: now,
    })
}

fn open_secret(
    master: &MasterKey,
    sealed: Option<&SealedSecret>,
    before: Option<&Standing>,
) -> Result<Option<Arc<SubjectSecret>>, VerbError> {
    let Some(sealed) = sealed else { return Ok(None) };
    let known = before.and_then(|before| before.subject_secret.as_ref());
    match known.filter(|known| known.generation() == sealed.generation) {
        Some(known) => Ok(Some(Arc::clone(known))),
        None => Ok(Some(Arc::new(SubjectSecret::open(master, sealed)?))),
    }
}

fn open_key(master: &MasterKey, record: &KeyRecord) -> Result<SigningKey, VerbError> {
    let algorithm = SigningAlgorithm::from_name(&record.algorithm).ok_or(SigningError::Document)?;
    let document = master.open(&purpose(&record.kid), &record.sealed)?;
    Ok(SigningKey::from_pkcs8(algorithm, &document)?)
}

fn purpose(kid: &str) -> String {
    format!("signing key {kid}")
}
