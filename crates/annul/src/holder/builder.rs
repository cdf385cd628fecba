//! Configuring a holder, and how it comes by its session.

use std::time::Duration;

use tokio::runtime::Handle;

use super::exchange::{Exchange, Grant};
use super::keep::{InMemory, KeepRefreshToken};
use super::proof::{ProofKey, Proofs};
use super::standing::{Lead, Standing};
use super::{HolderError, RefreshToken, TokenHolder};
use crate::client::{AuthorityClient, AuthorityClientBuilder, ClientError, Login, TokenAnswer, draw_below};
use crate::clock;
use crate::error::ConfigError;

/// The public client that an authority has built in, for its own accounts.
const BUILT_IN_CLIENT: &str = "annul.login";
/// How long a refresh is tried without an answer: less than the 15 s for which an authority gives a lost
/// successor again, so that all attempts of one refresh fall into it.
const WITHIN: Duration = Duration::from_secs(10);

/// Configures a [`TokenHolder`]. What makes one is [`resume`](Self::resume), [`log_in`](Self::log_in) or
/// [`opened`](Self::opened).
#[must_use = "a builder does nothing until it makes a holder"]
pub struct TokenHolderBuilder {
    client: AuthorityClientBuilder,
    public_id: Option<String>,
    keep: Box<dyn KeepRefreshToken>,
    proof_key: Option<ProofKey>,
    lead: Option<Duration>,
    within: Duration,
}

impl TokenHolderBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            client: AuthorityClient::builder(url),
            public_id: Some(BUILT_IN_CLIENT.to_owned()),
            keep: Box::new(InMemory),
            proof_key: None,
            lead: None,
            within: WITHIN,
        }
    }

    /// The session's client, one without a secret: an application on its user's device. The
    /// authority's built-in `annul.login` when nothing is said.
    pub fn public_client(mut self, client_id: &str) -> Self {
        self.public_id = Some(client_id.to_owned());
        self
    }

    /// The session's client and its secret: a backend that holds its users' sessions.
    pub fn confidential_client(mut self, client_id: &str, secret: &str) -> Self {
        self.client = self.client.credentials(client_id, secret);
        self.public_id = None;
        self
    }

    /// Where the refresh token is kept. Without it the session is of no use after the process.
    pub fn keep(mut self, keep: impl KeepRefreshToken) -> Self {
        self.keep = Box::new(keep);
        self
    }

    /// Signs a proof of possession (RFC 9449) for every request: a session opened with it is bound to
    /// the key, and a stolen token is of no use without it.
    pub fn proof_key(mut self, key: ProofKey) -> Self {
        self.proof_key = Some(key);
        self
    }

    /// How long before its end an access token is refreshed, at most half its life. The moment is drawn
    /// from the first third of the lead, so that many holders spread. Three tenths of the life when not
    /// given; needed where the authority takes refresh tokens only near the end of that life.
    pub fn lead(mut self, lead: Duration) -> Self {
        self.lead = Some(lead);
        self
    }

    /// How long a refresh is tried without an answer before its callers hear
    /// [`HolderError::NotNow`]; 10 s when not given. Keep it below the authority's `rotation_grace`.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Trusts this certificate (PEM) for the authority instead of the platform's. May be given again.
    pub fn tls_root(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.client = self.client.tls_root(pem);
        self
    }

    /// A holder of the session whose refresh token was kept. Nothing is sent: the first token that is
    /// asked for needs a refresh.
    ///
    /// # Errors
    /// When the configuration cannot work, or there is no tokio runtime.
    pub fn resume(self, refresh_token: impl Into<RefreshToken>) -> Result<TokenHolder, ConfigError> {
        let parts = self.build()?;
        let standing = Standing::resumed(refresh_token.into(), parts.lead);
        Ok(parts.holding(standing))
    }

    /// Opens a session for a built-in account, with a refresh token, by its password. The public client
    /// of this builder is the session's.
    ///
    /// # Errors
    /// [`HolderError::Refused`] when the authority refuses the login; [`HolderError::NotKept`] when the
    /// refresh token could not be kept: the session is then open and of no use. For the others see
    /// [`HolderError`].
    pub async fn log_in(self, login: &Login) -> Result<TokenHolder, HolderError> {
        // The built-in client need not be named.
        let client_id = self.public_id.clone().filter(|id| id != BUILT_IN_CLIENT);
        let parts = self.build()?;
        let login = Login { refresh_token: true, client_id, ..login.clone() };
        let granted = parts.exchange.log_in(&login).await?;
        parts.opened(granted.rotating()).await
    }

    /// A holder of the session that `answer` opened, with a refresh token that was asked for.
    ///
    /// # Errors
    /// [`HolderError::NotNow`] when there is no refresh token in the answer; [`HolderError::NotKept`] when
    /// it could not be kept.
    pub async fn opened(self, answer: &TokenAnswer) -> Result<TokenHolder, HolderError> {
        let parts = self.build()?;
        let grant = parts.exchange.opened(answer, clock::now().mono);
        parts.opened(grant).await
    }

    fn build(self) -> Result<Parts, ConfigError> {
        let runtime = Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let proofs = self.proof_key.map(Proofs::new);
        let exchange = Exchange::new(self.client.build()?, self.public_id, self.within, proofs);
        let lead = Lead { length: self.lead, draw: draw_below };
        Ok(Parts { exchange, keep: self.keep, lead, runtime })
    }
}

/// A holder but for its session.
struct Parts {
    exchange: Exchange,
    keep: Box<dyn KeepRefreshToken>,
    lead: Lead,
    runtime: Handle,
}

impl Parts {
    fn holding(self, standing: Standing) -> TokenHolder {
        TokenHolder::new(self.exchange, self.keep, standing, self.runtime)
    }

    /// A holder of a session that was just opened, its refresh token kept.
    async fn opened(self, grant: Option<Grant>) -> Result<TokenHolder, HolderError> {
        let missing = || ClientError::Malformed("no refresh token in it".to_owned());
        let grant = grant.ok_or_else(|| HolderError::not_now(missing()))?;
        let standing = Standing::resumed(grant.refresh.clone(), self.lead);
        let holder = self.holding(standing);
        holder.inner.keep(grant).await?;
        Ok(holder)
    }
}
