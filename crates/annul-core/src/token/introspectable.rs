//! A token that only its authority can verify, and what can be said of it here all the same.

use std::fmt;
use std::sync::Arc;

use super::UnverifiedToken;
use super::algorithm::Algorithm;
use super::error::TokenError;
use super::expect::Expect;
use super::verify::VerifiedToken;
use crate::time::UnixSeconds;

/// A token of the log's own issuer whose key no verifier has: signed with a secret of the authority's.
/// Form, kind, audience, dates and life were looked at, so that what could not be accepted anyway costs
/// nobody a question. Nothing of it is believed. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Introspectable {
    text: Arc<str>,
    expect: Expect,
}

impl Introspectable {
    /// The token, if asking about it could make it accepted.
    pub(crate) fn of(token: &str, expect: &Expect, now: UnixSeconds) -> Result<Self, TokenError> {
        let secret = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_symmetric());
        let expect = expect.clone().with_algorithms(secret);
        let unverified = UnverifiedToken::parse(token)?;
        expect.admits(unverified.header(), unverified.claims())?;
        expect.accepts(unverified.claims(), now)?;
        Ok(Self { text: token.into(), expect })
    }

    /// The token as verified on the authority's word, by the key it named. To be called with nothing
    /// but an answer of this log's authority that it is active; time may have passed, so the dates are
    /// looked at again.
    pub fn on_the_word_of(&self, key_id: &str, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        let UnverifiedToken { jws, claims } = UnverifiedToken::parse(&self.text)?;
        self.expect.accepts(&claims, now)?;
        VerifiedToken::new(jws, claims, key_id.into(), &self.expect)
    }
}

impl fmt::Debug for Introspectable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspectable").finish_non_exhaustive()
    }
}
