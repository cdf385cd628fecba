//! Facts of tokens seen before: what cannot change, kept; what can, never.
//!
//! A verified signature and its claims are immutable, so a token that comes again need not be
//! verified again. The verdict is not here: the view is read on every request. A token is found by all
//! its bytes, is kept only after a valid signature, and counts only while what it was verified by (its
//! issuer's keys, the settings: its *ground*) is what it would be verified by now.
//!
//! Eight places make a set, and a token's hash chooses the set. Whoever looks a token up takes no
//! lock and changes nothing that others read, except the mark that keeps it from being displaced.

#[allow(
    clippy::indexing_slicing,
    reason = "its indices are ways of a set and hashes reduced to their number, never bytes from outside"
)]
mod places;

use self::places::Places;
use super::verify::VerifiedToken;
use crate::time::UnixSeconds;

/// The bytes that a token takes beyond its text and its claims decoded: the list of claims, names,
/// target hashes and the allocations' own.
const TOKEN_OVERHEAD: u64 = 1_700;
/// The token's text, and its claims decoded.
const COPIES: u64 = 2;
/// What an ordinary token weighs, to size the table.
const ORDINARY_TOKEN: u64 = 2_900;

/// The tokens verified before, bounded by an estimate of their bytes.
pub struct FactsCache {
    places: Option<Places>,
}

impl FactsCache {
    /// An empty cache of at most so many bytes; none at all for zero. The seed, which should be
    /// random, scatters the tokens.
    #[must_use]
    pub fn new(bytes: u64, seed: u64) -> Self {
        Self { places: (bytes > 0).then(|| Places::new(bytes, bytes / ORDINARY_TOKEN, seed)) }
    }

    /// The token verified before with exactly these bytes. It must have been found to stand on the
    /// ground with this number, or `stands` has to say so now. One that is past its `exp` is left to
    /// verification, which knows the leeway.
    pub fn find(
        &self,
        text: &str,
        ground: u64,
        now: UnixSeconds,
        stands: impl Fn(&VerifiedToken) -> bool,
    ) -> Option<VerifiedToken> {
        self.places.as_ref()?.find(text, |token| {
            let counts = token.expires() > now && (token.was_found_on(ground) || stands(token));
            if counts {
                token.found_on(ground);
            }
            counts
        })
    }

    /// Keeps a token that was verified on the ground with this number, or on one after it.
    pub fn keep(&self, token: &VerifiedToken, ground: u64, now: UnixSeconds) {
        if let Some(places) = &self.places
            && token.expires() > now
        {
            token.found_on(ground);
            places.keep(token, now);
        }
    }

    /// Drops what has expired.
    pub fn sweep(&self, now: UnixSeconds) {
        if let Some(places) = &self.places {
            places.sweep(now);
        }
    }

    /// How many tokens are kept.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.places.as_ref().map_or(0, Places::entries)
    }

    /// Roughly the bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.places.as_ref().map_or(0, Places::bytes)
    }
}

fn weight(token: &VerifiedToken) -> u64 {
    TOKEN_OVERHEAD + COPIES * token.text().len() as u64
}
