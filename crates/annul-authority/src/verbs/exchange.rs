//! Token exchange (RFC 8693): a token of a session, ours or a foreign issuer's, for a session of the
//! calling client's own, with the same subject.
//!
//! ```text
//! root ──exchange──▶ A ──exchange──▶ B      B's ancestors: root, A; in its tokens: the claim origin
//! ```
//!
//! What is exchanged lives on in what it was exchanged for as an ancestor. Revoking an ancestor's
//! session, or its subject, reaches everything that descends from it, at verifiers by name, and at
//! every issue by all that the ancestor itself can be revoked by.

use std::collections::BTreeSet;

use annul_core::token::VerifiedToken;
use serde_json::{Map, Value, json};

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{Ancestor, Descent, NewSession, Origin, ProofKey, RefreshBy};
use crate::secrets::secret::Secret;
use crate::verbs::bounds;
use crate::verbs::descent::Inheritance;
use crate::verbs::granted::{ACCESS_TOKEN_TYPE, Granted};
use crate::verbs::oauth_clients::OAuthClient;

/// Members of `act` and `may_act` that say who is meant.
const ACTOR_NAMES: [&str; 3] = ["iss", "sub", "client_id"];

/// A token to be exchanged.
#[derive(Clone, Debug)]
pub struct ExchangeRequest {
    /// Whom the new token is about.
    pub subject_token: Secret,
    /// Who acts, when that is somebody else.
    pub actor_token: Option<Secret>,
    /// For whom the new token is: names of `audience` and `resource` together.
    pub audience: Vec<String>,
    /// The scope wanted; all of the subject token's unless named.
    pub scope: Option<String>,
}

/// A token that was presented, verified and judged, and what a session has from it.
struct Source {
    token: VerifiedToken,
    inherited: Inheritance,
}

impl Authority {
    /// Opens a session of the calling client's own for the subject of a token, and issues its first
    /// access token.
    ///
    /// It ends when the token ends, has no more scope and no other audience, unless the client may
    /// open sessions anyway, and keeps `auth_time`. It is dated where the token was judged, so a
    /// revocation that was acknowledged meanwhile reaches it.
    ///
    /// # Errors
    /// Those of the tokens: [`VerbError::Token`], [`VerbError::TokenRevoked`]; and
    /// [`VerbError::AudienceRefused`], [`VerbError::InvalidScope`], [`VerbError::ActorRefused`],
    /// [`VerbError::OpensNoSession`].
    pub async fn exchange(
        &self,
        caller: &Caller,
        client: &OAuthClient,
        request: ExchangeRequest,
    ) -> Result<Granted, VerbError> {
        let source = self.source(&request.subject_token).await?;
        if source.token.is_own() && source.token.sid().is_none() {
            return Err(VerbError::NoSession);
        }
        may_be_presented(client, &source.token, "subject_token")?;
        let actor = match &request.actor_token {
            Some(token) => {
                let actor = self.source(token).await?;
                may_be_presented(client, &actor.token, "actor_token")?;
                Some(actor)
            }
            None => None,
        };
        let acting = actor.as_ref().map_or_else(|| own_names(self.issuer(), client), |actor| names_of(&actor.token));
        may_act(&source.token, &acting)?;
        let subject = self.subject_here(&source.token).await?;
        let scope = narrowed(request.scope.as_deref(), &source.token)?;
        let audience = self.admitted_audience(client, request.audience, &source.token.claims().aud())?;
        let Source { token, inherited: Inheritance { descent, device, claims } } = source;
        let chain = token.claims().get("act").cloned();
        let descent = match &actor {
            None => Descent { actor: chain, ends: Some(token.expires()), ..descent },
            Some(actor) => Descent {
                judged: descent.judged.min(actor.inherited.descent.judged),
                ancestors: with_actor(descent.ancestors, actor, &subject),
                actor: Some(act(acting, chain)),
                ends: Some(token.expires().min(actor.token.expires())),
            },
        };
        let new = self.granted_session(client, &token, subject, audience, scope, Origin::Descent(descent))?;
        let new = NewSession { device, claims, ..new };
        let granted = self.open_granted(caller, client, "session.exchange", new).await?;
        Ok(Granted { issued_token_type: Some(ACCESS_TOKEN_TYPE), ..granted })
    }

    /// Whether a token is an access token that is its own refresh credential, and the calling client's. It
    /// may have expired.
    pub async fn renews_itself(&self, client: &OAuthClient, token: &str) -> Result<bool, VerbError> {
        let token = match self.verified(token, self.setup().session_longest.as_secs()).await {
            Ok(token) => token,
            Err(VerbError::Token(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(sid) = token.sid().filter(|_| token.is_own()) else { return Ok(false) };
        let Some(view) = self.store().session(sid).await? else { return Ok(false) };
        let is_own = view.session.client_id.as_deref() == Some(client.client_id.as_str());
        Ok(is_own && view.session.refresh_by == Some(RefreshBy::AccessToken))
    }

    /// A token that is active, whoever's it is, and what descends from it.
    async fn source(&self, token: &Secret) -> Result<Source, VerbError> {
        let token = self.verified(token.expose(), self.settings().clock_skew).await?;
        let inherited = self.inherited(&token).await?;
        Ok(Source { token, inherited })
    }
}

/// A token that is bound to a key is exchanged by whoever holds the key, or by a client that proved
/// who it is: a service that was given it. Anybody can claim to be a public client.
fn may_be_presented(client: &OAuthClient, token: &VerifiedToken, member: &'static str) -> Result<(), VerbError> {
    let holds = |thumbprint: &str| client.proof.as_ref().map(ProofKey::thumbprint) == Some(thumbprint);
    match token.claims().confirmations().all(holds) || !client.is_public() {
        true => Ok(()),
        false => Err(VerbError::Invalid {
            member,
            why: "is bound to a key that the request did not prove to hold".to_owned(),
        }),
    }
}

/// Everything that the actor's session could be revoked by reaches what it acts in.
fn with_actor(mut lineage: Vec<Ancestor>, actor: &Source, subject: &str) -> Vec<Ancestor> {
    let mut actors = actor.inherited.descent.ancestors.clone();
    if let Some(last) = actors.last_mut().filter(|_| actor.token.is_own()) {
        last.sub = actor.token.subject().filter(|actor| *actor != subject).map(str::to_owned);
    }
    for ancestor in actors {
        if !lineage.contains(&ancestor) {
            lineage.push(ancestor);
        }
    }
    lineage
}

/// RFC 8693 §4.4: a token that says who may act is exchanged for nobody else.
fn may_act(token: &VerifiedToken, acting: &Map<String, Value>) -> Result<(), VerbError> {
    let Some(allowed) = token.claims().get("may_act") else { return Ok(()) };
    let names = allowed.as_object().filter(|names| !names.is_empty());
    let is_meant = names.is_some_and(|names| names.iter().all(|(name, value)| acting.get(name) == Some(value)));
    if is_meant { Ok(()) } else { Err(VerbError::ActorRefused) }
}

fn names_of(token: &VerifiedToken) -> Map<String, Value> {
    let claims = token.claims();
    let named = |name: &str| Some((name.to_owned(), claims.get(name)?.clone()));
    ACTOR_NAMES.into_iter().filter_map(named).collect()
}

fn own_names(issuer: &str, client: &OAuthClient) -> Map<String, Value> {
    let id = client.client_id.as_str();
    [("iss", issuer), ("sub", id), ("client_id", id)]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into_iter()
        .collect()
}

/// RFC 8693 §4.1: the one who acts now outside, those before inside.
fn act(mut acting: Map<String, Value>, chain: Option<Value>) -> Value {
    if let Some(chain) = chain {
        acting.insert("act".to_owned(), chain);
    }
    json!(acting)
}

/// The scope wanted, which the token has to have.
fn narrowed(asked: Option<&str>, token: &VerifiedToken) -> Result<Option<String>, VerbError> {
    let held: BTreeSet<&str> = token.scopes().collect();
    let words = match asked {
        Some(asked) => bounds::scope(asked)?,
        None => token.scopes().collect(),
    };
    match words.iter().find(|word| !held.contains(**word)) {
        Some(refused) => Err(VerbError::InvalidScope { scope: (*refused).to_owned() }),
        None => Ok(Some(words.join(" ")).filter(|scope| !scope.is_empty())),
    }
}
