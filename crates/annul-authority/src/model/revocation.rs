//! Revocations, as they are asked for and as the log holds them.

use annul_core::algebra::{Cutoff, CutoffFields, Reach, Until};
use annul_core::fold::{EmittedBy, LoggedEntry};
use annul_core::position::Position;
use annul_core::target::{Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A revocation that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRevocation {
    /// What it names.
    #[serde(serialize_with = "put_target", deserialize_with = "get_target")]
    pub target: Target,
    /// How far back it reaches.
    #[serde(with = "CutoffDoc")]
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

/// A cutoff inside a row.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Cutoff", rename_all = "snake_case")]
enum CutoffDoc {
    Always,
    Now,
    Before(UnixSeconds),
}

/// Writes a target with its issuer always in front, so that the text does not depend on who reads it.
fn put_target<S: Serializer>(target: &Target, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&target.text(""))
}

fn get_target<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
    Target::parse(&String::deserialize(deserializer)?, "").map_err(serde::de::Error::custom)
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
