//! What can go wrong in a domain verb: a stable code, what happened and what was left unharmed, and
//! what to do about it. Status codes belong to `http/`, which maps the [`ErrorKind`].

mod table;

use std::time::Duration;

use annul_core::algebra::Refusal;
use annul_core::policy::SenderError;
use annul_core::target::TargetError;
use annul_core::time::UnixSeconds;
use annul_core::token::{JwkError, TokenError};

use crate::model::GrantType;
use crate::secrets::sealing::SealError;
use crate::secrets::signing::SigningError;
use crate::store::{RefreshRefusal, Refused, StoreError};

/// What kind of failure an error is, for whoever answers the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request cannot be carried out as it stands; repeating it changes nothing.
    Invalid,
    /// Whoever asks did not prove who they are.
    Unauthorised,
    /// Whoever asks is known and may not.
    Forbidden,
    /// What is named does not exist.
    NotFound,
    /// What is asked contradicts what is there.
    Conflict,
    /// The authority cannot do it now, whoever asks.
    Unavailable,
    /// Too much is asked at once; the same request will do later.
    Busy,
}

/// Why a verb did not do what it was asked. Unless the text says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerbError {
    /// A member of the request is outside its form or bounds.
    #[error("{member} {why}; nothing was changed")]
    Invalid {
        /// The member's name.
        member: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A text is not a target.
    #[error("{text:?} is not a target: {error}; nothing was revoked")]
    Target {
        /// The text, cut to a length that fits a line.
        text: String,
        /// What is wrong with it.
        error: TargetError,
    },
    /// Neither targets nor a token were named, or both.
    #[error("a revocation names either targets or a token; nothing was revoked")]
    NothingNamed,
    /// A kill names one key.
    #[error("a call kills one key at a time and keeps no session; nothing was revoked")]
    OneKeyAtATime,
    /// The reach does not go with the cutoff or the issuer.
    #[error("{what} cannot have the reach that was asked for; nothing was revoked")]
    Reach {
        /// What does not go with it.
        what: &'static str,
    },
    /// A session is to be kept on a foreign issuer or from a revocation that reaches no session.
    #[error("a session is kept from a `now` that reaches sessions of our own issuer only; nothing was revoked")]
    NothingToKeepFrom,
    /// A claim is one that the authority sets itself.
    #[error("the claim {name:?} is set by the authority; nothing was changed")]
    ClaimReserved {
        /// The claim's name.
        name: String,
    },
    /// A claim is not among those that can be revoked by, so the entry would match no token.
    #[error(
        "the claim {name:?} is no target, only {} are; the entry would match no token, and nothing was revoked",
        .known.join(", ")
    )]
    ClaimNoTarget {
        /// The claim, cut to a length that fits a line.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// A user record is said to have changed in a field that was not configured.
    #[error("{field:?} is no configured field of the user record, which are {}; nothing was changed", .known.join(", "))]
    RecordFieldUnknown {
        /// The field, cut to a length that fits a line.
        field: String,
        /// The configured ones.
        known: Vec<String>,
    },
    /// A token is not one of ours or of an accepted issuer, or is damaged or out of date.
    #[error("the token was refused: {0}; nothing was changed")]
    Token(TokenError),
    /// A bearer's own token does not prove who they are.
    #[error("the token was refused: {0}")]
    Bearer(TokenError),
    /// A bearer's own token is bound to a key or a certificate that was not shown with it.
    #[error("{0}; nothing was changed")]
    Sender(SenderError),
    /// An own token that something revokes.
    #[error("the token is revoked by the entry at {}", .0.at)]
    TokenRevoked(Refusal),
    /// A token about to be issued could not be: it would be refused.
    #[error("no token was issued, for it would be refused: {0}")]
    Unissuable(TokenError),
    /// A token about to be issued is already revoked.
    #[error("no token was issued, for the entry at {} revokes it by its {}; nothing was ended by this", .0.at, .0.kind)]
    IssueRevoked(Refusal),
    /// The session has ended, or something revokes it.
    #[error("the session is over{}; nothing was ended by this", by(.0))]
    SessionRevoked(Option<Refusal>),
    /// The session was idle for too long or has reached its greatest age.
    #[error("the session has reached the end of its life")]
    SessionExpired,
    /// A refresh credential was not redeemed.
    #[error(transparent)]
    Refresh(#[from] RefreshRefusal),
    /// There is no such session.
    #[error("there is no such session")]
    SessionUnknown,
    /// A subject has the name of a client.
    #[error("{name:?} is the id of a client and can be no user; nothing was created")]
    SubjectIsClient {
        /// The name.
        name: String,
    },
    /// Name and password do not belong together, or there is no such account.
    #[error("name and password do not match")]
    InvalidCredentials,
    /// The client's id and secret do not belong together.
    #[error("client id and secret do not match")]
    InvalidClient,
    /// A client's assertion is signed by its key and not good otherwise.
    #[error("the client assertion was refused: {why}")]
    ClientAssertion {
        /// What is wrong with it.
        why: String,
    },
    /// A client gets tokens bound to a key that signs proofs, and none came.
    #[error("the client gets tokens bound to a DPoP key only, and no proof came; no token was issued")]
    DpopProofRequired,
    /// A client gets tokens bound to its certificate, and none came.
    #[error("the client gets tokens bound to its certificate only, and none came; no token was issued")]
    CertificateRequired,
    /// A client asks for a token by a grant that it was not registered for.
    #[error("the client was not registered for the grant {}; no token was issued", .grant.name())]
    GrantNotAllowed {
        /// The grant.
        grant: GrantType,
    },
    /// The client lacks a scope.
    #[error("the client lacks the scope {scope}")]
    InsufficientScope {
        /// The scope.
        scope: String,
    },
    /// A client asks for a scope that is not its own.
    #[error("the client may not ask for the scope {scope:?}; no token was issued")]
    InvalidScope {
        /// The scope.
        scope: String,
    },
    /// A client asks for a token for somebody that the token it holds was not for.
    #[error("the client may not ask for tokens for {audience:?}; no token was issued")]
    AudienceRefused {
        /// The audience, cut to a length that fits a line.
        audience: String,
    },
    /// A token says who may act with it, and that is somebody else.
    #[error("the token may be acted with by somebody else only; no token was issued")]
    ActorRefused,
    /// Whoever signed a token is not trusted with logins.
    #[error("the tokens of {issuer:?} open no sessions here; no token was issued")]
    OpensNoSession {
        /// Who, cut to a length that fits a line.
        issuer: String,
    },
    /// A token that would be exchanged belongs to no session.
    #[error("the token belongs to no session, so nothing could descend from it; no token was issued")]
    NoSession,
    /// An assertion was redeemed before.
    #[error("the assertion was used before; no token was issued")]
    AssertionUsed,
    /// A client asks to revoke a token that was issued to another.
    #[error("the token was not issued to this client; it was not revoked")]
    TokenOfAnother,
    /// A signed answer is wanted with an algorithm that does not sign now.
    #[error("introspection answers are not signed with {wanted} now; nothing was answered")]
    AnswerAlgorithm {
        /// The algorithm.
        wanted: String,
    },
    /// What should prove that a session was somebody's proves nothing.
    #[error("the hint is no token of a session here; nothing was ended")]
    HintRefused,
    /// A hint proves that its session was somebody's, and no more.
    #[error("the hint is expired, revoked or bound to a key, so it ends its own session only; nothing was ended")]
    HintSpent,
    /// A browser is to be sent to an address that is not registered.
    #[error("the address is none that the client registered; nothing was ended")]
    RedirectUnknown,
    /// The last client with `annul.admin` cannot be deleted.
    #[error("{client:?} is the last client with annul.admin; it was not deleted")]
    LastAdmin {
        /// The client.
        client: String,
    },
    /// A password is too short or too long.
    #[error("a password has at least 8 characters and at most 1024 bytes; nothing was changed")]
    PasswordLength,
    /// Nothing of that name exists.
    #[error("there is no {what} {name:?}; nothing was changed")]
    Unknown {
        /// What was looked for.
        what: Thing,
        /// Its name.
        name: String,
    },
    /// A document is not a key set, or a key in it was refused.
    #[error("{}; the issuer was left as it was", refused_key(.kid.as_deref(), .error))]
    KeyRefused {
        /// The key's `kid`, if it has one.
        kid: Option<String>,
        /// Why.
        error: JwkError,
    },
    /// A document holds no key that can be used.
    #[error("the key set holds no key that can be used; the issuer was left as it was")]
    NoUsableKey,
    /// The reserve key is too young to sign.
    #[error(
        "the reserve key was published less than the key lead ago and may not sign before {ready_at}; nothing was rotated"
    )]
    ReserveNotReady {
        /// When it may.
        ready_at: UnixSeconds,
    },
    /// Several keys answer to one `kid`.
    #[error("several issuers have a key {kid:?}; nothing was killed")]
    KeyAmbiguous {
        /// The name.
        kid: String,
    },
    /// Tokens are not signed with keys of subjects.
    #[error("tokens are not signed with keys of subjects here; nothing was changed")]
    SubjectKeysOff,
    /// Too many passwords are being hashed.
    #[error("too many logins are in progress; nothing was changed")]
    Busy,
    /// The keys changed again and again while a token was issued.
    #[error("the signing keys are changing; no token was issued")]
    KeysChanging,
    /// The system gave no random bytes.
    #[error("the system gave no random bytes; nothing was changed")]
    NoRandomness,
    /// Something sealed cannot be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key could not be made or used.
    #[error("{0}; nothing was changed")]
    Signing(#[from] SigningError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What kinds of thing a caller may name and be wrong about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A revocation, by position.
    Revocation,
    /// A client, by id.
    Client,
    /// An account, by name.
    Account,
    /// An accepted issuer.
    Issuer,
    /// A signing key, by `kid`.
    Key,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Revocation => "revocation",
            Self::Client => "client",
            Self::Account => "account",
            Self::Issuer => "accepted issuer",
            Self::Key => "key",
        })
    }
}

impl VerbError {
    /// The error's stable name, as programs compare it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.row().code
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.row().kind
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.row().hint
    }

    /// When the same request may do, for those errors where it may.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self.kind(), ErrorKind::Busy | ErrorKind::Unavailable).then_some(RETRY_AFTER)
    }

    /// The entry behind a refusal, for whoever may know it.
    #[must_use]
    pub const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::TokenRevoked(refusal) | Self::IssueRevoked(refusal) | Self::SessionRevoked(Some(refusal)) => {
                Some(*refusal)
            }
            Self::Store(StoreError::Refused(Refused::Revoked(refusal))) => Some(*refusal),
            _ => None,
        }
    }
}

/// A store that is full or a queue that is busy is worth asking again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn by(refusal: &Option<Refusal>) -> String {
    refusal
        .map(|refusal| format!(": the entry at {} revokes it by its {}", refusal.at, refusal.kind))
        .unwrap_or_default()
}

fn refused_key(kid: Option<&str>, error: &JwkError) -> String {
    match kid {
        Some(kid) => format!("the key {kid:?} was refused: {error}"),
        None => format!("the key set was refused: {error}"),
    }
}
