//! Waiting until the limiter allows it.

use core::{
    fmt,
    future::Future,
    hash::{BuildHasher, Hash},
    marker::PhantomData,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    CostExceedsBurst, Decision, Names, Naming, ONE, Quota, RateLimiterIn, WaitError,
    enforce::Shadow,
    wait_state::{Stage, WaitOutput, WaitRequest, WaitState, Waiter},
};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    storage::Storage,
    time::{Instant, Span},
    wait_list::{GRACE, LOOK_AGAIN, Turn, WaitList, WaitQueue},
};

pin_project! {
    /// The future of [`Shared::until_allowed`] and its like. It has a name so that it can be kept in a struct; `M` is the
    /// limiter, `L` its lock, `T` its timer, `Q` the key, `C` the lock of the [`WaitList`].
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilAllowed<'a, M, L, T, Q, C, O = ()>
    where
        T: Timer,
        C: WaitQueue,
    {
        limiter: &'a Shared<M, L, T>,
        key: &'a Q,
        cost: NonZeroU32,
        longest: Option<Duration>,
        queue: &'a C,
        #[pin]
        state: WaitState<T::Sleep>,
        output: PhantomData<fn() -> O>,
    }

    impl<M, L, T, Q, C, O> PinnedDrop for UntilAllowed<'_, M, L, T, Q, C, O>
    where
        T: Timer,
        C: WaitQueue,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.state.leave(*this.queue);
        }
    }
}

impl<'a, M, L, T: Timer, Q, C: WaitQueue, O> UntilAllowed<'a, M, L, T, Q, C, O> {
    const fn new(
        limiter: &'a Shared<M, L, T>,
        key: &'a Q,
        cost: NonZeroU32,
        longest: Option<Duration>,
        queue: &'a C,
    ) -> Self {
        Self { limiter, key, cost, longest, queue, state: WaitState::new(), output: PhantomData }
    }
}

impl<K, A, S, H, P, L, T, Q, C, const W: usize, O> Future
    for UntilAllowed<'_, RateLimiterIn<K, A, S, H, P>, L, T, Q, C, O>
where
    A: Quota,
    S: Storage,
    H: BuildHasher,
    P: Names<K, Q>,
    Q: Hash,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
    T: Timer,
    C: Lock<Target = WaitList<W>>,
    O: WaitOutput,
{
    type Output = O;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let this = self.project();
        let (limiter, key, cost, longest) = (*this.limiter, *this.key, *this.cost, *this.longest);
        let hash = this.state.hash().unwrap_or_else(|| limiter.with_lock(|limiter| limiter.hash(key)));
        let request = WaitRequest { hash, key, cost, longest };
        limiter.poll_until_allowed(&request, *this.queue, this.state, cx).map(O::of)
    }
}

impl<M, L, T: Timer, Q, C: WaitQueue, O> fmt::Debug for UntilAllowed<'_, M, L, T, Q, C, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilAllowed").finish_non_exhaustive()
    }
}

impl<K, A, S, H, P, L, T> Shared<RateLimiterIn<K, A, S, H, P>, L, T>
where
    A: Quota,
    S: Storage,
    H: BuildHasher,
    P: Naming<K>,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
    T: Timer,
{
    /// Waits until `key` is allowed, and counts it then.
    ///
    /// Those who wait for the same key are served in the order of their arrival; `queue` has room for the waiters,
    /// and belongs to this limiter. Beyond its `W` waiters that order is not kept, but whoever waits longest comes before
    /// those who come. [`allow`](Self::allow) never waits its turn, and may go before all of them.
    ///
    /// - A waiter that nobody polls, though its turn has come, keeps each of those behind it waiting for 5 ms; then they go
    ///   before it, until it is polled again.
    /// - A turn counts from when it came, at most 5 ms back: a timer that wakes late costs no throughput. See [`Gcra`].
    /// - [`set_quota_and_wake`](Self::set_quota_and_wake), [`refund_and_wake`](Self::refund_and_wake) and
    ///   [`reset_and_wake`](Self::reset_and_wake) tell those who wait; of other changes they are told by
    ///   [`WaitList::wake_all`], or notice within a second.
    /// - A quota of zero is waited for until there is another one.
    /// - Nobody waits for a key that is not [enforced](super::Enforce).
    ///
    /// It counts as allowed when it is, and never as denied.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped has counted nothing and leaves the queue at once.
    ///
    /// ```
    /// use steadfast_core::{Gcra, RateLimiter, Shared, Timer, foundation::{shared::Lock, wait_list::WaitList}};
    ///
    /// type Limiter = RateLimiter<u32, Gcra, 32>;
    ///
    /// /// Sends what `peer` is to get, no faster than the limiter says; beside it lies a `WaitList::new()`.
    /// async fn send(
    ///     limiter: &Shared<Limiter, impl Lock<Target = Limiter>, impl Timer>,
    ///     queue: &impl Lock<Target = WaitList<8>>,
    ///     peer: u32,
    /// ) {
    ///     limiter.until_allowed(&peer, queue).await;
    ///     // ... send
    /// }
    /// ```
    ///
    /// [`Gcra`]: crate::rate_limiter::Gcra
    #[expect(clippy::type_complexity, reason = "every part of it is the caller's")]
    pub const fn until_allowed<'a, Q, C, const W: usize>(
        &'a self,
        key: &'a Q,
        queue: &'a C,
    ) -> UntilAllowed<'a, RateLimiterIn<K, A, S, H, P>, L, T, Q, C>
    where
        P: Names<K, Q>,
        Q: Hash,
        C: Lock<Target = WaitList<W>>,
    {
        // One never fails to fit, and without a limit no wait is too long.
        UntilAllowed::new(self, key, ONE, None, queue)
    }

    /// [`until_allowed`](Self::until_allowed) for a request that counts `cost` times, all or nothing.
    ///
    /// Those behind it wait until it was served, also where the quota would suffice for them.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota, at once or when another quota makes it so;
    /// nothing was taken from the quota, and it counts as denied.
    #[expect(clippy::type_complexity, reason = "every part of it is the caller's")]
    pub const fn until_allowed_n<'a, Q, C, const W: usize>(
        &'a self,
        key: &'a Q,
        cost: NonZeroU32,
        queue: &'a C,
    ) -> UntilAllowed<'a, RateLimiterIn<K, A, S, H, P>, L, T, Q, C, Result<(), CostExceedsBurst>>
    where
        P: Names<K, Q>,
        Q: Hash,
        C: Lock<Target = WaitList<W>>,
    {
        UntilAllowed::new(self, key, cost, None, queue)
    }

    /// [`until_allowed_n`](Self::until_allowed_n), unless it would take longer than `longest`: a reservation with a longest
    /// wait.
    ///
    /// It fails at once if those who wait already, and what the quota has left, make it longer; and later if others,
    /// by [`allow`](Self::allow), take what it waits for. It never takes longer than `longest`, but for a second where the
    /// clock steps back meanwhile.
    ///
    /// # Errors
    ///
    /// [`WaitError::TooLong`] with the instant at which it would have been allowed, or [`WaitError::CostExceedsBurst`].
    /// Nothing was taken from the quota, and it counts as denied.
    #[expect(clippy::type_complexity, reason = "every part of it is the caller's")]
    pub const fn until_allowed_within<'a, Q, C, const W: usize>(
        &'a self,
        key: &'a Q,
        cost: NonZeroU32,
        longest: Duration,
        queue: &'a C,
    ) -> UntilAllowed<'a, RateLimiterIn<K, A, S, H, P>, L, T, Q, C, Result<(), WaitError>>
    where
        P: Names<K, Q>,
        Q: Hash,
        C: Lock<Target = WaitList<W>>,
    {
        UntilAllowed::new(self, key, cost, Some(longest), queue)
    }

    /// For adapters: polls a wait for a borrowed form of the key, which they have hashed already.
    ///
    /// The wait is `state`, which must [`leave`](WaitState::leave) when it is dropped.
    ///
    /// # Errors
    ///
    /// As for [`until_allowed_within`](Self::until_allowed_within).
    pub fn poll_until_allowed<Q, const W: usize>(
        &self,
        request: &WaitRequest<'_, Q>,
        queue: &impl Lock<Target = WaitList<W>>,
        mut state: Pin<&mut WaitState<T::Sleep>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WaitError>>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let mut this = state.as_mut().project();
        if let Stage::New = this.stage {
            *this.stage = Stage::Over;
            match self.join(request, queue) {
                Err(end) => return Poll::Ready(end),
                Ok(waiter) => *this.stage = Stage::Waiting(waiter),
            }
        }
        let Stage::Waiting(waiter) = this.stage else { return Poll::Pending };
        // Once more if the sleep is over; a timer that wakes early must not keep the thread.
        for _ in 0..2 {
            let at = match self.look(request, queue, waiter, cx.waker()) {
                Look::Over(end) => {
                    state.leave(queue);
                    return Poll::Ready(end);
                }
                Look::Again(at) => at,
            };
            if this.wakes_at.replace(at) != Some(at) {
                this.sleep.set(Some(self.timer().sleep_until(at)));
            }
            if this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_pending()) {
                return Poll::Pending;
            }
            *this.wakes_at = None;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Lines up, unless it is over at once.
    fn join<Q, const W: usize>(
        &self,
        request: &WaitRequest<'_, Q>,
        queue: &impl Lock<Target = WaitList<W>>,
    ) -> Result<Waiter, Result<(), WaitError>>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let WaitRequest { hash, key, cost, longest, .. } = *request;
        // Nobody lines up where there is nothing to wait for.
        let is_first = queue.with(|queue| queue.is_clear(hash)) || !self.is_enforced(key);
        if is_first && self.ask(request, None).map_err(Err)?.is_allowed() {
            return Err(Ok(()));
        }
        let now = self.timer().now();
        let deadline = longest.map_or(Instant::MAX, |longest| now.saturating_add(longest));
        if deadline < Instant::MAX || cost > ONE {
            let ahead = queue.with(|queue| queue.cost(hash));
            let retry_at = self.with(|limiter, now| limiter.ready_at(key, ahead, cost, now));
            let retry_at = retry_at.map_err(|error| Err(self.refuse(error.into())))?;
            if retry_at > deadline {
                return Err(Err(self.refuse(WaitError::TooLong { retry_at })));
            }
        }
        let (ticket, has_place) = queue.with(|queue| queue.join(hash, cost));
        Ok(Waiter { hash, cost, ticket, has_place, since: now, looked_at: now, deadline })
    }

    /// What one who waits does when it is polled.
    fn look<Q, const W: usize>(
        &self,
        request: &WaitRequest<'_, Q>,
        queue: &impl Lock<Target = WaitList<W>>,
        waiter: &mut Waiter,
        waker: &Waker,
    ) -> Look
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let now = self.timer().now();
        let deadline = waiter.deadline(now);
        let (again_at, retry_at) = match waiter.turn(queue, now, waker) {
            Turn::Mine => match self.ask(request, Some(waiter.since)) {
                Ok(Decision::Allow) => return Look::Over(Ok(())),
                Err(error) => return Look::Over(Err(error)),
                Ok(Decision::Deny { retry_at }) => {
                    // Not at once, whatever it was told: that would keep the thread.
                    let again_at = if retry_at > now { retry_at } else { now.after(AT_LEAST) };
                    let again_at = again_at.min(now.after(LOOK_AGAIN)).min(deadline);
                    queue.with(|queue| queue.asks_at(waiter.ticket, again_at));
                    (again_at, Some(retry_at))
                }
            },
            Turn::After(at) => (at, None),
            Turn::Beyond { ahead, at } => {
                // Halfway there, so that it is not too late when those before it need less, or give up.
                let wait = self.ready_at(request, ahead).since(now).half().max(GRACE).min(LOOK_AGAIN);
                (now.after(wait).earlier(at), None)
            }
        };
        // Whoever may not ask yet need not, or is told too.
        if retry_at.is_none() && !self.is_enforced(request.key) {
            return match self.ask(request, Some(waiter.since)) {
                Ok(Decision::Allow) => Look::Over(Ok(())),
                Ok(Decision::Deny { .. }) => Look::Again(now.after(AT_LEAST).min(deadline)),
                Err(error) => Look::Over(Err(error)),
            };
        }
        if retry_at.is_none() && request.cost > ONE {
            let limit = self.with_lock(|limiter| limiter.quota().limit());
            if limit > 0 && request.cost.get() > limit {
                return Look::Over(Err(self.refuse(WaitError::CostExceedsBurst { limit })));
            }
        }
        if now >= deadline || retry_at.is_some_and(|retry_at| retry_at > deadline) {
            let retry_at = retry_at.unwrap_or_else(|| {
                let ahead = queue.with(|queue| queue.cost(waiter.hash));
                self.ready_at(request, ahead)
            });
            return Look::Over(Err(self.refuse(WaitError::TooLong { retry_at })));
        }
        Look::Again(again_at.min(deadline))
    }

    fn ask<Q>(&self, request: &WaitRequest<'_, Q>, since: Option<Instant>) -> Result<Decision, WaitError>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let WaitRequest { key, cost, .. } = request;
        match self.allow_since(*key, *cost, since) {
            Ok(decision) => Ok(decision),
            // As for `allow`.
            Err(_) if *cost == ONE => Ok(Decision::Deny { retry_at: Instant::MAX }),
            Err(error) => Err(self.refuse(error.into())),
        }
    }

    fn ready_at<Q>(&self, request: &WaitRequest<'_, Q>, ahead: u32) -> Instant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.ready_at(request.key, ahead, request.cost, now)).unwrap_or(Instant::MAX)
    }

    fn is_enforced<Q>(&self, key: &Q) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        size_of::<S::Extra<Shadow>>() == 0 || self.with_lock(|limiter| limiter.is_enforced(key))
    }

    fn refuse(&self, error: WaitError) -> WaitError {
        self.with_lock(RateLimiterIn::refuse);
        error
    }
}

/// The shortest sleep after a denial that tells of no later time.
const AT_LEAST: Span = Span::from_nanos(1_000_000);

enum Look {
    Over(Result<(), WaitError>),
    Again(Instant),
}
