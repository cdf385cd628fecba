//! What requests and answers say of sessions.

use annul_core::position::Position;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::VerbError;
use crate::model::{Device, ProofKey, TokenFormat};
use crate::secrets::secret::Secret;
use crate::verbs::bounds;

/// A login that a backend vouches for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSession {
    /// Who logged in.
    pub subject: String,
    /// The client the session belongs to; the calling client unless named.
    #[serde(default)]
    pub client_id: Option<String>,
    /// The audience of its tokens, a string or an array; the authority's default unless named.
    #[serde(default)]
    pub audience: Option<OneOrMany>,
    /// The device it runs on.
    #[serde(default)]
    pub device: Option<DeviceBody>,
    /// Further claims of its tokens.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
    /// The scope granted, space separated.
    #[serde(default)]
    pub scope: Option<String>,
    /// The claim `roles`.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// When the user proved who they are; now unless given.
    #[serde(default)]
    pub auth_time: Option<u64>,
    /// The session it replaces, which ends.
    #[serde(default)]
    pub replaces: Option<String>,
    /// The proof key its tokens are bound to, as the claim `cnf` has it: `{"jkt": …}` for DPoP,
    /// `{"x5t#S256": …}` for a client certificate, each the base64url of 32 bytes.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub confirmation: Option<ProofKey>,
    /// What its access tokens look like: `jwt`, or `reference` for opaque ones that services
    /// introspect.
    #[serde(default)]
    pub format: TokenFormat,
    /// Whether the answer has a refresh token, so that the client renews its tokens at `/oauth2/token`.
    #[serde(default)]
    pub refresh_token: bool,
    /// Whether the access token is its own refresh credential, to be exchanged for the next one at
    /// `/oauth2/token`. It does not go with `refresh_token`.
    #[serde(default)]
    pub exchange: bool,
}

/// A string or an array of strings.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A device, in requests and answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceBody {
    /// Its id, unique per subject.
    pub id: String,
    /// What the user calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Its user agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The address it logged in from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl DeviceBody {
    /// The device, if what is said of it is within its bounds.
    pub(super) fn checked(self) -> Result<Device, VerbError> {
        bounds::name("device.id", &self.id)?;
        bounds::text("device.name", self.name.as_deref(), bounds::MAX_DEVICE_TEXT)?;
        bounds::text("device.os", self.os.as_deref(), bounds::MAX_DEVICE_TEXT)?;
        bounds::text("device.agent", self.agent.as_deref(), bounds::MAX_DEVICE_TEXT)?;
        bounds::text("device.address", self.address.as_deref(), bounds::MAX_DEVICE_TEXT)?;
        Ok(Device { id: self.id, name: self.name, os: self.os, agent: self.agent, address: self.address })
    }
}

impl From<Device> for DeviceBody {
    fn from(Device { id, name, os, agent, address }: Device) -> Self {
        Self { id, name, os, agent, address }
    }
}

/// A fresh access token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// The session it belongs to.
    pub sid: String,
    /// Whose it is.
    pub subject: String,
    /// The token.
    #[schema(value_type = String)]
    pub access_token: Secret,
    /// `Bearer`, or `DPoP` for a token bound to a key that signs proofs.
    pub token_type: &'static str,
    /// The refresh token, where one was asked for. A repeated opening has none once it was used.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// Seconds until the refresh token expires if it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_expires_in: Option<u64>,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// When it expires.
    pub expires_at: u64,
    /// Its id.
    pub jti: String,
    /// The log's head when it was issued.
    #[schema(value_type = String)]
    pub position: Position,
}

/// A session as its user and operators see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionAnswer {
    /// Its id.
    pub sid: String,
    /// Who logged in.
    pub subject: String,
    /// The client it belongs to.
    pub client_id: Option<String>,
    /// The device it runs on.
    pub device: Option<DeviceBody>,
    /// When it was opened (Unix seconds).
    pub created: u64,
    /// When the user proved who they are.
    pub auth_time: u64,
    /// When it last got a token.
    pub last_used: u64,
    /// When it ends at the latest.
    pub expires_at: u64,
    /// Whether it can be used.
    pub status: SessionState,
    /// The entry that ended or revokes it.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Position>,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The position its revocations are compared with.
    #[schema(value_type = String)]
    pub position: Position,
    /// The claims its next token carries.
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
}

/// Whether a session can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It can.
    Live,
    /// It was ended; nothing revives it.
    Ended,
    /// A revocation stands against it; a lift would revive it.
    Revoked,
    /// It was unused for too long or has reached its greatest age.
    Expired,
}

/// Sessions, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SessionList {
    /// The sessions.
    pub sessions: Vec<SessionAnswer>,
}
