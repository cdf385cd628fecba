//! The document that describes the endpoints, made from the routes: how errors look, how callers
//! authenticate, and what holds of texts, numbers and lists beyond their types.
//!
//! What bounds a request in the code bounds it in the document, by the same constant, so that whoever
//! generates requests from the document has them accepted. Where a form cannot be written down whole, the
//! document is the narrower of the two, and the pattern's comment says by what.

mod bounds;
mod forms;
mod patterns;
mod shapes;

use serde_json::{Value, json};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{OauthError, ProblemDocument};
use crate::config::Config;

/// Schemas whose name ends so describe forms, which carry no null, and where an empty text is an absent one
/// (RFC 6749 §3.2).
const FORM_SCHEMA: &str = "Form";

/// The document of a server with this configuration, as JSON.
#[must_use]
pub fn finished(mut document: OpenApi, config: &Config) -> Value {
    let components = document.components.get_or_insert_default();
    for (name, schema) in
        [(ProblemDocument::name(), ProblemDocument::schema()), (OauthError::name(), OauthError::schema())]
    {
        components.schemas.insert(name.into_owned(), schema);
    }
    let scheme = |scheme| SecurityScheme::Http(Http::new(scheme)).into();
    components.security_schemes.insert("client".to_owned(), scheme(HttpAuthScheme::Basic));
    components.security_schemes.insert("access_token".to_owned(), scheme(HttpAuthScheme::Bearer));
    // The router's wildcard is a template like any other to a reader of the document.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    for (path, item) in &mut document.paths.paths {
        let is_oauth = path.starts_with("/oauth2/");
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
        operations.into_iter().flatten().for_each(|operation| describe_errors(operation, is_oauth));
    }
    forms::describe(&mut document);
    let mut document =
        serde_json::to_value(&document).expect("the document holds only strings, numbers and maps of them");
    add(&mut document, "/components/securitySchemes", bound_tokens());
    bounds::describe(&mut document, config);
    shapes::describe(&mut document);
    forms::allow_no_body(&mut document);
    document
}

/// How a token is sent that is bound to a key (RFC 9449 §7.1): by a scheme of its own, with a proof in a header
/// of its own.
fn bound_tokens() -> Value {
    json!({
        "bound_access_token": {
            "type": "http",
            "scheme": "DPoP",
            "description": "an access token that is bound to a key, with a proof by that key",
        },
        "dpop_proof": {
            "type": "apiKey",
            "in": "header",
            "name": "DPoP",
            "description": "a proof for this one request and this token (RFC 9449), which has its hash as `ath`",
        },
    })
}

fn describe_errors(operation: &mut Operation, is_oauth: bool) {
    let (schema, media_type) = if is_oauth {
        (OauthError::name(), "application/json")
    } else {
        (ProblemDocument::name(), "application/problem+json")
    };
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    let response = ResponseBuilder::new()
        .description("an error; its code stands in the table of error codes")
        .content(media_type, content)
        .build();
    operation.responses.responses.insert("default".to_owned(), response.into());
}

/// Adds keywords to the schema at `place`, a JSON pointer.
///
/// # Panics
/// If there is no object: a member was renamed, and its bound is to follow.
fn add(document: &mut Value, place: &str, keywords: Value) {
    let schema = document.pointer_mut(place).and_then(Value::as_object_mut);
    let schema = schema.expect("whoever bounds a member names one that the document has");
    if let Value::Object(keywords) = keywords {
        schema.extend(keywords);
    }
}
