//! `/v1/introspect`: RFC 7662, answered from this process's own view without a call to the authority.
//!
//! Inactive for whatever reason is 200 `{"active":false}` and nothing else. Not knowing is not
//! inactive: it is 503, or a resource server would tell users that they are logged out.

use annul::http::Presented;
use annul::policy::Decision;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::reply;
use crate::serve::Gateway;

#[derive(Deserialize)]
pub(crate) struct Request {
    token: String,
}

/// Answers whether a token is active, to the configured client.
pub(crate) async fn introspect(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    form: Result<Form<Request>, FormRejection>,
) -> Response {
    let Some(client) = &gateway.introspection else {
        return reply::error(
            StatusCode::NOT_FOUND,
            "not_found",
            "introspection_off",
            "No client is configured that may introspect; set introspection.client_id and client_secret",
        );
    };
    if !client.sent(&headers) {
        return reply::unauthenticated();
    }
    let Ok(Form(request)) = form else {
        return reply::error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "request_malformed",
            "The body must be a form with one member named token",
        );
    };
    // Whoever asks was shown the token, and sees by `cnf` what else it has to be shown.
    match gateway.route.decide_presented(&Presented::elsewhere(&request.token)).await {
        Decision::Allow(authorized) => {
            let members = authorized.token().introspected_members();
            reply::text(StatusCode::OK, format!("{{\"active\":true,{members}}}"))
        }
        Decision::Deny(denial) if denial.status() == StatusCode::SERVICE_UNAVAILABLE.as_u16() => {
            reply::of_verifier(annul::http::answer(&denial, gateway.explain))
        }
        Decision::Deny(_) => reply::json(StatusCode::OK, &json!({ "active": false })),
        Decision::Ask(_) => reply::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "view_unavailable",
            "Whether the access token is valid cannot be told at the moment",
        ),
    }
}
