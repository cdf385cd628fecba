//! A token that could not be verified, and whether something newer than the view may put that right.
//!
//! A verifier that is behind may not have heard of the key that signed a token, nor of a longest life that
//! was raised. Calling such a token invalid would send its user to the login for a fault of this process.

use std::time::Duration;

use super::{Denial, DenyReason, Policy};
use crate::time::Moment;
use crate::token::{TokenError, UnverifiedToken};
use crate::verdict::Cause;
use crate::view::View;

/// How old its view may be for a route that states no age and still refuses for good what newer records may
/// allow: the age that the gateway's and the demonstration's configuration allow.
const UNSTATED_STALENESS: Duration = Duration::from_secs(60);

impl Policy {
    /// Refuses `token`, which could not be verified by what `view` holds. While there may be something that
    /// the view has not got and by which the token could be accepted, the answer is "cannot tell".
    #[must_use]
    pub fn refuse(&self, error: TokenError, view: &View, token: &str, moment: Moment) -> Denial {
        let unheard = self.unheard(&error, view, token, moment);
        self.denial(unheard.map_or(DenyReason::TokenRefused(error), DenyReason::Undecidable))
    }

    /// What may be against the token only because this process has not heard of it.
    fn unheard(&self, error: &TokenError, view: &View, token: &str, moment: Moment) -> Option<Cause> {
        let no_key_was_tried = match error {
            TokenError::KeyUnknown => true,
            TokenError::SignatureInvalid | TokenError::KeyAmbiguous => false,
            TokenError::LifeTooLong if !self.is_up_to_date(view, moment) => return Some(Cause::LongestLifeUnknown),
            _ => return None,
        };
        let token = UnverifiedToken::parse(token).ok()?;
        let header = token.header();
        // Without a kid the keys at hand were tried: the right one may be yet to come. With one it was found, and
        // a secret never comes by the log.
        let may_be_yet_to_come = || header.kid().is_none() && !header.alg().is_symmetric();
        let may_be_of_a_new_key = no_key_was_tried || (may_be_yet_to_come() && !has_ended(&token, view, moment));
        let issuer = token.claims().iss()?;
        (may_be_of_a_new_key && !self.knows_all_keys(view, issuer, moment)).then_some(Cause::KeysUnknown)
    }

    fn knows_all_keys(&self, view: &View, issuer: &str, moment: Moment) -> bool {
        let keys_due = view.issuer(issuer).and_then(|issuer| issuer.record.keys_due);
        self.is_up_to_date(view, moment) && keys_due.is_none_or(|due| due >= moment.wall)
    }

    /// Whether the view has all that it was told of, and was proven complete lately enough for this route.
    fn is_up_to_date(&self, view: &View, moment: Moment) -> bool {
        let allowed = self.max_staleness().unwrap_or(UNSTATED_STALENESS);
        let status = view.status(moment);
        let is_live = status.age.is_some_and(|age| age <= allowed) && status.halted.is_none();
        is_live && status.head <= status.position
    }
}

/// Whether no leeway that the log allows makes the token's own end lie ahead.
fn has_ended(token: &UnverifiedToken<'_>, view: &View, moment: Moment) -> bool {
    let leeway = view.settings().map_or(0, |settings| settings.max_leeway);
    token.claims().exp().is_none_or(|exp| exp.plus(leeway) <= moment.wall)
}
