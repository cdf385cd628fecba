//! How old the view is: proven by a round trip, never by arrival.
//!
//! A report's answer carries the log's head, read after the report came in. Once the view has
//! applied that head it is as fresh as the moment the report was *sent*. Until then the answer
//! waits here; records that merely arrive prove nothing.

use std::time::Duration;

use crate::position::Position;
use crate::time::{Monotonic, UnixSeconds};

/// Answers that may wait for their head. A verifier this many reports behind gains nothing from
/// keeping more: the earlier ones are reached first.
const MAX_PENDING: usize = 32;

#[derive(Clone, Default)]
pub(super) struct Freshness {
    view_time: Option<Monotonic>,
    /// Heads not applied yet with the moment each would prove, in ascending order of position.
    pending: Vec<(Position, Monotonic)>,
    confirmed: Option<ConfirmedHead>,
}

/// The newest head known by a round trip and the wall time at which that was so.
#[derive(Clone, Copy)]
pub(super) struct ConfirmedHead {
    pub(super) head: Position,
    pub(super) at: UnixSeconds,
    /// Orders answers: the wall clock may step, and a head must not stick because it did.
    proven: Monotonic,
}

impl Freshness {
    /// Takes a proven head. A head of an epoch that the view has left proves nothing: its authority
    /// is fenced (I11).
    pub(super) fn confirm(
        &mut self,
        head: Position,
        view_time: Monotonic,
        wall: UnixSeconds,
        applied: Option<Position>,
    ) {
        if applied.is_some_and(|applied| head.epoch < applied.epoch) {
            return;
        }
        if self.confirmed.is_none_or(|known| head >= known.head && view_time >= known.proven) {
            self.confirmed = Some(ConfirmedHead { head, at: wall, proven: view_time });
        }
        match self.pending.binary_search_by_key(&head, |&(position, _)| position) {
            Ok(index) => {
                if let Some((_, proven)) = self.pending.get_mut(index) {
                    *proven = view_time.max(*proven);
                }
            }
            // Full, and others are to be reached later: the last of them gives way.
            Err(index) => {
                self.pending.truncate(MAX_PENDING - 1);
                self.pending.insert(index.min(self.pending.len()), (head, view_time));
            }
        }
        self.applied(applied);
    }

    /// Settles the answers whose head the view has reached.
    pub(super) fn applied(&mut self, applied: Option<Position>) {
        let Some(applied) = applied else { return };
        let reached = self.pending.partition_point(|&(head, _)| head <= applied);
        let proven = self.pending.drain(..reached).filter(|(head, _)| head.epoch == applied.epoch);
        self.view_time = proven.map(|(_, view_time)| view_time).chain(self.view_time).max();
    }

    /// The newest moment for which the view is proven to be complete.
    #[inline]
    pub(super) const fn proven(&self) -> Option<Monotonic> {
        self.view_time
    }

    pub(super) fn age(&self, now: Monotonic) -> Option<Duration> {
        self.view_time.map(|view_time| now.since(view_time))
    }

    pub(super) fn confirmed(&self) -> Option<ConfirmedHead> {
        self.confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic(Duration::from_secs(seconds))
    }

    fn position(seq: u64) -> Position {
        Position::new(1, seq)
    }

    const WALL: UnixSeconds = UnixSeconds(1_000);

    #[test]
    fn i5_a_head_that_is_not_applied_proves_nothing_until_it_is() {
        let mut freshness = Freshness::default();
        freshness.confirm(position(5), at(10), WALL, Some(position(4)));
        assert_eq!(freshness.age(at(12)), None);
        freshness.applied(Some(position(5)));
        assert_eq!(freshness.age(at(12)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_latest_answer_wins_per_position_and_age_never_goes_back() {
        let mut freshness = Freshness::default();
        freshness.confirm(position(5), at(10), WALL, None);
        freshness.confirm(position(5), at(20), WALL, None);
        freshness.confirm(position(5), at(15), WALL, None);
        freshness.applied(Some(position(9)));
        assert_eq!(freshness.age(at(20)), Some(Duration::ZERO));
        freshness.confirm(position(2), at(1), WALL, Some(position(9)));
        assert_eq!(freshness.age(at(20)), Some(Duration::ZERO));
    }

    #[test]
    fn i11_a_fenced_authority_keeps_no_view_fresh() {
        let mut freshness = Freshness::default();
        freshness.confirm(position(5), at(10), WALL, Some(Position::new(2, 1)));
        assert_eq!(freshness.age(at(10)), None);
        assert!(freshness.confirmed().is_none());
        freshness.confirm(position(5), at(10), WALL, Some(position(4)));
        freshness.applied(Some(Position::new(2, 1)));
        assert_eq!(freshness.age(at(10)), None, "a pending head of the old epoch must not count either");
    }

    #[test]
    fn a_wall_clock_that_stepped_back_does_not_hold_an_old_head() {
        let mut freshness = Freshness::default();
        freshness.confirm(position(5), at(10), UnixSeconds(9_000), None);
        freshness.confirm(position(6), at(20), WALL, None);
        let confirmed = freshness.confirmed().unwrap();
        assert_eq!((confirmed.head, confirmed.at), (position(6), WALL));
    }

    #[test]
    fn a_verifier_far_behind_keeps_a_bounded_number_of_answers_and_still_becomes_fresher() {
        let mut freshness = Freshness::default();
        for seq in 1..=1_000 {
            freshness.confirm(position(seq), at(seq), WALL, Some(position(0)));
        }
        assert_eq!(freshness.pending.len(), MAX_PENDING);
        freshness.applied(Some(position(10)));
        assert_eq!(freshness.age(at(1_000)), Some(Duration::from_secs(990)));
        freshness.applied(Some(position(1_000)));
        assert_eq!(freshness.age(at(1_000)), Some(Duration::ZERO));
    }
}
