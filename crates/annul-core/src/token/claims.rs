//! The claims set: an object whose registered members have their types.

use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::error::TokenError;
use super::members::{Item, Members, Place};
use crate::position::Position;
use crate::time::UnixSeconds;

/// Bytes a name in a token may have: its issuer, subject, id, session, device, client. A longer one
/// could not be written as a target, so what it names could not be revoked by name.
pub const MAX_NAME: usize = 512;

/// The claims of a token. Of an [`UnverifiedToken`](super::UnverifiedToken) they are what somebody
/// wrote, of a [`VerifiedToken`](super::VerifiedToken) what its issuer signed.
///
/// Registered claims have their types: a token whose `exp` is a string has no claims at all.
// In this order, for the text of a token that was seen before is looked for first.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Claims {
    members: Members,
    registered: Registered,
    /// The members as a map, once somebody asked for it.
    map: OnceLock<Box<Map<String, Value>>>,
}

/// The registered claims, found in one pass: where the strings are, and the rest as it is used.
#[derive(Clone, Debug, Default)]
struct Registered {
    iss: Option<Place>,
    sub: Option<Place>,
    aud: Option<Place>,
    jti: Option<Place>,
    sid: Option<Place>,
    client_id: Option<Place>,
    scope: Option<Place>,
    cnf: Option<Place>,
    exp: Option<UnixSeconds>,
    nbf: Option<UnixSeconds>,
    iat: Option<UnixSeconds>,
    auth_time: Option<UnixSeconds>,
    lpos: Option<Position>,
}

impl Registered {
    fn read(members: &Members) -> Result<Self, TokenError> {
        let mut found = Self::default();
        for (place, name, item) in members.iter() {
            match name {
                "iss" => found.iss = Some(a_name("iss", place, item)?),
                "sub" => found.sub = Some(a_name("sub", place, item)?),
                "jti" => found.jti = Some(a_name("jti", place, item)?),
                "sid" => found.sid = Some(a_name("sid", place, item)?),
                "client_id" => found.client_id = Some(a_name("client_id", place, item)?),
                "azp" => drop(a_name("azp", place, item)?),
                "aud" => found.aud = Some(an_audience(place, item)?),
                "scope" => found.scope = Some(a_scope(place, item)?),
                "cnf" => found.cnf = Some(a_confirmation(place, item)?),
                "exp" => found.exp = Some(date("exp", item, f64::floor)?),
                // Rounded up: a token must not become valid before its time.
                "nbf" => found.nbf = Some(date("nbf", item, f64::ceil)?),
                "iat" => found.iat = Some(date("iat", item, f64::floor)?),
                "auth_time" => found.auth_time = Some(date("auth_time", item, f64::floor)?),
                "lpos" => found.lpos = item.as_str().and_then(|position| position.parse().ok()),
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Where a name stands in the claims that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamePlace(Place);

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
        Ok(Self { registered: Registered::read(&members)?, members, map: OnceLock::new() })
    }

    /// The claim's value, whatever its type.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.map().get(name)
    }

    /// All claims. The first call makes the map.
    #[must_use]
    pub fn map(&self) -> &Map<String, Value> {
        self.map.get_or_init(|| self.members.to_map().into())
    }

    /// The claim as it was read.
    pub(super) fn item(&self, name: &str) -> Option<Item<'_>> {
        self.members.get(name)
    }

    /// The text the claims were read from.
    pub(super) fn text(&self) -> &str {
        self.members.text()
    }

    /// Keeps the token's own text with the claims.
    pub(super) fn append(&mut self, token: &str) {
        self.members.append(token);
    }

    /// The token's own text, if it was appended.
    pub(super) fn appended(&self) -> &str {
        self.members.appended()
    }

    /// `iss`, the issuer.
    #[must_use]
    pub fn iss(&self) -> Option<&str> {
        self.string(self.registered.iss)
    }

    /// `sub`, the subject.
    #[must_use]
    pub fn sub(&self) -> Option<&str> {
        self.string(self.registered.sub)
    }

    /// `aud`, the audiences: one, several or none.
    #[must_use]
    pub fn aud(&self) -> Vec<&str> {
        self.audiences().collect()
    }

    /// The same without a list.
    pub(super) fn audiences(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self.at(self.registered.aud) {
            Some(Item::Text(audience)) => (Some(audience), None),
            Some(Item::Tree(Value::Array(audiences))) => (None, Some(audiences)),
            _ => (None, None),
        };
        one.into_iter().chain(several.into_iter().flatten().filter_map(Value::as_str))
    }

    /// `exp`, rounded down. Before 1970 reads as 1970.
    #[must_use]
    pub const fn exp(&self) -> Option<UnixSeconds> {
        self.registered.exp
    }

    /// `nbf`, rounded up.
    #[must_use]
    pub const fn nbf(&self) -> Option<UnixSeconds> {
        self.registered.nbf
    }

    /// `iat`, rounded down.
    #[must_use]
    pub const fn iat(&self) -> Option<UnixSeconds> {
        self.registered.iat
    }

    /// `auth_time`, when the user last logged in, rounded down.
    #[must_use]
    pub const fn auth_time(&self) -> Option<UnixSeconds> {
        self.registered.auth_time
    }

    /// `jti`, the token's id.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.string(self.registered.jti)
    }

    /// `sid`, the session.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.string(self.registered.sid)
    }

    /// `client_id`.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.string(self.registered.client_id)
    }

    /// The words of `scope`.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.string(self.registered.scope).unwrap_or_default().split(' ').filter(|word| !word.is_empty())
    }

    /// `lpos`, if it is a position. It means something in own tokens only.
    #[must_use]
    pub const fn lpos(&self) -> Option<Position> {
        self.registered.lpos
    }

    /// `cnf.jkt` and `cnf.x5t#S256`, as far as they are there.
    pub fn confirmations(&self) -> impl Iterator<Item = &str> {
        let Binding { key, certificate } = self.binding();
        key.into_iter().chain(certificate)
    }

    /// What the token is bound to, as its `cnf` says. Other methods of confirmation are not read.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        let Some(Item::Tree(cnf)) = self.at(self.registered.cnf) else { return Binding::default() };
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

    fn at(&self, place: Option<Place>) -> Option<Item<'_>> {
        self.members.at(place?)
    }

    fn string(&self, place: Option<Place>) -> Option<&str> {
        self.members.text_at(place?)
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

fn a_name(claim: &'static str, place: Place, item: Item<'_>) -> Result<Place, TokenError> {
    name(item).map(|_| place).ok_or(TokenError::claim(claim, A_NAME))
}

fn an_audience(place: Place, aud: Item<'_>) -> Result<Place, TokenError> {
    let well_typed = match aud {
        Item::Text(_) => true,
        Item::Tree(Value::Array(audiences)) => !audiences.is_empty() && audiences.iter().all(Value::is_string),
        _ => false,
    };
    well_typed.then_some(place).ok_or(TokenError::claim("aud", "a string or an array of strings, not empty"))
}

fn a_scope(place: Place, scope: Item<'_>) -> Result<Place, TokenError> {
    scope.as_str().map(|_| place).ok_or(TokenError::claim("scope", "a string of words with spaces between"))
}

fn a_confirmation(place: Place, cnf: Item<'_>) -> Result<Place, TokenError> {
    let refused = TokenError::claim("cnf", "an object whose thumbprints are strings");
    let Item::Tree(Value::Object(methods)) = cnf else { return Err(refused) };
    let mut named = CONFIRMATIONS.into_iter().filter_map(|method| methods.get(method));
    let well_typed = named.all(|it| it.as_str().and_then(name_of).is_some());
    well_typed.then_some(place).ok_or(refused)
}

/// A `NumericDate`: any JSON number. What lies before 1970 becomes 1970, what lies beyond the range
/// becomes its end; both are then refused, or harmless, by the comparisons they take part in.
fn date(claim: &'static str, value: Item<'_>, round: fn(f64) -> f64) -> Result<UnixSeconds, TokenError> {
    let refused = TokenError::claim(claim, "a number of seconds since 1970");
    let Item::Number(value) = value else { return Err(refused) };
    if let Some(seconds) = value.as_u64() {
        return Ok(UnixSeconds(seconds));
    }
    let seconds = value.as_f64().ok_or(refused)?;
    // A float cast saturates: negative becomes 0.
    Ok(UnixSeconds(round(seconds) as u64))
}
