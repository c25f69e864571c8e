//! Deduplication with a TTL in fixed memory: of messages (at least once delivery, gossip), and of work by idempotency key.
//!
//! [`DedupCache`] tells whether an id was seen within its TTL. For work that may fail, or must not run twice,
//! [`claim`](DedupCacheIn::claim) an id, do the work, then commit or abort.
//!
//! **Outcomes**: [`Seen`] of a check, [`Claim`] of a claim, both with `Full`. **Errors**: [`ClaimLost`] of a commit
//! that came too late. **Counts**: [`DedupStats`].

mod ask;
mod claim;
mod guard;
mod ids;
mod index;
mod observe;
mod order;
mod outcome;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use core::{borrow::Borrow, fmt, mem, time::Duration};

pub use guard::ClaimGuard;
pub use outcome::{Claim, ClaimLost, ClaimTicket, DedupStats, OnFull, Seen};

use crate::foundation::{
    hash::HashSeed,
    readings::Readings,
    storage::{Allocate, Inline, Link, Storage},
    time::{Instant, Span, earliest},
};
use ids::{Held, Ids};
use order::Order;
use state::State;

/// A deduplication cache with a TTL, with room for `N` ids. It never forgets an id early without saying so: see
/// [When it is full](#when-it-is-full).
///
/// [`check`](DedupCacheIn::check) asks and marks in one step. A duplicate does not prolong the TTL of an id. Expiry
/// holds on every read: no task is needed, though [`on_timeout`](DedupCacheIn::on_timeout) frees expired entries early.
/// Deduplicate what was authenticated: a client who can choose another's id can use it up.
///
/// Behind a lock ([`Shared`](crate::foundation::shared::Shared)) a claim is a guard, which aborts when it is dropped.
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
/// # An answer that is given again
///
/// With `V`, [`commit_with`](DedupCacheIn::commit_with) keeps a value with the id, and [`Claim::Duplicate`] shows it: the
/// answer to a request that comes twice. It lives as long as its id. An id that was marked without one has `V::default()`, so
/// `V` is an `Option` as a rule; who comes while the first is in flight sees none. Values leave the cache with their keys:
/// neither is dropped inside a lock. `()`, which is the default, takes no room.
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
/// Every call is O(1) expected, unless it says otherwise: in a full cache a look-up meets 1.5 cells of the index for an id
/// that is there, and 2.5 for one that is not. Ids whose hashes share their upper bits (16 of them; 32 in storage of run-time
/// size) cost one comparison for each that is there, which takes who knows the secret. All ids of a
/// cache have one TTL, and so expire in the order in which they came: for ids with another TTL, take another cache.
#[doc(alias("Cache", "TTL cache", "at least once", "time_to_live"))]
pub type DedupCache<K, const N: usize, H = HashSeed, V = ()> = DedupCacheIn<K, Inline<N>, H, V>;

/// A [`DedupCache`] in any [`Storage`].
pub struct DedupCacheIn<K, S: Storage, H = HashSeed, V = ()> {
    ids: Ids<K, V, S>,
    hasher: H,
    /// Every id is in one of these two orders: its state tells in which.
    marked: Order<S::Link>,
    claimed: Order<S::Link>,
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
    const fn end<K, V, L: Link>(&self, held: &Held<K, V, L>) -> Instant {
        held.at().after(if held.state.is_claimed() { self.lease } else { self.ttl })
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

impl<K, H, V, const N: usize> DedupCache<K, N, H, V> {
    /// An empty cache with a hasher of the caller's choice, which keeps values of any type.
    #[must_use]
    pub const fn with_hasher(ttl: Duration, on_full: OnFull, hasher: H) -> Self {
        Self::on(Ids::<K, V, Inline<N>>::new(), ttl, on_full, hasher)
    }
}

impl<K, S: Allocate, H, V> DedupCacheIn<K, S, H, V> {
    /// An empty cache for `capacity` ids, at least one, in storage of run-time size.
    pub fn allocate(ttl: Duration, on_full: OnFull, capacity: usize, hasher: H) -> Self {
        Self::on(Ids::allocate(capacity), ttl, on_full, hasher)
    }
}

impl<K, S: Storage, H, V> DedupCacheIn<K, S, H, V> {
    const fn on(ids: Ids<K, V, S>, ttl: Duration, on_full: OnFull, hasher: H) -> Self {
        Self {
            ids,
            hasher,
            marked: Order::new(),
            claimed: Order::new(),
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
        self.ids.len()
    }

    /// True if no id has an entry.
    pub const fn is_empty(&self) -> bool {
        self.ids.len() == 0
    }

    /// The most ids that are held at once.
    pub fn capacity(&self) -> usize {
        self.ids.capacity()
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
        stats.held = self.ids.len() as u64;
        stats
    }

    /// When [`on_timeout`](Self::on_timeout) has something to do: the first end of a TTL or a lease, or when it is to find
    /// that the clock has stepped back. O(1).
    ///
    /// Changed by every call that takes `&mut self`.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let marked = self.marked.oldest(&self.ids).map(|(_, held)| self.lives.end(held));
        let claimed = self.claimed.oldest(&self.ids).map(|(_, held)| self.lives.end(held));
        let first = earliest([marked, claimed])?;
        let noticed = self.readings.behind().map(|at| at.after(self.lives.patience()));
        Some(noticed.map_or(first, |at| at.earlier(first)))
    }

    fn is_alive(&self, place: usize, now: Instant) -> bool {
        self.ids.get(place).is_some_and(|held| now < self.lives.end(held))
    }

    /// Takes note of the time, and tells by what time to go.
    #[inline]
    fn observe(&mut self, now: Instant) -> Instant {
        if self.readings.go_on(now) { now } else { self.fall_behind(now) }
    }

    #[cold]
    fn fall_behind(&mut self, now: Instant) -> Instant {
        if let Some(step) = self.readings.fall_behind(now, self.lives.patience()) {
            self.marked.step_back(&mut self.ids, step);
            self.claimed.step_back(&mut self.ids, step);
            self.forgotten_at = self.forgotten_at.map(|at| at.earlier(step.noticed()));
        }
        self.readings.now()
    }

    /// Takes an id out of its order.
    fn unlink(&mut self, place: usize) {
        let is_claimed = self.ids.get(place).is_some_and(|held| held.state.is_claimed());
        let order = if is_claimed { &mut self.claimed } else { &mut self.marked };
        order.unlink(&mut self.ids, place);
    }

    /// Begins the life or the lease of an id that is in no order.
    fn begin(&mut self, place: usize, state: State, now: Instant) {
        if let Some(held) = self.ids.get_mut(place) {
            held.state = state;
        }
        let (order, span) =
            if state.is_claimed() { (&mut self.claimed, self.lives.lease) } else { (&mut self.marked, self.lives.ttl) };
        let at = self.readings.begin(now, span, || order.newest_at(&self.ids));
        order.push(&mut self.ids, place, at);
    }

    /// Counts that an id came to the end of its life or lease.
    const fn count_end(&mut self, state: State) {
        let counter = if state.is_claimed() { &mut self.stats.given_up } else { &mut self.stats.expired };
        *counter = counter.saturating_add(1);
    }
}

/// What becomes of keys that were hashed already, and have no place yet.
impl<K: Eq, S: Storage, H, V> DedupCacheIn<K, S, H, V> {
    /// [`check_with`](Self::check_with), where `own` makes what a new id needs if there is none to spare.
    fn check_or<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<(K, V)>,
        own: impl FnOnce() -> Option<(K, V)>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // Both before the time, so that what is missing of them in the caches is fetched together.
        let oldest = self.ids.cell_in_advance(self.marked.oldest_place());
        let known = self.ids.find(hash, key);
        let now = now();
        let time = self.observe(now);
        if let Some(held) = known.and_then(|place| self.ids.get_mut(place))
            && time < self.lives.end(held)
        {
            let (first_seen_at, count) = repeat(held, &mut self.stats);
            return Some(Seen::Duplicate { first_seen_at, count });
        }
        match self.enter((known, oldest), hash, spare, own, State::MARKED, (now, time)) {
            Entered::At(_) => Some(Seen::Fresh),
            Entered::Full => Some(Seen::Full),
            Entered::NoKey => None,
        }
    }

    /// Puts in a key that is not alive: into the place that it still has, or another. `now` was read, `time` is what it is.
    fn enter(
        &mut self,
        (over, oldest): (Option<usize>, Option<usize>),
        hash: u64,
        spare: &mut Option<(K, V)>,
        own: impl FnOnce() -> Option<(K, V)>,
        state: State,
        (now, time): (Instant, Instant),
    ) -> Entered {
        let place = match over {
            Some(place) => {
                let Some(held) = self.ids.get_mut(place) else { return Entered::Full };
                // What was kept with it ends with its life.
                if keeps::<V>() {
                    let Some(new) = spare.take().or_else(own) else { return Entered::NoKey };
                    *spare = Some((mem::replace(&mut held.key, new.0), mem::replace(&mut held.value, new.1)));
                }
                let former = held.state;
                self.count_end(former);
                self.unlink(place);
                place
            }
            None => {
                let gone = if self.ids.is_full() { self.needed_least(time) } else { None };
                if gone.is_none() && self.ids.is_full() {
                    self.stats.refused = self.stats.refused.saturating_add(1);
                    return Entered::Full;
                }
                let Some((key, value)) = spare.take().or_else(own) else { return Entered::NoKey };
                if let Some(gone) = gone {
                    let cell = oldest.filter(|_| gone == self.marked.oldest_place());
                    *spare = self.make_room(gone, cell, time);
                }
                match self.ids.insert(hash, key, value, state) {
                    Ok(place) => place,
                    Err(new) => {
                        *spare = Some(new);
                        return Entered::Full;
                    }
                }
            }
        };
        self.begin(place, state, now);
        self.stats.fresh = self.stats.fresh.saturating_add(1);
        Entered::At(place)
    }
}

impl<K, S: Storage, H, V> DedupCacheIn<K, S, H, V> {
    /// Begins the life of an id anew; a claim is committed by it.
    fn confirm(&mut self, place: usize, now: Instant) {
        if self.ids.get(place).is_some_and(|held| held.state.is_claimed()) {
            self.stats.committed = self.stats.committed.saturating_add(1);
        }
        self.unlink(place);
        self.begin(place, State::MARKED, now);
    }

    /// The place that a full cache can make free.
    fn needed_least(&self, now: Instant) -> Option<usize> {
        let may_forget = self.on_full == OnFull::ForgetOldest;
        self.ended(now).or_else(|| self.marked.oldest(&self.ids).map(|(place, _)| place).filter(|_| may_forget))
    }

    /// Makes that place free, and gives back what was there.
    fn make_room(&mut self, place: usize, cell: Option<usize>, now: Instant) -> Option<(K, V)> {
        let held = self.ids.get(place)?;
        let (state, at) = (held.state, held.at());
        if now >= self.lives.end(held) {
            self.count_end(state);
        } else {
            // Later than another before, unless the clock has stepped back.
            self.forgotten_at = self.forgotten_at.max(Some(at));
            self.stats.forgotten = self.stats.forgotten.saturating_add(1);
        }
        self.remove(place, cell)
    }

    /// The place of an id whose life or lease has ended.
    fn ended(&self, now: Instant) -> Option<usize> {
        let oldest = [self.marked.oldest(&self.ids), self.claimed.oldest(&self.ids)];
        let ended = oldest.into_iter().flatten().find(|(_, held)| now >= self.lives.end(held));
        ended.map(|(place, _)| place)
    }

    fn remove(&mut self, place: usize, cell: Option<usize>) -> Option<(K, V)> {
        self.unlink(place);
        self.ids.remove(place, cell)
    }
}

/// What became of a key that was to be put in.
enum Entered {
    At(usize),
    Full,
    /// It needs a key of its own; nothing was changed.
    NoKey,
}

/// True if there is anything in a value that must not outlive its id.
const fn keeps<V>() -> bool {
    size_of::<V>() > 0 || mem::needs_drop::<V>()
}

/// Counts a duplicate, and tells when its life began and how often it has come.
fn repeat<K, V, L: Link>(held: &mut Held<K, V, L>, stats: &mut DedupStats) -> (Instant, u32) {
    held.state = held.state.repeated();
    stats.duplicates = stats.duplicates.saturating_add(1);
    (held.at(), held.state.repeats())
}

impl<K: Clone, H: Clone, V: Clone, const N: usize> Clone for DedupCache<K, N, H, V> {
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone(), hasher: self.hasher.clone(), ..*self }
    }
}

/// Shows counts only: ids may be secrets.
impl<K, S: Storage, H, V> fmt::Debug for DedupCacheIn<K, S, H, V> {
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
