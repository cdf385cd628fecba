//! Tokens at the authority: verified by its own keys, judged by the store, re-stamped, introspected,
//! issued to machines, and used by their bearers to log out.

use std::sync::Arc;

use annul_core::algebra::{Cutoff, HitCutoff, Reach, Refusal};
use annul_core::position::Position;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::token::{Algorithm, Expect, KeySet, TokenError, UnverifiedToken, VerifiedToken};
use annul_core::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Chosen, GrantType, NewRevocation, ProofKey, SessionStatus, SubjectChange};
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::secrets::signing::SigningError;
use crate::store::{JudgingSnapshot, Refused, Revoke, SessionView, StoreError};
use crate::verbs::bounds;
use crate::verbs::clients::OWN_SCOPES;
use crate::verbs::minting::{Draft, Grant, Stamp};
use crate::verbs::oauth_clients::OAuthClient;
use crate::verbs::revocations::{Revoked, Wait};

/// The subject and client of canary tokens, which no service has a use for.
pub const CANARY: &str = "annul-canary";
/// Seconds a canary token lives: longer than any doctor waits.
const CANARY_LIFE: u64 = 60;
/// How often a check is tried anew because the settings changed meanwhile.
const MOST_TRIES: usize = 4;

/// A token to be checked.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The token.
    #[schema(value_type = String)]
    pub token: Secret,
    /// Whether an active own token is wanted back with a new position.
    #[serde(default)]
    pub restamp: bool,
}

/// What a check found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// Whether the token may be used.
    pub verdict: CheckVerdict,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What revokes it.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The log's head that the verdict is of. Absent when the token was refused without a look at
    /// the log.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The claims of an active token.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Map<String, Value>>,
    /// The id of the key that verified an active token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The same token with a new position.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Secret>,
}

/// Whether a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Nothing revokes it.
    Active,
    /// Something revokes it.
    Revoked,
    /// It is no valid token of an accepted issuer.
    Refused,
}

/// An introspection answer (RFC 7662): a token that is not active has `active` and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether the token may be used.
    pub active: bool,
    /// The members of an active token.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub members: Map<String, Value>,
}

/// An access token for a client itself (RFC 6749 §4.4).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientToken {
    /// The token.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// `Bearer`, or `DPoP` for a token bound to a key that signs proofs.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// The scope granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// How far a user logs out.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogoutRequest {
    /// This session, this device, all others, or all.
    #[serde(default)]
    pub scope: LogoutScope,
    /// How long the answer may wait for verifiers to confirm.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// How far a user logs out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogoutScope {
    /// The session of the token.
    #[default]
    Local,
    /// Every session of the user on the device that the token names, and every token from before.
    Device,
    /// Every session of the user but this one.
    Others,
    /// Every session of the user.
    Global,
}

/// A token judged in one snapshot of the store.
struct Judged {
    position: Position,
    refusal: Option<Refusal>,
    snapshot: JudgingSnapshot,
}

impl Authority {
    /// A fresh verdict: everything acknowledged before the call is in it. An active own token comes
    /// back re-stamped where that is asked for and its session can be used: same `jti`, session,
    /// `auth_time` and `exp`, new `iat` and position.
    pub async fn check_token(&self, request: CheckRequest) -> Result<CheckAnswer, VerbError> {
        let refused = |error: &TokenError| CheckAnswer {
            verdict: CheckVerdict::Refused,
            code: Some(error.code()),
            refusal: None,
            position: None,
            claims: None,
            key: None,
            access_token: None,
        };
        let token = match self.verified(request.token.expose(), self.settings().max_leeway).await {
            Ok(token) => token,
            Err(VerbError::Token(error)) => return Ok(refused(&error)),
            Err(error) => return Err(error),
        };
        let _signing = self.signing_lock().read().await;
        let judged = match self.judge(&token).await {
            Ok(judged) => judged,
            Err(VerbError::Token(error)) => return Ok(refused(&error)),
            Err(error) => return Err(error),
        };
        if judged.refusal.is_some() {
            return Ok(CheckAnswer {
                verdict: CheckVerdict::Revoked,
                code: Some("token_revoked"),
                refusal: judged.refusal,
                position: Some(judged.position),
                claims: None,
                key: None,
                access_token: None,
            });
        }
        let access_token = if request.restamp { self.restamp(&token, &judged)? } else { None };
        Ok(CheckAnswer {
            verdict: CheckVerdict::Active,
            code: None,
            refusal: None,
            position: Some(judged.position),
            claims: Some(token.claims().map().clone()),
            key: Some(token.key_id().to_owned()),
            access_token,
        })
    }

    /// Whether a token is active, and if so what it says (RFC 7662). A token that is not active for
    /// whatever reason is told from none other.
    pub async fn introspect(&self, token: &str) -> Result<Introspection, VerbError> {
        let inactive = Introspection::default();
        let token = match self.verified(token, self.settings().clock_skew).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Ok(inactive),
            Err(error) => return Err(error),
        };
        if !self.is_active(&token).await? {
            return Ok(inactive);
        }
        let claims = token.claims();
        let mut members = Map::new();
        for name in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "cnf", "sid", "auth_time"] {
            if let Some(value) = claims.get(name) {
                members.insert(name.to_owned(), value.clone());
            }
        }
        let by_proof = claims.get("cnf").and_then(|cnf| cnf.get("jkt")).is_some();
        members.insert("token_type".to_owned(), Value::from(if by_proof { "DPoP" } else { "Bearer" }));
        Ok(Introspection { active: true, members })
    }

    /// A token for a client itself. Its subject is the client's id, which no user can have. Scopes
    /// of this authority's own endpoints are in no token: those are called with the secret.
    pub async fn client_credentials(
        &self,
        client: &OAuthClient,
        scope: Option<&str>,
        audience: Vec<String>,
    ) -> Result<ClientToken, VerbError> {
        client.require_grant(GrantType::ClientCredentials)?;
        let own = |word: &&str| OWN_SCOPES.contains(word);
        let granted: Vec<&str> = match scope.filter(|scope| !scope.trim().is_empty()) {
            Some(scope) => {
                let words = bounds::scope(scope)?;
                let refused = words.iter().find(|word| own(word) || !client.scopes.contains(**word));
                if let Some(refused) = refused {
                    return Err(VerbError::InvalidScope { scope: (*refused).to_owned() });
                }
                words
            }
            None => client.scopes.iter().map(String::as_str).filter(|word| !own(word)).collect(),
        };
        let granted = Some(granted.join(" ")).filter(|scope| !scope.is_empty());
        let audience = bounds::audiences(audience, &self.setup().audience)?;
        let now = self.clock().seconds();
        let grant = Grant {
            subject: &client.client_id,
            client_id: &client.client_id,
            audience: &audience,
            auth_time: now,
            scope: granted.as_deref(),
            session: None,
            proof: client.proof.as_ref(),
            state: Map::new(),
            group: None,
        };
        let (token, stamp) =
            self.issue_without_session(&grant, random::token_id(self.clock().millis())?, self.token_life()).await?;
        // Read after the token got its position: a client that is still there, and not blocked, is
        // removed or blocked later, and the entry that comes with that reaches this token.
        if self.store().client(&client.client_id).await?.is_none() {
            return Err(VerbError::InvalidClient);
        }
        let subject = self.store().subject(self.own_target(TargetKind::Subject, &client.client_id)?).await?;
        if let Some(at) = subject.blocked {
            return Err(StoreError::from(Refused::SubjectBlocked { at }).into());
        }
        let expires_in = stamp.expires.0 - stamp.issued.0;
        let token_type = ProofKey::token_type(client.proof.as_ref());
        Ok(ClientToken { access_token: token, token_type, expires_in, scope: granted })
    }

    /// Logs the bearer of an own token out. The token proves who they are, so it must be active;
    /// only logging out of a session that has ended already is answered with its entry.
    pub async fn logout(&self, token: &str, request: LogoutRequest) -> Result<Revoked, VerbError> {
        let token = self.verified(token, self.settings().clock_skew).await.map_err(as_bearer)?;
        if !token.is_own() {
            return Err(VerbError::Bearer(TokenError::IssuerMismatch));
        }
        let judged = self.judge(&token).await.map_err(as_bearer)?;
        let ended = judged.snapshot.session.as_ref().is_some_and(|view| view.status == SessionStatus::Ended);
        let is_repeat = ended && request.scope == LogoutScope::Local;
        if let Some(refusal) = judged.refusal.filter(|_| !is_repeat) {
            return Err(VerbError::TokenRevoked(refusal));
        }
        let subject = token.subject().unwrap_or_default();
        let caller = Caller::subject(subject);
        let reason = Some("logout".to_owned());
        let (target, keep) = match (request.scope, token.sid()) {
            (LogoutScope::Local, Some(sid)) => return self.log_out(&caller, sid, reason).await,
            (LogoutScope::Local, None) => (token.token_target(), None),
            (LogoutScope::Device, _) => (self.device_target(&token)?, None),
            (LogoutScope::Others, sid) => (self.own_target(TargetKind::Subject, subject)?, sid.map(str::to_owned)),
            (LogoutScope::Global, _) => (self.own_target(TargetKind::Subject, subject)?, None),
        };
        let action = match request.scope {
            LogoutScope::Local => "logout.local",
            LogoutScope::Device => "logout.device",
            LogoutScope::Others => "logout.others",
            LogoutScope::Global => "logout.global",
        };
        let is_cut_off = matches!(target.kind(), TargetKind::Subject | TargetKind::Device);
        if is_cut_off && let Some(change) = self.changed_by_logout() {
            let act = caller.act(action, reason);
            return match (request.scope, token.device()) {
                (LogoutScope::Device, Some(device)) => {
                    let ends = Some(Chosen::DeviceEnds(device.to_owned()));
                    let appended = self.store().change_subject(act, subject, change, ends).await?;
                    self.revoked(appended).await
                }
                _ => self.change_subject(act, subject, SubjectChange { reach: Reach::Both, ..change }, keep).await,
            };
        }
        let cutoff = if is_cut_off { Cutoff::Now } else { Cutoff::Always };
        let revocation =
            NewRevocation { target, cutoff, reach: Reach::Both, exp: None, until: None, reason: reason.clone() };
        let revoke = Revoke { revocations: vec![revocation], keep: keep.clone() };
        let appended = self.store().revoke(caller.act(action, reason), revoke).await?;
        // The bearer's own token is older than the entry, so a kept session's next one comes along.
        self.revoked_keeping(appended, keep).await
    }

    /// A token for the doctor: nobody's, short-lived, for these audiences.
    pub async fn canary_token(&self, id: &str, audience: Vec<String>) -> Result<Secret, VerbError> {
        let audience = bounds::audiences(audience, &self.setup().audience)?;
        let grant = Grant {
            subject: CANARY,
            client_id: CANARY,
            audience: &audience,
            auth_time: self.clock().seconds(),
            scope: None,
            session: None,
            proof: None,
            state: Map::new(),
            group: None,
        };
        Ok(self.issue_without_session(&grant, id.to_owned(), CANARY_LIFE.min(self.token_life())).await?.0)
    }

    /// Revokes a canary token.
    pub async fn revoke_canary(&self, caller: &Caller, id: &str) -> Result<Revoked, VerbError> {
        let revocation = NewRevocation {
            target: self.own_target(TargetKind::Token, id)?,
            cutoff: Cutoff::Always,
            reach: Reach::Access,
            exp: Some(self.clock().seconds().plus(CANARY_LIFE)),
            until: None,
            reason: Some("doctor".to_owned()),
        };
        let revoke = Revoke { revocations: vec![revocation], keep: None };
        let appended = self.store().revoke(caller.act("doctor", None), revoke).await?;
        self.revoked(appended).await
    }

    /// Verifies a token of ours or of an accepted issuer, for whatever audience: here it is an object
    /// that callers ask about, and grants nothing.
    pub(crate) async fn verified(&self, token: &str, leeway: u64) -> Result<VerifiedToken, VerbError> {
        match self.verify(token, leeway) {
            // What verifiers say of a token signed with a key of its subject's own.
            Err(TokenError::AlgNotAllowed) => self.verify_by_subject_key(token, leeway).await,
            verified => verified.map_err(VerbError::Token),
        }
    }

    async fn verify_by_subject_key(&self, token: &str, leeway: u64) -> Result<VerifiedToken, VerbError> {
        let refused = VerbError::Token(TokenError::AlgNotAllowed);
        let unverified = UnverifiedToken::parse(token).map_err(VerbError::Token)?;
        let standing = self.standing();
        let (Ok(secret), Some(subject)) = (standing.subject_secret(), unverified.claims().sub()) else {
            return Err(refused);
        };
        if unverified.claims().iss() != Some(self.issuer()) || bounds::name("sub", subject).is_err() {
            return Err(refused);
        }
        let now = self.clock().seconds();
        // The subject's string is read from the store, and not for what is over.
        if unverified.claims().exp().is_some_and(|exp| exp.plus(leeway) <= now) {
            return Err(VerbError::Token(TokenError::Expired));
        }
        let audience = unverified.claims().aud().first().copied().unwrap_or_default().to_owned();
        let state = self.store().subject(self.own_target(TargetKind::Subject, subject)?).await?;
        let key = secret.key_of(self.issuer(), subject, &state.key).verifier();
        let key = key.map_err(|_| VerbError::Signing(SigningError::Document))?;
        let expect = Expect::own(self.issuer(), audience)
            .with_algorithms([Algorithm::Hs256])
            .with_leeway(leeway)
            .with_longest_life(standing.settings.longest_life);
        unverified.verify(&KeySet::from_iter([key]), &expect, now).map_err(VerbError::Token)
    }

    fn verify(&self, token: &str, leeway: u64) -> Result<VerifiedToken, TokenError> {
        let unverified = UnverifiedToken::parse(token)?;
        let claims = unverified.claims();
        let issuer = claims.iss().ok_or(TokenError::IssuerMismatch)?.to_owned();
        let audience = claims.aud().first().copied().unwrap_or_default().to_owned();
        let standing = self.standing();
        let now = self.clock().seconds();
        if issuer == standing.settings.issuer {
            let expect =
                Expect::own(issuer, audience).with_leeway(leeway).with_longest_life(standing.settings.longest_life);
            // Every own key that is known and not published was killed.
            let names_killed_key = unverified.header().kid.as_deref().is_some_and(|kid| standing.owns(kid));
            return match unverified.verify(&standing.own_keys, &expect, now) {
                Err(TokenError::KeyUnknown) if names_killed_key => Err(TokenError::KeyKilled),
                verified => verified,
            };
        }
        let foreign = standing.foreign.get(&issuer).ok_or(TokenError::IssuerMismatch)?;
        let record = &foreign.config.record;
        let mut expect = Expect::foreign(issuer, audience)
            .with_leeway(leeway)
            .with_longest_life(record.longest_life)
            .with_skew(record.skew)
            .with_claim_names(record.claims.clone());
        if record.requires_jti {
            expect = expect.requiring_jti();
        }
        let keys: &KeySet = match self.secrets_of(&record.issuer) {
            Some(secrets) if unverified.header().alg.is_symmetric() => secrets,
            _ => &foreign.keys,
        };
        unverified.verify(keys, &expect, now)
    }

    /// Whether nothing revokes a verified token, by everything acknowledged before the call.
    async fn is_active(&self, token: &VerifiedToken) -> Result<bool, VerbError> {
        let verdict = self.own_view().map(|view| view.check(token.clone(), self.clock().moment()).verdict().clone());
        match verdict {
            Some(Verdict::Active { .. }) => return Ok(true),
            Some(Verdict::Revoked(_)) => return Ok(false),
            // The store has more to judge by, the session among it.
            Some(Verdict::Indeterminate(_)) | None => {}
        }
        match self.judge(token).await {
            Ok(judged) => Ok(judged.refusal.is_none()),
            Err(VerbError::Token(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Judges a verified token in one snapshot: by all its targets, and, where an entry stands on an
    /// `ask_on` claim, by its session.
    async fn judge(&self, token: &VerifiedToken) -> Result<Judged, VerbError> {
        for _ in 0..MOST_TRIES {
            let facts = token.facts(&self.settings(), self.hash_key()).map_err(VerbError::Token)?;
            let hashes: Vec<TargetHash> = facts.targets.iter().chain(&facts.asks).map(|(_, hash)| *hash).collect();
            let sid = token.sid().filter(|_| token.is_own()).map(str::to_owned);
            let snapshot = self.store().judging_snapshot(hashes, sid).await?;
            if snapshot.log.settings.revision != facts.revision {
                self.reload().await?;
                continue;
            }
            let cell = |hash: &TargetHash| snapshot.access.get(hash).copied();
            let asked = facts.asks.iter().find_map(|(kind, hash)| {
                let hit = cell(hash)?.judge(&facts.reading)?;
                Some(Refusal { kind: *kind, cutoff: hit.cutoff, at: hit.at })
            });
            let by_session = || by_session(asked?, facts.lpos, snapshot.session.as_ref());
            let refusal = facts.judge(cell).or_else(by_session);
            return Ok(Judged { position: snapshot.log.head.at, refusal, snapshot });
        }
        Err(VerbError::KeysChanging)
    }

    /// The same token with a new position, if its session can be used. The caller holds the signing
    /// lock for reading and has judged the token.
    fn restamp(&self, token: &VerifiedToken, judged: &Judged) -> Result<Option<Secret>, VerbError> {
        let now = self.clock().seconds();
        let session_is_over = match &judged.snapshot.session {
            Some(view) => view.status != SessionStatus::Live,
            None => token.sid().is_some(),
        };
        let standing = self.standing();
        // A token within its leeway has no life left to be stamped, and one that no verifier can verify
        // is asked about every time.
        let stampable = token.is_own() && standing.owns(token.key_id()) && token.expires() > now;
        let (true, Some(jti)) = (stampable && !session_is_over, token.jti()) else {
            return Ok(None);
        };
        let signer = Arc::clone(standing.signer()?);
        let stamp = Stamp { position: judged.position, issued: now, expires: token.expires(), jti: jti.to_owned() };
        let draft = Draft::of(
            token.claims().map().clone(),
            stamp,
            signer.kid(),
            &judged.snapshot.log.settings,
            self.hash_key(),
        )?;
        if draft.facts.judge(|hash| judged.snapshot.access.get(hash).copied()).is_some() {
            return Ok(None);
        }
        Ok(Some(draft.sign(&*signer)?.token))
    }

    /// Judges and signs a token that belongs to no session.
    async fn issue_without_session(
        &self,
        grant: &Grant<'_>,
        jti: String,
        life: u64,
    ) -> Result<(Secret, Stamp), VerbError> {
        let _signing = self.signing_lock().read().await;
        let standing = self.standing();
        let signer = standing.signer()?;
        let issued = self.clock().seconds();
        let stamp = |position| Stamp { position, issued, expires: issued.plus(life), jti: jti.clone() };
        // The targets do not depend on the position, so they can be asked for before it is known.
        let draft = grant.draft(stamp(Position::default()), signer.kid(), &standing.settings, self.hash_key())?;
        let hashes = draft.facts.targets.iter().map(|(_, hash)| *hash).collect();
        let snapshot = self.store().judging_snapshot(hashes, None).await?;
        let draft = grant.draft(stamp(snapshot.log.head.at), signer.kid(), &standing.settings, self.hash_key())?;
        if let Some(refusal) = draft.facts.judge(|hash| snapshot.access.get(hash).copied()) {
            return Err(VerbError::IssueRevoked(refusal));
        }
        let minted = draft.sign(&**signer)?;
        Ok((minted.token, minted.stamp))
    }

    fn device_target(&self, token: &VerifiedToken) -> Result<Target, VerbError> {
        let named = token.subject().zip(token.device());
        let (subject, device) = named.ok_or_else(|| VerbError::Invalid {
            member: "scope",
            why: "`device` needs a token that names its device; log out `local`, `others` or `global`".to_owned(),
        })?;
        Target::two(self.issuer(), TargetKind::Device, subject, device)
            .map_err(|error| VerbError::Target { text: device.to_owned(), error })
    }

    pub(crate) fn own_target(&self, kind: TargetKind, name: &str) -> Result<Target, VerbError> {
        Target::one(self.issuer(), kind, name).map_err(|error| VerbError::Target { text: name.to_owned(), error })
    }
}

/// What is said against a token whose group, or other claim to be asked about, has an entry: nothing
/// while its session can be used, else the entry that ended the session, where there is one. A token
/// from before the entry that its session was kept through is refused by that entry.
fn by_session(asked: Refusal, issued: Option<Position>, session: Option<&SessionView>) -> Option<Refusal> {
    let Some(SessionView { session, status }) = session else { return Some(asked) };
    let ended = |at| Refusal { kind: TargetKind::Session, cutoff: HitCutoff::Always, at };
    match status {
        SessionStatus::Live => (issued < Some(session.position)).then_some(Refusal {
            kind: TargetKind::Session,
            cutoff: HitCutoff::Position,
            at: session.position,
        }),
        SessionStatus::Revoked(refusal) => Some(*refusal),
        SessionStatus::Ended => Some(session.ended.as_ref().map_or(asked, |end| ended(end.at))),
        SessionStatus::Expired => Some(asked),
    }
}

fn as_bearer(error: VerbError) -> VerbError {
    match error {
        VerbError::Token(error) => VerbError::Bearer(error),
        other => other,
    }
}
