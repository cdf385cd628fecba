//! The live view of what is revoked: read by every request, written by one follower.
//!
//! ```text
//! View (many, cheap to clone)  --load-->  State  <--swap--  ViewWriter (one)
//!                                         position, settings, issuers, freshness
//!                                         cells: a table that grows in place
//!                                         kept: cells from above a fork, which no record reaches
//! ```
//!
//! Readers load a pointer and read; they take no lock and never wait for the writer. The writer
//! works a batch out aside, writes its cells and swaps the next state in. Whoever holds a state at
//! position p finds all that is in force at p. Of a later batch they may find entries that make
//! something stronger before the batch is swapped in, never a lift, a snapshot or an expiry.

mod cells;
mod check;
mod freshness;
mod ground;
mod kept;
mod state;
#[allow(clippy::indexing_slicing, reason = "its indices are hashes reduced to its own size, never bytes from outside")]
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use self::check::{CheckedToken, Look};
pub use self::ground::{Ground, IssuerView};
use self::state::{Ledgers, State};
use crate::algebra::Cell;
use crate::packed::PackedCells;
use crate::position::Position;
use crate::record::{HashedCell, Record};
use crate::settings::{IssuerRecord, Settings};
use crate::target::{HashKey, TargetHash, TargetKind};
use crate::time::{Moment, Monotonic, UnixSeconds};
use crate::token::KeySet;

/// What is revoked, as far as this process knows. All clones see the same.
#[derive(Clone)]
pub struct View {
    state: Arc<ArcSwap<State>>,
}

impl View {
    /// An empty view, which knows nothing and says so, and the only handle that can change it.
    #[must_use]
    pub fn new() -> (Self, ViewWriter) {
        Self::with_limits(ViewLimits::default())
    }

    /// An empty view that holds at most so much.
    #[must_use]
    pub fn with_limits(limits: ViewLimits) -> (Self, ViewWriter) {
        let view = Self { state: Arc::new(ArcSwap::default()) };
        (view.clone(), ViewWriter { view, limits, ledgers: Ledgers::default() })
    }

    /// The keys of an issuer whose tokens are accepted; none for one that was removed.
    #[must_use]
    pub fn keys(&self, issuer: &str) -> Option<Arc<KeySet>> {
        let state = self.state.load();
        state.ground.issuer(issuer).filter(|issuer| !issuer.record.removed).map(|issuer| issuer.keys.clone())
    }

    /// What the log says of an issuer, a removed one included.
    #[must_use]
    pub fn issuer(&self, issuer: &str) -> Option<Arc<IssuerView>> {
        self.state.load().ground.issuer(issuer).cloned()
    }

    /// The settings in force, once they are known.
    #[must_use]
    pub fn settings(&self) -> Option<Arc<Settings>> {
        self.state.load().ground.settings().cloned()
    }

    /// What tokens are verified by now.
    #[must_use]
    pub fn ground(&self) -> Arc<Ground> {
        Arc::clone(&self.state.load().ground)
    }

    /// The position of the last record applied.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.state.load().position
    }

    /// The time since the newest moment for which the view is proven to be complete; `None` before
    /// the first proof. It never lies low: at least this much may be missing, never more.
    #[must_use]
    pub fn age(&self, now: Monotonic) -> Option<Duration> {
        self.state.load().freshness.age(now)
    }

    /// What is in force against a target.
    #[must_use]
    pub fn cell(&self, target: &TargetHash) -> Option<Cell> {
        self.state.load().in_force(target)
    }

    /// Whether something is in force against any of these targets, by one state for all of them. Those of one
    /// token together take little longer than the first of them alone, for they are looked up side by side.
    #[must_use]
    pub fn holds_any(&self, targets: &[TargetHash]) -> bool {
        let state = self.state.load();
        state.may_hold_any(targets.iter()) && targets.iter().any(|target| state.in_force(target).is_some())
    }

    /// Whether an issuer's key was killed, by its thumbprint or, for a symmetric secret, its name.
    #[must_use]
    pub fn has_killed(&self, issuer: &str, key_id: &str) -> bool {
        let state = self.state.load();
        let Some((_, hash_key)) = state.hashing() else { return false };
        let target = TargetHash::of(hash_key, issuer, TargetKind::Key, &[key_id]);
        state.in_force(&target).is_some_and(|cell| cell.always.is_some())
    }

    /// All figures of one state, for status pages and metrics.
    #[must_use]
    pub fn status(&self, moment: Moment) -> ViewStatus {
        let state = self.state.load();
        ViewStatus {
            position: state.position,
            head: state.freshness.confirmed().map(|confirmed| confirmed.head),
            age: state.freshness.age(moment.mono),
            entries: state.cells.len(),
            entries_without_until: state.cells.without_until(),
            groups: state.cells.groups(),
            kept: state.kept.len(),
            halted: state.halted,
            revision: state.ground.settings().map(|settings| settings.revision),
            epoch: state.position.map(|position| position.epoch),
            forgotten: state.forgotten,
        }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// The single writer of a view. It cannot be cloned: two writers could lose each other's records.
#[derive(Debug)]
pub struct ViewWriter {
    view: View,
    limits: ViewLimits,
    ledgers: Ledgers,
}

impl ViewWriter {
    /// The view that this writes.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Applies a whole batch, or nothing of it. The view's position moves, and what the batch lifts
    /// is lifted, with one swap after everything is in place.
    ///
    /// # Errors
    /// On any error no record took effect. [`ApplyError::Full`] has also halted the view: what it
    /// could not hold may have been a revocation.
    pub fn apply(&mut self, records: &[Record]) -> Result<(), ApplyError> {
        let current = self.view.state.load_full();
        match current.after(records, &self.limits) {
            Ok((mut next, batch)) => {
                next.cells = batch.write(&mut self.ledgers.cells);
                self.swap(next);
            }
            Err(error) => {
                if let ApplyError::Full(halt) = error {
                    self.halt(halt);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Puts a snapshot in the place of what the view held. What was proven about the view's age
    /// stays proven, for the snapshot is no older than the view.
    ///
    /// # Errors
    /// Nothing changes when the snapshot lies below the view's position (I4); a snapshot that the
    /// view cannot hold halts it.
    pub fn replace(&mut self, contents: ViewContents) -> Result<(), ReplaceError> {
        let current = self.view.state.load_full();
        if let Some(held) = current.position
            && contents.position < held
        {
            return Err(ReplaceError::Older { held, offered: contents.position });
        }
        let (mut next, ledgers) = current.of_contents(contents, &self.limits).map_err(|halt| {
            self.halt(halt);
            ReplaceError::Full(halt)
        })?;
        next.freshness = current.freshness.clone();
        next.freshness.applied(next.position);
        self.ledgers = ledgers;
        self.swap(next);
        Ok(())
    }

    /// Everything in force, to persist; `None` until position and settings are known.
    #[must_use]
    pub fn contents(&self) -> Option<ViewContents> {
        self.view.state.load().contents()
    }

    /// What this view holds by entries at places that a log does not have: to be kept when that log's snapshot
    /// takes the place of what the view holds (I12). `known` says whether a place is one of that log's.
    #[must_use]
    pub fn beyond(&self, known: impl Fn(Position) -> bool) -> KeptContents {
        self.view.state.load().beyond(known)
    }

    /// Takes the head from the answer to a report that was sent at `view_time`, which was `wall` on
    /// the wall clock. The view is as fresh as that once it has applied the head, and not before:
    /// until then the proof waits. A head of an epoch that the view has left proves nothing (I11).
    pub fn confirm(&mut self, head: Position, view_time: Monotonic, wall: UnixSeconds) {
        self.change(|state| state.freshness.confirm(head, view_time, wall, state.position));
    }

    /// Forgets what no acceptable token can match any more at `wall`, by whole groups (I16).
    pub fn expire(&mut self, wall: UnixSeconds) {
        let mut next = State::clone(&self.view.state.load());
        next.expire(&mut self.ledgers, wall);
        self.swap(next);
    }

    /// Gives the view the key that hashes targets. Without the one that the settings name it can
    /// judge no token.
    pub fn set_hash_key(&mut self, key: HashKey) {
        let id = key.id();
        self.change(|state| state.hash_key = Some(Arc::new((key, id))));
    }

    /// Stops the view: it applies nothing more and vouches for no token, while what it knows to be
    /// revoked stays revoked. The first reason stays.
    pub fn halt(&mut self, reason: Halt) {
        self.change(|state| {
            state.halted.get_or_insert(reason);
        });
    }

    /// Ends a halt whose reason is gone.
    pub fn resume(&mut self) {
        self.change(|state| state.halted = None);
    }

    fn change(&mut self, change: impl FnOnce(&mut State)) {
        let mut next = State::clone(&self.view.state.load());
        change(&mut next);
        self.swap(next);
    }

    fn swap(&mut self, next: State) {
        self.view.state.store(Arc::new(next.settled()));
    }
}

/// All that a view holds of one log at one position: what a snapshot says and what is persisted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewContents {
    /// The position of the last record in it.
    pub position: Position,
    /// The settings in force there.
    pub settings: Settings,
    /// The issuers, removed ones included.
    pub issuers: Vec<IssuerRecord>,
    /// Every cell that the log has in force.
    pub cells: PackedCells,
    /// What its holder keeps besides. Nothing in a snapshot.
    pub kept: KeptContents,
    /// The second up to which cells were dropped on this holder's own wall clock. 0 in a snapshot
    /// that an authority made; to be kept with a persisted state.
    pub forgotten: UnixSeconds,
}

/// What a view holds beyond the log that it follows: entries that it applied in an earlier epoch, above the place
/// at which a later one forked off. No record of the log and no snapshot changes them; each stays until its until.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptContents {
    /// What is in force by those entries.
    pub cells: Vec<HashedCell>,
    /// The second up to which some were dropped, on this holder's own wall clock, that nothing restores.
    pub forgotten: UnixSeconds,
}

/// How much a view may hold. Beyond it the view halts; it never drops an entry to make room.
#[derive(Clone, Copy, Debug)]
pub struct ViewLimits {
    /// Cells in all, those that are kept from above a fork included.
    pub entries: usize,
    /// Cells that only a lift removes.
    pub entries_without_until: usize,
}

impl ViewLimits {
    fn admit(&self, entries: usize, without_until: usize) -> Result<(), Halt> {
        if entries > self.entries {
            return Err(Halt::TooManyEntries);
        }
        if without_until > self.entries_without_until {
            return Err(Halt::TooManyWithoutUntil);
        }
        Ok(())
    }
}

impl Default for ViewLimits {
    /// 16 million cells, of which one million without until: about half a gigabyte, more than which
    /// a process that shares its memory with an application should not take unasked.
    fn default() -> Self {
        Self { entries: 1 << 24, entries_without_until: 1 << 20 }
    }
}

/// The figures of one state of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStatus {
    /// The position of the last record applied.
    pub position: Option<Position>,
    /// The newest head heard of by a round trip.
    pub head: Option<Position>,
    /// The proven age, `None` before the first proof.
    pub age: Option<Duration>,
    /// Targets with something in force in the log.
    pub entries: usize,
    /// Those of them that only a lift removes.
    pub entries_without_until: usize,
    /// Groups in which the others expire.
    pub groups: usize,
    /// Targets with something in force besides, from above a fork.
    pub kept: usize,
    /// Why the view stopped, if it did.
    pub halted: Option<Halt>,
    /// The revision of the settings.
    pub revision: Option<u32>,
    /// The epoch of the log.
    pub epoch: Option<u32>,
    /// The second up to which cells were dropped. When the wall clock reads less than this, it was
    /// set back; a fresh snapshot restores what was dropped too early.
    pub forgotten: UnixSeconds,
}

/// Why a view stopped following its log. Every one of them needs somebody to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt {
    /// A critical record of a kind that this version does not know.
    UnknownRecord {
        /// The record's place.
        at: Position,
    },
    /// A record or head that its feed key did not sign, or whose bytes are no format of ours.
    BadFeed,
    /// The authority's history is not the one that the view holds.
    Diverged,
    /// More cells than [`ViewLimits::entries`].
    TooManyEntries,
    /// More cells than [`ViewLimits::entries_without_until`].
    TooManyWithoutUntil,
    /// This verifier is configured beyond the log's settings.
    BeyondSettings,
}

impl Halt {
    /// The reason's stable name, for status pages and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownRecord { .. } => "unknown_record",
            Self::BadFeed => "bad_feed",
            Self::Diverged => "diverged",
            Self::TooManyEntries => "too_many_entries",
            Self::TooManyWithoutUntil => "too_many_without_until",
            Self::BeyondSettings => "beyond_settings",
        }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRecord { at } => {
                write!(f, "the record at {at} is of a critical kind this version does not know; upgrade the verifier")
            }
            Self::BadFeed => {
                f.write_str("the feed is not signed by its key or not in its format; nothing of it was applied")
            }
            Self::Diverged => f.write_str("the authority's history differs from the one held here"),
            Self::TooManyEntries => f.write_str("the log holds more entries than this view may; raise its limit"),
            Self::TooManyWithoutUntil => {
                f.write_str("the log holds more entries without until than this view may; lift some or raise the limit")
            }
            Self::BeyondSettings => f.write_str("this verifier is configured beyond the settings of the log"),
        }
    }
}

/// Why a batch was not applied. Nothing of it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApplyError {
    /// A record is not the next one: it repeats, skips or goes back.
    NotNext {
        /// The position that has to follow.
        expected: Position,
        /// The position that came.
        got: Position,
    },
    /// A record begins an epoch in the midst of one.
    Epoch {
        /// The record's place.
        at: Position,
    },
    /// Settings whose revision does not rise.
    Revision {
        /// The record's place.
        at: Position,
        /// The revision that came.
        revision: u32,
    },
    /// The view cannot hold the batch, and has halted.
    Full(Halt),
    /// The view had halted before.
    Halted(Halt),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNext { expected, got } => write!(f, "the record at {got} does not follow; {expected} does"),
            Self::Epoch { at } => write!(f, "the record at {at} begins an epoch in the midst of one"),
            Self::Revision { at, revision } => {
                write!(f, "the settings at {at} have revision {revision}, which does not rise")
            }
            Self::Full(halt) | Self::Halted(halt) => write!(f, "the view has halted: {halt}"),
        }
    }
}

impl std::error::Error for ApplyError {}

/// Why a snapshot was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It lies below what the view holds. Nothing changed.
    Older {
        /// The view's position.
        held: Position,
        /// The snapshot's position.
        offered: Position,
    },
    /// The view cannot hold it, and has halted.
    Full(Halt),
}

impl fmt::Display for ReplaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { held, offered } => write!(f, "the snapshot at {offered} is older than the view at {held}"),
            Self::Full(halt) => write!(f, "the view has halted: {halt}"),
        }
    }
}

impl std::error::Error for ReplaceError {}
