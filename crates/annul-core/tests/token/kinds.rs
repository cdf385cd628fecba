//! Every kind of token, presented where every other kind is expected (BCP-4, RFC 8725 §3.11).
//!
//! The kinds are made as alike as they can be: one key signs them all, each carries the claims of all, and only
//! what its standard lets nobody choose is its own: `typ`, whom it is from, and whom it is for.

use annul_core::token::{Algorithm, Expect, KeySet, Typ};
use serde_json::{Value, json};

use crate::signing::*;

/// The client for which ID tokens and logout tokens are made.
const CLIENT: &str = "web";

/// A kind of token, and the place where it is expected.
struct Kind {
    name: &'static str,
    typ: Option<&'static str>,
    issuer: &'static str,
    audience: &'static str,
    /// `None`: no verifier accepts it by itself, only the authority that made it.
    place: Option<Expect>,
}

fn kinds() -> Vec<Kind> {
    let kind = |name, typ: &'static str, issuer, audience| Kind {
        name,
        typ: Some(typ),
        issuer,
        audience,
        place: Some(Expect::foreign(issuer, audience).with_typ(Typ::Exactly(typ.to_owned()))),
    };
    vec![
        Kind { place: Some(Expect::own(OWN, API)), ..kind("access token", "at+jwt", OWN, API) },
        Kind { place: Some(Expect::foreign(IDP, API)), ..kind("foreign access token", "at+jwt", IDP, API) },
        Kind {
            typ: None,
            place: Some(Expect::foreign("https://untyped.example", API)),
            ..kind("foreign access token without typ", "at+jwt", "https://untyped.example", API)
        },
        kind("ID token", "JWT", OWN, CLIENT),
        kind("foreign ID token", "JWT", IDP, CLIENT),
        kind("logout token", "logout+jwt", OWN, CLIENT),
        kind("foreign logout token", "logout+jwt", IDP, CLIENT),
        kind("security event", "secevent+jwt", OWN, API),
        kind("foreign security event", "secevent+jwt", IDP, API),
        kind("introspection response", "token-introspection+jwt", OWN, API),
        kind("client assertion", "client-authentication+jwt", CLIENT, OWN),
        kind("authorization grant", "authorization-grant+jwt", IDP, OWN),
        kind("DPoP proof", "dpop+jwt", OWN, API),
        kind("status list", "statuslist+jwt", OWN, API),
        Kind { place: None, ..kind("token of a subject's own key", "at+jwt", OWN, API) },
    ]
}

/// What any of the kinds says, all in one: nothing is refused for want of a claim.
fn claims(kind: &Kind) -> Value {
    with(
        own_claims(),
        json!({
            "iss": kind.issuer, "aud": kind.audience, "nonce": "n-1", "htm": "GET", "htu": API, "ath": "x",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
            "token_introspection": {"active": true}, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}, "ttl": 60,
        }),
    )
}

/// The token, and the keys of whoever expects something: the shared key of all kinds but one.
fn made(kind: &Kind, spell: impl Fn(&str) -> String) -> (String, KeySet) {
    let issuer = Signer::of(Algorithm::EdDsa);
    let signer = match kind.place {
        Some(_) => Signer::of(Algorithm::EdDsa),
        None => Signer::of(Algorithm::Hs256),
    };
    let mut header = json!({"alg": signer.algorithm().name()});
    if let Some(typ) = kind.typ {
        header["typ"] = spell(typ).into();
    }
    (signer.sign(header.to_string(), claims(kind).to_string()), issuer.keys(None))
}

#[test]
fn bcp_4_only_the_diagonal_of_all_kinds_of_tokens_passes() {
    let spellings: [fn(&str) -> String; 3] =
        [|typ| typ.to_owned(), |typ| format!("application/{typ}"), |typ| typ.to_ascii_uppercase()];
    let mut refused = 0;
    for presented in &kinds() {
        for expected in &kinds() {
            let Some(place) = &expected.place else { continue };
            for spell in spellings {
                let (token, keys) = made(presented, spell);
                let outcome = code(present(&token, &keys, place));
                let is_its_place = presented.name == expected.name;
                assert_eq!(outcome == "OK", is_its_place, "{} as {}: {outcome}", presented.name, expected.name);
                refused += usize::from(!is_its_place);
            }
        }
    }
    assert_eq!(refused, (15 * 14 - 14) * 3);
}

#[test]
fn bcp_4_a_kind_that_hides_its_typ_passes_only_where_none_is_asked_for() {
    for presented in &kinds() {
        for expected in &kinds() {
            let Some(place) = &expected.place else { continue };
            let hidden = Kind { typ: None, place: presented.place.clone(), ..*presented };
            let (token, keys) = made(&hidden, str::to_owned);
            let same_parties = (presented.issuer, presented.audience) == (expected.issuer, expected.audience);
            // An issuer that sets no `typ` on access tokens can only keep its other kinds apart by `aud`.
            let asks_for_none = expected.name.starts_with("foreign access token");
            let outcome = code(present(&token, &keys, place));
            assert_eq!(
                outcome == "OK",
                same_parties && asks_for_none,
                "{} as {}: {outcome}",
                presented.name,
                expected.name
            );
        }
    }
}

/// A client's own token is an access token, whoever asks: what tells it from a person's is its subject, and no
/// account can take a client's id.
#[test]
fn at_2_a_token_by_client_credentials_is_an_access_token_and_nothing_else() {
    let signer = Signer::of(Algorithm::EdDsa);
    let machine = with(own_claims(), json!({"sub": "web", "sid": null, "device_id": null}));
    let token = signer.token(&machine);
    for expected in kinds() {
        let Some(place) = expected.place else { continue };
        let outcome = code(present(&token, &signer.keys(None), &place));
        assert_eq!(outcome == "OK", expected.name == "access token", "as {}: {outcome}", expected.name);
    }
}
