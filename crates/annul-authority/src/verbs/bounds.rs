//! Bounds of what callers may say, each with its reason.

use annul_core::token::MAX_NAME;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::error::VerbError;
use crate::model::Claims;

/// Bytes of a reason. It is for people and stands in lists.
pub const MAX_REASON: usize = 1024;
/// Bytes of the custom claims together. A token has at most 16 KiB and travels with every request.
pub const MAX_CLAIMS: usize = 4096;
/// Bytes of a scope.
pub const MAX_SCOPE: usize = 2048;
/// Audiences of one token.
pub const MAX_AUDIENCES: usize = 16;
/// Bytes of a credential that a fingerprint is made of: a stored password hash or a random field.
pub const MAX_CREDENTIAL: usize = 1024;
/// Bytes of what a device says of itself: its name, its system, its agent, its address.
pub const MAX_DEVICE_TEXT: usize = 512;

/// Bytes of a caller's text that an error repeats.
const SHOWN: usize = 120;

/// Claims that the authority sets, and nobody else.
pub const RESERVED: [&str; 20] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "sid",
    "device_id",
    "auth_time",
    "scope",
    "lpos",
    "cnf",
    "origin",
    "act",
    "cfp",
    "ver",
    "updated_at",
];

/// A name: something, and short enough to be revoked by.
pub(crate) fn name(member: &'static str, text: &str) -> Result<(), VerbError> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Err(VerbError::Invalid { member, why: format!("has between 1 and {MAX_NAME} bytes") });
    }
    if text.chars().any(char::is_control) {
        return Err(VerbError::Invalid { member, why: "has no control characters".to_owned() });
    }
    Ok(())
}

/// The SHA-256 thumbprint of a key or certificate: base64url of 32 bytes, without padding.
pub(crate) fn thumbprint(member: &'static str, text: &str) -> Result<(), VerbError> {
    if URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32) {
        return Ok(());
    }
    Err(VerbError::Invalid { member, why: "is a thumbprint: 43 characters of base64url without padding".to_owned() })
}

/// An optional text of at most `most` bytes.
pub(crate) fn text(member: &'static str, text: Option<&str>, most: usize) -> Result<(), VerbError> {
    match text {
        Some(text) if text.len() > most => Err(VerbError::Invalid { member, why: format!("has at most {most} bytes") }),
        _ => Ok(()),
    }
}

/// A reason.
pub(crate) fn reason(reason: Option<&str>) -> Result<(), VerbError> {
    text("reason", reason, MAX_REASON)
}

/// Custom claims: none of those that the authority sets, and not too many bytes.
pub(crate) fn claims(claims: &Claims) -> Result<(), VerbError> {
    if let Some(reserved) = claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        return Err(VerbError::ClaimReserved { name: reserved.clone() });
    }
    let bytes = serde_json::to_string(claims).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_CLAIMS {
        return Err(VerbError::Invalid { member: "claims", why: format!("have at most {MAX_CLAIMS} bytes together") });
    }
    Ok(())
}

/// A scope: words of visible ASCII without quotes and backslashes (RFC 6749 §3.3), in the order
/// given, each once.
pub(crate) fn scope(scope: &str) -> Result<Vec<&str>, VerbError> {
    text("scope", Some(scope), MAX_SCOPE)?;
    let mut words: Vec<&str> = Vec::new();
    for word in scope.split(' ').filter(|word| !word.is_empty()) {
        if !is_scope_word(word) {
            return Err(VerbError::Invalid {
                member: "scope",
                why: "is words of visible ASCII without quotes and backslashes".to_owned(),
            });
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(words)
}

/// Whether a text is one word of a scope.
pub(crate) fn is_scope_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

/// Audiences, or the default where none is named.
pub(crate) fn audiences(given: Vec<String>, default: &[String]) -> Result<Vec<String>, VerbError> {
    if given.is_empty() {
        return Ok(default.to_vec());
    }
    if given.len() > MAX_AUDIENCES {
        return Err(VerbError::Invalid { member: "audience", why: format!("names at most {MAX_AUDIENCES}") });
    }
    given.iter().try_for_each(|audience| name("audience", audience))?;
    Ok(given)
}

/// Claims with a list of roles among them.
pub(crate) fn with_roles(mut claims: Map<String, Value>, roles: Option<Vec<String>>) -> Map<String, Value> {
    if let Some(roles) = roles {
        claims.insert("roles".to_owned(), Value::from(roles));
    }
    claims
}

/// The beginning of a caller's text, for an error that repeats it.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = text.to_owned();
    shown.truncate(text.ceil_char_boundary(SHOWN));
    shown
}
