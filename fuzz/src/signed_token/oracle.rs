//! The rules of docs/reference/strictness.md for one foreign issuer, written a second time and plainly.

use serde_json::{Map, Value};

use super::{AUDIENCE, ISSUER, LEEWAY, LONGEST_LIFE, NOW};
use crate::strict::{demand, is_name, object};

const MAX_TOKEN: usize = 16 * 1024;
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
