//! Revocation by the client that a token was issued to (RFC 7009).

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::TargetKind;
use annul_core::token::VerifiedToken;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{NewRevocation, RefreshBy, Session, SessionStatus};
use crate::secrets::refresh_token::RefreshToken;
use crate::store::{Appended, Revoke, SessionView};
use crate::verbs::oauth_clients::OAuthClient;
use crate::verbs::refresh::RefreshRevocation;

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRevocation {
    /// It is revoked, and so is what depends on it. That is on disk.
    Revoked,
    /// There was nothing to do: it is none of ours, has expired, or was revoked before.
    Nothing,
}

impl Authority {
    /// Revokes a token of the calling client's: a refresh token with its session, or with all that its
    /// user has, as configured; an access token alone, or with its session, as the client was
    /// registered or where the token is its own refresh credential. After this every verifier refuses it
    /// within the bound, and nothing is issued for it any more: one that renews its session ends that also
    /// when it has expired or is revoked itself.
    ///
    /// What does not verify changes nothing, so that nobody can fill the log.
    ///
    /// # Errors
    /// [`VerbError::TokenOfAnother`] for a token that was issued to somebody else, which stays as it is;
    /// the attempt is in the audit.
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        client: &OAuthClient,
        token: &str,
    ) -> Result<TokenRevocation, VerbError> {
        if let Some(token) = RefreshToken::read(token, self.master()) {
            return self.revoke_refresh_token(caller, client, &token).await;
        }
        // Past its expiry it may still be what renews its session, which no token outlives by more.
        let token = match self.verified(token, self.setup().session_longest.as_secs()).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Ok(TokenRevocation::Nothing),
            Err(error) => return Err(error),
        };
        let is_this_clients = token.is_own() && token.client() == Some(client.client_id.as_str());
        // A verifier may still accept it within its leeway, so within the largest it is revoked.
        if token.expires().plus(self.settings().max_leeway) <= self.clock().seconds() {
            return if is_this_clients {
                self.end_what_it_renews(caller, &token).await
            } else {
                Ok(TokenRevocation::Nothing)
            };
        }
        let judged = match self.judge(&token).await {
            Ok(judged) => judged,
            Err(VerbError::Token(_)) => return Ok(TokenRevocation::Nothing),
            Err(error) => return Err(error),
        };
        if !is_this_clients {
            return self.not_this_clients(caller, Some(token.token_target().text(self.issuer()))).await;
        }
        if judged.refusal.is_some() {
            return self.end_what_it_renews(caller, &token).await;
        }
        match judged.snapshot.session {
            Some(view) if ends_with_its_token(client, &view.session) => self.end_by_token(caller, &view).await,
            _ => self.revoke_access_token(caller, &token).await,
        }
    }

    /// A token that nobody accepts may still be exchanged for the next, now or once its window opens. Then its
    /// session ends, and no other: an old token proves little.
    async fn end_what_it_renews(&self, caller: &Caller, token: &VerifiedToken) -> Result<TokenRevocation, VerbError> {
        if self.setup().refresh.exchange.is_over(self.clock().seconds(), token.expires()) {
            return Ok(TokenRevocation::Nothing);
        }
        let Some(sid) = token.sid() else { return Ok(TokenRevocation::Nothing) };
        let view = self.store().session(sid).await?.filter(|view| view.status != SessionStatus::Ended);
        if view.is_none_or(|view| view.session.refresh_by != Some(RefreshBy::AccessToken)) {
            return Ok(TokenRevocation::Nothing);
        }
        self.store().end_session(caller.act("token.revoke", None), sid).await?;
        Ok(TokenRevocation::Revoked)
    }

    async fn revoke_refresh_token(
        &self,
        caller: &Caller,
        client: &OAuthClient,
        token: &RefreshToken,
    ) -> Result<TokenRevocation, VerbError> {
        let Some(view) = self.store().session(&token.sid()).await? else { return Ok(TokenRevocation::Nothing) };
        if view.session.client_id.as_deref() != Some(client.client_id.as_str()) {
            let session = self.own_target(TargetKind::Session, &view.session.sid)?;
            return self.not_this_clients(caller, Some(session.text(self.issuer()))).await;
        }
        if view.status == SessionStatus::Ended {
            return Ok(TokenRevocation::Nothing);
        }
        self.end_by_token(caller, &view).await
    }

    async fn end_by_token(&self, caller: &Caller, view: &SessionView) -> Result<TokenRevocation, VerbError> {
        let act = caller.act("token.revoke", None);
        match (self.setup().refresh.revocation, &view.status) {
            (RefreshRevocation::Subject, SessionStatus::Live) => {
                let target = self.own_target(TargetKind::Subject, &view.session.subject)?;
                let (cutoff, reach) = (Cutoff::Now, Reach::Both);
                let all = NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None };
                self.store().revoke(act, Revoke { revocations: vec![all], keep: None }).await?
            }
            // One that is merely revoked is ended, so that no lift revives it, and alone: said again, it must
            // not take the logins along that came meanwhile.
            _ => self.store().end_session(act, &view.session.sid).await?,
        };
        Ok(TokenRevocation::Revoked)
    }

    async fn revoke_access_token(&self, caller: &Caller, token: &VerifiedToken) -> Result<TokenRevocation, VerbError> {
        let one = NewRevocation {
            target: token.token_target(),
            cutoff: Cutoff::Always,
            reach: Reach::Access,
            exp: Some(token.expires()),
            until: None,
            reason: None,
        };
        let revoke = Revoke { revocations: vec![one], keep: None };
        let _: Appended = self.store().revoke(caller.act("token.revoke", None), revoke).await?;
        Ok(TokenRevocation::Revoked)
    }

    async fn not_this_clients(&self, caller: &Caller, target: Option<String>) -> Result<TokenRevocation, VerbError> {
        self.store().note(caller.step("token.revoke.other_client", None), target).await?;
        Err(VerbError::TokenOfAnother)
    }
}

/// An access token that is its own refresh credential cannot be revoked alone: it would still be
/// exchanged.
fn ends_with_its_token(client: &OAuthClient, session: &Session) -> bool {
    client.metadata().revoke_session_with_access_token || session.refresh_by == Some(RefreshBy::AccessToken)
}
