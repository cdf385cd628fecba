//! The routes, and the document that describes them: one list, so that neither is without the other.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::document_forms::describe_forms;
use super::problem::{OauthError, ProblemDocument};
use super::{
    App, accounts, audit, clients, credentials, devices, doctor, feed, health, issuers, keys, login, oauth,
    revocations, sessions, settings, subject_keys, subjects, tokens, wellknown,
};

/// Every endpoint.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    let info = InfoBuilder::new()
        .title("annul authority")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sessions, tokens, revocations and the feed that carries them to every verifier."))
        .build();
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .routes(routes!(sessions::open, sessions::list))
        .routes(routes!(sessions::get, sessions::end))
        .routes(routes!(sessions::next_token))
        .routes(routes!(subjects::get))
        .routes(routes!(subjects::sessions))
        .routes(routes!(subjects::claims))
        .routes(routes!(credentials::credential_changed))
        .routes(routes!(credentials::change_lookup_id))
        .routes(routes!(devices::list))
        .routes(routes!(subjects::version))
        .routes(routes!(subjects::record))
        .routes(routes!(subjects::block, subjects::unblock))
        .routes(routes!(tokens::check))
        .routes(routes!(revocations::create, revocations::list))
        .routes(routes!(revocations::lift))
        .routes(routes!(revocations::schedules))
        .routes(routes!(revocations::schedule, revocations::cancel))
        .routes(routes!(revocations::get))
        .routes(routes!(keys::list))
        .routes(routes!(keys::rotate))
        .routes(routes!(keys::kill))
        .routes(routes!(subject_keys::change_one))
        .routes(routes!(subject_keys::change_all))
        .routes(routes!(issuers::list, issuers::add, issuers::remove))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::change, clients::delete))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::get, accounts::delete))
        .routes(routes!(accounts::set_password, credentials::change_password))
        .routes(routes!(credentials::secure))
        .routes(routes!(credentials::change_own_lookup_id))
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(audit::list))
        .routes(routes!(audit::exposure))
        .routes(routes!(settings::get, settings::change))
        .routes(routes!(doctor::examine))
        .routes(routes!(feed::head))
        .routes(routes!(feed::changes))
        .routes(routes!(feed::snapshot))
        .routes(routes!(feed::stream))
        .routes(routes!(feed::report))
        .routes(routes!(oauth::token::token))
        .routes(routes!(oauth::revoke::revoke))
        .routes(routes!(oauth::introspect::introspect))
        .routes(routes!(oauth::logout::logout_by_link, oauth::logout::logout_by_form))
        .routes(routes!(wellknown::jwks))
        .routes(routes!(wellknown::metadata))
        .routes(routes!(wellknown::metadata_of_path))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::status))
        .routes(routes!(health::metrics))
}

/// The document with what holds of every operation: how errors look, how callers authenticate.
#[must_use]
pub fn finished(mut document: OpenApi) -> OpenApi {
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
    describe_forms(&mut document);
    document
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

/// The route that serves the document.
pub fn document_route(document: &OpenApi) -> Router<App> {
    let json = Bytes::from(document.to_json().expect("the document holds only strings, numbers and maps of them"));
    Router::new().route("/openapi.json", get(move || async move { ([(CONTENT_TYPE, "application/json")], json) }))
}
