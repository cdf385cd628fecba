//! The bounds of members and parameters, each from the constant by which the code refuses what lies
//! outside. Bytes are counted there and characters here: what has more bytes than characters may still
//! be too long.

use annul_core::algebra::Reach;
use annul_core::feed::report::Report;
use annul_core::settings::MAX_TARGETS;
use serde_json::{Value, json};

use super::add;
use super::patterns::{self, HOST, JWT, REDIRECT, SCOPE, THUMBPRINT, name, position};
use super::shapes;
use crate::config::Config;
use crate::model::MAX_VERSION;
use crate::secrets::passwords::{MAX_PASSWORD, MIN_PASSWORD};
use crate::secrets::signing::SigningAlgorithm;
use crate::store::MAX_ENTRIES;
use crate::verbs::bounds::{MAX_CREDENTIAL, MAX_DEVICE_TEXT, MAX_REASON, MAX_SCOPE};
use crate::verbs::client_metadata::{MAX_DNS_NAME, MAX_REDIRECT, MAX_REDIRECTS, MAX_SUBJECT_DN};
use crate::verbs::clients::MAX_SCOPES;
use crate::verbs::schedules::SPREAD;
use crate::verbs::subjects::MAX_NAMED_FIELDS;
use crate::verbs::{issuers, settings};

/// Schemas and a member of each, with what is said of it.
type Members = Vec<(&'static [&'static str], &'static str, Value)>;

/// Writes the bounds into the document.
pub(super) fn describe(document: &mut Value, config: &Config) {
    bound_integers(document);
    let members = [texts(), credentials(), revocations(), clients(), issuers(), configured(config)];
    for (schemas, member, keywords) in members.into_iter().flatten() {
        for schema in schemas {
            add(document, &format!("/components/schemas/{schema}/properties/{member}"), keywords.clone());
        }
    }
    for (path, method, name, keywords) in parameters() {
        let place = format!("/paths/{}/{method}/parameters", path.replace('/', "~1"));
        let list = document.pointer_mut(&place).and_then(Value::as_array_mut);
        let parameter = list.and_then(|list| list.iter_mut().find(|parameter| parameter["name"] == name));
        add(parameter.expect("whoever bounds a parameter names one that the document has"), "/schema", keywords);
    }
}

/// Whole numbers are counted in 64 bits unless something else is said of them.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(bound_integers),
        Value::Object(members) => {
            let kind = members.get("type");
            let is_integer = kind == Some(&json!("integer")) || kind == Some(&json!(["integer", "null"]));
            if is_integer && !members.contains_key("maximum") {
                let is_short = members.get("format") == Some(&json!("int32"));
                members.insert("maximum".to_owned(), if is_short { u32::MAX.into() } else { u64::MAX.into() });
            }
            members.values_mut().for_each(bound_integers);
        }
        _ => {}
    }
}

fn texts() -> Members {
    vec![
        (
            &[
                "CredentialChanged",
                "KillRequest",
                "LiftRequest",
                "LookupIdRequest",
                "PasswordRequest",
                "RecordUpdate",
                "RevokeRequest",
                "RotateRequest",
                "SubjectBlock",
                "SubjectClaims",
                "SubjectKeyRequest",
                "SubjectVersion",
            ],
            "reason",
            json!({"maxLength": MAX_REASON}),
        ),
        (&["LoginRequest", "OpenSession"], "scope", json!({"pattern": SCOPE, "maxLength": MAX_SCOPE})),
        (&["DeviceBody"], "id", json!({"pattern": name()})),
        (&["DeviceBody"], "name", json!({"maxLength": MAX_DEVICE_TEXT})),
        (&["DeviceBody"], "os", json!({"maxLength": MAX_DEVICE_TEXT})),
        (&["DeviceBody"], "agent", json!({"maxLength": MAX_DEVICE_TEXT})),
        (&["DeviceBody"], "address", json!({"maxLength": MAX_DEVICE_TEXT})),
    ]
}

/// A password that is set has bounds; one that is proven is right or wrong.
fn credentials() -> Members {
    vec![
        (
            &["AccountRequest", "OwnPasswordRequest", "PasswordRequest"],
            "password",
            json!({"minLength": MIN_PASSWORD, "maxLength": MAX_PASSWORD}),
        ),
        (&["CredentialChanged"], "credential", json!({"minLength": 1, "maxLength": MAX_CREDENTIAL})),
    ]
}

fn revocations() -> Members {
    vec![
        (
            &["RevokeRequest"],
            "targets",
            json!({"items": {"type": "string", "pattern": patterns::target()}, "maxItems": MAX_ENTRIES}),
        ),
        (&["RevokeRequest"], "token", json!({"pattern": JWT})),
        (&["RevokeRequest"], "reach", json!({"enum": [Reach::Access, Reach::Sessions, Reach::Both, null]})),
        (&["RevokeRequest"], "over", json!({"minimum": SPREAD.start(), "maximum": SPREAD.end()})),
        (
            &["LiftRequest"],
            "positions",
            json!({"items": {"type": "string", "pattern": position()}, "minItems": 1, "maxItems": MAX_ENTRIES}),
        ),
        (&["SubjectVersion"], "version", json!({"maximum": MAX_VERSION})),
    ]
}

fn clients() -> Members {
    const BOTH: &[&str] = &["ClientRequest", "ClientMetadataRequest"];
    let mut algorithms: Vec<Option<&str>> = SigningAlgorithm::ALL.map(|algorithm| Some(algorithm.name())).into();
    algorithms.push(None);
    let scope = json!({"type": "string", "pattern": patterns::client_scope(), "maxLength": MAX_SCOPE});
    let redirect = json!({"type": "string", "pattern": REDIRECT, "maxLength": MAX_REDIRECT});
    vec![
        (&["ClientRequest"], "scopes", json!({"items": scope, "maxItems": MAX_SCOPES})),
        (BOTH, "introspection_signed_response_alg", json!({"enum": algorithms})),
        (BOTH, "post_logout_redirect_uris", json!({"items": redirect, "maxItems": MAX_REDIRECTS})),
        (BOTH, "tls_client_auth_subject_dn", json!({"maxLength": MAX_SUBJECT_DN})),
        (BOTH, "tls_client_auth_san_dns", json!({"maxLength": MAX_DNS_NAME, "pattern": HOST})),
    ]
}

fn issuers() -> Members {
    let name = json!({"type": "string", "pattern": name()});
    let claims = json!({
        "properties": {"session": name, "device": name, "client": {"type": "array", "items": name}},
        "additionalProperties": false,
    });
    vec![
        (&["IssuerRequest"], "longest_life", json!({"minimum": 1, "maximum": issuers::MAX_LIFE})),
        (&["IssuerRequest"], "skew", json!({"maximum": issuers::MAX_SKEW})),
        (&["IssuerRequest"], "jwks_uri", json!({"format": "uri"})),
        (&["IssuerRequest"], "claims", claims),
    ]
}

/// What this server's configuration bounds.
fn configured(config: &Config) -> Members {
    let name = json!({"type": "string", "pattern": name()});
    let fields = json!({"type": "string", "enum": config.subjects.record_fields.names()});
    vec![
        (
            &["SettingsRequest"],
            "longest_life",
            json!({"minimum": config.tokens.life.0.as_secs(), "maximum": settings::MAX_LIFE}),
        ),
        (&["SettingsRequest"], "max_leeway", json!({"maximum": settings::MAX_SLACK})),
        (&["SettingsRequest"], "clock_skew", json!({"maximum": settings::MAX_SLACK})),
        (&["SettingsRequest"], "claims", json!({"items": name, "maxItems": MAX_TARGETS})),
        (&["SettingsRequest"], "ask_on", json!({"items": name, "maxItems": MAX_TARGETS})),
        (&["RecordUpdate"], "fields", json!({"items": fields, "minItems": 1, "maxItems": MAX_NAMED_FIELDS})),
    ]
}

/// Parameters, by path, method and name.
fn parameters() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let target = json!({"pattern": patterns::target()});
    let position = json!({"pattern": position()});
    let (reason, replica) = (json!({"maxLength": MAX_REASON}), json!({"pattern": patterns::replica()}));
    vec![
        ("/v1/revocations", "get", "target", target.clone()),
        ("/v1/revocations", "get", "after", position.clone()),
        ("/v1/feed/changes", "get", "after", position.clone()),
        ("/v1/feed/stream", "get", "after", position),
        ("/v1/audit/exposure", "get", "target", target),
        ("/v1/revocations/scheduled/{id}", "delete", "reason", reason.clone()),
        ("/v1/sessions/{sid}", "delete", "reason", reason.clone()),
        ("/v1/subjects/{subject}/block", "delete", "reason", reason),
        (
            "/v1/revocations",
            "post",
            "Idempotency-Key",
            json!({"type": "string", "pattern": patterns::idempotency_key()}),
        ),
        ("/oauth2/logout", "get", "scope", shapes::or_empty(shapes::logout_scope())),
        ("/v1/feed/head", "get", "nonce", json!({"maxLength": Report::MAX_NAME})),
        ("/v1/feed/changes", "get", "chain", json!({"pattern": THUMBPRINT})),
        ("/v1/feed/stream", "get", "chain", json!({"pattern": THUMBPRINT})),
        ("/v1/feed/replicas/{name}/{instance}", "post", "name", replica.clone()),
        ("/v1/feed/replicas/{name}/{instance}", "post", "instance", replica),
    ]
}
