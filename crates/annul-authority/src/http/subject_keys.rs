//! The keys that tokens are signed with where every subject has its own.

use axum::Json;
use axum::extract::State;

use super::App;
use super::auth::{Admin, Allowed, Revoke};
use super::body::{Attempt, JsonBody, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::subject_keys::SubjectKeyRequest;

/// Gives the subject a new key: the signatures of its tokens fail, its sessions live on.
#[utoipa::path(post, path = "/v1/subjects/{subject}/key", tag = "subjects", params(("subject" = String, Path)),
    request_body = SubjectKeyRequest, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.revoke"])))]
pub async fn change_one(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<SubjectKeyRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.change_subject_key(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Makes a new secret for the keys of all subjects: every signature derived from the last one fails.
#[utoipa::path(post, path = "/v1/keys/subject-secret", tag = "keys", request_body = SubjectKeyRequest,
    responses((status = 200, body = RevocationAnswer)), security(("client" = ["annul.admin"])))]
pub async fn change_all(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    attempt: Attempt,
    body: JsonBody<SubjectKeyRequest>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.change_subject_secret(&caller, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}
