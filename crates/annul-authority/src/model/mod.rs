//! What the authority keeps: plain data, no behaviour beyond what follows from the data alone.
//!
//! Nothing here touches a store, a clock or a key. Types that derive serde are kept as JSON inside
//! a row of the store; what is added to them later needs a default.

mod bound;
mod client;
mod groups;
mod origin;
mod record_fields;
mod refresh;
mod revocation;
mod schedule;
mod session;
mod subject;
mod trust;

use annul_core::position::Position;
use annul_core::record::Chain;
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Claims of a session or subject: a JSON object.
pub type Claims = Map<String, Value>;

pub use self::bound::VerifierBound;
pub use self::client::{AuthMethod, ClientMetadata, ClientRecord, GrantType};
pub use self::groups::{GROUP_CLAIM, Groups, MAX_GROUPS};
pub use self::origin::{Ancestor, Descent, Login, MAX_ANCESTORS, Origin};
pub use self::record_fields::RecordFields;
pub use self::refresh::{
    FIRST_GENERATION, MAX_GRACE, NewFamily, Presented, Recognised, RefreshAsker, RefreshBy, RefreshFamily, RefreshMark,
    Seen, SpentGeneration,
};
pub use self::revocation::{NewRevocation, StoredRevocation};
pub use self::schedule::{Schedule, Step, StepState};
pub use self::session::{Device, Ended, NewSession, ProofKey, Session, SessionStatus, TokenFormat};
pub use self::subject::{
    CLAIMS_OF_TOKENS, Chosen, MAX_VERSION, RECORD_CLAIM, SubjectChange, SubjectPart, SubjectState, VERSION_CLAIM,
};
pub use self::trust::{IssuerConfig, KeyChange, KeyRecord, KeySource, KeyState, SealedSecret, SubjectNames};

/// A built-in account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The name the user types.
    pub username: String,
    /// The subject of its tokens: the name at first, a random id once the user changed it.
    pub subject: String,
    /// The argon2id hash in PHC form.
    pub password: String,
    /// When it was made.
    pub created: UnixMillis,
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
