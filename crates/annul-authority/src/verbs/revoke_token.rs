//! Revocation by the client that a token was issued to (RFC 7009).

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::TargetKind;
use annul_core::token::VerifiedToken;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{NewRevocation, RefreshBy, Session, SessionStatus};
use crate::secrets::refresh_token::RefreshToken;
use crate::store::{Appended, Revoke};
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
    /// registered. After this every verifier refuses it within the bound.
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
        // A verifier may still accept it within its leeway, so within the largest it is revoked.
        let token = match self.verified(token, self.settings().max_leeway).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Ok(TokenRevocation::Nothing),
            Err(error) => return Err(error),
        };
        let judged = match self.judge(&token).await {
            Ok(judged) => judged,
            Err(VerbError::Token(_)) => return Ok(TokenRevocation::Nothing),
            Err(error) => return Err(error),
        };
        if !token.is_own() || token.client() != Some(client.client_id.as_str()) {
            return self.not_this_clients(caller, Some(token.token_target().text(self.issuer()))).await;
        }
        if judged.refusal.is_some() {
            return Ok(TokenRevocation::Nothing);
        }
        match judged.snapshot.session.map(|view| view.session) {
            Some(session) if ends_with_its_token(client, &session) => self.end_by_token(caller, &session).await,
            _ => self.revoke_access_token(caller, &token).await,
        }
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
        let is_over = match self.setup().refresh.revocation {
            // One that is merely revoked is ended, so that no lift revives it.
            RefreshRevocation::Session => view.status == SessionStatus::Ended,
            // Said again, it must not take the logins along that came meanwhile.
            RefreshRevocation::Subject => view.status != SessionStatus::Live,
        };
        if is_over {
            return Ok(TokenRevocation::Nothing);
        }
        self.end_by_token(caller, &view.session).await
    }

    async fn end_by_token(&self, caller: &Caller, session: &Session) -> Result<TokenRevocation, VerbError> {
        let act = caller.act("token.revoke", None);
        match self.setup().refresh.revocation {
            RefreshRevocation::Session => self.store().end_session(act, &session.sid).await?,
            RefreshRevocation::Subject => {
                let target = self.own_target(TargetKind::Subject, &session.subject)?;
                let (cutoff, reach) = (Cutoff::Now, Reach::Both);
                let all = NewRevocation { target, cutoff, reach, exp: None, until: None, reason: None };
                self.store().revoke(act, Revoke { revocations: vec![all], keep: None }).await?
            }
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
