//! The one table of error codes.
//!
//! Every error an endpoint can answer has a row here. In print (`page`), it is `docs/reference/errors.md`.

mod page;

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $title:literal $hint:literal)*) => {
        /// What went wrong, as a program reads it. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code's text in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What happened, in one line that does not vary.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn hint(self) -> &'static str {
                match self { $(Self::$variant => $hint,)* }
            }
        }
    };
}

codes! {
    RequestMalformed "request_malformed" 400 "The body is not JSON"
        "Send one JSON object as application/json; nothing was changed."
    RequestUnknownField "request_unknown_field" 400 "The request has a field that nobody knows"
        "Remove the field or correct its name; nothing was changed."
    RequestInvalid "request_invalid" 400 "A member of the request is outside its form or bounds"
        "Correct the member that the detail names; nothing was changed."
    RequestAmbiguous "request_ambiguous" 400 "The request says the same thing twice"
        "Send each header, parameter and credential once; nothing was changed."
    UrlRefused "url_refused" 400 "That URL is not fetched"
        "Use https, or http on loopback; nothing was changed."
    FetchFailed "fetch_failed" 400 "The key set could not be fetched"
        "Check that the URL answers 200 with a JWK set in time, or send the key set itself."
    ScopeInvalid "invalid_scope" 400 "A scope is unknown or was not granted"
        "Ask for scopes the client has."
    GrantUnsupported "unsupported_grant_type" 400 "That grant type is not offered"
        "Use one that /.well-known/oauth-authorization-server lists."
    GrantNotAllowed "unauthorized_client" 400 "The client was not registered for the grant"
        "Use a client whose grant_types name it."
    DpopProofInvalid "invalid_dpop_proof" 400 "The DPoP proof is missing or not right for this request"
        "Make a new proof for each request, for its method and its public address; the detail says what is wrong."
    DpopNonceNeeded "use_dpop_nonce" 400 "The DPoP proof needs a nonce of ours"
        "Make a new proof with the nonce of the DPoP-Nonce header."
    CertificateRequired "certificate_required" 400 "The client's tokens are bound to a certificate, and none came"
        "Make the TLS connection with the client's certificate."
    AudienceRefused "audience_refused" 400 "The client may not ask for tokens for that audience"
        "Ask for the configured audience or one of the token's own, or use a client with annul.issue."
    ActorRefused "actor_refused" 400 "The token says that somebody else may act with it"
        "Send the actor token of the one that its may_act names."
    OpensNoSession "opens_no_session" 400 "Whoever signed the token is not trusted with logins here"
        "Say with `subjects` at POST /v1/issuers for whom the issuer may log in; a client needs annul.issue and keys."
    NoSession "no_session" 400 "The token belongs to no session"
        "A machine asks for its own token with client_credentials."
    AssertionUsed "assertion_used" 400 "The assertion was used before"
        "Make a new assertion for each request, with a jti of its own."
    TokenOfAnother "token_of_another_client" 400 "The token was not issued to this client"
        "Let the client revoke it that it was issued to; it is as good as before."
    HintRefused "hint_refused" 400 "Nothing shows that the session was the caller's"
        "Send an access token of the session, or in a form its refresh token, as id_token_hint."
    HintSpent "hint_spent" 400 "The hint is expired, revoked or bound to a key and ends its own session only"
        "Log out this session, or everywhere with a token that is good; with a bound one at /v1/logout, where it is proven."
    RedirectUnknown "redirect_not_registered" 400 "The browser is not sent to that address"
        "Register exactly this address in the client's post_logout_redirect_uris."
    TargetInvalid "target_invalid" 400 "A text is not a target"
        "Write kind:name, such as subject:alice; inside a part write / as %2F and = as %3D."
    NothingNamed "nothing_named" 400 "A revocation names neither targets nor a token, or both"
        "Give targets or a token, and not both."
    OneKeyAtATime "one_key_at_a_time" 400 "One call kills several keys, or a key and keeps a session"
        "Name one key per call, and no keep."
    ClaimReserved "claim_reserved" 400 "A claim of that name is the authority's own"
        "Leave it out; registered claims have members of their own in the request."
    ClaimNoTarget "claim_no_target" 400 "The claim is not among those that can be revoked by"
        "Add it with PUT /v1/settings first; a revocation then reaches older tokens too."
    RecordFieldUnknown "record_field_unknown" 400 "A field of the user record is not configured"
        "Name configured fields, or add the field to subjects.record_fields with its reach."
    CutoffNotAllowed "cutoff_not_allowed" 400 "The kind of target takes always only"
        "Leave the cutoff out or ask for always: what a key signed, or one token, cannot be dated."
    ReachNotAllowed "reach_not_allowed" 400 "The reach does not go with the target or the cutoff"
        "Keys and single tokens reach access only; before reaches both; foreign sessions are not ours."
    UntilTooEarly "until_too_early" 400 "The entry would be forgotten while a token it matches can be accepted"
        "Leave until out: it is computed."
    KeepNeedsNow "keep_needs_now" 400 "A session is kept by the cutoff now only"
        "Use keep with cutoff now and reach sessions or both, on our own issuer."
    AuthTimeOutOfRange "auth_time_out_of_range" 400 "The login is dated in the future or too long ago"
        "Give the time at which the user proved who they are; older logins log in again."
    CutoffInTheFuture "cutoff_in_the_future" 400 "The time of the cutoff lies in the future"
        "Give a time that has passed, or the cutoff now."
    SessionTooLong "session_too_long" 400 "The session would live longer than any may"
        "Ask for less, or raise sessions.absolute."
    TooManyAncestors "too_many_ancestors" 400 "The session descends from too many others"
        "Exchange a token nearer to the login; 8 ancestors are the most."
    UntilNotAllowed "until_not_allowed" 400 "The entry takes no until"
        "Leave until out: only a lift may end this entry."
    EntryCount "entry_count" 400 "The request names no entry or too many"
        "Name at least one, and split long lists."
    NotASubject "not_a_subject" 400 "Only a subject can be blocked"
        "Revoke other targets with POST /v1/revocations."
    NotAKey "not_a_key" 400 "Only a key can be killed"
        "Name the key by its kid."
    RecordTooLong "record_too_long" 400 "The record would be longer than a follower reads"
        "Use fewer or smaller keys, or split the request."
    PasswordLength "password_length" 400 "The password is too short or too long"
        "Use at least 8 characters and at most 1024 bytes."
    NoUsableKey "no_usable_key" 400 "The key set holds no key that can be used"
        "Check that it is a JWK set with public signing keys that are neither weak nor killed."
    KeyRefused "key_refused" 400 "A key was refused by name"
        "Ask the issuer for a key set without this key; the detail says what is wrong with it."
    TokenMissing "token_missing" 400 "No token was given"
        "Send the token."
    TokenMalformed "token_malformed" 400 "The token does not have a token's form"
        "Send the whole token as it was issued."
    TokenTooLarge "token_too_large" 400 "The token is larger than is read"
        "Issue tokens with fewer claims."
    TokenExpired "token_expired" 400 "The token has expired"
        "Nothing needs doing: verifiers refuse it already."
    TokenNotYetValid "token_not_yet_valid" 400 "The token is not valid yet"
        "Check the clock of its issuer."
    SignatureInvalid "signature_invalid" 400 "The token's signature does not verify"
        "Send a token of this authority or of an issuer it accepts."
    KeyKilled "key_killed" 400 "The key that the token names was killed"
        "Nothing that this key signed counts any more; send a token of another key."
    KeyAmbiguous "key_ambiguous" 400 "The token names no key and several could have signed it"
        "Let the issuer put a kid into its tokens."
    KeyUnknown "key_unknown" 404 "There is no such key"
        "List the keys with GET /v1/keys; a key is named by its kid."
    AlgNotAllowed "alg_not_allowed" 400 "The token's algorithm is not the key's or not accepted"
        "Check the issuer's configuration."
    TypMismatch "typ_mismatch" 400 "The token is of another kind"
        "Send an access token."
    CritUnsupported "crit_unsupported" 400 "The token demands an extension that is not known here"
        "Issue it without crit."
    IssuerMismatch "issuer_mismatch" 400 "The token's issuer is not accepted here"
        "Add the issuer first, spelt exactly as its iss."
    AudienceMismatch "audience_mismatch" 400 "The token is meant for another audience"
        "Send a token for this audience."
    ClaimInvalid "claim_invalid" 400 "A registered claim is missing or of the wrong type"
        "Correct the issuer; the detail names the claim."
    LifeTooLong "life_too_long" 400 "The token lives longer than its issuer's tokens may"
        "Raise the issuer's longest life, or shorten its tokens."
    TooManyTargets "too_many_targets" 400 "The token has more targets than are looked up"
        "Issue it with fewer values in the claims that are targets; 64 is the most."
    RefreshTokenUnknown "refresh_token_unknown" 400 "The refresh token is none that could be redeemed"
        "Use the newest that was received, or log in again."
    RefreshTokenReused "refresh_token_reused" 400 "The refresh token was used before, and its session was ended"
        "Log in again; whoever did not use it twice should look at the user's other sessions."
    RefreshTokenOtherClient "refresh_token_other_client" 400 "The refresh token belongs to another client"
        "Refresh as the client that the session was opened for."
    RefreshTokenOtherKey "refresh_token_other_key" 400 "The session is bound to another proof key"
        "Sign the proof with the key that the session was opened with, or first refreshed with."
    RefreshOutsideWindow "refresh_outside_window" 400 "The tokens cannot be renewed at this time"
        "Refresh shortly before the access token expires; after that, log in again."
    InvalidClient "invalid_client" 401 "The caller did not prove who it is"
        "Send HTTP Basic with a client's id and secret, each form-encoded; under /oauth2 also as the client registered."
    InvalidCredentials "invalid_credentials" 401 "Name and password do not match"
        "Check both; the answer is the same for an unknown name."
    TokenRequired "token_required" 401 "The request has no access token"
        "Send it as Authorization: Bearer, or as DPoP where it is bound to a key."
    TokenRefused "token_refused" 401 "The access token is not accepted"
        "Log in again."
    TokenRevoked "token_revoked" 401 "The access token is revoked"
        "Log in again."
    ProofNeeded "proof_needed" 401 "The access token is bound to a key and came without a proof of it"
        "Send it as Authorization: DPoP, with a proof for this request and token."
    TokenNotBound "token_not_bound" 401 "The access token came with a proof and is bound to no key"
        "Send it as Authorization: Bearer."
    CertificateNeeded "certificate_needed" 401 "The access token is bound to a certificate and the connection had none"
        "Make the TLS connection with the certificate that the token was issued to."
    CertificateMismatch "certificate_mismatch" 401 "The access token is bound to another certificate"
        "Make the TLS connection with the certificate that the token was issued to."
    InsufficientScope "insufficient_scope" 403 "The client lacks the scope that this endpoint needs"
        "Use a client that has it; an administrator makes one at POST /v1/clients."
    SessionRevoked "session_revoked" 403 "The session is revoked or has ended"
        "Log in again, which opens a new session."
    SessionExpired "session_expired" 403 "The session was idle too long or has reached its greatest age"
        "Log in again, which opens a new session."
    SubjectBlocked "subject_blocked" 403 "The subject is blocked"
        "Unblock it with DELETE /v1/subjects/{subject}/block."
    SubjectRetired "subject_retired" 403 "The id was retired: its subject goes by another"
        "Use the present id; a retired one is never given again."
    NotFound "not_found" 404 "There is nothing at this address"
        "See /openapi.json for the addresses that exist."
    SessionUnknown "session_unknown" 404 "There is no such session"
        "Check the sid; sessions are forgotten some time after their end."
    RevocationUnknown "revocation_unknown" 404 "There is no revocation at that position"
        "List them with GET /v1/revocations; old ones are forgotten."
    ScheduleUnknown "schedule_unknown" 404 "There is no such schedule"
        "List them with GET /v1/revocations/scheduled; old ones are forgotten."
    IssuerUnknown "issuer_unknown" 404 "That issuer is not accepted here"
        "List them with GET /v1/issuers; the text must match its iss exactly."
    ClientUnknown "client_unknown" 404 "There is no such client"
        "List them with GET /v1/clients."
    AccountUnknown "account_unknown" 404 "There is no such account"
        "List them with GET /v1/accounts."
    MethodNotAllowed "method_not_allowed" 405 "This address does not take that method"
        "The header Allow lists those it takes."
    RequestTimeout "request_timeout" 408 "The request took too long to arrive"
        "Send it again; nothing was changed."
    SessionExists "session_exists" 409 "A session with this id exists"
        "Open it anew; nothing was changed."
    SessionEnded "session_ended" 409 "The session has ended"
        "Its revocation takes only the cutoff always."
    NotBlocked "not_blocked" 409 "The subject is not blocked"
        "Nothing needs doing."
    TooManyWithoutUntil "too_many_without_until" 409 "There are too many entries that never lapse"
        "Lift some before adding more."
    ScheduleOver "schedule_over" 409 "Nothing of the schedule waits any more"
        "What was done stays; lift its entries if they should not stand."
    TooManySchedules "too_many_schedules" 409 "As many schedules wait as may"
        "Cancel some before adding more."
    AlreadyLifted "already_lifted" 409 "The entry is lifted already"
        "Nothing needs doing."
    LiftsKilledKey "lifts_killed_key" 409 "A killed key stays dead"
        "Rotate to a new key; a kill cannot be undone."
    LiftsEndedSession "lifts_ended_session" 409 "An ended session stays ended"
        "The user logs in again."
    EmittedByState "emitted_by_state" 409 "The entry belongs to a state of the authority"
        "Undo it by that state's own verb, such as unblock."
    OwnIssuer "own_issuer" 409 "Our own issuer cannot be configured as a foreign one"
        "Use the key verbs for its keys."
    KidAmbiguous "kid_ambiguous" 409 "Several issuers have a key of that name"
        "Name the issuer too: issuer:NAME/key:KID."
    KeyExists "key_exists" 409 "The key exists"
        "Nothing was changed."
    KeyState "key_state" 409 "The key is not in a state that allows this"
        "List the keys with GET /v1/keys."
    SettingsConflict "settings_conflict" 409 "Somebody else changed the settings"
        "Read them and try again."
    AnswerAlgorithm "answer_algorithm" 409 "Answers are not signed with the client's algorithm now"
        "Register the algorithm that the metadata lists, or ask for a plain answer."
    GroupClaimNeeded "group_claim_needed" 409 "Subjects fall into groups, whose claim is needed"
        "Name grp in claims and ask_on; after groups ended (groups.count = 0), as long as a token may live."
    SubjectKeysOff "subject_keys_off" 409 "Tokens are not signed with keys of subjects"
        "Set tokens.key to per_subject and start the authority again."
    AccountExists "account_exists" 409 "The account exists"
        "Choose another name, or set its password."
    ClientMethod "client_method" 409 "A client with a secret keeps to it, and one without gets none"
        "Make another client, and remove this one."
    ClientExists "client_exists" 409 "The client exists"
        "Choose another id, or remove the client first."
    IdempotencyConflict "idempotency_conflict" 409 "The idempotency key was used for another request"
        "Use a new key for every new request."
    NameTaken "name_taken" 409 "The name is in use"
        "Choose another: accounts and clients share one name space."
    LastAdmin "last_admin" 409 "The last client with annul.admin cannot be removed"
        "Make another administrator first."
    ReserveNotReady "reserve_not_ready" 409 "The reserve key is too young to sign"
        "Wait until the time named, or until every verifier has applied it; a kill does not wait."
    Diverged "diverged" 409 "The caller holds another history of the log"
        "Take the snapshot; if this repeats, the caller follows another authority."
    Compacted "compacted" 410 "The records after that position are no longer kept"
        "Take the snapshot and go on from its position."
    BodyTooLarge "body_too_large" 413 "The body is larger than is read here"
        "Send less at once; the bound is limits.body."
    MediaTypeUnsupported "media_type_unsupported" 415 "The body is of a type that is not read here"
        "Use application/json, or application/x-www-form-urlencoded under /oauth2."
    Ahead "ahead" 416 "The position lies ahead of the log"
        "Wait, or try another authority; one restored from a backup has forgotten the rest."
    RateLimited "rate_limited" 429 "Too many requests"
        "Wait as long as Retry-After says; each scope has a lane of its own."
    Internal "internal" 500 "The authority failed"
        "Report the request id; what was changed is not known, so repeat with the same Idempotency-Key."
    NotReady "not_ready" 503 "The authority is starting or stopping"
        "Try again as Retry-After says."
    Busy "busy" 503 "Too much of this is under way"
        "Try again as Retry-After says."
    KeysChanging "keys_changing" 503 "Keys or settings change at this moment"
        "Try again as Retry-After says; nothing was changed."
    NoRandomness "no_randomness" 503 "The system gave no random bytes"
        "Check the system's random number generator; nothing was changed."
    SigningFailed "signing_failed" 503 "No signature could be made"
        "See the authority's log; nothing was changed."
    WrongMasterKey "wrong_master_key" 503 "Something sealed does not open with this master key"
        "Start with the master key the data was made with; nothing was changed."
    SealedDataDamaged "sealed_data_damaged" 503 "Something sealed is damaged"
        "Restore the data directory from a backup; nothing was changed."
    MasterKeyMissing "master_key_missing" 503 "The master key is not where it should be"
        "Put the master key file back; nothing was changed."
    MasterKeyUnreadable "master_key_unreadable" 503 "The master key cannot be read"
        "Check the file's owner and mode; nothing was changed."
    MasterKeyUnwritable "master_key_unwritable" 503 "A new master key cannot be written"
        "Check the directory's owner and mode; nothing was changed."
    MasterKeyMalformed "master_key_malformed" 503 "The master key file does not hold a master key"
        "Put the right file back; nothing was changed."
    DiskFull "disk_full" 503 "The disk is full"
        "Make room on the disk of the data directory; reads go on, and nothing that was acknowledged is lost."
    DatabaseCorrupt "database_corrupt" 503 "The database is damaged"
        "Restore a backup; nothing was written."
    NotBootstrapped "not_bootstrapped" 503 "The log has not been created yet"
        "Try again as Retry-After says."
    StoreClosed "store_closed" 503 "The store is closed"
        "What was under way may have been committed; repeat with the same Idempotency-Key."
    StoreFailed "store_failed" 503 "The store failed"
        "Nothing was acknowledged; repeat with the same Idempotency-Key."
}

impl Code {
    /// The code of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }

    /// The code that stands for a bare HTTP status, for answers made before an endpoint was reached.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::InvalidClient,
            403 => Self::InsufficientScope,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            413 => Self::BodyTooLarge,
            415 => Self::MediaTypeUnsupported,
            416 => Self::Ahead,
            429 => Self::RateLimited,
            503 => Self::NotReady,
            400..=499 => Self::RequestInvalid,
            _ => Self::Internal,
        }
    }

    /// The `error` member under `/oauth2` (RFC 6749 §5.2).
    #[must_use]
    pub const fn oauth_error(self) -> &'static str {
        match self {
            Self::ScopeInvalid => "invalid_scope",
            Self::GrantUnsupported => "unsupported_grant_type",
            Self::InsufficientScope | Self::GrantNotAllowed => "unauthorized_client",
            Self::DpopProofInvalid => "invalid_dpop_proof",
            Self::DpopNonceNeeded => "use_dpop_nonce",
            Self::AudienceRefused => "invalid_target",
            Self::SessionRevoked
            | Self::SessionExpired
            | Self::SubjectBlocked
            | Self::RefreshTokenUnknown
            | Self::RefreshTokenReused
            | Self::RefreshTokenOtherClient
            | Self::RefreshTokenOtherKey
            | Self::RefreshOutsideWindow
            | Self::AssertionUsed
            | Self::TokenOfAnother => "invalid_grant",
            _ => match self.status() {
                401 => "invalid_client",
                429 | 503 => "temporarily_unavailable",
                500 => "server_error",
                _ => "invalid_request",
            },
        }
    }

    /// The status where it is about an access token that came as the caller's own credential. What is wrong
    /// with the proof of a request that wants a token is wrong with the request (RFC 9449 §5 and §8); beside a
    /// token, the request is not authorised (§7.1 and §9).
    #[must_use]
    pub const fn status_beside_token(self) -> u16 {
        match self {
            Self::DpopProofInvalid | Self::DpopNonceNeeded => 401,
            _ => self.status(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_its_own_name() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| Code::from_name(code.name()) == Some(*code)));
    }

    /// The texts between quotes in the bodies of functions that name codes.
    fn named_codes(source: &'static str) -> impl Iterator<Item = &'static str> {
        let bodies = source.split("fn ").filter(|part| ["code(", "row("].iter().any(|name| part.starts_with(name)));
        let is_code = |text: &&str| {
            text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') || *text == "busy"
        };
        bodies.flat_map(|body| body.split('"').skip(1).step_by(2)).filter(is_code)
    }

    #[test]
    fn every_code_of_a_verb_a_token_and_the_store_has_a_row() {
        let store = include_str!("../store/error.rs").split("pub enum OpenError").next().unwrap();
        let sources = [
            include_str!("../error/table.rs"),
            include_str!("../store/refresh.rs"),
            store,
            include_str!("../secrets/sealing.rs"),
            include_str!("../../../annul-core/src/token/error.rs"),
        ];
        let named: HashSet<_> = sources.into_iter().flat_map(named_codes).collect();
        assert!(named.len() > 70, "the sources are no longer read: {named:?}");
        let missing: Vec<_> = named.into_iter().filter(|name| Code::from_name(name).is_none()).collect();
        assert!(missing.is_empty(), "without a row: {missing:?}");
    }
}
