//! What is said of a client when it is made: read strictly, and refused where its parts do not go
//! together.

use annul_core::token::KeySet;
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::distinguished_name::DistinguishedName;
use crate::error::VerbError;
use crate::model::{AuthMethod, ClientMetadata, GrantType};
use crate::secrets::signing::SigningAlgorithm;
use crate::verbs::bounds;
use crate::verbs::clients::OWN_SCOPES;

/// Bytes of a client's key set: a dozen of the largest keys.
const MAX_CLIENT_JWKS: usize = 16 * 1024;
/// Bytes of a certificate's subject as text.
pub const MAX_SUBJECT_DN: usize = 1024;
/// Bytes of a DNS name (RFC 1035 §2.3.4).
pub const MAX_DNS_NAME: usize = 253;
/// Addresses that browsers may be sent to after a logout.
pub const MAX_REDIRECTS: usize = 16;
/// Bytes of one of them; browsers cut longer ones.
pub const MAX_REDIRECT: usize = 2000;

/// A client to be made: its id and scopes, and in the same object what is said of it beside them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRequest {
    /// Its id.
    pub client_id: String,
    /// What it may do: scopes of our own endpoints, and any others for the tokens it gets.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The rest. serde does not promise to refuse what neither part knows; a test below holds it to that.
    #[serde(flatten)]
    pub metadata: ClientMetadataRequest,
}

/// One object, as it is read: the parts of an `allOf` would refuse each other's members.
impl PartialSchema for ClientRequest {
    fn schema() -> RefOr<Schema> {
        let mut schema = ClientMetadataRequest::schema();
        let client_id = ObjectBuilder::new().schema_type(Type::String).description(Some("Its id."));
        let scopes = ArrayBuilder::new().items(String::schema()).description(Some(
            "What it may do: `annul.issue`, `annul.revoke`, `annul.read`, `annul.follow`, `annul.admin`,\n\
             and scopes of your own for the tokens it gets at `/oauth2/token`.",
        ));
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some(
                "A client to be made. The members beside `client_id` and `scopes` are those of RFC 7591 and its\n\
                 extensions, and two of our own."
                    .to_owned(),
            );
            object.required.push("client_id".to_owned());
            object.properties.insert("client_id".to_owned(), client_id.into());
            object.properties.insert("scopes".to_owned(), scopes.into());
        }
        schema
    }
}

impl ToSchema for ClientRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ClientMetadataRequest::schemas(schemas);
    }
}

/// What a client is changed to: the members of [`ClientRequest`] beside its id and scopes. What is left
/// out has its default again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClientMetadataRequest {
    /// How it proves itself; `client_secret_basic` unless set.
    pub token_endpoint_auth_method: AuthMethod,
    /// The grants it may use; all but `urn:ietf:params:oauth:grant-type:jwt-bearer` unless set.
    pub grant_types: Option<Vec<GrantType>>,
    /// Its public keys as a JWK set, with `private_key_jwt`.
    #[schema(value_type = Option<Object>)]
    pub jwks: Option<Value>,
    /// The subject of its certificate (RFC 4514), with `tls_client_auth`.
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name in its certificate, with `tls_client_auth`.
    pub tls_client_auth_san_dns: Option<String>,
    /// Whether it gets no token without a DPoP proof.
    pub dpop_bound_access_tokens: bool,
    /// Whether it gets no token without a certificate, which its tokens are then bound to.
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Where a browser may be sent after a logout that it asked for.
    pub post_logout_redirect_uris: Vec<String>,
    /// The algorithm its introspection answers are signed with.
    pub introspection_signed_response_alg: Option<String>,
    /// Whether its assertions may name the token endpoint as their audience.
    pub legacy_audience: bool,
    /// Whether revoking one of its access tokens ends the token's session.
    pub revoke_session_with_access_token: bool,
}

impl ClientMetadataRequest {
    /// What is to be kept of a client with these scopes.
    pub(crate) fn checked(&self, scopes: &[String]) -> Result<ClientMetadata, VerbError> {
        let method = self.token_endpoint_auth_method;
        let jwks = match (&self.jwks, method) {
            (Some(jwks), AuthMethod::PrivateKeyJwt) => Some(checked_keys(jwks)?),
            (None, AuthMethod::PrivateKeyJwt) => return Err(invalid("jwks", "is needed with private_key_jwt")),
            (Some(_), _) => return Err(invalid("jwks", "goes with private_key_jwt only")),
            (None, _) => None,
        };
        self.check_certificate()?;
        if self.dpop_bound_access_tokens && self.tls_client_certificate_bound_access_tokens {
            let why = "does not go with dpop_bound_access_tokens: a token is bound to one key";
            return Err(invalid("tls_client_certificate_bound_access_tokens", why));
        }
        if self.legacy_audience && method != AuthMethod::PrivateKeyJwt {
            return Err(invalid("legacy_audience", "goes with private_key_jwt only"));
        }
        self.check_redirects()?;
        let signed = self.introspection_signed_response_alg.as_deref();
        if signed.is_some_and(|name| SigningAlgorithm::from_name(name).is_none()) {
            return Err(invalid("introspection_signed_response_alg", "is ES256, EdDSA, RS256 or PS256"));
        }
        Ok(ClientMetadata {
            token_endpoint_auth_method: method,
            grant_types: self.grants(scopes)?,
            jwks,
            tls_client_auth_subject_dn: self.tls_client_auth_subject_dn.clone(),
            tls_client_auth_san_dns: self.tls_client_auth_san_dns.clone(),
            dpop_bound_access_tokens: self.dpop_bound_access_tokens,
            tls_client_certificate_bound_access_tokens: self.tls_client_certificate_bound_access_tokens,
            post_logout_redirect_uris: self.post_logout_redirect_uris.clone(),
            introspection_signed_response_alg: self.introspection_signed_response_alg.clone(),
            legacy_audience: self.legacy_audience,
            revoke_session_with_access_token: self.revoke_session_with_access_token,
        })
    }

    /// Anybody can claim to be a public client, so none gets a token for itself, or a scope of ours.
    fn grants(&self, scopes: &[String]) -> Result<Vec<GrantType>, VerbError> {
        let is_public = self.token_endpoint_auth_method == AuthMethod::None;
        if is_public && scopes.iter().any(|scope| OWN_SCOPES.contains(&scope.as_str())) {
            return Err(invalid("scopes", "of a client that proves nothing name none of this authority's own"));
        }
        match &self.grant_types {
            None => {
                let mut grants = ClientMetadata::default().grant_types;
                grants.retain(|grant| !is_public || *grant != GrantType::ClientCredentials);
                Ok(grants)
            }
            Some(given) if is_public && given.contains(&GrantType::ClientCredentials) => {
                Err(invalid("grant_types", "of a client that proves nothing leave client_credentials out"))
            }
            Some(given) => {
                let mut grants = given.clone();
                grants.sort_unstable();
                grants.dedup();
                Ok(grants)
            }
        }
    }

    fn check_certificate(&self) -> Result<(), VerbError> {
        let (dn, dns) = (self.tls_client_auth_subject_dn.as_deref(), self.tls_client_auth_san_dns.as_deref());
        let by_certificate = self.token_endpoint_auth_method == AuthMethod::TlsClientAuth;
        if by_certificate != (dn.is_some() || dns.is_some()) || (dn.is_some() && dns.is_some()) {
            let why = "or tls_client_auth_san_dns, one of them, goes with tls_client_auth and with nothing else";
            return Err(invalid("tls_client_auth_subject_dn", why));
        }
        bounds::text("tls_client_auth_subject_dn", dn, MAX_SUBJECT_DN)?;
        if dn.is_some_and(|dn| DistinguishedName::parse(dn).is_none()) {
            let why = "is a distinguished name as in RFC 4514, such as CN=shop,O=Example,C=DE";
            return Err(invalid("tls_client_auth_subject_dn", why));
        }
        let is_label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if dns.is_some_and(|dns| dns.len() > MAX_DNS_NAME || !dns.split('.').all(is_label)) {
            return Err(invalid("tls_client_auth_san_dns", "is a DNS name without wildcard"));
        }
        Ok(())
    }

    fn check_redirects(&self) -> Result<(), VerbError> {
        let refuse = |why: &str| Err(invalid("post_logout_redirect_uris", why));
        if self.post_logout_redirect_uris.len() > MAX_REDIRECTS {
            return refuse("are at most 16");
        }
        match self.post_logout_redirect_uris.iter().all(|uri| uri.len() <= MAX_REDIRECT && is_redirect(uri)) {
            true => Ok(()),
            false => refuse(
                "are https addresses, http ones on loopback, or of an app's own scheme such as com.example.app:/, \
                 without fragment and at most 2000 bytes long",
            ),
        }
    }
}

/// Where a browser may be sent: no place that runs what it is given, and no plain HTTP to elsewhere.
fn is_redirect(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let is_text = uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') && !rest.is_empty();
    is_text
        && match scheme {
            "https" => goes_to(rest, |_| true),
            "http" => goes_to(rest, |host| ["127.0.0.1", LOOPBACK, "localhost"].contains(&host)),
            // RFC 8252 §7.1: a private scheme is a domain name written backwards.
            _ => {
                scheme.contains('.')
                    && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
                    && !rest.contains(['[', ']'])
            }
        }
}

/// The loopback address of IPv6, as addresses have it: the only literal of its kind that is taken.
const LOOPBACK: &str = "[::1]";

/// Whether the rest of an address is a host that is wanted, by name or IPv4 address, with or without a port, and
/// then a path or a query. Brackets stand nowhere else (RFC 3986 §3.2.2), and nobody's name before the host.
fn goes_to(rest: &str, wanted: impl Fn(&str) -> bool) -> bool {
    let Some(rest) = rest.strip_prefix("//") else { return false };
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = match authority.strip_prefix(LOOPBACK) {
        Some(port) => (LOOPBACK, port),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let is_port = |digits: &str| (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    (host == LOOPBACK || is_name(host))
        && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        && !path.contains(['[', ']'])
        && wanted(host)
}

/// The set with each key's public members only. Keys that could not be used are refused, not skipped:
/// whoever registers one means to use it.
fn checked_keys(jwks: &Value) -> Result<Value, VerbError> {
    let text = jwks.to_string();
    if text.len() > MAX_CLIENT_JWKS {
        return Err(invalid("jwks", "has at most 16384 bytes"));
    }
    let refused = |error| VerbError::Invalid { member: "jwks", why: format!("cannot be used: {error}") };
    let values = KeySet::values(text.as_bytes()).map_err(refused)?;
    let (keys, skipped) = KeySet::from_values(&values);
    if let Some(skipped) = skipped.first() {
        return Err(refused(skipped.reason));
    }
    if keys.is_empty() {
        return Err(invalid("jwks", "has no key"));
    }
    let keys: Vec<Value> = keys.iter().filter_map(annul_core::Key::public_jwk).collect();
    Ok(serde_json::json!({ "keys": keys }))
}

fn invalid(member: &'static str, why: &str) -> VerbError {
    VerbError::Invalid { member, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(changes: Value) -> Result<ClientMetadata, VerbError> {
        let mut request = json!({"client_id": "shop", "scopes": []});
        request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let request = serde_json::from_value::<ClientRequest>(request).unwrap();
        request.metadata.checked(&request.scopes)
    }

    fn refused(changes: Value) -> &'static str {
        match kept(changes.clone()) {
            Err(VerbError::Invalid { member, .. }) => member,
            other => panic!("{changes}: {other:?}"),
        }
    }

    fn jwk() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "a", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    #[test]
    fn a_member_that_nobody_knows_or_that_is_repeated_is_refused_by_name() {
        let refused = |body: &str| serde_json::from_str::<ClientRequest>(body).unwrap_err().to_string();
        for (body, why) in [
            (r#"{"client_id": "a", "jwk": {}}"#, "unknown field `jwk`"),
            (r#"{"client_id": "a", "metadata": {}}"#, "unknown field `metadata`"),
            (r#"{"client_id": "a", "client_id": "b"}"#, "duplicate field `client_id`"),
            (r#"{"client_id": "a", "jwks": {}, "jwks": {}}"#, "duplicate field `jwks`"),
            (r#"{"scopes": []}"#, "missing field `client_id`"),
        ] {
            assert!(refused(body).starts_with(why), "{body}: {}", refused(body));
        }
    }

    #[test]
    fn nothing_said_is_the_default_and_a_public_client_gets_no_token_for_itself() {
        assert_eq!(kept(json!({})).unwrap(), ClientMetadata::default());
        let public = kept(json!({"token_endpoint_auth_method": "none"})).unwrap();
        assert_eq!(public.grant_types, [GrantType::TokenExchange, GrantType::RefreshToken]);
        let none = |more: Value| {
            let mut changes = json!({"token_endpoint_auth_method": "none"});
            changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            refused(changes)
        };
        assert_eq!(none(json!({"grant_types": ["client_credentials"]})), "grant_types");
        assert_eq!(none(json!({"scopes": ["annul.read"]})), "scopes");
    }

    #[test]
    fn ca_4_keys_are_public_usable_and_kept_without_what_else_was_written() {
        let by = |jwks: Value| json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks});
        let mut noisy = jwk();
        noisy["note"] = json!("mine");
        let jwks = kept(by(json!({"keys": [noisy]}))).unwrap().jwks.unwrap();
        assert_eq!(jwks["keys"][0]["kid"], "a");
        assert!(jwks["keys"][0].get("note").is_none());
        let mut private = jwk();
        private["d"] = json!("AAAA");
        let secret = json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i"});
        for keys in [json!([private]), json!([secret]), json!([jwk(), {"kty": "EC"}]), json!([]), json!("keys")] {
            assert_eq!(refused(by(json!({ "keys": keys }))), "jwks");
        }
        assert_eq!(refused(json!({"token_endpoint_auth_method": "private_key_jwt"})), "jwks");
        assert_eq!(refused(json!({"jwks": {"keys": [jwk()]}})), "jwks");
        assert_eq!(refused(json!({"legacy_audience": true})), "legacy_audience");
    }

    #[test]
    fn mt_2_a_certificate_is_named_by_its_subject_or_a_name_and_not_by_both() {
        let by = |more: Value| {
            let mut changes = json!({"token_endpoint_auth_method": "tls_client_auth"});
            changes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            changes
        };
        assert!(kept(by(json!({"tls_client_auth_subject_dn": "CN=shop,O=Example"}))).is_ok());
        assert!(kept(by(json!({"tls_client_auth_san_dns": "shop.example"}))).is_ok());
        for changes in [
            by(json!({})),
            by(json!({"tls_client_auth_subject_dn": "CN=shop", "tls_client_auth_san_dns": "shop.example"})),
            by(json!({"tls_client_auth_subject_dn": "shop"})),
            json!({"tls_client_auth_subject_dn": "CN=shop"}),
        ] {
            assert_eq!(refused(changes), "tls_client_auth_subject_dn");
        }
        for name in ["*.example", "", "shop..example", "shop_1.example"] {
            assert_eq!(refused(by(json!({ "tls_client_auth_san_dns": name }))), "tls_client_auth_san_dns", "{name}");
        }
        let both = json!({"dpop_bound_access_tokens": true, "tls_client_certificate_bound_access_tokens": true});
        assert_eq!(refused(both), "tls_client_certificate_bound_access_tokens");
    }

    #[test]
    fn a_browser_is_sent_to_no_place_that_runs_what_it_is_given() {
        for uri in
            ["https://shop.example/bye?x=1", "http://127.0.0.1:8080/", "http://localhost/", "com.example.app:/bye"]
        {
            assert!(kept(json!({"post_logout_redirect_uris": [uri]})).is_ok(), "{uri}");
        }
        for uri in [
            "http://shop.example/",
            "http://localhost.evil.example/",
            "https:shop.example",
            "https:///x",
            "https://[x/",
            "https://shop.example@evil.example/",
            "https://shop.example:x/",
            "https://shop.example/[",
            "com.example.app://[",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://shop.example/#x",
            "https://shop.example/ x",
            "",
            "/bye",
        ] {
            assert_eq!(refused(json!({"post_logout_redirect_uris": [uri]})), "post_logout_redirect_uris", "{uri}");
        }
        assert_eq!(refused(json!({"introspection_signed_response_alg": "none"})), "introspection_signed_response_alg");
    }
}
