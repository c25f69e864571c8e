//! Waiting until the limiter allows it.

use core::{
    borrow::Borrow,
    future::poll_fn,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    pin::pin,
    task::{Poll, Waker},
    time::Duration,
};

use super::{CostExceedsBurst, Decision, ONE, Quota, RateLimiterIn, WaitError};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    storage::Storage,
    time::{Instant, Span},
    wait_list::{GRACE, LOOK_AGAIN, Turn, WaitList},
};

impl<K, A, S, H, L, T> Shared<RateLimiterIn<K, A, S, H>, L, T>
where
    K: Eq + Hash,
    A: Quota,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = RateLimiterIn<K, A, S, H>>,
    T: Timer,
{
    /// Waits until `key` is allowed, and counts it then.
    ///
    /// Those who wait for the same key are served in the order of their arrival; `queue` has the places where they wait,
    /// and belongs to this limiter. Beyond its `W` places that order is not kept, but whoever waits longest comes before
    /// those who come. [`allow`](Self::allow) never waits its turn, and may go before all of them.
    ///
    /// - A waiter that nobody polls, though its turn has come, keeps each of those behind it waiting for 5 ms; then they go
    ///   before it, until it is polled again.
    /// - A turn counts from when it came, at most 5 ms back: a timer that wakes late costs no throughput. See [`Gcra`].
    /// - [`set_quota_and_wake`](Self::set_quota_and_wake), [`refund_and_wake`](Self::refund_and_wake) and
    ///   [`reset_and_wake`](Self::reset_and_wake) tell those who wait; of other changes they are told by
    ///   [`WaitList::wake_all`], or notice within a second.
    /// - A quota of zero is waited for until there is another one.
    ///
    /// It counts as allowed when it is, and never as denied.
    ///
    /// # Cancellation
    ///
    /// A future that is dropped has counted nothing and frees its place at once.
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
    pub async fn until_allowed<const W: usize>(&self, key: &K, queue: &impl Lock<Target = WaitList<W>>)
    where
        K: Clone,
    {
        let hash = self.with_lock(|limiter| limiter.hash(key));
        // One never fails to fit, and without a limit no wait is too long.
        let _ = self.until_allowed_with(hash, key, K::clone, ONE, None, queue).await;
    }

    /// [`until_allowed`](Self::until_allowed) for a request that counts `cost` times, all or nothing.
    ///
    /// Those behind it wait until it was served, also where the quota would suffice for them.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota, at once or when another quota makes it so;
    /// nothing was taken from the quota, and it counts as denied.
    pub async fn until_allowed_n<const W: usize>(
        &self,
        key: &K,
        cost: NonZeroU32,
        queue: &impl Lock<Target = WaitList<W>>,
    ) -> Result<(), CostExceedsBurst>
    where
        K: Clone,
    {
        let hash = self.with_lock(|limiter| limiter.hash(key));
        match self.until_allowed_with(hash, key, K::clone, cost, None, queue).await {
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
    /// # Errors
    ///
    /// [`WaitError::TooLong`] with the instant at which it would have been allowed, or [`WaitError::CostExceedsBurst`]. Nothing was
    /// taken from the quota, and it counts as denied.
    pub async fn until_allowed_within<const W: usize>(
        &self,
        key: &K,
        cost: NonZeroU32,
        longest: Duration,
        queue: &impl Lock<Target = WaitList<W>>,
    ) -> Result<(), WaitError>
    where
        K: Clone,
    {
        let hash = self.with_lock(|limiter| limiter.hash(key));
        self.until_allowed_with(hash, key, K::clone, cost, Some(longest), queue).await
    }

    /// The waiting calls for a borrowed form of the key, for adapters that have hashed it already.
    ///
    /// `hash` is what this limiter's [`hash`](RateLimiterIn::hash) returns, and says who waits for the same; `own` makes the
    /// key of a new entry; without a `longest` no wait is too long.
    ///
    /// # Errors
    ///
    /// As for [`until_allowed_within`](Self::until_allowed_within).
    pub async fn until_allowed_with<Q, const W: usize>(
        &self,
        hash: u64,
        key: &Q,
        own: impl Fn(&Q) -> K,
        cost: NonZeroU32,
        longest: Option<Duration>,
        queue: &impl Lock<Target = WaitList<W>>,
    ) -> Result<(), WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let request = Request { key, own, cost };
        // Nobody lines up where there is nothing to wait for.
        if queue.with(|queue| queue.is_clear(hash)) && self.ask(&request, None)?.is_allowed() {
            return Ok(());
        }
        let now = self.timer().now();
        let deadline = longest.map_or(Instant::MAX, |longest| now.saturating_add(longest));
        if deadline < Instant::MAX || cost > ONE {
            let ahead = queue.with(|queue| queue.cost(hash));
            let retry_at = self.with(|limiter, now| limiter.ready_at(key, ahead, cost, now));
            let retry_at = retry_at.map_err(|error| self.refuse(error.into()))?;
            if retry_at > deadline {
                return Err(self.refuse(WaitError::TooLong { retry_at }));
            }
        }
        let (ticket, has_place) = queue.with(|queue| queue.join(hash, cost));
        let mut waiter = Waiter { queue, hash, cost, ticket, has_place, since: now, looked_at: now, deadline };
        let mut sleep = pin!(None);
        let mut wakes_at = None;
        poll_fn(|cx| {
            // Once more if the sleep is over; a timer that wakes early must not keep the thread.
            for _ in 0..2 {
                let at = match self.look(&request, &mut waiter, cx.waker()) {
                    Look::Over(end) => return Poll::Ready(end),
                    Look::Again(at) => at,
                };
                if wakes_at.replace(at) != Some(at) {
                    sleep.set(Some(self.timer().sleep_until(at)));
                }
                if sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_pending()) {
                    return Poll::Pending;
                }
                wakes_at = None;
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// What one who waits does when it is polled.
    fn look<Q, F, L2, const W: usize>(
        &self,
        request: &Request<'_, Q, F>,
        waiter: &mut Waiter<'_, L2, W>,
        waker: &Waker,
    ) -> Look
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        F: Fn(&Q) -> K,
        L2: Lock<Target = WaitList<W>>,
    {
        let now = self.timer().now();
        let deadline = waiter.deadline(now);
        let (again_at, retry_at) = match waiter.turn(now, waker) {
            Turn::Mine => match self.ask(request, Some(waiter.since)) {
                Ok(Decision::Allow) => return Look::Over(Ok(())),
                Err(error) => return Look::Over(Err(error)),
                Ok(Decision::Deny { retry_at }) => {
                    // Not at once, whatever it was told: that would keep the thread.
                    let again_at = if retry_at > now { retry_at } else { now.after(AT_LEAST) };
                    let again_at = again_at.min(now.after(LOOK_AGAIN)).min(deadline);
                    waiter.queue.with(|queue| queue.asks_at(waiter.ticket, again_at));
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
        // Whoever may not ask yet is told too.
        if retry_at.is_none() && request.cost > ONE {
            let limit = self.with_lock(|limiter| limiter.quota().limit());
            if limit > 0 && request.cost.get() > limit {
                return Look::Over(Err(self.refuse(WaitError::CostExceedsBurst { limit })));
            }
        }
        if now >= deadline || retry_at.is_some_and(|retry_at| retry_at > deadline) {
            let retry_at = retry_at.unwrap_or_else(|| {
                let ahead = waiter.queue.with(|queue| queue.cost(waiter.hash));
                self.ready_at(request, ahead)
            });
            return Look::Over(Err(self.refuse(WaitError::TooLong { retry_at })));
        }
        Look::Again(again_at.min(deadline))
    }

    fn ask<Q, F>(&self, request: &Request<'_, Q, F>, since: Option<Instant>) -> Result<Decision, WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        F: Fn(&Q) -> K,
    {
        let Request { key, own, cost } = request;
        match self.allow_since(*key, own, *cost, since) {
            Ok(decision) => Ok(decision),
            // As for `allow`.
            Err(_) if *cost == ONE => Ok(Decision::Deny { retry_at: Instant::MAX }),
            Err(error) => Err(self.refuse(error.into())),
        }
    }

    fn ready_at<Q, F>(&self, request: &Request<'_, Q, F>, ahead: u32) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.ready_at(request.key, ahead, request.cost, now)).unwrap_or(Instant::MAX)
    }

    fn refuse(&self, error: WaitError) -> WaitError {
        self.with_lock(RateLimiterIn::refuse);
        error
    }
}

/// The shortest sleep after a denial that tells of no later time.
const AT_LEAST: Span = Span::from_nanos(1_000_000);

/// What is waited for.
struct Request<'a, Q: ?Sized, F> {
    key: &'a Q,
    own: F,
    cost: NonZeroU32,
}

enum Look {
    Over(Result<(), WaitError>),
    Again(Instant),
}

/// One who waits; dropping it leaves the line and wakes whoever is first now.
struct Waiter<'a, L: Lock<Target = WaitList<W>>, const W: usize> {
    queue: &'a L,
    hash: u64,
    cost: NonZeroU32,
    ticket: u64,
    has_place: bool,
    since: Instant,
    looked_at: Instant,
    deadline: Instant,
}

impl<L: Lock<Target = WaitList<W>>, const W: usize> Waiter<'_, L, W> {
    /// Until when it waits; that goes along with a clock that steps back.
    fn deadline(&mut self, now: Instant) -> Instant {
        if self.deadline < Instant::MAX {
            self.deadline = self.deadline.before(self.looked_at.since(now));
        }
        self.looked_at = now;
        self.deadline
    }

    fn turn(&mut self, now: Instant, waker: &Waker) -> Turn {
        // Cloned and dropped outside the lock: the last waker of a task may drop the task.
        let mut waker = Some(waker.clone());
        let mut claim = if self.has_place { None } else { waker.clone() };
        self.queue.with(|queue| {
            if !self.has_place {
                self.has_place = queue.enter((self.hash, self.cost, self.ticket), now, &mut claim);
            }
            match queue.turn(self.hash, self.ticket, now, &mut waker) {
                Turn::After(at) if !self.has_place => Turn::Beyond { ahead: queue.ahead(self.ticket), at },
                turn => turn,
            }
        })
    }
}

impl<L: Lock<Target = WaitList<W>>, const W: usize> Drop for Waiter<'_, L, W> {
    fn drop(&mut self) {
        let [gone, first, heir] = self.queue.with(|queue| queue.leave(self.hash, self.ticket));
        first.into_iter().chain(heir).for_each(|waker| self.queue.outside(|| waker.wake()));
        drop(gone);
    }
}
