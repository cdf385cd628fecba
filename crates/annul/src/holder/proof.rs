//! Proofs of possession (RFC 9449): a key, and one signed JWT per request.

use std::collections::HashMap;
use std::fmt;
use std::sync::{MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{DATE, HeaderName};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::Url;
use serde_json::{Value, json};

use super::token::AccessToken;
use crate::clock;
use crate::error::ConfigError;
use crate::sync::Mutex;

/// The header in which a server gives the nonce of the next proof.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Bytes of a nonce that are taken. It comes from outside and goes into every proof.
const LONGEST_NONCE: usize = 1024;
/// Servers whose nonces are kept. Who calls more forgets them all at times, and is given new ones.
const MOST_SERVERS: usize = 64;
/// A clock that differs by no more than this from a server's is right, for a proof.
const CLOCK_TOLERANCE: i64 = 5;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;

/// An ES256 key that a session's tokens are bound to. Keep it where the refresh token is kept: neither
/// is of use without the other. Its `Debug` shows its thumbprint only.
pub struct ProofKey {
    pair: EcdsaKeyPair,
    jwk: Value,
    thumbprint: String,
}

impl ProofKey {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, ConfigError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| ConfigError::ProofKey)?;
        Self::of(pair)
    }

    /// The key that [`to_pkcs8`](Self::to_pkcs8) gave, or another P-256 key in PKCS#8 (DER).
    ///
    /// # Errors
    /// When it is no such key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, ConfigError> {
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| ConfigError::ProofKey)?;
        Self::of(pair)
    }

    /// The private key in PKCS#8 (DER), to be kept as secretly as the refresh token.
    ///
    /// # Errors
    /// When the key cannot be encoded, which no known key does.
    pub fn to_pkcs8(&self) -> Result<Vec<u8>, ConfigError> {
        self.pair.to_pkcs8v1().map(|der| der.as_ref().to_vec()).map_err(|_| ConfigError::ProofKey)
    }

    /// Its thumbprint (RFC 7638): what bound tokens carry as `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    fn of(pair: EcdsaKeyPair) -> Result<Self, ConfigError> {
        // An uncompressed point: 4, then both coordinates.
        let point = pair.public_key().as_ref().strip_prefix(&[4]).ok_or(ConfigError::ProofKey)?;
        let (x, y) = point.split_at_checked(COORDINATE).ok_or(ConfigError::ProofKey)?;
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        Ok(Self { pair, jwk, thumbprint: sha256(canonical.as_bytes()) })
    }

    /// A proof for one request of `method` to `url`, and of having `access_token` where one goes with it:
    /// the value of the header `DPoP`. For who holds tokens by other means; it has no nonce.
    ///
    /// # Errors
    /// When `url` is not absolute.
    pub fn prove(&self, method: &Method, url: &str, access_token: Option<&str>) -> Result<HeaderValue, ConfigError> {
        let parsed = Url::parse(url).ok().filter(Url::has_host);
        let parsed = parsed.ok_or_else(|| ConfigError::Address(url.to_owned()))?;
        Ok(self.signed(method, &parsed, access_token, clock::now().wall.0, None))
    }

    fn signed(&self, method: &Method, url: &Url, token: Option<&str>, iat: u64, nonce: Option<&str>) -> HeaderValue {
        let always = [("jti", random_id()), ("htm", method.to_string()), ("htu", without_query(url))];
        let sometimes = [("ath", token.map(|token| sha256(token.as_bytes()))), ("nonce", nonce.map(str::to_owned))];
        let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let texts = always.into_iter().chain(sometimes).map(|(name, value)| (name.to_owned(), Value::from(value)));
        let claims = texts.chain([("iat".to_owned(), Value::from(iat))]).collect();
        let proof = self.sign(&Value::Object(claims));
        let mut value = HeaderValue::from_str(&proof).expect("base64url and dots are ASCII");
        value.set_sensitive(true);
        value
    }

    /// A compact JWT of `claims`.
    fn sign(&self, claims: &Value) -> String {
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk });
        let [header, claims] = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.expect("a P-256 key signs any text while the system has randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofKey").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

/// Makes proofs, with what servers said about earlier ones.
pub(super) struct Proofs {
    key: ProofKey,
    learnt: Mutex<Learnt>,
}

#[derive(Default)]
struct Learnt {
    /// The newest nonce of each server, by origin.
    nonces: HashMap<String, String>,
    /// What has to be added to this process's clock, in seconds.
    clock_is_off: i64,
}

impl Proofs {
    pub(super) fn new(key: ProofKey) -> Self {
        Self { key, learnt: Mutex::default() }
    }

    pub(super) const fn key(&self) -> &ProofKey {
        &self.key
    }

    /// A new proof for one request: of the key, and of `token` where one is presented with it.
    pub(super) fn prove(&self, method: &Method, url: &Url, token: Option<&AccessToken>) -> HeaderValue {
        let (iat, nonce) = {
            let learnt = self.learnt();
            let iat = clock::now().wall.0.saturating_add_signed(learnt.clock_is_off);
            (iat, learnt.nonces.get(&origin(url)).cloned())
        };
        self.key.signed(method, url, token.map(AccessToken::expose), iat, nonce.as_deref())
    }

    /// Takes the nonce that the server of `url` gave, on whatever answer: the newest is the one to use.
    pub(super) fn heard(&self, url: &Url, headers: &HeaderMap) {
        let mut all = headers.get_all(DPOP_NONCE).iter();
        let (Some(nonce), None) = (all.next(), all.next()) else { return };
        let Some(nonce) = nonce.to_str().ok().filter(|nonce| !nonce.is_empty() && nonce.len() <= LONGEST_NONCE) else {
            return;
        };
        let mut learnt = self.learnt();
        let origin = origin(url);
        if learnt.nonces.len() >= MOST_SERVERS && !learnt.nonces.contains_key(&origin) {
            learnt.nonces.clear();
        }
        learnt.nonces.insert(origin, nonce.to_owned());
    }

    /// Sets the clock of later proofs by the `Date` of an answer; whether that made a difference, so that
    /// a proof refused for its time may pass now.
    pub(super) fn corrects_clock(&self, headers: &HeaderMap) -> bool {
        let date = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
        let Some(theirs) = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok()) else { return false };
        let ours = clock::now().wall.0;
        let is_off = theirs.as_secs().checked_signed_diff(ours).unwrap_or_default();
        let mut learnt = self.learnt();
        let differs = (is_off - learnt.clock_is_off).abs() > CLOCK_TOLERANCE;
        if differs {
            learnt.clock_is_off = is_off;
        }
        differs
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that a proof names: without query and fragment (RFC 9449 §4.2).
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// 128 random bits: unlike a time-ordered id, nobody can tell when or after which it was made.
fn random_id() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Scheme;

    fn claims(proof: &HeaderValue) -> Value {
        let payload = proof.to_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn answer(headers: &[(HeaderName, &str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn dp_1_a_proof_names_the_request_the_token_and_the_newest_nonce() {
        let proofs = Proofs::new(ProofKey::generate().unwrap());
        let orders = url("https://shop.example:443/orders?page=2#top");
        let token = AccessToken::new("a.b.c", Scheme::DPoP);
        let first = claims(&proofs.prove(&Method::GET, &orders, Some(&token)));
        assert_eq!((first["htm"].as_str(), first["htu"].as_str()), (Some("GET"), Some("https://shop.example/orders")));
        assert_eq!(first["ath"], sha256(b"a.b.c"));
        assert_eq!(first.get("nonce"), None);

        for nonce in ["one", "two"] {
            proofs.heard(&orders, &answer(&[(DPOP_NONCE, nonce)]));
        }
        proofs.heard(&orders, &answer(&[(DPOP_NONCE, &"n".repeat(LONGEST_NONCE + 1))]));
        proofs.heard(&orders, &answer(&[(DPOP_NONCE, "a"), (DPOP_NONCE, "b")]));
        let second = claims(&proofs.prove(&Method::GET, &orders, None));
        assert_eq!(second["nonce"], "two");
        assert_ne!(second["jti"], first["jti"]);
        assert_eq!(second.get("ath"), None);
        let elsewhere = claims(&proofs.prove(&Method::GET, &url("https://auth.example/"), None));
        assert_eq!(elsewhere.get("nonce"), None, "one server's nonce is no other's");
    }

    #[test]
    fn a_proof_verifies_by_the_key_in_its_header_whose_thumbprint_is_told() {
        let key = ProofKey::generate().unwrap();
        let again = ProofKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(key.thumbprint(), again.thumbprint());
        assert!(ProofKey::from_pkcs8(b"nothing").is_err());

        let (keys, skipped) = annul_core::token::KeySet::from_values(std::slice::from_ref(&key.jwk));
        assert!(skipped.is_empty(), "{skipped:?}");
        assert_eq!(keys.iter().next().map(annul_core::Key::id), Some(key.thumbprint()));
        let proof = Proofs::new(again).prove(&Method::POST, &url("https://auth.example/oauth2/token"), None);
        let proof = proof.to_str().unwrap();
        annul_core::token::verify_jws(proof, &keys).unwrap();
    }

    #[test]
    fn servers_that_give_nonces_take_bounded_memory() {
        let proofs = Proofs::new(ProofKey::generate().unwrap());
        for server in 0..1000 {
            proofs.heard(&url(&format!("https://s{server}.example/")), &answer(&[(DPOP_NONCE, "n")]));
        }
        assert!(proofs.learnt().nonces.len() <= MOST_SERVERS);
    }

    #[test]
    fn a_wrong_clock_is_set_by_the_servers_date_once() {
        let proofs = Proofs::new(ProofKey::generate().unwrap());
        let an_hour_ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
        let date = answer(&[(DATE, &httpdate::fmt_http_date(an_hour_ahead))]);
        assert!(proofs.corrects_clock(&date));
        assert!(!proofs.corrects_clock(&date), "it is right now, and another proof would fare no better");
        let iat = claims(&proofs.prove(&Method::GET, &url("https://shop.example/"), None))["iat"].as_u64().unwrap();
        assert!(iat.abs_diff(clock::now().wall.0 + 3600) <= 2, "{iat}");
        assert!(!proofs.corrects_clock(&HeaderMap::new()));
    }
}
