//! The step from what a token says to what its issuer said, and the token that came out of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::Claims;
use super::error::TokenError;
use super::expect::Expect;
use super::facts::{Facts, NamedTarget, Subject};
use super::header::Header;
use super::key_set::KeySet;
use super::names::Names;
use super::{Jws, UnverifiedToken, digest};
use crate::algebra::Reading;
use crate::position::Position;
use crate::settings::Settings;
use crate::target::{HashKey, Target, TargetKind};
use crate::time::UnixSeconds;

impl UnverifiedToken<'_> {
    /// Verifies the token: its kind, issuer and algorithm, the signature by one of `keys`, then
    /// audience, dates, life and what else `expect` asks for.
    ///
    /// [`TokenError::KeyUnknown`] is said only of a token that could be accepted if its key were
    /// known: a verifier that is behind may answer it with "cannot tell".
    pub fn verify(self, keys: &KeySet, expect: &Expect, now: UnixSeconds) -> Result<VerifiedToken, TokenError> {
        let Self { jws, claims } = self;
        expect.admits(&jws.header, &claims)?;
        let key_id = match keys.verify(&jws.header, jws.signed.as_bytes(), &jws.signature) {
            Ok(key) => key.shared_id(),
            Err(TokenError::KeyUnknown) => {
                expect.accepts(&claims, now)?;
                return Err(TokenError::KeyUnknown);
            }
            Err(refused) => return Err(refused),
        };
        expect.accepts(&claims, now)?;
        VerifiedToken::new(jws, claims, key_id, expect)
    }
}

/// A token whose signature and claims were verified: here, or, where no verifier has the key, by the
/// authority ([`Introspectable`](super::Introspectable)). There is no other way to make one.
///
/// It is immutable and cheap to clone, and may be cached under the token's bytes until it expires.
/// That it was verified says nothing about whether it has been revoked since.
#[derive(Clone)]
pub struct VerifiedToken(Arc<Inner>);

struct Inner {
    claims: Claims,
    names: Names,
    key_id: Arc<str>,
    header: Option<Header>,
    digest: OnceLock<[u8; 32]>,
    /// The digest's text, which names a token without `jti`.
    token_hash: Option<String>,
    issuer: Arc<str>,
    own: bool,
    expires: UnixSeconds,
    reading: Reading,
    facts: OnceLock<CachedFacts>,
}

/// Facts, and what they were computed under: the first settings that the token met.
struct CachedFacts {
    revision: u32,
    key: HashKey,
    facts: Result<Facts, TokenError>,
}

impl VerifiedToken {
    pub(super) fn new(jws: Jws<'_>, claims: Claims, key_id: Arc<str>, expect: &Expect) -> Result<Self, TokenError> {
        Self::of(Some(jws.header), claims, key_id, expect)
    }

    /// The token with these claims and its header, where it has one.
    pub(super) fn of(header: Option<Header>, claims: Claims, key_id: Arc<str>, expect: &Expect) -> Result<Self, TokenError> {
        let names = match expect.own {
            true => Names::of_own(&claims, &expect.claim_names)?,
            false => Names::of_foreign(&claims, &expect.claim_names)?,
        };
        let known_digest = OnceLock::new();
        let token_hash = claims.jti().is_none().then(|| {
            let digest = known_digest.get_or_init(|| digest(text_of(header.as_ref()), claims.text()));
            URL_SAFE_NO_PAD.encode(digest)
        });
        Ok(Self(Arc::new(Inner {
            expires: claims.exp().ok_or(TokenError::claim("exp", "present"))?,
            reading: reading(&claims, expect)?,
            issuer: expect.issuer.clone(),
            own: expect.own,
            facts: OnceLock::new(),
            claims,
            names,
            key_id,
            header,
            digest: known_digest,
            token_hash,
        })))
    }

    /// The claims, as the issuer signed them.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer
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

    /// The hash of the decoded header and payload. It is the same for every signature over them.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *self.0.digest.get_or_init(|| digest(text_of(self.0.header.as_ref()), self.0.claims.text()))
    }

    /// The target that names this very token: `token` by its `jti`, else `token_hash`.
    #[must_use]
    pub fn token_target(&self) -> Target {
        let (kind, name) = self.token_name();
        Target::one(self.issuer(), kind, name).expect("a verified issuer and token id are not empty")
    }

    /// Every target of the token by name, for people and for the authority; verifiers use
    /// [`facts`](Self::facts).
    pub fn targets(&self, settings: &Settings) -> Result<Vec<Target>, TokenError> {
        let mut targets = Vec::new();
        const NOT_EMPTY: &str = "names in a verified token are not empty";
        self.as_subject().each(settings, &mut |NamedTarget { issuer, kind, parts, .. }| {
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
        let compute = || self.as_subject().facts(settings, key);
        let kept = self.0.facts.get_or_init(|| CachedFacts {
            revision: settings.revision,
            key: key.clone(),
            facts: compute(),
        });
        if kept.revision == settings.revision && kept.key == *key {
            return kept.facts.as_ref().map(Cow::Borrowed).map_err(TokenError::clone);
        }
        compute().map(Cow::Owned)
    }

    /// `token` and the `jti`, or `token_hash` and the digest's text.
    fn token_name(&self) -> (TargetKind, &str) {
        match self.jti() {
            Some(jti) => (TargetKind::Token, jti),
            None => (TargetKind::TokenHash, self.0.token_hash.as_deref().unwrap_or_default()),
        }
    }

    fn as_subject(&self) -> Subject<'_> {
        Subject {
            issuer: &self.0.issuer,
            claims: &self.0.claims,
            names: &self.0.names,
            token: self.token_name(),
            key_id: &self.0.key_id,
            own: self.0.own,
            reading: self.0.reading,
        }
    }
}

/// Shows no claim: they are about people and stay out of logs.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.0.issuer)
            .field("key", &self.0.key_id)
            .field("expires", &self.0.expires)
            .finish_non_exhaustive()
    }
}

fn text_of(header: Option<&Header>) -> &str {
    header.map_or("", Header::text)
}

fn reading(claims: &Claims, expect: &Expect) -> Result<Reading, TokenError> {
    if !expect.own {
        return Ok(Reading::Foreign { issued: claims.iat(), skew: expect.skew });
    }
    let position = claims.lpos().ok_or(TokenError::claim("lpos", "a position such as 1:42"))?;
    let issued = claims.iat().ok_or(TokenError::claim("iat", "present"))?;
    Ok(Reading::Own { position, time: claims.auth_time().unwrap_or(issued) })
}
