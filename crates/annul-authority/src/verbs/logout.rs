//! Logging out, by whoever holds a token of the session.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::{Target, TargetKind};
use annul_core::token::{TokenError, VerifiedToken};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Chosen, NewRevocation, SessionStatus, SubjectChange};
use crate::store::Revoke;
use crate::verbs::presented::PresentedToken;
use crate::verbs::revocations::{Revoked, Wait};

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

impl Authority {
    /// Logs the bearer of an own token out. The token proves who they are, so it must be active;
    /// only logging out of a session that has ended already is answered with its entry.
    ///
    /// # Errors
    /// [`VerbError::Sender`] where the token is bound to a key or certificate that was not shown with it.
    pub async fn logout(&self, presented: PresentedToken, request: LogoutRequest) -> Result<Revoked, VerbError> {
        let token = self.verified(presented.token.expose(), self.settings().clock_skew).await.map_err(as_bearer)?;
        if !token.is_own() {
            return Err(VerbError::Bearer(TokenError::IssuerMismatch));
        }
        let judged = self.judge(&token).await.map_err(as_bearer)?;
        let ended = judged.snapshot.session.as_ref().is_some_and(|view| view.status == SessionStatus::Ended);
        let is_repeat = ended && request.scope == LogoutScope::Local;
        if let Some(refusal) = judged.refusal.filter(|_| !is_repeat) {
            return Err(VerbError::TokenRevoked(refusal));
        }
        presented.judge_sender(token.claims()).map_err(VerbError::Sender)?;
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
                    Ok(self.revoked(appended))
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
        Ok(self.revoked_keeping(appended, keep).await)
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
}

fn as_bearer(error: VerbError) -> VerbError {
    match error {
        VerbError::Token(error) => VerbError::Bearer(error),
        other => other,
    }
}
