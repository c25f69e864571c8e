//! A breaker for each key.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use super::{
    BreakerMode, BreakerState, BreakerStats, Consecutive, Open, Outcome, Permit, Reset, TripPolicy,
    cell::{Cell, Control},
};
use crate::{
    HashSeed, Instant,
    storage::{Allocate, Inline, Storage},
    table::{Table, slots_for},
};

/// A [`CircuitBreaker`](super::CircuitBreaker) for each key, for at most `N` keys that give trouble.
///
/// A key without an entry has a new breaker, so a key that never fails takes no memory (with a window, from its first
/// result on). Every call is O(1) expected, plus what [`TripPolicy`] states. An entry is the key, 32 bytes and the
/// policy's window.
///
/// **When all `N` entries are in use**, an idle one is given to the next key that needs one: a closed breaker with
/// nothing against its key, or any that nobody has asked for during the longest open time after they might have. 32
/// entries are looked at, going round, so for up to 32 keys an idle one is always found. If there is none, the result
/// is only counted, in [`untracked`](BreakersIn::untracked), and the key's calls pass: no call is ever refused for lack
/// of memory, and no open breaker is forgotten before it is due. Once the entry of a breaker that had opened is given
/// away, results of calls that began before are stale if their keys have no entry: they may be of the time before it
/// opened.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Breakers, Instant, Open, Outcome, Reset, Trip};
///
/// let mut breakers: Breakers<&str, 32> = Breakers::new(Trip::consecutive(1), Reset::after(Duration::from_secs(30)));
/// let now = Instant::ZERO;
///
/// let permit = breakers.try_acquire("bob", now)?;
/// breakers.record(&"bob", permit, Outcome::Failure, now);
/// assert_eq!(breakers.try_acquire("bob", now), Err(Open { retry_at: Instant::from_secs(30) }));
/// assert!(breakers.try_acquire("alice", now).is_ok());
/// # Ok::<(), Open>(())
/// ```
pub type Breakers<K, const N: usize, P = Consecutive, H = HashSeed> = BreakersIn<K, P, Inline<N>, H>;

/// [`Breakers`] in any [`Storage`].
#[derive(Debug)]
pub struct BreakersIn<K, P: TripPolicy, S: Storage, H = HashSeed> {
    control: Control<P>,
    table: Table<K, Cell<P::Window>, S, H>,
    /// Where the search for an idle entry goes on.
    hand: usize,
    /// When a breaker that had opened last lost its entry: a key without one no longer knows its earlier calls.
    forgotten_at: Option<Instant>,
    untracked: u64,
    reused: u64,
}

/// How many entries one result may look at to find an idle one.
const SEARCH: usize = 32;

impl<K, P: TripPolicy, const N: usize> Breakers<K, N, P> {
    /// Breakers that open by `trip` and come back by `reset`, hashing with [`HashSeed::FIXED`]:
    /// [`reseed`](BreakersIn::reseed) them before peers that choose their own keys can reach them.
    #[must_use]
    pub const fn new(trip: P, reset: Reset) -> Self {
        Self::with_hasher(trip, reset, HashSeed::FIXED)
    }
}

impl<K, P: TripPolicy, H, const N: usize> Breakers<K, N, P, H> {
    /// As [`new`](Breakers::new), with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(trip: P, reset: Reset, hasher: H) -> Self {
        Self {
            control: Control::new(trip, reset),
            table: Table::new(hasher),
            hand: 0,
            forgotten_at: None,
            untracked: 0,
            reused: 0,
        }
    }
}

impl<K, P: TripPolicy, S: Allocate, H> BreakersIn<K, P, S, H> {
    /// Breakers for `max_keys` keys, at least one, in storage of run-time size.
    pub fn allocate(trip: P, reset: Reset, max_keys: usize, hasher: H) -> Self {
        let table = Table::allocate(max_keys, hasher);
        Self { control: Control::new(trip, reset), table, hand: 0, forgotten_at: None, untracked: 0, reused: 0 }
    }
}

impl<K, P: TripPolicy, S: Storage, H> BreakersIn<K, P, S, H> {
    /// How many keys have an entry.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// True if no key has an entry.
    pub const fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// The most keys that can have an entry.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Whether the breakers decide, or an operator does for all of them.
    pub const fn mode(&self) -> BreakerMode {
        self.control.mode
    }

    /// Hands the decision about every key to the breakers or to an operator. The states beneath are untouched.
    pub const fn set_mode(&mut self, mode: BreakerMode) {
        self.control.mode = mode;
    }

    /// Starts the random numbers of [`Reset::jitter`] over.
    pub const fn reseed_jitter(&mut self, seed: u64) {
        self.control.reseed(seed);
    }

    /// What all breakers together have counted.
    pub const fn stats(&self) -> BreakerStats {
        self.control.stats
    }

    /// Results that would have needed an entry when there was none to be had.
    pub const fn untracked(&self) -> u64 {
        self.untracked
    }

    /// Idle entries that were given to another key.
    pub const fn reused(&self) -> u64 {
        self.reused
    }

    /// Each key that has an entry, and where its breaker stands. O(capacity).
    pub fn iter(&self) -> impl Iterator<Item = (&K, BreakerState)> {
        self.table.iter().map(|(_, key, cell)| (key, cell.state()))
    }
}

impl<K: Eq + Hash, P: TripPolicy, S: Storage, H: BuildHasher> BreakersIn<K, P, S, H> {
    /// A permit for one call to `key`, or the instant at which to ask again. It takes no entry.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made. Only the count of refused calls has changed.
    pub fn try_acquire<Q>(&mut self, key: &Q, now: Instant) -> Result<Permit, Open>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.try_acquire_with(self.hash(key), key, now)
    }

    /// [`try_acquire`](Self::try_acquire) for adapters that have hashed the key already: `hash` is what
    /// [`hash`](Self::hash) returns.
    ///
    /// # Errors
    ///
    /// As for `try_acquire`.
    pub fn try_acquire_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> Result<Permit, Open>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let slot = self.table.find(hash, key);
        let cell = slot.and_then(|slot| self.table.get_mut(slot));
        self.control.acquire(cell, now)
    }

    /// Tells how the call ended that `permit` admitted for `key`.
    ///
    /// A permit of another key is taken for one of this key: keep them apart.
    pub fn record(&mut self, key: &K, permit: Permit, outcome: Outcome, now: Instant)
    where
        K: Clone,
    {
        self.record_with(self.hash(key), key, K::clone, permit, outcome, now);
    }

    /// [`record`](Self::record) for a borrowed form of the key, for adapters that have hashed it already.
    ///
    /// `hash` is what [`hash`](Self::hash) returns; `own` makes the key of a new entry.
    pub fn record_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        permit: Permit,
        outcome: Outcome,
        now: Instant,
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if let Some(cell) = self.table.find(hash, key).and_then(|slot| self.table.get_mut(slot)) {
            self.control.record(cell, &permit, outcome, now);
        } else if self.control.leaves_new(&permit, outcome) {
            self.control.pass_over(&permit, outcome);
        } else if self.may_be_of_another_life(&permit, now) {
            self.control.pass_over_stale();
        } else if self.make_room(now) {
            let mut cell = Cell::new(P::EMPTY);
            self.control.record(&mut cell, &permit, outcome, now);
            let _ = self.table.insert(hash, own(key), cell);
        } else {
            self.control.pass_over(&permit, outcome);
            self.untracked = self.untracked.saturating_add(1);
        }
    }

    /// [`try_acquire`](Self::try_acquire) for callers that keep no permit; see
    /// [`CircuitBreaker::allow_request`](super::CircuitBreaker::allow_request).
    #[must_use]
    pub fn allow_request<Q>(&mut self, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.try_acquire(key, now).is_ok()
    }

    /// A success for the current state of `key`: it counts while closed, or if a probe is out.
    pub fn record_success(&mut self, key: &K, now: Instant)
    where
        K: Clone,
    {
        self.record_bare(key, Outcome::Success, now);
    }

    /// A failure for the current state of `key`: it counts while closed, or if a probe is out.
    pub fn record_failure(&mut self, key: &K, now: Instant)
    where
        K: Clone,
    {
        self.record_bare(key, Outcome::Failure, now);
    }

    /// Where the breaker of `key` stands. A pure read: `Open` stays until somebody asks for a permit.
    pub fn state<Q>(&self, key: &Q) -> BreakerState
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.hash(key), key);
        slot.and_then(|slot| self.table.get(slot)).map_or(BreakerState::Closed, |(_, cell)| cell.state())
    }

    /// Closes the breaker of `key` and forgets its past; calls that are under way no longer count. False, and nothing
    /// done, if it has no entry, which is as good as new.
    pub fn reset<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.hash(key), key);
        let Some(cell) = slot.and_then(|slot| self.table.get_mut(slot)) else { return false };
        self.control.close(cell);
        true
    }

    /// Forgets every idle entry, and tells how many; never needed, since a full table does it by itself. O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        let before = self.len();
        for slot in 0..self.table.slots() {
            self.remove_idle(slot, now);
        }
        before.saturating_sub(self.len())
    }

    /// The hash of a key, as [`try_acquire_with`](Self::try_acquire_with) and [`record_with`](Self::record_with) want it.
    pub fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.table.hash(key)
    }

    /// Replaces the hash's secret and keeps every entry. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.table.rehash(hasher);
    }

    fn record_bare(&mut self, key: &K, outcome: Outcome, now: Instant)
    where
        K: Clone,
    {
        let slot = self.table.find(self.hash(key), key);
        match slot.and_then(|slot| self.table.get_mut(slot)) {
            Some(cell) => self.control.record_bare(cell, outcome, now),
            None => self.record(key, self.control.bare_permit(now), outcome, now),
        }
    }

    /// True if the breaker of this call's key may have opened and lost its entry since: nobody can tell any more.
    fn may_be_of_another_life(&mut self, permit: &Permit, now: Instant) -> bool {
        self.forgotten_at = self.forgotten_at.map(|at| at.earlier(now));
        self.forgotten_at.is_some_and(|at| permit.started_at < at)
    }

    fn remove_idle(&mut self, slot: usize, now: Instant) -> bool {
        let Some(cell) = self.table.get_mut(slot) else { return false };
        if !self.control.is_idle(cell, now) {
            return false;
        }
        if cell.has_opened() {
            self.forgotten_at = Some(now);
        }
        self.table.remove(slot);
        true
    }

    /// False if every entry is taken, and none of the next [`SEARCH`] is idle.
    fn make_room(&mut self, now: Instant) -> bool {
        if !self.table.is_full() {
            return true;
        }
        for _ in 0..self.table.slots().min(slots_for::<S>(SEARCH)) {
            let slot = self.hand;
            self.hand = slot.saturating_add(1);
            if self.hand >= self.table.slots() {
                self.hand = 0;
            }
            if self.remove_idle(slot, now) {
                self.reused = self.reused.saturating_add(1);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
#[path = "breakers_tests.rs"]
mod tests;
