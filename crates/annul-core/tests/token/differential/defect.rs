//! A defect, and the tokens that have it and are sound otherwise.

use std::time::SystemTime;

use annul_core::token::Algorithm;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::signing::{API, IDP, SECRET, Signer, with};

/// Tokens with one thing wrong, or with nothing wrong.
#[derive(Clone)]
pub(super) struct Defect {
    /// The name by which the page and the reasons speak of it. It leads with the requirement's id, if it has one.
    pub(super) id: &'static str,
    /// What is wrong, for a reader of the page.
    pub(super) what: &'static str,
    pub(super) cases: Vec<Case>,
}

/// One token, and what a careful application tells a library about it: one key, one algorithm.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) token: String,
    pub(super) jwk: Value,
    pub(super) algorithm: Algorithm,
}

/// The algorithms that a defect is tried with when it has nothing to do with the algorithm: one of each family.
pub(super) const FAMILIES: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

impl Case {
    pub(super) fn new(signer: &Signer, token: String) -> Self {
        Self { token, jwk: jwk(signer), algorithm: signer.algorithm() }
    }
}

/// The signer's key as it is published, or its secret.
pub(super) fn jwk(signer: &Signer) -> Value {
    let published = signer.key(None).public_jwk();
    published
        .unwrap_or_else(|| json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET), "alg": signer.algorithm().name()}))
}

/// The defect of tokens made by `make`, which is given a signer of each family in turn.
pub(super) fn defect(id: &'static str, what: &'static str, make: impl Fn(&Signer) -> Vec<String>) -> Defect {
    let cases = FAMILIES.into_iter().map(Signer::of).flat_map(|signer| {
        let tokens = make(&signer);
        tokens.into_iter().map(|token| Case::new(&signer, token)).collect::<Vec<_>>()
    });
    Defect { id, what, cases: cases.collect() }
}

/// The defect of tokens with these payloads.
pub(super) fn payloads<B: AsRef<[u8]>>(id: &'static str, what: &'static str, payloads: &[B]) -> Defect {
    defect(id, what, |signer| payloads.iter().map(|payload| signer.sign(header(signer).to_string(), payload)).collect())
}

/// The defect of tokens whose claims are changed like this; `null` takes a claim away.
pub(super) fn changed(id: &'static str, what: &'static str, changes: &[Value]) -> Defect {
    let texts: Vec<String> = changes.iter().map(|change| with(claims(), change.clone()).to_string()).collect();
    payloads(id, what, &texts)
}

/// The defect of tokens whose claims end in this text, as it stands.
pub(super) fn appended(id: &'static str, what: &'static str, members: &[&str]) -> Defect {
    let sound = claims().to_string();
    let texts: Vec<String> =
        members.iter().map(|member| format!("{},{member}}}", sound.strip_suffix('}').unwrap())).collect();
    payloads(id, what, &texts)
}

/// The defect of tokens whose header is changed like this.
pub(super) fn headed(id: &'static str, what: &'static str, changes: &[Value]) -> Defect {
    defect(id, what, |signer| {
        let headers = changes.iter().map(|change| with(header(signer), change.clone()).to_string());
        headers.map(|header| signer.sign(header, claims().to_string())).collect()
    })
}

/// The defect of sound tokens whose text is then changed like this.
pub(super) fn rewritten(id: &'static str, what: &'static str, rewrite: impl Fn(&str) -> Vec<String>) -> Defect {
    defect(id, what, |signer| rewrite(&signer.sign(header(signer).to_string(), claims().to_string())))
}

pub(super) fn header(signer: &Signer) -> Value {
    json!({"alg": signer.algorithm().name(), "typ": "at+jwt"})
}

/// The wall clock: two of the libraries read it themselves.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

pub(super) fn claims() -> Value {
    json!({"iss": IDP, "sub": "bob", "aud": API, "exp": now() + 600, "iat": now() - 10, "jti": "f-1"})
}
