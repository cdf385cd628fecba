//! Defects of the header.

use serde_json::json;

use super::defect::{Defect, claims, defect, headed, header, jwk};
use crate::signing::Signer;

pub(super) fn defects() -> Vec<Defect> {
    [algorithm(), extensions(), kinds_and_keys(), json_of_the_header()].concat()
}

fn algorithm() -> Vec<Defect> {
    vec![
        defect("JWS-4 none", "`alg` is `none` in any spelling, with and without a signature", |signer| {
            let names = ["none", "None", "NONE", "nOnE"];
            let tokens = names.into_iter().flat_map(|name| {
                let signed = signer.sign(json!({"alg": name, "typ": "at+jwt"}).to_string(), claims().to_string());
                [format!("{}.", signed.rsplit_once('.').unwrap().0), signed]
            });
            tokens.collect()
        }),
        headed(
            "JWS-4 alg",
            "`alg` in another case, unknown, empty, missing or no text",
            &[
                json!({"alg": "hs256"}),
                json!({"alg": "rs256"}),
                json!({"alg": "ES256K"}),
                json!({"alg": "HS257"}),
                json!({"alg": ""}),
                json!({"alg": null}),
                json!({"alg": 256}),
                json!({"alg": ["HS256"]}),
            ],
        ),
        defect("JWS-4 another alg", "signed as the key wants, and `alg` names another algorithm", |signer| {
            let others = ["HS256", "HS384", "HS512", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"];
            let others = others.into_iter().filter(|name| *name != signer.algorithm().name());
            others.map(|name| signer.sign(json!({"alg": name}).to_string(), claims().to_string())).collect()
        }),
        headed("BCP-2 encrypted", "`enc` in the header", &[json!({"enc": "A256GCM"})]),
        headed("BCP-7 compressed", "`zip` in the header of a payload that is not compressed", &[json!({"zip": "DEF"})]),
    ]
}

fn extensions() -> Vec<Defect> {
    vec![
        headed(
            "JWS-3 crit of nothing",
            "`crit` is empty, or no list of texts",
            &[json!({"crit": []}), json!({"crit": "exp"}), json!({"crit": [1]}), json!({"crit": {}})],
        ),
        headed(
            "JWS-3 crit of the unknown",
            "`crit` names an extension that is there, is absent, or is registered",
            &[
                json!({"crit": ["x"], "x": 1}),
                json!({"crit": ["x"]}),
                json!({"crit": ["alg"]}),
                json!({"crit": ["exp"], "exp": 1}),
            ],
        ),
        headed(
            "JWS-3 b64",
            "`b64`, true, with `crit` and without",
            &[json!({"b64": true, "crit": ["b64"]}), json!({"b64": true})],
        ),
        headed(
            "JWS-3 b64 false",
            "`b64` is false and the payload encoded all the same",
            &[json!({"b64": false, "crit": ["b64"]}), json!({"b64": false})],
        ),
    ]
}

fn kinds_and_keys() -> Vec<Defect> {
    vec![
        headed(
            "BCP-4 another kind",
            "`typ` of a logout token, a security event, a DPoP proof or anything else",
            &[
                json!({"typ": "logout+jwt"}),
                json!({"typ": "secevent+jwt"}),
                json!({"typ": "dpop+jwt"}),
                json!({"typ": "token-introspection+jwt"}),
                json!({"typ": ""}),
                json!({"typ": "JWT "}),
            ],
        ),
        headed(
            "BCP-5 spelling of typ",
            "`typ` as a full media type, in any case, or absent (sound)",
            &[
                json!({"typ": "application/at+jwt"}),
                json!({"typ": "AT+JWT"}),
                json!({"typ": "JWT"}),
                json!({"typ": null}),
            ],
        ),
        headed(
            "JWS-2 types",
            "`typ` or `kid` is no text",
            &[json!({"typ": 1}), json!({"kid": 7}), json!({"kid": ["k"]})],
        ),
        headed(
            "JWS-5 kid",
            "`kid` names a key that the issuer has not",
            &[
                json!({"kid": "other"}),
                json!({"kid": ""}),
                json!({"kid": "../../../dev/null"}),
                json!({"kid": "' OR 1=1 --"}),
            ],
        ),
        defect("JWS-5 own key", "the token brings the key that signed it", |signer| {
            let thief = Signer::of(annul_core::token::Algorithm::Es384);
            let header = json!({"alg": "ES384", "jwk": jwk(&thief)});
            let forged = thief.sign(header.to_string(), claims().to_string());
            let names_address = json!({"alg": signer.algorithm().name(), "jku": "https://evil.example/jwks"});
            let stolen = thief.sign(names_address.to_string(), claims().to_string());
            vec![forged, stolen]
        }),
        headed(
            "JWS-5 own key, rightly signed",
            "`jwk`, `jku` or `x5u` beside a signature by the right key (sound)",
            &[
                json!({"jku": "https://evil.example/jwks"}),
                json!({"x5u": "https://evil.example/cert"}),
                json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}),
            ],
        ),
        headed(
            "JWS-5 own key, ill-formed",
            "`jwk` or `x5c` of no form beside a signature by the right key",
            &[json!({"jwk": "nothing"}), json!({"jwk": {"kty": "none"}}), json!({"x5c": 7})],
        ),
    ]
}

fn json_of_the_header() -> Vec<Defect> {
    let raw = |id, what, texts: &'static [&'static str]| {
        defect(id, what, move |signer| {
            let name = signer.algorithm().name();
            texts.iter().map(|text| signer.sign(text.replace("ALG", name), claims().to_string())).collect()
        })
    };
    vec![
        raw(
            "JWS-2 header names twice",
            "a member of the header is named twice",
            &[
                r#"{"alg":"none","alg":"ALG"}"#,
                r#"{"alg":"ALG","alg":"none"}"#,
                r#"{"alg":"ALG","kid":"a","kid":"b"}"#,
                r#"{"alg":"ALG","x":1,"x":1}"#,
                r#"{"alg":"ALG","\u0061lg":"ALG"}"#,
            ],
        ),
        raw(
            "JWS-2 header is no object",
            "the header is an array, a text, a number, or no JSON",
            &[
                r#"["ALG"]"#,
                r#""ALG""#,
                "7",
                "null",
                "",
                "{",
                r#"{"alg":"ALG",}"#,
                r#"{"alg":"ALG"} x"#,
                "{\"alg\":\"ALG\"}\0",
            ],
        ),
        raw("JWS-2 header, mark", "a byte order mark before the header", &["\u{feff}{\"alg\":\"ALG\"}"]),
        defect("JWS-2 header, UTF-8", "the header is not UTF-8", |signer| {
            let mut text = header(signer).to_string().into_bytes();
            text.truncate(text.len() - 1);
            text.extend_from_slice(b",\"x\":\"\xff\"}");
            vec![signer.sign(text, claims().to_string())]
        }),
    ]
}
