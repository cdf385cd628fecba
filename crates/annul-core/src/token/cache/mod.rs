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

use std::sync::Arc;

use self::places::Places;
use super::verify::{Verified, VerifiedToken};
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
        self.find_and(text, ground, now, stands, |_| ()).map(|(token, ())| token)
    }

    /// The same, with what `read` makes of it. It is read before it is held, because taking hold is a write
    /// that other threads see: the processor waits for it with all that is read after, and would fetch the
    /// facts only when it has done with the text.
    #[inline]
    pub(crate) fn find_and<R>(
        &self,
        text: &str,
        ground: u64,
        now: UnixSeconds,
        stands: impl Fn(&VerifiedToken) -> bool,
        read: impl Fn(&Verified) -> R,
    ) -> Option<(VerifiedToken, R)> {
        let stands = |verified: &Arc<Verified>| stands(&VerifiedToken::of(Arc::clone(verified)));
        let counts =
            |verified: &Arc<Verified>| verified.expires() > now && (verified.was_found_on(ground) || stands(verified));
        self.places.as_ref()?.find(text, |verified| {
            counts(verified).then(|| {
                verified.found_on(ground);
                read(verified)
            })
        })
    }

    /// Keeps a token that was verified on the ground with this number, or on one after it.
    pub fn keep(&self, token: &VerifiedToken, ground: u64, now: UnixSeconds) {
        if let Some(places) = &self.places
            && token.expires() > now
        {
            token.shared().found_on(ground);
            places.keep(token);
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

fn weight(verified: &Verified) -> u64 {
    TOKEN_OVERHEAD + COPIES * verified.text().len() as u64
}
