//! The one access token of a request: RFC 6750 §2.1, RFC 9449 §7.1.

use std::fmt;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Why a request has no usable token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// No `Authorization`, or one of another scheme.
    Missing,
    /// More than one `Authorization`, or more than one credential in it.
    Ambiguous,
    /// The scheme is one of ours and what follows is not a token.
    Malformed,
}

impl CredentialError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Ambiguous => "credentials_ambiguous",
            Self::Malformed => "credentials_malformed",
        }
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no access token",
            Self::Ambiguous => "the request has more than one credential",
            Self::Malformed => "the Authorization header does not hold one access token",
        })
    }
}

impl std::error::Error for CredentialError {}

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has it may use it (RFC 6750).
    Bearer,
    /// Only with a proof by the key it is bound to (RFC 9449).
    DPoP,
}

impl Scheme {
    /// The scheme's name in `Authorization` and in `token_type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::DPoP => "DPoP",
        }
    }

    /// The scheme of this name, which has no case.
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Bearer, Self::DPoP].into_iter().find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }
}

/// The one bearer token of a request, still unread. One that came by the scheme `DPoP` is none.
pub fn bearer(headers: &HeaderMap) -> Result<&str, CredentialError> {
    match credential(headers)? {
        (Scheme::Bearer, token) => Ok(token),
        (Scheme::DPoP, _) => Err(CredentialError::Missing),
    }
}

/// The one token of a request, still unread, and how it was presented.
pub fn credential(headers: &HeaderMap) -> Result<(Scheme, &str), CredentialError> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Err(CredentialError::Missing) };
    if all.next().is_some() {
        return Err(CredentialError::Ambiguous);
    }
    let value = value.to_str().map_err(|_| CredentialError::Malformed)?;
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = Scheme::of(scheme).ok_or(CredentialError::Missing)?;
    let token = rest.trim_matches(' ');
    if token.contains([' ', ',']) {
        return Err(CredentialError::Ambiguous);
    }
    let form = token.trim_end_matches('=');
    if form.is_empty() || !form.bytes().all(is_token68) {
        return Err(CredentialError::Malformed);
    }
    Ok((scheme, token))
}

const fn is_token68(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn b_1_the_scheme_has_no_case() {
        for value in ["Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c", "bEaReR   a.b.c", "Bearer a.b.c "] {
            assert_eq!(bearer(&headers(&[value])), Ok("a.b.c"), "{value}");
        }
        assert_eq!(bearer(&headers(&["Bearer YQ=="])), Ok("YQ=="));
    }

    #[test]
    fn b_2_no_bearer_token_is_missing_and_not_an_error() {
        for values in [&[][..], &["Basic YTpi"], &["Bearerx a.b.c"], &[""]] {
            assert_eq!(bearer(&headers(values)), Err(CredentialError::Missing), "{values:?}");
        }
    }

    #[test]
    fn b_5_two_credentials_are_a_bad_request() {
        for values in
            [&["Bearer a", "Bearer b"][..], &["Bearer a", "Basic b"], &["Bearer a b"], &["Bearer a, Bearer b"]]
        {
            assert_eq!(bearer(&headers(values)), Err(CredentialError::Ambiguous), "{values:?}");
        }
        for value in ["Bearer", "Bearer ", "Bearer ==", "Bearer a\"b", "Bearer \u{fc}", "Bearer a=b"] {
            assert_eq!(bearer(&headers(&[value])), Err(CredentialError::Malformed), "{value}");
        }
    }

    #[test]
    fn dp_5_the_scheme_is_told_apart_and_a_bound_token_is_no_bearer_token() {
        for value in ["DPoP a.b.c", "dpop a.b.c", "DPOP  a.b.c"] {
            let headers = headers(&[value]);
            assert_eq!(credential(&headers), Ok((Scheme::DPoP, "a.b.c")), "{value}");
            assert_eq!(bearer(&headers), Err(CredentialError::Missing), "{value}");
        }
        assert_eq!(credential(&headers(&["Bearer a", "DPoP a"])), Err(CredentialError::Ambiguous));
        assert_eq!(credential(&headers(&["DPoP"])), Err(CredentialError::Malformed));
    }
}
