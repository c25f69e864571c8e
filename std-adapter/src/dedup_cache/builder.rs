//! How a cache is made.

use core::{hash::Hash, marker::PhantomData, time::Duration};
use std::sync::Arc;

use steadfast_core::{Clock, Shared};

use super::{Cache, DedupCache, Kept, Machine, OnFull};
use crate::{
    runtime::{Mutex, SystemTimer, Waiters},
    storage::{Shards, Spread},
};

/// Builds a [`DedupCache`]: its capacity, the lease of its claims, its clock.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{DedupCache, dedup_cache::OnFull};
///
/// // Orders are known for a day; a claim on one ends after a minute if nobody commits it.
/// let orders = DedupCache::<u64>::builder(Duration::from_secs(86_400), OnFull::Refuse)
///     .capacity(100_000)
///     .lease(Duration::from_secs(60))
///     .build();
/// assert!(orders.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct DedupCacheBuilder<K, V = (), T = SystemTimer> {
    ttl: Duration,
    lease: Duration,
    on_full: OnFull,
    capacity: usize,
    clock: T,
    id: PhantomData<fn() -> (K, V)>,
}

impl<K: Eq + Hash> DedupCache<K> {
    /// The settings of a cache whose ids are known for `ttl`: 65,536 ids, claims whose lease is as long as the TTL.
    #[doc(alias = "NewDedupCache")]
    #[must_use]
    pub const fn builder(ttl: Duration, on_full: OnFull) -> DedupCacheBuilder<K> {
        DedupCacheBuilder { ttl, lease: ttl, on_full, capacity: 65_536, clock: SystemTimer, id: PhantomData }
    }
}

impl<K: Eq + Hash, V: Kept, T: Clock + Clone> DedupCacheBuilder<K, V, T> {
    /// For how many ids there is room, at least one and at most 4,294,967,294.
    ///
    /// Up to 255 the cache holds exactly so many. A larger one consists of shards that share the ids by their hash, up to
    /// 256 of them. Each has a margin of six standard deviations and six ids, so that all of the last `capacity` ids find
    /// room: 84 percent more at 256, 14 at 65,536, 3 at a million, if there are two processors.
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// After how long a claim is given up that was neither committed nor dropped.
    ///
    /// Longer than the work takes, shorter than the time in which the id comes again.
    #[doc(alias = "visibility timeout")]
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock<U: Clock + Clone>(self, clock: U) -> DedupCacheBuilder<K, V, U> {
        let Self { ttl, lease, on_full, capacity, .. } = self;
        DedupCacheBuilder { ttl, lease, on_full, capacity, clock, id: PhantomData }
    }

    /// A cache that keeps [answers](DedupCache#an-answer-that-is-given-again) with its ids: `W` is an `Option<Arc<_>>`.
    #[must_use]
    pub fn keeping<W: Kept>(self) -> DedupCacheBuilder<K, W, T> {
        let Self { ttl, lease, on_full, capacity, clock, .. } = self;
        DedupCacheBuilder { ttl, lease, on_full, capacity, clock, id: PhantomData }
    }

    /// The cache. Allocates all its memory; nothing else does later, but the ids themselves.
    pub fn build(self) -> DedupCache<K, V, T> {
        let shards = Shards::new(self.capacity, Spread::Wide, |room, hasher| {
            let machine = Machine::<K, V>::allocate(self.ttl, self.on_full, room, hasher).with_lease(self.lease);
            Shared::new(Mutex::new(machine), self.clock.clone())
        });
        DedupCache(Arc::new(Cache { shards, waiters: Waiters::default() }))
    }
}
