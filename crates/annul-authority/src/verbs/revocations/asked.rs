//! What a call asks to be revoked: the targets it names, or the token, as entries that may be made.

use std::collections::BTreeSet;

use annul_core::algebra::{Cutoff, Reach};
use annul_core::target::{Target, TargetKind};
use annul_core::time::UnixSeconds;

use super::RevokeRequest;
use crate::authority::Authority;
use crate::error::{Thing, VerbError};
use crate::model::NewRevocation;
use crate::secrets::secret::Secret;
use crate::verbs::bounds;

impl Authority {
    /// The entries that are asked for, in the order of asking and none twice; at least one.
    pub(super) async fn asked(&self, request: &RevokeRequest) -> Result<Vec<NewRevocation>, VerbError> {
        let named = match (&request.token, request.targets.as_slice()) {
            (Some(token), []) => vec![self.token_named(token).await?],
            (None, texts) if !texts.is_empty() => {
                let targets = self.targets_named(texts, request.issuer.as_deref())?;
                targets.into_iter().map(|target| (target, None)).collect()
            }
            _ => return Err(VerbError::NothingNamed),
        };
        named.into_iter().map(|(target, exp)| self.asked_of(request, target, exp)).collect()
    }

    /// Refuses keys that cannot be killed by this call: more than one, with a session to be kept, unless for
    /// good, or one of ours that never was.
    pub(super) fn killable(&self, keys: &[NewRevocation], request: &RevokeRequest) -> Result<(), VerbError> {
        let Some(key) = keys.first() else { return Ok(()) };
        if keys.len() > 1 || request.keep.is_some() {
            return Err(VerbError::OneKeyAtATime);
        }
        if key.cutoff != Cutoff::Always || !key.reach.access() {
            return Err(VerbError::Reach { what: "a key, which takes `always` and reaches access," });
        }
        let thumbprint = key.target.parts().first().map(String::as_str).unwrap_or_default();
        if key.target.issuer_name() == self.issuer() && !self.standing().owns(thumbprint) {
            return Err(VerbError::Unknown { what: Thing::Key, name: thumbprint.to_owned() });
        }
        Ok(())
    }

    /// Reads a target's text; a `key` may be named by its `kid`.
    pub(crate) fn target(&self, text: &str, issuer: &str) -> Result<Target, VerbError> {
        let target =
            Target::parse(text, issuer).map_err(|error| VerbError::Target { text: bounds::shown(text), error })?;
        match (target.kind(), target.parts()) {
            (TargetKind::Key, [kid]) => self.key_target(target.issuer_name(), kid),
            _ => Ok(target),
        }
    }

    /// The targets of these texts, those of `issuer` or ours where a text names none. The same target
    /// twice is one entry.
    fn targets_named(&self, texts: &[String], issuer: Option<&str>) -> Result<Vec<Target>, VerbError> {
        let issuer = issuer.unwrap_or(self.issuer());
        bounds::name("issuer", issuer)?;
        let targets: Result<Vec<_>, _> = texts.iter().map(|text| self.target(text, issuer)).collect();
        let mut targets = targets?;
        let mut seen = BTreeSet::new();
        targets.retain(|target| seen.insert(target.clone()));
        Ok(targets)
    }

    async fn token_named(&self, token: &Secret) -> Result<(Target, Option<UnixSeconds>), VerbError> {
        // A verifier may still accept it within its leeway, so within the largest it is revoked.
        let verified = self.verified(token.expose(), self.settings().max_leeway).await?;
        Ok((verified.token_target(), Some(verified.expires())))
    }

    fn asked_of(
        &self,
        request: &RevokeRequest,
        target: Target,
        exp: Option<UnixSeconds>,
    ) -> Result<NewRevocation, VerbError> {
        if let (TargetKind::Claim, [name, _]) = (target.kind(), target.parts())
            && !self.settings().claims.contains(name)
        {
            return Err(VerbError::ClaimNoTarget { name: bounds::shown(name), known: self.settings().claims.clone() });
        }
        let cutoff = request.cutoff.map_or_else(|| default_cutoff(target.kind()), Cutoff::from);
        let is_own = target.issuer_name() == self.issuer();
        if matches!(cutoff, Cutoff::Before(_)) && request.reach.is_some_and(|reach| reach != Reach::Both) {
            return Err(VerbError::Reach { what: "`before`" });
        }
        if !is_own && request.reach == Some(Reach::Sessions) {
            return Err(VerbError::Reach { what: "a foreign issuer" });
        }
        let reach = request.reach.unwrap_or_default();
        if request.keep.is_some() && (!is_own || !reach.sessions()) {
            return Err(VerbError::NothingToKeepFrom);
        }
        let until = request.until.map(UnixSeconds);
        Ok(NewRevocation { target, cutoff, reach, exp, until, reason: request.reason.clone() })
    }
}

/// A session is a thing one ends; everything that tokens may still be given is cut off at now.
fn default_cutoff(kind: TargetKind) -> Cutoff {
    if kind.only_always() || kind == TargetKind::Session { Cutoff::Always } else { Cutoff::Now }
}
