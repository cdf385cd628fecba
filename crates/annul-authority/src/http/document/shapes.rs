//! Bodies whose members go together, and bodies that another crate reads.

use annul_core::feed::report::{CanaryVerdict, ReplicaState, Report};
use annul_core::token::MAX_NAME;
use serde_json::{Map, Value, json};

use super::patterns::{RESOURCE, THUMBPRINT, name, position};
use super::{FORM_SCHEMA, add};
use crate::model::{AuthMethod, GrantType};
use crate::verbs::bounds::{MAX_AUDIENCES, RESERVED};
use crate::verbs::clients::OWN_SCOPES;
use crate::verbs::granted::{ACCESS_TOKEN_TYPE, JWT_TYPE};

/// Writes the shapes into the document.
pub(super) fn describe(document: &mut Value) {
    show(document);
    add(document, "/components/schemas/OneOrMany", one_or_many());
    add(document, "/components/schemas/CutoffText/oneOf/2", json!({"additionalProperties": false}));
    add(document, "/components/schemas/OpenSession", json!({"not": both("refresh_token", "exchange")}));
    add(document, "/components/schemas/LoginRequest", json!({"not": both("refresh_token", "exchange")}));
    let claims = json!({"propertyNames": {"not": {"enum": RESERVED}}});
    add(document, "/components/schemas/OpenSession/properties/claims", claims.clone());
    add(document, "/components/schemas/SubjectClaims/properties/claims", claims);
    add(document, "/components/schemas/OpenSession/properties/confirmation", confirmation());
    add(document, "/components/schemas/RevokeRequest", named());
    add(document, "/components/schemas/IssuerRequest", keys_or_their_place());
    add(document, "/components/schemas/ClientRequest", by_method());
    add(document, "/components/schemas/ClientMetadataRequest", by_method());
    add(document, "/components/schemas/TokenForm", by_grant());
    add(document, "/components/schemas/LogoutForm/properties/scope", logout_scope());
    hold_forms_to_texts(document);
    add(
        document,
        "/paths/~1v1~1feed~1replicas~1{name}~1{instance}/post/requestBody/content/application~1json/schema",
        report(),
    );
}

/// What the requests that newcomers make first look like.
fn show(document: &mut Value) {
    let login = json!({"subject": "alice", "device": {"id": "phone-1"}, "scope": "orders.read", "refresh_token": true});
    let revocation = json!({"targets": ["subject:alice"], "reason": "password leaked", "wait": "2s"});
    let machine = json!({"grant_type": "client_credentials", "scope": "orders.read"});
    let account = json!({"username": "alice", "password": "correct horse battery staple"});
    for (schema, example) in
        [("OpenSession", login), ("RevokeRequest", revocation), ("TokenForm", machine), ("AccountRequest", account)]
    {
        add(document, &format!("/components/schemas/{schema}"), json!({"examples": [example]}));
    }
}

/// A form has no null: a parameter is there, or it is not, and an empty one is not. What nobody knows is ignored,
/// and comes once like everything else (RFC 6749 §3.2).
fn hold_forms_to_texts(document: &mut Value) {
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    for (_, form) in schemas.into_iter().flatten().filter(|(name, _)| name.ends_with(FORM_SCHEMA)) {
        add(form, "", json!({"additionalProperties": {"type": "string"}}));
        let needed = form["required"].clone();
        let is_needed = |name: &str| needed.as_array().is_some_and(|names| names.contains(&name.into()));
        let members = form.pointer_mut("/properties").and_then(Value::as_object_mut);
        for (name, member) in members.into_iter().flatten() {
            add(member, "", json!({"type": "string"}));
            if is_needed(name) {
                add(member, "", json!({"minLength": 1}));
            } else {
                *member = or_empty(member.take());
            }
        }
    }
}

/// The schema of a parameter that may be empty as well, which is as if it were absent.
pub(super) fn or_empty(mut schema: Value) -> Value {
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.push("".into());
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let pattern = format!("^$|{pattern}");
        add(&mut schema, "", json!({"pattern": pattern}));
    }
    schema
}

/// How far a browser may log out.
pub(super) fn logout_scope() -> Value {
    json!({"enum": ["local", "global"]})
}

fn one_or_many() -> Value {
    let name = json!({"type": "string", "pattern": name()});
    json!({"oneOf": [name, {"type": "array", "items": name, "maxItems": MAX_AUDIENCES}]})
}

/// Both members are true.
fn both(one: &str, other: &str) -> Value {
    json!({"required": [one, other], "properties": {one: {"const": true}, other: {"const": true}}})
}

/// `cnf` of a key or of a certificate.
fn confirmation() -> Value {
    let by = |name: &str| {
        let thumbprint = json!({"type": "string", "pattern": THUMBPRINT});
        json!({"type": "object", "properties": {name: thumbprint}, "required": [name], "additionalProperties": false})
    };
    json!({"oneOf": [by("jkt"), by("x5t#S256"), {"type": "null"}]})
}

/// Targets or a token, and not both.
fn named() -> Value {
    let absent = json!({"type": "null"});
    json!({"oneOf": [
        {"required": ["targets"], "properties": {"targets": {"minItems": 1}, "token": absent}},
        {"required": ["token"], "properties": {"token": {"type": "string"}, "targets": {"maxItems": 0}}},
    ]})
}

/// The keys or where they are, and not both.
fn keys_or_their_place() -> Value {
    let absent = json!({"type": "null"});
    json!({"oneOf": [
        {"required": ["jwks"], "properties": {"jwks": key_set(), "jwks_uri": absent}},
        {"required": ["jwks_uri"], "properties": {"jwks_uri": {"type": "string"}, "jwks": absent}},
    ]})
}

fn key_set() -> Value {
    json!({"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": {"type": "object"}}}})
}

/// What each way to authenticate needs, and what does not go with it. A token is bound to one key.
fn by_method() -> Value {
    let grants = GrantType::ALL.into_iter().filter(|grant| *grant != GrantType::ClientCredentials);
    let grants: Vec<GrantType> = grants.collect();
    let mut public = method(AuthMethod::None, None);
    let of_a_public_one =
        json!({"grant_types": {"items": {"enum": grants}}, "scopes": {"items": {"not": {"enum": OWN_SCOPES}}}});
    add(&mut public, "/properties", of_a_public_one);
    json!({
        "not": both("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens"),
        "oneOf": [
            method(AuthMethod::ClientSecretBasic, None),
            method(AuthMethod::ClientSecretPost, None),
            method(AuthMethod::PrivateKeyJwt, Some("jwks")),
            method(AuthMethod::TlsClientAuth, Some("tls_client_auth_subject_dn")),
            method(AuthMethod::TlsClientAuth, Some("tls_client_auth_san_dns")),
            public,
        ],
    })
}

/// A way to authenticate, and the member that goes with no other.
fn method(method: AuthMethod, needed: Option<&'static str>) -> Value {
    let mut properties = Map::new();
    for member in ["jwks", "tls_client_auth_subject_dn", "tls_client_auth_san_dns"] {
        let schema = match needed {
            Some("jwks") if member == "jwks" => key_set(),
            Some(needed) if member == needed => json!({"type": "string"}),
            _ => json!({"type": "null"}),
        };
        properties.insert(member.to_owned(), schema);
    }
    if method != AuthMethod::PrivateKeyJwt {
        properties.insert("legacy_audience".to_owned(), json!({"const": false}));
    }
    properties.insert("token_endpoint_auth_method".to_owned(), json!({"const": method}));
    // The default may be left out.
    let name = (method != AuthMethod::default()).then_some("token_endpoint_auth_method");
    let required: Vec<&str> = name.into_iter().chain(needed).collect();
    json!({"properties": properties, "required": required})
}

/// What each grant needs to be given. What belongs to another grant is not read.
fn by_grant() -> Value {
    let of = |grant: GrantType, needed: &[&str]| {
        let mut required = vec!["grant_type"];
        required.extend(needed);
        let mut properties = Map::from_iter([("grant_type".to_owned(), json!({"const": grant}))]);
        properties.extend(needed.iter().map(|name| ((*name).to_owned(), json!({"minLength": 1}))));
        json!({"required": required, "properties": properties})
    };
    let addressed = |mut grant: Value| {
        let audience = or_empty(json!({"pattern": name()}));
        let resource = or_empty(json!({"pattern": RESOURCE, "maxLength": MAX_NAME}));
        add(&mut grant, "/properties", json!({"audience": audience, "resource": resource}));
        grant
    };
    json!({"oneOf": [
        addressed(of(GrantType::ClientCredentials, &[])),
        of(GrantType::RefreshToken, &["refresh_token"]),
        addressed(acted(of(GrantType::TokenExchange, &["subject_token", "subject_token_type"]))),
        addressed(of(GrantType::JwtBearer, &["assertion"])),
    ]})
}

/// An exchange: what kinds of token there are, and that whoever acts is named with the kind or not at all.
fn acted(mut exchange: Value) -> Value {
    let kind = json!({"enum": [ACCESS_TOKEN_TYPE, JWT_TYPE]});
    let kinds = json!({"subject_token_type": kind, "requested_token_type": or_empty(kind.clone())});
    add(&mut exchange, "/properties", kinds);
    let absent = json!({"const": ""});
    let actor = json!({"anyOf": [
        {"properties": {"actor_token": absent, "actor_token_type": absent}},
        {
            "required": ["actor_token", "actor_token_type"],
            "properties": {"actor_token": {"minLength": 1}, "actor_token_type": kind},
        },
    ]});
    add(&mut exchange, "", actor);
    exchange
}

/// A report, as [`Report`] reads it. One that stands behind a relay has none behind itself.
fn report() -> Value {
    let mut report = report_of_one();
    let text = json!({"type": "string", "maxLength": Report::MAX_NAME});
    let child = json!({
        "type": "object",
        "required": ["name", "instance", "heard_ms_ago", "report"],
        "properties": {"name": text, "instance": text, "heard_ms_ago": count(u64::MAX), "report": report_of_one()},
    });
    let behind = json!({"behind": {"type": "array", "items": child, "maxItems": Report::MAX_BEHIND}});
    add(&mut report, "/properties", behind);
    report
}

fn report_of_one() -> Value {
    let text = json!({"type": "string", "maxLength": Report::MAX_NAME});
    let states = [ReplicaState::Cold, ReplicaState::Live, ReplicaState::Stale, ReplicaState::Halted];
    let verdicts =
        [CanaryVerdict::Active, CanaryVerdict::Revoked, CanaryVerdict::Indeterminate, CanaryVerdict::Refused];
    let canary = json!({
        "type": "object",
        "required": ["id", "verdict"],
        "properties": {"id": text, "verdict": {"enum": verdicts}},
    });
    let routes = count(u32::MAX.into());
    json!({
        "type": "object",
        "required": ["state", "longest_age", "interval", "nonce"],
        "properties": {
            "position": {"type": ["string", "null"], "pattern": position()},
            "chain": {"type": ["string", "null"], "pattern": THUMBPRINT},
            "state": {"enum": states},
            "leeway": count(u64::MAX),
            "longest_age": count(u64::MAX),
            "audiences": {"type": "array", "items": text, "maxItems": Report::MAX_AUDIENCES},
            "routes": {"type": "object", "properties":
                {"verify": routes, "open": routes, "ask": routes, "check": routes}},
            "interval": count(u64::MAX),
            "version": text,
            "nonce": text,
            "canaries": {"type": "array", "items": canary, "maxItems": Report::MAX_CANARIES},
            "behind": {"type": "array", "maxItems": 0},
            "unlisted": count(u32::MAX.into()),
        },
    })
}

fn count(most: u64) -> Value {
    json!({"type": "integer", "minimum": 0, "maximum": most})
}
