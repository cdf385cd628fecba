//! `/oauth2/logout`: an application ends a session and sends the browser on (OpenID Connect
//! RP-Initiated Logout 1.0).
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::logout_page;
use crate::http::App;
use crate::http::auth::Anonymous;
use crate::http::body::FormBody;
use crate::http::codes::Code;
use crate::http::confirm::{self, RevocationAnswer};
use crate::http::problem::Problem;
use crate::secrets::secret::Secret;
use crate::verbs::browser_logout::HintedLogout;
use crate::verbs::logout::LogoutScope;

/// Has a browser forget what it holds of this site.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// The parameters of a logout.
#[derive(Debug, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogoutForm {
    /// A token of the session: an access token, expired or not, or, in a form only, its refresh token.
    pub id_token_hint: Option<String>,
    /// The application; it has to be the session's client.
    pub client_id: Option<String>,
    /// Where the browser goes next: exactly one of the addresses that the client registered.
    pub post_logout_redirect_uri: Option<String>,
    /// Handed on to that address.
    pub state: Option<String>,
    /// `local`, the session of the hint, or `global`, all sessions of its user, for which the hint has
    /// to be good still.
    pub scope: Option<String>,
    /// `yes` when the user was asked: without a hint, the browser forgets what it holds, and no session
    /// ends.
    pub confirm: Option<String>,
}

/// That a session is over, for programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoggedOut {
    /// Always true.
    pub logged_out: bool,
    /// What was done; absent when there was nothing to do.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<RevocationAnswer>,
}

/// Ends the session of a hint, by a link or a redirect.
#[utoipa::path(get, path = "/oauth2/logout", tag = "oauth2", params(LogoutForm),
    responses((status = 200, body = LoggedOut), (status = 303)))]
pub async fn logout_by_link(State(app): State<App>, _: Anonymous, request: Request) -> Result<Response, Problem> {
    let form = FormBody::of_query(request.uri().query().unwrap_or_default())?;
    if form.get("id_token_hint").is_some_and(|hint| app.authority.session_of_refresh_token(hint).is_some()) {
        let detail = "a refresh token has no place in an address, which is written down on its way; send a form";
        return Err(Problem::new(Code::RequestInvalid, detail));
    }
    answer(&app, request.headers(), &form).await
}

/// Ends the session of a hint, by a form.
#[utoipa::path(post, path = "/oauth2/logout", tag = "oauth2",
    request_body(content = LogoutForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = LoggedOut), (status = 303)))]
pub async fn logout_by_form(State(app): State<App>, _: Anonymous, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = FormBody::read(&parts.headers, body, &app).await?;
    answer(&app, &parts.headers, &form).await
}

async fn answer(app: &App, headers: &HeaderMap, form: &FormBody) -> Result<Response, Problem> {
    let is_browser = is_browser(headers);
    let Some(hint) = form.get("id_token_hint") else {
        return match (is_browser, form.get("confirm")) {
            // Nothing is proven, so nobody is sent anywhere and no session ends.
            (true, Some("yes")) => Ok(cleared(app, logout_page::done())),
            (true, _) => Ok(logout_page::question()),
            (false, _) => Err(Problem::new(Code::HintRefused, "id_token_hint is missing; nothing was ended")),
        };
    };
    let redirect = form.get("post_logout_redirect_uri");
    let request = HintedLogout {
        hint: Secret::new(hint.to_owned()),
        client_id: form.get("client_id").map(str::to_owned),
        redirect: redirect.map(str::to_owned),
        scope: scope(form.get("scope"))?,
    };
    let ended = app.authority.logout_by_hint(request).await?;
    // A session that is forgotten has no client, and so no address that would be its client's.
    let redirect = redirect.filter(|_| ended.is_some());
    let response = match (redirect, is_browser) {
        (Some(address), _) => onward(address, form.get("state"))?,
        (None, true) => logout_page::done(),
        (None, false) => {
            let revocation = match ended {
                Some(revoked) => Some(confirm::answer(app, revoked, None).await.0),
                None => None,
            };
            Json(LoggedOut { logged_out: true, revocation }).into_response()
        }
    };
    Ok(cleared(app, response))
}

fn scope(name: Option<&str>) -> Result<LogoutScope, Problem> {
    match name {
        None | Some("local") => Ok(LogoutScope::Local),
        Some("global") => Ok(LogoutScope::Global),
        Some(_) => Err(Problem::new(Code::RequestInvalid, "scope is local or global; nothing was ended")),
    }
}

/// On to a registered address, with the state that the application gave.
fn onward(address: &str, state: Option<&str>) -> Result<Response, Problem> {
    let mut target = address.to_owned();
    if let Some(state) = state {
        target.push(if address.contains('?') { '&' } else { '?' });
        target.push_str("state=");
        target.extend(state.bytes().map(escaped));
    }
    let location = HeaderValue::from_str(&target)
        .map_err(|_| Problem::new(Code::RequestInvalid, "the address is none that a header can carry"))?;
    Ok((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response())
}

fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// The answer with which the browser forgets what it holds of this site, the configured cookies among
/// it by name, for a browser that knows no other way.
fn cleared(app: &App, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\", \"cookies\", \"storage\""));
    let secure = if app.base_url.starts_with("https:") { "; Secure" } else { "" };
    for name in &app.config.sessions.logout_cookies {
        let cookie = format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}

/// Whether a person is looking: programs do not ask for HTML by name.
fn is_browser(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.to_ascii_lowercase().contains("text/html"))
}
