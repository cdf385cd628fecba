//! Everything that the metadata advertises is called (MD-3).

use annul_authority::secrets::signing::{SigningAlgorithm, SigningKey};
use annul_core::{Algorithm, Key};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature as sign;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::oauth_world::{ACCESS, ASSERTION, EXCHANGE, IDP, Idp, now, said};
use crate::running::{Running, both, expect, in_memory, text};

const ISSUER: &str = "http://127.0.0.1:7400";

async fn document(authority: &Running) -> Value {
    let request = authority.bare(Method::GET, "/.well-known/oauth-authorization-server");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    response.json().await.unwrap()
}

fn list(document: &Value, member: &str) -> Vec<String> {
    let list = document[member].as_array().unwrap_or_else(|| panic!("{member} is no list in {document}"));
    list.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// A key that signs with any algorithm there is.
enum AnyKey {
    Ec(sign::EcdsaKeyPair),
    Rsa(Box<sign::RsaKeyPair>, &'static dyn sign::RsaEncoding, Value),
    Ed(Box<SigningKey>),
}

impl AnyKey {
    fn of(algorithm: &str) -> Self {
        let ec = |of| Self::Ec(sign::EcdsaKeyPair::generate(of).unwrap());
        let rsa = |encoding: &'static dyn sign::RsaEncoding| {
            // Written out and read again, for its public half as a JWK.
            let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
            let pair = sign::RsaKeyPair::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            let jwk = key.public_jwk();
            Self::Rsa(Box::new(pair), encoding, json!({ "kty": "RSA", "n": jwk["n"], "e": jwk["e"] }))
        };
        match algorithm {
            "ES256" => ec(&sign::ECDSA_P256_SHA256_FIXED_SIGNING),
            "ES384" => ec(&sign::ECDSA_P384_SHA384_FIXED_SIGNING),
            "ES512" => ec(&sign::ECDSA_P521_SHA512_FIXED_SIGNING),
            "RS256" => rsa(&sign::RSA_PKCS1_SHA256),
            "RS384" => rsa(&sign::RSA_PKCS1_SHA384),
            "RS512" => rsa(&sign::RSA_PKCS1_SHA512),
            "PS256" => rsa(&sign::RSA_PSS_SHA256),
            "PS384" => rsa(&sign::RSA_PSS_SHA384),
            "PS512" => rsa(&sign::RSA_PSS_SHA512),
            "EdDSA" => Self::Ed(Box::new(SigningKey::generate(SigningAlgorithm::EdDsa).unwrap())),
            other => panic!("{other} is advertised and no key of the test signs with it"),
        }
    }

    fn jwk(&self, algorithm: &str) -> Value {
        use sign::KeyPair as _;
        match self {
            Self::Ec(pair) => {
                let algorithm = Algorithm::from_name(algorithm).unwrap();
                let jwk = Key::ec(None, algorithm, pair.public_key().as_ref()).unwrap().public_jwk().unwrap();
                json!({ "kty": "EC", "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"] })
            }
            Self::Rsa(_, _, jwk) => jwk.clone(),
            Self::Ed(key) => json!({ "kty": "OKP", "crv": "Ed25519", "x": key.public_jwk()["x"] }),
        }
    }

    fn jwt(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ec(pair) => pair.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(pair, encoding, _) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Self::Ed(key) => key.sign(signed.as_bytes()).unwrap(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn md_3_every_endpoint_answers_and_no_list_is_empty() {
    for authority in both().await {
        let document = document(&authority).await;
        assert_eq!(document["issuer"], ISSUER);
        for (name, value) in document.as_object().unwrap() {
            assert!(value.as_array().is_none_or(|list| !list.is_empty()), "md_1: {name} is empty");
            if name.ends_with("_endpoint") {
                let form = authority.http.post(value.as_str().unwrap()).form(&[("token", "x")]);
                let status = form.send().await.unwrap().status().as_u16();
                assert_eq!(status, if name == "end_session_endpoint" { 400 } else { 401 }, "{name}");
            }
        }
        let keys: Value = authority.http.get(text(&document, "jwks_uri")).send().await.unwrap().json().await.unwrap();
        assert!(!keys["keys"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn md_3_every_grant_gives_a_token() {
    for authority in both().await {
        let document = document(&authority).await;
        let grants = list(&document, "grant_types_supported");
        let all = authority.register(json!({ "client_id": "all", "scopes": ["read"], "grant_types": grants })).await;
        let idp = Idp::new();
        idp.accepted_by(&authority, "shared").await;
        let opened = authority.session_of("all", "alice", json!({ "refresh_token": true })).await;
        let assertion = idp.sign(
            "JWT",
            &json!({
                "iss": IDP, "sub": "alice", "aud": ISSUER, "iat": now(), "exp": now() + 60, "jti": "a1",
            }),
        );
        let url = text(&document, "token_endpoint");
        for grant in &grants {
            let more: Vec<(&str, String)> = match grant.as_str() {
                "client_credentials" => Vec::new(),
                "refresh_token" => vec![("refresh_token", text(&opened, "refresh_token"))],
                EXCHANGE => {
                    vec![("subject_token", text(&opened, "access_token")), ("subject_token_type", ACCESS.to_owned())]
                }
                ASSERTION => vec![("assertion", assertion.clone())],
                other => panic!("{other} is advertised and not tried"),
            };
            let mut form = vec![("grant_type", grant.clone())];
            form.extend(more);
            let request = authority.http.post(&url).basic_auth(&all.id, Some(&all.secret)).form(&form);
            let answer = expect(request, 200).await;
            assert_eq!(authority.verdict(&text(&answer, "access_token")).await, "active", "{grant}");
        }
    }
}

#[tokio::test]
async fn md_3_every_client_authentication_is_taken_at_every_endpoint_that_names_it() {
    let authority = in_memory(|_| {}).await;
    let document = document(&authority).await;
    for endpoint in ["token", "revocation", "introspection"] {
        let url = text(&document, &format!("{endpoint}_endpoint"));
        let methods = list(&document, &format!("{endpoint}_endpoint_auth_methods_supported"));
        for method in methods.iter().filter(|method| *method != "private_key_jwt") {
            let id = format!("{endpoint}-{method}");
            let mut metadata = json!({ "client_id": id, "scopes": ["read"], "token_endpoint_auth_method": method });
            if endpoint == "introspection" {
                metadata["scopes"] = json!(["annul.read"]);
            }
            if method == "none" {
                metadata["scopes"] = json!([]);
            }
            let client = authority.register(metadata).await;
            let opened = authority.session_of(&id, "alice", json!({ "refresh_token": true })).await;
            let token = text(&opened, "refresh_token");
            let mut form = vec![("token", token.as_str()), ("grant_type", "refresh_token"), ("refresh_token", &token)];
            let mut request = authority.http.post(&url);
            match method.as_str() {
                "client_secret_basic" => request = request.basic_auth(&client.id, Some(&client.secret)),
                "client_secret_post" => form.extend([("client_id", id.as_str()), ("client_secret", &client.secret)]),
                "none" => form.push(("client_id", &id)),
                other => panic!("{other} is advertised and not tried"),
            }
            assert_eq!(request.form(&form).send().await.unwrap().status(), 200, "{endpoint} {method}");
        }
    }
}

#[tokio::test]
async fn md_3_every_algorithm_of_assertions_proofs_and_answers_works() {
    let authority = in_memory(|_| {}).await;
    let document = document(&authority).await;
    let url = text(&document, "token_endpoint");
    for algorithm in list(&document, "token_endpoint_auth_signing_alg_values_supported") {
        let key = AnyKey::of(&algorithm);
        let id = format!("by-{algorithm}");
        let mut jwk = key.jwk(&algorithm);
        jwk["alg"] = json!(algorithm);
        authority
            .register(json!({
                "client_id": id, "scopes": ["read"], "token_endpoint_auth_method": "private_key_jwt",
                "jwks": { "keys": [jwk] },
            }))
            .await;
        let claims = json!({ "iss": id, "sub": id, "aud": ISSUER, "exp": now() + 60, "jti": format!("j-{algorithm}") });
        let assertion = key.jwt(&json!({ "alg": algorithm, "typ": "client-authentication+jwt" }), &claims);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        expect(authority.http.post(&url).form(&form), 200).await;
    }
    let shop = authority.client("shop", &["read"]).await;
    for algorithm in list(&document, "dpop_signing_alg_values_supported") {
        let key = AnyKey::of(&algorithm);
        let header = json!({ "typ": "dpop+jwt", "alg": algorithm, "jwk": key.jwk(&algorithm) });
        let proof = key.jwt(
            &header,
            &json!({
                "htm": "POST", "htu": url, "iat": now(), "jti": format!("proof-of-{algorithm}-with-enough-letters"),
            }),
        );
        let request = authority.form(&shop, "/oauth2/token", &[("grant_type", "client_credentials")]);
        let answer = expect(request.header("dpop", proof), 200).await;
        assert_eq!(answer["token_type"], "DPoP", "{algorithm}");
        assert!(said(&text(&answer, "access_token"))["cnf"]["jkt"].is_string());
    }
    for algorithm in list(&document, "introspection_signing_alg_values_supported") {
        let metadata = json!({
            "client_id": "rs", "scopes": ["annul.read"], "introspection_signed_response_alg": algorithm,
        });
        let reader = authority.register(metadata).await;
        let request = authority.form(&reader, "/oauth2/introspect", &[("token", "x")]);
        let response = request.header("accept", "application/token-introspection+jwt").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/token-introspection+jwt");
        let answer = response.text().await.unwrap();
        assert_eq!(crate::oauth_world::part(&answer, 0)["alg"], algorithm);
    }
}
