//! The step from what a token says to what its issuer said, and the token that came out of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::Claims;
use super::error::TokenError;
use super::expect::{Expect, Terms};
use super::facts::{Facts, NamedTarget, Subject};
use super::key_set::KeySet;
use super::names::Names;
use super::{Jws, UnverifiedToken, decode, digest};
use crate::algebra::Reading;
use crate::position::Position;
use crate::settings::Settings;
use crate::target::{HashKey, Target, TargetKind};
use crate::time::UnixSeconds;
use crate::view::Ground;

impl UnverifiedToken<'_> {
    /// Verifies the token: its kind, issuer and algorithm, the signature by one of `keys`, then
    /// audience, dates, life and what else `expect` asks for.
    ///
    /// [`TokenError::KeyUnknown`] is said only of a token that could be accepted if its key were
    /// known: a verifier that is behind may answer it with "cannot tell".
    pub fn verify(self, keys: &KeySet, expect: &Expect, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        self.verify_on(&expect.terms(), keys, expect, now)
    }

    /// The same on other terms than those that `expect` was configured with.
    pub(crate) fn verify_on(
        self,
        terms: &Terms<'_>,
        keys: &KeySet,
        expect: &Expect,
        now: UnixSeconds,
    ) -> Result<VerifiedToken, TokenError> {
        let Self { jws, claims } = self;
        expect.admits(&jws.header, &claims)?;
        let key_id = match keys.verify(&jws.header, jws.signed.as_bytes(), &jws.signature) {
            Ok(key) => key.shared_id(),
            Err(TokenError::KeyUnknown) => {
                expect.accepts(&claims, terms, now)?;
                return Err(TokenError::KeyUnknown);
            }
            Err(refused) => return Err(refused),
        };
        expect.accepts(&claims, terms, now)?;
        VerifiedToken::new(&jws, claims, key_id, expect.own, terms)
    }
}

/// A token whose signature and claims were verified: here, or, where no verifier has the key, by the
/// authority ([`Introspectable`](super::Introspectable)). There is no other way to make one.
///
/// It is immutable and cheap to clone, and may be cached under the token's bytes until it expires.
/// That it was verified says nothing about whether it has been revoked since.
#[derive(Clone)]
pub struct VerifiedToken(Arc<Verified>);

/// A token's parts, in this order: of thousands of tokens none stays in the processor's nearest cache, so what
/// a request reads of one seen before should lie in few lines of memory. First what tells whether it is the
/// one, with where its text is, then what the view is asked about.
#[repr(C)]
pub(crate) struct Verified {
    /// The number of the ground that it was last found to stand on, for whoever keeps it.
    found_on: AtomicU64,
    expires: UnixSeconds,
    /// The claims, and behind their text the token as it came.
    claims: Claims,
    reading: Reading,
    facts: OnceLock<CachedFacts>,
    own: bool,
    names: Names,
    key_id: Arc<str>,
    /// What it was verified by, when that was a view's.
    ground: Option<Arc<Ground>>,
    digest: OnceLock<[u8; 32]>,
    /// The digest's text, which names a token without `jti`.
    token_hash: Option<String>,
    /// What introspection tells of it, once somebody asked.
    introspection: OnceLock<Box<str>>,
}

/// The number of no ground.
const NO_GROUND: u64 = u64::MAX;

/// Facts, and what they were computed under: the first settings that the token met.
#[repr(C)]
struct CachedFacts {
    revision: u32,
    key: HashKey,
    facts: Result<Facts, TokenError>,
}

impl VerifiedToken {
    pub(super) fn new(
        jws: &Jws<'_>,
        claims: Claims,
        key_id: Arc<str>,
        own: bool,
        terms: &Terms<'_>,
    ) -> Result<Self, TokenError> {
        let known_digest = match claims.jti() {
            Some(_) => OnceLock::new(),
            None => digest(jws.header.text(), claims.text()).into(),
        };
        Self::known_as(jws.text, known_digest, claims, key_id, own, terms)
    }

    /// An opaque token, which has no header; these are the claims that its authority named.
    pub(super) fn opaque(
        text: &str,
        claims: Claims,
        key_id: Arc<str>,
        own: bool,
        terms: &Terms<'_>,
    ) -> Result<Self, TokenError> {
        let known_digest = digest("", text).into();
        Self::known_as(text, known_digest, claims, key_id, own, terms)
    }

    /// The token whose text this is; its digest is known if it is what names it.
    fn known_as(
        text: &str,
        known_digest: OnceLock<[u8; 32]>,
        mut claims: Claims,
        key_id: Arc<str>,
        own: bool,
        terms: &Terms<'_>,
    ) -> Result<Self, TokenError> {
        let names = match own {
            true => Names::of_own(&claims, terms.claim_names)?,
            false => Names::of_foreign(&claims, terms.claim_names)?,
        };
        let token_hash = match claims.jti() {
            Some(_) => None,
            None => known_digest.get().map(|digest| URL_SAFE_NO_PAD.encode(digest)),
        };
        claims.append(text);
        Ok(Self(Arc::new(Verified {
            found_on: AtomicU64::new(NO_GROUND),
            ground: None,
            expires: claims.exp().ok_or(TokenError::claim("exp", "present"))?,
            reading: reading(&claims, own, terms)?,
            own,
            facts: OnceLock::new(),
            claims,
            names,
            key_id,
            digest: known_digest,
            token_hash,
            introspection: OnceLock::new(),
        })))
    }

    /// The same token, verified by what `ground` says.
    pub(crate) fn verified_on(mut self, ground: &Arc<Ground>) -> Self {
        if let Some(verified) = Arc::get_mut(&mut self.0) {
            verified.ground = Some(Arc::clone(ground));
        }
        self
    }

    /// Whether it would be verified by the very same on this ground. No token that was verified without
    /// a view would.
    #[must_use]
    pub fn stands_on(&self, ground: &Ground) -> bool {
        self.0.ground.as_ref().is_some_and(|own| own.is_same_for(self.issuer(), ground))
    }

    pub(super) fn of(verified: Arc<Verified>) -> Self {
        Self(verified)
    }

    pub(crate) const fn shared(&self) -> &Arc<Verified> {
        &self.0
    }

    /// The token as it came. It is a secret of its bearer's.
    fn text(&self) -> &str {
        self.0.text()
    }

    /// Where [`introspected`](Self::introspected) keeps its answer.
    pub(super) fn introspection(&self) -> &OnceLock<Box<str>> {
        &self.0.introspection
    }

    /// The claims, as the issuer signed them.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// `sub`. Own tokens have one.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.0.claims.sub()
    }

    /// `jti`. Own tokens have one.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.0.claims.jti()
    }

    /// The session, under the name its issuer gives that claim.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.0.names.session(&self.0.claims)
    }

    /// The device, under the name its issuer gives that claim.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        self.0.names.device(&self.0.claims)
    }

    /// The client, under the name its issuer gives that claim.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.0.names.client(&self.0.claims)
    }

    /// `exp`, without leeway.
    #[must_use]
    pub fn expires(&self) -> UnixSeconds {
        self.0.expires
    }

    /// `iat`. Own tokens have it.
    #[must_use]
    pub fn issued(&self) -> Option<UnixSeconds> {
        self.0.claims.iat()
    }

    /// When the user last logged in, if the token says so.
    #[must_use]
    pub fn auth_time(&self) -> Option<UnixSeconds> {
        self.0.claims.auth_time()
    }

    /// The words of `scope`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0.claims.scopes()
    }

    /// The id of the key that verified the token; what its header says plays no part.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// The log's position at issue, in an own token.
    #[must_use]
    pub fn lpos(&self) -> Option<Position> {
        match self.0.reading {
            Reading::Own { position, .. } => Some(position),
            Reading::Foreign { .. } => None,
        }
    }

    /// What cutoffs are compared with.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.0.reading
    }

    /// Whether it is a token of the log's own issuer.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.own
    }

    /// The hash of the decoded header and payload. It is the same for every signature over them. That of
    /// an opaque token is of its text.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.0.digest.get_or_init(|| {
            let header = self.text().split('.').next().and_then(|header| decode(header).ok());
            digest(&String::from_utf8_lossy(&header.unwrap_or_default()), self.0.claims.text())
        })
    }

    /// The target that names this very token: `token` by its `jti`, else `token_hash`.
    #[must_use]
    pub fn token_target(&self) -> Target {
        let (kind, name) = self.0.token_name();
        Target::one(self.issuer(), kind, name).expect("a verified issuer and token id are not empty")
    }

    /// Every target of the token by name, for people and for the authority; verifiers use
    /// [`facts`](Self::facts).
    pub fn targets(&self, settings: &Settings) -> Result<Vec<Target>, TokenError> {
        let mut targets = Vec::new();
        const NOT_EMPTY: &str = "names in a verified token are not empty";
        self.0.as_subject().each(settings, &mut |NamedTarget { issuer, kind, parts, .. }| {
            let target = match *parts {
                [part] => Target::one(issuer, kind, part).expect(NOT_EMPTY),
                [first, second] => Target::two(issuer, kind, first, second).expect(NOT_EMPTY),
                _ => Target::issuer(issuer),
            };
            if !targets.contains(&target) {
                targets.push(target);
            }
        })?;
        Ok(targets)
    }

    /// The token's facts under these settings. The first are kept and lent; under other settings or
    /// another hash key, which a token seldom lives to see, they are computed each time.
    pub fn facts(&self, settings: &Settings, key: &HashKey) -> Result<Cow<'_, Facts>, TokenError> {
        match self.0.kept_facts(settings, key) {
            Some(kept) => kept.map(Cow::Borrowed).map_err(TokenError::clone),
            None => self.0.as_subject().facts(settings, key).map(Cow::Owned),
        }
    }
}

impl Verified {
    /// The token as it came.
    pub(super) fn text(&self) -> &str {
        self.claims.appended()
    }

    pub(super) const fn expires(&self) -> UnixSeconds {
        self.expires
    }

    #[inline]
    pub(super) fn was_found_on(&self, ground: u64) -> bool {
        self.found_on.load(Ordering::Relaxed) == ground
    }

    /// Notes that it stands on the ground with this number. Mostly that is known.
    #[inline]
    pub(super) fn found_on(&self, ground: u64) {
        if !self.was_found_on(ground) {
            self.found_on.store(ground, Ordering::Relaxed);
        }
    }

    /// What `read` makes of the facts under these settings, which are neither cloned nor moved for it.
    #[inline]
    pub(crate) fn read_facts<R>(
        &self,
        settings: &Settings,
        key: &HashKey,
        read: impl FnOnce(Result<&Facts, &TokenError>) -> R,
    ) -> R {
        match self.kept_facts(settings, key) {
            Some(kept) => read(kept),
            None => read(self.as_subject().facts(settings, key).as_ref()),
        }
    }

    /// The facts that are kept, which are those under the first settings and hash key that were asked
    /// for, if these are the same.
    #[inline]
    fn kept_facts(&self, settings: &Settings, key: &HashKey) -> Option<Result<&Facts, &TokenError>> {
        let kept = self.facts.get_or_init(|| CachedFacts {
            revision: settings.revision,
            key: key.clone(),
            facts: self.as_subject().facts(settings, key),
        });
        (kept.revision == settings.revision && kept.key == *key).then_some(kept.facts.as_ref())
    }

    fn issuer(&self) -> &str {
        // It was there, and was the one expected, or the token would not have been verified.
        self.claims.iss().unwrap_or_default()
    }

    /// `token` and the `jti`, or `token_hash` and the digest's text.
    fn token_name(&self) -> (TargetKind, &str) {
        match self.claims.jti() {
            Some(jti) => (TargetKind::Token, jti),
            None => (TargetKind::TokenHash, self.token_hash.as_deref().unwrap_or_default()),
        }
    }

    fn as_subject(&self) -> Subject<'_> {
        Subject {
            issuer: self.issuer(),
            claims: &self.claims,
            names: &self.names,
            token: self.token_name(),
            key_id: &self.key_id,
            own: self.own,
            reading: self.reading,
            described: self.ground.as_ref().and_then(|ground| ground.issuer(self.issuer())).map(Arc::as_ref),
        }
    }
}

/// Shows no claim: they are about people and stay out of logs.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer())
            .field("key", &self.0.key_id)
            .field("expires", &self.0.expires)
            .finish_non_exhaustive()
    }
}

fn reading(claims: &Claims, own: bool, terms: &Terms<'_>) -> Result<Reading, TokenError> {
    if !own {
        return Ok(Reading::Foreign { issued: claims.iat(), skew: terms.skew });
    }
    let position = claims.lpos().ok_or(TokenError::claim("lpos", "a position such as 1:42"))?;
    let issued = claims.iat().ok_or(TokenError::claim("iat", "present"))?;
    Ok(Reading::Own { position, time: claims.auth_time().unwrap_or(issued) })
}
