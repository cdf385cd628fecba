//! Sessions: opened by a backend that authenticated the user, used to get the next access token,
//! listed, ended.

mod documents;

use std::time::Duration;

use annul_core::position::Position;
use annul_core::target::TargetHash;
use annul_core::time::{UnixMillis, UnixSeconds};

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Chosen, Login, NewSession, Origin, ProofKey, RefreshBy, Session, SessionStatus};
use crate::secrets::random;
use crate::setup::TokenKey;
use crate::store::{Issuing, NotIssued, Opened, SessionView};
use crate::verbs::bounds;
use crate::verbs::minting::{Grant, Minted, Stamp, key_name};
use crate::verbs::next_token::{MOST_TRIES, NextToken};
use crate::verbs::refresh::Offer;
use crate::verbs::revocations::Revoked;

pub use documents::{DeviceBody, OneOrMany, OpenSession, SessionAnswer, SessionList, SessionState, TokenAnswer};

/// Uses of sessions held in memory before they are written.
const MOST_PENDING_USES: usize = 10_000;

impl Authority {
    /// Opens a session and issues its first access token.
    ///
    /// The session carries the position of the transaction that opened it, so a revocation that was
    /// acknowledged before does not reach it and one acknowledged after does. A session that would
    /// be revoked at once is not opened.
    pub async fn open_session(&self, caller: &Caller, request: OpenSession) -> Result<TokenAnswer, VerbError> {
        let (new, offer) = self.new_session(caller, request).await?;
        let _signing = self.signing_lock().read().await;
        let opened = self.store().open_session(caller.act("session.open", None), new).await?;
        self.first_answer(opened, offer).await
    }

    /// The first token of a session that was just opened. The caller holds the signing lock for
    /// reading since before that.
    pub(crate) async fn first_token(&self, opened: Opened) -> Result<TokenAnswer, VerbError> {
        if opened.repeated || self.setup().token_key == TokenKey::PerSubject {
            // The first attempt's token was judged long ago; this one is judged now. And the string
            // that a subject's key is derived from is read together with its session.
            return self.issue(&opened.session.sid).await;
        }
        let now = self.clock().millis();
        let standing = self.standing();
        let signer = standing.signer()?;
        let jti = match opened.family.as_ref().and_then(|family| family.current.jti()) {
            Some(jti) => jti.to_owned(),
            None => random::token_id(now)?,
        };
        let stamp = self.stamp_as(&opened.session, opened.session.position, now, jti);
        if stamp.expires <= stamp.issued {
            return Err(VerbError::SessionExpired);
        }
        let grant = Grant::of_session(&opened.session, &opened.subject, &opened.log);
        let kid = key_name(&opened.session, signer.kid());
        let draft = grant.draft(stamp, kid, &opened.log.settings, self.hash_key())?;
        let minted = draft.mint(&opened.session, &**signer, self.master())?;
        Ok(token_answer(&opened.session, minted))
    }

    /// The next access token of a session, with its claims as they are now.
    ///
    /// The session is judged first, then the token about to be issued, in the snapshot that the
    /// token's position comes from. A refusal ends nothing: what a lift revives can go on.
    pub async fn next_token(&self, sid: &str) -> Result<TokenAnswer, VerbError> {
        let _signing = self.signing_lock().read().await;
        self.issue(sid).await
    }

    /// A session.
    pub async fn session(&self, sid: &str) -> Result<SessionAnswer, VerbError> {
        let view = self.store().session(sid).await?.ok_or(VerbError::SessionUnknown)?;
        Ok(self.session_answer(view))
    }

    /// A subject's sessions, newest first.
    pub async fn sessions_of(&self, subject: &str) -> Result<SessionList, VerbError> {
        bounds::name("subject", subject)?;
        let views = self.store().sessions_of(subject).await?;
        Ok(SessionList { sessions: views.into_iter().map(|view| self.session_answer(view)).collect() })
    }

    /// Ends a session and its access tokens, for good. Ending it again answers with the entry that
    /// ended it.
    pub async fn end_session(&self, caller: &Caller, sid: &str, reason: Option<String>) -> Result<Revoked, VerbError> {
        bounds::reason(reason.as_deref())?;
        let appended = self.store().end_session(caller.act("session.end", reason), sid).await?;
        Ok(self.revoked(appended))
    }

    /// Logs out of a session: ends it and, in the same transaction, changes what the configuration
    /// lets a logout change in its subject's state. Of a session that has ended already nothing is
    /// changed.
    pub async fn log_out(&self, caller: &Caller, sid: &str, reason: Option<String>) -> Result<Revoked, VerbError> {
        let Some(change) = self.changed_by_logout() else { return self.end_session(caller, sid, reason).await };
        bounds::reason(reason.as_deref())?;
        let subject = self.store().session(sid).await?.ok_or(VerbError::SessionUnknown)?.session.subject;
        let act = caller.act("session.end", reason);
        let ends = Some(Chosen::Ends(sid.to_owned()));
        let appended = self.store().change_subject(act, &subject, change, ends).await?;
        Ok(self.revoked(appended))
    }

    /// Judges and signs. The caller holds the signing lock for reading.
    pub(crate) async fn issue(&self, sid: &str) -> Result<TokenAnswer, VerbError> {
        for _ in 0..MOST_TRIES {
            let now = self.clock().millis();
            let next = NextToken::at(self, now)?;
            let planned = next.clone();
            let plan = Box::new(move |issuing: &Issuing<'_>| -> Vec<TargetHash> {
                // A draft that cannot be made is refused below, where the error has a way out.
                let draft = planned.draft(issuing);
                draft.map(|draft| draft.facts.targets.iter().map(|(_, hash)| *hash).collect()).unwrap_or_default()
            });
            let snapshot = self.store().issuing_snapshot(sid, plan).await?.ok_or(VerbError::SessionUnknown)?;
            usable(&snapshot.status)?;
            let draft = match next.draft(&snapshot.issuing()) {
                Err(NotIssued::KeysChanged) => {
                    self.reload().await?;
                    continue;
                }
                drafted => drafted?,
            };
            if let Some(refusal) = draft.facts.judge(|hash| snapshot.access.get(hash).copied()) {
                return Err(VerbError::IssueRevoked(refusal));
            }
            let minted = next.sign(draft, &snapshot)?;
            let session = snapshot.session;
            self.note_use(&session, now).await?;
            return Ok(token_answer(&session, minted));
        }
        Err(VerbError::KeysChanging)
    }

    /// Writes down when sessions were last used.
    pub(crate) async fn write_uses(&self) -> Result<(), VerbError> {
        let pending: Vec<(String, UnixMillis)> = self.uses().drain().collect();
        if pending.is_empty() {
            return Ok(());
        }
        let written = self.store().note_uses(pending.clone()).await;
        if written.is_err() {
            // Kept for the next time; a newer use that came in meanwhile stands.
            let mut uses = self.uses();
            for (sid, time) in pending {
                uses.entry(sid).or_insert(time);
            }
        }
        Ok(written?)
    }

    /// Uses are held back and written in batches, but never so long that a session in use could
    /// look idle.
    pub(crate) async fn note_use(&self, session: &Session, now: UnixMillis) -> Result<(), VerbError> {
        let pending = {
            let mut uses = self.uses();
            uses.insert(session.sid.clone(), now);
            uses.len()
        };
        let unwritten = Duration::from_millis(now.0.saturating_sub(session.last_used.0));
        let is_due = session.idle_limit.is_some_and(|limit| unwritten > Duration::from_secs(limit) / 4);
        if is_due || pending >= MOST_PENDING_USES { self.write_uses().await } else { Ok(()) }
    }

    /// The session that a login opens, and the credential that it is given besides its first token.
    pub(crate) async fn new_session(
        &self,
        caller: &Caller,
        request: OpenSession,
    ) -> Result<(NewSession, Offer), VerbError> {
        let by = refresh_by(&request)?;
        bounds::name("subject", &request.subject)?;
        let client_id = request.client_id.unwrap_or_else(|| caller.actor().to_owned());
        bounds::name("client_id", &client_id)?;
        let scope = request.scope.as_deref().map(bounds::scope).transpose()?.map(|words| words.join(" "));
        let claims = bounds::with_roles(request.claims, request.roles);
        bounds::claims(&claims)?;
        let device = request.device.map(DeviceBody::checked).transpose()?;
        if let Some(proof_key) = &request.confirmation {
            bounds::thumbprint("confirmation", proof_key.thumbprint())?;
        }
        let audience = request.audience.map(Vec::from).unwrap_or_default();
        if self.store().client(&request.subject).await?.is_some() {
            return Err(VerbError::SubjectIsClient { name: request.subject });
        }
        let sid = random::name()?;
        let (family, offer) = self.offer(&sid, by)?;
        let login = Login { replaces: request.replaces, change: self.changed_by_login(), family };
        let new = NewSession {
            sid,
            subject: request.subject,
            client_id: Some(client_id),
            audience: bounds::audiences(audience, &self.setup().audience)?,
            scope: scope.filter(|scope| !scope.is_empty()),
            device,
            auth_time: request.auth_time.map_or_else(|| self.clock().seconds(), UnixSeconds),
            life: self.setup().session_longest.as_secs(),
            idle_limit: Some(self.setup().session_idle.as_secs()),
            claims,
            confirmation: request.confirmation,
            format: request.format,
            origin: Origin::Login(login),
        };
        Ok((new, offer))
    }

    pub(crate) fn stamp_as(&self, session: &Session, position: Position, now: UnixMillis, jti: String) -> Stamp {
        let issued = now.floor();
        let expires = issued.plus(self.token_life()).min(session.expires);
        Stamp { position, issued, expires, jti }
    }

    /// Seconds a token lives. Never longer than verifiers accept, whatever was configured first.
    pub(crate) fn token_life(&self) -> u64 {
        self.setup().token_life.as_secs().min(self.settings().longest_life)
    }

    pub(crate) fn session_answer(&self, view: SessionView) -> SessionAnswer {
        let SessionView { session, status } = view;
        let unwritten = self.uses().get(&session.sid).copied();
        let (state, ended_by) = match status {
            SessionStatus::Live => (SessionState::Live, None),
            SessionStatus::Ended => (SessionState::Ended, session.ended.as_ref().map(|ended| ended.at)),
            SessionStatus::Revoked(refusal) => (SessionState::Revoked, Some(refusal.at)),
            SessionStatus::Expired => (SessionState::Expired, None),
        };
        SessionAnswer {
            last_used: session.last_used.max(unwritten.unwrap_or_default()).floor().0,
            status: state,
            ended_by,
            reason: session.ended.and_then(|ended| ended.reason),
            sid: session.sid,
            subject: session.subject,
            client_id: session.client_id,
            device: session.device.map(DeviceBody::from),
            created: session.created.floor().0,
            auth_time: session.auth_time.0,
            expires_at: session.expires.0,
            position: session.position,
            claims: session.claims,
        }
    }
}

/// Whether a session may get a token.
pub(crate) fn usable(status: &SessionStatus) -> Result<(), VerbError> {
    match status {
        SessionStatus::Live => Ok(()),
        SessionStatus::Ended => Err(VerbError::SessionRevoked(None)),
        SessionStatus::Revoked(refusal) => Err(VerbError::SessionRevoked(Some(*refusal))),
        SessionStatus::Expired => Err(VerbError::SessionExpired),
    }
}

/// What renews the tokens of a session opened so.
fn refresh_by(request: &OpenSession) -> Result<Option<RefreshBy>, VerbError> {
    match (request.refresh_token, request.exchange) {
        (true, true) => {
            let why = "does not go with `refresh_token`: a session has one refresh credential".to_owned();
            Err(VerbError::Invalid { member: "exchange", why })
        }
        (true, false) => Ok(Some(RefreshBy::RefreshToken)),
        (false, true) => Ok(Some(RefreshBy::AccessToken)),
        (false, false) => Ok(None),
    }
}

fn token_answer(session: &Session, minted: Minted) -> TokenAnswer {
    let Minted { token, stamp } = minted;
    TokenAnswer {
        sid: session.sid.clone(),
        subject: session.subject.clone(),
        access_token: token,
        token_type: ProofKey::token_type(session.confirmation.as_ref()),
        refresh_token: None,
        refresh_token_expires_in: None,
        expires_in: stamp.expires.0.saturating_sub(stamp.issued.0),
        expires_at: stamp.expires.0,
        jti: stamp.jti,
        position: stamp.position,
    }
}
