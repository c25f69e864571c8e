//! Retry with exponential backoff, jitter, limits and a budget.
//!
//! - [`RetryPolicy`] says how often, how far apart and for how long an operation is tried; [`RetryExt`] calls it:
//!   `policy.call(operation).await`, with [`Retrying::retry_if`], [`Retrying::hint`], [`Retrying::notify`],
//!   [`Retrying::budget`] and [`Retrying::deadline`].
//! - [`RetryBudget`] limits the retries of many operations together, against retry storms.
//!
//! **Errors**: [`RetryError`], with the last error, the number of attempts and the [`Reason`] for giving up.
//! **Counts**: [`RetryBudgetStats`].
//!
//! Next: [`circuit_breaker`](crate::circuit_breaker), inside the retry, and the [guide](crate::guide#several-together)
//! for the order of all.

use std::sync::Arc;

use steadfast_core::{Clock, Lock, RetryBudget as BudgetMachine};

use crate::{
    generation::Generation,
    runtime::{JitterRng, Mutex, SystemRng, SystemTimer},
};

#[doc(inline)]
pub use steadfast_core::retry::{
    Classify, Failure, Hint, Jitter, NoBudget, Notify, Operation, Plain, Reason, Retry, RetryBudgetStats, RetryError,
    RetryFuture, RetryIf, RetryPolicy, Retrying, SeededRng, Step,
};

/// Retries an operation on the system's timer: `policy.call(operation).await` tries until it succeeds or the policy
/// gives up.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{RetryExt, RetryPolicy, retry::Reason};
///
/// #[derive(Debug, PartialEq)]
/// enum StoreError {
///     Busy,
///     Forbidden,
/// }
///
/// impl StoreError {
///     fn is_transient(&self) -> bool {
///         *self == Self::Busy
///     }
/// }
///
/// const POLICY: RetryPolicy =
///     RetryPolicy::exponential(Duration::from_millis(1)).max_delay(Duration::from_secs(30)).max_retries(3);
///
/// # steadfast::block_on(async {
/// # use std::cell::RefCell;
/// # let answers = RefCell::new([Err(StoreError::Busy), Ok("stored"), Err(StoreError::Forbidden)].into_iter());
/// # let store_with = async |_confidant: &str| answers.borrow_mut().next().unwrap();
/// let ack = POLICY.call(|| store_with("dave")).retry_if(StoreError::is_transient).await;
/// assert_eq!(ack, Ok("stored")); // "dave" was busy once
///
/// let error = POLICY.call(|| store_with("erin")).retry_if(StoreError::is_transient).await.unwrap_err();
/// assert_eq!((error.last, error.attempts, error.reason), (Some(StoreError::Forbidden), 1, Reason::NotRetryable));
/// # });
/// ```
///
/// # Every limit
///
/// ```
/// use core::time::Duration;
/// use steadfast::{Deadline, RetryBudget, RetryExt, RetryPolicy, retry::Jitter, runtime::{Clock, SystemTimer}};
///
/// struct Refused {
///     retry_after: Option<Duration>,
/// }
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(1))
///     .max_delay(Duration::from_secs(30))
///     .max_retries(3)
///     .max_elapsed(Duration::from_secs(60)) // attempts and delays together
///     .attempt_timeout(Duration::from_secs(10))
///     .jitter(Jitter::Equal);
///
/// # steadfast::block_on(async {
/// # let mut answers = [Err(Refused { retry_after: Some(Duration::from_millis(2)) }), Ok("stored")].into_iter();
/// # let mut store = || core::future::ready(answers.next().unwrap());
/// let budget = RetryBudget::percent(20); // shared by all requests to one service
/// let deadline = Deadline::within(Duration::from_secs(20), SystemTimer.now()); // of the request that this is done for
/// let ack = POLICY
///     .call(|| store())
///     .hint(|refused| refused.retry_after) // never above `max_delay`
///     .notify(|_refused, attempt, delay| eprintln!("attempt {attempt}: busy, again in {delay:?}"))
///     .budget(&budget)
///     .deadline(deadline) // attempts and delays end by it too
///     .await;
/// assert!(ack.is_ok());
/// # });
/// ```
///
/// # Each failure by its kind
///
/// [`classify`](Retrying::classify) is told every failed attempt, with its number, and says what follows: a delay of
/// its own, an end, or that the attempt was only refused and does not count. Errors can be collected there too.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, RetryExt, RetryPolicy, Trip, circuit_breaker::BreakerError, retry::Failure};
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(1))
///     .factor_percent(150)
///     .max_retries(3)
///     .max_elapsed(Duration::from_secs(60));
///
/// # steadfast::block_on(async {
/// # let mut answers = [Err("busy"), Err("busy")].into_iter();
/// # let mut store = || core::future::ready(answers.next().unwrap_or(Ok("stored")));
/// let breaker = CircuitBreaker::new(Trip::consecutive(2), Reset::after(Duration::from_millis(5)));
/// let mut errors = Vec::new();
/// let ack = POLICY
///     .call(|| breaker.call(store()))
///     .classify(|error, attempt| {
///         errors.push(format!("attempt {attempt}: {}", error.map_or("timed out".to_owned(), ToString::to_string)));
///         match error {
///             // Nobody was called: wait until the breaker lets one through, and count no attempt.
///             Some(BreakerError::Open { retry_at }) => Failure::RefusedUntil(*retry_at),
///             _ => Failure::Transient,
///         }
///     })
///     .await;
/// assert_eq!(ack, Ok("stored"));
/// assert_eq!(errors[..2], ["attempt 1: busy", "attempt 2: busy"]);
/// // And then, if it comes within 5 ms: "attempt 3: the circuit breaker is open".
/// # });
/// ```
///
/// # A value that is not good enough
///
/// Let the operation give it as an error: if it is the last one, it is in [`RetryError::last`].
///
/// ```
/// use core::time::Duration;
/// use steadfast::{RetryExt, RetryPolicy};
///
/// # #[derive(Debug, PartialEq)]
/// # enum Job { Running, Done(u32) }
/// # let mut answers = [Job::Running, Job::Running, Job::Done(7)].into_iter();
/// # let mut poll_job = || core::future::ready(Ok::<_, &str>(answers.next().unwrap()));
/// #[derive(Debug)]
/// enum NotDone {
///     Failed(&'static str),
///     Unwanted(Job),
/// }
///
/// const POLICY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(1));
///
/// let done = POLICY.call(|| {
///     let job = poll_job();
///     async move {
///         match job.await {
///             Ok(Job::Running) => Err(NotDone::Unwanted(Job::Running)),
///             other => other.map_err(NotDone::Failed),
///         }
///     }
/// });
/// assert_eq!(steadfast::block_on(done).unwrap(), Job::Done(7));
/// ```
///
/// # Cancellation
///
/// Dropping the future cancels, at any time: select between it and whatever cancels. Cancelled before its first poll,
/// the operation is never called; while it waits, it is not called again, and the retry goes back into the
/// [budget](Retrying::budget).
///
/// # Without a runtime
///
/// [`block_on`](crate::runtime::block_on) waits on this thread. A blocking operation cannot be cut off, so
/// [`attempt_timeout`](RetryPolicy::attempt_timeout) has no effect on it.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{RetryExt, RetryPolicy, block_on};
///
/// const POLICY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(1));
///
/// let mut attempts = 0;
/// let mut read = || {
///     attempts += 1;
///     if attempts < 3 { Err("not yet") } else { Ok(42) }
/// };
/// assert_eq!(block_on(POLICY.call(|| core::future::ready(read()))), Ok(42));
/// ```
#[doc(alias = "Retryable")]
pub trait RetryExt {
    /// Tries `operation` until it succeeds, or this policy gives up; await it, after the settings of [`Retrying`].
    ///
    /// The operation is called once for each attempt. Jitter comes from the operating system's entropy.
    #[doc(alias("Do", "DoWithContext"))]
    fn call<O: Operation>(self, operation: O) -> Retrying<O, SystemTimer, JitterRng>;
}

impl RetryExt for RetryPolicy {
    fn call<O: Operation>(self, operation: O) -> Retrying<O, SystemTimer, JitterRng> {
        self.call_with(SystemTimer, SystemRng::jitter(), operation)
    }
}

/// A retry budget: it limits the retries of many operations to a share of their requests, against retry storms.
///
/// Clones share one budget. How it counts is told at [`steadfast_core::RetryBudget`].
///
/// ```
/// use core::time::Duration;
/// use steadfast::{RetryBudget, RetryExt, RetryPolicy, block_on, retry::Reason};
///
/// const POLICY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(1)).max_retries(5);
///
/// // One retry for every ten requests, none for free, and two to begin with.
/// let budget = RetryBudget::percent(10).floor_per_second(0).burst(2);
/// let error = block_on(POLICY.call(async || Err::<(), _>("down")).budget(&budget)).unwrap_err();
/// assert_eq!((error.attempts, error.reason), (3, Reason::BudgetExhausted));
/// assert_eq!(budget.stats().withdrawn, 2);
/// ```
#[doc(alias("Budget", "TpsBudget"))]
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Budget>);

#[derive(Debug)]
struct Budget {
    machine: Mutex<BudgetMachine>,
    generation: Generation,
}

impl RetryBudget {
    /// `percent` retries for every 100 requests; one a second at least, and at most 10 at once.
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Self::new(BudgetMachine::percent(percent))
    }

    /// A fresh budget with `retries` a second without any request, so that a client with few requests can retry at all.
    #[must_use]
    pub fn floor_per_second(self, retries: u32) -> Self {
        Self::new(self.0.machine.with(|budget| budget.clone().floor_per_second(retries)))
    }

    /// A fresh budget with at most `retries` at once; that many are in it now. With 0 there is never a retry.
    #[must_use]
    pub fn burst(self, retries: u32) -> Self {
        Self::new(self.0.machine.with(|budget| budget.clone().burst(retries)))
    }

    fn new(budget: BudgetMachine) -> Self {
        Self(Arc::new(Budget { machine: Mutex::new(budget), generation: Generation::default() }))
    }

    /// Goes by the settings of another budget from now on, and keeps what is in it, at most the new burst, and its
    /// counts.
    ///
    /// ```
    /// use steadfast::RetryBudget;
    ///
    /// let budget = RetryBudget::percent(20);
    /// budget.set_settings(&RetryBudget::percent(5).burst(3));
    /// assert_eq!(budget.available(), 3);
    /// ```
    pub fn set_settings(&self, settings: &Self) {
        let settings = settings.0.machine.with(|budget| budget.clone());
        self.0.machine.with(|budget| budget.set_settings(&settings, SystemTimer.now()));
        self.0.generation.next();
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// Puts in the share of one request. [`Retrying::budget`] does it.
    pub fn deposit(&self) {
        self.0.machine.with(BudgetMachine::deposit);
    }

    /// Takes out one retry; false, and nothing taken, if there is none. [`Retrying::budget`] does it.
    #[must_use = "a retry that was refused must not run"]
    pub fn withdraw(&self) -> bool {
        self.0.machine.with(|budget| budget.withdraw(SystemTimer.now()))
    }

    /// Gives back a retry that was taken out and never ran. [`Retrying::budget`] does it.
    pub fn refund(&self) {
        self.0.machine.with(BudgetMachine::refund);
    }

    /// How many retries could be taken out now.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.0.machine.with(|budget| budget.available(SystemTimer.now()))
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> RetryBudgetStats {
        self.0.machine.with(|budget| budget.stats())
    }
}

impl Lock for RetryBudget {
    type Target = BudgetMachine;

    fn with<R>(&self, f: impl FnOnce(&mut BudgetMachine) -> R) -> R {
        self.0.machine.with(f)
    }
}

#[cfg(test)]
mod tests;
