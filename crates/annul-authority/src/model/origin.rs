//! Where sessions come from: a login, or a token of somebody who has logged in.

use annul_core::position::Position;
use annul_core::time::UnixSeconds;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewFamily, SubjectChange};

/// Ancestors a session may have.
pub const MAX_ANCESTORS: usize = 8;

/// How a session comes about.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// The user proved who they are to somebody whose word is taken.
    Login(Login),
    /// A token was judged, and the session descends from what that token belongs to.
    Descent(Descent),
}

/// What is a login's alone. Its session is dated at the head of the transaction that opens it, after what
/// the login itself appends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Login {
    /// The session it replaces (step-up, login again on the same device), ended by its own entry in
    /// the same transaction. One that has ended already is left as it is.
    pub replaces: Option<String>,
    /// What it changes in its subject's state, in the same transaction.
    pub change: Option<SubjectChange>,
    /// The session's refresh family, if its tokens are renewed without the backend.
    pub family: Option<NewFamily>,
}

/// What a session has from the token it is opened with.
#[derive(Clone, Debug, PartialEq)]
pub struct Descent {
    /// The head at which the token was judged. The session is dated there and not at the head of now, so
    /// that no entry falls between the judgement and the session.
    pub judged: Position,
    /// What it descends from, at most [`MAX_ANCESTORS`].
    pub ancestors: Vec<Ancestor>,
    /// Who acts for the subject.
    pub actor: Option<Value>,
    /// When it ends at the latest, whatever its life.
    pub ends: Option<UnixSeconds>,
}

impl Descent {
    /// From these ancestors, as they were judged at this head; nobody acts, and nothing but its life ends
    /// the session.
    #[must_use]
    pub const fn new(judged: Position, ancestors: Vec<Ancestor>) -> Self {
        Self { judged, ancestors, actor: None, ends: None }
    }
}

/// What a session came from: a session of some issuer, a subject of it, or both. As JSON, but for the
/// issuer's name, it is a member of the claim `origin`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// The ancestor's issuer.
    pub issuer: String,
    /// Its session there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Its subject there, where that is not the subject of the session that descends from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

impl Ancestor {
    /// A session of an issuer.
    #[must_use]
    pub fn session(issuer: impl Into<String>, sid: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), sid: Some(sid.into()), sub: None }
    }

    /// A subject of an issuer.
    #[must_use]
    pub fn subject(issuer: impl Into<String>, sub: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), sid: None, sub: Some(sub.into()) }
    }
}
