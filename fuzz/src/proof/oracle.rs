//! RFC 9449 §4.3 for one request, written a second time and plainly.

use aws_lc_rs::digest;
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fluent_uri::Uri;
use serde_json::{Map, Value};

use super::{ACCESS_TOKEN, ADDRESS, KEY, METHOD, NOW};
use crate::strict::{demand, is_name, object};

const MAX_PROOF: usize = 8 * 1024;
const MAX_AGE: f64 = 60.0;
const MAX_AHEAD: f64 = 10.0;

/// Whether a proof of these parts, properly signed, is to be accepted; if not, why.
pub(super) fn judge(proof: &str, header: &[u8], payload: &[u8]) -> Result<(), String> {
    demand(proof.len() <= MAX_PROOF, "it is too large")?;
    judge_header(&object(header)?)?;
    judge_claims(&object(payload)?)
}

/// Whether nothing stands in it but what every proof has, the key in its shortest form.
pub(super) fn is_plain(header: &[u8], payload: &[u8]) -> bool {
    let only = |bytes: &[u8], names: &[&str]| match object(bytes) {
        Ok(object) => object.keys().all(|name| names.contains(&name.as_str())).then_some(object),
        Err(_) => None,
    };
    let header = only(header, &["alg", "typ", "jwk"]);
    let jwk = header.as_ref().and_then(|header| header.get("jwk")?.as_object());
    jwk.is_some_and(|jwk| jwk.len() == 3) && only(payload, &["jti", "iat", "htm", "htu", "ath"]).is_some()
}

fn judge_header(header: &Map<String, Value>) -> Result<(), String> {
    for name in ["enc", "crit", "b64"] {
        demand(!header.contains_key(name), name)?;
    }
    demand(header.get("alg").and_then(Value::as_str) == Some("EdDSA"), "alg is not the key's")?;
    let typ = header.get("typ").and_then(Value::as_str).ok_or("typ is no text")?.to_ascii_lowercase();
    demand(["dpop+jwt", "application/dpop+jwt"].contains(&typ.as_str()), "typ is another kind's")?;
    let jwk = header.get("jwk").and_then(Value::as_object).ok_or("jwk is no object")?;
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    demand(member("kty") == Some("OKP") && member("crv") == Some("Ed25519"), "the key is of another kind")?;
    demand(member("x") == Some(&URL_SAFE_NO_PAD.encode(KEY.public_key())), "the key is not the signer's")?;
    demand(!jwk.contains_key("d"), "the key is private")
}

fn judge_claims(claims: &Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    demand(claims.get("jti").is_some_and(is_name), "jti is no name")?;
    demand(text("htm") == METHOD, "it is for another method")?;
    demand(is_the_address(text("htu")), "it is for another address")?;
    let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, ACCESS_TOKEN.as_bytes()));
    demand(text("ath") == hash, "it is for another token")?;
    let issued = claims.get("iat").and_then(Value::as_f64).ok_or("iat is no number")?.max(0.0).floor();
    let now = NOW as f64;
    demand(issued <= now + MAX_AHEAD && now <= issued + MAX_AGE, "it is of another time")
}

/// Whether this names [`ADDRESS`], by another library's reading of RFC 3986 §6.2, once what no address has is
/// escaped in the path.
fn is_the_address(text: &str) -> bool {
    let without_query = text.split(['?', '#']).next().unwrap_or_default();
    let path_at = without_query.match_indices('/').nth(2).map_or(without_query.len(), |(at, _)| at);
    let (host, path) = without_query.split_at(path_at);
    let escaped = path.chars().map(|character| match character {
        '"' | '<' | '>' | '[' | '\\' | ']' | '^' | '`' | '{' | '|' | '}' => format!("%{:02x}", u32::from(character)),
        other => other.to_string(),
    });
    match Uri::parse(format!("{host}{}", escaped.collect::<String>()).as_str()) {
        Ok(uri) => uri.normalize().as_str() == ADDRESS,
        Err(_) => false,
    }
}
