//! The rules of docs/reference/strictness.md for one foreign issuer, written a second time and plainly.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{AUDIENCE, ISSUER, LEEWAY, LONGEST_LIFE, NOW};

const MAX_TOKEN: usize = 16 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_NAME: usize = 512;
const MAX_FUTURE: f64 = 60.0;

/// Whether a token of these parts, properly signed, is to be accepted; if not, why.
pub(super) fn judge(token: &str, header: &[u8], payload: &[u8]) -> Result<(), String> {
    demand(token.len() <= MAX_TOKEN, "it is too large")?;
    judge_header(&object(header)?)?;
    judge_claims(&object(payload)?)
}

fn judge_header(header: &Map<String, Value>) -> Result<(), String> {
    for name in ["enc", "crit", "b64"] {
        demand(!header.contains_key(name), name)?;
    }
    demand(header.get("alg").and_then(Value::as_str) == Some("HS256"), "alg is not the key's")?;
    if let Some(typ) = header.get("typ") {
        let typ = typ.as_str().ok_or("typ is no text")?.to_ascii_lowercase();
        let kinds = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];
        demand(kinds.contains(&typ.as_str()), "typ is another kind's")?;
    }
    demand(header.get("kid").is_none_or(|kid| kid == "shared"), "kid is no key's")
}

fn judge_claims(claims: &Map<String, Value>) -> Result<(), String> {
    for name in ["iss", "sub", "jti", "sid", "client_id", "azp", "device_id"] {
        demand(claims.get(name).is_none_or(is_name), name)?;
    }
    demand(claims.get("iss").and_then(Value::as_str) == Some(ISSUER), "iss is another")?;
    let audience_is_ours = match claims.get("aud") {
        Some(Value::String(audience)) => audience == AUDIENCE,
        Some(Value::Array(audiences)) => {
            demand(audiences.iter().all(Value::is_string), "aud holds something else than texts")?;
            audiences.iter().any(|audience| audience == AUDIENCE)
        }
        _ => false,
    };
    demand(audience_is_ours, "aud is not ours")?;
    demand(claims.get("scope").is_none_or(Value::is_string), "scope is no text")?;
    if let Some(confirmation) = claims.get("cnf") {
        let methods = confirmation.as_object().ok_or("cnf is no object")?;
        for method in ["jkt", "x5t#S256"] {
            demand(methods.get(method).is_none_or(is_name), "a thumbprint is no name")?;
        }
    }
    judge_dates(claims)
}

/// All in doubles: the moments that are compared lie far below where doubles lose seconds.
fn judge_dates(claims: &Map<String, Value>) -> Result<(), String> {
    let date = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(|date| Some(date.max(0.0))).ok_or(format!("{name} is no number")),
    };
    let (now, leeway, life) = (NOW as f64, LEEWAY as f64, LONGEST_LIFE as f64);
    date("auth_time")?;
    let (nbf, iat) = (date("nbf")?.map(f64::ceil), date("iat")?.map(f64::floor));
    let exp = date("exp")?.ok_or("there is no exp")?.floor();
    demand(now < exp + leeway, "it has expired")?;
    demand(nbf.is_none_or(|nbf| nbf <= now + leeway), "it is not valid yet")?;
    demand(iat.is_none_or(|iat| iat <= now + MAX_FUTURE), "it is from the future")?;
    demand(exp <= now + life + leeway, "it lives too long from now")?;
    demand(iat.is_none_or(|iat| exp <= iat + life), "it lives too long from its issue")
}

fn demand(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}

fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|name| (1..=MAX_NAME).contains(&name.len()))
}

/// The object in these bytes, by a lenient reader, once a scan of the text has found no member twice and
/// no level too deep.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8")?;
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    scan(text)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err("it is no object".to_owned()),
    }
}

/// Goes through a text that is known to be JSON, with the names seen on each open level.
fn scan(text: &str) -> Result<(), String> {
    let mut levels: Vec<HashSet<String>> = Vec::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '{' | '[' => levels.push(HashSet::new()),
            '}' | ']' => {
                levels.pop();
            }
            '"' => {
                let end = end_of_string(rest);
                let name = format!("\"{}\"", &rest[..end]);
                rest = &rest[end + 1..];
                // Only a member's name is followed by a colon.
                if rest.trim_start().starts_with(':') {
                    let name: String = serde_json::from_str(&name).map_err(|error| error.to_string())?;
                    let level = levels.last_mut().ok_or("a name outside of everything")?;
                    demand(level.insert(name), "a member is named twice")?;
                }
            }
            _ => {}
        }
        demand(levels.len() <= MAX_DEPTH, "it is too deep")?;
    }
    Ok(())
}

fn end_of_string(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(rest.len())
}
