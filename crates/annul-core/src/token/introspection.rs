//! What introspection tells of an active access token (RFC 7662 §2.2), written once for each token.
//!
//! What a token says never changes, so the text is kept with its facts. Whether it may be told at this
//! moment is another question, which the view answers anew each time.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::VerifiedToken;
use super::members::Item;

/// Claims that an answer repeats as they are.
const TOLD: [&str; 14] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "scope",
    "cnf",
    "act",
    "may_act",
    "sid",
    "device_id",
    "auth_time",
];

impl VerifiedToken {
    /// The members of the answer to whoever introspects this token while it is active, as they stand between
    /// the braces of a JSON object: `token_type`, `client_id` by the claim that its issuer names so, and the
    /// registered claims. The first call writes them.
    ///
    /// `active` is not among them: that is for whoever has just judged the token.
    #[must_use]
    pub fn introspected_members(&self) -> &str {
        self.introspection().get_or_init(|| {
            let object = serde_json::to_string(&Told(self)).expect("claims hold only what JSON can write");
            let members = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            members.expect("an object stands in braces").into()
        })
    }
}

struct Told<'t>(&'t VerifiedToken);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (token, claims) = (self.0, self.0.claims());
        let mut answer = serializer.serialize_map(None)?;
        // RFC 9449 §6.2: how it has to be presented.
        answer.serialize_entry("token_type", if claims.binding().key.is_some() { "DPoP" } else { "Bearer" })?;
        if let Some(client) = token.client() {
            answer.serialize_entry("client_id", client)?;
        }
        for name in TOLD {
            if let Some(item) = claims.item(name) {
                answer.serialize_entry(name, &item)?;
            }
        }
        answer.end()
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Tree(value) => value.serialize(serializer),
        }
    }
}
