//! Credentials and lookup ids that change: by the user of a built-in account, who proves the password,
//! and by a backend for its own users.
//!
//! Whoever proves a password is counted on the lane of logins, by address and name, so that none of
//! these is a second door for guessing.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::auth::{Allowed, Anonymous, Revoke};
use super::body::{Attempt, JsonBody, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::authority::Caller;
use crate::verbs::credentials::{CredentialChanged, OwnPasswordRequest, SecureRequest};
use crate::verbs::lookup_id::{LookupIdRequest, OwnLookupIdRequest, Renamed};
use crate::verbs::revocations::Wait;

/// A lookup id that was changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct LookupIdAnswer {
    /// The id the subject goes by now.
    pub subject: String,
    /// What the old id's retirement ended.
    #[serde(flatten)]
    pub revocation: RevocationAnswer,
}

/// Changes the password of the account's user, who proves the present one, and ends what they hold
/// but for the session to be kept.
#[utoipa::path(post, path = "/v1/accounts/{username}/password", tag = "accounts",
    params(("username" = String, Path)), request_body = OwnPasswordRequest,
    responses((status = 200, body = RevocationAnswer)))]
pub async fn change_password(
    State(app): State<App>,
    anonymous: Anonymous,
    attempt: Attempt,
    Segment(username): Segment<String>,
    body: JsonBody<OwnPasswordRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = user(&app, &anonymous, attempt, &username, body.fingerprint)?;
    let wait = body.value.wait;
    let revoked = app.authority.change_password(caller, &username, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Ends what the account's user holds, who proves the password, but for the session to be kept; the
/// next tokens carry another fingerprint.
#[utoipa::path(post, path = "/v1/accounts/{username}/secure", tag = "accounts",
    params(("username" = String, Path)), request_body = SecureRequest,
    responses((status = 200, body = RevocationAnswer)))]
pub async fn secure(
    State(app): State<App>,
    anonymous: Anonymous,
    attempt: Attempt,
    Segment(username): Segment<String>,
    body: JsonBody<SecureRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = user(&app, &anonymous, attempt, &username, body.fingerprint)?;
    let wait = body.value.wait;
    let revoked = app.authority.secure_account(caller, &username, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Gives the account's user, who proves the password, another lookup id and retires the old one.
#[utoipa::path(post, path = "/v1/accounts/{username}/lookup-id", tag = "accounts",
    params(("username" = String, Path)), request_body = OwnLookupIdRequest,
    responses((status = 200, body = LookupIdAnswer)))]
pub async fn change_own_lookup_id(
    State(app): State<App>,
    anonymous: Anonymous,
    attempt: Attempt,
    Segment(username): Segment<String>,
    body: JsonBody<OwnLookupIdRequest>,
) -> Result<Json<LookupIdAnswer>, Problem> {
    let caller = user(&app, &anonymous, attempt, &username, body.fingerprint)?;
    let wait = body.value.wait;
    let renamed = app.authority.change_own_lookup_id(caller, &username, body.value).await?;
    Ok(renamed_answer(&app, renamed, wait).await)
}

/// Says that a subject's credential changed at the backend that keeps it: what was issued before is
/// revoked but for the session to be kept, and the next tokens carry another fingerprint.
#[utoipa::path(post, path = "/v1/subjects/{subject}/credential-changed", tag = "subjects",
    params(("subject" = String, Path)), request_body = CredentialChanged,
    responses((status = 200, body = RevocationAnswer)), security(("client" = ["annul.revoke"])))]
pub async fn credential_changed(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<CredentialChanged>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.credential_changed(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Gives a subject another lookup id and retires the old one: nothing is opened for it again.
#[utoipa::path(post, path = "/v1/subjects/{subject}/lookup-id", tag = "subjects",
    params(("subject" = String, Path)), request_body = LookupIdRequest,
    responses((status = 200, body = LookupIdAnswer)), security(("client" = ["annul.revoke"])))]
pub async fn change_lookup_id(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<LookupIdRequest>,
) -> Result<Json<LookupIdAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let renamed = app.authority.change_lookup_id(&caller, &subject, body.value).await?;
    Ok(renamed_answer(&app, renamed, wait).await)
}

/// Lets in somebody who is about to prove a password, at the rate of logins.
fn user(
    app: &App,
    anonymous: &Anonymous,
    Attempt(key): Attempt,
    username: &str,
    fingerprint: [u8; 32],
) -> Result<Caller, Problem> {
    app.limits.admit_login(anonymous.address, username)?;
    let caller = Caller::account(username).with_request_id(&anonymous.request_id);
    Ok(match key {
        Some(key) => caller.with_idempotency(key, fingerprint),
        None => caller,
    })
}

async fn renamed_answer(app: &App, renamed: Renamed, wait: Option<Wait>) -> Json<LookupIdAnswer> {
    let Json(revocation) = confirm::answer(app, renamed.revoked, wait).await;
    Json(LookupIdAnswer { subject: renamed.subject, revocation })
}
