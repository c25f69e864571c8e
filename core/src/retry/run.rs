//! An operation that is to be tried again, and what one may say about it.
#![expect(clippy::type_complexity, reason = "a future without a name cannot stand in a type alias")]

use core::{
    fmt,
    future::{Future, IntoFuture},
    time::Duration,
};

use rand_core::Rng;

use super::{
    RetryBudget, RetryError, RetryPolicy,
    rules::{Hint, NoBudget, Notify, Plain, RetryIf},
};
use crate::foundation::shared::{Lock, Timer};

/// A retry that can be awaited: it tries an operation until it succeeds or the policy gives up.
///
/// [`RetryPolicy::call_with`] makes it; the adapters' `call` brings the timer and the random generator. Nothing happens before
/// it is awaited. It allocates nothing, and it is `Send` when its parts are.
///
/// # Cancellation
///
/// Dropping the future ends the attempt or the wait. Nothing is called any more, and a retry that was taken out of the
/// [budget](Self::budget) and has not begun is given back.
#[must_use = "nothing is tried until it is awaited"]
pub struct Run<S, D> {
    setup: S,
    drive: D,
}

/// The parts of a [`Run`]: its operation, what is said about it (each [`Plain`], or the closure that was given), its budget
/// ([`NoBudget`], or a lock), timer and generator.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub struct Setup<O, P, H, N, B, T, R> {
    pub(super) policy: RetryPolicy,
    pub(super) operation: O,
    pub(super) retry_if: P,
    pub(super) hint: H,
    pub(super) notify: N,
    pub(super) budget: Option<B>,
    pub(super) is_nested: bool,
    pub(super) timer: T,
    pub(super) rng: R,
}

/// Turns a [`Setup`] into its future. A trait, because the future of an `async fn` has no name that `IntoFuture` could
/// give.
pub trait Drive<S> {
    /// Makes the attempts.
    type Future: Future;

    /// The future of these parts.
    fn drive(self, setup: S) -> Self::Future;
}

impl<S, D: FnOnce(S) -> F, F: Future> Drive<S> for D {
    type Future = F;

    fn drive(self, setup: S) -> F {
        self(setup)
    }
}

impl RetryPolicy {
    /// Tries `operation` until it succeeds or this policy gives up.
    ///
    /// The operation is called once for each attempt, so that each makes its request anew. What it returns must not
    /// borrow from the closure itself: clone into it what it changes. An attempt is cut off (dropped) at
    /// [`attempt_timeout`](Self::attempt_timeout) and at the end of [`max_elapsed`](Self::max_elapsed). Between two attempts
    /// other tasks of the executor have their turn, even without a delay.
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
    pub fn call_with<O, F, V, E, T, R>(
        self,
        timer: T,
        rng: R,
        operation: O,
    ) -> Run<
        Setup<O, Plain, Plain, Plain, NoBudget, T, R>,
        impl Drive<Setup<O, Plain, Plain, Plain, NoBudget, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    >
    where
        O: FnMut() -> F,
        F: Future<Output = Result<V, E>>,
        T: Timer,
        R: Rng,
    {
        Run {
            setup: Setup {
                policy: self,
                operation,
                retry_if: Plain,
                hint: Plain,
                notify: Plain,
                budget: None,
                is_nested: false,
                timer,
                rng,
            },
            drive: Setup::drive,
        }
    }
}

impl<O, F, V, E, P, H, N, B, T, R, D> Run<Setup<O, P, H, N, B, T, R>, D>
where
    O: FnMut() -> F,
    F: Future<Output = Result<V, E>>,
    P: RetryIf<E>,
    H: Hint<E>,
    N: Notify<E>,
    B: Lock<Target = RetryBudget>,
    T: Timer,
    R: Rng,
{
    /// Only errors for which `retry_if` is true are worth another attempt; without it, all are.
    ///
    /// An attempt that was cut off has no error, and is always worth another one.
    #[doc(alias("Condition", "ShouldHandle", "retryOnException", "retryOnResult", "when"))]
    pub fn retry_if<Q: FnMut(&E) -> bool>(
        self,
        retry_if: Q,
    ) -> Run<
        Setup<O, Q, H, N, B, T, R>,
        impl Drive<Setup<O, Q, H, N, B, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        let Setup { policy, operation, hint, notify, budget, is_nested, timer, rng, .. } = self.setup;
        Run {
            setup: Setup { policy, operation, retry_if, hint, notify, budget, is_nested, timer, rng },
            drive: Setup::drive,
        }
    }

    /// `hint` finds in an error how long the server asks to wait: see [`Failure::RetryAfter`](super::Failure::RetryAfter).
    #[doc(alias("DelayGenerator", "Retry-After", "adjust"))]
    pub fn hint<I: FnMut(&E) -> Option<Duration>>(
        self,
        hint: I,
    ) -> Run<
        Setup<O, P, I, N, B, T, R>,
        impl Drive<Setup<O, P, I, N, B, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        let Setup { policy, operation, retry_if, notify, budget, is_nested, timer, rng, .. } = self.setup;
        Run {
            setup: Setup { policy, operation, retry_if, hint, notify, budget, is_nested, timer, rng },
            drive: Setup::drive,
        }
    }

    /// `notify` is told each error that is followed by another attempt (`None` if the attempt was cut off), and the
    /// delay until then.
    #[doc(alias = "OnRetry")]
    pub fn notify<M: FnMut(Option<&E>, Duration)>(
        self,
        notify: M,
    ) -> Run<
        Setup<O, P, H, M, B, T, R>,
        impl Drive<Setup<O, P, H, M, B, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        let Setup { policy, operation, retry_if, hint, budget, is_nested, timer, rng, .. } = self.setup;
        Run {
            setup: Setup { policy, operation, retry_if, hint, notify, budget, is_nested, timer, rng },
            drive: Setup::drive,
        }
    }

    /// This operation puts its share into `budget`, and takes its retries out of it.
    pub fn budget<C: Lock<Target = RetryBudget>>(
        self,
        budget: C,
    ) -> Run<
        Setup<O, P, H, N, C, T, R>,
        impl Drive<Setup<O, P, H, N, C, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        self.with_budget(budget, false)
    }

    /// The same inside another operation that has put in the share of this request already: only retries are taken out.
    ///
    /// Of two layers with one budget the outer uses [`budget`](Self::budget) and the inner this. Each request then puts
    /// in one share, and each call beyond the first costs one retry, whichever layer makes it.
    pub fn nested_budget<C: Lock<Target = RetryBudget>>(
        self,
        budget: C,
    ) -> Run<
        Setup<O, P, H, N, C, T, R>,
        impl Drive<Setup<O, P, H, N, C, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        self.with_budget(budget, true)
    }

    fn with_budget<C: Lock<Target = RetryBudget>>(
        self,
        budget: C,
        is_nested: bool,
    ) -> Run<
        Setup<O, P, H, N, C, T, R>,
        impl Drive<Setup<O, P, H, N, C, T, R>, Future = impl Future<Output = Result<V, RetryError<E>>>>,
    > {
        let Setup { policy, operation, retry_if, hint, notify, timer, rng, .. } = self.setup;
        Run {
            setup: Setup { policy, operation, retry_if, hint, notify, budget: Some(budget), is_nested, timer, rng },
            drive: Setup::drive,
        }
    }
}

impl<S, D: Drive<S>> IntoFuture for Run<S, D> {
    type Output = <D::Future as Future>::Output;
    type IntoFuture = D::Future;

    fn into_future(self) -> D::Future {
        self.drive.drive(self.setup)
    }
}

impl<S, D> fmt::Debug for Run<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}
