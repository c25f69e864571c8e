//! Leases of a quota that several processes share: ask for some in advance, spend them at once.

mod entry;
mod grant;
mod outcome;
mod settings;

use core::{
    fmt,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

pub use outcome::{Grant, LeaseAsk, Spend};
pub use settings::Lease;

use crate::{
    foundation::{
        hash::HashSeed,
        storage::{Allocate, Inline, Storage},
        table::Table,
        time::{Instant, Span},
    },
    rate_limiter::{CostExceedsBurst, Gcra, Quota},
};
use entry::Entry;

/// Leases of a shared quota (GCRA) by key: what this process may spend of it without asking, with room for `N` keys.
///
/// One side has the quota: a store, or a gateway with a [`RateLimiter`](crate::RateLimiter), which answers with
/// [`grant`](crate::rate_limiter::RateLimiterIn::grant). This is the other side, of which there may be many. It neither
/// sends nor waits: it says what to ask for, and takes the answer.
///
/// ```
/// use core::num::NonZeroU32;
/// use steadfast_core::{Gcra, Instant, Lease, Leases, RateLimiter, lease::{Grant, Spend}};
///
/// const QUOTA: Gcra = Gcra::per_second(100);
/// let mut gateway: RateLimiter<u32, Gcra, 32> = RateLimiter::new(QUOTA);
/// let mut leases: Leases<u32, 8> = Leases::new(QUOTA, Lease::up_to(10));
///
/// let mut asked = 0;
/// for millis in 0..50 {
///     let now = Instant::from_millis(millis);
///     let ask = match leases.spend(&7, NonZeroU32::MIN, now)? {
///         Spend::Ask(ask) => ask, // nothing is held
///         Spend::Allowed { refill: Some(ask) } => ask, // and little will be held soon
///         Spend::Allowed { refill: None } => continue,
///         Spend::Denied { retry_at } => unreachable!("100 are allowed at once, until {retry_at:?}"),
///     };
///     // Over a radio, for instance.
///     asked += 1;
///     match gateway.grant(&7, ask.cost(), ask.wanted(), now) {
///         Grant::Granted(granted) => assert!(leases.granted(&7, ask, granted.get(), now)),
///         Grant::Denied { retry_at } => _ = leases.denied(&7, ask, retry_at, now),
///     }
/// }
/// assert!(asked < 20, "{asked} questions for 50 requests");
/// # Ok::<(), steadfast_core::rate_limiter::CostExceedsBurst>(())
/// ```
///
/// # Contract
///
/// What is granted obeys the quota. What is spent was granted before, once, less than [`hold`](Lease::hold) ago. So in
/// any span of `t` all processes together allow at most `burst + t / interval` and what they held when it began, at
/// most [`most_held`](Lease::most_held). A request that was granted while another asked for more counts when it is
/// granted, and is not held.
///
/// A process that asks is granted what it needs whenever the quota has it: who holds much in advance gets an eighth of
/// what is left, and never keeps another from the last.
///
/// # What is asked for
///
/// What was spent in the time of a lease, at least what is needed: a key that is seldom used costs a question for each
/// request and holds nothing. When no more than a quarter of it is left, more is asked for beside. One question at a
/// time asks for more than it needs; whoever finds nothing meanwhile asks for himself.
///
/// # Losses
///
/// What a process holds when it ends is lost, and the quota brings it back. An answer that is late, or that does not
/// come, loses what it granted. Nothing is ever spent twice: a [`LeaseAsk`] takes one answer. Pass on each answer once; a
/// [`Correlator`](crate::Correlator) tells which are copies.
///
/// # When it is full
///
/// A newcomer takes the entry of a key that holds nothing, of eight that are looked at, going round. If there is none it
/// gets no entry, and asks for each request: no lease goes for another key.
///
/// # Clock
///
/// If the clock steps back, what is held may be spent for `hold` from then on, and a denial lasts a second at most.
///
/// # Cost
///
/// Every call is O(1) expected. An entry is the key and 72 bytes.
#[doc(alias("token lease", "quota lease", "prefetch"))]
pub type Leases<K, const N: usize, H = HashSeed> = LeasesIn<K, Inline<N>, H>;

/// [`Leases`] in any [`Storage`].
pub struct LeasesIn<K, S: Storage, H = HashSeed> {
    quota: Gcra,
    lease: Lease,
    table: Table<K, Entry, S, H>,
    /// Where the search for an entry that holds nothing, and for what was held too long, goes on.
    hand: usize,
}

/// How many entries a newcomer may look at.
const SEARCH: usize = 8;

impl<K, const N: usize> Leases<K, N> {
    /// Leases of this quota, hashing with [`HashSeed::FIXED`]: [`reseed`](LeasesIn::reseed) them before peers that choose
    /// their own keys can reach them.
    #[must_use]
    pub const fn new(quota: Gcra, lease: Lease) -> Self {
        Self { quota, lease, table: Table::new(HashSeed::FIXED), hand: 0 }
    }
}

impl<K, S: Allocate, H> LeasesIn<K, S, H> {
    /// Leases for `capacity` keys, at least one, in storage of run-time size.
    pub fn allocate(quota: Gcra, lease: Lease, capacity: usize, hasher: H) -> Self {
        Self { quota, lease, table: Table::allocate(capacity, hasher), hand: 0 }
    }
}

impl<K, S: Storage, H> LeasesIn<K, S, H> {
    /// The quota that is shared.
    pub const fn quota(&self) -> Gcra {
        self.quota
    }

    /// How much is held in advance.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// Another quota and lease from now on. What is held stays, up to what may be held now; denials are forgotten.
    /// O(capacity).
    pub fn set_settings(&mut self, quota: Gcra, lease: Lease, now: Instant) {
        (self.quota, self.lease) = (quota, lease);
        for slot in 0..self.table.slots() {
            if let Some(entry) = self.table.get_mut(slot) {
                entry.observe(&lease, now);
                entry.cut(&lease);
            }
        }
    }

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

    /// The interval of the quota.
    const fn interval(&self) -> Span {
        Span::new(self.quota.interval())
    }
}

impl<K: Eq + Hash, S: Storage, H: BuildHasher> LeasesIn<K, S, H> {
    /// Decides a request of `key` by what is held.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the burst of the quota, and that is not zero; nothing is changed.
    pub fn spend(&mut self, key: &K, cost: NonZeroU32, now: Instant) -> Result<Spend, CostExceedsBurst>
    where
        K: Clone,
    {
        let limit = self.quota.limit();
        if limit == 0 {
            return Ok(Spend::Denied { retry_at: Instant::MAX });
        }
        if cost.get() > limit {
            return Err(CostExceedsBurst { limit });
        }
        let (lease, cost) = (self.lease, cost.get());
        let Some(entry) = self.entry(key, now) else {
            return Ok(Spend::Ask(LeaseAsk { cost, wanted: cost, at: now }));
        };
        if entry.spend(cost, now) {
            return Ok(Spend::Allowed { refill: entry.refill(&lease, now) });
        }
        Ok(match entry.denied(cost, now) {
            Some(retry_at) => Spend::Denied { retry_at },
            None => Spend::Ask(entry.ask(cost, &lease, now)),
        })
    }

    /// So much was granted: true if the request that waited for it is allowed. What is beyond its cost is kept.
    ///
    /// False if less was granted than needed, which [`grant`](crate::rate_limiter::RateLimiterIn::grant) does not do; it
    /// is lost.
    pub fn granted(&mut self, key: &K, ask: LeaseAsk, granted: u32, now: Instant) -> bool {
        let lease = self.lease;
        let surplus = granted.min(ask.wanted).checked_sub(ask.cost);
        if let Some(entry) = self.known(key, now) {
            entry.answered(&ask);
            if let Some(surplus) = surplus {
                entry.count(ask.cost);
                entry.allow_again();
                if surplus > 0 {
                    entry.keep(surplus, ask.at, &lease, now);
                }
            }
        }
        surplus.is_some()
    }

    /// It was denied: tells when to come back, which is not before `retry_at`.
    pub fn denied(&mut self, key: &K, ask: LeaseAsk, retry_at: Instant, now: Instant) -> Instant {
        let (lease, interval) = (self.lease, self.interval());
        let Some(entry) = self.known(key, now) else { return retry_at };
        entry.answered(&ask);
        entry.deny(ask.cost, retry_at, interval, &lease, now)
    }

    /// No answer came, or none that says anything: what it may have granted is lost.
    #[expect(clippy::needless_pass_by_value, reason = "it takes one answer")]
    pub fn failed(&mut self, key: &K, ask: LeaseAsk, now: Instant) {
        if let Some(entry) = self.known(key, now) {
            entry.answered(&ask);
        }
    }

    /// Looks at `most` entries, going round: tells what was held for too long, which may be given back where it came from,
    /// and forgets keys that are not used.
    pub fn expire(&mut self, most: usize, now: Instant, mut give_back: impl FnMut(&K, NonZeroU32)) {
        for _ in 0..most.min(self.table.slots()) {
            let (slot, lease) = (self.next_slot(), self.lease);
            let Some(entry) = self.table.get_mut(slot) else { continue };
            entry.observe(&lease, now);
            let (expired, is_idle) = (entry.expire(now), entry.is_idle(&lease, now));
            if let (Some(expired), Some((key, _))) = (NonZeroU32::new(expired), self.table.get(slot)) {
                give_back(key, expired);
            }
            if is_idle {
                self.table.remove(slot);
            }
        }
    }

    /// Replaces the secret of the hash. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.table.rehash(hasher);
    }

    /// The entry of a key, if it has one.
    fn known(&mut self, key: &K, now: Instant) -> Option<&mut Entry> {
        let (slot, lease) = (self.table.find(self.table.hash(key), key)?, self.lease);
        let entry = self.table.get_mut(slot)?;
        entry.observe(&lease, now);
        Some(entry)
    }

    /// The entry of a key; a new one, if there is room or another holds nothing.
    fn entry(&mut self, key: &K, now: Instant) -> Option<&mut Entry>
    where
        K: Clone,
    {
        let hash = self.table.hash(key);
        if self.table.find(hash, key).is_none() {
            if self.table.is_full() {
                let free = self.holds_nothing(now)?;
                self.table.remove(free);
            }
            let _ = self.table.insert(hash, key.clone(), Entry::new(now)); // there is room
        }
        self.known(key, now)
    }

    fn holds_nothing(&mut self, now: Instant) -> Option<usize> {
        for _ in 0..SEARCH.min(self.table.slots()) {
            let slot = self.next_slot();
            if self.table.get(slot).is_some_and(|(_, entry)| entry.holds_nothing(now)) {
                return Some(slot);
            }
        }
        None
    }

    fn next_slot(&mut self) -> usize {
        let slot = self.hand;
        self.hand = self.hand.saturating_add(1);
        if self.hand >= self.table.slots() {
            self.hand = 0;
        }
        slot
    }
}

/// Shows the settings and how many keys there are.
impl<K, S: Storage, H> fmt::Debug for LeasesIn<K, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("quota", &self.quota)
            .field("lease", &self.lease)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
