//! A token that only its authority can verify, and what can be said of it here all the same.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::UnverifiedToken;
use super::algorithm::Algorithm;
use super::claims::Claims;
use super::error::TokenError;
use super::expect::Expect;
use super::opaque;
use super::verify::VerifiedToken;
use crate::time::UnixSeconds;

/// A token of the log's own issuer that no verifier can verify: signed with a secret of the
/// authority's, or opaque. What can be looked at was looked at (form, kind, audience, dates and life
/// where they stand in it), so that what could not be accepted anyway costs nobody a question. Nothing
/// of it is believed. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Introspectable {
    text: Arc<str>,
    expect: Expect,
}

impl Introspectable {
    /// The token, if asking about it could make it accepted.
    pub fn of(token: &str, expect: &Expect, now: UnixSeconds) -> Result<Self, TokenError> {
        if opaque::is_reference(token) {
            return Ok(Self { text: token.into(), expect: expect.clone() });
        }
        let secret = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_symmetric());
        let expect = expect.clone().with_algorithms(secret);
        let unverified = UnverifiedToken::parse(token)?;
        expect.admits(unverified.header(), unverified.claims())?;
        expect.accepts(unverified.claims(), &expect.terms(), now)?;
        Ok(Self { text: token.into(), expect })
    }

    /// The token as verified on the authority's word, by the key it named; an opaque one has the
    /// claims it named. To be called with nothing but an answer of this log's authority that it is
    /// active; time may have passed, so the dates are looked at again.
    pub fn on_the_word_of(
        &self,
        key_id: &str,
        claims: Option<&Map<String, Value>>,
        now: UnixSeconds,
    ) -> Result<VerifiedToken, TokenError> {
        let terms = self.expect.terms();
        if !opaque::is_reference(&self.text) {
            let UnverifiedToken { jws, claims } = UnverifiedToken::parse(&self.text)?;
            self.expect.accepts(&claims, &terms, now)?;
            return VerifiedToken::new(&jws, claims, key_id.into(), self.expect.own, &terms);
        }
        let claims = Claims::from_map(claims.cloned().unwrap_or_default())?;
        if claims.iss() != Some(self.expect.issuer()) {
            return Err(TokenError::IssuerMismatch);
        }
        self.expect.accepts(&claims, &terms, now)?;
        VerifiedToken::opaque(&self.text, claims, key_id.into(), self.expect.own, &terms)
    }
}

impl fmt::Debug for Introspectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspectable").finish_non_exhaustive()
    }
}
