//! Fetches the key sets of foreign issuers.
//!
//! Only the authority does this, never a verifier on behalf of a token. A URL is https, or http on
//! loopback; a body and the time for it are bounded; redirects are not followed, for they would
//! lead past both rules. A fetch that fails leaves the keys that are there: they stay good, and the
//! issuer's `keys_due` tells verifiers that an unknown `kid` may be a new key.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::{Client, Url, redirect};

use crate::authority::Authority;

/// Fetches key sets. Clones share connections.
#[derive(Clone, Debug)]
pub struct JwksFetcher {
    client: Client,
}

impl JwksFetcher {
    /// Bytes a key set may have: a few dozen keys with their certificates.
    const MAX_BODY: usize = 128 * 1024;
    /// The time one fetch may take, from the first packet to the last byte.
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A fetcher that trusts the roots of this machine.
    pub fn new() -> Result<Self, FetchError> {
        let client = Client::builder()
            .timeout(Self::TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("annul/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| FetchError::Failed { detail: chain(&error) })?;
        Ok(Self { client })
    }

    /// The bytes of the key set at `uri`. Whether they are one is for the caller to find out.
    pub async fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let url = allowed(uri)?;
        let failed = |error: reqwest::Error| FetchError::Failed { detail: chain(&error.without_url()) };
        let response = self.client.get(url).header("accept", "application/json").send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(FetchError::Status { status: response.status().as_u16() });
        }
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            if body.len() + chunk.len() > Self::MAX_BODY {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Fetches the key set of every issuer that is due, for as long as the future is polled.
    pub async fn keep_fresh(self, authority: Authority) {
        let refresh = authority.setup().jwks_refresh;
        let mut rounds = tokio::time::interval((refresh / 2).clamp(Self::SHORTEST_ROUND, Self::LONGEST_ROUND));
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.refresh_due(&authority).await;
        }
    }

    /// It is looked no more often than this whether an issuer is due.
    const SHORTEST_ROUND: Duration = Duration::from_millis(200);
    /// And no less often than this.
    const LONGEST_ROUND: Duration = Duration::from_secs(5);

    async fn refresh_due(&self, authority: &Authority) {
        let due = match authority.issuers_due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = %error, "the issuers could not be read");
                return;
            }
        };
        for issuer in due {
            let outcome = match self.fetch(&issuer.jwks_uri).await {
                Ok(body) => {
                    let refreshed = authority.refresh_issuer(&issuer.issuer, &issuer.jwks_uri, body).await;
                    refreshed.map(|_| ()).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = outcome {
                tracing::warn!(issuer = issuer.issuer, error, "an issuer's keys were not refreshed; the old ones stay");
            }
        }
    }
}

/// Why a key set was not fetched. What is known of the issuer stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Not https, and not http on loopback.
    #[error("a key set is fetched over https, or over http from this machine only")]
    Refused,
    /// The server answered otherwise than 200.
    #[error("the server of the key set answered {status}")]
    Status {
        /// What it answered.
        status: u16,
    },
    /// More bytes than a key set has.
    #[error("the key set has more than {} bytes", JwksFetcher::MAX_BODY)]
    TooLarge,
    /// The server was not reached or broke off.
    #[error("the key set could not be fetched: {detail}")]
    Failed {
        /// What went wrong.
        detail: String,
    },
}

fn allowed(uri: &str) -> Result<Url, FetchError> {
    let url = Url::parse(uri).map_err(|_| FetchError::Refused)?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let has_userinfo = !url.username().is_empty() || url.password().is_some();
    match url.scheme() {
        _ if has_userinfo => Err(FetchError::Refused),
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(FetchError::Refused),
    }
}

/// An error with its causes, for reqwest's own text hides what went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_are_fetched() {
        for uri in ["https://idp.example/jwks", "http://127.0.0.1:9/jwks", "http://[::1]:9/jwks", "http://localhost/j"]
        {
            assert!(allowed(uri).is_ok(), "{uri}");
        }
        for uri in [
            "http://idp.example/jwks",
            "http://127.0.0.1.idp.example/jwks",
            "file:///etc/passwd",
            "ftp://127.0.0.1/jwks",
            "https://user:secret@idp.example/jwks",
            "jwks",
            "",
        ] {
            assert_eq!(allowed(uri), Err(FetchError::Refused), "{uri}");
        }
    }
}
