//! Waiting until no other claim of an id is in flight.

use core::{
    borrow::Borrow,
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steadfast_core::{Instant, Timer};

use super::{Claim, ClaimGuard, DedupCache, Kept};
use crate::runtime::{Asking, Asks, SystemTimer, Waiters};

pin_project! {
    /// The future of [`DedupCache::until_claimed`].
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilClaimed<'k, K, Q: ?Sized, V = (), T: Timer = SystemTimer> {
        wanted: Wanted<K, &'k Q, V, T>,
        #[pin]
        asking: Asking<T::Sleep>,
    }

    impl<K, Q: ?Sized, V, T: Timer> PinnedDrop for UntilClaimed<'_, K, Q, V, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.asking.leave(&this.wanted.cache.0.waiters);
        }
    }
}

pin_project! {
    /// The future of [`DedupCache::until_claimed_owned`]. It borrows nothing.
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilClaimedOwned<K, V = (), T: Timer = SystemTimer> {
        wanted: Wanted<K, K, V, T>,
        #[pin]
        asking: Asking<T::Sleep>,
    }

    impl<K, V, T: Timer> PinnedDrop for UntilClaimedOwned<K, V, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.asking.leave(&this.wanted.cache.0.waiters);
        }
    }
}

/// An id that is to be claimed, with its hash.
struct Wanted<K, B, V, T> {
    cache: DedupCache<K, V, T>,
    key: B,
    hash: u64,
}

impl<'k, K: Eq + Hash, Q: ?Sized, V: Kept, T: Timer> UntilClaimed<'k, K, Q, V, T> {
    pub(super) fn new(cache: DedupCache<K, V, T>, key: &'k Q) -> Self
    where
        Q: Hash,
    {
        let hash = cache.0.shards.hasher.hash_one(key);
        Self { wanted: Wanted { cache, key, hash }, asking: Asking::new() }
    }
}

impl<K: Eq + Hash, V: Kept, T: Timer> UntilClaimedOwned<K, V, T> {
    pub(super) fn new(cache: DedupCache<K, V, T>, key: K) -> Self {
        let hash = cache.0.shards.hasher.hash_one(&key);
        Self { wanted: Wanted { cache, key, hash }, asking: Asking::new() }
    }
}

impl<K, Q, V, T> Future for UntilClaimed<'_, K, Q, V, T>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    V: Kept,
    T: Timer,
{
    type Output = Claim<ClaimGuard<K, V, T>, V>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.asking.poll(&Claiming { wanted: this.wanted, key: this.wanted.key }, cx)
    }
}

impl<K: Clone + Eq + Hash, V: Kept, T: Timer> Future for UntilClaimedOwned<K, V, T> {
    type Output = Claim<ClaimGuard<K, V, T>, V>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.asking.poll(&Claiming { wanted: this.wanted, key: &this.wanted.key }, cx)
    }
}

/// Who asks for it.
struct Claiming<'a, K, B, Q: ?Sized, V, T> {
    wanted: &'a Wanted<K, B, V, T>,
    key: &'a Q,
}

impl<K, B, Q, V, T> Asks for Claiming<'_, K, B, Q, V, T>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    V: Kept,
    T: Timer,
{
    type Answer = Claim<ClaimGuard<K, V, T>, V>;
    type Timer = T;

    fn timer(&self) -> &T {
        self.wanted.cache.0.shards.of(0).timer()
    }

    fn waiters(&self) -> &Waiters {
        &self.wanted.cache.0.waiters
    }

    fn tag(&self) -> u64 {
        self.wanted.hash
    }

    fn ask(&self) -> Result<Self::Answer, Instant> {
        let cache = &self.wanted.cache;
        match cache.claim(self.key) {
            // One that is over meanwhile is asked for at once.
            Claim::InFlight => Err(cache.in_flight_until(self.key).unwrap_or_else(|| cache.now())),
            claim => Ok(claim),
        }
    }
}

impl<K, Q: ?Sized, V, T: Timer> fmt::Debug for UntilClaimed<'_, K, Q, V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilClaimed").finish_non_exhaustive()
    }
}

impl<K, V, T: Timer> fmt::Debug for UntilClaimedOwned<K, V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilClaimedOwned").finish_non_exhaustive()
    }
}
