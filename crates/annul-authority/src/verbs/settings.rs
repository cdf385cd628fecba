//! The settings of the log, which travel in the feed because every verifier must agree on them.

use annul_core::position::Position;
use annul_core::settings::{MAX_TARGETS, Settings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::authority::{Authority, Caller};
use crate::error::VerbError;
use crate::verbs::bounds;

/// Seconds an own token may live at most: every entry is kept at least that long.
pub const MAX_LIFE: u64 = 24 * 3600;
/// Seconds of leeway, or of difference between two clocks, at most.
pub const MAX_SLACK: u64 = 3600;

/// A change of settings; what is not named stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsRequest {
    /// The longest life of any own token, in seconds.
    pub longest_life: Option<u64>,
    /// The largest leeway any verifier may grant, in seconds.
    pub max_leeway: Option<u64>,
    /// By how many seconds any two clocks may differ.
    pub clock_skew: Option<u64>,
    /// The claims that can be revoked by, besides the registered names.
    pub claims: Option<Vec<String>>,
    /// Those of them on which an entry makes every route ask.
    pub ask_on: Option<Vec<String>>,
}

/// The settings after a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SettingsAnswer {
    /// The settings in force.
    #[schema(value_type = Object)]
    pub settings: Settings,
    /// The record that said so.
    #[schema(value_type = String)]
    pub position: Position,
}

impl Authority {
    /// Changes settings. Verifiers follow, and one that is configured beyond them stops accepting.
    pub async fn change_settings(
        &self,
        caller: &Caller,
        request: SettingsRequest,
    ) -> Result<SettingsAnswer, VerbError> {
        let _keys_change = self.signing_lock().write().await;
        let before = self.store().log().await?.settings;
        let settings = Settings {
            revision: before.revision + 1,
            longest_life: request.longest_life.unwrap_or(before.longest_life),
            max_leeway: request.max_leeway.unwrap_or(before.max_leeway),
            clock_skew: request.clock_skew.unwrap_or(before.clock_skew),
            claims: request.claims.unwrap_or(before.claims),
            ask_on: request.ask_on.unwrap_or(before.ask_on),
            ..before
        };
        self.check(&settings)?;
        let act = caller.act("settings.change", None);
        let appended = self.store().publish_settings(act, settings).await?;
        self.reload().await?;
        Ok(SettingsAnswer { settings: self.settings().as_ref().clone(), position: appended.head })
    }

    fn check(&self, settings: &Settings) -> Result<(), VerbError> {
        let invalid = |member, why| Err(VerbError::Invalid { member, why });
        let life = self.setup().token_life.as_secs();
        if settings.longest_life < life || settings.longest_life > MAX_LIFE {
            return invalid("longest_life", format!("is between the tokens' life, {life}, and {MAX_LIFE} seconds"));
        }
        if settings.max_leeway > MAX_SLACK || settings.clock_skew > MAX_SLACK {
            return invalid("max_leeway", format!("and clock_skew are at most {MAX_SLACK} seconds"));
        }
        if settings.claims.len() > MAX_TARGETS {
            return invalid("claims", format!("are at most {MAX_TARGETS}"));
        }
        settings.claims.iter().try_for_each(|claim| bounds::name("claims", claim))?;
        match settings.ask_on.iter().find(|claim| !settings.claims.contains(claim)) {
            Some(claim) => invalid("ask_on", format!("names {claim:?}, which is not among the claims")),
            None => Ok(()),
        }
    }
}
