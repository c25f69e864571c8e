//! Waiting for the limiter.

use core::{borrow::Borrow, hash::Hash, num::NonZeroU32, time::Duration};

use steadfast_core::{
    Timer,
    rate_limiter::{CostExceedsBurst, Decision, Quota, WaitError},
};

use super::RateLimiter;
use crate::storage::spread;

impl<K: Eq + Hash, A: Quota, T: Timer> RateLimiter<K, A, T> {
    /// Waits until `key` is allowed, and counts it then.
    ///
    /// Those who wait for one key are served in the order of their arrival, as far as its line has places: 64, which some
    /// thousand keys share. Beyond them that order is not kept, but whoever waits longest comes before those who come.
    /// [`allow`](Self::allow) never waits its turn, and may go before all of them.
    ///
    /// - A waiter that nobody polls, though its turn has come, keeps each of those behind it waiting for 5 ms; then they go
    ///   before it, until it is polled again.
    /// - A turn counts from when it came, at most 5 ms back: a timer that wakes late costs no throughput. See
    ///   [`Gcra`](crate::rate_limiter::Gcra).
    /// - [`set_quota`](Self::set_quota), [`refund`](Self::refund), [`reset`](Self::reset) and [`cleanup`](Self::cleanup) wake
    ///   those who wait.
    /// - A quota of zero is waited for until there is another one.
    ///
    /// It counts as allowed when it is, and never as denied. Without a runtime, wait in [`block_on`](crate::runtime::block_on).
    ///
    /// # Cancellation
    ///
    /// A future that is dropped has counted nothing and frees its place at once.
    ///
    /// ```
    /// # use steadfast::{Gcra, RateLimiter};
    /// # let limiter = RateLimiter::<String, _>::builder(Gcra::per_second(100)).build();
    /// # steadfast::block_on(async {
    /// limiter.until_allowed("10.0.0.7").await;
    /// # });
    /// ```
    #[doc(alias("until_key_ready", "until_ready"))]
    pub async fn until_allowed<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        // One never fails to fit, and without a limit no wait is too long.
        let _ = self.wait(key, NonZeroU32::MIN, None).await;
    }

    /// [`until_allowed`](Self::until_allowed) for a request that counts `cost` times, all or nothing.
    ///
    /// Those behind it wait until it was served, also where the quota would suffice for them.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota, at once or when [`set_quota`](Self::set_quota) makes it so;
    /// nothing was taken from the quota, and it counts as denied.
    pub async fn until_allowed_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<(), CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        match self.wait(key, cost, None).await {
            Err(WaitError::CostExceedsBurst { limit }) => Err(CostExceedsBurst { limit }),
            _ => Ok(()),
        }
    }

    /// [`until_allowed_n`](Self::until_allowed_n), unless it would take longer than `longest`.
    ///
    /// It fails at once if those who wait already, and what the quota has left, make it longer; and later if others,
    /// by [`allow`](Self::allow), take what it waits for. It never takes longer than `longest`, but for a second where the
    /// clock steps back meanwhile.
    ///
    /// ```
    /// use core::{num::NonZeroU32, time::Duration};
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::WaitError};
    ///
    /// # steadfast::block_on(async {
    /// let limiter = RateLimiter::<String, _>::builder(Gcra::per_minute(1)).build();
    /// let (one, longest) = (NonZeroU32::MIN, Duration::from_secs(2));
    /// assert_eq!(limiter.until_allowed_within("bob", one, longest).await, Ok(()));
    /// let Err(WaitError::TooLong { retry_at }) = limiter.until_allowed_within("bob", one, longest).await else { panic!() };
    /// assert!(retry_at.saturating_duration_since(limiter.now()) > Duration::from_secs(50));
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`WaitError::TooLong`] with the instant at which it would have been allowed, or [`WaitError::CostExceedsBurst`]. Nothing was
    /// taken from the quota, and it counts as denied.
    #[doc(alias("acquirePermission", "timeoutDuration"))]
    pub async fn until_allowed_within<Q>(&self, key: &Q, cost: NonZeroU32, longest: Duration) -> Result<(), WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.wait(key, cost, Some(longest)).await
    }

    async fn wait<Q>(&self, key: &Q, cost: NonZeroU32, longest: Option<Duration>) -> Result<(), WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        let (shard, line) = (self.0.shards.of(hash), spread(&self.0.lines, hash));
        if line.is_empty() {
            let decision = shard.allow_n_waiting_with(hash, key, Q::to_owned, cost);
            if decision == Ok(Decision::Allow) {
                return Ok(());
            }
        }
        shard.until_allowed_with(hash, key, Q::to_owned, cost, longest, line).await
    }
}
