//! DPoP proofs: the whole list of what a verifier must refuse, and what it must not.

use annul_core::time::UnixSeconds;
use annul_core::token::{
    Algorithm, HttpUri, JwkError, MAX_PROOF, MAX_PROOF_AGE, MAX_PROOF_AHEAD, Malformed, Nonce, PROOF_ALGORITHMS, Proof,
    ProofError, ProofExpect, access_token_hash,
};
use serde_json::{Value, json};

use crate::signing::*;

const TOKEN: &str = "an.access.token";
const URI: &str = "https://api.example/orders";

fn uri() -> HttpUri {
    HttpUri::parse(URI).unwrap()
}

fn expect(uri: &HttpUri) -> ProofExpect<'_> {
    ProofExpect {
        method: "POST",
        uri,
        now: NOW,
        algorithms: &PROOF_ALGORITHMS,
        access_token: Some(TOKEN),
        key: None,
        nonce: Nonce::NotDemanded,
    }
}

fn signer() -> Signer {
    Signer::of(Algorithm::Es256)
}

fn header(signer: &Signer) -> Value {
    let jwk = match signer.key(None).public_jwk().unwrap() {
        Value::Object(mut jwk) => {
            // As clients send it: the required members and nothing else.
            jwk.retain(|member, _| ["kty", "crv", "x", "y", "n", "e"].contains(&member.as_str()));
            Value::Object(jwk)
        }
        _ => unreachable!("a JWK is an object"),
    };
    json!({"alg": signer.algorithm().name(), "typ": "dpop+jwt", "jwk": jwk})
}

fn claims() -> Value {
    json!({"jti": "p-1", "htm": "POST", "htu": URI, "iat": NOW.0, "ath": access_token_hash(TOKEN)})
}

fn verify(proof: &str) -> Result<Proof, ProofError> {
    Proof::verify([proof.as_bytes()], &expect(&uri()))
}

/// Of a proof with these changes in its header.
fn with_header(changes: Value) -> Result<Proof, ProofError> {
    let signer = signer();
    verify(&signer.sign(with(header(&signer), changes).to_string(), claims().to_string()))
}

/// Of a proof with these changes in its claims.
fn with_claims(changes: Value) -> Result<Proof, ProofError> {
    let signer = signer();
    verify(&signer.sign(header(&signer).to_string(), with(claims(), changes).to_string()))
}

#[test]
fn dp_1_a_proof_gives_its_key_its_name_and_its_time() {
    for algorithm in PROOF_ALGORITHMS {
        let signer = Signer::of(algorithm);
        let proof = verify(&signer.sign(header(&signer).to_string(), claims().to_string())).unwrap();
        assert_eq!(proof.thumbprint(), signer.key(None).id(), "{algorithm}");
        assert_eq!((proof.jti(), proof.issued(), proof.last_second()), ("p-1", NOW, NOW.plus(MAX_PROOF_AGE)));
        let name = proof.name();
        assert_eq!((name.key, name.uri, name.jti), (proof.thumbprint(), &uri(), "p-1"));
        assert_eq!(name.last_second, proof.last_second());
    }
}

/// RFC 9449 figure 2, at the moment it was made.
#[test]
fn dp_1_the_proof_of_the_standard_is_one() {
    let header = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
    let payload = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ";
    let signature = "2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let uri = HttpUri::parse("https://server.example.com/token").unwrap();
    let expect = ProofExpect { now: UnixSeconds(1_562_262_616), access_token: None, ..expect(&uri) };
    let proof = Proof::verify([format!("{header}.{payload}.{signature}").as_bytes()], &expect).unwrap();
    assert_eq!(proof.thumbprint(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proof.jti(), "-BwC3ESc6acc2lTc");
}

#[test]
fn dp_2_there_is_exactly_one_header_and_it_is_a_proof() {
    let signer = signer();
    let good = signer.sign(header(&signer).to_string(), claims().to_string());
    let uri = uri();
    let of = |values: &[&[u8]]| Proof::verify(values.iter().copied(), &expect(&uri)).unwrap_err();
    assert_eq!(of(&[]), ProofError::Missing);
    assert_eq!(of(&[b""]), ProofError::Missing);
    assert_eq!(of(&[good.as_bytes(), good.as_bytes()]), ProofError::Repeated);
    let list = format!("{good}, {good}");
    assert!(matches!(of(&[list.as_bytes()]), ProofError::Malformed(_)), "two in one header");
    assert!(matches!(of(&[good.to_ascii_uppercase().as_bytes()]), ProofError::Malformed(_)), "in capitals");
    for text in ["garbage", "a.b.c", "a.b", "a.b.c.d.e"] {
        assert!(matches!(of(&[text.as_bytes()]), ProofError::Malformed(_)), "{text}");
    }
    assert_eq!(of(&[b"\xff"]), ProofError::Malformed(Malformed::Utf8));
    assert_eq!(of(&["a".repeat(MAX_PROOF + 1).as_bytes()]), ProofError::TooLarge);
}

#[test]
fn dp_2_the_header_says_what_it_has_to() {
    for typ in [json!(null), json!("JWT"), json!("at+jwt"), json!("dpop"), json!("")] {
        assert_eq!(with_header(json!({"typ": typ})), Err(ProofError::Typ), "{typ}");
    }
    assert_eq!(with_header(json!({"alg": null})), Err(ProofError::Malformed(Malformed::Header)));
    for alg in ["none", "RS256", "HS256", "ES384", "es256", "ES256K"] {
        assert_eq!(with_header(json!({"alg": alg})), Err(ProofError::Algorithm), "{alg}");
    }
    assert_eq!(with_header(json!({"crit": ["exp"]})), Err(ProofError::CritUnsupported));
    for jwk in [json!(null), json!("a key"), json!([]), json!(true)] {
        assert_eq!(with_header(json!({"jwk": jwk})), Err(ProofError::Key(JwkError::Member("jwk"))), "{jwk}");
    }
}

#[test]
fn dp_2_rs256_is_refused_where_it_is_not_accepted_and_no_list_makes_a_secret_a_proof() {
    let signer = Signer::of(Algorithm::Rs256);
    let proof = signer.sign(header(&signer).to_string(), claims().to_string());
    assert_eq!(verify(&proof), Err(ProofError::Algorithm));
    let uri = uri();
    let also = ProofExpect { algorithms: &[Algorithm::Rs256], ..expect(&uri) };
    assert!(Proof::verify([proof.as_bytes()], &also).is_ok());

    let shared = Signer::of(Algorithm::Hs256);
    let jwk = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"});
    let proof = shared.sign(json!({"alg": "HS256", "typ": "dpop+jwt", "jwk": jwk}).to_string(), claims().to_string());
    let also = ProofExpect { algorithms: &[Algorithm::Hs256], ..expect(&uri) };
    assert_eq!(Proof::verify([proof.as_bytes()], &also), Err(ProofError::Algorithm));
}

#[test]
fn dp_2_the_key_is_public_and_it_signed() {
    let signer = signer();
    let own = header(&signer)["jwk"].clone();
    let of = |jwk: Value| {
        let header = with(header(&signer), json!({"jwk": jwk}));
        verify(&signer.sign(header.to_string(), claims().to_string()))
    };
    assert_eq!(of(with(own.clone(), json!({"d": "AAAA"}))), Err(ProofError::Key(JwkError::Private)));
    let oct = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"});
    assert_eq!(of(oct), Err(ProofError::Key(JwkError::Secret)));
    assert_eq!(of(with(own, json!({"y": "AAAA"}))), Err(ProofError::Key(JwkError::Length)));
    let other = header(&Signer::of(Algorithm::Es256))["jwk"].clone();
    assert_eq!(of(other), Err(ProofError::SignatureInvalid), "another key than the one that signed");
    let of_other_type = header(&Signer::of(Algorithm::EdDsa))["jwk"].clone();
    assert_eq!(of(of_other_type), Err(ProofError::Algorithm));

    let good = signer.sign(header(&signer).to_string(), claims().to_string());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let swapped: String = signature.chars().rev().collect();
    let damaged = verify(&format!("{signed}.{swapped}")).unwrap_err();
    assert!(matches!(damaged, ProofError::SignatureInvalid | ProofError::Malformed(_)), "{damaged}");
    let empty = verify(&format!("{signed}.")).unwrap_err();
    assert_eq!(empty, ProofError::SignatureInvalid);
}

#[test]
fn dp_2_no_claim_is_missing_or_of_another_type() {
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        assert_eq!(with_claims(json!({claim: null})), Err(ProofError::Claim(claim)), "without {claim}");
        assert_eq!(with_claims(json!({claim: []})), Err(ProofError::Claim(claim)), "{claim} is a list");
    }
    assert_eq!(with_claims(json!({"jti": ""})), Err(ProofError::Claim("jti")));
    assert_eq!(with_claims(json!({"iat": "now"})), Err(ProofError::Claim("iat")));
    assert_eq!(with_claims(json!({"jti": "x".repeat(513)})), Err(ProofError::Claim("jti")), "nothing endless");
}

#[test]
fn dp_2_the_proof_is_for_this_request() {
    for method in ["GET", "post", "Post", "PUT"] {
        assert_eq!(with_claims(json!({"htm": method})), Err(ProofError::Method), "{method}");
    }
    for other in [
        "https://api.example/orders/",
        "https://api.example/Orders",
        "http://api.example/orders",
        "https://other.example/orders",
        "https://api.example:8443/orders",
        "/orders",
        "orders",
    ] {
        assert_eq!(with_claims(json!({"htu": other})), Err(ProofError::Uri), "{other}");
    }
}

#[test]
fn dp_2_the_proof_is_of_this_minute() {
    for iat in [NOW.0 - 3600, NOW.0 + 3600, NOW.0 - MAX_PROOF_AGE - 1, NOW.0 + MAX_PROOF_AHEAD + 1, 0] {
        assert_eq!(with_claims(json!({"iat": iat})), Err(ProofError::OutOfTime), "{iat}");
    }
    for iat in [NOW.0 - 10, NOW.0 + 8, NOW.0 - MAX_PROOF_AGE, NOW.0 + MAX_PROOF_AHEAD] {
        assert!(with_claims(json!({"iat": iat})).is_ok(), "{iat}");
    }
}

#[test]
fn dp_2_the_proof_is_for_this_token_and_by_its_key() {
    let of_other = json!({"ath": access_token_hash("another.access.token")});
    assert_eq!(with_claims(of_other), Err(ProofError::AccessToken));
    assert_eq!(with_claims(json!({"ath": TOKEN})), Err(ProofError::AccessToken));
    // RFC 9449 figure 12.
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    assert_eq!(access_token_hash(token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");

    let signer = signer();
    let proof = signer.sign(header(&signer).to_string(), claims().to_string());
    let (uri, own) = (uri(), signer.key(None));
    let bound = |key| Proof::verify([proof.as_bytes()], &ProofExpect { key: Some(key), ..expect(&uri) });
    assert!(bound(own.id()).is_ok());
    assert_eq!(bound("another"), Err(ProofError::OtherKey));
}

#[test]
fn dp_2_what_is_right_in_another_spelling_is_right() {
    for htu in [
        "https://api.example/orders?page=2",
        "https://api.example/orders#top",
        "https://api.example:443/orders",
        "HTTPS://API.example/orders",
        "https://api.example/%6Frders",
    ] {
        assert!(with_claims(json!({"htu": htu})).is_ok(), "{htu}");
    }
    assert!(with_claims(json!({"extra": {"any": [1]}, "nbf": 1, "exp": NOW.0 - 1})).is_ok(), "extra claims");
    assert!(with_header(json!({"kid": "mine", "typ": "DPOP+JWT", "cty": 1})).is_ok(), "typ in capitals");
    let signer = signer();
    let without_token = with(claims(), json!({"ath": null}));
    let proof = signer.sign(header(&signer).to_string(), without_token.to_string());
    let uri = uri();
    let no_token = ProofExpect { access_token: None, ..expect(&uri) };
    assert!(Proof::verify([proof.as_bytes()], &no_token).is_ok(), "where no token is presented none is named");
}

#[test]
fn dp_6_a_nonce_is_needed_once_it_is_demanded_and_told_only_for_that() {
    let uri = uri();
    let accepts = |nonce: &str| nonce == "n-1";
    let expect = ProofExpect { nonce: Nonce::Demanded(&accepts), ..expect(&uri) };
    let of = |changes: Value| {
        let signer = signer();
        let proof = signer.sign(header(&signer).to_string(), with(claims(), changes).to_string());
        Proof::verify([proof.as_bytes()], &expect)
    };
    assert!(of(json!({"nonce": "n-1"})).is_ok());
    for nonce in [json!(null), json!("n-2"), json!(""), json!(1)] {
        let refused = of(json!({"nonce": nonce})).unwrap_err();
        assert_eq!((refused.clone(), refused.code()), (ProofError::NonceNeeded, "use_dpop_nonce"), "{nonce}");
    }
    let refused = of(json!({"nonce": null, "htm": "GET"})).unwrap_err();
    assert_eq!((refused.clone(), refused.code()), (ProofError::Method, "invalid_dpop_proof"));
    assert!(with_claims(json!({"nonce": "n-2"})).is_ok(), "one that nobody asked for is not looked at");
}
