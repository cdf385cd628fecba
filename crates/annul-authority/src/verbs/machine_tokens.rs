//! Tokens that belong to no session: a machine's own (RFC 6749 §4.4), and the doctor's.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::position::Position;
use annul_core::target::TargetKind;
use serde_json::Map;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{GrantType, NewRevocation};
use crate::secrets::random;
use crate::secrets::secret::Secret;
use crate::store::{Refused, Revoke, StoreError};
use crate::verbs::bounds;
use crate::verbs::clients::OWN_SCOPES;
use crate::verbs::granted::Granted;
use crate::verbs::minting::{Grant, Stamp};
use crate::verbs::oauth_clients::OAuthClient;
use crate::verbs::revocations::Revoked;

/// The subject and client of canary tokens, which no service has a use for.
pub const CANARY: &str = "annul-canary";
/// Seconds a canary token lives: longer than any doctor waits.
const CANARY_LIFE: u64 = 60;

impl OAuthClient {
    /// The scope that the client is granted in its own name: what it asks for, if that is its own, or all
    /// of its own. Scopes of this authority's endpoints are in no token.
    pub(crate) fn granted_scope(&self, asked: Option<&str>) -> Result<Option<String>, VerbError> {
        let is_granted = |word: &str| self.scopes().iter().any(|own| own == word) && !OWN_SCOPES.contains(&word);
        let words: Vec<&str> = match asked.filter(|asked| !asked.trim().is_empty()) {
            Some(asked) => bounds::scope(asked)?,
            None => self.scopes().iter().map(String::as_str).filter(|word| is_granted(word)).collect(),
        };
        match words.iter().find(|word| !is_granted(word)) {
            Some(refused) => Err(VerbError::InvalidScope { scope: (*refused).to_owned() }),
            None => Ok(Some(words.join(" ")).filter(|scope| !scope.is_empty())),
        }
    }
}

impl Authority {
    /// A token for a client itself. Its subject is the client's id, which no user can have. Scopes
    /// of this authority's own endpoints are in no token: those are called with the secret.
    pub async fn client_credentials(
        &self,
        client: &OAuthClient,
        scope: Option<&str>,
        audience: Vec<String>,
    ) -> Result<Granted, VerbError> {
        client.require_grant(GrantType::ClientCredentials)?;
        let granted = client.granted_scope(scope)?;
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
            groups: Vec::new(),
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
        Ok(Granted::alone(token, expires_in, granted, client.proof.as_ref()))
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
            groups: Vec::new(),
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
        Ok(self.revoked(appended))
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
}
