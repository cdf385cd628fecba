//! A client without a secret: assertions that it signs prove who it is (RFC 7523).

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use crate::api::{Answer, Client};
use crate::authority::{Authority, ISSUER};
use crate::foreign::{fresh, now, signing_key};

/// What an assertion is called that stands for a client's secret (RFC 7523 §2.2).
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client with a key of its own, by which another library signs.
pub struct KeyedClient {
    url: String,
    id: String,
    key: EncodingKey,
    header: Header,
}

impl KeyedClient {
    /// A new client with a new key, with `members` added to its registration.
    pub async fn register(authority: &Authority, id: &str, members: Value) -> Self {
        let (key, header, public) = signing_key("own-1");
        let mut registration = json!({
            "client_id": id, "scopes": [], "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [public]},
        });
        for (name, value) in members.as_object().expect("members are an object") {
            registration[name] = value.clone();
        }
        let client = authority.register(registration).await;
        Self { url: client.url().to_owned(), id: client.id().to_owned(), key, header }
    }

    /// An assertion about `subject`, good for a minute and as yet unused, with `claims` replaced or added.
    pub fn assertion(&self, subject: &str, claims: Value) -> String {
        let id = &self.id;
        let mut all = json!({
            "iss": id, "sub": subject, "aud": ISSUER, "iat": now(), "exp": now() + 60,
            "jti": format!("{id}-{}", fresh()),
        });
        for (name, value) in claims.as_object().expect("claims are an object") {
            all[name] = value.clone();
        }
        jsonwebtoken::encode(&self.header, &all, &self.key).expect("the other library signs")
    }

    /// An unused assertion that it is who it says, with `claims` replaced or added.
    pub fn proof(&self, claims: Value) -> String {
        self.assertion(&self.id, claims)
    }

    /// `POST path` with a form and a new proof.
    pub async fn post_form(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_form_proven(path, form, &self.proof(json!({}))).await
    }

    /// `POST path` with a form and this proof, on a connection of its own.
    pub async fn post_form_proven(&self, path: &str, form: &[(&str, &str)], proof: &str) -> Answer {
        let proof = [("client_assertion_type", CLIENT_ASSERTION), ("client_assertion", proof)];
        Client::public(&self.url, &self.id).post_form(path, &[form, &proof].concat()).await
    }
}
