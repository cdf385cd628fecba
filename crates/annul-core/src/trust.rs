//! Whose tokens an application accepts, and by which keys.
//!
//! The application names issuers and audiences; keys, lives, skews and claim names come from the
//! log, by way of the view. An issuer needs both: what the log does not describe has no bound on
//! its life, and what the application did not name is not meant for it. Keys of one issuer never
//! verify tokens of another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::settings::Settings;
use crate::time::UnixSeconds;
use crate::token::{Expect, Introspectable, Key, KeySet, Terms, TokenError, UnverifiedToken, VerifiedToken};
use crate::view::{Ground, IssuerView, View};

/// What an application accepts: tokens of the log's own issuer for its audience, and of the foreign
/// issuers that it names.
#[derive(Clone, Debug)]
pub struct Trust {
    own: Expect,
    foreign: BTreeMap<String, Expect>,
    secrets: BTreeMap<String, KeySet>,
}

impl Trust {
    /// Accepts the own issuer's access tokens for `audience`.
    #[must_use]
    pub fn new(own_issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::expecting(Expect::own(own_issuer, audience))
    }

    /// Accepts the own issuer's tokens that are as `own` says, when issuer and audience are not all
    /// there is to say.
    #[must_use]
    pub const fn expecting(own: Expect) -> Self {
        Self { own, foreign: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// Grants this leeway, in seconds, to every issuer named so far.
    #[must_use]
    pub fn with_leeway(mut self, seconds: u64) -> Self {
        self.own = self.own.with_leeway(seconds);
        self.foreign = std::mem::take(&mut self.foreign)
            .into_iter()
            .map(|(issuer, expect)| (issuer, expect.with_leeway(seconds)))
            .collect();
        self
    }

    /// Accepts tokens of a foreign issuer as well. Life, skew and claim names are the log's to say
    /// and replace those given here.
    #[must_use]
    pub fn with_foreign(mut self, expect: Expect) -> Self {
        self.foreign.insert(expect.issuer().to_owned(), expect);
        self
    }

    /// Verifies the issuer's HMAC tokens with this secret, which never travels in the feed.
    #[must_use]
    pub fn with_secret(mut self, issuer: impl Into<String>, secret: Key) -> Self {
        self.secrets.entry(issuer.into()).or_default().insert(secret);
        self
    }

    /// The log's own issuer.
    #[must_use]
    pub fn own_issuer(&self) -> &str {
        self.own.issuer()
    }

    /// The audiences that are accepted from any issuer, to be reported to the authority.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let expectations = std::iter::once(&self.own).chain(self.foreign.values());
        expectations.flat_map(|expect| expect.audiences().iter().map(String::as_str))
    }

    /// The largest leeway granted to any issuer, in seconds.
    #[must_use]
    pub fn leeway(&self) -> u64 {
        self.foreign.values().map(Expect::leeway).fold(self.own.leeway(), u64::max)
    }

    /// Whether this can be used with a log of these settings. A verifier for which it cannot does
    /// not start: its tokens would outlive the entries against them.
    pub fn fits(&self, settings: &Settings) -> Result<(), Misfit> {
        if settings.issuer != self.own_issuer() {
            return Err(Misfit::OtherIssuer { of_log: settings.issuer.clone() });
        }
        if self.leeway() > settings.max_leeway {
            return Err(Misfit::LeewayTooLarge { leeway: self.leeway(), max_leeway: settings.max_leeway });
        }
        Ok(())
    }

    /// Verifies a token by its issuer's keys and what is expected of that issuer.
    ///
    /// # Errors
    /// Some, such as [`TokenError::KeyUnknown`], may only mean that this process is behind:
    /// [`Policy::refuse`](crate::policy::Policy::refuse) tells the two apart.
    pub fn verify(&self, view: &View, token: &str, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        match self.verify_on(&view.ground(), token, now) {
            Err(TokenError::KeyUnknown) if names_killed_key(view, token) => Err(TokenError::KeyKilled),
            verified => verified,
        }
    }

    /// The same on a ground that the caller holds. That a key is unknown here because it was killed is
    /// for the view to say.
    fn verify_on(&self, ground: &Arc<Ground>, token: &str, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        let unverified = UnverifiedToken::parse(token)?;
        let issuer = unverified.claims().iss().ok_or(TokenError::IssuerMismatch)?;
        let expect = self.expect(issuer).ok_or(TokenError::IssuerMismatch)?;
        let described = ground.issuer(issuer).map(Arc::as_ref);
        if described.is_some_and(|issuer| issuer.record.removed) {
            return Err(TokenError::IssuerMismatch);
        }
        let terms = terms(expect, described, ground.settings().map(Arc::as_ref));
        // Without a description there are no keys at all, for nothing would bound the token's life.
        let none = KeySet::empty();
        let keys = described.map_or(&none, |described| self.keys(&unverified, described));
        unverified.verify_on(&terms, keys, expect, now).map(|verified| verified.verified_on(ground))
    }

    /// What there is to ask about a token of the log's own issuer that only its authority can verify.
    ///
    /// # Errors
    /// Why the token could not be accepted whatever the authority says.
    pub fn introspectable(&self, view: &View, token: &str, now: UnixSeconds) -> Result<Introspectable, TokenError> {
        let ground = view.ground();
        let described = ground.issuer(self.own_issuer()).map(Arc::as_ref);
        let terms = terms(&self.own, described, ground.settings().map(Arc::as_ref));
        Introspectable::of(token, &self.own.on(&terms), now)
    }

    fn expect(&self, issuer: &str) -> Option<&Expect> {
        if issuer == self.own_issuer() { Some(&self.own) } else { self.foreign.get(issuer) }
    }

    /// The secrets for an HMAC token, the published keys for any other.
    fn keys<'k>(&'k self, token: &UnverifiedToken<'_>, described: &'k IssuerView) -> &'k KeySet {
        match self.secrets.get(&described.record.issuer) {
            Some(secrets) if token.header().alg().is_symmetric() => secrets,
            _ => &described.keys,
        }
    }
}

/// A killed key leaves its issuer's set. The names of our own keys are their thumbprints, so a view
/// too old to say "there is no such key" still knows this one, and a local denial stands. The token is
/// read again because only one of an unknown key comes here.
fn names_killed_key(view: &View, token: &str) -> bool {
    let Ok(token) = UnverifiedToken::parse(token) else { return false };
    let named = token.claims().iss().zip(token.header().kid());
    named.is_some_and(|(issuer, kid)| view.has_killed(issuer, kid))
}

/// The terms of an issuer, completed by what the log says of it.
fn terms<'e>(expect: &'e Expect, described: Option<&'e IssuerView>, settings: Option<&Settings>) -> Terms<'e> {
    let mut terms = expect.terms();
    if let Some(settings) = settings {
        terms.leeway = terms.leeway.min(settings.max_leeway);
    }
    let Some(described) = described else { return terms };
    let record = &described.record;
    let longest_life = match settings {
        Some(settings) if expect.is_own() => settings.longest_life,
        _ => record.longest_life,
    };
    Terms {
        longest_life: Some(longest_life),
        skew: record.skew,
        requires_jti: terms.requires_jti || record.requires_jti,
        claim_names: described.claim_names(),
        ..terms
    }
}

/// Why a verifier cannot follow a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// The log is of another issuer.
    OtherIssuer {
        /// The log's own issuer.
        of_log: String,
    },
    /// A leeway is larger than the log allows: a token could be accepted after the entry against it
    /// was forgotten.
    LeewayTooLarge {
        /// The largest leeway configured here, in seconds.
        leeway: u64,
        /// The largest that the log allows, in seconds.
        max_leeway: u64,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherIssuer { of_log } => {
                write!(f, "the log is that of {of_log}, another issuer than configured here")
            }
            Self::LeewayTooLarge { leeway, max_leeway } => {
                write!(f, "a leeway of {leeway} s is configured, and the log allows at most {max_leeway} s")
            }
        }
    }
}

impl std::error::Error for Misfit {}
