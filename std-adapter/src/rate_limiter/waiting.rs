//! Waiting for the limiter.

use core::{
    fmt,
    future::Future,
    hash::Hash,
    marker::PhantomData,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use steadfast_core::{
    Timer,
    rate_limiter::{
        CostExceedsBurst, Decision, Names, Naming, Prints, Quota, WaitError, WaitOutput, WaitRequest, WaitState,
    },
};

use super::{RateLimiter, line::Line};
use crate::{runtime::SystemTimer, storage::spread};

impl<K, A: Quota, T: Timer, P: Naming<K>> RateLimiter<K, A, T, P> {
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
    /// - [`set_quota`](Self::set_quota), [`set_enforce`](Self::set_enforce), [`refund`](Self::refund) and
    ///   [`reset`](Self::reset) wake those who wait.
    /// - A quota of zero is waited for until there is another one.
    /// - Nobody waits for a key that is not [enforced](crate::rate_limiter::Enforce).
    ///
    /// It counts as allowed when it is, and never as denied. Without a runtime, wait in
    /// [`block_on`](crate::runtime::block_on).
    ///
    /// # Cancellation
    ///
    /// A future that is dropped has counted nothing and leaves the queue at once.
    ///
    /// ```
    /// # use steadfast::{Gcra, RateLimiter};
    /// # let limiter = RateLimiter::<String, _>::builder(Gcra::per_second(100)).build();
    /// # steadfast::block_on(async {
    /// limiter.until_allowed("10.0.0.7").await;
    /// # });
    /// ```
    #[doc(alias("until_key_ready", "until_ready"))]
    pub fn until_allowed<'a, Q>(&'a self, key: &'a Q) -> UntilAllowed<'a, K, A, T, Q, (), P>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        // One never fails to fit, and without a limit no wait is too long.
        UntilAllowed::new(self, key, NonZeroU32::MIN, None)
    }

    /// [`until_allowed`](Self::until_allowed) for a request that counts `cost` times, all or nothing.
    ///
    /// Those behind it wait until it was served, also where the quota would suffice for them.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota, at once or when [`set_quota`](Self::set_quota)
    /// makes it so; nothing was taken from the quota, and it counts as denied.
    pub fn until_allowed_n<'a, Q>(
        &'a self,
        key: &'a Q,
        cost: NonZeroU32,
    ) -> UntilAllowed<'a, K, A, T, Q, Result<(), CostExceedsBurst>, P>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        UntilAllowed::new(self, key, cost, None)
    }

    /// [`until_allowed_n`](Self::until_allowed_n), unless it would take longer than `longest`: a reservation with a longest
    /// wait.
    ///
    /// It fails as soon as it is known that it would, at once or later, as
    /// [`steadfast_core`'s](steadfast_core::Shared::until_allowed_within).
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
    /// [`WaitError::TooLong`] with the instant at which it would have been allowed, or [`WaitError::CostExceedsBurst`].
    /// Nothing was taken from the quota, and it counts as denied.
    #[doc(alias("acquirePermission", "timeoutDuration"))]
    pub fn until_allowed_within<'a, Q>(
        &'a self,
        key: &'a Q,
        cost: NonZeroU32,
        longest: Duration,
    ) -> UntilAllowed<'a, K, A, T, Q, Result<(), WaitError>, P>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        UntilAllowed::new(self, key, cost, Some(longest))
    }

    /// [`until_allowed_within`](Self::until_allowed_within), or however long it takes without a `longest`, whose future
    /// holds a clone of this limiter and the key, and borrows nothing: it can be kept in a struct, or be part of a
    /// `tower` service's future.
    ///
    /// # Errors
    ///
    /// As for [`until_allowed_within`](Self::until_allowed_within).
    pub fn until_allowed_owned(
        &self,
        key: K,
        cost: NonZeroU32,
        longest: Option<Duration>,
    ) -> UntilAllowedOwned<K, A, T, P>
    where
        K: Hash,
        P: Names<K, K>,
    {
        let hash = self.0.shards.hasher.hash_one(&key);
        UntilAllowedOwned { limiter: self.clone(), key, hash, cost, longest, state: WaitState::new() }
    }

    fn poll_wait<Q>(
        &self,
        request: &WaitRequest<'_, Q>,
        state: Pin<&mut WaitState<T::Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WaitError>>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let WaitRequest { hash, key, cost, .. } = *request;
        let (shard, line) = (self.0.shards.of(hash), self.line(hash));
        if state.is_new() && line.is_empty() {
            let decision = shard.allow_n_waiting_with(hash, key, cost);
            if decision == Ok(Decision::Allow) {
                state.leave(line);
                return Poll::Ready(Ok(()));
            }
        }
        shard.poll_until_allowed(request, line, state, cx)
    }
}

impl<K, A: Quota, T, P: Naming<K>> RateLimiter<K, A, T, P> {
    fn line(&self, hash: u64) -> &Line {
        spread(&self.0.lines, hash)
    }
}

pin_project! {
    /// The future of [`RateLimiter::until_allowed`] and its like.
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilAllowed<'a, K, A: Quota, T: Timer, Q: ?Sized, O = (), P: Naming<K> = Prints> {
        limiter: &'a RateLimiter<K, A, T, P>,
        key: &'a Q,
        hash: u64,
        cost: NonZeroU32,
        longest: Option<Duration>,
        #[pin]
        state: WaitState<T::Sleep>,
        output: PhantomData<fn() -> O>,
    }

    impl<K, A: Quota, T: Timer, Q: ?Sized, O, P: Naming<K>> PinnedDrop for UntilAllowed<'_, K, A, T, Q, O, P> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.state.leave(this.limiter.line(*this.hash));
        }
    }
}

impl<'a, K, A: Quota, T: Timer, Q: Hash + ?Sized, O, P: Naming<K>> UntilAllowed<'a, K, A, T, Q, O, P> {
    fn new(limiter: &'a RateLimiter<K, A, T, P>, key: &'a Q, cost: NonZeroU32, longest: Option<Duration>) -> Self {
        let hash = limiter.0.shards.hasher.hash_one(key);
        Self { limiter, key, hash, cost, longest, state: WaitState::new(), output: PhantomData }
    }
}

impl<K, A, T, Q, O, P> Future for UntilAllowed<'_, K, A, T, Q, O, P>
where
    A: Quota,
    T: Timer,
    Q: Hash + ?Sized,
    O: WaitOutput,
    P: Names<K, Q>,
{
    type Output = O;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let this = self.project();
        let (hash, key, cost, longest) = (*this.hash, *this.key, *this.cost, *this.longest);
        let request = WaitRequest { hash, key, cost, longest };
        this.limiter.poll_wait(&request, this.state, cx).map(O::of)
    }
}

impl<K, A: Quota, T: Timer, Q: ?Sized, O, P: Naming<K>> fmt::Debug for UntilAllowed<'_, K, A, T, Q, O, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilAllowed").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`RateLimiter::until_allowed_owned`].
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilAllowedOwned<K, A: Quota, T: Timer = SystemTimer, P: Naming<K> = Prints> {
        limiter: RateLimiter<K, A, T, P>,
        key: K,
        hash: u64,
        cost: NonZeroU32,
        longest: Option<Duration>,
        #[pin]
        state: WaitState<T::Sleep>,
    }

    impl<K, A: Quota, T: Timer, P: Naming<K>> PinnedDrop for UntilAllowedOwned<K, A, T, P> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.state.leave(this.limiter.line(*this.hash));
        }
    }
}

impl<K: Hash, A: Quota, T: Timer, P: Names<K, K>> Future for UntilAllowedOwned<K, A, T, P> {
    type Output = Result<(), WaitError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (hash, key, cost, longest) = (*this.hash, &*this.key, *this.cost, *this.longest);
        let request = WaitRequest { hash, key, cost, longest };
        this.limiter.poll_wait(&request, this.state, cx)
    }
}

impl<K, A: Quota, T: Timer, P: Naming<K>> fmt::Debug for UntilAllowedOwned<K, A, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilAllowedOwned").finish_non_exhaustive()
    }
}
