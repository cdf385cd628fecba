//! Tokens at the authority: verified by its own keys, judged by the store, re-stamped.

use std::sync::Arc;

use annul_core::algebra::{HitCutoff, Refusal};
use annul_core::position::Position;
use annul_core::target::{Target, TargetHash, TargetKind};
use annul_core::token::{
    Algorithm, Expect, Introspectable, KeySet, TokenError, UnverifiedToken, VerifiedToken, opaque,
};
use annul_core::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::authority::Authority;
use crate::error::VerbError;
use crate::model::SessionStatus;
use crate::secrets::reference_token::ReferenceToken;
use crate::secrets::secret::Secret;
use crate::secrets::signing::SigningError;
use crate::store::{Issuing, JudgingSnapshot, SessionView};
use crate::verbs::bounds;
use crate::verbs::minting::{Draft, Grant, REFERENCE_KEY, Stamp};

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

/// A token judged in one snapshot of the store.
pub(crate) struct Judged {
    pub(crate) position: Position,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) snapshot: JudgingSnapshot,
}

impl Authority {
    /// A fresh verdict: everything acknowledged before the call is in it. An active own token comes
    /// back re-stamped where that is asked for and its session can be used: same `jti`, session,
    /// `auth_time` and `exp`, new `iat` and position. An own token that names a session which is not on
    /// record is refused: only this place can know that it was never opened here.
    pub async fn check_token(&self, request: CheckRequest) -> Result<CheckAnswer, VerbError> {
        let refused = |code, position| CheckAnswer {
            verdict: CheckVerdict::Refused,
            code: Some(code),
            refusal: None,
            position,
            claims: None,
            key: None,
            access_token: None,
        };
        let token = match self.verified(request.token.expose(), self.settings().max_leeway).await {
            Ok(token) => token,
            Err(VerbError::Token(error)) => return Ok(refused(error.code(), None)),
            Err(error) => return Err(error),
        };
        let _signing = self.signing_lock().read().await;
        let judged = match self.judge(&token).await {
            Ok(judged) => judged,
            Err(VerbError::Token(error)) => return Ok(refused(error.code(), None)),
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
        if token.is_own() && token.sid().is_some() && judged.snapshot.session.is_none() {
            return Ok(refused("session_unknown", Some(judged.position)));
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

    /// Verifies a token of ours or of an accepted issuer, for whatever audience: here it is an object
    /// that callers ask about, and grants nothing.
    pub(crate) async fn verified(&self, token: &str, leeway: u64) -> Result<VerifiedToken, VerbError> {
        if opaque::is_reference(token) {
            return self.resolved(token, leeway).await;
        }
        self.or_by_subject_key(self.verify(token, leeway), token, leeway).await
    }

    /// The same with the leeway of introspection, where a token asked about before is known. Whether it
    /// is revoked is still to be judged. A reference token is resolved each time, and a token signed with
    /// its subject's own key verified each time: what it says and that key change with the session and
    /// the subject.
    pub(crate) async fn known_or_verified(&self, token: &str) -> Result<VerifiedToken, VerbError> {
        let (standing, now) = (self.standing(), self.clock().seconds());
        let leeway = standing.settings.clock_skew;
        if opaque::is_reference(token) {
            return self.resolved(token, leeway).await;
        }
        if let Some(known) = self.facts().find(token, standing.number, now, |_| false) {
            return Ok(known);
        }
        let verified = self.verify(token, leeway);
        if let Ok(verified) = &verified {
            self.facts().keep(verified, standing.number, now);
        }
        self.or_by_subject_key(verified, token, leeway).await
    }

    async fn or_by_subject_key(
        &self,
        verified: Result<VerifiedToken, TokenError>,
        token: &str,
        leeway: u64,
    ) -> Result<VerifiedToken, VerbError> {
        match verified {
            // What verifiers say of a token signed with a key of its subject's own.
            Err(TokenError::AlgNotAllowed) => self.verify_by_subject_key(token, leeway).await,
            verified => verified.map_err(VerbError::Token),
        }
    }

    /// A reference token and what it stands for: the claims of its session as they are now. Forged and
    /// expired ones reach no store.
    async fn resolved(&self, text: &str, leeway: u64) -> Result<VerifiedToken, VerbError> {
        let refused = |error| Err(VerbError::Token(error));
        let Some(token) = ReferenceToken::read(text, self.master()) else {
            return refused(TokenError::SignatureInvalid);
        };
        let now = self.clock().seconds();
        if token.expires.plus(leeway) <= now {
            return refused(TokenError::Expired);
        }
        let nothing = Box::new(|_: &Issuing<'_>| Vec::new());
        let Some(snapshot) = self.store().issuing_snapshot(&token.sid, nothing).await? else {
            return refused(TokenError::Expired);
        };
        let (session, settings) = (&snapshot.session, &snapshot.log.settings);
        let ReferenceToken { position, issued, expires, jti, .. } = token;
        let stamp = Stamp { position, issued, expires, jti };
        let draft = Grant::of_session(session, &snapshot.subject, &snapshot.log).draft(
            stamp,
            REFERENCE_KEY,
            settings,
            self.hash_key(),
        )?;
        let audience = session.audience.first().map(String::as_str).unwrap_or_default();
        let expect = Expect::own(self.issuer(), audience).with_leeway(leeway).with_longest_life(settings.longest_life);
        Introspectable::of(text, &expect, now)
            .and_then(|token| token.on_the_word_of(REFERENCE_KEY, Some(draft.members()), now))
            .map_err(VerbError::Token)
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
            let names_killed_key = unverified.header().kid().is_some_and(|kid| standing.owns(kid));
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
            Some(secrets) if unverified.header().alg().is_symmetric() => secrets,
            _ => &foreign.keys,
        };
        unverified.verify(keys, &expect, now)
    }

    /// Whether nothing revokes a verified token, by everything acknowledged before the call.
    pub(crate) async fn is_active(&self, token: &VerifiedToken) -> Result<bool, VerbError> {
        // A reference is as good as its session, which is in the store.
        let view = self.own_view().filter(|_| token.key_id() != REFERENCE_KEY);
        let verdict = view.map(|view| view.check(token.clone()).verdict());
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
    pub(crate) async fn judge(&self, token: &VerifiedToken) -> Result<Judged, VerbError> {
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
            let refusal = facts.judge(cell).or_else(by_session).or_else(|| {
                let view = snapshot.session.as_ref().filter(|_| token.key_id() == REFERENCE_KEY)?;
                refusal_of(view)
            });
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

    pub(crate) fn own_target(&self, kind: TargetKind, name: &str) -> Result<Target, VerbError> {
        Target::one(self.issuer(), kind, name).map_err(|error| VerbError::Target { text: name.to_owned(), error })
    }
}

/// What is said against a token whose group, or other claim to be asked about, has an entry: nothing
/// while its session can be used, else the entry that ended the session, where there is one. A token
/// from before the entry that its session was kept through is refused by that entry.
fn by_session(asked: Refusal, issued: Option<Position>, view: Option<&SessionView>) -> Option<Refusal> {
    let Some(view) = view else { return Some(asked) };
    match view.status {
        SessionStatus::Live => (issued < Some(view.session.position)).then_some(Refusal {
            kind: TargetKind::Session,
            cutoff: HitCutoff::Position,
            at: view.session.position,
        }),
        SessionStatus::Revoked(_) | SessionStatus::Ended | SessionStatus::Expired => {
            Some(refusal_of(view).unwrap_or(asked))
        }
    }
}

/// The entry that ended or revokes a session.
fn refusal_of(view: &SessionView) -> Option<Refusal> {
    match view.status {
        SessionStatus::Live | SessionStatus::Expired => None,
        SessionStatus::Revoked(refusal) => Some(refusal),
        SessionStatus::Ended => {
            let at = view.session.ended.as_ref()?.at;
            Some(Refusal { kind: TargetKind::Session, cutoff: HitCutoff::Always, at })
        }
    }
}
