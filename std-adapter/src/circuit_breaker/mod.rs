//! Circuit breakers: they stop calls to what keeps failing (fail fast), and let probes find out when it is back.
//!
//! - [`CircuitBreaker`] is one breaker; [`Breakers`] are one for each key, in fixed memory.
//! - [`Trip`] says when it opens: [`Consecutive`] failures, or a failure rate threshold over a [`CallWindow`]
//!   (count-based sliding window) or a [`TimeWindow`] (time-based sliding window). [`Reset`] says when it closes again,
//!   and how long a call may take.
//!
//! **Outcomes**: a guard or [`Open`] for a call, an [`Outcome`] after it. **Errors**: [`BreakerError`] of a guarded
//! call. **States and counts**: [`BreakerState`], [`BreakerMode`], [`BreakerStats`].
//!
//! Next: [`retry`](crate::retry), around the breaker, and the [guide](crate::guide#several-together) for the order of
//! all.

mod breakers;
mod call;
mod single;
mod until_permitted;
mod watch;

use core::fmt;
use std::sync::Arc;

use steadfast_core::{CircuitBreaker as Machine, Clock, Instant, Timer};

use self::single::Single;
use crate::{
    runtime::{Mutex, SystemTimer, random_seed},
    storage::Heap,
};

pub use breakers::{Breakers, BreakersBuilder, BreakersCall, BreakersGuard, BreakersReporter, KeyReporter};
pub use call::{BorrowedReporter, BreakerCall, BreakerGuard, BreakerReporter};
pub use until_permitted::UntilPermitted;

#[doc(inline)]
pub use steadfast_core::circuit_breaker::{
    Admit, BreakerError, BreakerMode, BreakerState, BreakerStats, CallGuard, CallWindow, Classify, Consecutive,
    GuardedCall, OkOrErr, Open, Outcome, Percent, Permit, PermittedCall, ReportOutcome, Reset, TimeWindow, Transition,
    Trip, TripPolicy, TripWhen, WindowStats,
};

/// Any [`Trip`], of a kind and size that is known at run time only: what the module `settings` reads from a file.
///
/// ```
/// use std::{num::{NonZeroU16, NonZeroU32}, time::Duration};
/// use steadfast::{CircuitBreaker, Reset, circuit_breaker::{AnyTrip, Percent}};
///
/// let by_share = true; // as it comes from a file
/// let trip = match by_share {
///     true => AnyTrip::call_window(NonZeroU16::MIN.saturating_add(99), Percent::new(50)),
///     false => AnyTrip::consecutive(NonZeroU32::MIN.saturating_add(4)),
/// };
/// let breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)));
/// assert!(breaker.allow_request());
/// ```
pub type AnyTrip = steadfast_core::circuit_breaker::AnyTrip<Heap>;

/// A circuit breaker: it refuses calls to something that keeps failing (fail fast), and lets a few probes find out when
/// it is back.
///
/// Clones share one breaker. `P` says when it opens: it is the type that [`Trip`] makes, [`Consecutive`] unless it is
/// named, such as `CircuitBreaker<CallWindow<100>>`. [`Reset`] says when it closes again, with jitter
/// from the system's entropy (the seed in [`Reset::jitter`] is not used). No background task is needed. For one breaker
/// a host, see [`Breakers`].
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, Trip, circuit_breaker::BreakerError};
///
/// # steadfast::block_on(async {
/// # let fetch = async |_url: &str| Err::<(), _>("connection refused");
/// let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2));
/// let breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
///
/// for _ in 0..3 {
///     assert_eq!(breaker.call(fetch("/orders")).await, Err(BreakerError::Inner("connection refused")));
/// }
/// match breaker.call(fetch("/orders")).await {
///     Ok(orders) => { /* serve them */ }
///     Err(BreakerError::Inner(error)) => { /* the call failed */ }
///     Err(BreakerError::Open { retry_at }) => { /* it was not made: answer at once */ }
///     Err(_) => { /* it was cut off after 2 s */ }
/// }
/// # assert_eq!(breaker.stats().rejected, 1);
/// # });
/// ```
///
/// # What counts as a failure
///
/// Every `Err`, unless [`call_with`](Self::call_with) is told otherwise; every call that takes [`Reset::call_timeout`]
/// or longer. A call that is dropped earlier, or that panics, says nothing, unless [`Reset::on_drop`] and
/// [`Reset::on_panic`] are told otherwise; with `slow_calls` it counts as slow once it has lasted so long. If it was a
/// probe, its slot is free at once.
///
/// # Together with retries and time limits
///
/// From the outside in: **retry (breaker (time limit (call)))**. A time limit around the breaker cuts calls off that
/// the breaker then hears nothing of, and a service that hangs never opens it. So limit the time inside: by
/// [`Reset::call_timeout`], or by a timeout in the call that returns an error. A limit that must be outside (a deadline
/// of the whole request, [`RetryPolicy::attempt_timeout`](crate::retry::RetryPolicy::attempt_timeout)) should be
/// longer.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, RetryExt, RetryPolicy, Trip, circuit_breaker::BreakerState};
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(1)).max_retries(5);
///
/// # steadfast::block_on(async {
/// let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_millis(5));
/// let breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
///
/// let hangs = || core::future::pending::<Result<(), &str>>();
/// let error = POLICY.call(|| breaker.call(hangs())).retry_if(|error| !error.is_open()).await.unwrap_err();
/// assert_eq!(breaker.state(), BreakerState::Open);
/// assert_eq!(error.attempts, 4); // three that timed out, and one that the breaker refused
/// # });
/// ```
///
/// # What an outcome may be
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, Trip, circuit_breaker::{Outcome, Percent}};
///
/// # steadfast::block_on(async {
/// # let get = async || Ok::<u16, std::io::Error>(503);
/// let trip = Trip::call_window::<100>(Percent::new(50)).slow_calls(Duration::from_secs(2), Percent::new(80));
/// let breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)).up_to(Duration::from_secs(600)));
/// let status = breaker
///     .call_with(get(), |result| match result {
///         Ok(503) => Outcome::RetryAfter(Duration::from_secs(120)),
///         Ok(400..=499) => Outcome::Ignored, // the caller's own mistake
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure,
///     })
///     .await;
/// # assert_eq!(status.unwrap(), 503);
/// # });
/// ```
///
/// # Blocking calls
///
/// They cannot be cut off; one that takes the `call_timeout` or longer counts as a failure when it returns.
///
/// ```
/// # use steadfast::{CircuitBreaker, Reset, Trip};
/// # let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(core::time::Duration::from_secs(30)));
/// let text = breaker.call_blocking(|| std::fs::read_to_string("orders.json"));
/// ```
///
/// # Keeping a permit
///
/// ```
/// use steadfast::{CircuitBreaker, Reset, Trip, circuit_breaker::{BreakerGuard, Open, Outcome}};
///
/// struct Job {
///     permit: BreakerGuard,
/// }
///
/// # let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(core::time::Duration::from_secs(30)));
/// let job = Job { permit: breaker.try_acquire()? };
/// job.permit.record(Outcome::Success);
/// # Ok::<(), Open>(())
/// ```
///
/// # Cancellation
///
/// Dropping the future of a call gives its permit back at once; what it counts as, [`Reset::on_drop`] says.
///
/// # Cost
///
/// While the last call succeeded (or none of the [`CallWindow`] failed), a call takes no lock, and threads do not
/// contend; it reads the clock only for a [`Reset::call_timeout`]. With `slow_calls` or a time-based window, each call
/// takes the lock twice. A breaker has about a kibibyte; nothing is allocated after it is made.
pub struct CircuitBreaker<P: TripPolicy = Consecutive, T = SystemTimer>(Arc<Single<P, T>>);

impl<P: TripPolicy> CircuitBreaker<P> {
    /// A closed breaker that opens by `trip` and comes back by `reset`.
    #[doc(alias = "NewCircuitBreaker")]
    #[must_use]
    pub fn new(trip: P, reset: Reset) -> Self {
        Self::builder(trip, reset).build()
    }

    /// The settings of such a breaker.
    pub const fn builder(trip: P, reset: Reset) -> CircuitBreakerBuilder<P> {
        CircuitBreakerBuilder { trip, reset, timer: SystemTimer }
    }
}

/// Builds a [`CircuitBreaker`]: its timer.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, Trip, circuit_breaker::BreakerState};
///
/// let breaker = CircuitBreaker::builder(Trip::consecutive(1), Reset::after(Duration::from_secs(30))).build();
/// breaker.record_failure();
/// assert_eq!(breaker.state(), BreakerState::Open);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBreakerBuilder<P, T = SystemTimer> {
    trip: P,
    reset: Reset,
    timer: T,
}

impl<P: TripPolicy, T: Clock> CircuitBreakerBuilder<P, T> {
    /// Another timer than the system's. A [`Clock`] suffices for all but async calls.
    pub fn timer<U: Clock>(self, timer: U) -> CircuitBreakerBuilder<P, U> {
        CircuitBreakerBuilder { trip: self.trip, reset: self.reset, timer }
    }

    /// The breaker, closed.
    pub fn build(self) -> CircuitBreaker<P, T> {
        let mut machine = Machine::new(self.trip, self.reset);
        machine.reseed_jitter(random_seed());
        CircuitBreaker(Arc::new(Single::new(Mutex::new(machine), self.timer)))
    }
}

impl<P: TripPolicy, T: Timer> CircuitBreaker<P, T> {
    /// Waits until the breaker lets a call through, and returns its permit, as [`try_acquire`](Self::try_acquire) does.
    ///
    /// For work that can wait: a consumer that pauses while its database is down. It is woken when the breaker closes,
    /// when a probe's place becomes free, and by [`close`](Self::close), [`set_mode`](Self::set_mode) and
    /// [`set_settings`](Self::set_settings); all that wait are, and whoever asks first is let through. Each time that
    /// it asks in vain counts as rejected.
    ///
    /// # Cancellation
    ///
    /// Dropping this takes nothing: the permit is taken in the poll that returns it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{CircuitBreaker, Reset, Trip};
    ///
    /// # steadfast::block_on(async {
    /// let breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(Duration::from_millis(5)));
    /// breaker.record_failure();
    /// let permit = breaker.until_permitted().await; // 5 ms later
    /// assert_eq!(permit.call(async { Ok::<_, ()>("delivered") }).await, Ok("delivered"));
    /// # });
    /// ```
    #[doc(alias = "wait until closed")]
    pub fn until_permitted(&self) -> UntilPermitted<P, T> {
        UntilPermitted::new(self.clone())
    }
}

impl<P: TripPolicy, T: Clock> CircuitBreaker<P, T> {
    /// True if a call may be made, for callers that tell its end by [`record_success`](Self::record_success) or
    /// [`record_failure`](Self::record_failure). If they do not, a probe's slot is lost for [`Reset::lease`].
    #[must_use]
    pub fn allow_request(&self) -> bool {
        self.0.allow_request()
    }

    /// A success for the current state: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_success(&self) {
        self.0.record_success();
    }

    /// A failure for the current state: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_failure(&self) {
        self.0.change(Machine::record_failure);
    }

    /// Where the breaker stands. `Open` stays until somebody makes a call.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.with_lock(|breaker| breaker.state())
    }

    /// Whether the breaker decides, or an operator does.
    #[must_use]
    pub fn mode(&self) -> BreakerMode {
        self.0.with_lock(|breaker| breaker.mode())
    }

    /// Hands the decision to the breaker or to an operator; the state beneath is untouched.
    pub fn set_mode(&self, mode: BreakerMode) {
        self.0.change(|breaker, _now| breaker.set_mode(mode));
    }

    /// Decides by other settings from now on; state, mode and counts stay. One step: a call is admitted, and judged, by
    /// the former settings or by these, never by a mixture.
    ///
    /// - **Closed**: the window is kept if its shape is the same (as many calls, or as many buckets of the same
    ///   length), else it is empty. Calls stay counted as they were judged. If what is kept reaches the new limits, the
    ///   breaker opens now.
    /// - **Open**: it becomes half-open when it would have, or after the new open time from now, whichever is sooner.
    /// - **Half-open**: it closes now if as many probes have succeeded as the new settings ask for.
    ///
    /// Calls that are under way are cut off when they would have been; if they end later than the new
    /// [`call_timeout`](Reset::call_timeout), and the breaker is not calm, they have failed.
    pub fn set_settings(&self, trip: P, reset: Reset) {
        self.0.set_settings(trip, reset);
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// Closes the breaker and forgets its past; calls that are under way no longer count.
    pub fn close(&self) {
        self.0.change(|breaker, _now| breaker.close());
    }

    /// Opens the breaker for its open time, whatever its calls came to, as
    /// [`steadfast_core`'s](steadfast_core::circuit_breaker::CircuitBreaker::open). To keep it open, see
    /// [`BreakerMode::ForcedOpen`].
    #[doc(alias("trip", "force_open"))]
    pub fn open(&self) {
        self.0.change(Machine::open);
    }

    /// Calls `hook` at each change of state, from now on and in place of an earlier hook: to write a log line, or to
    /// count.
    ///
    /// It runs on the thread whose call brought the change, outside the lock, and may use the breaker; keep it short.
    /// Two changes on two threads may be told in either order; [`Transition::number`] tells them apart. A panic in it
    /// is caught. All clones of this breaker share it.
    ///
    /// Without a hook, and with the feature `tracing`, each change is an event of the target
    /// `steadfast::circuit_breaker`: a warning when the breaker opens, else of level info, with the fields `from`, `to`
    /// and `number`. It is in the span of the call that brought it. A hook may name the breaker:
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{CircuitBreaker, Reset, Trip};
    ///
    /// let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
    /// breaker.on_transition(|change| eprintln!("orders: {:?} after {:?}", change.to, change.from));
    /// ```
    #[doc(alias("on_state_change", "onStateTransition", "event", "listener"))]
    pub fn on_transition(&self, hook: impl Fn(&Transition) + Send + Sync + 'static) {
        self.0.hook.set(Arc::new(hook));
    }

    /// What counts in the window now: the numbers by which it opens.
    #[must_use]
    pub fn window(&self) -> WindowStats {
        self.0.with(Machine::window)
    }

    /// What the breaker has counted since it was made. While all is well, a call counts when it has ended.
    #[must_use]
    pub fn stats(&self) -> BreakerStats {
        self.0.with_lock(|breaker| breaker.stats())
    }

    /// The time by this breaker's clock, for [`Open::retry_after`].
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.clock().now()
    }
}

impl<P: TripPolicy, T> Clone for CircuitBreaker<P, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: TripPolicy, T> fmt::Debug for CircuitBreaker<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
