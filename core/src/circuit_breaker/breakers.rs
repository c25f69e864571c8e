//! A breaker for each key.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use super::{
    BreakerMode, BreakerState, BreakerStats, Consecutive, Open, Outcome, Permit, Reset, Transition, TripPolicy,
    WindowStats,
    cell::{Cell, Control},
};
use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    table::Table,
    time::Instant,
};

/// Circuit breakers by key: a [`CircuitBreaker`](super::CircuitBreaker) for each host or peer, with room for `N` keys
/// that fail.
///
/// A key without an entry has a new breaker, so a key that never fails takes no memory (with a window, from its first
/// result on).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Breakers, Instant, Reset, Trip, circuit_breaker::{Open, Outcome}};
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
///
/// # When it is full
///
/// The next key that needs an entry takes over one of the first kind that is found; 32 entries are looked at, going
/// round, so with up to 32 entries one is always found if there is any:
///
/// - a closed breaker with nothing against its key: no failure, and no failed or slow call in its window;
/// - an open or half-open one that nobody has asked for during the longest open time after they might have;
/// - any closed one that nobody has told anything for a minute, and for the longest open time, the window's span, and
///   two [leases](Reset::lease) (if it or the [`call_timeout`](Reset::call_timeout) is set).
///
/// If there is none, calls for that key are permitted without tracking (fail open);
/// [`untracked`](BreakersIn::untracked) counts them. No call is ever refused for lack of memory, no open breaker is
/// forgotten before it is due, and no failure within the time above.
/// [`cleanup`](BreakersIn::cleanup) is stricter: it lets go only of what is as good as new.
///
/// A result whose key has no entry counts for a new one, whenever its call began. So results of slow calls are never
/// lost; one whose breaker had opened and was forgotten while the call was under way counts once more.
///
/// # Cost
///
/// Every call is O(1) expected, plus what [`TripPolicy`] states. An entry is the key, 32 bytes and the policy's window.
#[doc(alias = "CircuitBreakerRegistry")]
pub type Breakers<K, const N: usize, P = Consecutive, H = HashSeed> = BreakersIn<K, P, Inline<N>, H>;

/// [`Breakers`] in any [`Storage`].
#[derive(Debug)]
pub struct BreakersIn<K, P: TripPolicy, S: Storage, H = HashSeed> {
    control: Control<P>,
    table: Table<K, Cell<P::Window>, S, H>,
    /// Where the search for an idle entry goes on.
    hand: usize,
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
        Self { control: Control::new(trip, reset), table: Table::new(hasher), hand: 0, untracked: 0, reused: 0 }
    }
}

impl<K, P: TripPolicy, S: Allocate, H> BreakersIn<K, P, S, H> {
    /// Breakers for `capacity` keys, at least one, in storage of run-time size.
    pub fn allocate(trip: P, reset: Reset, capacity: usize, hasher: H) -> Self {
        let table = Table::allocate(capacity, hasher);
        Self { control: Control::new(trip, reset), table, hand: 0, untracked: 0, reused: 0 }
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

    /// Every breaker decides by other settings from now on, as
    /// [`CircuitBreaker::set_settings`](super::CircuitBreaker::set_settings) says. O(capacity).
    pub fn set_settings(&mut self, trip: P, reset: Reset, now: Instant) {
        self.set_settings_telling(trip, reset, now, |_, _| {});
    }

    /// For adapters: [`set_settings`](Self::set_settings) that tells what opens or closes by it.
    pub fn set_settings_telling(
        &mut self,
        trip: P,
        reset: Reset,
        now: Instant,
        mut changed: impl FnMut(&K, [Option<Transition>; 2]),
    ) {
        let former = self.control.replace(trip, reset);
        for slot in 0..self.table.slots() {
            let before = self.control.transitions();
            if let Some(cell) = self.table.get_mut(slot) {
                self.control.take_over(&former, cell, now);
            }
            let transitions = self.control.transitions_since(before);
            if transitions.iter().any(Option::is_some)
                && let Some((key, _)) = self.table.get(slot)
            {
                changed(key, transitions);
            }
        }
    }

    /// Starts the random numbers of [`Reset::jitter`] over.
    pub const fn reseed_jitter(&mut self, seed: u64) {
        self.control.reseed(seed);
    }

    /// What all breakers together have counted.
    pub const fn stats(&self) -> BreakerStats {
        self.control.stats
    }

    /// The last change of state of any key, `None` if there was none. Compare its number before and after a call to see
    /// whether that call brought one.
    pub const fn last_transition(&self) -> Option<Transition> {
        self.control.last_transition()
    }

    /// For adapters: what `f` returns, and the changes of state that it brought, to be told outside the lock. `f` makes
    /// one call of this table.
    pub fn telling<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> (R, [Option<Transition>; 2]) {
        let before = self.control.transitions();
        let result = f(self);
        (result, self.control.transitions_since(before))
    }

    /// Results that would have needed an entry when there was none to be had.
    pub const fn untracked(&self) -> u64 {
        self.untracked
    }

    /// Idle entries that were given to another key.
    pub const fn reused(&self) -> u64 {
        self.reused
    }

    /// When a call that begins at `now` has failed, by [`Reset::call_timeout`]; `None` for never. Cut it off then.
    pub fn call_deadline(&self, now: Instant) -> Option<Instant> {
        self.control.call_deadline(now)
    }

    /// How many keys with an entry have a breaker that is closed, half-open and open, in this order. O(capacity).
    pub fn states(&self) -> [u64; 3] {
        self.iter().fold([0; 3], |[closed, half_open, open], (_, state)| match state {
            BreakerState::Closed => [closed.wrapping_add(1), half_open, open],
            BreakerState::HalfOpen => [closed, half_open.wrapping_add(1), open],
            BreakerState::Open => [closed, half_open, open.wrapping_add(1)],
        })
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

    /// Tells how the call ended that `permit` admitted for `key`. At [`Reset::call_timeout`] or later it is a failure
    /// in any case.
    ///
    /// A permit of another key is taken for one of this key: keep them apart. A key that loses its entry to this one is
    /// dropped here; behind a lock, [`record_existing`](Self::record_existing) and [`record_new`](Self::record_new)
    /// keep what keys do when they are cloned and dropped out of it.
    pub fn record(&mut self, key: &K, permit: Permit, outcome: Outcome, now: Instant)
    where
        K: Clone,
    {
        self.record_cloned(key, Some(&permit), outcome, now);
    }

    /// For adapters: [`record`](Self::record), or without a permit [`record_success`](Self::record_success) and
    /// [`record_failure`](Self::record_failure), for a borrowed form of the key whose [`hash`](Self::hash) is known.
    ///
    /// False, and nothing done, if the key needs an entry that it has not: call [`record_new`](Self::record_new) then.
    #[must_use = "if it is false, nothing is recorded yet"]
    pub fn record_existing<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        permit: Option<&Permit>,
        outcome: Outcome,
        now: Instant,
    ) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let cell = self.table.find(hash, key).and_then(|slot| self.table.get_mut(slot));
        match (cell, permit) {
            (Some(cell), Some(permit)) => self.control.record(cell, permit, outcome, now),
            (Some(cell), None) => self.control.record_bare(cell, outcome, now),
            (None, Some(permit)) => return self.control.pass_over(permit, outcome, now),
            (None, None) => return self.control.pass_over(&self.control.bare_permit(now), outcome, now),
        }
        true
    }

    /// For adapters: [`record_existing`](Self::record_existing) with a key to keep. A key for which there is no use
    /// (this one, or one that has lost its entry to it) is given back, to be dropped where that does no harm.
    #[must_use = "drop it outside the lock"]
    pub fn record_new(
        &mut self,
        hash: u64,
        key: K,
        permit: Option<&Permit>,
        outcome: Outcome,
        now: Instant,
    ) -> Option<K> {
        if self.record_existing(hash, &key, permit, outcome, now) {
            return Some(key);
        }
        let permit = permit.map_or_else(|| self.control.bare_permit(now), Permit::copy);
        let Ok(displaced) = self.make_room(now) else {
            self.count_untracked(&permit, outcome, now);
            return Some(key);
        };
        let mut cell = Cell::new(P::EMPTY);
        self.control.record(&mut cell, &permit, outcome, now);
        let _ = self.table.insert(hash, key, cell);
        displaced
    }

    /// For adapters: counts a result that cannot be recorded, because its key could not be had, as
    /// [`untracked`](Self::untracked).
    pub fn record_untracked(&mut self, permit: Option<&Permit>, outcome: Outcome, now: Instant) {
        let permit = permit.map_or_else(|| self.control.bare_permit(now), Permit::copy);
        self.count_untracked(&permit, outcome, now);
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
        self.record_cloned(key, None, Outcome::Success, now);
    }

    /// A failure for the current state of `key`: it counts while closed, or if a probe is out.
    pub fn record_failure(&mut self, key: &K, now: Instant)
    where
        K: Clone,
    {
        self.record_cloned(key, None, Outcome::Failure, now);
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

    /// Closes the breaker of `key` and forgets its past; calls that are under way no longer count, as long as it has
    /// its entry. False, and nothing done, if it has none, which is as good as new.
    pub fn close<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.hash(key), key);
        let Some(cell) = slot.and_then(|slot| self.table.get_mut(slot)) else { return false };
        self.control.close(cell);
        true
    }

    /// Opens the breaker of `key` for the open time that its [`Reset`] says; calls that are under way no longer count.
    /// False, and nothing done, if it has no entry and there is none to be had.
    #[doc(alias("trip", "force_open"))]
    pub fn open(&mut self, key: &K, now: Instant) -> bool
    where
        K: Clone,
    {
        let hash = self.hash(key);
        self.open_existing(hash, key, now) || self.open_new(hash, key.clone(), now).is_ok()
    }

    /// For adapters: [`open`](Self::open) for a borrowed form of the key whose [`hash`](Self::hash) is known. False,
    /// and nothing done, if it has no entry: call [`open_new`](Self::open_new) then.
    #[must_use = "if it is false, nothing is open yet"]
    pub fn open_existing<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let Some(cell) = self.table.find(hash, key).and_then(|slot| self.table.get_mut(slot)) else { return false };
        self.control.open_now(cell, now);
        true
    }

    /// For adapters: [`open_existing`](Self::open_existing) with a key to keep. A key for which there is no use is
    /// given back, to be dropped where that does no harm.
    ///
    /// # Errors
    ///
    /// The key, if there is no entry for it. Nothing is open.
    pub fn open_new(&mut self, hash: u64, key: K, now: Instant) -> Result<Option<K>, K> {
        if self.open_existing(hash, &key, now) {
            return Ok(Some(key));
        }
        let Ok(displaced) = self.make_room(now) else { return Err(key) };
        let mut cell = Cell::new(P::EMPTY);
        self.control.open_now(&mut cell, now);
        let _ = self.table.insert(hash, key, cell);
        Ok(displaced)
    }

    /// What counts in the window of `key` now.
    pub fn window<Q>(&mut self, key: &Q, now: Instant) -> WindowStats
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.hash(key), key);
        slot.and_then(|slot| self.table.get_mut(slot))
            .map_or_else(WindowStats::default, |cell| self.control.window(cell, now))
    }

    /// Forgets every breaker that is as good as new, and tells how many; never needed, since a full table makes room by
    /// itself. O(capacity).
    ///
    /// As good as new is a breaker that has never opened and in which no call counts, and one that nobody has told
    /// anything for ten minutes, the longest open time, the window's span, and two [leases](Reset::lease). So it blinds
    /// no breaker, however often it is called.
    #[doc(alias("purge", "evict"))]
    pub fn cleanup(&mut self, now: Instant) -> usize {
        let before = self.len();
        let mut from = 0;
        while let Some((slot, _key)) = self.forget_next(from, now) {
            from = slot.saturating_add(1);
        }
        before.saturating_sub(self.len())
    }

    /// For adapters: one step of [`cleanup`](Self::cleanup), which forgets the first such breaker in slot `from` or
    /// later, and gives the slot and the key, to be dropped outside a lock. O(capacity).
    pub fn forget_next(&mut self, from: usize, now: Instant) -> Option<(usize, K)> {
        (from..self.table.slots()).find_map(|slot| {
            let is_as_new = self.control.is_as_new(self.table.get_mut(slot)?, now);
            if !is_as_new {
                return None;
            }
            self.table.remove(slot).map(|(key, _)| (slot, key))
        })
    }

    /// The hash of a key, as [`try_acquire_with`](Self::try_acquire_with) and
    /// [`record_existing`](Self::record_existing) want it.
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

    fn record_cloned(&mut self, key: &K, permit: Option<&Permit>, outcome: Outcome, now: Instant)
    where
        K: Clone,
    {
        let hash = self.hash(key);
        if !self.record_existing(hash, key, permit, outcome, now) {
            drop(self.record_new(hash, key.clone(), permit, outcome, now));
        }
    }

    fn count_untracked(&mut self, permit: &Permit, outcome: Outcome, now: Instant) {
        self.control.count_unjudged(permit, outcome, now);
        self.untracked = self.untracked.saturating_add(1);
    }

    /// The key that has lost its entry, if one had to; an error if every entry is taken, and none of the next
    /// [`SEARCH`] is idle.
    fn make_room(&mut self, now: Instant) -> Result<Option<K>, ()> {
        if !self.table.is_full() {
            return Ok(None);
        }
        for _ in 0..self.table.slots().min(SEARCH) {
            let slot = self.hand;
            self.hand = slot.saturating_add(1);
            if self.hand >= self.table.slots() {
                self.hand = 0;
            }
            if self.table.get_mut(slot).is_some_and(|cell| self.control.is_idle(cell, now)) {
                self.reused = self.reused.saturating_add(1);
                return Ok(self.table.remove(slot).map(|(key, _)| key));
            }
        }
        Err(())
    }
}

#[cfg(test)]
#[path = "breakers_tests.rs"]
mod tests;
