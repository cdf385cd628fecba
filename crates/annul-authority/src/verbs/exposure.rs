//! Which requests could have been accepted in a span of time: the question that comes after a
//! revocation. The authority sees no requests, so it says whose tokens there were, until when each
//! verifier could have accepted them, and what it does not know.

use annul_core::feed::log::ReplicaStatus;
use annul_core::feed::report::{ReplicaState, RouteCounts};
use annul_core::position::Position;
use annul_core::time::UnixMillis;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::authority::Authority;
use crate::error::VerbError;
use crate::model::VerifierBound;
use crate::store::{ExposedSession, ExposureFilter, MAX_PAGE};
use crate::verbs::revocations::RevocationItem;
use crate::verbs::sessions::SessionAnswer;

/// Sessions of one answer when no limit is given.
const DEFAULT_PAGE: usize = 100;

/// Whose tokens, and when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExposureQuery {
    /// The target, as text.
    #[param(required = true)]
    pub target: String,
    /// From this second on.
    pub from: u64,
    /// To this second; to this moment unless given.
    pub to: Option<u64>,
    /// Only sessions after this sid: the `next` of the answer before.
    pub after: String,
    /// Sessions at most.
    pub limit: Option<usize>,
}

/// Which requests could have been accepted. Times are Unix milliseconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureAnswer {
    /// The target, as it was understood.
    pub target: String,
    /// From when on.
    pub from: u64,
    /// To when.
    pub to: u64,
    /// The entries against this very target, lifted ones too, oldest first.
    pub entries: Vec<ExposureEntry>,
    /// The sessions with a token that could have been accepted in that span, by sid.
    pub sessions: Vec<ExposureSession>,
    /// Where to go on, when there are more: `after` of the next call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What bounded the verifiers when, oldest first, as far as it reaches into the span.
    pub bounds: Vec<ExposureBound>,
    /// The verifiers known now, and since when each has been silent.
    pub verifiers: Vec<ExposureVerifier>,
    /// What the authority cannot know.
    pub not_known: Vec<&'static str>,
}

/// An entry, and when no counted verifier accepted any more what it revokes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureEntry {
    /// The entry.
    #[serde(flatten)]
    pub entry: RevocationItem,
    /// The acknowledgement and the longest age that verifiers accepted at then.
    pub enforced_by: u64,
}

/// A session and its tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureSession {
    /// The session as it is now.
    #[serde(flatten)]
    pub session: SessionAnswer,
    /// The first entry in force that refuses its tokens.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Position>,
    /// When that entry was acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<u64>,
    /// Until when a route that checks could have accepted one of its tokens.
    pub check_until: u64,
    /// Until when a route that looks at the signature only could have.
    pub verify_until: u64,
}

/// What bounded all counted verifiers from a moment on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureBound {
    /// From when on.
    pub since: u64,
    /// The greatest age of a view, in seconds, at which one of their routes accepted.
    pub longest_age: u64,
    /// Whether some of their routes looked at the signature only.
    pub verify: bool,
    /// Whether some of their routes went on answering past the view's age.
    pub open: bool,
}

/// A verifier as it is known now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExposureVerifier {
    /// What it is.
    pub name: String,
    /// Which of them.
    pub instance: String,
    /// Its state, by its own last account.
    #[schema(value_type = String)]
    pub state: ReplicaState,
    /// The position it has applied.
    #[schema(value_type = Option<String>)]
    pub position: Option<Position>,
    /// When it was last heard.
    pub heard_at: u64,
    /// When a view of that age accepts nothing any more, should it stay silent.
    pub accepts_until: u64,
    /// What its routes consult.
    #[schema(value_type = Object)]
    pub routes: RouteCounts,
}

/// What no answer of the authority can say.
const NEVER_KNOWN: [&str; 5] = [
    "which requests were made: look for these sids in the access logs of the services",
    "which tokens were issued: the tokens of a session are bounded by its times",
    "sessions that are forgotten, which is some hours after their absolute end",
    "claims that a session had before and has no more: it is found by those it has now",
    "verifiers that never reported, holders of a bare key set, and cached answers of introspection",
];
/// What besides is not known of tokens that no session of ours stands behind.
const NO_SESSIONS: &str = "tokens of another issuer, and tokens without a session: only the entries are known";
/// What besides is not known of the time before the first bound.
const BOUNDS_BEGIN_LATER: &str =
    "what bounded verifiers at the beginning of the span: it is not on record that far back";

impl Authority {
    /// Whose tokens could have been accepted from `from` to `to`, and until when by which kind of
    /// route: never less than what could be, and more only where the answer says so. `known` are the
    /// replicas known now.
    pub async fn exposure(&self, query: ExposureQuery, known: Vec<ReplicaStatus>) -> Result<ExposureAnswer, VerbError> {
        let target = self.target(&query.target, self.issuer())?;
        let now = self.clock().millis();
        let from = UnixMillis(query.from.saturating_mul(1000));
        let to = query.to.map_or(now, |to| UnixMillis(to.saturating_mul(1000)));
        if from > to {
            return Err(VerbError::Invalid { member: "from", why: "lies after `to`".to_owned() });
        }
        let has_sessions = target.issuer_name() == self.issuer() && target.kind().reaches_sessions();
        let filter = ExposureFilter {
            target: target.clone(),
            from,
            to,
            after: query.after,
            limit: query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE),
        };
        // Uses that are not written yet decide when an idle session got its last token.
        self.write_uses().await?;
        let exposure = self.store().exposure(filter).await?;
        let mut not_known = NEVER_KNOWN.to_vec();
        if !has_sessions {
            not_known.push(NO_SESSIONS);
        }
        if exposure.bounds.first().is_none_or(|first| first.since > from) {
            not_known.push(BOUNDS_BEGIN_LATER);
        }
        let entries = exposure.entries.into_iter().map(|stored| ExposureEntry {
            enforced_by: VerifierBound::enforced_by(&exposure.bounds, stored.time).0,
            entry: self.item(stored),
        });
        Ok(ExposureAnswer {
            target: target.text(self.issuer()),
            from: from.0,
            to: to.0,
            entries: entries.collect(),
            sessions: exposure.sessions.into_iter().map(|exposed| self.exposed_item(exposed)).collect(),
            next: exposure.next,
            bounds: within(&exposure.bounds, from, to),
            verifiers: known.into_iter().map(|status| verifier(status, now)).collect(),
            not_known,
        })
    }

    fn exposed_item(&self, exposed: ExposedSession) -> ExposureSession {
        let ExposedSession { session, status, refused, check_until, verify_until } = exposed;
        ExposureSession {
            session: self.session_answer(crate::store::SessionView { session, status }),
            refused_by: refused.map(|(at, _)| at),
            refused_at: refused.map(|(_, time)| time.0),
            check_until: check_until.0,
            verify_until: verify_until.0,
        }
    }
}

/// The bounds in force at some moment of the span.
fn within(bounds: &[VerifierBound], from: UnixMillis, to: UnixMillis) -> Vec<ExposureBound> {
    let before = bounds.iter().rposition(|bound| bound.since <= from).unwrap_or(0);
    let reach = bounds.iter().skip(before).filter(|bound| bound.since <= to);
    let item = |bound: &VerifierBound| ExposureBound {
        since: bound.since.0,
        longest_age: bound.longest_age,
        verify: bound.verify,
        open: bound.open,
    };
    reach.map(item).collect()
}

fn verifier(status: ReplicaStatus, now: UnixMillis) -> ExposureVerifier {
    let heard_at = now.0.saturating_sub(status.heard_ms_ago);
    ExposureVerifier {
        accepts_until: heard_at.saturating_add(status.longest_age.saturating_mul(1000)),
        heard_at,
        name: status.name,
        instance: status.instance,
        state: status.state,
        position: status.position,
        routes: status.routes,
    }
}
