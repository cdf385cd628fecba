//! The wire: `POST /oauth2/token` with `grant_type=refresh_token`, until there is an answer.
//!
//! An answer that was lost is asked for again with the same refresh token: while its grace lasts the
//! authority gives the same successor. So one attempt has a short limit of its own, and all of them
//! together one that stays below the grace.

use std::time::Duration;

use annul_core::time::Monotonic;
use http::header::HeaderName;
use http::{HeaderValue, Method};
use serde::Deserialize;
use tokio::time::Instant;

use super::access::Remedy;
use super::error::HolderError;
use super::proof::Proofs;
use super::token::{AccessToken, RefreshToken};
use crate::client::{Answered, AuthorityClient, Call, ClientError, Login, TokenAnswer, draw_below};
use crate::clock;
use crate::http::Scheme;

/// How long one attempt may take. An answer that is not there by then counts as lost.
const ATTEMPT: Duration = Duration::from_secs(3);
/// The first pause before another attempt; it doubles, and the actual pause is drawn below it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest life that is counted with. A token that lives longer is refreshed early.
const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The header of a proof (RFC 9449 §4.1).
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");

/// How a holder trades with the authority.
pub(super) struct Exchange {
    client: AuthorityClient,
    /// The id of a public client, which goes into the form. A confidential one authenticates by the
    /// credential of `client`.
    public_id: Option<String>,
    within: Duration,
    proofs: Option<Proofs>,
}

/// What the authority gave.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) access: AccessToken,
    pub(super) refresh: RefreshToken,
    /// When the request left: what was issued for it lives at least so long from then.
    pub(super) sent: Monotonic,
    pub(super) life: Duration,
}

/// A grant as it was read; an authority that does not rotate sends no refresh token.
pub(super) struct Granted {
    access: AccessToken,
    refresh: Option<RefreshToken>,
    sent: Monotonic,
    life: Duration,
}

impl Granted {
    /// This grant, if it brought a refresh token.
    pub(super) fn rotating(self) -> Option<Grant> {
        let Self { access, refresh, sent, life } = self;
        Some(Grant { access, refresh: refresh?, sent, life })
    }

    /// This grant, with `spent` for its refresh token where it brought none.
    pub(super) fn or_keeping(self, spent: RefreshToken) -> Grant {
        let Self { access, refresh, sent, life } = self;
        Grant { access, refresh: refresh.unwrap_or(spent), sent, life }
    }
}

impl Exchange {
    pub(super) const fn new(
        client: AuthorityClient,
        public_id: Option<String>,
        within: Duration,
        proofs: Option<Proofs>,
    ) -> Self {
        Self { client, public_id, within, proofs }
    }

    pub(super) const fn proofs(&self) -> Option<&Proofs> {
        self.proofs.as_ref()
    }

    /// Trades `refresh` for the next tokens. Repeats it while there is no answer, until the deadline.
    pub(super) async fn redeem(&self, refresh: &RefreshToken) -> Result<Granted, HolderError> {
        let deadline = Instant::now() + self.within;
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.redeem_once(refresh).await {
                Ok(granted) => return Ok(granted),
                Err(error) => error,
            };
            let Some(asked) = error.may_repeat() else { return Err(error) };
            // A pause of centuries is no reason to reckon with one.
            let wait = asked.unwrap_or_else(|| draw_below(pause)).min(self.within);
            if Instant::now() + wait + self.limit() > deadline {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn redeem_once(&self, refresh: &RefreshToken) -> Result<Granted, HolderError> {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", refresh.expose())];
        fields.extend(self.public_id.as_deref().map(|id| ("client_id", id)));
        self.granted("oauth2/token", || Call::new(Method::POST, "oauth2/token").form(&fields)).await
    }

    /// Opens a session by a password. Sent once: a lost answer leaves a session that nobody uses.
    pub(super) async fn log_in(&self, login: &Login) -> Result<Granted, HolderError> {
        self.granted("v1/login", || Call::new(Method::POST, "v1/login").json(login)).await
    }

    /// The grant in an answer that opened a session, if it can be used. It came at `now` at the latest.
    pub(super) fn opened(&self, answer: &TokenAnswer, now: Monotonic) -> Option<Grant> {
        let wire = WireGrant {
            access_token: answer.access_token.clone(),
            token_type: answer.token_type.clone(),
            expires_in: answer.expires_in,
            refresh_token: answer.refresh_token.clone(),
        };
        wire.read(now, self.proofs.is_some()).ok()?.rotating()
    }

    async fn granted(&self, path: &str, call: impl Fn() -> Call) -> Result<Granted, HolderError> {
        let sent = clock::now().mono;
        let answer = self.proven(path, call).await?;
        if !answer.status.is_success() {
            return Err(HolderError::of(answer.problem()));
        }
        read(&answer.body, sent, self.proofs.is_some()).map_err(HolderError::not_now)
    }

    /// Sends what `call` makes with a proof, if there is a key for one, and again where the answer says
    /// what is wrong with the proof: once for its nonce, once for its time.
    async fn proven(&self, path: &str, call: impl Fn() -> Call) -> Result<Answered, ClientError> {
        let Some(proofs) = &self.proofs else { return self.attempt(&call()).await };
        let url = self.client.endpoint(path)?;
        let mut tried = Vec::new();
        loop {
            let proof = proofs.prove(&Method::POST, &url, None);
            let answer = self.attempt(&call().header(DPOP, proof)).await?;
            proofs.heard(&url, &answer.headers);
            if answer.status.is_success() {
                return Ok(answer);
            }
            let problem = answer.problem();
            let remedy = match problem.oauth_error.as_deref().unwrap_or(&problem.code) {
                "use_dpop_nonce" => Remedy::Nonce,
                "invalid_dpop_proof" if proofs.corrects_clock(&answer.headers) => Remedy::Clock,
                _ => return Ok(answer),
            };
            if tried.contains(&remedy) {
                return Ok(answer);
            }
            tried.push(remedy);
        }
    }

    /// How long one attempt may take.
    fn limit(&self) -> Duration {
        ATTEMPT.min(self.within)
    }

    async fn attempt(&self, call: &Call) -> Result<Answered, ClientError> {
        let limit = self.limit();
        let answer = tokio::time::timeout(limit, self.client.exchange(call)).await;
        answer.unwrap_or_else(|_| Err(ClientError::TimedOut { url: self.client.url().to_owned(), within: limit }))
    }
}

#[derive(Deserialize)]
struct WireGrant {
    access_token: String,
    token_type: String,
    expires_in: u64,
    refresh_token: Option<String>,
}

/// Reads a success.
fn read(body: &[u8], sent: Monotonic, has_key: bool) -> Result<Granted, ClientError> {
    // The parser's own message could repeat what it read, and that is a token.
    let wire: Result<WireGrant, _> = serde_json::from_slice(body);
    wire.map_err(|_| ClientError::Malformed("no access token in it".to_owned()))?.read(sent, has_key)
}

impl WireGrant {
    /// A token for a scheme that cannot be presented is as good as none.
    fn read(self, sent: Monotonic, has_key: bool) -> Result<Granted, ClientError> {
        let malformed = |cause: &str| ClientError::Malformed(cause.to_owned());
        let scheme = Scheme::of(&self.token_type).filter(|scheme| has_key || *scheme == Scheme::Bearer);
        let scheme = scheme.ok_or_else(|| malformed("a token_type that cannot be presented"))?;
        if HeaderValue::from_str(&self.access_token).is_err() || self.access_token.is_empty() {
            return Err(malformed("an access token that no header can carry"));
        }
        let life = Duration::from_secs(self.expires_in).min(LONGEST_LIFE);
        let access = AccessToken::new(&self.access_token, scheme);
        Ok(Granted { access, refresh: self.refresh_token.map(RefreshToken::from), sent, life })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_that_cannot_be_used_is_no_grant_and_repeats_no_token() {
        let read = |body: &str, has_key| read(body.as_bytes(), Monotonic::default(), has_key);
        let good = r#"{"access_token":"a.b.c","token_type":"bearer","expires_in":300,"refresh_token":"r2","more":1}"#;
        let granted = read(good, false).unwrap();
        assert_eq!((granted.access.expose(), granted.life.as_secs()), ("a.b.c", 300));
        assert_eq!(granted.refresh.as_ref().map(RefreshToken::expose), Some("r2"));
        assert_eq!(granted.or_keeping("r1".into()).refresh.expose(), "r2");

        let bound = good.replace("bearer", "DPoP");
        assert_eq!(read(&bound, true).unwrap().access.scheme(), Scheme::DPoP);
        for body in [bound.as_str(), &good[..40], "{}", "", &good.replace("a.b.c", "a\\nb"), &good.replace("a.b.c", "")]
        {
            let error = read(body, false).err().expect("no grant").to_string();
            assert!(!error.contains("a.b.c"), "{error}");
        }
        let endless = good.replace("300", "18446744073709551615");
        assert_eq!(read(&endless, false).unwrap().life, LONGEST_LIFE);
    }

    #[test]
    fn an_authority_that_does_not_rotate_leaves_the_refresh_token_as_it_is() {
        let body = br#"{"access_token":"a.b.c","token_type":"Bearer","expires_in":300}"#;
        let granted = read(body, Monotonic::default(), false).unwrap();
        assert_eq!(granted.or_keeping("r1".into()).refresh.expose(), "r1");
    }
}
