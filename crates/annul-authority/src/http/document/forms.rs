//! What the document says beyond types: the forms of texts, and which bodies may be left out.
//!
//! A name means the same wherever it stands, so a text's form goes by its name.

use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::patterns::{NAME, POSITION, WAIT};

/// The forms of texts, by their names.
const FORMS: [(&str, &str); 6] = [
    ("position", POSITION),
    ("subject", NAME),
    ("username", NAME),
    ("client_id", NAME),
    ("issuer", NAME),
    ("wait", WAIT),
];

/// Schemas whose name ends so describe forms, where an empty text is an absent one (RFC 6749 §3.2).
const FORM_SCHEMA: &str = "Form";

/// Writes the forms of parameters and members into the document, and which bodies may be left out.
pub(super) fn describe(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    for (_, schema) in components.schemas.iter_mut().filter(|(name, _)| !name.ends_with(FORM_SCHEMA)) {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.properties.iter_mut().for_each(|(name, member)| describe_text(name, member));
        }
    }
    let demanding = |reference: &str| {
        let name = reference.rsplit('/').next().unwrap_or_default();
        !matches!(components.schemas.get(name), Some(RefOr::T(Schema::Object(object))) if object.required.is_empty())
    };
    let v1 = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/v1/"));
    for (_, item) in v1 {
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
                    describe_text(name, schema);
                    widen(schema);
                }
            }
            allow_no_body(operation, demanding);
        }
    }
}

/// A body whose members may all be left out may be left out itself.
fn allow_no_body(operation: &mut Operation, demanding: impl Fn(&str) -> bool) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let Some(RefOr::T(content)) = body.content.get("application/json") else { return };
    if let Some(RefOr::Ref(reference)) = &content.schema
        && !demanding(&reference.ref_location)
    {
        body.required = Some(Required::False);
    }
}

fn describe_text(name: &str, schema: &mut RefOr<Schema>) {
    let form = FORMS.iter().find(|(known, _)| *known == name);
    if let (Some((_, form)), RefOr::T(Schema::Object(object))) = (form, schema)
        && is_text(object)
    {
        object.pattern = Some((*form).to_owned());
    }
}

/// What is counted goes up to 2^64, beyond the signed format that it is written down with.
fn widen(schema: &mut RefOr<Schema>) {
    if let RefOr::T(Schema::Object(object)) = schema
        && object.format == Some(SchemaFormat::KnownFormat(KnownFormat::Int64))
    {
        object.format = Some(SchemaFormat::Custom("uint64".to_owned()));
    }
}

fn is_text(object: &Object) -> bool {
    match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}
