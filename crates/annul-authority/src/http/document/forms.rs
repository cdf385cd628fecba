//! What the document says beyond types: the forms of texts, and which bodies may be left out.
//!
//! A name means the same wherever it stands, so a text's form goes by its name.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};

use super::patterns::{name, position};
use super::{FORM_SCHEMA, add};
use crate::verbs::revocations::Wait;

/// The forms of texts, by their names.
type Forms = [(&'static str, String); 6];

/// Where references to schemas lead.
const SCHEMAS: &str = "#/components/schemas/";

fn forms() -> Forms {
    [
        ("position", position()),
        ("subject", name()),
        ("username", name()),
        ("client_id", name()),
        ("issuer", name()),
        ("wait", Wait::pattern()),
    ]
}

/// Writes the forms of parameters and members into the document. A form of RFC 6749 has forms of its own.
pub(super) fn describe(document: &mut OpenApi) {
    let forms = forms();
    let components = document.components.get_or_insert_default();
    for (_, schema) in components.schemas.iter_mut().filter(|(name, _)| !name.ends_with(FORM_SCHEMA)) {
        if let RefOr::T(Schema::Object(object)) = schema {
            object.properties.iter_mut().for_each(|(name, member)| describe_text(&forms, name, member));
        }
    }
    let v1 = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/v1/"));
    for (_, item) in v1 {
        for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter {
                    describe_text(&forms, name, schema);
                    widen(schema);
                }
            }
        }
    }
}

/// Writes into the finished document which bodies may be left out: those whose members may all be.
pub(super) fn allow_no_body(document: &mut Value) {
    let schemas = document.pointer("/components/schemas").and_then(Value::as_object).into_iter().flatten();
    let lenient: BTreeSet<String> =
        schemas.filter(|(_, schema)| !is_demanding(schema)).map(|(name, _)| format!("{SCHEMAS}{name}")).collect();
    let items = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    let operations = items.filter_map(|(_, item)| item.as_object_mut()).flat_map(Map::values_mut);
    for body in operations.filter_map(|operation| operation.get_mut("requestBody")) {
        let reference = body.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
        if reference.is_some_and(|reference| lenient.contains(reference)) {
            add(body, "", json!({"required": false}));
        }
    }
}

/// Whether a body of that schema needs a member, whichever of its ways it goes.
fn is_demanding(schema: &Value) -> bool {
    let needs = |schema: &Value| schema["required"].as_array().is_some_and(|names| !names.is_empty());
    needs(schema) || schema["oneOf"].as_array().is_some_and(|ways| ways.iter().all(needs))
}

fn describe_text(forms: &Forms, name: &str, schema: &mut RefOr<Schema>) {
    let form = forms.iter().find(|(known, _)| *known == name);
    if let (Some((_, form)), RefOr::T(Schema::Object(object))) = (form, schema)
        && is_text(object)
    {
        object.pattern = Some(form.clone());
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
