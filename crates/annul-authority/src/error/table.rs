//! What each error is called, what kind of failure it is, and what to do about it: a row for every case.

use annul_core::fold::NotAdmitted;

use super::{ErrorKind, Thing, VerbError};
use crate::store::{NotIssued, RefreshRefusal, Refused, StoreError};

/// What is said of an error beside what happened.
pub(super) struct Row {
    /// Its stable name.
    pub(super) code: &'static str,
    /// What kind of failure it is.
    pub(super) kind: ErrorKind,
    /// What to do about it.
    pub(super) hint: &'static str,
}

/// The row of an error. Rows are `case => code, kind, hint;`, without the code where the error itself knows it;
/// the last one may be `@ case => row;`, whose row stands in another table.
macro_rules! table {
    ($error:ident; $($case:pat => $code:expr, $kind:ident, $hint:expr;)* $(@ $other:pat => $row:expr;)?) => {
        match $error {
            $($case => Row { code: $code, kind: ErrorKind::$kind, hint: $hint },)*
            $($other => $row,)?
        }
    };
    ($error:ident; $($case:pat => $kind:ident, $hint:expr;)* $(@ $other:pat => $row:expr;)?) => {
        table! { $error; $($case => $error.code(), $kind, $hint;)* $(@ $other => $row;)? }
    };
}

impl VerbError {
    pub(super) fn row(&self) -> Row {
        table! { self;
            Self::Invalid { .. } => "request_invalid", Invalid,
                "correct the member named and send the request again";
            Self::Target { .. } => "target_invalid", Invalid,
                "write a target as kind:name, such as subject:alice or device:alice/phone-1";
            Self::NothingNamed => "nothing_named", Invalid, "give `targets` or `token`, and not both";
            Self::OneKeyAtATime => "one_key_at_a_time", Invalid, "name one key per call, and no `keep`";
            Self::Reach { .. } => "reach_not_allowed", Invalid,
                "leave the reach out: `before` always reaches both, and the sessions of a foreign issuer are not ours";
            Self::NothingToKeepFrom => "keep_needs_now", Invalid,
                "use `keep` with cutoff `now` and reach `sessions` or `both`, on our own issuer";
            Self::ClaimReserved { .. } => "claim_reserved", Invalid,
                "leave it out; registered claims have their own members in the request";
            Self::ClaimNoTarget { .. } => "claim_no_target", Invalid,
                "name one of the configured claims, or add this one to the settings first: it then reaches older tokens too";
            Self::RecordFieldUnknown { .. } => "record_field_unknown", Invalid,
                "name configured fields, or add the field to subjects.record_fields with its reach";
            Self::Token(error) => error.code(), Invalid,
                "send a token of this authority or of an issuer it accepts";
            Self::Bearer(error) => error.code(), Unauthorised, "log in again";
            Self::Sender(error) => error.code(), Unauthorised,
                "send the token as it is bound: with a proof by its key, on a connection with its certificate, or as Bearer";
            Self::TokenRevoked(_) => "token_revoked", Unauthorised, "log in again";
            Self::Unissuable(error) => error.code(), Invalid, "ask for fewer or shorter claims";
            Self::IssueRevoked(_) => "session_revoked", Forbidden,
                "log in again, or lift the entry if it should not stand";
            Self::SessionRevoked(_) => "session_revoked", Forbidden,
                "the user logs in again, which opens a new session";
            Self::SessionExpired => "session_expired", Forbidden,
                "the user logs in again, which opens a new session";
            Self::Refresh(refusal) => refusal.code(), Invalid, refresh_hint(*refusal);
            Self::SessionUnknown => "session_unknown", NotFound,
                "check the sid; sessions are forgotten some time after their end";
            Self::SubjectIsClient { .. } => "name_taken", Conflict,
                "choose another name: users and clients share one name space";
            Self::InvalidCredentials => "invalid_credentials", Unauthorised, "check name and password";
            Self::InvalidClient => "invalid_client", Unauthorised, "check client id and secret";
            Self::ClientAssertion { .. } => "invalid_client", Unauthorised,
                "make a new assertion for each request, with the issuer as its audience and at most an hour of life";
            Self::DpopProofRequired => "invalid_dpop_proof", Invalid, "send a DPoP proof with the request";
            Self::CertificateRequired => "certificate_required", Invalid,
                "make the TLS connection with the client's certificate, and send no proof";
            Self::GrantNotAllowed { .. } => "unauthorized_client", Invalid,
                "use a client whose grant_types name the grant";
            Self::InsufficientScope { .. } => "insufficient_scope", Forbidden,
                "use a client that has the scope";
            Self::InvalidScope { .. } => "invalid_scope", Invalid,
                "ask for scopes the client was created with";
            Self::AudienceRefused { .. } => "audience_refused", Invalid,
                "ask for the configured audience or one of the token's own, or use a client with annul.issue";
            Self::ActorRefused => "actor_refused", Invalid,
                "send the actor token of the one that may_act names";
            Self::OpensNoSession { .. } => "opens_no_session", Invalid,
                "say with `subjects` at POST /v1/issuers for whom the issuer may log in";
            Self::NoSession => "no_session", Invalid,
                "a machine asks for its own token with client_credentials";
            Self::AssertionUsed => "assertion_used", Invalid, "make a new assertion, with a jti of its own";
            Self::TokenOfAnother => "token_of_another_client", Invalid,
                "let the client revoke it that it was issued to";
            Self::AnswerAlgorithm { .. } => "answer_algorithm", Conflict,
                "register the algorithm that the metadata lists, or ask for a plain answer";
            Self::HintRefused => "hint_refused", Invalid,
                "send an access token or the refresh token of the session";
            Self::HintSpent => "hint_spent", Invalid,
                "log out this session, or everywhere with a token that is good";
            Self::RedirectUnknown => "redirect_not_registered", Invalid,
                "register exactly this address in the client's post_logout_redirect_uris";
            Self::LastAdmin { .. } => "last_admin", Conflict, "create another client with annul.admin first";
            Self::PasswordLength => "password_length", Invalid, "choose a password within the bounds";
            Self::Unknown { what: Thing::Revocation, .. } => "revocation_unknown", NotFound,
                "list the revocations; old ones are forgotten";
            Self::Unknown { what: Thing::Client, .. } => "client_unknown", NotFound, "list the clients";
            Self::Unknown { what: Thing::Account, .. } => "account_unknown", NotFound, "list the accounts";
            Self::Unknown { what: Thing::Issuer, .. } => "issuer_unknown", NotFound,
                "add the issuer first, spelt exactly as its `iss`";
            Self::Unknown { what: Thing::Key, .. } => "key_unknown", NotFound,
                "list the keys; a key is named by its kid or thumbprint";
            Self::KeyRefused { .. } => "key_refused", Invalid,
                "ask the issuer for a key set without this key";
            Self::NoUsableKey => "no_usable_key", Invalid,
                "check that the document is a JWK Set with public signing keys that are not killed";
            Self::ReserveNotReady { .. } => "reserve_not_ready", Conflict,
                "wait until then, or until every verifier has applied the key; a kill does not wait";
            Self::KeyAmbiguous { .. } => "kid_ambiguous", Conflict,
                "revoke the target issuer:NAME/key:KID instead, which names the issuer";
            Self::SubjectKeysOff => "subject_keys_off", Conflict,
                "set tokens.key to per_subject and start again";
            Self::Busy => "busy", Busy, "try again in a moment";
            Self::KeysChanging => "keys_changing", Unavailable, "try again in a moment";
            Self::NoRandomness => "no_randomness", Unavailable, "check the system's random number generator";
            Self::Seal(error) => error.code(), Unavailable, error.hint();
            Self::Signing(_) => "signing_failed", Unavailable, "see the authority's log, then try again";
            @ Self::Store(error) => store_row(error);
        }
    }
}

fn store_row(error: &StoreError) -> Row {
    table! { error;
        StoreError::DiskFull => Unavailable,
            "make space on the data directory's disk; writes then go on by themselves";
        StoreError::Corrupt { .. } => Unavailable, "stop the authority and restore the data from a backup";
        StoreError::NotBootstrapped => Unavailable, "start the authority, which creates the log";
        StoreError::Closed => Unavailable, "start the authority again and repeat with the same idempotency key";
        StoreError::Failed { .. } => Unavailable,
            "see the authority's log, then repeat with the same idempotency key";
        @ StoreError::Refused(refused) => refused_row(refused);
    }
}

fn refused_row(refused: &Refused) -> Row {
    table! { refused;
        Refused::SessionUnknown => NotFound,
            "check the sid; sessions are forgotten some time after their end";
        Refused::SessionExists => Conflict, "leave the choice of the sid to the authority";
        Refused::SessionTooLong { .. } => Invalid, "ask for a shorter session";
        Refused::AuthTimeOutOfRange { .. } => Invalid,
            "give the time at which the user proved who they are, or leave it out";
        Refused::TooManyTargets { .. } => Invalid,
            "ask for fewer values in the claims that can be revoked by";
        Refused::TooManyAncestors => Invalid, "exchange a token nearer to the original login";
        Refused::Revoked(_) => Forbidden, "log in again, or lift the entry if it should not stand";
        Refused::SubjectBlocked { .. } => Forbidden, "unblock the subject first";
        Refused::SubjectRetired { .. } => Forbidden, "use the subject's present id; an account shows its own";
        Refused::NotIssued(NotIssued::Refused(refusal)) => Invalid, refresh_hint(*refusal);
        Refused::NotIssued(_) => Forbidden, "the user logs in again, which opens a new session";
        Refused::NotProven => Unauthorised, "check name and password";
        Refused::NotASubject => Invalid, "name a subject";
        Refused::NotBlocked => Conflict, "nothing is to be done";
        Refused::NotAdmitted(NotAdmitted::OnlyAlways { .. }) | Refused::SessionEnded => Invalid,
            "leave the cutoff out or ask for `always`";
        Refused::NotAdmitted(NotAdmitted::InTheFuture { .. }) => Invalid,
            "give a time that has passed; `now` revokes everything up to this moment";
        Refused::NotAdmitted(_) | Refused::ReachesNoSession { .. } => Invalid, "leave the reach out, or ask for `access` or `both`";
        Refused::KeepNeedsNow => Invalid, "use `keep` with the cutoff `now`";
        Refused::UntilTooEarly { .. } | Refused::UntilNotAllowed => Invalid,
            "leave `until` out: it is computed";
        Refused::EntryCount { .. } => Invalid, "split the targets over several calls";
        Refused::TooManyWithoutUntil { .. } => Conflict,
            "lift revocations that are no longer needed, or ask for `now`, which ends by itself";
        Refused::RevocationUnknown { .. } => NotFound, "list the revocations; old ones are forgotten";
        Refused::NotLiftable { .. } => Conflict,
            "use the verb that made it, such as unblock; killed keys and ended sessions stay dead";
        Refused::ScheduleUnknown { .. } => NotFound, "list the schedules; old ones are forgotten";
        Refused::ScheduleOver { .. } => Conflict, "lift the entries that it made, if they should not stand";
        Refused::TooManySchedules { .. } => Conflict, "cancel schedules that are no longer needed";
        Refused::IssuerUnknown { .. } => NotFound, "add the issuer first, spelt exactly as its `iss`";
        Refused::OwnIssuer => Conflict, "use the key verbs for this authority's own keys";
        Refused::KeyUnknown { .. } => NotFound, "list the keys; a key is named by its kid or thumbprint";
        Refused::KeyExists { .. } | Refused::KeyState { .. } => Conflict, "list the keys and try again";
        Refused::NotAKey => Invalid, "name a key";
        Refused::SettingsConflict { .. } => Conflict, "read the settings and try again";
        Refused::GroupClaimNeeded => Conflict,
            "name the claim in `claims` and `ask_on`; after groups ended, for as long as a token may live";
        Refused::RecordTooLong => Invalid, "ask for less in one call";
        Refused::AccountExists | Refused::ClientExists | Refused::NameTaken => Conflict,
            "choose another name: accounts and clients share one name space";
        Refused::AccountUnknown => NotFound, "list the accounts";
        Refused::ClientUnknown => NotFound, "list the clients";
        Refused::ClientMethod => Conflict, "make another client, and remove this one";
        Refused::IdempotencyConflict => Conflict, "use a new idempotency key for every new request";
    }
}

const fn refresh_hint(refusal: RefreshRefusal) -> &'static str {
    match refusal {
        RefreshRefusal::OtherClient => "refresh as the client that the session was opened for",
        RefreshRefusal::OtherKey => {
            "sign the proof with the key that the session was opened with, or first refreshed with"
        }
        RefreshRefusal::OutsideWindow => "refresh shortly before the access token expires; after that, log in again",
        RefreshRefusal::Reused => "log in again; if it was not you who used it, look at the user's other sessions",
        RefreshRefusal::Unknown => "use the newest refresh token that was received, or log in again",
    }
}
