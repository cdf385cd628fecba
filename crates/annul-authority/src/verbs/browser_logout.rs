//! Logging out through a browser (OpenID Connect RP-Initiated Logout 1.0): the application sends the
//! browser here with a token of the session, and says where the browser goes next.
//!
//! There are no ID tokens here, so the hint is an access token of the session, expired or not, or its
//! refresh token. It proves that whoever sent the browser had the session.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::TargetKind;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{NewRevocation, Presented, Recognised, SessionStatus, SubjectChange};
use crate::secrets::refresh_token::RefreshToken;
use crate::secrets::secret::Secret;
use crate::store::Revoke;
use crate::verbs::logout::LogoutScope;
use crate::verbs::revocations::Revoked;

/// A logout that an application asks for.
#[derive(Clone, Debug)]
pub struct HintedLogout {
    /// A token of the session.
    pub hint: Secret,
    /// The application, which has to be the session's client.
    pub client_id: Option<String>,
    /// Where the browser goes next: one of the addresses that the session's client registered.
    pub redirect: Option<String>,
    /// The session, or all of its user's.
    pub scope: LogoutScope,
}

/// What a hint says of its session.
struct Hinted {
    sid: String,
    client_id: Option<String>,
    subject: String,
    /// Whether whoever has the hint could still use it for something else than logging out: nothing shows
    /// here who holds the key of a bound one.
    is_good: bool,
}

impl Authority {
    /// Ends the session that the hint belongs to, or all sessions of its user. Doing it again answers the
    /// same and changes nothing. `None` when the session is forgotten by now, so that there is nothing to
    /// do.
    ///
    /// # Errors
    /// [`VerbError::HintRefused`] for a hint that proves nothing, [`VerbError::HintSpent`] for one that
    /// proves its own session only, or is bound to a key, where all are meant; and when client or address are not the
    /// session's. Then nothing was ended.
    pub async fn logout_by_hint(&self, request: HintedLogout) -> Result<Option<Revoked>, VerbError> {
        let hinted = self.hinted(request.hint.expose()).await?;
        let Some(hinted) = hinted else { return Ok(None) };
        let client_id = hinted.client_id.as_deref();
        if request.client_id.is_some() && request.client_id.as_deref() != client_id {
            let why = "is not the client that the session belongs to".to_owned();
            return Err(VerbError::Invalid { member: "client_id", why });
        }
        if let Some(redirect) = &request.redirect {
            self.admits_redirect(client_id.unwrap_or_default(), redirect).await?;
        }
        let caller = Caller::subject(&hinted.subject);
        match request.scope {
            LogoutScope::Local => self.log_out(&caller, &hinted.sid, Some("logout".to_owned())).await.map(Some),
            _ if !hinted.is_good => Err(VerbError::HintSpent),
            _ => self.log_out_everywhere(&caller, &hinted.subject).await.map(Some),
        }
    }

    async fn hinted(&self, hint: &str) -> Result<Option<Hinted>, VerbError> {
        let refused = || VerbError::HintRefused;
        if let Some(token) = RefreshToken::read(hint, self.master()) {
            let sid = token.sid();
            let Some(view) = self.store().session(&sid).await? else { return Ok(None) };
            let presented = Presented::RefreshToken { generation: token.generation(), hash: token.hash() };
            let family = self.store().family(&sid).await?;
            let now = self.clock().millis();
            let is_current = family.is_some_and(|known| known.recognise(&presented, now) == Recognised::Current);
            return Ok(Some(Hinted {
                sid,
                is_good: is_current && view.status == SessionStatus::Live && view.session.confirmation.is_none(),
                client_id: view.session.client_id,
                subject: view.session.subject,
            }));
        }
        // No session lives longer, so an older token is of none.
        let token = match self.verified(hint, self.setup().session_longest.as_secs()).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Err(refused()),
            Err(error) => return Err(error),
        };
        let sid = token.sid().filter(|_| token.is_own()).ok_or_else(refused)?.to_owned();
        let Some(view) = self.store().session(&sid).await? else { return Ok(None) };
        let is_late = token.expires() <= self.clock().seconds();
        let is_bound = token.claims().confirmations().next().is_some();
        let is_good = !is_late && !is_bound && self.is_active(&token).await?;
        let session = view.session;
        Ok(Some(Hinted { sid, client_id: session.client_id, subject: session.subject, is_good }))
    }

    /// Exactly one of the addresses that were registered: a part of one may be anybody's.
    async fn admits_redirect(&self, client_id: &str, redirect: &str) -> Result<(), VerbError> {
        let client = self.clients().find(self.store().as_ref(), client_id).await?;
        let registered = client.is_some_and(|client| {
            client.metadata.post_logout_redirect_uris.iter().any(|registered| registered == redirect)
        });
        if registered { Ok(()) } else { Err(VerbError::RedirectUnknown) }
    }

    async fn log_out_everywhere(&self, caller: &Caller, subject: &str) -> Result<Revoked, VerbError> {
        let act = caller.act("logout.global", Some("logout".to_owned()));
        if let Some(change) = self.changed_by_logout() {
            let change = SubjectChange { reach: Reach::Both, ..change };
            return self.change_subject(act, subject, change, None).await;
        }
        let target = self.own_target(TargetKind::Subject, subject)?;
        let (cutoff, reach) = (Cutoff::Now, Reach::Both);
        let all = NewRevocation { target, cutoff, reach, exp: None, until: None, reason: Some("logout".to_owned()) };
        let appended = self.store().revoke(act, Revoke { revocations: vec![all], keep: None }).await?;
        Ok(self.revoked(appended))
    }
}
