//! The emission rule of groups: an entry about one user stays here, and its group's watermark goes out.
//!
//! ```text
//! subject:alice now both   ->  claim:grp=7 now access     what verifiers hold, one per group
//!                              subject:alice now sessions a noop in the feed, judged by the authority
//! ```
//!
//! A verifier asks about a token that is older than its group's watermark, and the authority answers by
//! the session. The algebra knows nothing of this: both are ordinary entries, and the claim is one of
//! the settings' `ask_on`.

use annul_core::algebra::{Cutoff, Reach};
use annul_core::fold::EmittedBy;
use annul_core::position::Position;
use annul_core::target::{Target, TargetKind};

use super::{Appender, Result};
use crate::model::{GROUP_CLAIM, NewRevocation};

impl Appender<'_> {
    /// Appends a revocation and puts it in force; where its group's watermark stands in for it in the
    /// feed, that first.
    pub(crate) fn revoke(&mut self, new: &NewRevocation, emitted_by: EmittedBy) -> Result<Position> {
        let Some(group) = self.stand_in(new)? else { return self.put_in_force(new, emitted_by) };
        // One is enough for all of a transaction: every token from before it is older.
        if self.watermarks.insert(group) {
            self.put_in_force(&self.watermark(group), EmittedBy::State)?;
        }
        self.put_in_force(&NewRevocation { reach: Reach::Sessions, ..new.clone() }, emitted_by)
    }

    /// The group whose watermark can stand in for this entry: one that is about the sessions of a
    /// single user of ours and dated by its position, or about one session.
    fn stand_in(&self, new: &NewRevocation) -> Result<Option<u64>> {
        let settings = &self.log.settings;
        let Some(groups) = self.log.groups.filter(|groups| groups.hold_back(self.commit)) else { return Ok(None) };
        if new.target.issuer_name() != settings.issuer || new.reach != Reach::Both {
            return Ok(None);
        }
        let subject = match (new.target.kind(), new.target.parts(), new.cutoff) {
            (TargetKind::Session, [sid], _) => self.tables.session(sid)?.map(|session| session.subject),
            (TargetKind::Subject, [subject], Cutoff::Now) | (TargetKind::Device, [subject, _], Cutoff::Now) => {
                Some(subject.clone())
            }
            _ => None,
        };
        let Some(subject) = subject else { return Ok(None) };
        // The tokens of a client itself have no session to ask about, and no group.
        if self.tables.client(&subject)?.is_some() {
            return Ok(None);
        }
        let target = Target::one(&settings.issuer, TargetKind::Subject, &subject);
        Ok(target.ok().map(|target| groups.of(&target.hash(&self.log.hash_key))))
    }

    fn watermark(&self, group: u64) -> NewRevocation {
        let value = group.to_string();
        let target = Target::two(&self.log.settings.issuer, TargetKind::Claim, GROUP_CLAIM, &value)
            .expect("neither issuer nor claim nor value is empty");
        NewRevocation { target, cutoff: Cutoff::Now, reach: Reach::Access, exp: None, until: None, reason: None }
    }
}
