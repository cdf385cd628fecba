//! Refresh families: what the credential that renews a session's tokens is recognised by.
//!
//! A session has at most one family. It counts generations: each redemption moves it to the next, and
//! during the grace it still knows the one before, so that a lost answer can be had again.

use annul_core::time::{UnixMillis, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::ProofKey;

/// What renews a session's tokens without a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshBy {
    /// A refresh token.
    RefreshToken,
    /// The session's one access token, which is its own refresh credential.
    AccessToken,
}

/// What a credential is recognised by. Nobody can redeem anything with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefreshMark {
    /// The hash of a refresh token's random bytes.
    Hash([u8; 32]),
    /// The `jti` of an access token; to redeem it takes the signature over it.
    Jti(String),
}

impl RefreshMark {
    /// What redeems the family that has this mark.
    #[must_use]
    pub const fn kind(&self) -> RefreshBy {
        match self {
            Self::Hash(_) => RefreshBy::RefreshToken,
            Self::Jti(_) => RefreshBy::AccessToken,
        }
    }

    /// The `jti` of the access token that the mark is of.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        match self {
            Self::Hash(_) => None,
            Self::Jti(jti) => Some(jti),
        }
    }
}

/// What is known of the credential that renews a session's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshFamily {
    /// The session.
    pub sid: String,
    /// Counts the redemptions; the first credential has [`FIRST_GENERATION`].
    pub generation: u32,
    /// The credential that is to be redeemed next.
    pub current: RefreshMark,
    /// The `exp` of the last access token that was issued with it.
    pub access_expires: UnixSeconds,
    /// The generation before, until its grace ends.
    pub spent: Option<SpentGeneration>,
}

/// The generation of a session's first credential.
pub const FIRST_GENERATION: u32 = 1;

/// The longest grace, in seconds. A spent credential is worth as much as a current one that long.
pub const MAX_GRACE: u64 = 60;

/// A generation that was redeemed and whose grace has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpentGeneration {
    /// What it is recognised by.
    pub mark: RefreshMark,
    /// Its successor, sealed under what only the spent credential holds. Empty where the successor is
    /// an access token, which is minted anew.
    pub successor: Vec<u8>,
    /// When the grace ends.
    pub until: UnixMillis,
    /// Who redeemed it. A repetition is answered for nobody else.
    pub by: RefreshAsker,
}

/// Who redeems a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshAsker {
    /// The client, authenticated unless it is public.
    pub client_id: String,
    /// The key whose possession was proven.
    #[serde(default)]
    pub proof: Option<ProofKey>,
    /// The scope of the access token: asked for at first, and as it is granted where it is kept.
    #[serde(default)]
    pub scope: Option<String>,
    /// Where the request came from.
    #[serde(default)]
    pub seen: Seen,
}

/// Where a request came from, as far as it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The address of the connection.
    #[serde(default)]
    pub address: Option<String>,
    /// What the client says of itself.
    #[serde(default)]
    pub agent: Option<String>,
}

/// A genuine credential as it is presented: its signature or its MAC was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A refresh token.
    RefreshToken {
        /// Which generation it is of.
        generation: u32,
        /// The hash of its random bytes.
        hash: [u8; 32],
    },
    /// An access token that is its own refresh credential.
    AccessToken {
        /// Its `jti`, a UUIDv7: of two, the one issued later is greater.
        jti: String,
        /// Its `exp`.
        expires: UnixSeconds,
        /// Whether it is bound to a key.
        is_bound: bool,
    },
}

impl Presented {
    /// What it is recognised by.
    #[must_use]
    pub fn mark(&self) -> RefreshMark {
        match self {
            Self::RefreshToken { hash, .. } => RefreshMark::Hash(*hash),
            Self::AccessToken { jti, .. } => RefreshMark::Jti(jti.clone()),
        }
    }
}

/// What a genuine credential is to its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised<'f> {
    /// The one to be redeemed.
    Current,
    /// The one redeemed last, in its grace.
    Spent(&'f SpentGeneration),
    /// One that was redeemed before: whoever presents it holds a copy.
    Earlier,
    /// None that this family knows of: of a generation that it has not reached, or of another history
    /// of it. So it is after an old backup was put back; it proves nothing against anybody.
    Unheard,
}

impl RefreshFamily {
    /// What a genuine credential of this session is to the family at `now`.
    #[must_use]
    pub fn recognise(&self, presented: &Presented, now: UnixMillis) -> Recognised<'_> {
        let mark = presented.mark();
        if mark == self.current && self.is_at(presented) {
            return Recognised::Current;
        }
        let is_earlier = match (presented, &self.current) {
            (Presented::RefreshToken { generation, .. }, RefreshMark::Hash(_)) => *generation < self.generation,
            (Presented::AccessToken { jti, .. }, RefreshMark::Jti(current)) => jti < current,
            _ => false,
        };
        match &self.spent {
            _ if !is_earlier => Recognised::Unheard,
            Some(spent) if spent.mark == mark && now < spent.until => Recognised::Spent(spent),
            _ => Recognised::Earlier,
        }
    }

    fn is_at(&self, presented: &Presented) -> bool {
        match presented {
            Presented::RefreshToken { generation, .. } => *generation == self.generation,
            Presented::AccessToken { .. } => true,
        }
    }
}

/// The family of a session that is about to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFamily {
    /// What its first credential is recognised by.
    pub first: RefreshMark,
    /// Seconds that the first access token lives.
    pub access_life: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn token(generation: u32, byte: u8) -> Presented {
        Presented::RefreshToken { generation, hash: [byte; 32] }
    }

    fn access(jti: &str) -> Presented {
        Presented::AccessToken { jti: jti.to_owned(), expires: UnixSeconds(0), is_bound: false }
    }

    fn family(generation: u32, current: RefreshMark, spent: RefreshMark) -> RefreshFamily {
        let spent = SpentGeneration {
            mark: spent,
            successor: Vec::new(),
            until: UnixMillis(NOW.0 + 1),
            by: RefreshAsker::default(),
        };
        RefreshFamily { sid: "s".to_owned(), generation, current, access_expires: UnixSeconds(0), spent: Some(spent) }
    }

    #[test]
    fn rt_1_a_refresh_token_is_told_by_its_generation_and_its_secret() {
        let family = family(3, RefreshMark::Hash([3; 32]), RefreshMark::Hash([2; 32]));
        assert_eq!(family.recognise(&token(3, 3), NOW), Recognised::Current);
        assert!(matches!(family.recognise(&token(2, 2), NOW), Recognised::Spent(_)));
        assert_eq!(family.recognise(&token(2, 2), UnixMillis(NOW.0 + 1)), Recognised::Earlier, "the grace has ended");
        assert_eq!(family.recognise(&token(1, 1), NOW), Recognised::Earlier);
        assert_eq!(family.recognise(&token(2, 9), NOW), Recognised::Earlier, "spent in another history");
        assert_eq!(family.recognise(&token(3, 9), NOW), Recognised::Unheard, "current in another history");
        assert_eq!(family.recognise(&token(4, 4), NOW), Recognised::Unheard, "beyond what a backup knows");
        assert_eq!(family.recognise(&token(4, 3), NOW), Recognised::Unheard);
        assert_eq!(family.recognise(&access("0"), NOW), Recognised::Unheard, "another kind");
    }

    #[test]
    fn an_access_token_is_told_by_its_id_and_ids_by_their_time() {
        let family = family(3, RefreshMark::Jti("0300".to_owned()), RefreshMark::Jti("0200".to_owned()));
        assert_eq!(family.recognise(&access("0300"), NOW), Recognised::Current);
        assert!(matches!(family.recognise(&access("0200"), NOW), Recognised::Spent(_)));
        assert_eq!(family.recognise(&access("0200"), UnixMillis(NOW.0 + 1)), Recognised::Earlier);
        assert_eq!(family.recognise(&access("0100"), NOW), Recognised::Earlier);
        assert_eq!(family.recognise(&access("0301"), NOW), Recognised::Unheard);
        assert_eq!(family.recognise(&token(1, 1), NOW), Recognised::Unheard);
    }
}
