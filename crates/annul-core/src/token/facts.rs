//! What a view needs to judge a token: the hashes of its targets, and when it was issued.

use super::claims::Claims;
use super::error::TokenError;
use super::names::{self, Names};
use super::targets::Targets;
use crate::algebra::{Cell, Reading, Refusal};
use crate::position::Position;
use crate::settings::{ClaimNames, MAX_TARGETS, Settings};
use crate::target::{HashKey, IssuerTargets, TargetHash, TargetKind};
use crate::time::UnixSeconds;
use crate::view::IssuerView;

/// The immutable facts of a token under one revision of the settings and one hash key.
///
/// Facts come from a verified token, or, at the authority, from claims about to be signed.
// In this order: what a view is asked for each request comes first and lies together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Facts {
    /// `lpos`, in an own token.
    pub lpos: Option<Position>,
    /// `exp`.
    pub expires: UnixSeconds,
    /// The `ask_on` claims: an entry on one of these does not refuse, it makes the route ask.
    pub asks: Vec<(TargetKind, TargetHash)>,
    /// The targets an entry on which revokes the token, each once.
    pub targets: Targets,
    /// The position or time that cutoffs are compared with.
    pub reading: Reading,
    /// `iat`.
    pub issued: Option<UnixSeconds>,
    /// The revision of the settings that said which claims are targets.
    pub revision: u32,
    own: bool,
}

impl Facts {
    /// The facts of an own token with these claims, before `key_id` signs it: the authority judges
    /// what it is about to hand out.
    pub fn for_issue(claims: &Claims, key_id: &str, settings: &Settings, key: &HashKey) -> Result<Self, TokenError> {
        let issuer = claims.iss().filter(|issuer| *issuer == settings.issuer).ok_or(TokenError::IssuerMismatch)?;
        let position = claims.lpos().ok_or(TokenError::claim("lpos", "a position such as 1:42"))?;
        let issued = claims.iat().ok_or(TokenError::claim("iat", "present"))?;
        let subject = Subject {
            issuer,
            claims,
            names: &Names::of_own(claims, &ClaimNames::default())?,
            token: (TargetKind::Token, claims.jti().ok_or(TokenError::claim("jti", "present"))?),
            key_id,
            own: true,
            reading: Reading::Own { position, time: claims.auth_time().unwrap_or(issued) },
            described: None,
        };
        subject.facts(settings, key)
    }

    /// The entry that revokes the token, if one does. Of several, one that holds at any age of the
    /// token comes first: whoever skips the others for young tokens must not miss it.
    #[must_use]
    pub fn judge(&self, lookup: impl Fn(&TargetHash) -> Option<Cell>) -> Option<Refusal> {
        let mut refusals = self.targets.iter().filter_map(|(kind, hash)| {
            let hit = lookup(hash)?.judge(&self.reading)?;
            Some(Refusal { kind: *kind, cutoff: hit.cutoff, at: hit.at })
        });
        let first = refusals.next()?;
        if first.holds_at_any_age() {
            return Some(first);
        }
        Some(refusals.find(Refusal::holds_at_any_age).unwrap_or(first))
    }

    /// Whether the token is of the log's own issuer.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own
    }
}

/// A token as the maker of facts sees it.
pub(super) struct Subject<'t> {
    pub(super) issuer: &'t str,
    pub(super) claims: &'t Claims,
    pub(super) names: &'t Names,
    pub(super) token: (TargetKind, &'t str),
    pub(super) key_id: &'t str,
    pub(super) own: bool,
    pub(super) reading: Reading,
    /// Its issuer, if a view described it.
    pub(super) described: Option<&'t IssuerView>,
}

impl Subject<'_> {
    pub(super) fn facts(&self, settings: &Settings, key: &HashKey) -> Result<Facts, TokenError> {
        // An own token read as foreign would escape every cutoff by position, and a foreign one read
        // as own would choose its position.
        if self.own != (self.issuer == settings.issuer) {
            return Err(TokenError::IssuerMismatch);
        }
        let worked_out;
        let of_issuer = match self.described.and_then(|issuer| issuer.targets(key)) {
            Some(kept) => kept,
            None => {
                worked_out = IssuerTargets::of(key, self.issuer);
                &worked_out
            }
        };
        let mut targets = Targets::new();
        let mut asks = Vec::new();
        let mut count = 0_usize;
        self.each(settings, &mut |named| {
            let hash = match named.issuer == self.issuer {
                true => of_issuer.hash(named.kind, named.parts),
                false => TargetHash::of(key, named.issuer, named.kind, named.parts),
            };
            let target = (named.kind, hash);
            if count > MAX_TARGETS {
                return;
            }
            let known = if named.asks { asks.contains(&target) } else { targets.contains(&target) };
            match (known, named.asks) {
                (true, _) => return,
                (false, true) => asks.push(target),
                (false, false) => targets.push(target),
            }
            count += 1;
        })?;
        if count > MAX_TARGETS {
            return Err(TokenError::TooManyTargets);
        }
        Ok(Facts {
            targets,
            asks,
            reading: self.reading,
            issued: self.claims.iat(),
            expires: self.claims.exp().ok_or(TokenError::claim("exp", "present"))?,
            revision: settings.revision,
            lpos: match self.reading {
                Reading::Own { position, .. } => Some(position),
                Reading::Foreign { .. } => None,
            },
            own: self.own,
        })
    }

    /// Names every target. One may be named twice.
    pub(super) fn each(&self, settings: &Settings, name: &mut dyn FnMut(NamedTarget<'_>)) -> Result<(), TokenError> {
        let issuer = self.issuer;
        name(NamedTarget { issuer, kind: self.token.0, parts: &[self.token.1], asks: false });
        name(NamedTarget { issuer, kind: TargetKind::Key, parts: &[self.key_id], asks: false });
        self.names.each(issuer, self.claims, &mut |issuer, kind, parts| {
            name(NamedTarget { issuer, kind, parts, asks: false });
        });
        names::each_claim(self.claims, settings, &mut |claim, value| {
            let asks = settings.ask_on.iter().any(|asking| asking == claim);
            name(NamedTarget { issuer, kind: TargetKind::Claim, parts: &[claim, value], asks });
        })
    }
}

/// A target before it is hashed or written down.
pub(super) struct NamedTarget<'n> {
    pub(super) issuer: &'n str,
    pub(super) kind: TargetKind,
    pub(super) parts: &'n [&'n str],
    /// Whether it is one of the `ask_on` claims.
    pub(super) asks: bool,
}
