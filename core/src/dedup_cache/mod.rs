//! Duplicates kept out, in fixed memory and for a limited time.

mod claim;
mod guard;
mod outcome;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    time::Duration,
};

pub use guard::{ClaimEnd, ClaimGuard};
pub use outcome::{Claim, ClaimLost, ClaimTicket, DedupStats, Seen, WhenFull};

use crate::{
    HashSeed, Instant,
    age::{AgeList, Aged},
    earliest,
    storage::{Allocate, Inline, Link, Storage},
    table::Table,
    time::Span,
};
use state::State;

/// An id's age and state.
type Entry<L> = Aged<L, State>;

/// Tells whether an id was seen within its life, for at most `N` ids at once.
///
/// [`check`](DedupCacheIn::check) asks and marks in one step. A duplicate does not extend the life of an id. Expiry holds
/// on every read: no task is needed, though [`on_timeout`](DedupCacheIn::on_timeout) gives memory behind ids back early.
/// Every call is O(1) expected, unless it says otherwise. Dedup on what was verified: whoever can choose another's id can
/// use it up.
///
/// **When all `N` ids are alive**, [`WhenFull`] decides, and the newest id is always kept if one is forgotten.
///
/// **Claims** are for work that may fail: [`claim`](DedupCacheIn::claim) an id, do the work, then commit or abort. Until
/// then, others are told that it is in flight. A ticket that was lost is given up when the lease ends.
///
/// **When the clock steps back**, the next call that marks or claims moves what lies ahead of it to its own `now`, so that
/// no id lives longer than one life from there. Such a call is O(ids that lie ahead).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{DedupCache, Instant, Seen, WhenFull};
///
/// let mut heard: DedupCache<u64, 64> = DedupCache::new(Duration::from_secs(600), WhenFull::ForgetOldest);
/// let now = Instant::from_secs(100);
/// assert_eq!(heard.check(&7, now), Seen::Fresh);
/// assert_eq!(heard.check(&7, Instant::from_secs(130)), Seen::Duplicate { first_seen_at: now, count: 1 });
/// assert_eq!(heard.check(&7, Instant::from_secs(700)), Seen::Fresh);
/// ```
pub type DedupCache<K, const N: usize, H = HashSeed> = DedupCacheIn<K, Inline<N>, H>;

/// A [`DedupCache`] in any [`Storage`].
pub struct DedupCacheIn<K, S: Storage, H = HashSeed> {
    table: Table<K, Entry<S::Link>, S, H>,
    /// Every entry is in one of these two lists: its state tells in which.
    marked: AgeList<S::Link>,
    claimed: AgeList<S::Link>,
    lives: Lives,
    when_full: WhenFull,
    next_claim: u32,
    /// The last reading of a call that marks: no entry began later.
    latest: Instant,
    /// When the life of the id began that was forgotten last: every later one is held.
    forgotten_at: Option<Instant>,
    stats: DedupStats,
}

/// How long entries live.
#[derive(Clone, Copy)]
struct Lives {
    ttl: Span,
    lease: Span,
}

impl Lives {
    /// When the life or the lease of an entry ends.
    const fn end<L: Link>(&self, entry: &Entry<L>) -> Instant {
        entry.at().after(if entry.value.is_claimed() { self.lease } else { self.ttl })
    }
}

impl<K, const N: usize> DedupCache<K, N> {
    /// An empty cache whose ids live for `ttl`, hashing with [`HashSeed::FIXED`]: [`reseed`](DedupCacheIn::reseed) it
    /// before peers that choose their own ids can reach it.
    ///
    /// A `ttl` of zero makes every id new. `N` of 0 or above 65,534 does not compile.
    #[doc(alias = "NewDedupCache")]
    #[must_use]
    pub const fn new(ttl: Duration, when_full: WhenFull) -> Self {
        Self::with_hasher(ttl, when_full, HashSeed::FIXED)
    }
}

impl<K, H, const N: usize> DedupCache<K, N, H> {
    /// An empty cache with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(ttl: Duration, when_full: WhenFull, hasher: H) -> Self {
        Self::on(Table::new(hasher), ttl, when_full)
    }
}

impl<K, S: Allocate, H> DedupCacheIn<K, S, H> {
    /// An empty cache for `capacity` ids, at least one, in storage of run-time size.
    pub fn allocate(ttl: Duration, when_full: WhenFull, capacity: usize, hasher: H) -> Self {
        Self::on(Table::allocate(capacity, hasher), ttl, when_full)
    }
}

impl<K, S: Storage, H> DedupCacheIn<K, S, H> {
    const fn on(table: Table<K, Entry<S::Link>, S, H>, ttl: Duration, when_full: WhenFull) -> Self {
        Self {
            table,
            marked: AgeList::new(),
            claimed: AgeList::new(),
            lives: Lives { ttl: Span::new(ttl), lease: Span::new(ttl) },
            when_full,
            next_claim: 0,
            latest: Instant::ZERO,
            forgotten_at: None,
            stats: DedupStats::NONE,
        }
    }

    /// The same cache with another lease for its claims; it is as long as the life of an id if this is not called.
    ///
    /// Longer than the work takes, shorter than the time in which the id comes again.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lives.lease = Span::new(lease);
        self
    }

    /// How long an id lives.
    pub const fn ttl(&self) -> Duration {
        self.lives.ttl.to_duration()
    }

    /// How many ids have an entry; those whose life ended may be among them until their entry is needed.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// True if no id has an entry.
    pub const fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// The most ids that are held at once.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// The window that is really held: every id that was marked less than this ago is known.
    ///
    /// It is the life of an id, unless live ones had to be forgotten for want of room.
    pub const fn horizon(&self, now: Instant) -> Duration {
        match self.forgotten_at {
            Some(at) if now.since(at).as_nanos() < self.lives.ttl.as_nanos() => now.since(at).to_duration(),
            _ => self.ttl(),
        }
    }

    /// What was done so far.
    pub const fn stats(&self) -> DedupStats {
        let mut stats = self.stats;
        let over = stats.committed.saturating_add(stats.aborted).saturating_add(stats.given_up);
        stats.pending = stats.claimed.saturating_sub(over);
        stats.held = self.table.len() as u64;
        stats
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do: the first end of a life or a lease. O(1).
    ///
    /// Changed by every call that takes `&mut self`.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let marked = self.marked.oldest(&self.table).map(|(_, entry)| self.lives.end(entry));
        let claimed = self.claimed.oldest(&self.table).map(|(_, entry)| self.lives.end(entry));
        earliest([marked, claimed])
    }

    fn is_alive(&self, slot: usize, now: Instant) -> bool {
        self.table.get(slot).is_some_and(|(_, entry)| now < self.lives.end(entry))
    }

    /// Takes an entry out of its list.
    fn unlink(&mut self, slot: usize) {
        if self.table.get(slot).is_some_and(|(_, entry)| entry.value.is_claimed()) {
            self.claimed.unlink(&mut self.table, slot);
        } else {
            self.marked.unlink(&mut self.table, slot);
        }
    }

    /// Begins the life or the lease of an entry that is in no list.
    fn begin(&mut self, slot: usize, state: State, now: Instant) {
        if let Some(entry) = self.table.get_mut(slot) {
            entry.value = state;
        }
        let list = if state.is_claimed() { &mut self.claimed } else { &mut self.marked };
        list.push(&mut self.table, slot, now);
    }

    /// Counts that an entry came to the end of its life or lease.
    const fn count_end(&mut self, state: State) {
        let counter = if state.is_claimed() { &mut self.stats.given_up } else { &mut self.stats.expired };
        *counter = counter.saturating_add(1);
    }
}

impl<K: Eq + Hash, S: Storage, H: BuildHasher> DedupCacheIn<K, S, H> {
    /// Tells whether `key` was seen, and marks it if it was not.
    #[doc(alias = "Check")]
    pub fn check(&mut self, key: &K, now: Instant) -> Seen
    where
        K: Clone,
    {
        self.check_with(self.hash(key), key, K::clone, || now)
    }

    /// [`check`](Self::check) of a borrowed form of the key, for callers that have hashed it already.
    ///
    /// `hash` is what this cache's [`hash`](Self::hash) returns; `own` makes the key of a new entry. `now` is asked for
    /// when the key was looked up: where a processor reads its counter only after all that it loads, reading it first
    /// would make the look-up wait.
    #[inline]
    pub fn check_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        now: impl FnOnce() -> Instant,
    ) -> Seen
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let known = self.table.find(hash, key);
        let now = now();
        self.observe(now);
        if let Some(entry) = known.and_then(|slot| self.table.get_mut(slot))
            && now < self.lives.end(entry)
        {
            return repeat(entry, &mut self.stats);
        }
        match self.enter(known, hash, key, own, State::MARKED, now) {
            Some(_) => Seen::Fresh,
            None => Seen::Full,
        }
    }

    /// True if `key` is marked or claimed; changes nothing.
    #[doc(alias = "Seen")]
    pub fn seen<Q>(&self, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.seen_with(self.hash(key), key, now)
    }

    /// [`seen`](Self::seen), for callers that have hashed the key already.
    pub fn seen_with<Q>(&self, hash: u64, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.table.find(hash, key).is_some_and(|slot| self.is_alive(slot, now))
    }

    /// Begins the life of `key` now, whether or not it was seen, and tells what it was.
    ///
    /// A claim of it is over, as if it were committed.
    #[doc(alias = "Mark")]
    pub fn mark(&mut self, key: &K, now: Instant) -> Seen
    where
        K: Clone,
    {
        self.mark_with(self.hash(key), key, K::clone, now)
    }

    /// [`mark`](Self::mark) of a borrowed form of the key; see [`check_with`](Self::check_with).
    pub fn mark_with<Q>(&mut self, hash: u64, key: &Q, own: impl FnOnce(&Q) -> K, now: Instant) -> Seen
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let seen = self.check_with(hash, key, own, || now);
        if matches!(seen, Seen::Duplicate { .. })
            && let Some(slot) = self.table.find(hash, key)
        {
            self.confirm(slot, now);
        }
        seen
    }

    /// Forgets every id whose life or lease has ended, and tells how many. O(those).
    ///
    /// Never needed: they count as forgotten anyhow, and their entries are used when there is no other.
    #[doc(alias = "Cleanup")]
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_some(usize::MAX, now)
    }

    /// [`cleanup`](Self::cleanup) of at most so many, the oldest first, for callers that hold a lock. O(`limit`).
    pub fn cleanup_some(&mut self, limit: usize, now: Instant) -> usize {
        (0..limit).take_while(|_| self.remove_ended(now)).count()
    }

    /// [`cleanup`](Self::cleanup) for a loop over deadlines. Early it changes nothing; late is enough.
    pub fn on_timeout(&mut self, now: Instant) {
        self.cleanup(now);
    }

    /// The hash of a key, as [`check_with`](Self::check_with) wants it.
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

    /// After a step back, what lies ahead begins now, and both lists stay sorted.
    fn observe(&mut self, now: Instant) {
        if now < self.latest {
            self.marked.clamp(&mut self.table, now);
            self.claimed.clamp(&mut self.table, now);
            self.forgotten_at = self.forgotten_at.map(|at| at.earlier(now));
        }
        self.latest = now;
    }

    /// Puts in a key that is not alive: into the slot that it still has, or a free one.
    fn enter<Q>(
        &mut self,
        over: Option<usize>,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        state: State,
        now: Instant,
    ) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let slot = match over {
            Some(slot) => {
                let (_, entry) = self.table.get(slot)?;
                self.count_end(entry.value);
                self.unlink(slot);
                slot
            }
            None => {
                if self.table.is_full() && !self.make_room(now) {
                    self.stats.refused = self.stats.refused.saturating_add(1);
                    return None;
                }
                self.table.insert(hash, own(key), Entry::new(state)).ok()?
            }
        };
        self.begin(slot, state, now);
        self.stats.fresh = self.stats.fresh.saturating_add(1);
        Some(slot)
    }

    /// Begins the life of an entry anew; a claim is committed by it.
    fn confirm(&mut self, slot: usize, now: Instant) {
        if self.table.get(slot).is_some_and(|(_, entry)| entry.value.is_claimed()) {
            self.stats.committed = self.stats.committed.saturating_add(1);
        }
        self.unlink(slot);
        self.begin(slot, State::MARKED, now);
    }

    fn make_room(&mut self, now: Instant) -> bool {
        if self.remove_ended(now) {
            return true;
        }
        match (self.when_full, self.marked.oldest(&self.table)) {
            (WhenFull::ForgetOldest, Some((slot, entry))) => {
                self.forgotten_at = Some(entry.at());
                self.remove(slot);
                self.stats.forgotten = self.stats.forgotten.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// Removes one entry whose life or lease has ended.
    fn remove_ended(&mut self, now: Instant) -> bool {
        let oldest = [self.marked.oldest(&self.table), self.claimed.oldest(&self.table)];
        let ended = oldest.into_iter().flatten().find(|(_, entry)| now >= self.lives.end(entry));
        let Some((slot, state)) = ended.map(|(slot, entry)| (slot, entry.value)) else { return false };
        self.count_end(state);
        self.remove(slot);
        true
    }

    fn remove(&mut self, slot: usize) {
        self.unlink(slot);
        self.table.remove(slot);
    }
}

/// Counts a duplicate, and tells of it.
fn repeat<L: Link>(entry: &mut Entry<L>, stats: &mut DedupStats) -> Seen {
    entry.value = entry.value.repeated();
    stats.duplicates = stats.duplicates.saturating_add(1);
    Seen::Duplicate { first_seen_at: entry.at(), count: entry.value.repeats() }
}

impl<K: Clone, H: Clone, const N: usize> Clone for DedupCache<K, N, H> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), ..*self }
    }
}

/// Shows counts only: ids may be secrets.
impl<K, S: Storage, H> fmt::Debug for DedupCacheIn<K, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lives: Lives { ttl, lease }, when_full, .. } = self;
        f.debug_struct("DedupCache")
            .field("ttl", &ttl.to_duration())
            .field("lease", &lease.to_duration())
            .field("when_full", when_full)
            .field("capacity", &self.capacity())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
