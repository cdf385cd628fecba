//! Signing keys: published ahead, rotated, killed.
//!
//! ```text
//! reserve --rotate--> active --rotate--> retired --its tokens are gone--> forgotten
//!     \_________________\__________________\____kill____> killed, for good
//! ```
//!
//! There is always one key in reserve that verifiers have already, so that a killed key has a
//! successor at once.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;
use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixMillis;
use annul_core::token::{Key, KeySet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::{Thing, VerbError};
use crate::model::{Act, KeyChange, KeyRecord, KeyState, NewRevocation};
use crate::secrets::signing::{SigningAlgorithm, SigningKey};
use crate::standing::{Foreign, sealed_key_record};
use crate::store::{Appended, KillKey, Refused, RevocationFilter, StoreError};
use crate::verbs::bounds;
use crate::verbs::revocations::{Revoked, Wait};

/// Characters of an RFC 7638 thumbprint: 32 bytes in base64url.
const THUMBPRINT: usize = 43;

/// The keys of the authority and of the issuers it accepts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyList {
    /// The keys, our own first.
    pub keys: Vec<KeyItem>,
}

/// A key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyItem {
    /// Its name in token headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// Its RFC 7638 thumbprint, what the target `key` is made of.
    pub thumbprint: String,
    /// The issuer whose key it is.
    pub issuer: String,
    /// What it signs with, where that is fixed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// What it is used for: `active`, `reserve`, `retired`, `killed`, or `accepted` for a key of
    /// another issuer.
    pub state: &'static str,
    /// When it was made (Unix seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// When it was first published (Unix seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<u64>,
    /// When its state last changed (Unix seconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<u64>,
}

/// A rotation.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RotateRequest {
    /// What keys sign with from now on; unchanged unless given.
    pub algorithm: Option<SigningAlgorithm>,
    /// Why, for the audit.
    pub reason: Option<String>,
}

/// What a rotation did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Rotated {
    /// The key that signs.
    pub active: String,
    /// The key in reserve.
    pub reserve: String,
    /// Whether the reserve was promoted. It is not when another algorithm was asked for than the
    /// reserve has: then the reserve was replaced, and the next rotation promotes the new one.
    pub promoted: bool,
    /// The record that published it.
    #[schema(value_type = String)]
    pub position: Position,
}

/// The end of a key.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// Why, for the audit.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether every session ends too: whoever had the key may have had more.
    #[serde(default)]
    pub end_sessions: bool,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

impl Authority {
    /// The public keys as a JWK Set: every own key that is not killed.
    #[must_use]
    pub fn jwks(&self) -> serde_json::Value {
        self.standing().jwks.clone()
    }

    /// All keys, killed ones too.
    pub async fn list_keys(&self) -> Result<KeyList, VerbError> {
        let mut keys: Vec<KeyItem> =
            self.store().keys().await?.into_iter().map(|record| self.own_item(record)).collect();
        for (issuer, Foreign { keys: foreign, .. }) in &self.standing().foreign {
            let secrets = self.secrets_of(issuer).into_iter().flat_map(KeySet::iter);
            for key in foreign.iter().chain(secrets) {
                let state = if self.is_killed(issuer, key.id()).await? { "killed" } else { "accepted" };
                keys.push(KeyItem {
                    kid: key.kid().map(str::to_owned),
                    thumbprint: key.id().to_owned(),
                    issuer: issuer.clone(),
                    algorithm: None,
                    state,
                    created: None,
                    published: None,
                    changed: None,
                });
            }
        }
        Ok(KeyList { keys })
    }

    /// Lets the reserve sign, retires the key that signed until now, and publishes a new reserve.
    ///
    /// `applied_by_all` is the greatest position that every counted verifier has applied: a reserve
    /// they all have may sign before its lead is over. Whoever has only the JWKS is not counted. A repetition is
    /// answered with the keys as the first attempt left them.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        request: RotateRequest,
        applied_by_all: Option<Position>,
    ) -> Result<Rotated, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let act = caller.act("key.rotate", request.reason);
        let made = self.new_key(request.algorithm).await?;

        let _keys_change = self.signing_lock().write().await;
        let appended = match self.answered(&act).await? {
            // The reserve that is judged below is the one that it made.
            Some(earlier) => earlier,
            None => self.rotate_to(act, &made, applied_by_all).await?,
        };
        let (keys, position) = (appended.keys.ok_or(VerbError::KeysChanging)?, appended.head);
        Ok(Rotated {
            active: keys.active.ok_or(VerbError::KeysChanging)?,
            reserve: keys.reserve.ok_or(VerbError::KeysChanging)?,
            promoted: keys.promoted,
            position,
        })
    }

    /// Promotes the reserve, where it is of the algorithm of the key that was made, and puts that one in
    /// its place. To be called with the keys locked.
    async fn rotate_to(
        &self,
        act: Act,
        made: &SigningKey,
        applied_by_all: Option<Position>,
    ) -> Result<Appended, VerbError> {
        let records = self.store().keys().await?;
        let reserve = in_state(&records, KeyState::Reserve)?;
        let mut changes = Vec::new();
        if reserve.algorithm == made.algorithm().name() {
            self.check_lead(reserve, applied_by_all)?;
            // Older reserves of another algorithm are passed over: promoted and retired in one go,
            // without having signed anything.
            let reserves = records.iter().filter(|record| record.state == KeyState::Reserve);
            changes.extend(reserves.map(|record| KeyChange::Activate { kid: record.kid.clone() }));
        }
        changes.push(KeyChange::Add(self.reserve_record(made, &records)?));
        let appended = self.store().change_keys(act, changes).await?;
        self.reload().await?;
        Ok(appended)
    }

    /// Kills a key of ours, or of an accepted issuer, for good: nothing it signed counts any more,
    /// whatever it claims and whenever it was signed, and publishing it again does not bring it
    /// back. A key of ours is succeeded by the reserve. Killing it again answers with the entry that
    /// killed it.
    pub async fn kill_key(&self, caller: &Caller, kid: &str, request: KillRequest) -> Result<Revoked, VerbError> {
        bounds::reason(request.reason.as_deref())?;
        let act = caller.act("key.kill", request.reason.clone());
        if let Some(earlier) = self.answered(&act).await? {
            return Ok(self.revoked(earlier));
        }
        let key = self.find_key(kid)?;
        let also = request.end_sessions.then(|| NewRevocation {
            target: Target::issuer(key.issuer_name()),
            cutoff: Cutoff::Now,
            reach: Reach::Both,
            exp: None,
            until: None,
            reason: request.reason.clone(),
        });
        self.kill(act, key, request.reason, also.into_iter().collect()).await
    }

    /// Kills a key that was named as a target.
    pub(crate) async fn kill(
        &self,
        act: Act,
        key: Target,
        reason: Option<String>,
        also: Vec<NewRevocation>,
    ) -> Result<Revoked, VerbError> {
        let is_own = key.issuer_name() == self.issuer();
        // Made before the lock is taken, for an RSA key takes its time and tokens wait.
        let successor = if is_own { Some(self.new_key(None).await?) } else { None };
        let _keys_change = self.signing_lock().write().await;
        let thumbprint = key.parts().first().map(String::as_str).unwrap_or_default();
        if also.is_empty() && self.is_killed(key.issuer_name(), thumbprint).await? {
            return self.killed_before(key).await;
        }
        let mut changes = Vec::new();
        if let Some(successor) = successor {
            let records = self.store().keys().await?;
            let killed = records.iter().find(|record| record.thumbprint == thumbprint);
            let killed = killed.ok_or_else(|| unknown_key(thumbprint))?;
            if killed.state == KeyState::Active {
                changes.push(KeyChange::Activate { kid: in_state(&records, KeyState::Reserve)?.kid.clone() });
            }
            if matches!(killed.state, KeyState::Active | KeyState::Reserve) {
                changes.push(KeyChange::Add(self.reserve_record(&successor, &records)?));
            }
        }
        let appended = self.store().kill_key(act, KillKey { key, reason, changes, also }).await?;
        self.reload().await?;
        Ok(self.revoked(appended))
    }

    /// The key of that name, as `key:<name>` of `issuer` means it: its `kid` or its thumbprint. A
    /// name that an issuer without public keys is given stands for a shared secret.
    pub(crate) fn key_target(&self, issuer: &str, name: &str) -> Result<Target, VerbError> {
        let standing = self.standing();
        let target = |thumbprint: &str| Target::one(issuer, TargetKind::Key, thumbprint).map_err(|_| unknown_key(name));
        if issuer == self.issuer() {
            // The `kid` of an own key is its thumbprint, that of a killed or forgotten one too.
            return if name.len() == THUMBPRINT { target(name) } else { Err(unknown_key(name)) };
        }
        let foreign = standing
            .foreign
            .get(issuer)
            .ok_or_else(|| VerbError::Unknown { what: Thing::Issuer, name: issuer.to_owned() })?;
        let secrets = self.secrets_of(issuer).into_iter().flat_map(KeySet::iter);
        let known = foreign.keys.iter().chain(secrets).find(|key| is_named(key, name));
        match known {
            Some(key) => target(key.id()),
            None if name.len() == THUMBPRINT || foreign.keys.is_empty() => target(name),
            None => Err(unknown_key(name)),
        }
    }

    /// Forgets retired keys whose last token is gone: not accepted by anybody, and not exchanged here.
    pub(crate) async fn forget_retired_keys(&self) -> Result<(), VerbError> {
        let settings = self.settings();
        let now = self.clock().seconds();
        let exchanged = self.setup().refresh.exchange.after;
        let is_gone = |record: &KeyRecord| {
            let last = record.changed.next_second().plus(settings.longest_life).plus(exchanged);
            // The store judges by itself; this only spares it being asked each minute of a token's life.
            record.state == KeyState::Retired && now > settings.until(last).plus(settings.clock_skew)
        };
        let records = self.store().keys().await?;
        for record in records.into_iter().filter(is_gone) {
            let _keys_change = self.signing_lock().write().await;
            let forget = vec![KeyChange::Forget { kid: record.kid }];
            match self.store().change_keys(Caller::system().act("key.forget", None), forget).await {
                Ok(_) => self.reload().await?,
                // Lives were longer once, and a token from then may be accepted yet.
                Err(StoreError::Refused(Refused::KeyState { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn own_item(&self, record: KeyRecord) -> KeyItem {
        KeyItem {
            kid: Some(record.kid),
            thumbprint: record.thumbprint,
            issuer: self.issuer().to_owned(),
            algorithm: Some(record.algorithm),
            state: match record.state {
                KeyState::Active => "active",
                KeyState::Reserve => "reserve",
                KeyState::Retired => "retired",
                KeyState::Killed => "killed",
            },
            created: Some(record.created.floor().0),
            published: record.published.map(|time| time.floor().0),
            changed: Some(record.changed.floor().0),
        }
    }

    /// A new key of the algorithm asked for, else of that in use. RSA keys are not made on a thread
    /// that serves requests.
    async fn new_key(&self, algorithm: Option<SigningAlgorithm>) -> Result<SigningKey, VerbError> {
        let in_use = self.standing().reserve_algorithm().unwrap_or(self.setup().algorithm);
        let algorithm = algorithm.unwrap_or(in_use);
        let made = tokio::task::spawn_blocking(move || SigningKey::generate(algorithm)).await;
        Ok(made.map_err(|_| VerbError::KeysChanging)??)
    }

    /// The record of a new reserve, dated after every other key, so that the newest can be told.
    fn reserve_record(&self, key: &SigningKey, records: &[KeyRecord]) -> Result<KeyRecord, VerbError> {
        let after = records.iter().map(|record| UnixMillis(record.created.0 + 1)).max().unwrap_or_default();
        sealed_key_record(self.master(), key, KeyState::Reserve, self.clock().millis().max(after))
    }

    fn check_lead(&self, reserve: &KeyRecord, applied_by_all: Option<Position>) -> Result<(), VerbError> {
        let lead = self.setup().key_lead.as_secs();
        let ready_at = reserve.published.unwrap_or(reserve.created).next_second().plus(lead);
        let published_by = self.standing().published_by(&reserve.kid);
        let all_have_it = published_by.zip(applied_by_all).is_some_and(|(published, applied)| applied >= published);
        if all_have_it || self.clock().seconds() >= ready_at {
            return Ok(());
        }
        Err(VerbError::ReserveNotReady { ready_at })
    }

    /// A key named by `kid` or thumbprint alone: one of ours, else of exactly one accepted issuer.
    fn find_key(&self, kid: &str) -> Result<Target, VerbError> {
        let standing = self.standing();
        if standing.owns(kid) {
            return self.key_target(self.issuer(), kid);
        }
        let mut owners = standing.foreign.iter().filter(|(issuer, foreign)| {
            let secrets = self.secrets_of(issuer).into_iter().flat_map(KeySet::iter);
            foreign.keys.iter().chain(secrets).any(|key| is_named(key, kid))
        });
        match (owners.next(), owners.next()) {
            (Some((issuer, _)), None) => self.key_target(issuer, kid),
            (Some(_), Some(_)) => Err(VerbError::KeyAmbiguous { kid: kid.to_owned() }),
            (None, _) => Err(unknown_key(kid)),
        }
    }

    async fn killed_before(&self, key: Target) -> Result<Revoked, VerbError> {
        let name = key.parts().first().cloned().unwrap_or_default();
        let filter = RevocationFilter { target: Some(key), after: None, limit: 1 };
        let stored = self.store().revocations(filter).await?;
        let first = stored.into_iter().next().ok_or_else(|| unknown_key(&name))?;
        self.reload().await?;
        let (position, acknowledged_at) = (first.at, first.time.0);
        Ok(Revoked {
            revocations: vec![self.item(first)],
            position,
            sessions: 0,
            sessions_at_least: false,
            acknowledged_at,
            kept: None,
            access_token: None,
            repeated: true,
        })
    }

    /// Whether a key of an accepted issuer was killed.
    pub(crate) async fn is_killed(&self, issuer: &str, thumbprint: &str) -> Result<bool, VerbError> {
        let target = Target::one(issuer, TargetKind::Key, thumbprint).map_err(|_| unknown_key(thumbprint))?;
        let filter = RevocationFilter { target: Some(target), after: None, limit: 1 };
        Ok(!self.store().revocations(filter).await?.is_empty())
    }
}

fn is_named(key: &Key, name: &str) -> bool {
    key.kid() == Some(name) || key.id() == name
}

fn in_state(records: &[KeyRecord], state: KeyState) -> Result<&KeyRecord, VerbError> {
    // The newest, for a replaced reserve is older.
    records.iter().rev().find(|record| record.state == state).ok_or(VerbError::KeysChanging)
}

fn unknown_key(name: &str) -> VerbError {
    VerbError::Unknown { what: Thing::Key, name: name.to_owned() }
}
