//! Taking out of the maps what nobody can need any more, of each kind a bounded number at once.

use annul_core::position::Position;
use annul_core::record::HashedCell;
use annul_core::target::TargetHash;
use annul_core::time::UnixSeconds;

use super::State;
use crate::model::{Schedule, Side};
use crate::store::Pruned;
use crate::store::tables::PruneHorizon;

/// Takes out at most so many rows of one kind, and says how many.
type Step = fn(&mut State, &PruneHorizon, usize) -> usize;

const STEPS: [Step; 8] = [
    State::take_out_spent_entries,
    State::take_out_lapsed_cells,
    State::take_out_sessions,
    State::take_out_lines,
    State::take_out_attempts,
    State::take_out_audit,
    State::take_out_schedules,
    State::take_out_used,
];

impl State {
    pub(super) fn take_out(&mut self, horizon: &PruneHorizon, limit: usize) -> Pruned {
        let mut pruned = Pruned::default();
        for step in STEPS {
            let removed = step(self, horizon, limit);
            pruned.rows += removed as u64;
            pruned.more |= removed >= limit;
        }
        pruned
    }

    fn take_out_spent_entries(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let spent = self.revocations.values().filter(|entry| entry.is_spent(horizon.entries));
        let spent: Vec<(TargetHash, Position)> = spent.take(limit).map(|entry| (entry.hash, entry.at)).collect();
        for (hash, at) in &spent {
            self.revocations.remove(at);
            self.revocations_by_target.remove(&(*hash, *at));
        }
        spent.len()
    }

    fn take_out_lapsed_cells(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let lapsed = |hashed: &HashedCell| hashed.cell.is_none_or(|cell| cell.until.is_over(horizon.entries));
        let cells = self.cells.iter().filter(|(_, cell)| lapsed(cell));
        let cells: Vec<(Side, TargetHash)> = cells.take(limit).map(|(key, _)| *key).collect();
        for key in &cells {
            self.cells.remove(key);
        }
        cells.len()
    }

    fn take_out_sessions(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let over = self.sessions.iter().filter(|(_, kept)| kept.session.expires < horizon.entries);
        let over: Vec<String> = over.take(limit).map(|(sid, _)| sid.clone()).collect();
        for sid in &over {
            self.forget_session(sid);
            self.forget_family(sid);
        }
        over.len()
    }

    /// The line of the head stays: the next one goes on from it.
    fn take_out_lines(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let head = self.log.as_ref().map(|log| log.head.at);
        let old = self.lines.iter().take_while(|(at, (_, time))| Some(**at) != head && *time < horizon.lines);
        let old: Vec<Position> = old.take(limit).map(|(at, _)| *at).collect();
        for at in &old {
            self.lines.remove(at);
        }
        old.len()
    }

    fn take_out_attempts(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let old = self.attempts.iter().filter(|(_, attempt)| attempt.time < horizon.attempts);
        let old: Vec<(String, String)> = old.take(limit).map(|(key, _)| key.clone()).collect();
        for key in &old {
            self.attempts.remove(key);
        }
        old.len()
    }

    /// The last event stays: the id of the next one follows it.
    fn take_out_audit(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let last = self.audit.get_max().map(|(last, _)| *last);
        let old = self.audit.iter().take_while(|(id, event)| Some(**id) != last && event.time < horizon.audit);
        let old: Vec<u64> = old.take(limit).map(|(id, _)| *id).collect();
        for id in &old {
            self.audit.remove(id);
        }
        old.len()
    }

    fn take_out_schedules(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let is_old = |schedule: &&Schedule| {
            schedule.next().is_none() && schedule.steps.last().is_none_or(|step| step.due < horizon.schedules)
        };
        let old = self.schedules.values().filter(is_old).take(limit);
        let old: Vec<String> = old.map(|schedule| schedule.id.clone()).collect();
        for id in &old {
            self.schedules.remove(id);
        }
        old.len()
    }

    fn take_out_used(&mut self, horizon: &PruneHorizon, limit: usize) -> usize {
        let over = self.used_by_until.iter().take_while(|(until, _)| *until < horizon.entries);
        let over: Vec<(UnixSeconds, [u8; 32])> = over.take(limit).copied().collect();
        for (until, key) in &over {
            self.used.remove(key);
            self.used_by_until.remove(&(*until, *key));
        }
        over.len()
    }
}
