//! `/v1/subjects`: what is true of a person, whatever sessions they have.
#![allow(unused_qualifications, reason = "the parameters of utoipa::path expand to a qualified call")]

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::auth::{Allowed, Issue, Read, Revoke};
use super::body::{Attempt, Fingerprint, JsonBody, Params, Segment};
use super::confirm::{self, RevocationAnswer};
use super::problem::Problem;
use crate::verbs::revocations::Wait;
use crate::verbs::sessions::SessionList;
use crate::verbs::subjects::{RecordUpdate, SubjectAnswer, SubjectBlock, SubjectClaims, SubjectVersion};

/// Whose subject it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SubjectQuery {
    /// The issuer that knows the subject; our own unless given.
    issuer: Option<String>,
}

/// What is held about the subject apart from its sessions: blocked or not, version, record, claims.
#[utoipa::path(get, path = "/v1/subjects/{subject}", tag = "subjects",
    params(("subject" = String, Path), SubjectQuery),
    responses((status = 200, body = SubjectAnswer)), security(("client" = ["annul.read"])))]
pub async fn get(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(subject): Segment<String>,
    Params(query): Params<SubjectQuery>,
) -> Result<Json<SubjectAnswer>, Problem> {
    Ok(Json(app.authority.subject(&subject, query.issuer).await?))
}

/// Lists the subject's sessions, newest first.
#[utoipa::path(get, path = "/v1/subjects/{subject}/sessions", tag = "subjects", params(("subject" = String, Path)),
    responses((status = 200, body = SessionList)), security(("client" = ["annul.read"])))]
pub async fn sessions(
    State(app): State<App>,
    _: Allowed<Read>,
    Segment(subject): Segment<String>,
) -> Result<Json<SessionList>, Problem> {
    Ok(Json(app.authority.sessions_of(&subject).await?))
}

/// Sets the subject's claims: tokens issued before are revoked, sessions live on, and the next token
/// carries these claims.
#[utoipa::path(put, path = "/v1/subjects/{subject}/claims", tag = "subjects", params(("subject" = String, Path)),
    request_body = SubjectClaims, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.issue"])))]
pub async fn claims(
    State(app): State<App>,
    allowed: Allowed<Issue>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<SubjectClaims>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.set_subject_claims(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Sets the subject's version, up or down: what was issued before is refused.
#[utoipa::path(put, path = "/v1/subjects/{subject}/version", tag = "subjects", params(("subject" = String, Path)),
    request_body = SubjectVersion, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.revoke"])))]
pub async fn version(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<SubjectVersion>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.set_subject_version(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Says which fields of the subject's record changed: what was issued before is refused, and the
/// user logs in again where a field was configured so.
#[utoipa::path(post, path = "/v1/subjects/{subject}/record", tag = "subjects", params(("subject" = String, Path)),
    request_body = RecordUpdate, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.revoke"])))]
pub async fn record(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<RecordUpdate>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.subject_record_changed(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// Blocks the subject: everything it holds is revoked and it gets nothing new.
#[utoipa::path(post, path = "/v1/subjects/{subject}/block", tag = "subjects", params(("subject" = String, Path)),
    request_body = SubjectBlock, responses((status = 200, body = RevocationAnswer)),
    security(("client" = ["annul.revoke"])))]
pub async fn block(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Segment(subject): Segment<String>,
    body: JsonBody<SubjectBlock>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, body.fingerprint);
    let wait = body.value.wait;
    let revoked = app.authority.block_subject(&caller, &subject, body.value).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}

/// How a block is ended.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UnblockQuery {
    /// The issuer that knows the subject; our own unless given.
    issuer: Option<String>,
    /// Why, for the audit.
    reason: Option<String>,
    /// How long to wait for the confirmation.
    #[param(value_type = Option<String>)]
    wait: Option<Wait>,
}

/// Ends a block. Nothing that was revoked comes back.
#[utoipa::path(delete, path = "/v1/subjects/{subject}/block", tag = "subjects",
    params(("subject" = String, Path), UnblockQuery),
    responses((status = 200, body = RevocationAnswer)), security(("client" = ["annul.revoke"])))]
pub async fn unblock(
    State(app): State<App>,
    allowed: Allowed<Revoke>,
    attempt: Attempt,
    Fingerprint(fingerprint): Fingerprint,
    Segment(subject): Segment<String>,
    Params(query): Params<UnblockQuery>,
) -> Result<Json<RevocationAnswer>, Problem> {
    let caller = allowed.caller(attempt, fingerprint);
    let UnblockQuery { issuer, reason, wait } = query;
    let request = SubjectBlock { issuer, reason, wait };
    let revoked = app.authority.unblock_subject(&caller, &subject, request).await?;
    Ok(confirm::answer(&app, revoked, wait).await)
}
