//! Refresh: a session's next tokens for whoever holds its credential.
//!
//! ```text
//! text -> MAC or signature -> redeem: judged, then the family moves on, one transaction -> signed -> answer
//! ```
//!
//! What is forged ends before the store is looked at. What the transaction did is durable before the token
//! is signed, and an answer that gets lost after it can be had again while the grace lasts.

use std::fmt;

use annul_core::token::TokenError;
use serde::{Deserialize, Serialize};

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::model::{
    FIRST_GENERATION, NewFamily, Presented, ProofKey, RefreshAsker, RefreshBy, RefreshMark, Seen, Session,
};
use crate::secrets::random;
use crate::secrets::refresh_token::RefreshToken;
use crate::secrets::secret::Secret;
use crate::store::{
    Issuing, IssuingSnapshot, NewSuccessor, NotIssued, Opened, Redeem, Redeemed, RefreshRefusal, Refused, StoreError,
};
use crate::verbs::bounds;
use crate::verbs::next_token::{MOST_TRIES, NextToken};
use crate::verbs::sessions::{TokenAnswer, usable};

/// Spent generations that one step of the clean-up forgets, so that no transaction holds up the log.
const GRACES_STEP: usize = 1000;

/// A credential presented for the next tokens. The client was authenticated, unless it is public.
#[derive(Clone, Debug)]
pub struct RefreshRequest {
    /// The credential.
    pub token: Secret,
    /// The client that presents it.
    pub client_id: String,
    /// The key whose possession the request proves. A session bound to a key is refreshed with that key
    /// only.
    pub proof: Option<ProofKey>,
    /// What that key is bound to where the session is bound to none yet.
    pub binds: ProofBinds,
    /// The scope wanted for the access token, space separated; the session's when left out.
    pub scope: Option<String>,
    /// Where the request came from.
    pub seen: Seen,
}

/// What a proof binds to its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProofBinds {
    /// The access token of the answer: the client proves itself at each refresh.
    #[default]
    AccessToken,
    /// The session, with all later tokens of it. A public client proves nothing else, so its refresh tokens
    /// are bound too (RFC 9449 §5, RFC 8705 §4).
    Session,
}

/// A session's next tokens.
#[derive(Clone)]
pub struct Refreshed {
    /// The session.
    pub sid: String,
    /// The access token.
    pub access_token: Secret,
    /// `DPoP` where the access token is bound to such a key, else `Bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: u64,
    /// The scope of the access token.
    pub scope: Option<String>,
    /// The refresh token that takes the place of the one presented; none where the access token is its own
    /// refresh credential.
    pub refresh_token: Option<Secret>,
    /// Seconds until the refresh token expires if it is not used: the earlier of the idle and the absolute
    /// limit of its session.
    pub refresh_token_expires_in: Option<u64>,
    /// Whether this is a repetition.
    pub outcome: RefreshOutcome,
}

/// How a credential was redeemed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshOutcome {
    /// For the first time.
    Rotated,
    /// Again, within its grace.
    Repeated,
}

/// What revoking a refresh token ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshRevocation {
    /// Its session, with the access tokens of it.
    #[default]
    Session,
    /// All that its user holds.
    Subject,
}

/// The credential that a new session is given, apart from what the store keeps of it.
#[derive(Default)]
pub(crate) struct Offer {
    token: Option<RefreshToken>,
}

/// A redemption that was done.
struct Done {
    answer: Refreshed,
    /// The successor of a refresh token, where this is a repetition.
    sealed: Option<Vec<u8>>,
    session: Session,
}

impl RefreshRequest {
    /// The key that the session is to be bound to.
    fn bind_to(&self) -> Option<ProofKey> {
        match self.binds {
            ProofBinds::AccessToken => None,
            ProofBinds::Session => self.proof.clone(),
        }
    }
}

impl Authority {
    /// The next access token and refresh token for a refresh token.
    ///
    /// It is redeemed once. The same client with the same proof key and scope gets the same refresh token
    /// again until `rotation_grace` has passed or that was used; any other use of a spent one ends the
    /// session. The session is judged first, then the access token about to be issued; a refusal by
    /// either changes nothing, so that a lift revives. `auth_time`, origin and the refresh token's scope
    /// stay. Dropping the future may leave the token redeemed: repeat the call.
    ///
    /// # Errors
    /// [`VerbError::Refresh`] says why the refresh token was not redeemed. A forged one is refused without
    /// a look at the store.
    pub async fn refresh(&self, caller: &Caller, request: RefreshRequest) -> Result<Refreshed, VerbError> {
        let token = RefreshToken::read(request.token.expose(), self.master()).ok_or(RefreshRefusal::Unknown)?;
        let successor = token.successor()?.ok_or(RefreshRefusal::Unknown)?;
        let redeem = Redeem {
            sid: token.sid(),
            presented: Presented::RefreshToken { generation: token.generation(), hash: token.hash() },
            named: Vec::new(),
            by: asker(&request)?,
            bind_to: request.bind_to(),
            successor: NewSuccessor { mark: RefreshMark::Hash(successor.hash()), sealed: token.seal(&successor)? },
            grace: self.setup().refresh.grace.as_secs(),
            window: self.setup().refresh.window,
        };
        let Done { answer, sealed, session } = self.redeem(caller, redeem).await?;
        let given = match sealed {
            Some(sealed) => token.open(&sealed)?,
            None => successor,
        };
        Ok(Refreshed {
            refresh_token: Some(given.text(self.master())),
            refresh_token_expires_in: Some(self.refresh_expires_in(&session)),
            ..answer
        })
    }

    /// The next access token for an access token that is its own refresh credential, as a session opened
    /// with `exchange` has it. The rules are those of [`refresh`](Self::refresh): once, the same `jti` to a
    /// repetition in the grace, and any other reuse ends the session.
    ///
    /// # Errors
    /// Those of [`refresh`](Self::refresh), and [`VerbError::Token`] for what is no genuine access token;
    /// that it has expired is no reason, only that it was presented outside of the window.
    pub async fn exchange_access_token(
        &self,
        caller: &Caller,
        request: RefreshRequest,
    ) -> Result<Refreshed, VerbError> {
        // No token outlives its session by more, so an older one is nobody's.
        let leeway = self.setup().session_longest.as_secs();
        let token = self.verified(request.token.expose(), leeway).await?;
        if !token.is_own() {
            return Err(VerbError::Token(TokenError::IssuerMismatch));
        }
        let (Some(sid), Some(jti)) = (token.sid(), token.jti()) else { return Err(RefreshRefusal::Unknown.into()) };
        let next = random::token_id_after(jti, self.clock().millis())?;
        let redeem = Redeem {
            sid: sid.to_owned(),
            presented: Presented::AccessToken {
                jti: jti.to_owned(),
                expires: token.expires(),
                is_bound: token.claims().confirmations().next().is_some(),
            },
            named: vec![token.token_target().hash(self.hash_key())],
            by: asker(&request)?,
            bind_to: request.bind_to(),
            successor: NewSuccessor { mark: RefreshMark::Jti(next), sealed: Vec::new() },
            grace: self.setup().refresh.grace.as_secs(),
            window: Some(self.setup().refresh.exchange),
        };
        Ok(self.redeem(caller, redeem).await?.answer)
    }

    /// The session of a genuine refresh token, whatever became of either. The store is not asked.
    #[must_use]
    pub fn session_of_refresh_token(&self, token: &str) -> Option<String> {
        RefreshToken::read(token, self.master()).map(|token| token.sid())
    }

    /// Forgets the successors of refresh tokens whose grace has ended. Never needed for correctness: what
    /// is past its grace is answered to nobody.
    pub async fn end_graces(&self) -> Result<(), VerbError> {
        let first = self.store().first_grace_end().await?;
        // Asked first, so that there is a write only where there is something to forget.
        if first.is_some_and(|first| first <= self.clock().millis()) {
            while self.store().end_graces(GRACES_STEP).await?.more {}
        }
        Ok(())
    }

    /// The family of a session that is about to be opened, where one is wanted, and its first credential.
    pub(crate) fn offer(&self, sid: &str, by: Option<RefreshBy>) -> Result<(Option<NewFamily>, Offer), VerbError> {
        let (first, token) = match by {
            None => return Ok((None, Offer::default())),
            Some(RefreshBy::RefreshToken) => {
                let token = RefreshToken::generate(sid, FIRST_GENERATION)?;
                (RefreshMark::Hash(token.hash()), Some(token))
            }
            Some(RefreshBy::AccessToken) => (RefreshMark::Jti(random::token_id(self.clock().millis())?), None),
        };
        Ok((Some(NewFamily { first, access_life: self.token_life() }), Offer { token }))
    }

    /// The answer for a session that was just opened. The caller holds the signing lock for reading since
    /// before that.
    pub(crate) async fn first_answer(&self, opened: Opened, offer: Offer) -> Result<TokenAnswer, VerbError> {
        // Where an earlier attempt's refresh token was used already, this attempt's was not taken.
        let current = opened.family.as_ref().map(|family| &family.current);
        let given = offer.token.filter(|token| current == Some(&RefreshMark::Hash(token.hash())));
        let refresh_token = match given {
            Some(token) => Some(token.for_session(&opened.session.sid)?.text(self.master())),
            None => None,
        };
        let refresh_token_expires_in = refresh_token.as_ref().map(|_| self.refresh_expires_in(&opened.session));
        Ok(TokenAnswer { refresh_token, refresh_token_expires_in, ..self.first_token(opened).await? })
    }

    /// Redeems and signs.
    async fn redeem(&self, caller: &Caller, redeem: Redeem) -> Result<Done, VerbError> {
        for _ in 0..MOST_TRIES {
            let tried = {
                let _signing = self.signing_lock().read().await;
                self.try_redeem(caller, redeem.clone()).await
            };
            match tried {
                Err(VerbError::KeysChanging) => self.reload().await?,
                done => return done,
            }
        }
        Err(VerbError::KeysChanging)
    }

    async fn try_redeem(&self, caller: &Caller, redeem: Redeem) -> Result<Done, VerbError> {
        let now = self.clock().millis();
        let next = NextToken::at(self, now)?.asked_by(&redeem.by);
        let planned = next.clone();
        let plan = Box::new(move |issuing: &Issuing<'_>| planned.draft(issuing).map(|draft| draft.facts));
        let (snapshot, sealed, outcome) = match self.store().redeem(caller.step("refresh", None), redeem, plan).await {
            Ok(Redeemed::Rotated(snapshot)) => (snapshot, None, RefreshOutcome::Rotated),
            Ok(Redeemed::Repeated { snapshot, sealed }) => (snapshot, Some(sealed), RefreshOutcome::Repeated),
            Ok(Redeemed::Refused(refusal)) => return Err(refusal.into()),
            Err(error) => return Err(not_issued(error)),
        };
        let answer = self.refreshed(&next, &snapshot, outcome)?;
        // Past the commit nothing may take the answer away.
        if let Err(error) = self.note_use(&snapshot.session, now).await {
            tracing::warn!(error = %error, "a refresh was not written down as a use of its session");
        }
        Ok(Done { answer, sealed, session: snapshot.session })
    }

    fn refreshed(
        &self,
        next: &NextToken,
        snapshot: &IssuingSnapshot,
        outcome: RefreshOutcome,
    ) -> Result<Refreshed, VerbError> {
        let draft = next.draft(&snapshot.issuing()).map_err(VerbError::from)?;
        let session = next.session(&snapshot.session).map_err(VerbError::from)?;
        let minted = next.sign(draft, snapshot)?;
        Ok(Refreshed {
            token_type: ProofKey::token_type(session.confirmation.as_ref()),
            sid: session.sid,
            access_token: minted.token,
            expires_in: minted.stamp.expires.0.saturating_sub(minted.stamp.issued.0),
            scope: session.scope,
            refresh_token: None,
            refresh_token_expires_in: None,
            outcome,
        })
    }

    /// Seconds until a credential used now expires if it is not used again.
    fn refresh_expires_in(&self, session: &Session) -> u64 {
        let absolute = session.expires.0.saturating_sub(self.clock().seconds().0);
        session.idle_limit.map_or(absolute, |idle| idle.min(absolute))
    }
}

fn asker(request: &RefreshRequest) -> Result<RefreshAsker, VerbError> {
    bounds::name("client_id", &request.client_id)?;
    let scope = request.scope.as_deref().map(bounds::scope).transpose()?.map(|words| words.join(" "));
    let short = |text: &Option<String>| text.as_deref().map(bounds::shown);
    Ok(RefreshAsker {
        client_id: request.client_id.clone(),
        proof: request.proof.clone(),
        scope: scope.filter(|scope| !scope.is_empty()),
        seen: Seen { address: short(&request.seen.address), agent: short(&request.seen.agent) },
    })
}

fn not_issued(error: StoreError) -> VerbError {
    match error {
        StoreError::Refused(Refused::NotIssued(why)) => why.into(),
        error => error.into(),
    }
}

impl From<NotIssued> for VerbError {
    fn from(why: NotIssued) -> Self {
        match why {
            NotIssued::Refused(refusal) => Self::Refresh(refusal),
            NotIssued::SessionOver(status) => usable(&status).err().unwrap_or(Self::SessionRevoked(None)),
            NotIssued::Revoked(refusal) => Self::IssueRevoked(refusal),
            NotIssued::Scope { scope } => Self::InvalidScope { scope },
            NotIssued::Unissuable(error) => Self::Unissuable(error),
            NotIssued::KeysChanged => Self::KeysChanging,
        }
    }
}

impl fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refreshed").field("sid", &self.sid).field("outcome", &self.outcome).finish_non_exhaustive()
    }
}
