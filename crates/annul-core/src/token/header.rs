//! The header: which algorithm and key the token claims, and what kind of token it claims to be.

use super::algorithm::Algorithm;
use super::error::{Malformed, TokenError};
use super::members::{Item, Members};

/// A token's header. It chooses nothing: `kid` looks a key up, and the key decides which algorithm
/// it is good for. Keys and addresses of keys inside a header (`jwk`, `jku`, `x5c`, `x5u`) are not
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The algorithm the token says it was signed with.
    pub alg: Algorithm,
    /// What kind of token it says it is.
    pub typ: Option<String>,
    /// The name of the key it says it was signed with.
    pub kid: Option<String>,
}

impl Header {
    pub(super) fn read(members: &Members) -> Result<Self, TokenError> {
        if members.get("enc").is_some() {
            return Err(Malformed::Encrypted.into());
        }
        // No extension is understood, so an empty or ill-typed list is refused like a full one;
        // `b64` would change what is signed and has no place in a JWT (RFC 7797 §7).
        if members.get("crit").is_some() || members.get("b64").is_some() {
            return Err(TokenError::CritUnsupported);
        }
        let alg = string(members, "alg")?.ok_or(Malformed::Header)?;
        Ok(Self {
            alg: Algorithm::from_name(alg).ok_or(TokenError::AlgNotAllowed)?,
            typ: string(members, "typ")?.map(str::to_owned),
            kid: string(members, "kid")?.map(str::to_owned),
        })
    }
}

fn string<'m>(members: &'m Members, name: &str) -> Result<Option<&'m str>, Malformed> {
    match members.get(name) {
        None => Ok(None),
        Some(Item::Text(text)) => Ok(Some(text)),
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
