//! Who calls, and whether it may.
//!
//! Callers are clients with a secret, sent as HTTP Basic; both halves are form-encoded before they
//! are joined (RFC 6749 §2.3.1), so a secret may hold a colon. Credentials are opaque and never
//! tokens of the log: killing every key must not lock administrators and followers out.
//!
//! A handler that takes an [`Allowed<S>`] runs only for a caller with the scope `S`, and only
//! within its lane; the check stands in the signature, where it cannot be forgotten.

use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use zeroize::Zeroizing;

use super::App;
use super::body::Attempt;
use super::codes::Code;
use super::problem::{Problem, RequestId};
use crate::authority::Caller;
use crate::verbs::clients::AuthenticatedClient;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Open sessions and issue tokens.
    Issue,
    /// Revoke and lift.
    Revoke,
    /// Look things up.
    Read,
    /// Follow the feed.
    Follow,
    /// Administer keys, issuers, clients, accounts and settings.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Issue, Self::Revoke, Self::Read, Self::Follow, Self::Admin];

    /// The scope's text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Issue => "annul.issue",
            Self::Revoke => "annul.revoke",
            Self::Read => "annul.read",
            Self::Follow => "annul.follow",
            Self::Admin => "annul.admin",
        }
    }

    /// The scope's place in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A scope as a type, for the signature of a handler.
pub trait Needs: Send {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("The handler needs [`Scope::", stringify!($name), "`].")]
            #[derive(Debug)]
            pub struct $name;
            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*
    };
}

needs! { Issue Revoke Read Follow Admin }

/// Proof that the caller has the scope `S` and was let in on its lane.
#[derive(Debug)]
pub struct Allowed<S: Needs> {
    /// The caller.
    pub client: AuthenticatedClient,
    /// The id of its request.
    pub request_id: String,
    scope: PhantomData<S>,
}

impl<S: Needs> Allowed<S> {
    /// The caller as a verb sees it, with the name it gave this attempt.
    #[must_use]
    pub fn caller(&self, Attempt(key): Attempt, fingerprint: [u8; 32]) -> Caller {
        let caller = Caller::client(&self.client.client_id).with_request_id(&self.request_id);
        match key {
            Some(key) => caller.with_idempotency(key, fingerprint),
            None => caller,
        }
    }
}

impl<S: Needs> FromRequestParts<App> for Allowed<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let client = authenticate(parts, app).await?;
        // Counted before it is judged: a client without the scope has no right to ask without end.
        app.limits.admit_client(&client.client_id, S::SCOPE)?;
        client.require(S::SCOPE.name())?;
        Ok(Self { client, request_id: request_id(parts), scope: PhantomData })
    }
}

/// A caller without a credential, let in by its address.
#[derive(Clone, Debug)]
pub struct Anonymous {
    /// The address it comes from.
    pub address: IpAddr,
    /// The id of its request.
    pub request_id: String,
}

impl FromRequestParts<App> for Anonymous {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let address = address(parts);
        app.limits.admit_anonymous(address)?;
        Ok(Self { address, request_id: request_id(parts) })
    }
}

/// Failures count against the caller's address, so guessing is slow; successes do not, so a flood
/// of guesses from one address locks nobody out who has a credential.
async fn authenticate(parts: &Parts, app: &App) -> Result<AuthenticatedClient, Problem> {
    let known = match basic(&parts.headers) {
        Ok(Some(credentials)) => {
            app.authority.authenticate_client(&credentials.id, &credentials.secret).await.map_err(Problem::from)
        }
        Ok(None) => Err(Problem::new(Code::InvalidClient, "the request has no Authorization header")),
        Err(problem) => Err(problem),
    };
    counted(known, parts, app)
}

/// Counts a caller that did not prove who it is against its address.
pub(super) fn counted<T>(known: Result<T, Problem>, parts: &Parts, app: &App) -> Result<T, Problem> {
    if known.as_ref().is_err_and(|problem| problem.code() == Code::InvalidClient) {
        app.metrics.refused_credential();
        app.limits.admit_anonymous(address(parts))?;
    }
    known
}

/// A client's id and secret as they were sent.
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
}

/// Bytes an Authorization header may have: a client's id and secret have a few hundred.
const MAX_AUTHORIZATION: usize = 4096;

/// Reads `Authorization: Basic`; `None` when there is no such header.
pub(super) fn basic(headers: &HeaderMap) -> Result<Option<Credentials>, Problem> {
    let unreadable = || Problem::new(Code::InvalidClient, "the Authorization header is not readable as HTTP Basic");
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(Code::RequestAmbiguous, "the request has two Authorization headers"));
    }
    let text = value.to_str().ok().filter(|text| text.len() <= MAX_AUTHORIZATION).ok_or_else(unreadable)?;
    let (scheme, encoded) = text.split_once(' ').ok_or_else(unreadable)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Problem::new(Code::InvalidClient, "this endpoint takes HTTP Basic, not another scheme"));
    }
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_start_matches(' ')).map_err(|_| unreadable())?);
    let mut parts = decoded.splitn(2, |byte| *byte == b':');
    let (id, secret) = parts.next().zip(parts.next()).ok_or_else(unreadable)?;
    match (form_decode(id), form_decode(secret)) {
        (Some(id), Some(secret)) => Ok(Some(Credentials { id, secret: Zeroizing::new(secret) })),
        _ => Err(unreadable()),
    }
}

/// Whether the request carries a Basic credential at all, for endpoints that refuse a second one.
#[must_use]
pub fn has_authorization(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

/// Undoes `application/x-www-form-urlencoded`; `None` for a broken escape or bytes that are no UTF-8.
#[must_use]
pub fn form_decode(encoded: &[u8]) -> Option<String> {
    // A token has nothing to be undone, and is most of a form: two searches by words take less than one by bytes.
    if !encoded.contains(&b'+') && !encoded.contains(&b'%') {
        return String::from_utf8(encoded.to_vec()).ok();
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_first_chunk::<2>()?;
                rest = tail;
                let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                bytes.push(nibble(digits[0])? << 4 | nibble(digits[1])?);
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn address(parts: &Parts) -> IpAddr {
    // Absent only when the router is called without a connection, as some tests do.
    let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    connection.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

pub(super) fn request_id(parts: &Parts) -> String {
    parts.extensions.get::<RequestId>().map(|id| id.as_str().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn parsed(id_and_secret: &str) -> Option<(String, String)> {
        let value = format!("Basic {}", STANDARD.encode(id_and_secret));
        let credentials = basic(&headers(&value)).ok()??;
        Some((credentials.id, credentials.secret.to_string()))
    }

    #[test]
    fn te_4_id_and_secret_are_form_decoded() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(parsed("shop:secret"), pair("shop", "secret"));
        assert_eq!(parsed("shop:a%3Ab%25c+d"), pair("shop", "a:b%c d"));
        assert_eq!(parsed("shop:a:b"), pair("shop", "a:b"), "only the first colon divides");
        assert_eq!(parsed("sh%C3%B6p:%E2%82%AC"), pair("shöp", "€"));
        assert_eq!(parsed("shop:%ff"), None);
        assert_eq!(parsed("shop:%4"), None);
        assert_eq!(parsed("shop"), None);
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_no_other_scheme_is_taken() {
        let encoded = STANDARD.encode("shop:secret");
        assert!(basic(&headers(&format!("bAsIc {encoded}"))).unwrap().is_some());
        assert!(basic(&headers(&format!("Bearer {encoded}"))).is_err());
        assert!(basic(&headers("Basic")).is_err());
        assert!(basic(&headers("Basic !!!")).is_err());
        assert!(basic(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn b_5_two_authorization_headers_are_ambiguous() {
        let mut headers = headers("Basic YTpi");
        headers.append(AUTHORIZATION, HeaderValue::from_static("Basic YTpj"));
        let problem = basic(&headers).map(|_| ()).unwrap_err();
        assert_eq!(problem.code(), Code::RequestAmbiguous);
    }
}
