//! `/oauth2`: the standards' endpoints, in the standards' form.

pub mod endpoints;
pub mod introspect;
pub mod logout;
mod logout_page;
pub mod metadata;
pub mod revoke;
pub mod token;

use super::client_auth::OAuthRequest;
use super::codes::Code;
use super::problem::Problem;
use crate::authority::Caller;
use crate::http::auth::Needs;

/// The client of a request as a verb sees it.
fn caller<L: Needs>(request: &OAuthRequest<L>) -> Caller {
    Caller::client(&request.client.client_id).with_request_id(&request.request_id)
}

/// A parameter without which there is nothing to do.
fn needed<'f, L: Needs>(request: &'f OAuthRequest<L>, name: &str) -> Result<&'f str, Problem> {
    request.form.get(name).ok_or_else(|| Problem::new(Code::RequestInvalid, format!("{name} is missing")))
}
