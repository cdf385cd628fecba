//! Revocations, as they are asked for and as the log holds them.

use annul_core::algebra::{Cutoff, CutoffFields, Reach, Until};
use annul_core::fold::{EmittedBy, LoggedEntry};
use annul_core::position::Position;
use annul_core::target::{Target, TargetHash};
use annul_core::time::{UnixMillis, UnixSeconds};

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
