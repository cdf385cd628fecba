//! Groups of subjects: chosen, changed, ended.

use std::num::NonZeroU32;

use annul_core::settings::Settings;
use annul_core::time::UnixMillis;

use super::revocations::done;
use super::{Result, Txn, once};
use crate::log::Appender;
use crate::model::{Act, GROUP_CLAIM, Groups};
use crate::store::{Appended, SessionCount};

pub(crate) fn set_groups(txn: &mut Txn<'_>, act: &Act, count: Option<NonZeroU32>) -> Result<Appended> {
    once(txn, act, |txn| {
        let mut log = txn.appender(act)?;
        let before = log.log().groups;
        if before.and_then(|groups| groups.in_use()) == count {
            return Ok(done(&log, Vec::new(), SessionCount::default()));
        }
        let mut positions = Vec::new();
        if count.is_some() && !has_group_claim(&log.log().settings) {
            let settings = with_group_claim(log.log().settings.clone());
            positions.push(log.settings(Settings { revision: settings.revision + 1, ..settings })?);
        }
        let gone = all_tokens_gone(&log)?;
        log.groups(match count {
            Some(count) => Some(Groups { count, since: gone, until: None }),
            None => before.map(|groups| Groups { until: Some(gone), ..groups }),
        })?;
        log.note_act(None)?;
        Ok(done(&log, positions, SessionCount::default()))
    })
}

/// Whether an entry on a group makes every route ask.
pub(super) fn has_group_claim(settings: &Settings) -> bool {
    let has = |claims: &[String]| claims.iter().any(|claim| claim == GROUP_CLAIM);
    has(&settings.claims) && has(&settings.ask_on)
}

/// The settings with which it does.
pub(crate) fn with_group_claim(mut settings: Settings) -> Settings {
    for claims in [&mut settings.claims, &mut settings.ask_on] {
        if !claims.iter().any(|claim| claim == GROUP_CLAIM) {
            claims.push(GROUP_CLAIM.to_owned());
        }
    }
    settings
}

/// From when no token issued until now is accepted anywhere.
fn all_tokens_gone(log: &Appender<'_>) -> Result<UnixMillis> {
    let settings = &log.log().settings;
    let outstanding = log.tables.issuer(&settings.issuer)?.map(|own| own.outstanding).unwrap_or_default();
    let last = log.commit().next_second().plus(settings.longest_life).max(outstanding);
    Ok(UnixMillis(settings.until(last).0.saturating_mul(1000)))
}
