//! What a browser is shown at `/oauth2/logout`: pages without script, that load nothing and are shown
//! in nobody's frame.

use axum::response::{Html, IntoResponse as _, Response};
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY};

/// The page may send its form here, and nothing else.
const POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Asks whether this browser shall forget what it holds of this site.
pub(super) fn question() -> Response {
    page(
        "Log out?",
        "<p>No session was named, so none can be ended here: log out in the application that you use.</p>\n\
         <p>This browser can forget what it holds of this site.</p>\n\
         <form method=\"post\" action=\"\">\
         <input type=\"hidden\" name=\"confirm\" value=\"yes\"><button type=\"submit\">Log out</button></form>",
    )
}

/// Says that it is done.
pub(super) fn done() -> Response {
    page("You are logged out", "<p>You can close this page.</p>")
}

fn page(title: &str, body: &str) -> Response {
    let text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1>\n{body}\n</body></html>\n"
    );
    let mut response = Html(text).into_response();
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
