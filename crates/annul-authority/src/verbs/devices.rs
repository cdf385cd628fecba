//! Devices: where a user is logged in, and since when.

use serde::Serialize;
use utoipa::ToSchema;

use crate::authority::Authority;
use crate::error::VerbError;
use crate::store::DeviceTimes;
use crate::verbs::bounds;
use crate::verbs::sessions::DeviceBody;

/// A device and when it was last logged in and out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceAnswer {
    /// The device, as its last login described it.
    pub device: DeviceBody,
    /// The client of its last login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// When it was last logged in (Unix milliseconds).
    pub last_login_at: u64,
    /// When it was last left with no session (Unix milliseconds): by a logout, a session's end or a
    /// revocation, whoever asked for it. While it is later than the last login, nothing of the device
    /// is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_logout_at: Option<u64>,
    /// Whether one of its sessions can be used.
    pub logged_in: bool,
}

/// Devices, by their last logins, newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeviceList {
    /// The devices.
    pub devices: Vec<DeviceAnswer>,
}

impl Authority {
    /// A subject's devices, as its newest 1000 sessions tell. A device is forgotten with its last
    /// session, some time after the longest life of one.
    pub async fn devices_of(&self, subject: &str) -> Result<DeviceList, VerbError> {
        bounds::name("subject", subject)?;
        let devices = self.store().devices_of(subject).await?;
        Ok(DeviceList { devices: devices.into_iter().map(answer).collect() })
    }
}

fn answer(times: DeviceTimes) -> DeviceAnswer {
    DeviceAnswer {
        device: times.device.into(),
        client_id: times.client_id,
        last_login_at: times.last_login.0,
        last_logout_at: times.last_logout.map(|time| time.0),
        logged_in: times.logged_in,
    }
}
