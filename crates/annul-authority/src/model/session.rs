//! Sessions: what a login left, what it is found by, and how it is judged.

use annul_core::algebra::{Cell, Refusal};
use annul_core::fold::{SessionReading, judge_session};
use annul_core::position::Position;
use annul_core::settings::Settings;
use annul_core::target::{HashKey, Target, TargetHash, TargetKind};
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Ancestor, Claims, Origin, RefreshBy};

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
    /// The subject's fingerprint when it logged in, or was kept: the claim `cfp`.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The proof key its tokens are bound to (`cnf.jkt` or `cnf.x5t#S256`).
    #[serde(default)]
    pub confirmation: Option<ProofKey>,
    /// The generation of the credential whose redemption bound it. It and those before were bound to
    /// nothing. `None` for a session that is bound since its login, or not at all.
    #[serde(default)]
    pub bound_from: Option<u32>,
    /// The sessions and subjects it descends from, the claim `origin`.
    #[serde(default)]
    pub ancestors: Vec<Ancestor>,
    /// Who acts for the subject, the claim `act` (RFC 8693 §4.1).
    #[serde(default)]
    pub actor: Option<Value>,
    /// What its access tokens look like.
    #[serde(default)]
    pub format: TokenFormat,
    /// What renews its tokens without a login, besides the backend that opened it.
    #[serde(default)]
    pub refresh_by: Option<RefreshBy>,
    /// The log's head when it was opened, or the entry that kept it. Does not move on refresh.
    pub position: Position,
    /// The head or entry at which its claims were last set; `claim` targets are judged by it.
    pub claims_position: Position,
    /// How it ended, if a verb ended it. A session that is merely revoked has not ended.
    #[serde(default)]
    pub ended: Option<Ended>,
}

/// What the access tokens of a session look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenFormat {
    /// Signed, for services that verify it themselves (RFC 9068).
    #[default]
    Jwt,
    /// Opaque, a reference that only the authority can resolve (RFC 7662).
    Reference,
}

/// The device of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The device's id, unique per subject: the claim `device_id`.
    pub id: String,
    /// What the user calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// Its operating system.
    #[serde(default)]
    pub os: Option<String>,
    /// Its user agent.
    #[serde(default)]
    pub agent: Option<String>,
    /// The address it logged in from.
    #[serde(default)]
    pub address: Option<String>,
}

/// The key whose holder alone may use a session's tokens, by its thumbprint. As JSON it is the claim
/// `cnf` (RFC 7800).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofKey {
    /// A key that signs DPoP proofs, by its RFC 7638 thumbprint (RFC 9449 §6.1).
    #[serde(rename = "jkt")]
    Jwk(String),
    /// A client certificate, by the SHA-256 of its DER (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

impl ProofKey {
    /// The thumbprint: what the `confirmation` target is made of.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        match self {
            Self::Jwk(thumbprint) | Self::Certificate(thumbprint) => thumbprint,
        }
    }

    /// How a token bound to this key, or to none, is presented: its `token_type` (RFC 9449 §5).
    #[must_use]
    pub const fn token_type(bound_to: Option<&Self>) -> &'static str {
        match bound_to {
            Some(Self::Jwk(_)) => "DPoP",
            Some(Self::Certificate(_)) | None => "Bearer",
        }
    }
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
            if let Some(sid) = &ancestor.sid {
                add(Target::one(&ancestor.issuer, TargetKind::Session, sid));
            }
            if let Some(subject) = &ancestor.sub {
                add(Target::one(&ancestor.issuer, TargetKind::Subject, subject));
            }
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
            add(Target::one(issuer, TargetKind::Confirmation, confirmation.thumbprint()));
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

    /// The scope of a token that is asked for with less: the words of the session's that are named, in
    /// its order; all of them where none is.
    ///
    /// # Errors
    /// The first word that is not the session's.
    pub fn narrowed_scope(&self, asked: Option<&str>) -> Result<Option<String>, String> {
        let words = |text: Option<&str>| -> Vec<String> {
            text.into_iter()
                .flat_map(|text| text.split(' '))
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let (asked, held) = (words(asked), words(self.scope.as_deref()));
        if asked.is_empty() {
            return Ok(self.scope.clone());
        }
        if let Some(beyond) = asked.iter().find(|word| !held.contains(word)) {
            return Err(beyond.clone());
        }
        let granted: Vec<String> = held.into_iter().filter(|word| asked.contains(word)).collect();
        Ok(Some(granted.join(" ")))
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
            "cfp" => one(&self.fingerprint),
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
    pub confirmation: Option<ProofKey>,
    /// What its access tokens look like.
    pub format: TokenFormat,
    /// How it comes about.
    pub origin: Origin,
}
