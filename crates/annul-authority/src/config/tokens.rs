//! `[tokens]` and `[groups]`: what tokens look like, and what they can be revoked by.

use serde::{Deserialize, Serialize};

use super::ConfigError;
use super::error::refused;
use crate::model::MAX_GROUPS;
use crate::setup::TokenKey;
use crate::span::Span;

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokensConfig {
    /// The `iss` of the authority's tokens. Fixed at the first start.
    pub issuer: String,
    /// The `aud` of a token whose request names none.
    pub audience: String,
    /// How long an access token lives.
    pub life: Span,
    /// `ES256`, `EdDSA`, `RS256` or `PS256`.
    pub algorithm: String,
    /// What signs the tokens of sessions: `signing`, or `per_subject`, a key of each user's own by which
    /// only the authority can verify.
    pub key: TokenKey,
    /// The longest life any own token may have; verifiers refuse longer ones.
    pub longest_life: Span,
    /// The largest leeway any verifier may be configured with.
    pub max_leeway: Span,
    /// By how much any two clocks of the deployment may differ.
    pub clock_skew: Span,
    /// The claims that can be revoked by, besides the registered names.
    pub claims: Vec<String>,
    /// Those of `claims` on which an entry makes every route ask.
    pub ask_on: Vec<String>,
}

impl Default for TokensConfig {
    fn default() -> Self {
        Self {
            issuer: "http://127.0.0.1:7400".to_owned(),
            audience: "api".to_owned(),
            life: Span::seconds(300),
            algorithm: "ES256".to_owned(),
            key: TokenKey::default(),
            longest_life: Span::seconds(900),
            max_leeway: Span::seconds(60),
            clock_skew: Span::seconds(5),
            claims: vec!["roles".to_owned(), "scope".to_owned(), "tenant".to_owned()],
            ask_on: Vec::new(),
        }
    }
}

impl TokensConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.issuer.is_empty() {
            return refused("tokens.issuer", "it names the authority in every token and cannot be empty");
        }
        if self.audience.is_empty() {
            return refused("tokens.audience", "a token without audience would be accepted by everybody");
        }
        if self.life.as_secs() == 0 {
            return refused("tokens.life", "a token lives at least one second");
        }
        if self.life > self.longest_life {
            return refused("tokens.life", "it is longer than tokens.longest_life, so every verifier would refuse it");
        }
        match self.ask_on.iter().find(|claim| !self.claims.contains(claim)) {
            Some(claim) => Err(ConfigError::AskOnUnknown { claim: claim.clone() }),
            None => Ok(()),
        }
    }
}

/// `[groups]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupsConfig {
    /// How many there are; 0 for none. Verifiers then hold one entry per group in place of one per
    /// user, and ask about tokens that are older than it.
    pub count: u32,
}

impl GroupsConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.count > MAX_GROUPS {
            return refused("groups.count", "it is at most 1048576; with more, entries per user are as good");
        }
        Ok(())
    }
}
