//! A subject's devices: when each was last logged in and out, told by its sessions.
//!
//! Nothing is kept for this beside sessions and entries, so the times cannot contradict what is
//! refused: a logout is whatever ended the last session, be it by its user, an administrator or an
//! entry that reaches many.

use annul_core::time::UnixMillis;

use super::sessions::sessions_of;
use super::{Result, Snapshot};
use crate::model::SessionStatus;
use crate::store::{DeviceTimes, SessionView};

pub(crate) fn devices_of(snapshot: &Snapshot<'_>, subject: &str) -> Result<Vec<DeviceTimes>> {
    let mut devices: Vec<(String, Vec<SessionView>)> = Vec::new();
    // Newest first, so devices come in the order of their last logins.
    for view in sessions_of(snapshot, subject)? {
        let Some(device) = &view.session.device else { continue };
        match devices.iter_mut().find(|(id, _)| *id == device.id) {
            Some((_, sessions)) => sessions.push(view),
            None => devices.push((device.id.clone(), vec![view])),
        }
    }
    devices.into_iter().filter_map(|(_, sessions)| times(snapshot, sessions).transpose()).collect()
}

/// The times of one device, from its sessions, newest first.
fn times(snapshot: &Snapshot<'_>, sessions: Vec<SessionView>) -> Result<Option<DeviceTimes>> {
    let live = sessions.iter().filter(|view| view.status == SessionStatus::Live);
    let oldest_live = live.map(|view| view.session.created).min();
    let mut last_logout = None;
    for view in &sessions {
        let ended = ended_at(snapshot, view)?;
        // What ended while another of its sessions went on was no logout of the device.
        last_logout = last_logout.max(ended.filter(|ended| oldest_live.is_none_or(|login| *ended <= login)));
    }
    let Some(newest) = sessions.into_iter().next().map(|view| view.session) else { return Ok(None) };
    let times = newest.device.map(|device| DeviceTimes {
        device,
        client_id: newest.client_id,
        last_login: newest.created,
        last_logout,
        logged_in: oldest_live.is_some(),
    });
    Ok(times)
}

/// When a session stopped being of use, if something stopped it before it expired.
fn ended_at(snapshot: &Snapshot<'_>, view: &SessionView) -> Result<Option<UnixMillis>> {
    match view.status {
        SessionStatus::Live | SessionStatus::Expired => Ok(None),
        SessionStatus::Ended => Ok(view.session.ended.as_ref().map(|ended| ended.time)),
        SessionStatus::Revoked(refusal) => Ok(snapshot.tables.revocation(refusal.at)?.map(|entry| entry.time)),
    }
}
