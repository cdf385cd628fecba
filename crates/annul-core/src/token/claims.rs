//! The claims set: an object whose registered members have their types.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::error::TokenError;
use super::members::{Item, Members};
use crate::position::Position;
use crate::time::UnixSeconds;

/// Bytes a name in a token may have: its issuer, subject, id, session, device, client. A longer one
/// could not be written as a target, so what it names could not be revoked by name.
pub const MAX_NAME: usize = 512;

/// The claims of a token. Of an [`UnverifiedToken`](super::UnverifiedToken) they are what somebody
/// wrote, of a [`VerifiedToken`](super::VerifiedToken) what its issuer signed.
///
/// Registered claims have their types: a token whose `exp` is a string has no claims at all.
#[derive(Clone, Debug)]
pub struct Claims {
    members: Members,
    /// The members as a map, once somebody asked for it.
    map: OnceLock<Map<String, Value>>,
    exp: Option<UnixSeconds>,
    nbf: Option<UnixSeconds>,
    iat: Option<UnixSeconds>,
    auth_time: Option<UnixSeconds>,
}

/// Where a name stands in the claims that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamePlace(usize);

/// Claims that name somebody or something: strings, not empty, at most [`MAX_NAME`] bytes.
const NAMES: [&str; 6] = ["iss", "sub", "jti", "sid", "client_id", "azp"];

/// What a name has to be.
pub(super) const A_NAME: &str = "a string that is not empty and at most 512 bytes long";

impl Claims {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, TokenError> {
        Self::of(Members::read(bytes)?)
    }

    /// The claims in `members`, provided that the registered ones have their types. Claims built
    /// here are nobody's word; an authority uses this to judge a token before it signs it.
    pub fn from_map(members: Map<String, Value>) -> Result<Self, TokenError> {
        Self::of(Members::of(members))
    }

    fn of(members: Members) -> Result<Self, TokenError> {
        for claim in NAMES {
            if let Some(value) = members.get(claim) {
                name(value).ok_or(TokenError::claim(claim, A_NAME))?;
            }
        }
        check_audience(members.get("aud"))?;
        if members.get("scope").is_some_and(|scope| scope.as_str().is_none()) {
            return Err(TokenError::claim("scope", "a string of words with spaces between"));
        }
        check_confirmation(members.get("cnf"))?;
        Ok(Self {
            exp: date(&members, "exp", f64::floor)?,
            // Rounded up: a token must not become valid before its time.
            nbf: date(&members, "nbf", f64::ceil)?,
            iat: date(&members, "iat", f64::floor)?,
            auth_time: date(&members, "auth_time", f64::floor)?,
            members,
            map: OnceLock::new(),
        })
    }

    /// The claim's value, whatever its type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map().get(name)
    }

    /// All claims. The first call makes the map.
    #[must_use]
    pub fn map(&self) -> &Map<String, Value> {
        self.map.get_or_init(|| self.members.to_map())
    }

    /// The claim as it was read.
    pub(super) fn item(&self, name: &str) -> Option<Item<'_>> {
        self.members.get(name)
    }

    /// The text the claims were read from.
    pub(super) fn text(&self) -> &str {
        self.members.text()
    }

    /// `iss`, the issuer.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.string("iss")
    }

    /// `sub`, the subject.
    #[must_use]
    pub fn sub(&self) -> Option<&str> {
        self.string("sub")
    }

    /// `aud`, the audiences: one, several or none.
    #[must_use]
    pub fn aud(&self) -> Vec<&str> {
        match self.members.get("aud") {
            Some(Item::Text(audience)) => vec![audience],
            Some(Item::Tree(Value::Array(audiences))) => audiences.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// `exp`, rounded down. Before 1970 reads as 1970.
    #[must_use]
    pub const fn exp(&self) -> Option<UnixSeconds> {
        self.exp
    }

    /// `nbf`, rounded up.
    #[must_use]
    pub const fn nbf(&self) -> Option<UnixSeconds> {
        self.nbf
    }

    /// `iat`, rounded down.
    #[must_use]
    pub const fn iat(&self) -> Option<UnixSeconds> {
        self.iat
    }

    /// `auth_time`, when the user last logged in, rounded down.
    #[must_use]
    pub const fn auth_time(&self) -> Option<UnixSeconds> {
        self.auth_time
    }

    /// `jti`, the token's id.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.string("jti")
    }

    /// `sid`, the session.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.string("sid")
    }

    /// `client_id`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.string("client_id")
    }

    /// The words of `scope`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.string("scope").unwrap_or_default().split(' ').filter(|word| !word.is_empty())
    }

    /// `lpos`, if it is a position. It means something in own tokens only.
    #[must_use]
    pub fn lpos(&self) -> Option<Position> {
        self.string("lpos")?.parse().ok()
    }

    /// `cnf.jkt` and `cnf.x5t#S256`, as far as they are there.
    pub fn confirmations(&self) -> impl Iterator<Item = &str> {
        let Binding { key, certificate } = self.binding();
        key.into_iter().chain(certificate)
    }

    /// What the token is bound to, as its `cnf` says. Other methods of confirmation are not read.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        let Some(Item::Tree(cnf)) = self.members.get("cnf") else { return Binding::default() };
        let [key, certificate] = CONFIRMATIONS.map(|method| cnf.get(method).and_then(Value::as_str));
        Binding { key, certificate }
    }

    /// Where a claim stands that names something, under a name from configuration.
    pub(super) fn named(&self, claim: &str) -> Result<Option<NamePlace>, TokenError> {
        let Some(place) = self.members.place(claim).map(NamePlace) else { return Ok(None) };
        match self.name_at(place) {
            Some(_) => Ok(Some(place)),
            None => Err(TokenError::ClaimInvalid { claim: claim.to_owned().into(), expected: A_NAME }),
        }
    }

    /// The name at a place of these claims.
    pub(super) fn name_at(&self, place: NamePlace) -> Option<&str> {
        self.members.at(place.0).and_then(name)
    }

    fn string(&self, claim: &str) -> Option<&str> {
        self.members.get(claim)?.as_str()
    }
}

/// What a token is bound to: whoever presents it has to show that it is in their hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binding<'c> {
    /// The RFC 7638 thumbprint of a key (`cnf.jkt`, RFC 9449).
    pub key: Option<&'c str>,
    /// base64url of the SHA-256 of a certificate (`cnf.x5t#S256`, RFC 8705).
    pub certificate: Option<&'c str>,
}

const CONFIRMATIONS: [&str; 2] = ["jkt", "x5t#S256"];

impl PartialEq for Claims {
    /// Whether both say the same, whatever the order.
    fn eq(&self, other: &Self) -> bool {
        self.map() == other.map()
    }
}

fn name(value: Item<'_>) -> Option<&str> {
    value.as_str().and_then(name_of)
}

/// The text, if it can name something.
pub(super) fn name_of(text: &str) -> Option<&str> {
    Some(text).filter(|name| !name.is_empty() && name.len() <= MAX_NAME)
}

fn check_audience(aud: Option<Item<'_>>) -> Result<(), TokenError> {
    let well_typed = match aud {
        None | Some(Item::Text(_)) => true,
        Some(Item::Tree(Value::Array(audiences))) => !audiences.is_empty() && audiences.iter().all(Value::is_string),
        Some(_) => false,
    };
    if well_typed { Ok(()) } else { Err(TokenError::claim("aud", "a string or an array of strings, not empty")) }
}

fn check_confirmation(cnf: Option<Item<'_>>) -> Result<(), TokenError> {
    let Some(cnf) = cnf else { return Ok(()) };
    let refused = TokenError::claim("cnf", "an object whose thumbprints are strings");
    let Item::Tree(Value::Object(methods)) = cnf else { return Err(refused) };
    let mut named = CONFIRMATIONS.into_iter().filter_map(|method| methods.get(method));
    let well_typed = named.all(|it| it.as_str().and_then(name_of).is_some());
    if well_typed { Ok(()) } else { Err(refused) }
}

/// A `NumericDate`: any JSON number. What lies before 1970 becomes 1970, what lies beyond the range
/// becomes its end; both are then refused, or harmless, by the comparisons they take part in.
fn date(members: &Members, claim: &'static str, round: fn(f64) -> f64) -> Result<Option<UnixSeconds>, TokenError> {
    let Some(value) = members.get(claim) else { return Ok(None) };
    let refused = TokenError::claim(claim, "a number of seconds since 1970");
    let Item::Number(value) = value else { return Err(refused) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(UnixSeconds(seconds)));
    }
    let seconds = value.as_f64().ok_or(refused)?;
    // A float cast saturates: negative becomes 0.
    Ok(Some(UnixSeconds(round(seconds) as u64)))
}
