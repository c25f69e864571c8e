//! An operation that is to be tried again, and what one may say about it.

use core::{
    fmt,
    future::{Future, IntoFuture},
    time::Duration,
};

use rand_core::Rng;

use super::{
    Failure, RetryBudget, RetryError, RetryFuture, RetryPolicy,
    rules::{Classify, Hint, NoBudget, Notify, Plain, RetryIf},
};
use crate::foundation::{
    deadline::Deadline,
    shared::{Lock, Timer},
};

/// What is tried again: a closure that makes a future for each attempt, or a type whose future has a name.
pub trait Operation {
    /// What it brings.
    type Value;
    /// How it fails.
    type Error;
    /// One attempt.
    type Attempt: Future<Output = Result<Self::Value, Self::Error>>;

    /// Begins an attempt.
    fn attempt(&mut self) -> Self::Attempt;
}

impl<O: FnMut() -> F, F: Future<Output = Result<V, E>>, V, E> Operation for O {
    type Value = V;
    type Error = E;
    type Attempt = F;

    fn attempt(&mut self) -> F {
        self()
    }
}

/// A retry that can be awaited: it tries an operation until it succeeds or the policy gives up.
///
/// [`RetryPolicy::call_with`] makes it; the adapters' `call` brings the timer and the random generator. What is said
/// about the operation is a type each, [`Plain`] or the closure that was given; so is its budget, [`NoBudget`] or a
/// lock.
///
/// Nothing happens before it is awaited. Its future has a name, [`RetryFuture`], and so can be kept in a struct. It
/// allocates nothing, and it is `Send` when its parts are.
///
/// # Cancellation
///
/// Dropping the future ends the attempt or the wait. Nothing is called any more, and a retry that was taken out of the
/// [budget](Self::budget) and has not begun is given back.
#[must_use = "nothing is tried until it is awaited"]
pub struct Retrying<O, T, R, P = Plain, H = Plain, N = Plain, B = NoBudget> {
    pub(super) policy: RetryPolicy,
    pub(super) deadline: Deadline,
    pub(super) operation: O,
    pub(super) retry_if: P,
    pub(super) classify: H,
    pub(super) notify: N,
    pub(super) budget: Option<B>,
    pub(super) is_nested: bool,
    pub(super) timer: T,
    pub(super) rng: R,
}

impl RetryPolicy {
    /// Tries `operation` until it succeeds or this policy gives up.
    ///
    /// The operation is called once for each attempt, so that each makes its request anew. What it returns must not
    /// borrow from the closure itself: clone into it what it changes. An attempt is cut off (dropped) at
    /// [`attempt_timeout`](Self::attempt_timeout) and at the end of [`max_elapsed`](Self::max_elapsed). Between two
    /// attempts other tasks of the executor have their turn, even without a delay.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{RetryPolicy, retry::Reason};
    /// # use core::{convert::Infallible, future::{Ready, ready}, pin::pin, task::{Context, Waker}};
    /// # use steadfast_core::{Clock, Instant, Timer};
    /// # struct Board;
    /// # impl Clock for Board {
    /// #     fn now(&self) -> Instant { Instant::ZERO }
    /// # }
    /// # impl Timer for Board {
    /// #     type Sleep = Ready<()>;
    /// #     fn sleep_until(&self, _: Instant) -> Ready<()> { ready(()) }
    /// # }
    /// # impl rand_core::TryRng for Board {
    /// #     type Error = Infallible;
    /// #     fn try_next_u32(&mut self) -> Result<u32, Infallible> { Ok(1 << 31) }
    /// #     fn try_next_u64(&mut self) -> Result<u64, Infallible> { Ok(0) }
    /// #     fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> { Ok(()) }
    /// # }
    /// # let (timer, mut rng) = (Board, Board);
    ///
    /// #[derive(Debug, PartialEq)]
    /// enum StoreError {
    ///     Busy,
    ///     Full,
    /// }
    ///
    /// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(1)).max_retries(3);
    ///
    /// # let example = async {
    /// let mut answers = [StoreError::Busy, StoreError::Full].into_iter();
    /// let mut store = || ready(answers.next().map_or(Ok("stored"), Err)); // a request, in real life
    /// let result = POLICY
    ///     .call_with(&timer, &mut rng, || store())
    ///     .retry_if(|error| *error == StoreError::Busy)
    ///     .await;
    ///
    /// let error = result.unwrap_err();
    /// assert_eq!((error.last, error.attempts, error.reason), (Some(StoreError::Full), 2, Reason::NotRetryable));
    /// # };
    /// # let (mut example, mut cx) = (pin!(example), Context::from_waker(Waker::noop()));
    /// # assert!((0..2).any(|_| example.as_mut().poll(&mut cx).is_ready()));
    /// ```
    #[doc(alias = "Do")]
    #[doc(alias = "DoWithContext")]
    pub const fn call_with<O, T, R>(self, timer: T, rng: R, operation: O) -> Retrying<O, T, R>
    where
        O: Operation,
        T: Timer,
        R: Rng,
    {
        Retrying {
            policy: self,
            deadline: Deadline::NEVER,
            operation,
            retry_if: Plain,
            classify: Plain,
            notify: Plain,
            budget: None,
            is_nested: false,
            timer,
            rng,
        }
    }
}

impl<O: Operation, T, R, P, H, N, B> Retrying<O, T, R, P, H, N, B> {
    /// Only errors for which `retry_if` is true are worth another attempt; without it, all are.
    ///
    /// An attempt that was cut off has no error, and is always worth another one.
    #[doc(alias("Condition", "ShouldHandle", "retryOnException", "retryOnResult", "when"))]
    pub fn retry_if<Q: FnMut(&O::Error) -> bool>(self, retry_if: Q) -> Retrying<O, T, R, Q, H, N, B> {
        let Self { policy, deadline, operation, classify, notify, budget, is_nested, timer, rng, .. } = self;
        Retrying { policy, deadline, operation, retry_if, classify, notify, budget, is_nested, timer, rng }
    }

    /// `hint` finds in an error how long the server asks to wait: see [`Failure::RetryAfter`]. It takes the place of
    /// [`classify`](Self::classify).
    #[doc(alias("Retry-After"))]
    pub fn hint<I: FnMut(&O::Error) -> Option<Duration>>(self, hint: I) -> Retrying<O, T, R, P, Hint<I>, N, B> {
        self.with_classify(Hint(hint))
    }

    /// `classify` says of each failed attempt whether and when to try again. It takes the place of
    /// [`hint`](Self::hint); if there is a [`retry_if`](Self::retry_if), that is asked first.
    ///
    /// It is told the error (`None` if the attempt was cut off) and the number of the attempt, from 1 on: every failure
    /// passes here, the last one too. So it serves delays by a function of both, errors that are given up when they ask
    /// for too much, refusals that are no attempts, and a record of all errors.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Instant, RetryPolicy, circuit_breaker::BreakerError, retry::Failure};
    /// # use core::{convert::Infallible, future::{Ready, ready}, pin::pin, task::{Context, Waker}};
    /// # use steadfast_core::{Clock, Timer};
    /// # struct Board;
    /// # impl Clock for Board {
    /// #     fn now(&self) -> Instant { Instant::ZERO }
    /// # }
    /// # impl Timer for Board {
    /// #     type Sleep = Ready<()>;
    /// #     fn sleep_until(&self, _: Instant) -> Ready<()> { ready(()) }
    /// # }
    /// # impl rand_core::TryRng for Board {
    /// #     type Error = Infallible;
    /// #     fn try_next_u32(&mut self) -> Result<u32, Infallible> { Ok(1 << 31) }
    /// #     fn try_next_u64(&mut self) -> Result<u64, Infallible> { Ok(0) }
    /// #     fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> { Ok(()) }
    /// # }
    /// # let (timer, mut rng) = (Board, Board);
    ///
    /// enum StoreError {
    ///     Busy { retry_after: Duration },
    ///     Full,
    /// }
    ///
    /// const DELAYS: [Duration; 4] =
    ///     [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10)];
    /// const POLICY: RetryPolicy =
    ///     RetryPolicy::constant(Duration::from_secs(30)).max_retries(6).max_elapsed(Duration::from_secs(300));
    ///
    /// # let example = async {
    /// # let answers = [
    /// #     Some(BreakerError::Open { retry_at: Instant::from_secs(9) }),
    /// #     Some(BreakerError::Inner(StoreError::Busy { retry_after: Duration::from_secs(3) })),
    /// #     Some(BreakerError::TimedOut),
    /// #     Some(BreakerError::Inner(StoreError::Busy { retry_after: Duration::from_secs(3_600) })),
    /// # ];
    /// # let mut answers = answers.into_iter();
    /// # let mut store = || ready(answers.next().flatten().map_or(Ok("stored"), Err));
    /// let result = POLICY
    ///     .call_with(&timer, &mut rng, || store()) // through a circuit breaker
    ///     .classify(|error, attempt| match error {
    ///         Some(BreakerError::Open { retry_at }) => Failure::RefusedUntil(*retry_at),
    ///         Some(BreakerError::Inner(StoreError::Busy { retry_after })) if retry_after.as_secs() > 60 => Failure::Permanent,
    ///         Some(BreakerError::Inner(StoreError::Busy { retry_after })) => Failure::RetryAfter(*retry_after),
    ///         Some(BreakerError::Inner(StoreError::Full)) => Failure::Permanent,
    ///         _ => {
    ///             DELAYS.get(attempt as usize - 1).map_or(Failure::Transient, |delay| Failure::Delay(*delay))
    ///         }
    ///     })
    ///     .await;
    /// # assert_eq!(result.unwrap_err().attempts, 3, "the refusal is none");
    /// # };
    /// # let (mut example, mut cx) = (pin!(example), Context::from_waker(Waker::noop()));
    /// # assert!((0..9).any(|_| example.as_mut().poll(&mut cx).is_ready()));
    /// ```
    #[doc(alias("DelayGenerator", "fibonacci", "adjust"))]
    pub fn classify<I: FnMut(Option<&O::Error>, u32) -> Failure>(self, classify: I) -> Retrying<O, T, R, P, I, N, B> {
        self.with_classify(classify)
    }

    fn with_classify<I>(self, classify: I) -> Retrying<O, T, R, P, I, N, B> {
        let Self { policy, deadline, operation, retry_if, notify, budget, is_nested, timer, rng, .. } = self;
        Retrying { policy, deadline, operation, retry_if, classify, notify, budget, is_nested, timer, rng }
    }

    /// Attempts, delays and refusals end by `deadline` as by [`max_elapsed`](RetryPolicy::max_elapsed), whichever is
    /// earlier: one bound over this retry and all else that is done for a request.
    ///
    /// If it is over before the first attempt, none is made: [`RetryError::attempts`] is 0. With a deadline
    /// [refusals](Failure::RefusedUntil) use up neither `max_retries` nor the budget, as with `max_elapsed`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Deadline, Instant, RetryPolicy, retry::Reason};
    /// # use core::{convert::Infallible, future::{Ready, ready}, pin::pin, task::{Context, Waker}};
    /// # use steadfast_core::{Clock, Timer};
    /// # struct Board;
    /// # impl Clock for Board {
    /// #     fn now(&self) -> Instant { Instant::ZERO }
    /// # }
    /// # impl Timer for Board {
    /// #     type Sleep = Ready<()>;
    /// #     fn sleep_until(&self, _: Instant) -> Ready<()> { ready(()) }
    /// # }
    /// # impl rand_core::TryRng for Board {
    /// #     type Error = Infallible;
    /// #     fn try_next_u32(&mut self) -> Result<u32, Infallible> { Ok(1 << 31) }
    /// #     fn try_next_u64(&mut self) -> Result<u64, Infallible> { Ok(0) }
    /// #     fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> { Ok(()) }
    /// # }
    /// # let (timer, mut rng) = (Board, Board);
    ///
    /// const POLICY: RetryPolicy = RetryPolicy::constant(Duration::from_secs(8));
    ///
    /// # let example = async {
    /// # let store = || ready(Err::<(), _>("busy"));
    /// let deadline = Deadline::within(Duration::from_secs(3), timer.now()); // of the request that this serves
    /// let error = POLICY.call_with(&timer, &mut rng, || store()).deadline(deadline).await.unwrap_err();
    /// assert_eq!((error.attempts, error.reason), (1, Reason::DeadlineExceeded)); // the next one would be too late
    /// # };
    /// # let (mut example, mut cx) = (pin!(example), Context::from_waker(Waker::noop()));
    /// # assert!((0..2).any(|_| example.as_mut().poll(&mut cx).is_ready()));
    /// ```
    ///
    /// # Clock
    ///
    /// If the clock steps back, the whole still ends by the deadline, and in no more time from then on than there was
    /// when it began. So each step prolongs it by itself, or by that time, at most.
    #[doc(alias("timeout", "with_deadline"))]
    pub const fn deadline(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// `notify` is told each error that is followed by another attempt (`None` if the attempt was cut off), the number
    /// of the attempt from 1 on, and the delay until the next. The last error is in the [`RetryError`].
    #[doc(alias = "OnRetry")]
    pub fn notify<M: FnMut(Option<&O::Error>, u32, Duration)>(self, notify: M) -> Retrying<O, T, R, P, H, M, B> {
        let Self { policy, deadline, operation, retry_if, classify, budget, is_nested, timer, rng, .. } = self;
        Retrying { policy, deadline, operation, retry_if, classify, notify, budget, is_nested, timer, rng }
    }

    /// This operation puts its share into `budget`, and takes its retries out of it.
    pub fn budget<C: Lock<Target = RetryBudget>>(self, budget: C) -> Retrying<O, T, R, P, H, N, C> {
        self.with_budget(budget, false)
    }

    /// The same inside another operation that has put in the share of this request already: only retries are taken out.
    ///
    /// Of two layers with one budget the outer uses [`budget`](Self::budget) and the inner this. Each request then puts
    /// in one share, and each call beyond the first costs one retry, whichever layer makes it.
    pub fn nested_budget<C: Lock<Target = RetryBudget>>(self, budget: C) -> Retrying<O, T, R, P, H, N, C> {
        self.with_budget(budget, true)
    }

    fn with_budget<C>(self, budget: C, is_nested: bool) -> Retrying<O, T, R, P, H, N, C> {
        let Self { policy, deadline, operation, retry_if, classify, notify, timer, rng, .. } = self;
        Retrying {
            policy,
            deadline,
            operation,
            retry_if,
            classify,
            notify,
            budget: Some(budget),
            is_nested,
            timer,
            rng,
        }
    }
}

impl<O, T, R, P, H, N, B> IntoFuture for Retrying<O, T, R, P, H, N, B>
where
    O: Operation,
    T: Timer,
    R: Rng,
    P: RetryIf<O::Error>,
    H: Classify<O::Error>,
    N: Notify<O::Error>,
    B: Lock<Target = RetryBudget>,
{
    type Output = Result<O::Value, RetryError<O::Error>>;
    type IntoFuture = RetryFuture<O, T, R, P, H, N, B>;

    fn into_future(self) -> Self::IntoFuture {
        RetryFuture::new(self)
    }
}

impl<O, T, R, P, H, N, B> fmt::Debug for Retrying<O, T, R, P, H, N, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying").field("policy", &self.policy).finish_non_exhaustive()
    }
}
