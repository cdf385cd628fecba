//! A list of targets that needs no memory of its own while it is as short as most are.

use std::fmt;
use std::ops::Deref;

use crate::target::{TargetHash, TargetKind};

/// Targets that most tokens have at most.
const FEW: usize = 12;

/// The hashes of a token's targets with their kinds, in the order they were named.
#[derive(Clone)]
#[repr(C)]
pub struct Targets {
    count: usize,
    few: [(TargetKind, TargetHash); FEW],
    /// All of them, once there are more than a few.
    many: Vec<(TargetKind, TargetHash)>,
}

impl Targets {
    /// None.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { few: [(TargetKind::Issuer, TargetHash([0; 16])); FEW], count: 0, many: Vec::new() }
    }

    /// Adds a target.
    pub(super) fn push(&mut self, target: (TargetKind, TargetHash)) {
        if let Some(place) = self.few.get_mut(self.count) {
            *place = target;
        } else {
            if self.many.is_empty() {
                self.many.extend_from_slice(&self.few);
            }
            self.many.push(target);
        }
        self.count += 1;
    }
}

impl Deref for Targets {
    type Target = [(TargetKind, TargetHash)];

    fn deref(&self) -> &Self::Target {
        self.few.get(..self.count).unwrap_or(&self.many)
    }
}

impl<'t> IntoIterator for &'t Targets {
    type Item = &'t (TargetKind, TargetHash);
    type IntoIter = std::slice::Iter<'t, (TargetKind, TargetHash)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Targets {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Targets {}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_listed_in_their_order() {
        let mut targets = Targets::new();
        for number in 0..3 * FEW {
            assert_eq!(targets.len(), number);
            targets.push((TargetKind::Claim, TargetHash([number as u8; 16])));
            let listed = targets.iter().map(|(_, hash)| usize::from(hash.0[0]));
            assert!(listed.eq(0..=number));
        }
        assert_eq!(targets, targets.clone());
    }
}
