//! Assertions as grants (RFC 7523 §2.1): somebody who is trusted to says, signed, who the user is.
//!
//! That is a foreign issuer whose subjects have names here, or a client that may open sessions and has
//! registered keys. Each assertion is used once.

use annul_core::settings::ClaimNames;
use annul_core::time::UnixSeconds;
use annul_core::token::{Algorithm, Expect, KeySet, TokenError, Typ, UnverifiedToken, VerifiedToken};
use serde_json::Value;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{GrantType, Login, NewSession, Origin, SubjectNames};
use crate::secrets::secret::Secret;
use crate::store::{FirstUse, UseOnce};
use crate::verbs::bounds;
use crate::verbs::descent::ISSUES;
use crate::verbs::granted::Granted;
use crate::verbs::oauth_clients::OAuthClient;

/// Seconds by which an assertion's `exp` may lie ahead. It opens a session, so whoever signs it does so for the
/// moment; one that authenticates a client may be signed for longer.
const MAX_LIFE: u64 = 600;
/// The `typ` of an assertion that has one of its own.
const ASSERTION_TYP: &str = "authorization-grant+jwt";
/// Names in the store the ids of assertions that were redeemed.
const ASSERTION_REALM: &str = "assertion";
/// Seconds by which clocks of clients may differ from ours.
const LEEWAY: u64 = 5;

/// An assertion to be redeemed.
#[derive(Clone, Debug)]
pub struct AssertionRequest {
    /// The assertion.
    pub assertion: Secret,
    /// For whom the token is.
    pub audience: Vec<String>,
    /// The scope wanted, of the client's own; all of it unless named.
    pub scope: Option<String>,
}

/// Who is trusted to say who the user is.
#[derive(Clone, Copy)]
enum AssertedBy {
    /// A foreign issuer, whose subjects have these names here.
    Issuer(SubjectNames),
    /// A client of ours, which names our own subjects.
    Client,
}

impl AssertedBy {
    const fn names(self) -> SubjectNames {
        match self {
            Self::Issuer(names) => names,
            Self::Client => SubjectNames::Shared,
        }
    }
}

/// An assertion that is good, and on whose word.
struct Asserted {
    token: VerifiedToken,
    by: AssertedBy,
}

/// Whoever may have signed an assertion, and by what it is verified.
struct Asserting {
    by: AssertedBy,
    keys: KeySet,
    /// Seconds for which it may be good.
    longest_life: u64,
    /// Seconds by which the clock of whoever signed it may be ahead.
    skew: u64,
    claim_names: ClaimNames,
}

impl Authority {
    /// Opens a session of the calling client's for whom an assertion is about, and issues its one
    /// access token; the session ends with it, for the next comes with the next assertion.
    ///
    /// # Errors
    /// [`VerbError::Token`] for an assertion that is not good, [`VerbError::AssertionUsed`] for one that
    /// was; [`VerbError::OpensNoSession`] when whoever signed it is not trusted with logins;
    /// [`VerbError::InvalidScope`], [`VerbError::AudienceRefused`]; and the refusals of a login.
    pub async fn redeem_assertion(
        &self,
        caller: &Caller,
        client: &OAuthClient,
        request: AssertionRequest,
    ) -> Result<Granted, VerbError> {
        let audience = self.admitted_audience(client, request.audience, &[])?;
        let scope = client.granted_scope(request.scope.as_deref())?;
        let Asserted { token, by } = self.asserted(request.assertion.expose()).await?;
        let origin = match by {
            AssertedBy::Issuer(_) => Origin::Descent(self.inherited(&token).await?.descent),
            AssertedBy::Client => Origin::Login(Login::default()),
        };
        let sub = token.subject().ok_or(missing("sub"))?;
        let subject = self.subject_named(by.names().of(token.issuer(), sub)).await?;
        let new = self.granted_session(client, &token, subject, audience, scope, origin)?;
        // Its one token is all there is of it.
        let new = NewSession { life: self.token_life(), idle_limit: None, ..new };
        self.spend(&token).await?;
        self.open_granted(caller, client, "session.assertion", new).await
    }

    /// An assertion whose signature, audience, dates and kind are right.
    async fn asserted(&self, assertion: &str) -> Result<Asserted, VerbError> {
        let unverified = UnverifiedToken::parse(assertion).map_err(VerbError::Token)?;
        let issuer = unverified.claims().iss().ok_or(missing("iss"))?.to_owned();
        // An access token is no assertion, whoever it was issued for.
        let audience = unverified.claims().aud() == [self.issuer()];
        let Asserting { by, keys, longest_life, skew, claim_names } = self.asserting(&issuer, &unverified).await?;
        let expect = Expect::foreign(issuer.as_str(), self.issuer())
            .with_typ(Typ::OrUntyped(ASSERTION_TYP.to_owned()))
            .with_algorithms(Algorithm::ALL)
            .with_longest_life(longest_life.min(MAX_LIFE))
            .with_leeway(LEEWAY)
            .with_skew(skew)
            .with_claim_names(claim_names)
            .requiring_jti();
        let token = unverified.verify(&keys, &expect, self.clock().seconds()).map_err(VerbError::Token)?;
        if audience { Ok(Asserted { token, by }) } else { Err(VerbError::Token(TokenError::AudienceMismatch)) }
    }

    /// Who may have signed an assertion that names this issuer, with all that depends on who it is: read at
    /// once, for issuers come and go meanwhile.
    async fn asserting(&self, issuer: &str, assertion: &UnverifiedToken<'_>) -> Result<Asserting, VerbError> {
        let refused = || VerbError::OpensNoSession { issuer: bounds::shown(issuer) };
        if let Some(foreign) = self.standing().foreign.get(issuer) {
            let record = &foreign.config.record;
            let keys = match self.secrets_of(issuer) {
                Some(secrets) if assertion.header().alg().is_symmetric() => secrets.clone(),
                _ => foreign.keys.clone(),
            };
            return Ok(Asserting {
                by: AssertedBy::Issuer(foreign.config.subjects.ok_or_else(refused)?),
                keys,
                longest_life: record.longest_life,
                skew: record.skew,
                claim_names: record.claims.clone(),
            });
        }
        let record = self.clients().find(self.store().as_ref(), issuer).await?.ok_or_else(refused)?;
        let may_issue = record.scopes.iter().any(|scope| scope == ISSUES);
        let has_grant = record.metadata.grant_types.contains(&GrantType::JwtBearer);
        match &record.metadata.jwks {
            Some(jwks) if may_issue && has_grant => Ok(Asserting {
                by: AssertedBy::Client,
                keys: keys_of(jwks),
                longest_life: MAX_LIFE,
                skew: 0,
                claim_names: ClaimNames::default(),
            }),
            _ => Err(refused()),
        }
    }

    /// Uses an assertion up.
    async fn spend(&self, assertion: &VerifiedToken) -> Result<(), VerbError> {
        let once = UseOnce {
            realm: format!("{ASSERTION_REALM} {}", assertion.issuer()),
            id: assertion.jti().ok_or(missing("jti"))?.to_owned(),
            until: kept_until(assertion.expires()),
        };
        match self.store().use_once(once).await? {
            FirstUse::Fresh => Ok(()),
            FirstUse::Used => Err(VerbError::AssertionUsed),
        }
    }
}

/// Past the leeway within which it would be taken.
const fn kept_until(expires: UnixSeconds) -> UnixSeconds {
    expires.plus(LEEWAY)
}

fn keys_of(jwks: &Value) -> KeySet {
    KeySet::from_values(jwks.get("keys").and_then(Value::as_array).map_or(&[], Vec::as_slice)).0
}

const fn missing(claim: &'static str) -> VerbError {
    VerbError::Token(TokenError::ClaimInvalid { claim: std::borrow::Cow::Borrowed(claim), expected: "present" })
}
