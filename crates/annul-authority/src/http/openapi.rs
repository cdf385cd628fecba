//! The routes, and where the document that describes them is served: one list, so that neither is without
//! the other.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use serde_json::Value;
use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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

/// The route that serves the document.
pub fn document_route(document: &Value) -> Router<App> {
    let json = Bytes::from(document.to_string());
    Router::new().route("/openapi.json", get(move || async move { ([(CONTENT_TYPE, "application/json")], json) }))
}
