//! `/v1/doctor`: shows on every verifier that a revocation works, by revoking something.
//!
//! ```text
//! a token nobody uses ─▶ over each verifier's own stream ─▶ its ordinary path says active
//! revoked by the ordinary verb ─▶ the same token again     ─▶ its ordinary path says revoked
//! ```
//!
//! The milliseconds run from the acknowledgement to the report that says revoked, so they include
//! the way back. What cannot be examined this way is named in the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use annul_core::feed::log::ReplicaStatus;
use annul_core::feed::report::{CanaryVerdict, Report};
use annul_core::position::Position;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::App;
use super::auth::{Admin, Allowed};
use super::body::{Attempt, JsonBody};
use super::confirm::LONGEST_WAIT;
use super::problem::Problem;
use crate::authority::Caller;
use crate::secrets::secret::Secret;
use crate::verbs::revocations::Wait;

/// How long to examine.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoctorRequest {
    /// How long to wait for the verifiers; ten seconds unless given.
    #[serde(default)]
    wait: Option<Wait>,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoctorAnswer {
    /// Every verifier that is counted.
    verifiers: Vec<Examined>,
    /// What this examination says nothing about.
    cannot_see: Vec<String>,
    /// Whether every verifier let the token in before and refused it after.
    ok: bool,
}

/// One verifier.
#[derive(Debug, Serialize, ToSchema)]
pub struct Examined {
    /// What it is.
    name: String,
    /// Which of them.
    instance: String,
    /// The audience the token was for.
    audience: Option<String>,
    /// What it said before the revocation; `null` when it said nothing.
    #[schema(value_type = Option<String>)]
    before: Option<CanaryVerdict>,
    /// What it said after.
    #[schema(value_type = Option<String>)]
    after: Option<CanaryVerdict>,
    /// Milliseconds from the acknowledgement of the revocation to the report that says revoked.
    applied_ms: Option<u64>,
    /// The position it had applied then.
    #[schema(value_type = Option<String>)]
    position: Option<Position>,
}

/// How long an examination takes when it is not told.
const DEFAULT_WAIT: Duration = Duration::from_secs(10);
/// How soon a token is shown again after it was answered.
const REPEAT: Duration = Duration::from_millis(20);
/// How soon it is shown again when nobody answered.
const UNANSWERED: Duration = Duration::from_secs(1);
/// Audiences examined at once: a stream keeps that many canaries.
const MAX_AUDIENCES: usize = Report::MAX_CANARIES;

/// Examines every connected verifier with a token of its own audience.
#[utoipa::path(post, path = "/v1/doctor", tag = "health", request_body = DoctorRequest,
    responses((status = 200, body = DoctorAnswer)), security(("client" = ["annul.admin"])))]
pub async fn examine(
    State(app): State<App>,
    allowed: Allowed<Admin>,
    body: JsonBody<DoctorRequest>,
) -> Result<Json<DoctorAnswer>, Problem> {
    let wait = body.value.wait.map_or(DEFAULT_WAIT, Wait::duration).min(LONGEST_WAIT);
    let caller = allowed.caller(Attempt(None), body.fingerprint);
    let mut examination = Examination::of(&app);
    // Half of the time at most goes to the first question, so that the second one is asked as well.
    let begun = Instant::now();
    examination.issue(&app).await?;
    examination.hear(&app, Stage::Before, begun + wait / 2).await;
    let after = examination.revoke(&app, &caller).await?;
    examination.hear(&app, after, begun + wait).await;
    Ok(Json(examination.answer()))
}

/// Which question the verifiers are asked.
#[derive(Clone, Copy)]
enum Stage {
    Before,
    After { acknowledged: Instant, at: Option<Position> },
}

/// When the tokens were shown last, and how much had been heard by then.
struct Shown {
    at: Instant,
    heard: usize,
}

struct Examination {
    counted: Vec<ReplicaStatus>,
    /// Those that were heard and have fallen silent: per name how many, and how long the last one is.
    silent: BTreeMap<String, (usize, u64)>,
    verifiers: Vec<Examined>,
    canaries: BTreeMap<String, Canary>,
}

struct Canary {
    id: String,
    token: Option<Secret>,
}

impl Examination {
    fn of(app: &App) -> Self {
        let counted = app.feed.counted();
        let mut silent = BTreeMap::new();
        let is_counted = |replica: &ReplicaStatus| {
            counted.iter().any(|counted| (&counted.name, &counted.instance) == (&replica.name, &replica.instance))
        };
        for replica in app.feed.replicas().into_iter().filter(|replica| !is_counted(replica)) {
            let (count, heard_ms_ago) = silent.entry(replica.name).or_insert((0, replica.heard_ms_ago));
            *count += 1;
            *heard_ms_ago = replica.heard_ms_ago.min(*heard_ms_ago);
        }
        let verifiers = counted.iter().map(|replica| Examined {
            name: replica.name.clone(),
            instance: replica.instance.clone(),
            audience: replica.audiences.first().cloned(),
            before: None,
            after: None,
            applied_ms: None,
            position: None,
        });
        let verifiers: Vec<_> = verifiers.collect();
        let audiences = verifiers.iter().filter_map(|verifier| verifier.audience.clone());
        let canary = |audience| (audience, Canary { id: uuid::Uuid::now_v7().to_string(), token: None });
        let mut canaries: BTreeMap<_, _> = audiences.map(canary).collect();
        while canaries.len() > MAX_AUDIENCES {
            canaries.pop_last();
        }
        Self { counted, silent, verifiers, canaries }
    }

    async fn issue(&mut self, app: &App) -> Result<(), Problem> {
        for (audience, canary) in &mut self.canaries {
            canary.token = Some(app.authority.canary_token(&canary.id, vec![audience.clone()]).await?);
        }
        Ok(())
    }

    async fn revoke(&self, app: &App, caller: &Caller) -> Result<Stage, Problem> {
        let mut at = None;
        for canary in self.canaries.values() {
            at = at.max(Some(app.authority.revoke_canary(caller, &canary.id).await?.position));
        }
        Ok(Stage::After { acknowledged: Instant::now(), at })
    }

    /// Shows the tokens until every verifier has said what the stage expects, or until `deadline`.
    async fn hear(&mut self, app: &App, stage: Stage, deadline: Instant) {
        let mut reports = app.feed.reports();
        let mut last: Option<Shown> = None;
        loop {
            reports.borrow_and_update();
            let heard = self.collect(app, stage);
            let now = Instant::now();
            if self.is_complete(stage) || now >= deadline {
                return;
            }
            let is_due = last.as_ref().is_none_or(|last| match stage {
                Stage::Before => now >= last.at + UNANSWERED,
                // A verifier may meet the token before the frame that revokes it, so whoever answered or
                // applied the frame is shown it again; a token not answered yet waits on its stream.
                Stage::After { .. } if heard > last.heard => now >= last.at + REPEAT,
                Stage::After { .. } => now >= last.at + UNANSWERED,
            });
            if is_due {
                self.show(app);
                last = Some(Shown { at: now, heard });
            }
            app.feed.next_report(&mut reports, deadline.min(now + REPEAT)).await;
        }
    }

    fn show(&self, app: &App) {
        for canary in self.canaries.values() {
            if let Some(token) = &canary.token {
                app.feed.canary(&canary.id, token.expose());
            }
        }
    }

    /// Takes what verifiers said so far, and answers how much that is: verdicts, and reports that the
    /// revocation is applied.
    fn collect(&mut self, app: &App, stage: Stage) -> usize {
        let mut heard_of = match stage {
            Stage::Before => 0,
            Stage::After { at, .. } => app.feed.counted().iter().filter(|replica| replica.position >= at).count(),
        };
        for (audience, canary) in &self.canaries {
            for heard in app.feed.canary_verdicts(&canary.id) {
                heard_of += 1;
                let is_it = |verifier: &&mut Examined| {
                    verifier.name == heard.name
                        && verifier.instance == heard.instance
                        && verifier.audience.as_ref() == Some(audience)
                };
                let Some(verifier) = self.verifiers.iter_mut().find(is_it) else { continue };
                match stage {
                    Stage::Before => verifier.before = Some(heard.verdict),
                    Stage::After { .. } if verifier.after == Some(CanaryVerdict::Revoked) => {}
                    Stage::After { acknowledged, .. } => {
                        verifier.after = Some(heard.verdict);
                        verifier.position = heard.position;
                        if heard.verdict == CanaryVerdict::Revoked {
                            verifier.applied_ms = u64::try_from(acknowledged.elapsed().as_millis()).ok();
                        }
                    }
                }
            }
        }
        heard_of
    }

    fn is_complete(&self, stage: Stage) -> bool {
        let mut asked = self.verifiers.iter().filter(|verifier| verifier.audience.is_some());
        match stage {
            Stage::Before => asked.all(|verifier| verifier.before.is_some()),
            Stage::After { .. } => asked.all(|verifier| verifier.after == Some(CanaryVerdict::Revoked)),
        }
    }

    fn answer(self) -> DoctorAnswer {
        let works = |verifier: &Examined| {
            verifier.before == Some(CanaryVerdict::Active) && verifier.after == Some(CanaryVerdict::Revoked)
        };
        let ok = !self.verifiers.is_empty() && self.verifiers.iter().all(works);
        let mut cannot_see = vec![
            "services that hold nothing but the key set of /.well-known/jwks.json".to_owned(),
            "caches of introspection answers".to_owned(),
            "verifiers that have not reported here".to_owned(),
        ];
        if self.verifiers.is_empty() {
            cannot_see.insert(0, "no verifier reports at present, so nothing was examined".to_owned());
        }
        for (name, (count, heard_ms_ago)) in &self.silent {
            cannot_see.push(format!(
                "{name}: not examined, for they were not heard within the longest age they accept: {count}, the last {} s ago",
                heard_ms_ago / 1000
            ));
        }
        for replica in &self.counted {
            let ReplicaStatus { name, instance, routes, unlisted, .. } = replica;
            let mut note = |what: String| cannot_see.push(format!("{name}/{instance}: {what}"));
            if replica.audiences.is_empty() {
                note("it reports no audience, so no token could be made for it".to_owned());
            }
            if routes.verify > 0 {
                note(format!("routes that look at the signature only: {}", routes.verify));
            }
            if routes.open > 0 {
                note(format!("routes that go on past the age of the view: {}", routes.open));
            }
            if routes.ask > 0 {
                note(format!("routes that ask the authority each time and do not use the view: {}", routes.ask));
            }
            if *unlisted > 0 {
                note(format!("verifiers behind it that are not listed: {unlisted}"));
            }
        }
        DoctorAnswer { verifiers: self.verifiers, cannot_see, ok }
    }
}
