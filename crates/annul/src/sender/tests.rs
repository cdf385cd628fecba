//! What a sender has to show, refusal by refusal.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::*;
use crate::clock;
use crate::holder::ProofKey;

const TOKEN: &str = "a.b.c";
const BASE: &str = "https://shop.example/api";
const URL: &str = "https://shop.example/api/orders";

fn claims(cnf: Value) -> Claims {
    let Value::Object(claims) = json!({ "sub": "alice", "cnf": cnf }) else { unreachable!() };
    Claims::from_map(claims).unwrap()
}

fn bound(key: &ProofKey) -> Claims {
    claims(json!({ "jkt": key.thumbprint() }))
}

fn senders() -> Senders {
    Senders::new(Some(base("https://shop.example/api/").unwrap()))
}

fn headers(proofs: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("dpop {TOKEN}")).unwrap());
    headers.extend(proofs.iter().map(|proof| (DPOP, proof.clone())));
    headers
}

/// What a GET of `/orders` with these proofs comes to.
fn get(senders: &Senders, claims: &Claims, proofs: &[HeaderValue]) -> &'static str {
    let (method, headers, now) = (Method::GET, headers(proofs), clock::now().wall);
    let presented = Presented::in_request(&method, "/orders", &headers).unwrap();
    let spent = senders.judge(&presented, claims, now).and_then(|shown| senders.spend(shown, now));
    spent.map_or_else(|error| error.code(), |()| "ok")
}

fn by(key: &ProofKey) -> HeaderValue {
    key.prove(&Method::GET, URL, Some(TOKEN)).unwrap()
}

fn judged(presented: &Presented<'_>, claims: &Claims) -> &'static str {
    senders().judge(presented, claims, clock::now().wall).map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn dp_1_a_bound_token_needs_a_proof_for_this_request_token_and_key() {
    let (senders, key, other) = (senders(), ProofKey::generate().unwrap(), ProofKey::generate().unwrap());
    let claims = bound(&key);
    assert_eq!(get(&senders, &claims, &[by(&key)]), "ok");
    let with_query = key.prove(&Method::GET, &format!("{URL}?page=2"), Some(TOKEN)).unwrap();
    assert_eq!(get(&senders, &claims, &[with_query]), "ok");
    let refused = [
        vec![],
        vec![by(&key), by(&key)],
        vec![by(&other)],
        vec![key.prove(&Method::POST, URL, Some(TOKEN)).unwrap()],
        vec![key.prove(&Method::GET, "https://shop.example/orders", Some(TOKEN)).unwrap()],
        vec![key.prove(&Method::GET, "https://10.0.0.7:8080/orders", Some(TOKEN)).unwrap()],
        vec![key.prove(&Method::GET, URL, Some("a.b.d")).unwrap()],
        vec![key.prove(&Method::GET, URL, None).unwrap()],
        vec![HeaderValue::from_static("not.a.proof")],
    ];
    for proofs in refused {
        assert_eq!(get(&senders, &claims, &proofs), "invalid_dpop_proof", "{proofs:?}");
    }
}

#[test]
fn dp_5_neither_scheme_stands_for_the_other() {
    let key = ProofKey::generate().unwrap();
    assert_eq!(judged(&Presented::bearer(TOKEN), &bound(&key)), "proof_needed");
    assert_eq!(judged(&Presented::bearer(TOKEN), &claims(json!({}))), "ok");
    assert_eq!(get(&senders(), &claims(json!({})), &[by(&key)]), "token_not_bound");
    assert_eq!(judged(&Presented::elsewhere(TOKEN), &bound(&key)), "ok");
}

#[test]
fn mt_1_a_token_bound_to_a_certificate_needs_it_on_the_connection() {
    let (mine, other) = (PeerCertificate::of_der(b"mine"), PeerCertificate::of_der(b"other"));
    let bound = claims(json!({ "x5t#S256": mine.thumbprint() }));
    let with = |certificate| judged(&Presented::bearer(TOKEN).with_certificate(certificate), &bound);
    assert_eq!(
        (with(None), with(Some(&other)), with(Some(&mine))),
        ("certificate_needed", "certificate_mismatch", "ok")
    );
    assert_eq!(judged(&Presented::bearer(TOKEN).with_certificate(Some(&other)), &claims(json!({}))), "ok");

    let key = ProofKey::generate().unwrap();
    let both = claims(json!({ "jkt": key.thumbprint(), "x5t#S256": mine.thumbprint() }));
    assert_eq!(judged(&Presented::bearer(TOKEN).with_certificate(Some(&mine)), &both), "proof_needed");
    assert_eq!(get(&senders(), &both, &[by(&key)]), "certificate_needed");
}

#[test]
fn dp_7_a_proof_is_used_once_and_only_by_a_token_that_is_let_in() {
    let (senders, key) = (senders(), ProofKey::generate().unwrap());
    let (claims, proof) = (bound(&key), by(&key));
    let (method, headers, now) = (Method::GET, headers(std::slice::from_ref(&proof)), clock::now().wall);
    let presented = Presented::in_request(&method, "/orders", &headers).unwrap();
    let first = senders.judge(&presented, &claims, now).unwrap();
    drop(first);
    assert_eq!(get(&senders, &claims, std::slice::from_ref(&proof)), "ok", "what was not let in was not used up");
    assert_eq!(get(&senders, &claims, std::slice::from_ref(&proof)), "proof_repeated");
    assert_eq!(get(&senders, &claims, &[by(&key)]), "ok", "another proof is another");
}

#[test]
fn dp_7_while_the_memory_of_proofs_is_full_new_ones_are_refused_and_none_is_forgotten() {
    let (key, senders) = (ProofKey::generate().unwrap(), Senders { proofs: ProofsSeen::bounded(1), ..senders() });
    let (claims, first) = (bound(&key), by(&key));
    assert_eq!(get(&senders, &claims, std::slice::from_ref(&first)), "ok");
    assert_eq!(get(&senders, &claims, &[by(&key)]), "proof_memory_full");
    assert_eq!(get(&senders, &claims, &[first]), "proof_repeated");
}

#[test]
fn without_a_public_url_no_proof_is_taken_and_no_bound_token() {
    let (nowhere, key) = (Senders::new(None), ProofKey::generate().unwrap());
    assert!(!nowhere.take_proofs());
    assert_eq!(get(&nowhere, &bound(&key), &[by(&key)]), "proofs_not_taken");
    for url in ["shop.example", "ftp://shop.example", "https://shop.example/?a=b", "https://u@shop.example", ""] {
        assert!(base(url).is_err(), "{url}");
    }
    assert_eq!(base("https://shop.example/api/").unwrap(), BASE);
}
