//! What sessions have in common that a client opens on the word of a token, whichever grant it is.
//!
//! The token says who the user is and when they logged in; the client's own proof says what the session's
//! tokens are bound to. Whose word is taken, and for how long, is the grant's to say.

use annul_core::token::VerifiedToken;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Ancestor, Claims, Descent, Device, NewSession, Origin, TokenFormat};
use crate::secrets::random;
use crate::verbs::bounds;
use crate::verbs::granted::Granted;
use crate::verbs::oauth_clients::OAuthClient;

/// The scope by which a client opens sessions for whom and for which service it likes.
pub(crate) const ISSUES: &str = "annul.issue";

/// What a session has from a token that was judged and is active.
pub(crate) struct Inheritance {
    /// The token's session with all that this one descends from, or what stands for it, as of the
    /// judgement.
    pub(crate) descent: Descent,
    /// The device of that session.
    pub(crate) device: Option<Device>,
    /// Its claims.
    pub(crate) claims: Claims,
}

impl Authority {
    /// Judges a token, whoever's it is, and says what a session that is opened with it inherits.
    ///
    /// # Errors
    /// [`VerbError::TokenRevoked`].
    pub(crate) async fn inherited(&self, token: &VerifiedToken) -> Result<Inheritance, VerbError> {
        let judged = self.judge(token).await?;
        if let Some(refusal) = judged.refusal {
            return Err(VerbError::TokenRevoked(refusal));
        }
        let (lineage, device, claims) = if !token.is_own() {
            let device = token.device().map(|id| Device { id: id.to_owned(), ..Device::default() });
            (vec![foreign_ancestor(token)], device, Claims::new())
        } else if token.sid().is_none() {
            // A machine's own.
            let machine = token.subject().map(|machine| Ancestor::subject(self.issuer(), machine));
            (machine.into_iter().collect(), None, Claims::new())
        } else {
            let session = judged.snapshot.session.ok_or(VerbError::NoSession)?.session;
            let mut lineage = session.ancestors;
            lineage.push(Ancestor::session(self.issuer(), session.sid));
            (lineage, session.device, session.claims)
        };
        Ok(Inheritance { descent: Descent::new(judged.position, lineage), device, claims })
    }

    /// A session of the client's own on the word of a token, for this subject, audience and scope. It keeps
    /// the token's login, lives as long as any session may, and has neither device nor claims of its own.
    pub(crate) fn granted_session(
        &self,
        client: &OAuthClient,
        token: &VerifiedToken,
        subject: String,
        audience: Vec<String>,
        scope: Option<String>,
        origin: Origin,
    ) -> Result<NewSession, VerbError> {
        let now = self.clock().seconds();
        Ok(NewSession {
            sid: random::name()?,
            subject,
            client_id: Some(client.client_id.clone()),
            audience,
            scope,
            device: None,
            auth_time: token.auth_time().or(token.issued()).unwrap_or(now).min(now),
            life: self.setup().session_longest.as_secs(),
            idle_limit: Some(self.setup().session_idle.as_secs()),
            claims: Claims::new(),
            confirmation: client.proof.clone(),
            format: TokenFormat::Jwt,
            origin,
        })
    }

    /// Opens such a session and issues its first access token.
    pub(crate) async fn open_granted(
        &self,
        caller: &Caller,
        client: &OAuthClient,
        action: &str,
        new: NewSession,
    ) -> Result<Granted, VerbError> {
        let scope = new.scope.clone();
        let _signing = self.signing_lock().read().await;
        let opened = self.store().open_session(caller.step(action, None), new).await?;
        let answer = self.first_token(opened).await?;
        Ok(Granted::alone(answer.access_token, answer.expires_in, scope, client.proof.as_ref()))
    }

    /// The subject of a token, by the name it has here.
    pub(crate) async fn subject_here(&self, token: &VerifiedToken) -> Result<String, VerbError> {
        let missing = || VerbError::Invalid { member: "sub", why: "is missing in the token".to_owned() };
        let sub = token.subject().ok_or_else(missing)?;
        let subject = if token.is_own() {
            sub.to_owned()
        } else {
            let standing = self.standing();
            let names = standing.foreign.get(token.issuer()).and_then(|foreign| foreign.config.subjects);
            let refused = || VerbError::OpensNoSession { issuer: bounds::shown(token.issuer()) };
            names.ok_or_else(refused)?.of(token.issuer(), sub)
        };
        self.subject_named(subject).await
    }

    /// A subject that a token may be issued for: a name, and no client's.
    pub(crate) async fn subject_named(&self, subject: String) -> Result<String, VerbError> {
        bounds::name("sub", &subject)?;
        if self.store().client(&subject).await?.is_some() {
            return Err(VerbError::SubjectIsClient { name: subject });
        }
        Ok(subject)
    }

    /// Audiences that a token may be given: the configured ones and those of the token it is given
    /// for; any, where the client opens sessions anyway.
    pub(crate) fn admitted_audience(
        &self,
        client: &OAuthClient,
        asked: Vec<String>,
        held: &[&str],
    ) -> Result<Vec<String>, VerbError> {
        let default = &self.setup().audience;
        let asked = bounds::audiences(asked, default)?;
        let is_admitted = |name: &String| {
            client.scopes().iter().any(|scope| scope == ISSUES)
                || default.contains(name)
                || held.contains(&name.as_str())
        };
        match asked.iter().find(|name| !is_admitted(name)) {
            Some(refused) => Err(VerbError::AudienceRefused { audience: bounds::shown(refused) }),
            None => Ok(asked),
        }
    }
}

/// What stands for a foreign token in the lineage: all that it can be revoked by there and that is not
/// the bearer's name here.
fn foreign_ancestor(token: &VerifiedToken) -> Ancestor {
    Ancestor {
        issuer: token.issuer().to_owned(),
        sid: token.sid().map(str::to_owned),
        sub: token.subject().map(str::to_owned),
    }
}
