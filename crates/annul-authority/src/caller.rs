//! Who calls a verb.

use crate::model::{Act, IdempotencyKey};

/// Who calls a verb, and how the call is told from its repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    actor: String,
    request_id: Option<String>,
    idempotency: Option<IdempotencyKey>,
}

impl Caller {
    /// What the audit calls the authority itself.
    pub(crate) const SYSTEM: &'static str = "annul";
    /// What the audit puts in front of a user's name.
    pub(crate) const SUBJECT: &'static str = "subject:";

    /// What the audit puts in front of an account's name.
    pub(crate) const ACCOUNT: &'static str = "account:";

    /// A client that authenticated itself.
    #[must_use]
    pub fn client(client_id: impl Into<String>) -> Self {
        Self { actor: client_id.into(), ..Self::default() }
    }

    /// A user who acts on their own sessions.
    #[must_use]
    pub fn subject(subject: &str) -> Self {
        Self { actor: format!("{}{subject}", Self::SUBJECT), ..Self::default() }
    }

    /// Whoever proved the password of a built-in account. Its subject may change, its name does not.
    #[must_use]
    pub fn account(username: &str) -> Self {
        Self { actor: format!("{}{username}", Self::ACCOUNT), ..Self::default() }
    }

    /// The authority itself.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: Self::SYSTEM.to_owned(), ..Self::default() }
    }

    /// The same with the id of the request, for the audit.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The same with the caller's name for this attempt: a repetition gets the first answer, and the
    /// same name with another request is refused. `request` is a hash of the whole request.
    #[must_use]
    pub fn with_idempotency(mut self, key: impl Into<String>, request: [u8; 32]) -> Self {
        self.idempotency = Some(IdempotencyKey { client: self.actor.clone(), key: key.into(), request });
        self
    }

    /// Who calls.
    #[must_use]
    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn act(&self, action: &str, reason: Option<String>) -> Act {
        Act {
            actor: self.actor.clone(),
            action: action.to_owned(),
            reason,
            request_id: self.request_id.clone(),
            idempotency: self.idempotency.clone(),
        }
    }

    /// The same act as a further step of a call, which has no idempotency of its own.
    pub(crate) fn step(&self, action: &str, reason: Option<String>) -> Act {
        Act { idempotency: None, ..self.act(action, reason) }
    }
}
