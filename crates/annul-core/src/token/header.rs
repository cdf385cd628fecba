//! The header: which algorithm and key the token claims, and what kind of token it claims to be.

use std::fmt;

use super::algorithm::Algorithm;
use super::error::{Malformed, TokenError};
use super::members::{Item, Members, Place};

/// A token's header. It chooses nothing: `kid` looks a key up, and the key decides which algorithm
/// it is good for. Keys and addresses of keys inside a header (`jwk`, `jku`, `x5c`, `x5u`) are not
/// read.
#[derive(Clone)]
pub struct Header {
    members: Members,
    alg: Algorithm,
    typ: Option<Place>,
    kid: Option<Place>,
}

impl Header {
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, TokenError> {
        let members = Members::read(bytes)?;
        let (mut alg, mut typ, mut kid) = (None, None, None);
        let (mut encrypted, mut extended) = (false, false);
        for (place, name, item) in members.iter() {
            match name {
                "alg" => alg = Some(item),
                "typ" => typ = Some((place, item)),
                "kid" => kid = Some((place, item)),
                "enc" => encrypted = true,
                // No extension is understood, so an empty or ill-typed list is refused like a full one;
                // `b64` would change what is signed and has no place in a JWT (RFC 7797 §7).
                "crit" | "b64" => extended = true,
                _ => {}
            }
        }
        if encrypted {
            return Err(Malformed::Encrypted.into());
        }
        if extended {
            return Err(TokenError::CritUnsupported);
        }
        let alg = alg.and_then(Item::as_str).ok_or(Malformed::Header)?;
        let alg = Algorithm::from_name(alg).ok_or(TokenError::AlgNotAllowed)?;
        let (typ, kid) = (string(typ)?, string(kid)?);
        Ok(Self { alg, typ, kid, members })
    }

    /// The algorithm the token says it was signed with.
    #[must_use]
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// What kind of token it says it is.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.members.text_at(self.typ?)
    }

    /// The name of the key it says it was signed with.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.members.text_at(self.kid?)
    }

    /// The member of this name, as it was read: a DPoP proof names its own key in one.
    pub(super) fn item(&self, name: &str) -> Option<Item<'_>> {
        self.members.get(name)
    }

    /// The text it was read from.
    pub(super) fn text(&self) -> &str {
        self.members.text()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("alg", &self.alg)
            .field("typ", &self.typ())
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

fn string(member: Option<(Place, Item<'_>)>) -> Result<Option<Place>, Malformed> {
    match member {
        None => Ok(None),
        Some((place, Item::Text(_))) => Ok(Some(place)),
        Some(_) => Err(Malformed::Header),
    }
}

/// The kind of token that is accepted, by `typ` (RFC 8725 §3.11). Media types: a name without `/`
/// stands for `application/` and the name, and case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typ {
    /// `at+jwt` (RFC 9068): own access tokens.
    AccessToken,
    /// Absent, `JWT` or `at+jwt`: access tokens of issuers that do not set `typ`.
    AccessTokenOrUntyped,
    /// Exactly this type.
    Exactly(String),
    /// Absent, `JWT` or this type: kinds of token that got a type of their own late.
    OrUntyped(String),
}

impl Typ {
    pub(super) fn accepts(&self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::AccessTokenOrUntyped | Self::OrUntyped(_), None) => true,
            (_, None) => false,
            (Self::AccessToken, Some(typ)) => same_type(typ, "at+jwt"),
            (Self::AccessTokenOrUntyped, Some(typ)) => same_type(typ, "JWT") || same_type(typ, "at+jwt"),
            (Self::Exactly(wanted), Some(typ)) => same_type(typ, wanted),
            (Self::OrUntyped(wanted), Some(typ)) => same_type(typ, "JWT") || same_type(typ, wanted),
        }
    }
}

fn same_type(one: &str, other: &str) -> bool {
    without_application(one).eq_ignore_ascii_case(without_application(other))
}

fn without_application(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        // `application/a/b` keeps its prefix: it is no media type, and `a/b` is another one.
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) && !rest.contains('/') => rest,
        _ => typ,
    }
}

#[cfg(test)]
mod tests {
    use super::Typ;

    #[test]
    fn bcp_5_typ_is_a_media_type() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
            assert!(Typ::AccessToken.accepts(Some(typ)), "{typ}");
            assert!(Typ::AccessTokenOrUntyped.accepts(Some(typ)), "{typ}");
        }
        for typ in ["JWT", "jwt", "application/jwt"] {
            assert!(!Typ::AccessToken.accepts(Some(typ)), "{typ}");
            assert!(Typ::AccessTokenOrUntyped.accepts(Some(typ)), "{typ}");
        }
        for typ in ["", "text/at+jwt", "application/application/at+jwt", "at+jwt ", "/at+jwt", "application/", "at"] {
            assert!(!Typ::AccessToken.accepts(Some(typ)), "{typ:?}");
            assert!(!Typ::AccessTokenOrUntyped.accepts(Some(typ)), "{typ:?}");
        }
        assert!(!Typ::AccessToken.accepts(None));
        assert!(Typ::AccessTokenOrUntyped.accepts(None));
        assert!(!Typ::Exactly("secevent+jwt".to_owned()).accepts(None));
        assert!(Typ::OrUntyped("client-authentication+jwt".to_owned()).accepts(None));
    }

    #[test]
    fn bcp_4_no_kind_of_token_passes_for_another() {
        let kinds = [
            "at+jwt",
            "secevent+jwt",
            "logout+jwt",
            "token-introspection+jwt",
            "statuslist+jwt",
            "dpop+jwt",
            "client-authentication+jwt",
            "JWT",
        ];
        for wanted in kinds {
            for presented in kinds {
                assert_eq!(Typ::Exactly(wanted.to_owned()).accepts(Some(presented)), wanted == presented);
                assert_eq!(Typ::AccessToken.accepts(Some(presented)), presented == "at+jwt");
                let own_or_none = presented == wanted || presented == "JWT";
                assert_eq!(Typ::OrUntyped(wanted.to_owned()).accepts(Some(presented)), own_or_none);
            }
        }
    }
}
