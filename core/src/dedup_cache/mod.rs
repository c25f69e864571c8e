//! Deduplication with a TTL in fixed memory: of messages (at least once delivery, gossip), and of work by idempotency key.
//!
//! [`DedupCache`] tells whether an id was seen within its TTL. For work that may fail, or must not run twice,
//! [`claim`](DedupCacheIn::claim) an id, do the work, then commit or abort.
//!
//! **Outcomes**: [`Seen`] of a check, [`Claim`] of a claim, both with `Full`. **Errors**: [`ClaimLost`] of a commit
//! that came too late. **Counts**: [`DedupStats`].

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

pub use guard::ClaimGuard;
pub use outcome::{Claim, ClaimLost, ClaimTicket, DedupStats, OnFull, Seen};

use crate::foundation::{
    age::{AgeList, Aged},
    hash::HashSeed,
    readings::Readings,
    storage::{Allocate, Inline, Link, Storage},
    table::Table,
    time::{Instant, Span, earliest},
};
use state::State;

/// An id's age and state.
type Entry<L> = Aged<L, State>;

/// A deduplication cache with a TTL, with room for `N` ids. It never forgets an id early without saying so: see
/// [When it is full](#when-it-is-full).
///
/// [`check`](DedupCacheIn::check) asks and marks in one step. A duplicate does not prolong the TTL of an id. Expiry
/// holds on every read: no task is needed, though [`on_timeout`](DedupCacheIn::on_timeout) frees expired entries early.
/// Deduplicate what was authenticated: a client who can choose another's id can use it up.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{DedupCache, Instant, dedup_cache::{Seen, OnFull}};
///
/// let mut heard: DedupCache<u64, 64> = DedupCache::new(Duration::from_secs(600), OnFull::ForgetOldest);
/// let now = Instant::from_secs(100);
/// assert_eq!(heard.check(&7, now), Seen::Fresh);
/// assert_eq!(heard.check(&7, Instant::from_secs(130)), Seen::Duplicate { first_seen_at: now, count: 1 });
/// assert_eq!(heard.check(&7, Instant::from_secs(700)), Seen::Fresh);
/// ```
///
/// # Claims
///
/// For work that may fail, or must not run twice (idempotency): [`claim`](DedupCacheIn::claim) an id, do the work, then
/// commit or abort. Until then, others are told that it is in flight. A ticket that was lost is given up when the lease
/// ends.
///
/// # Not a replay window
///
/// An id is known for one TTL, and not across a restart. A message that is sent again after that is `Fresh`. Where that
/// does harm, put a timestamp or a counter under the message's authentication, and refuse what is older than a TTL, or
/// than the start of this cache.
///
/// # When it is full
///
/// When all `N` ids are alive, [`OnFull`] decides: refuse the new id (fail closed), or forget the oldest (fail open). The
/// newest id is always kept if one is forgotten.
///
/// # Clock
///
/// A `now` that is earlier than another before it is taken for a late reading: time stands still, and no id is
/// forgotten. Once all readings have been behind for a TTL or a lease (the shorter of the two), the clock has stepped
/// back. What lay ahead of it then ends one TTL, or one lease, after the first such reading. No id is kept for longer
/// than one TTL more than its own. The call that notices it is O(ids that lie ahead).
///
/// # Cost
///
/// Every call is O(1) expected, unless it says otherwise. That is so because all ids of a cache have one TTL, and so expire in
/// the order in which they came: for ids with another TTL, take another cache.
#[doc(alias("Cache", "TTL cache", "at least once", "time_to_live"))]
pub type DedupCache<K, const N: usize, H = HashSeed> = DedupCacheIn<K, Inline<N>, H>;

/// A [`DedupCache`] in any [`Storage`].
pub struct DedupCacheIn<K, S: Storage, H = HashSeed> {
    table: Table<K, Entry<S::Link>, S, H>,
    /// Every entry is in one of these two lists: its state tells in which.
    marked: AgeList<S::Link>,
    claimed: AgeList<S::Link>,
    lives: Lives,
    on_full: OnFull,
    next_claim: u32,
    /// What time it is: no entry began later.
    readings: Readings,
    /// When the life of the youngest id began that was forgotten: every later one is held.
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

    /// For how long readings are taken for late: nothing is to last longer than its own span after a step back.
    const fn patience(&self) -> Span {
        if self.lease.as_nanos() < self.ttl.as_nanos() { self.lease } else { self.ttl }
    }
}

impl<K, const N: usize> DedupCache<K, N> {
    /// An empty cache whose ids live for `ttl`, hashing with [`HashSeed::FIXED`]: [`reseed`](DedupCacheIn::reseed) it
    /// before peers that choose their own ids can reach it.
    ///
    /// A `ttl` of zero makes every id new. `N` of 0 or above 65,534 does not compile.
    #[doc(alias = "NewDedupCache")]
    #[must_use]
    pub const fn new(ttl: Duration, on_full: OnFull) -> Self {
        Self::with_hasher(ttl, on_full, HashSeed::FIXED)
    }
}

impl<K, H, const N: usize> DedupCache<K, N, H> {
    /// An empty cache with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(ttl: Duration, on_full: OnFull, hasher: H) -> Self {
        Self::on(Table::new(hasher), ttl, on_full)
    }
}

impl<K, S: Allocate, H> DedupCacheIn<K, S, H> {
    /// An empty cache for `capacity` ids, at least one, in storage of run-time size.
    pub fn allocate(ttl: Duration, on_full: OnFull, capacity: usize, hasher: H) -> Self {
        Self::on(Table::allocate(capacity, hasher), ttl, on_full)
    }
}

impl<K, S: Storage, H> DedupCacheIn<K, S, H> {
    const fn on(table: Table<K, Entry<S::Link>, S, H>, ttl: Duration, on_full: OnFull) -> Self {
        Self {
            table,
            marked: AgeList::new(),
            claimed: AgeList::new(),
            lives: Lives { ttl: Span::new(ttl), lease: Span::new(ttl) },
            on_full,
            next_claim: 0,
            readings: Readings::new(),
            forgotten_at: None,
            stats: DedupStats::NONE,
        }
    }

    /// The same cache with another lease for its claims; it is as long as the TTL if this is not called.
    ///
    /// Longer than the work takes, shorter than the time in which the id comes again.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lives.lease = Span::new(lease);
        self
    }

    /// Other settings from now on, for every id that is held: it is known until `ttl` after it was marked, a claim is given
    /// up `lease` after it began.
    ///
    /// So a shorter TTL ends the life of older ids now, and a longer one prolongs it, of those also whose life has ended and
    /// whose entry was not needed yet. [`horizon`](Self::horizon) says from when on all are known. A claim whose lease ends by
    /// this is lost: its commit says so.
    pub fn set_settings(&mut self, ttl: Duration, lease: Duration, on_full: OnFull, now: Instant) {
        let now = self.observe(now);
        let (former, lives) = (self.lives.ttl, Lives { ttl: Span::new(ttl), lease: Span::new(lease) });
        if lives.ttl > former {
            // Ids that were older than the former TTL may be gone.
            self.forgotten_at = self.forgotten_at.max(Some(now.before(former)));
        }
        self.lives = lives;
        self.on_full = on_full;
    }

    /// The TTL: how long an id is known.
    pub const fn ttl(&self) -> Duration {
        self.lives.ttl.to_duration()
    }

    /// How many ids have an entry; those whose TTL ended may be among them until their entry is needed.
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
    /// It is the TTL, unless live ids had to be forgotten for want of room.
    pub fn horizon(&mut self, now: Instant) -> Duration {
        let now = self.observe(now);
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

    /// When [`on_timeout`](Self::on_timeout) has something to do: the first end of a TTL or a lease, or when it is to find
    /// that the clock has stepped back. O(1).
    ///
    /// Changed by every call that takes `&mut self`.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let marked = self.marked.oldest(&self.table).map(|(_, entry)| self.lives.end(entry));
        let claimed = self.claimed.oldest(&self.table).map(|(_, entry)| self.lives.end(entry));
        let first = earliest([marked, claimed])?;
        let noticed = self.readings.behind().map(|at| at.after(self.lives.patience()));
        Some(noticed.map_or(first, |at| at.earlier(first)))
    }

    fn is_alive(&self, slot: usize, now: Instant) -> bool {
        self.table.get(slot).is_some_and(|(_, entry)| now < self.lives.end(entry))
    }

    /// Takes note of the time, and tells by what time to go.
    #[inline]
    fn observe(&mut self, now: Instant) -> Instant {
        if self.readings.go_on(now) { now } else { self.fall_behind(now) }
    }

    #[cold]
    fn fall_behind(&mut self, now: Instant) -> Instant {
        if let Some(step) = self.readings.fall_behind(now, self.lives.patience()) {
            self.marked.step_back(&mut self.table, step);
            self.claimed.step_back(&mut self.table, step);
            self.forgotten_at = self.forgotten_at.map(|at| at.earlier(step.noticed()));
        }
        self.readings.now()
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
        let (list, span) =
            if state.is_claimed() { (&mut self.claimed, self.lives.lease) } else { (&mut self.marked, self.lives.ttl) };
        let at = self.readings.begin(now, span, || list.newest_at(&self.table));
        list.push(&mut self.table, slot, at);
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
        let hash = self.hash(key);
        self.check_or(hash, key, &mut None, own, || now).unwrap_or(Seen::Full)
    }

    /// [`check`](Self::check) of a borrowed form of the key, for callers that have hashed it already and hold a lock.
    ///
    /// `hash` is what this cache's [`hash`](Self::hash) returns. `spare` is the key of a new entry: `None` comes back, and
    /// nothing was changed, if one is needed and is not there. After the call it holds a key that is not needed any more,
    /// if there is one: so neither `Clone` nor `Drop` of a key has to run inside the lock. `now` is asked for after the
    /// look-up, so that reading a processor's counter does not wait for memory.
    pub fn check_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<K>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.check_or(hash, key, spare, |_| None, now)
    }

    /// [`check_with`](Self::check_with), where `own` makes a key if there is none to spare.
    fn check_or<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<K>,
        own: impl FnOnce(&Q) -> Option<K>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let known = self.table.find(hash, key);
        let now = now();
        let time = self.observe(now);
        if let Some(entry) = known.and_then(|slot| self.table.get_mut(slot))
            && time < self.lives.end(entry)
        {
            return Some(repeat(entry, &mut self.stats));
        }
        match self.enter(known, hash, spare, || own(key), State::MARKED, (now, time)) {
            Entered::At(_) => Some(Seen::Fresh),
            Entered::Full => Some(Seen::Full),
            Entered::NoKey => None,
        }
    }

    /// True if `key` is marked or claimed; changes nothing but what the clock tells.
    #[doc(alias = "Seen")]
    pub fn seen<Q>(&mut self, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.seen_with(self.hash(key), key, now)
    }

    /// [`seen`](Self::seen), for callers that have hashed the key already.
    pub fn seen_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.observe(now);
        self.table.find(hash, key).is_some_and(|slot| self.is_alive(slot, now))
    }

    /// Begins the TTL of `key` now, whether or not it was seen, and tells what it was.
    ///
    /// A claim of it is over, as if it were committed.
    #[doc(alias = "Mark")]
    pub fn mark(&mut self, key: &K, now: Instant) -> Seen
    where
        K: Clone,
    {
        let hash = self.hash(key);
        let seen = self.check_or(hash, key, &mut None, own, || now).unwrap_or(Seen::Full);
        self.renew(seen, hash, key, now);
        seen
    }

    /// [`mark`](Self::mark) of a borrowed form of the key; see [`check_with`](Self::check_with).
    pub fn mark_with<Q>(&mut self, hash: u64, key: &Q, spare: &mut Option<K>, now: Instant) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let seen = self.check_with(hash, key, spare, || now)?;
        self.renew(seen, hash, key, now);
        Some(seen)
    }

    /// Forgets one id before its TTL ends, and gives it back: it may come again. `None` if it is not known.
    ///
    /// A claim of it is over, as if it were aborted: its commit is told [`ClaimLost`].
    #[doc(alias("invalidate", "remove", "del"))]
    pub fn forget<Q>(&mut self, key: &Q, now: Instant) -> Option<K>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.forget_with(self.hash(key), key, now)
    }

    /// [`forget`](Self::forget), for callers that have hashed the key already.
    pub fn forget_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> Option<K>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.observe(now);
        let slot = self.table.find(hash, key).filter(|slot| self.is_alive(*slot, now))?;
        let is_claimed = self.table.get(slot).is_some_and(|(_, entry)| entry.value.is_claimed());
        let counter = if is_claimed { &mut self.stats.aborted } else { &mut self.stats.removed };
        *counter = counter.saturating_add(1);
        self.remove(slot)
    }

    /// Forgets every id whose TTL or lease has ended, and tells how many. O(those).
    ///
    /// Never needed: they count as forgotten anyhow, and their entries are used when there is no other.
    #[doc(alias = "Cleanup")]
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_some(usize::MAX, drop, now)
    }

    /// [`cleanup`](Self::cleanup) of at most so many, the oldest first, for callers that hold a lock: `gone` gets their
    /// keys, to be dropped outside it. O(`limit`).
    pub fn cleanup_some(&mut self, limit: usize, gone: impl FnMut(K), now: Instant) -> usize {
        // What has not ended by a late reading may wait for the next one.
        let now = self.observe(now).earlier(now);
        (0..limit).map_while(|_| self.remove_ended(now)).map(gone).count()
    }

    /// [`cleanup`](Self::cleanup) for a loop over deadlines. Early it ends nothing; late is enough.
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

    /// Begins the life of a key that has come again anew.
    fn renew<Q>(&mut self, seen: Seen, hash: u64, key: &Q, now: Instant)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if matches!(seen, Seen::Duplicate { .. })
            && let Some(slot) = self.table.find(hash, key)
        {
            self.confirm(slot, now);
        }
    }

    /// Puts in a key that is not alive: into the slot that it still has, or a free one. `now` was read, `time` is what
    /// it is.
    fn enter(
        &mut self,
        over: Option<usize>,
        hash: u64,
        spare: &mut Option<K>,
        own: impl FnOnce() -> Option<K>,
        state: State,
        (now, time): (Instant, Instant),
    ) -> Entered {
        let slot = match over {
            Some(slot) => {
                if let Some((_, entry)) = self.table.get(slot) {
                    self.count_end(entry.value);
                }
                self.unlink(slot);
                slot
            }
            None => {
                if self.table.is_full() && !self.has_room(time) {
                    self.stats.refused = self.stats.refused.saturating_add(1);
                    return Entered::Full;
                }
                let Some(key) = spare.take().or_else(own) else { return Entered::NoKey };
                if self.table.is_full() {
                    *spare = self.make_room(time);
                }
                match self.table.insert(hash, key, Entry::new(state)) {
                    Ok(slot) => slot,
                    Err((key, _)) => {
                        *spare = Some(key);
                        return Entered::Full;
                    }
                }
            }
        };
        self.begin(slot, state, now);
        self.stats.fresh = self.stats.fresh.saturating_add(1);
        Entered::At(slot)
    }

    /// Begins the life of an entry anew; a claim is committed by it.
    fn confirm(&mut self, slot: usize, now: Instant) {
        if self.table.get(slot).is_some_and(|(_, entry)| entry.value.is_claimed()) {
            self.stats.committed = self.stats.committed.saturating_add(1);
        }
        self.unlink(slot);
        self.begin(slot, State::MARKED, now);
    }

    /// True if a full cache can make room for one more.
    fn has_room(&self, now: Instant) -> bool {
        self.ended(now).is_some() || self.on_full == OnFull::ForgetOldest && self.marked.oldest(&self.table).is_some()
    }

    /// Removes the entry that is needed least, and gives back its key.
    fn make_room(&mut self, now: Instant) -> Option<K> {
        if let Some(key) = self.remove_ended(now) {
            return Some(key);
        }
        let (slot, entry) = self.marked.oldest(&self.table)?;
        // Later than another before, unless the clock has stepped back.
        self.forgotten_at = self.forgotten_at.max(Some(entry.at()));
        self.stats.forgotten = self.stats.forgotten.saturating_add(1);
        self.remove(slot)
    }

    /// An entry whose life or lease has ended.
    fn ended(&self, now: Instant) -> Option<(usize, State)> {
        let oldest = [self.marked.oldest(&self.table), self.claimed.oldest(&self.table)];
        let ended = oldest.into_iter().flatten().find(|(_, entry)| now >= self.lives.end(entry));
        ended.map(|(slot, entry)| (slot, entry.value))
    }

    /// Removes one entry whose life or lease has ended.
    fn remove_ended(&mut self, now: Instant) -> Option<K> {
        let (slot, state) = self.ended(now)?;
        self.count_end(state);
        self.remove(slot)
    }

    fn remove(&mut self, slot: usize) -> Option<K> {
        self.unlink(slot);
        self.table.remove(slot).map(|(key, _)| key)
    }
}

/// What became of a key that was to be put in.
enum Entered {
    At(usize),
    Full,
    /// It needs a key of its own; nothing was changed.
    NoKey,
}

/// What makes the key of a new entry where no lock is held.
fn own<K: Clone>(key: &K) -> Option<K> {
    Some(key.clone())
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
        let Self { lives: Lives { ttl, lease }, on_full, .. } = self;
        f.debug_struct("DedupCache")
            .field("ttl", &ttl.to_duration())
            .field("lease", &lease.to_duration())
            .field("on_full", on_full)
            .field("capacity", &self.capacity())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
