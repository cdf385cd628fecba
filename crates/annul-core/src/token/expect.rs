//! What a verifier expects of a token: whose it is, for whom, of which kind, how long-lived.

use std::sync::Arc;

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::error::TokenError;
use super::header::{Header, Typ};
use crate::settings::ClaimNames;
use crate::time::UnixSeconds;

/// Seconds by which `iat` may lie in the future, besides the issuer's skew. A token from further
/// ahead would outlive a time cutoff that was set for it.
pub const MAX_FUTURE: u64 = 60;

/// Seconds by which `exp` and `nbf` are stretched when nothing else is said.
const DEFAULT_LEEWAY: u64 = 5;

/// What one issuer's tokens must be to be accepted by one audience. There is no expectation without
/// an issuer and an audience. What is long is shared: a clone allocates nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    issuer: Arc<str>,
    audiences: Arc<Vec<String>>,
    pub(super) own: bool,
    typ: Typ,
    algorithms: Arc<[Algorithm]>,
    leeway: u64,
    longest_life: Option<u64>,
    skew: u64,
    requires_jti: bool,
    claim_names: Arc<ClaimNames>,
}

/// What bounds an issuer's tokens and where they carry their names: as configured, or as the log
/// describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'e> {
    pub(crate) leeway: u64,
    pub(crate) longest_life: Option<u64>,
    pub(crate) skew: u64,
    pub(crate) requires_jti: bool,
    pub(crate) claim_names: &'e ClaimNames,
}

impl Expect {
    /// Access tokens of the log's own issuer: `typ` is `at+jwt`, the algorithm asymmetric, and `iss
    /// sub aud exp iat jti client_id lpos` are there.
    #[must_use]
    pub fn own(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            own: true,
            typ: Typ::AccessToken,
            algorithms: Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect(),
            requires_jti: true,
            ..Self::foreign(issuer, audience)
        }
    }

    /// Tokens of another issuer: `typ` is absent, `JWT` or `at+jwt`, and `iss aud exp` are there.
    #[must_use]
    pub fn foreign(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into().into(),
            audiences: Arc::new(vec![audience.into()]),
            own: false,
            typ: Typ::AccessTokenOrUntyped,
            algorithms: Algorithm::ALL.into(),
            leeway: DEFAULT_LEEWAY,
            longest_life: None,
            skew: 0,
            requires_jti: false,
            claim_names: Arc::default(),
        }
    }

    /// Tokens for this audience are accepted too.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.audiences).push(audience.into());
        self
    }

    /// Seconds by which `exp` and `nbf` are stretched; 5 unless set. It never stretches a revocation,
    /// as long as it is not beyond the log's `max_leeway`.
    #[must_use]
    pub fn with_leeway(mut self, seconds: u64) -> Self {
        self.leeway = seconds;
        self
    }

    /// The longest life of the issuer's tokens in seconds. A token that would live longer is refused,
    /// for entries of the log are forgotten after it. Unset it is not bounded, which only a verifier
    /// that checks no revocations can afford.
    #[must_use]
    pub fn with_longest_life(mut self, seconds: u64) -> Self {
        self.longest_life = Some(seconds);
        self
    }

    /// The algorithms that are accepted, in place of the default.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// The kind of token that is accepted, in place of the default.
    #[must_use]
    pub fn with_typ(mut self, typ: Typ) -> Self {
        self.typ = typ;
        self
    }

    /// Under which names the tokens carry session, device and client.
    #[must_use]
    pub fn with_claim_names(mut self, names: impl Into<Arc<ClaimNames>>) -> Self {
        self.claim_names = names.into();
        self
    }

    /// Seconds by which the issuer's clock may run ahead of ours; 0 unless set.
    #[must_use]
    pub fn with_skew(mut self, seconds: u64) -> Self {
        self.skew = seconds;
        self
    }

    /// A token without `jti` is refused. Own tokens always need one.
    #[must_use]
    pub fn requiring_jti(mut self) -> Self {
        self.requires_jti = true;
        self
    }

    /// Whose tokens are expected.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For whom they are, by any of these names.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The leeway in seconds.
    #[must_use]
    pub const fn leeway(&self) -> u64 {
        self.leeway
    }

    /// Whether these are tokens of the log's own issuer.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }

    /// The terms as configured.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            leeway: self.leeway,
            longest_life: self.longest_life,
            skew: self.skew,
            requires_jti: self.requires_jti,
            claim_names: &self.claim_names,
        }
    }

    /// The same expectation on these terms.
    pub(crate) fn on(&self, terms: &Terms<'_>) -> Self {
        Self {
            leeway: terms.leeway,
            longest_life: terms.longest_life,
            skew: terms.skew,
            requires_jti: terms.requires_jti,
            claim_names: Arc::new(terms.claim_names.clone()),
            ..self.clone()
        }
    }

    /// What can be said before a key is looked up: the kind of token, whose it claims to be, and the
    /// algorithm.
    pub(super) fn admits(&self, header: &Header, claims: &Claims) -> Result<(), TokenError> {
        if !self.typ.accepts(header.typ()) {
            return Err(TokenError::TypMismatch);
        }
        if claims.iss() != Some(self.issuer()) {
            return Err(TokenError::IssuerMismatch);
        }
        if !self.algorithms.contains(&header.alg()) {
            return Err(TokenError::AlgNotAllowed);
        }
        Ok(())
    }

    /// What the claims have to say once they are believed.
    pub(super) fn accepts(&self, claims: &Claims, terms: &Terms<'_>, now: UnixSeconds) -> Result<(), TokenError> {
        let audience_named = |audience: &str| self.audiences.iter().any(|own| own == audience);
        if !claims.audiences().any(audience_named) {
            return Err(TokenError::AudienceMismatch);
        }
        self.accepts_dates(claims, terms, now)?;
        if terms.requires_jti && claims.jti().is_none() {
            return Err(TokenError::claim("jti", "present"));
        }
        if self.own {
            accepts_own(claims, now)?;
        }
        Ok(())
    }

    fn accepts_dates(&self, claims: &Claims, terms: &Terms<'_>, now: UnixSeconds) -> Result<(), TokenError> {
        let exp = claims.exp().ok_or(TokenError::claim("exp", "present"))?;
        if now >= exp.plus(terms.leeway) {
            return Err(TokenError::Expired);
        }
        let too_early = claims.nbf().is_some_and(|nbf| now.plus(terms.leeway) < nbf);
        let from_the_future = claims.iat().is_some_and(|iat| iat > now.plus(MAX_FUTURE).plus(terms.skew));
        if too_early || from_the_future {
            return Err(TokenError::NotYetValid);
        }
        match terms.longest_life {
            Some(life) if exp > now.plus(life).plus(terms.leeway) => Err(TokenError::LifeTooLong),
            Some(life) if self.was_issued_for_longer_than(life, claims.iat(), exp) => Err(TokenError::LifeTooLong),
            _ => Ok(()),
        }
    }

    /// A foreign token that was made to live longer than its issuer's tokens may. Its end comes near
    /// enough one day, when an entry that matched it is already forgotten. (Our own authority keeps
    /// entries for as long as any token it ever issued lives.)
    fn was_issued_for_longer_than(&self, life: u64, iat: Option<UnixSeconds>, exp: UnixSeconds) -> bool {
        !self.own && iat.is_some_and(|iat| exp > iat.plus(life))
    }
}

fn accepts_own(claims: &Claims, now: UnixSeconds) -> Result<(), TokenError> {
    let required = [("sub", claims.sub().is_some()), ("client_id", claims.client_id().is_some())];
    if let Some((missing, _)) = required.into_iter().find(|(_, present)| !present) {
        return Err(TokenError::claim(missing, "present"));
    }
    if claims.iat().is_none() {
        return Err(TokenError::claim("iat", "present"));
    }
    // A login from the future would outlive every time cutoff.
    if claims.auth_time().is_some_and(|login| login > now.plus(MAX_FUTURE)) {
        return Err(TokenError::NotYetValid);
    }
    match claims.lpos() {
        Some(_) => Ok(()),
        None => Err(TokenError::claim("lpos", "a position such as 1:42")),
    }
}
