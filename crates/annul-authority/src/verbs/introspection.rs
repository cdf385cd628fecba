//! Introspection: what a token says and whether it may be used, plain (RFC 7662) or signed (RFC 9701).

use annul_core::token::VerifiedToken;
use serde_json::{Map, Value, json};

use crate::authority::Authority;
use crate::error::VerbError;
use crate::model::{Presented, Recognised, SessionStatus};
use crate::secrets::refresh_token::RefreshToken;
use crate::verbs::oauth_clients::OAuthClient;

/// The `typ` of a signed answer: what it is presented as tells it from every token.
const ANSWER: &str = "token-introspection+jwt";
/// The scope that may ask about every access token.
const READS: &str = "annul.read";

/// An introspection answer (RFC 7662).
#[derive(Clone, Debug)]
pub enum Introspection {
    /// The token may not be used, or its state is none of the caller's business.
    Inactive,
    /// An access token that may be used at the moment of asking.
    AccessToken(VerifiedToken),
    /// A refresh token that may be used at the moment of asking, by its members.
    RefreshToken(Map<String, Value>),
}

impl Introspection {
    /// Whether the token may be used.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        !matches!(self, Self::Inactive)
    }

    /// The answer as a JSON object; one about a token that is not active has `active` and nothing else.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Inactive => json!({ "active": false }).to_string(),
            Self::AccessToken(token) => format!("{{\"active\":true,{}}}", token.introspected_members()),
            Self::RefreshToken(members) => Value::Object(members.clone()).to_string(),
        }
    }
}

impl Authority {
    /// Whether an access token is active, and if so what it says. A token that is not active for
    /// whatever reason is told from none other.
    pub async fn introspect(&self, token: &str) -> Result<Introspection, VerbError> {
        let token = match self.known_or_verified(token).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Ok(Introspection::Inactive),
            Err(error) => return Err(error),
        };
        let is_active = self.is_active(&token).await?;
        Ok(if is_active { Introspection::AccessToken(token) } else { Introspection::Inactive })
    }

    /// The same for a client: with `annul.read` about every access token, whoever it is for; without
    /// about its own. Refresh tokens are told to their own client only, and to be asked about is not to
    /// be used.
    ///
    /// # Errors
    /// [`VerbError::InvalidClient`] for a client that did not prove who it is, and
    /// [`VerbError::InsufficientScope`] for one that may not ask about this token.
    pub async fn introspect_for(&self, client: &OAuthClient, token: &str) -> Result<Introspection, VerbError> {
        if client.is_public() {
            return Err(VerbError::InvalidClient);
        }
        if let Some(token) = RefreshToken::read(token, self.master()) {
            return self.introspect_refresh_token(client, &token).await;
        }
        let may_read = client.require(READS);
        let answer = self.introspect(token).await?;
        let is_own = match &answer {
            Introspection::AccessToken(token) => token.client() == Some(client.client_id.as_str()),
            Introspection::Inactive | Introspection::RefreshToken(_) => false,
        };
        if !is_own {
            may_read?;
        }
        Ok(answer)
    }

    /// An answer as a signed token for the client that asked: evidence of what held at that second.
    ///
    /// # Errors
    /// [`VerbError::AnswerAlgorithm`] when the client registered an algorithm that does not sign now.
    pub async fn sign_introspection(&self, client: &OAuthClient, answer: &Introspection) -> Result<String, VerbError> {
        let _signing = self.signing_lock().read().await;
        let standing = self.standing();
        let signer = standing.signer()?;
        let wanted = client.metadata().introspection_signed_response_alg.as_deref();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != signer.algorithm().name()) {
            return Err(VerbError::AnswerAlgorithm { wanted: wanted.to_owned() });
        }
        let answer: Value = serde_json::from_str(&answer.to_json()).expect("an answer is JSON");
        let claims = json!({
            "iss": self.issuer(),
            "aud": client.client_id,
            "iat": self.clock().seconds().0,
            "token_introspection": answer,
        });
        let claims = claims.as_object().cloned().unwrap_or_default();
        Ok(signer.sign_token(ANSWER, &claims)?)
    }

    /// What signs tokens, and signed introspection answers, at this moment.
    #[must_use]
    pub fn signing_algorithm(&self) -> Option<&'static str> {
        self.standing().signer().ok().map(|signer| signer.algorithm().name())
    }

    async fn introspect_refresh_token(
        &self,
        client: &OAuthClient,
        token: &RefreshToken,
    ) -> Result<Introspection, VerbError> {
        let sid = token.sid();
        let Some(family) = self.store().family(&sid).await? else { return Ok(Introspection::Inactive) };
        let Some(view) = self.store().session(&sid).await? else { return Ok(Introspection::Inactive) };
        let presented = Presented::RefreshToken { generation: token.generation(), hash: token.hash() };
        let is_current = family.recognise(&presented, self.clock().millis()) == Recognised::Current;
        let session = view.session;
        let is_own = session.client_id.as_deref() == Some(client.client_id.as_str());
        if !is_own || !is_current || view.status != SessionStatus::Live {
            return Ok(Introspection::Inactive);
        }
        let mut members = Map::new();
        let mut tell = |name: &str, value: Value| members.insert(name.to_owned(), value);
        tell("active", true.into());
        tell("iss", self.issuer().into());
        tell("sub", session.subject.into());
        tell("sid", sid.into());
        tell("exp", session.expires.0.into());
        tell("client_id", client.client_id.as_str().into());
        tell("auth_time", session.auth_time.0.into());
        if let Some(scope) = session.scope {
            tell("scope", scope.into());
        }
        if let Some(proof_key) = session.confirmation {
            tell("cnf", json!(proof_key));
        }
        Ok(Introspection::RefreshToken(members))
    }
}
