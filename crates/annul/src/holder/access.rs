//! What a request to a service carries for its access token.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Url;

use super::error::HolderError;
use super::exchange::DPOP;
use super::proof::Proofs;
use super::token::AccessToken;
use crate::error::ConfigError;
use crate::http::Scheme;

/// Why the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The proof lacked a nonce, or had an old one.
    Nonce,
    /// The proof was made by a clock that is wrong.
    Clock,
    /// The token was refused.
    Token,
}

/// An access token made ready for one request: made by
/// [`TokenHolder::authorize`](super::TokenHolder::authorize), and good for sending it once. Its `Debug`
/// shows neither the token nor the proof.
#[derive(Clone, Debug)]
pub struct Access {
    token: AccessToken,
    method: Method,
    url: Url,
    proof: Option<HeaderValue>,
    tried: Vec<Remedy>,
}

impl Access {
    pub(super) fn new(
        token: AccessToken,
        proofs: Option<&Proofs>,
        method: &Method,
        url: &str,
    ) -> Result<Self, HolderError> {
        let parsed = Url::parse(url).ok().filter(Url::has_host);
        let url = parsed.ok_or_else(|| ConfigError::Address(url.to_owned()))?;
        let unproven = Self { token, method: method.clone(), url, proof: None, tried: Vec::new() };
        Ok(unproven.proven(proofs))
    }

    /// The same request with `token`, because of `remedy`.
    pub(super) fn again(&self, token: AccessToken, remedy: Remedy, proofs: Option<&Proofs>) -> Self {
        let mut again = Self { token, ..self.clone() };
        again.tried.push(remedy);
        again.proven(proofs)
    }

    fn proven(mut self, proofs: Option<&Proofs>) -> Self {
        let bound = self.token.scheme() == Scheme::DPoP;
        self.proof = proofs.filter(|_| bound).map(|proofs| proofs.prove(&self.method, &self.url, Some(&self.token)));
        self
    }

    pub(super) fn has_tried(&self, remedy: Remedy) -> bool {
        self.tried.contains(&remedy)
    }

    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// The token.
    #[must_use]
    pub const fn token(&self) -> &AccessToken {
        &self.token
    }

    /// `Authorization`, and `DPoP` where the token is bound to a key. Both are marked as sensitive.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let text = format!("{} {}", self.token.scheme().name(), self.token.expose());
        let mut value = HeaderValue::from_str(&text).expect("the text was found fit for a header when it was read");
        value.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        headers.extend(self.proof.clone().map(|proof| (DPOP, proof)));
        headers
    }
}
