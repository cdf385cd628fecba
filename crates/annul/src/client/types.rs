//! What goes to the authority and what comes back: sessions, tokens and administration.
//!
//! Requests leave out what was not set. Answers ignore members this version does not know, so that a
//! newer authority may say more.

use std::time::Duration;

use annul_core::algebra::Refusal;
use annul_core::position::Position;
use annul_core::settings::ClaimNames;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::revocation::RevocationAnswer;

/// A session to open for a user whom the caller has authenticated.
#[derive(Clone, Debug, Default, Serialize)]
pub struct OpenSession {
    /// The user.
    pub subject: String,
    /// The client on whose behalf; the caller's own id when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Who will accept the tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Claims that every token of the session carries.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
    /// The scope, names separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The user's roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// When the user was authenticated, in Unix seconds; not in the future. Now when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<u64>,
}

/// The device a session runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// What `device:subject/id` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the user calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Its user agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its network address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// An access token and the session it belongs to. Its `Debug` does not show the token.
#[derive(Clone, Deserialize, Serialize)]
pub struct TokenAnswer {
    /// The session.
    pub sid: String,
    /// The user.
    pub subject: String,
    /// The token.
    pub access_token: String,
    /// `DPoP` for a token that is bound to a key, else `Bearer`.
    #[serde(default)]
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// When it expires, in Unix seconds.
    pub expires_at: u64,
    /// Its `jti`.
    pub jti: String,
    /// The position it carries.
    pub position: Position,
    /// The refresh token, where one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Seconds until the refresh token can no longer be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<u64>,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("sid", &self.sid)
            .field("subject", &self.subject)
            .field("jti", &self.jti)
            .field("expires_at", &self.expires_at)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// A session as the authority lists it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SessionInfo {
    /// Its id.
    pub sid: String,
    /// The user.
    pub subject: String,
    /// The client.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The device.
    #[serde(default)]
    pub device: Option<Device>,
    /// When it was opened, in Unix seconds.
    pub created: u64,
    /// When the user was authenticated.
    #[serde(default)]
    pub auth_time: Option<u64>,
    /// When a token was last issued for it.
    #[serde(default)]
    pub last_used: Option<u64>,
    /// `live`, `ended` or `revoked`.
    pub status: String,
    /// Where it stands in the log.
    #[serde(default)]
    pub position: Option<Position>,
    /// The claims its next token will carry.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

#[derive(Deserialize)]
pub(super) struct SessionList {
    pub(super) sessions: Vec<SessionInfo>,
}

/// Why something is done, and how long to wait for it to be in effect.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reason {
    /// Kept in the audit log; it never travels to verifiers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Wait this long for the confirmation that every verifier has applied it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_millis")]
    pub wait: Option<Duration>,
}

/// The claims of a user's sessions from here on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SetClaims {
    /// The claims, whole: what is missing here is gone.
    pub claims: Map<String, Value>,
    /// Why, and how long to wait.
    #[serde(flatten)]
    pub because: Reason,
}

/// A token to have judged by the authority itself.
#[derive(Clone, Serialize)]
pub struct CheckToken {
    /// The token.
    pub token: String,
    /// Whether an active one should come back re-stamped, with the position of now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub restamp: bool,
}

/// What the authority says of a token, computed after the question came in.
#[derive(Clone, Deserialize, Serialize)]
pub struct CheckAnswer {
    /// The verdict.
    pub verdict: CheckVerdict,
    /// Why not, by a stable name.
    #[serde(default)]
    pub code: Option<String>,
    /// The entry that revokes it.
    #[serde(default)]
    pub refusal: Option<Refusal>,
    /// The head at which it was judged.
    #[serde(default)]
    pub position: Option<Position>,
    /// The token's claims, where it is active.
    #[serde(default)]
    pub claims: Option<Map<String, Value>>,
    /// The id of the key that verified it, where it is active.
    #[serde(default)]
    pub key: Option<String>,
    /// The re-stamped token, where one was asked for.
    #[serde(default)]
    pub access_token: Option<String>,
}

/// The three things that can be said of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Valid and not revoked.
    Active,
    /// Revoked.
    Revoked,
    /// Not valid in the first place.
    Refused,
}

/// How to kill a key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KillKey {
    /// Whether the sessions whose tokens it signed end too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub end_sessions: bool,
    /// Why, and how long to wait.
    #[serde(flatten)]
    pub because: Reason,
}

/// An issuer to accept.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AddIssuer {
    /// Its exact `iss`.
    pub issuer: String,
    /// Its key set, where it does not publish one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where it publishes its key set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The longest life of its tokens, in seconds.
    pub longest_life: u64,
    /// By how many seconds its clock may run ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skew: Option<u64>,
    /// The longest life of its sessions, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_session: Option<u64>,
    /// Whether a token without `jti` is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_jti: Option<bool>,
    /// Which claims carry session, device and client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimNames>,
}

/// A client's credential. Its `Debug` does not show the secret.
#[derive(Clone, Deserialize, Serialize)]
pub struct ClientCredential {
    /// Its id.
    pub client_id: String,
    /// Its secret, told this once.
    pub client_secret: String,
}

impl std::fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCredential").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// A login with a password of a built-in account.
#[derive(Clone, Default, Serialize)]
pub struct Login {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Who will accept the tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// The scope, names separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The registered public client that the session belongs to; the built-in one when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether a refresh token is wanted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub refresh_token: bool,
}

/// A change of a built-in account's password by its user.
#[derive(Clone, Default, Serialize)]
pub struct ChangePassword {
    /// The password so far.
    pub current: String,
    /// The password from now on.
    pub password: String,
    /// The session that stays: the device that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Wait this long for the confirmation.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_millis")]
    pub wait: Option<Duration>,
}

/// A credential that changed where the caller keeps it.
#[derive(Clone, Default, Serialize)]
pub struct CredentialChanged {
    /// What is stored of the new one, such as a salted hash; without it the fingerprint is random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The session that stays: the device that asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Why, and how long to wait.
    #[serde(flatten)]
    pub because: Reason,
}

/// What a change of a lookup id answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LookupIdAnswer {
    /// The id the user goes by now.
    pub subject: String,
    /// What the old id's retirement ended.
    #[serde(flatten)]
    pub revocation: RevocationAnswer,
}

/// A device and when it was last logged in and out, in Unix milliseconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DeviceInfo {
    /// The device, as its last login described it.
    pub device: Device,
    /// The client of its last login.
    #[serde(default)]
    pub client_id: Option<String>,
    /// When a session was last opened on it.
    pub last_login_at: u64,
    /// When it was last left with no session.
    #[serde(default)]
    pub last_logout_at: Option<u64>,
    /// Whether one of its sessions can be used.
    pub logged_in: bool,
}

#[derive(Deserialize)]
pub(super) struct DeviceList {
    pub(super) devices: Vec<DeviceInfo>,
}

/// Which sessions a logout ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogoutScope {
    /// The token's own.
    #[default]
    Local,
    /// All on the device that the token names.
    Device,
    /// All but the token's own.
    Others,
    /// All.
    Global,
}

/// A logout by the user's own access token.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Logout {
    /// Which sessions.
    pub scope: LogoutScope,
    /// Wait this long for the confirmation.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_millis")]
    pub wait: Option<Duration>,
}

/// Which part of the audit log to read.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// The first that follow this event, 0 for the first of all; the newest when left out.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Only what belongs to this position: what a refusal names.
    pub position: Option<Position>,
    /// Only what names this target, in text form.
    pub target: Option<String>,
}

/// What introspection says (RFC 7662).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Introspection {
    /// Whether the token is valid and not revoked.
    pub active: bool,
    /// The token's claims, where it is active.
    #[serde(flatten)]
    pub claims: Map<String, Value>,
}

/// An access token for a machine (RFC 6749 §4.4). Its `Debug` does not show the token.
#[derive(Clone, Deserialize, Serialize)]
pub struct MachineToken {
    /// The token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// What was granted.
    #[serde(default)]
    pub scope: Option<String>,
}

impl std::fmt::Debug for MachineToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineToken")
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

fn as_millis<S: serde::Serializer>(wait: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}
