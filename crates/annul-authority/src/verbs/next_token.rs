//! The next access token of a session: drafted from what one transaction sees, so that it can be judged
//! there, and signed from the same.

use std::sync::Arc;

use annul_core::time::UnixMillis;

use crate::authority::Authority;
use crate::error::VerbError;
use crate::model::{KeyState, ProofKey, RefreshAsker, Session, SessionStatus, TokenFormat};
use crate::secrets::random;
use crate::secrets::signing::SigningKey;
use crate::secrets::subject_key::SubjectSecret;
use crate::setup::TokenKey;
use crate::standing::Standing;
use crate::store::{Issuing, IssuingSnapshot, NotIssued};
use crate::verbs::minting::{Draft, Grant, Minted, key_name};

/// How often an issue is tried anew because the keys or settings changed meanwhile.
pub(crate) const MOST_TRIES: usize = 4;

/// A token about to be issued. Clones draft the same token.
#[derive(Clone)]
pub(crate) struct NextToken {
    authority: Authority,
    standing: Arc<Standing>,
    now: UnixMillis,
    jti: String,
    /// The scope asked for; the session's unless named.
    scope: Option<String>,
    /// The key that was proven. A session that is bound to one has only that.
    proof: Option<ProofKey>,
}

impl NextToken {
    /// A token issued now, with all that its session grants. The caller holds the signing lock for
    /// reading.
    pub(crate) fn at(authority: &Authority, now: UnixMillis) -> Result<Self, VerbError> {
        Ok(Self {
            authority: authority.clone(),
            standing: authority.standing(),
            now,
            jti: random::token_id(now)?,
            scope: None,
            proof: None,
        })
    }

    /// The same token as this asker is to have it.
    pub(crate) fn asked_by(self, asker: &RefreshAsker) -> Self {
        Self { scope: asker.scope.clone(), proof: asker.proof.clone(), ..self }
    }

    /// The token as this state makes it. Where it is its own refresh credential, its id is the family's.
    pub(crate) fn draft(&self, issuing: &Issuing<'_>) -> Result<Draft, NotIssued> {
        let (signer, secret) = self.signers().map_err(|_| NotIssued::KeysChanged)?;
        let signs = match secret {
            None => issuing.keys.iter().any(|key| key.state == KeyState::Active && key.kid == signer.kid()),
            Some(secret) => {
                let sealed = issuing.log.subject_secret.as_ref();
                sealed.is_some_and(|sealed| sealed.generation == secret.generation())
            }
        };
        if !signs {
            return Err(NotIssued::KeysChanged);
        }
        let session = self.session(issuing.session)?;
        let jti = issuing.family.and_then(|family| family.current.jti()).unwrap_or(&self.jti).to_owned();
        let stamp = self.authority.stamp_as(&session, issuing.log.head.at, self.now, jti);
        if stamp.expires <= stamp.issued {
            return Err(NotIssued::SessionOver(SessionStatus::Expired));
        }
        let kid = secret.map_or(signer.kid(), SubjectSecret::name);
        let grant = Grant::of_session(&session, issuing.subject, issuing.log);
        let draft = grant.draft(stamp, key_name(&session, kid), &issuing.log.settings, self.authority.hash_key());
        draft.map_err(|error| match error {
            VerbError::Unissuable(error) => NotIssued::Unissuable(error),
            _ => NotIssued::KeysChanged,
        })
    }

    /// Signs what [`draft`](Self::draft) made of this snapshot.
    pub(crate) fn sign(&self, draft: Draft, snapshot: &IssuingSnapshot) -> Result<Minted, VerbError> {
        match self.signers()? {
            (signer, None) => draft.mint(&snapshot.session, &**signer, self.authority.master()),
            (_, Some(secret)) => {
                let (subject, string) = (&snapshot.session.subject, &snapshot.subject.key);
                let key = secret.key_of(self.authority.issuer(), subject, string);
                draft.mint(&snapshot.session, &key, self.authority.master())
            }
        }
    }

    /// The session as the token shows it.
    pub(crate) fn session(&self, session: &Session) -> Result<Session, NotIssued> {
        let scope = session.narrowed_scope(self.scope.as_deref()).map_err(|scope| NotIssued::Scope { scope })?;
        // A reference is resolved to its session and can have neither less nor more.
        if session.format == TokenFormat::Reference {
            return match scope == session.scope {
                true => Ok(session.clone()),
                false => Err(NotIssued::Scope { scope: scope.unwrap_or_default() }),
            };
        }
        let confirmation = session.confirmation.clone().or_else(|| self.proof.clone());
        Ok(Session { scope, confirmation, ..session.clone() })
    }

    fn signers(&self) -> Result<(&Arc<SigningKey>, Option<&SubjectSecret>), VerbError> {
        let secret = match self.authority.setup().token_key {
            TokenKey::Signing => None,
            TokenKey::PerSubject => Some(self.standing.subject_secret()?),
        };
        Ok((self.standing.signer()?, secret))
    }
}
