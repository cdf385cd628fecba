//! `/oauth2/introspect`: plain (RFC 7662) or signed (RFC 9701).

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use utoipa::ToSchema;

use super::needed;
use crate::http::App;
use crate::http::auth::Read;
use crate::http::client_auth::OAuthRequest;
use crate::http::problem::Problem;

/// The media type of a plain answer.
const PLAIN: &str = "application/json";
/// The media type of a signed answer.
const SIGNED: &str = "application/token-introspection+jwt";

/// The parameters of introspection.
#[derive(Debug, Deserialize, ToSchema)]
pub struct IntrospectionForm {
    /// The token.
    pub token: String,
    /// Ignored: every kind of token is recognised by itself.
    pub token_type_hint: Option<String>,
}

/// The answer: a token that is not active has `active` and nothing else.
#[derive(Debug, ToSchema)]
pub struct Introspection {
    /// Whether the token may be used.
    pub active: bool,
    /// The members of an active token.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub members: serde_json::Map<String, serde_json::Value>,
}

/// Tells whether a token is active at this moment. An inactive one is `{"active":false}` and nothing
/// else, whatever the reason. With `Accept: application/token-introspection+jwt` the answer is signed.
#[utoipa::path(post, path = "/oauth2/introspect", tag = "oauth2",
    request_body(content = IntrospectionForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, content((Introspection = "application/json"),
        (String = "application/token-introspection+jwt")))),
    security(("client" = ["annul.read"])))]
pub async fn introspect(
    State(app): State<App>,
    headers: HeaderMap,
    request: OAuthRequest<Read>,
) -> Result<Response, Problem> {
    let answer = app.authority.introspect_for(&request.client, needed(&request, "token")?).await?;
    let mut response = if wants_signed(&headers) {
        let signed = app.authority.sign_introspection(&request.client, &answer).await?;
        ([(CONTENT_TYPE, HeaderValue::from_static(SIGNED))], signed).into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static(PLAIN))], answer.to_json()).into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Whether the answer is to be signed: only where it is asked for by name, never by `*/*`.
fn wants_signed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(SIGNED));
        is_it && !parts.any(|parameter| matches!(parameter.replace(' ', "").as_str(), "q=0" | "q=0.0"))
    })
}
