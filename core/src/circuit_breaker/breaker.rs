//! One breaker.

use super::{
    BreakerMode, BreakerState, BreakerStats, Consecutive, Open, Outcome, Permit, Reset, Transition, TripPolicy,
    WindowStats,
    cell::{Cell, Control, Generation},
};
use crate::foundation::time::Instant;

/// A circuit breaker: it refuses calls to something that keeps failing (fail fast), and lets a few probes find out when
/// it is back.
///
/// It is closed at first: calls pass, and it counts how they end. When its [`Trip`](super::Trip) says so it opens, and
/// refuses every call for the time that its [`Reset`] says. After that it is half-open: it admits exactly
/// [`Reset::probes`] calls, closes when they succeed, and opens again when one fails. A result that belongs to an
/// earlier state changes nothing. A probe that never reports loses its slot after [`Reset::lease`].
///
/// A call that hangs fails only if its time is limited: set [`Reset::call_timeout`]. Then a permit that comes back, or
/// is dropped in its guard, at that age or later is a failure.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CircuitBreaker, Instant, Reset, Trip, circuit_breaker::{BreakerState, Open, Outcome}};
///
/// let mut breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
/// let mut now = Instant::ZERO;
///
/// for _ in 0..3 {
///     let permit = breaker.try_acquire(now)?;
///     breaker.record(permit, Outcome::Failure, now); // the call came to nothing
/// }
/// assert_eq!(breaker.try_acquire(now), Err(Open { retry_at: Instant::from_secs(30) }));
///
/// now = Instant::from_secs(30);
/// let probe = breaker.try_acquire(now)?;
/// assert!(breaker.try_acquire(now).is_err(), "one probe at a time");
/// breaker.record(probe, Outcome::Success, now);
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), Open>(())
/// ```
///
/// Behind a lock and a timer ([`Shared`](crate::foundation::shared::Shared)) it also makes the calls, and cuts them
/// off: see `call`, `call_with`, `call_blocking` and the guard of `try_acquire` there.
///
/// # Which type it is
///
/// `P` is the policy that [`Trip`](super::Trip) makes, [`Consecutive`] unless it is named:
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CircuitBreaker, Reset, Trip, circuit_breaker::{CallWindow, Percent}};
///
/// const RESET: Reset = Reset::after(Duration::from_secs(30));
/// static MODEM: CircuitBreaker = CircuitBreaker::new(Trip::consecutive(3), RESET);
/// static RADIO: CircuitBreaker<CallWindow<32>> = CircuitBreaker::new(Trip::call_window(Percent::new(50)), RESET);
/// ```
///
/// # Clock
///
/// If the clock steps back, an open breaker stays open, for one more open time at most.
///
/// # Cost
///
/// Every operation is O(1), except that [`TimeWindow`](super::TimeWindow) takes O(buckets) after a pause. With
/// [`Consecutive`] it is 160 bytes, of which 64 are counts and 56 settings; [`Breakers`](super::Breakers) have those
/// once for all keys.
#[derive(Clone, Debug)]
pub struct CircuitBreaker<P: TripPolicy = Consecutive> {
    control: Control<P>,
    cell: Cell<P::Window>,
}

impl<P: TripPolicy> CircuitBreaker<P> {
    /// A closed breaker that opens by `trip` and comes back by `reset`.
    #[doc(alias = "NewCircuitBreaker")]
    #[must_use]
    pub const fn new(trip: P, reset: Reset) -> Self {
        Self { control: Control::new(trip, reset), cell: Cell::new(P::EMPTY) }
    }

    /// A permit for one call, or the instant at which to ask again.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made. Only the count of refused calls has changed.
    #[inline]
    pub fn try_acquire(&mut self, now: Instant) -> Result<Permit, Open> {
        self.control.acquire(Some(&mut self.cell), now)
    }

    /// Tells how the call ended that `permit` admitted. At [`Reset::call_timeout`] or later it is a failure in any
    /// case.
    ///
    /// A permit of another breaker is taken for one of this: keep them apart.
    #[inline]
    pub fn record(&mut self, permit: Permit, outcome: Outcome, now: Instant) {
        self.control.record(&mut self.cell, &permit, outcome, now);
    }

    /// [`try_acquire`](Self::try_acquire) for callers that keep no permit; tell the outcome by
    /// [`record_success`](Self::record_success) or [`record_failure`](Self::record_failure).
    ///
    /// Without a permit nobody can tell a late result of an earlier state from a new one, nor a slow call.
    #[must_use]
    pub fn allow_request(&mut self, now: Instant) -> bool {
        self.try_acquire(now).is_ok()
    }

    /// A success for the current state: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_success(&mut self, now: Instant) {
        self.control.record_bare(&mut self.cell, Outcome::Success, now);
    }

    /// A failure for the current state: it counts while closed, or if a probe is out; else it changes nothing, so an
    /// open breaker does not stay open longer.
    pub fn record_failure(&mut self, now: Instant) {
        self.control.record_bare(&mut self.cell, Outcome::Failure, now);
    }

    /// Where the breaker stands, whatever its [`mode`](Self::mode). A pure read: `Open` stays until somebody asks for a
    /// permit.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.cell.state()
    }

    /// Whether the breaker decides, or an operator does.
    #[must_use]
    pub const fn mode(&self) -> BreakerMode {
        self.control.mode
    }

    /// Hands the decision to the breaker or to an operator. The state beneath is untouched; see [`close`](Self::close).
    pub const fn set_mode(&mut self, mode: BreakerMode) {
        self.control.mode = mode;
    }

    /// Closes the breaker and forgets its past; calls that are under way no longer count. The mode and the counts stay.
    pub fn close(&mut self) {
        self.control.close(&mut self.cell);
    }

    /// Decides by other settings from now on; state, mode and counts stay.
    ///
    /// - **Closed**: the window is kept if its shape is the same (as many calls, or as many buckets of the same
    ///   length), else it is empty. Calls stay counted as they were judged. If what is kept reaches the new limits, the
    ///   breaker opens now.
    /// - **Open**: it becomes half-open when it would have, or after the new open time from now, whichever is sooner.
    /// - **Half-open**: it closes now if as many probes have succeeded as the new settings ask for; probes that are out
    ///   keep their place for the new lease from now at most.
    ///
    /// Calls that are under way are judged by the new settings when they end. The generator of [`Reset::jitter`] goes
    /// on; the new seed is not used.
    pub fn set_settings(&mut self, trip: P, reset: Reset, now: Instant) {
        let former = self.control.replace(trip, reset);
        self.control.take_over(&former, &mut self.cell, now);
    }

    /// Opens the breaker for the open time that its [`Reset`] says, whatever its calls came to; those that are under
    /// way no longer count. To keep it open, see [`BreakerMode::ForcedOpen`].
    #[doc(alias("trip", "force_open"))]
    pub fn open(&mut self, now: Instant) {
        self.control.open_now(&mut self.cell, now);
    }

    /// The last change of state, `None` if there was none. Compare its number to see whether there was one since.
    #[must_use]
    pub const fn last_transition(&self) -> Option<Transition> {
        self.control.last_transition()
    }

    /// For adapters: what `f` returns, and the changes of state that it brought, to be told outside the lock. `f` makes
    /// one call of this breaker.
    pub fn telling<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> (R, [Option<Transition>; 2]) {
        let before = self.control.transitions();
        let result = f(self);
        (result, self.control.transitions_since(before))
    }

    /// What counts in the window now: the numbers by which it opens.
    pub fn window(&mut self, now: Instant) -> WindowStats {
        self.control.window(&mut self.cell, now)
    }

    /// Starts the random numbers of [`Reset::jitter`] over, for a breaker whose seed is known at run time only.
    pub const fn reseed_jitter(&mut self, seed: u64) {
        self.control.reseed(seed);
    }

    /// When a call that begins at `now` has failed, by [`Reset::call_timeout`]; `None` for never. Cut it off then.
    #[must_use]
    pub fn call_deadline(&self, now: Instant) -> Option<Instant> {
        self.control.call_deadline(now)
    }

    /// For adapters that let the calls of a healthy breaker pass without its lock. While this is some generation, calls
    /// may be admitted by [`Permit::calm`] and succeed without a word here, if [`merge`](Self::merge) tells of them
    /// before anything else is done with the breaker, and none succeeds at its [`call_deadline`](Self::call_deadline)
    /// or later.
    #[must_use]
    pub fn calm_generation(&self) -> Option<u32> {
        self.control.calm_generation(&self.cell).map(Generation::get)
    }

    /// For adapters: counts calls that passed while the breaker was calm. So many were admitted, and so many succeeded.
    pub fn merge(&mut self, permitted: u64, successes: u64) {
        self.control.merge(&mut self.cell, permitted, successes);
    }

    /// What the breaker has counted since it was made.
    #[must_use]
    pub const fn stats(&self) -> BreakerStats {
        self.control.stats
    }
}
