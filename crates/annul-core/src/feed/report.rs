//! What a replica tells the log about itself, and what it is told back.
//!
//! A report is the only thing that counts a replica: it names a position that is *applied*. Its
//! answer is the only thing that makes a view fresh: a head signed over the report's own nonce, so
//! it cannot be older than the report.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::feed::FeedError;
use crate::feed::head::{FeedKey, SignedHead};
use crate::feed::snapshot::hash_key_from_text;
use crate::position::Position;
use crate::record::Chain;
use crate::target::HashKey;

/// Whether a replica can answer, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It holds no view.
    Cold,
    /// Its view is within its age.
    Live,
    /// Its view is older than its routes accept.
    Stale,
    /// It met something it must not pass, such as a critical record it does not know.
    Halted,
}

impl ReplicaState {
    /// The state's name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Halted => "halted",
        }
    }
}

/// How many routes consult what, and so how far a confirmation speaks for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteCounts {
    /// Routes that look at the signature only: no revocation reaches them.
    pub verify: u32,
    /// Routes that go on answering from a view past its age.
    pub open: u32,
    /// Routes that ask the authority each time.
    pub ask: u32,
    /// Routes that consult the view.
    pub check: u32,
}

impl RouteCounts {
    /// The counts of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            verify: self.verify.saturating_add(other.verify),
            open: self.open.saturating_add(other.open),
            ask: self.ask.saturating_add(other.ask),
            check: self.check.saturating_add(other.check),
        }
    }
}

/// What a verifier's ordinary path said of a canary token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryVerdict {
    /// It would be let in.
    Active,
    /// It is revoked.
    Revoked,
    /// The view cannot tell.
    Indeterminate,
    /// The token itself is refused.
    Refused,
}

/// One judged canary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryReport {
    /// The canary's id, as the stream carried it.
    pub id: String,
    /// What became of it.
    pub verdict: CanaryVerdict,
}

/// What one replica says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The position it has applied, `None` without a view.
    pub position: Option<Position>,
    /// The chain there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// Its state.
    pub state: ReplicaState,
    /// The leeway it grants to `exp`, in seconds.
    #[serde(default)]
    pub leeway: u64,
    /// The greatest age, in seconds rounded up, at which any of its routes still accepts: check
    /// windows and open ages included, and those of the replicas behind it.
    pub longest_age: u64,
    /// The audiences it answers for.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// What its routes consult.
    #[serde(default)]
    pub routes: RouteCounts,
    /// Within how many seconds it will report again.
    pub interval: u64,
    /// Its version of annul.
    #[serde(default)]
    pub version: String,
    /// What the answer's head must be signed over.
    pub nonce: String,
    /// Canaries it judged since its last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<CanaryReport>,
    /// Replicas that follow the log through this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<ChildReport>,
    /// Replicas behind this one that found no room in `behind`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u32,
}

/// What a relay passes up about a replica behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildReport {
    /// Its name.
    pub name: String,
    /// Its instance.
    pub instance: String,
    /// How long ago the relay heard from it, in milliseconds.
    pub heard_ms_ago: u64,
    /// What it said. A relay behind a relay is flattened: `behind` is empty here.
    pub report: Report,
}

impl Report {
    /// Bytes a report may have.
    pub const MAX_BYTES: usize = 512 * 1024;
    /// Replicas a report may list behind a relay; more are counted in `unlisted`.
    pub const MAX_BEHIND: usize = 500;
    /// Canaries a report may answer, and a stream may hold back for a slow follower.
    pub const MAX_CANARIES: usize = 64;
    /// Audiences a report may name.
    pub const MAX_AUDIENCES: usize = 64;
    /// Bytes of a name, an instance, an audience, a version, a nonce or a canary's id.
    pub const MAX_NAME: usize = 256;

    /// Reads a report and holds it to its bounds.
    pub fn from_json(body: &[u8]) -> Result<Self, FeedError> {
        if body.len() > Self::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "a report", limit: Self::MAX_BYTES });
        }
        let report: Self = serde_json::from_slice(body).map_err(|_| NOT_A_REPORT)?;
        let children_fit = report.behind.iter().all(|child| {
            fits(&child.name) && fits(&child.instance) && child.report.behind.is_empty() && child.report.is_bounded()
        });
        if report.is_bounded() && children_fit { Ok(report) } else { Err(NOT_A_REPORT) }
    }

    /// The report's JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a report holds only strings and numbers")
    }

    fn is_bounded(&self) -> bool {
        let strings = [&self.version, &self.nonce];
        let ids = self.canaries.iter().map(|canary| &canary.id);
        strings.into_iter().chain(&self.audiences).chain(ids).all(|text| fits(text))
            && self.audiences.len() <= Self::MAX_AUDIENCES
            && self.canaries.len() <= Self::MAX_CANARIES
            && self.behind.len() <= Self::MAX_BEHIND
    }
}

/// The answer to a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportAnswer {
    /// The log's head. From the authority it is signed over the report's nonce.
    pub head: SignedHead,
    /// How much older than the report the head may be: zero from the authority, a relay's own
    /// proven age from a relay.
    pub age: Duration,
    /// How many relays the answerer is away from the authority.
    pub hops: u8,
}

impl ReportAnswer {
    /// Bytes an answer may have.
    pub const MAX_BYTES: usize = SignedHead::MAX_LINE + 256;

    /// The answer's JSON. The age is rounded up: it may never look younger than it is.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let age_ms = self.age.as_nanos().div_ceil(1_000_000);
        format!("{{\"head\":{},\"age_ms\":{age_ms},\"hops\":{}}}", self.head.to_line(), self.hops).into_bytes()
    }

    /// Reads an answer; the head in it is not yet verified.
    pub fn from_json(body: &[u8]) -> Result<Self, FeedError> {
        if body.len() > Self::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "the answer to a report", limit: Self::MAX_BYTES });
        }
        let wire: WireAnswer<'_> = serde_json::from_slice(body).map_err(|_| NOT_AN_ANSWER)?;
        let head = SignedHead::from_line(wire.head.get())?;
        Ok(Self { head, age: Duration::from_millis(wire.age_ms), hops: wire.hops })
    }
}

/// What an authenticated follower is told on first contact: how to verify the feed and to hash.
///
/// It is the only place where the hash key travels. It may only come over a channel that proves
/// the authority (TLS), unless the feed key's fingerprint was given beforehand.
#[derive(Clone, PartialEq, Eq)]
pub struct Introduction {
    /// The log's head, signed by `feed_key`.
    pub head: SignedHead,
    /// The public feed key.
    pub feed_key: FeedKey,
    /// The key that hashes targets.
    pub hash_key: HashKey,
    /// The log's own issuer.
    pub issuer: String,
    /// How many relays the answerer is away from the authority.
    pub hops: u8,
}

impl Introduction {
    /// Bytes an introduction may have.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The introduction's JSON. It holds a secret.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let wire = WireIntroduction {
            head: RawValue::from_string(self.head.to_line()).expect("a head's line is JSON"),
            feed_key: self.feed_key.to_jwk(),
            hash_key: URL_SAFE_NO_PAD.encode(self.hash_key.expose()),
            issuer: self.issuer.clone(),
            hops: self.hops,
        };
        serde_json::to_vec(&wire).expect("the wire form holds only strings and JSON values")
    }

    /// Reads an introduction; what it says is not yet verified.
    pub fn from_json(body: &[u8]) -> Result<Self, FeedError> {
        const NOT_AN_INTRODUCTION: FeedError = FeedError::Malformed { what: "an introduction" };
        if body.len() > Self::MAX_BYTES {
            return Err(FeedError::TooLarge { what: "an introduction", limit: Self::MAX_BYTES });
        }
        let wire: WireIntroduction = serde_json::from_slice(body).map_err(|_| NOT_AN_INTRODUCTION)?;
        Ok(Self {
            head: SignedHead::from_line(wire.head.get())?,
            feed_key: FeedKey::from_jwk(&wire.feed_key)?,
            hash_key: hash_key_from_text(&wire.hash_key).ok_or(NOT_AN_INTRODUCTION)?,
            issuer: wire.issuer,
            hops: wire.hops,
        })
    }
}

impl std::fmt::Debug for Introduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introduction")
            .field("head", &self.head)
            .field("feed_key", &self.feed_key.fingerprint())
            .field("issuer", &self.issuer)
            .field("hops", &self.hops)
            .finish_non_exhaustive()
    }
}

const NOT_A_REPORT: FeedError = FeedError::Malformed { what: "a report" };
const NOT_AN_ANSWER: FeedError = FeedError::Malformed { what: "the answer to a report" };

fn fits(text: &str) -> bool {
    text.len() <= Report::MAX_NAME
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field by reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(borrow)]
    head: &'a RawValue,
    #[serde(default)]
    age_ms: u64,
    #[serde(default)]
    hops: u8,
}

#[derive(Serialize, Deserialize)]
struct WireIntroduction {
    head: Box<RawValue>,
    feed_key: serde_json::Value,
    hash_key: String,
    issuer: String,
    #[serde(default)]
    hops: u8,
}
