//! What the authority keeps: plain data, no behaviour beyond what follows from the data alone.
//!
//! Nothing here touches a store, a clock or a key. Types that derive serde are kept as JSON inside
//! a row of the store; what is added to them later needs a default.

use annul_core::algebra::{Cell, Cutoff, CutoffFields, Reach, Refusal, Until};
use annul_core::fold::{EmittedBy, LoggedEntry, SessionReading, judge_session};
use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::settings::{IssuerRecord, Settings};
use annul_core::target::{HashKey, Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims of a session or subject: a JSON object.
pub type Claims = Map<String, Value>;

/// One login on one device with one client: what refreshes are judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The session's id, the claim `sid`.
    pub sid: String,
    /// Who logged in.
    pub subject: String,
    /// The client the session belongs to.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The audience of its tokens.
    #[serde(default)]
    pub audience: Vec<String>,
    /// The scope granted, space separated.
    #[serde(default)]
    pub scope: Option<String>,
    /// The device it runs on.
    #[serde(default)]
    pub device: Option<Device>,
    /// When it was opened.
    pub created: UnixMillis,
    /// When the user proved who they are. Never moves.
    pub auth_time: UnixSeconds,
    /// When it last got a token. Not exact: uses are noted in batches.
    pub last_used: UnixMillis,
    /// Its absolute end.
    pub expires: UnixSeconds,
    /// Seconds without use after which it is over.
    #[serde(default)]
    pub idle_limit: Option<u64>,
    /// The claims its next token carries, besides the registered ones.
    #[serde(default)]
    pub claims: Claims,
    /// The proof key its tokens are bound to (`cnf.jkt` or `cnf.x5t#S256`).
    #[serde(default)]
    pub confirmation: Option<String>,
    /// The sessions and subjects it descends from, the claim `origin`.
    #[serde(default)]
    pub ancestors: Vec<Ancestor>,
    /// The log's head when it was opened, or the entry that kept it. Does not move on refresh.
    pub position: Position,
    /// The head or entry at which its claims were last set; `claim` targets are judged by it.
    pub claims_position: Position,
    /// How it ended, if a verb ended it. A session that is merely revoked has not ended.
    #[serde(default)]
    pub ended: Option<Ended>,
}

/// The device of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device's id, unique per subject: the claim `device_id`.
    pub id: String,
    /// What the user calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its user agent.
    #[serde(default)]
    pub agent: Option<String>,
    /// The address it logged in from.
    #[serde(default)]
    pub address: Option<String>,
}

/// Where a session came from: another issuer's session, else its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// The ancestor's issuer.
    pub issuer: String,
    /// What is known of it there.
    #[serde(flatten)]
    pub name: AncestorName,
}

/// What is known of an ancestor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AncestorName {
    /// Its session.
    Sid(String),
    /// Its subject.
    Sub(String),
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The `session` entry that ended it.
    pub at: Position,
    /// When.
    pub time: UnixMillis,
    /// Why, for the user's list of sessions.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Whether a session can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// It can.
    Live,
    /// A verb ended it; nothing revives it.
    Ended,
    /// An entry in force revokes it; a lift would revive it.
    Revoked(Refusal),
    /// Its absolute or idle limit has passed.
    Expired,
}

impl Session {
    /// The targets of the session: session, ancestors, device, subject, client, subject_client,
    /// confirmation, the configured claims and the issuer. In order, without repetition.
    #[must_use]
    pub fn targets(&self, settings: &Settings) -> Vec<Target> {
        let issuer = settings.issuer.as_str();
        let mut targets = Vec::new();
        let mut add = |target: Result<Target, _>| {
            // A name that cannot be a target, such as an empty one, cannot be revoked either.
            if let Ok(target) = target
                && !targets.contains(&target)
            {
                targets.push(target);
            }
        };
        add(Target::one(issuer, TargetKind::Session, &self.sid));
        for ancestor in &self.ancestors {
            let (kind, name) = match &ancestor.name {
                AncestorName::Sid(sid) => (TargetKind::Session, sid),
                AncestorName::Sub(subject) => (TargetKind::Subject, subject),
            };
            add(Target::one(&ancestor.issuer, kind, name));
        }
        if let Some(device) = &self.device {
            add(Target::two(issuer, TargetKind::Device, &self.subject, &device.id));
        }
        add(Target::one(issuer, TargetKind::Subject, &self.subject));
        if let Some(client) = &self.client_id {
            add(Target::one(issuer, TargetKind::Client, client));
            add(Target::two(issuer, TargetKind::SubjectClient, &self.subject, client));
        }
        if let Some(confirmation) = &self.confirmation {
            add(Target::one(issuer, TargetKind::Confirmation, confirmation));
        }
        for name in &settings.claims {
            for value in self.claim_values(name) {
                add(Target::two(issuer, TargetKind::Claim, name, value));
            }
        }
        add(Ok(Target::issuer(issuer)));
        targets
    }

    /// The targets as the log knows them.
    #[must_use]
    pub fn hashed_targets(&self, settings: &Settings, key: &HashKey) -> Vec<(TargetKind, TargetHash)> {
        self.targets(settings).iter().map(|target| (target.kind(), target.hash(key))).collect()
    }

    /// The clocks its targets are judged by.
    #[must_use]
    pub const fn reading(&self) -> SessionReading {
        SessionReading { login: self.position, claims: self.claims_position, auth_time: self.auth_time }
    }

    /// The entry that revokes the session, if one does. `cell` finds what is in force against
    /// sessions.
    #[must_use]
    pub fn judge(
        &self,
        targets: &[(TargetKind, TargetHash)],
        cell: impl Fn(&TargetHash) -> Option<Cell>,
    ) -> Option<Refusal> {
        judge_session(&self.reading(), targets.iter().copied(), cell)
    }

    /// Whether its absolute or idle limit has passed.
    #[must_use]
    pub fn is_expired(&self, now: UnixSeconds) -> bool {
        now >= self.expires || self.idle_limit.is_some_and(|limit| now > self.last_used.floor().plus(limit))
    }

    /// The values of a claim as its tokens carry it, as parts of targets.
    fn claim_values(&self, name: &str) -> Vec<String> {
        let one = |text: &Option<String>| text.iter().cloned().collect();
        match name {
            "scope" => self.scope.iter().flat_map(|scope| scope.split(' ')).map(str::to_owned).collect(),
            "aud" => self.audience.clone(),
            "sub" => vec![self.subject.clone()],
            "sid" => vec![self.sid.clone()],
            "client_id" => one(&self.client_id),
            "device_id" => self.device.iter().map(|device| device.id.clone()).collect(),
            _ => match self.claims.get(name) {
                Some(Value::Array(items)) => items.iter().filter_map(scalar).collect(),
                Some(value) => scalar(value).into_iter().collect(),
                None => Vec::new(),
            },
        }
    }
}

/// The text of a claim's value, the same that verifiers make of it.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        // Adding zero turns -0 into 0; 7.0 becomes 7.
        Value::Number(number) if number.is_f64() => number.as_f64().map(|double| (double + 0.0).to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A session to be opened. Its id comes from the caller, so that a caller who repeats an attempt
/// cannot open two.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSession {
    /// The session's id, unguessable and never used before.
    pub sid: String,
    /// Who logged in.
    pub subject: String,
    /// The client it belongs to.
    pub client_id: Option<String>,
    /// The audience of its tokens.
    pub audience: Vec<String>,
    /// The scope granted.
    pub scope: Option<String>,
    /// The device.
    pub device: Option<Device>,
    /// When the user proved who they are; not in the future, not longer ago than a session may live.
    pub auth_time: UnixSeconds,
    /// Seconds it may live from now.
    pub life: u64,
    /// Seconds without use after which it is over.
    pub idle_limit: Option<u64>,
    /// Claims of this session. They stand above those of the subject.
    pub claims: Claims,
    /// The proof key.
    pub confirmation: Option<String>,
    /// Where it came from, at most [`MAX_ANCESTORS`].
    pub ancestors: Vec<Ancestor>,
    /// The session it replaces (step-up, login again on the same device), ended by its own entry in
    /// the same transaction. One that has ended already is left as it is.
    pub replaces: Option<String>,
}

/// Ancestors a session may have.
pub const MAX_ANCESTORS: usize = 8;

/// What the authority holds about a subject apart from its sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubjectState {
    /// The entry that blocked it, while it is blocked.
    #[serde(default)]
    pub blocked: Option<Position>,
    /// The claims every session of the subject carries unless it has its own.
    #[serde(default)]
    pub claims: Claims,
}

/// A built-in account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name the user types.
    pub username: String,
    /// The subject of its tokens.
    pub subject: String,
    /// The argon2id hash in PHC form.
    pub password: String,
    /// When it was made.
    pub created: UnixMillis,
}

/// A client that may call the authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its id.
    pub client_id: String,
    /// A hash of its secret; the secret itself is shown once and never kept.
    pub secret_hash: Vec<u8>,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
}

/// A signing key of the authority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The key's id in headers and JWKS.
    pub kid: String,
    /// Its RFC 7638 thumbprint: what the `key` target is made of.
    pub thumbprint: String,
    /// The algorithm it signs with.
    pub algorithm: String,
    /// The public key as a JWK.
    pub public: Value,
    /// The private key, sealed under the master key. Emptied when the key is killed or retired.
    pub sealed: Vec<u8>,
    /// What it is used for now.
    pub state: KeyState,
    /// When it was made.
    pub created: UnixMillis,
    /// When it was first published, that is, stood in a committed record.
    #[serde(default)]
    pub published: Option<UnixMillis>,
    /// When its state last changed.
    pub changed: UnixMillis,
}

/// What a signing key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, not yet used.
    Reserve,
    /// Signs.
    Active,
    /// Signs no more; tokens it signed still verify.
    Retired,
    /// Nothing it signed counts any more. Final.
    Killed,
}

impl KeyState {
    /// Whether verifiers are given the public key.
    #[must_use]
    pub const fn is_published(self) -> bool {
        !matches!(self, Self::Killed)
    }
}

/// One change to the signing keys.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyChange {
    /// A new key, in reserve or active.
    Add(KeyRecord),
    /// The key signs from here on; the key that signed until now is retired.
    Activate {
        /// The key's id.
        kid: String,
    },
    /// The key is no longer given to verifiers and is forgotten; only a retired key, and only once
    /// no token it signed can be accepted any more.
    Forget {
        /// The key's id.
        kid: String,
    },
}

/// A foreign issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IssuerConfig {
    /// What verifiers are told of it.
    pub record: IssuerRecord,
    /// Where its keys come from.
    pub source: KeySource,
    /// Seconds one of its sessions lives at most; without it a revoked foreign session is kept
    /// until it is lifted.
    #[serde(default)]
    pub longest_session: Option<u64>,
}

/// Where a foreign issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// The operator handed in the key set.
    Given,
    /// The authority fetches it.
    Uri(String),
}

/// A revocation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRevocation {
    /// What it names.
    pub target: Target,
    /// How far back it reaches.
    pub cutoff: Cutoff,
    /// What it applies to. A kind that no session can have reaches access whatever is asked.
    pub reach: Reach,
    /// The `exp` of the one token that is meant, for `token` and `token_hash`, when it is known.
    pub exp: Option<UnixSeconds>,
    /// A second through which verifiers must hold it at the least. The log computes what is needed
    /// at commit; an earlier second is refused, and so is any where only a lift may end the entry.
    pub until: Option<UnixSeconds>,
    /// Why, for the audit.
    pub reason: Option<String>,
}

/// A revocation as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRevocation {
    /// The entry.
    pub at: Position,
    /// What it names.
    pub target: Target,
    /// The same, hashed.
    pub hash: TargetHash,
    /// What was asked for.
    pub cutoff: Cutoff,
    /// The fields it sets.
    pub fields: CutoffFields,
    /// What it applies to.
    pub reach: Reach,
    /// When verifiers may forget it.
    pub until: Until,
    /// When the authority may forget it for sessions.
    pub sessions_until: Until,
    /// Why.
    pub reason: Option<String>,
    /// Who asked for it.
    pub actor: String,
    /// When it was committed.
    pub time: UnixMillis,
    /// What brought it about, which decides who may lift it.
    pub emitted_by: EmittedBy,
    /// The lift that undid it.
    pub lifted: Option<Position>,
}

impl StoredRevocation {
    /// The entry as the algebra folds it.
    #[must_use]
    pub fn logged(&self) -> LoggedEntry {
        LoggedEntry {
            at: self.at,
            kind: self.target.kind(),
            fields: self.fields,
            reach: self.reach,
            until: self.until,
            emitted_by: self.emitted_by,
            lifted: self.lifted.is_some(),
        }
    }
}

/// The two kinds of state that are never merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What verifiers enforce on access tokens.
    Access,
    /// What the authority enforces when a session is used.
    Sessions,
}

/// The newest place of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last record's position.
    pub at: Position,
    /// The chain there.
    pub chain: Chain,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The record's position.
    pub at: Position,
    /// The record's bytes, without newline.
    pub line: String,
    /// The chain after it.
    pub chain: Chain,
}

/// Who does something, and how it is written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Act {
    /// Who: a client, an account, the authority itself.
    pub actor: String,
    /// What, as the audit names it, such as `session.end`.
    pub action: String,
    /// Why.
    pub reason: Option<String>,
    /// The request it came in.
    pub request_id: Option<String>,
    /// Makes a repetition answer what the first attempt did.
    pub idempotency: Option<IdempotencyKey>,
}

impl Act {
    /// An act without reason, request or idempotency key.
    #[must_use]
    pub fn new(actor: impl Into<String>, action: impl Into<String>) -> Self {
        Self { actor: actor.into(), action: action.into(), ..Self::default() }
    }

    /// The same with a reason.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        Self { reason, ..self }
    }
}

/// A caller's name for one attempt, and what was attempted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client that chose the key; keys of two clients never meet.
    pub client: String,
    /// The key.
    pub key: String,
    /// A hash of the request; the same key with another request is refused.
    pub request: [u8; 32],
}

/// A line of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// Counts the events, from 1.
    pub id: u64,
    /// The record it is about.
    pub at: Option<Position>,
    /// When.
    pub time: UnixMillis,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// What it was done to: a target in text form, or a name.
    pub target: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The request it came in.
    pub request_id: Option<String>,
}
