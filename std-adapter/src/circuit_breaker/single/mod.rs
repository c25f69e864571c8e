//! One breaker for many threads.
//!
//! While the other side is well, a call changes nothing but counts. So each thread then counts in a lane of its own, in
//! one atomic step when the call has succeeded, without lock and clock. Anything else takes the lock, closes the lanes,
//! and tells the machine what has passed; the machine is never asked before it knows all.

use core::{
    ops::Deref,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use steadfast_core::{
    CircuitBreaker as Machine, Clock, Instant, Lock, Reset, Shared, Timer,
    circuit_breaker::{BreakerMode, BreakerState, Open, Outcome, Permit, ReportOutcome, TripPolicy},
};

use super::watch::{Hook, OnTransition};
use crate::{
    generation::Generation,
    runtime::{Mutex, Waiters},
};

/// A machine behind its lock, and the lanes beside it. Lock and word are parameters for the sake of loom.
pub(super) struct Single<P: TripPolicy, T, L = Mutex<Machine<P>>, W = AtomicU64> {
    shared: Shared<Machine<P>, L, T>,
    lanes: [Lane<W>; LANES],
    /// The lanes are open; looked at and changed inside the lock only.
    is_calm: AtomicBool,
    /// In nanoseconds, [`NO_LIMIT`] if there is none.
    call_timeout: AtomicU64,
    /// A change of state takes the lock: what passes by a lane brings none.
    pub(super) hook: Hook<OnTransition>,
    pub(super) waiters: Waiters,
    pub(super) generation: Generation,
}

/// The call timeout of a breaker without one.
const NO_LIMIT: u64 = u64::MAX;

/// Brings a permit back to its breaker.
pub(super) struct Reporter<S> {
    single: S,
    lane: usize,
    /// The machine knows of this call.
    is_counted: bool,
    /// When the call has failed.
    deadline: Option<Instant>,
}

impl<P, T, L, W, S> Reporter<S>
where
    P: TripPolicy,
    T: Timer,
    L: Lock<Target = Machine<P>>,
    W: Word,
    S: Deref<Target = Single<P, T, L, W>>,
{
    /// Until the call has failed.
    pub(super) fn sleep(&self) -> Option<T::Sleep> {
        self.deadline.map(|at| self.single.clock().sleep_until(at))
    }
}

impl<P, T, L, W, S> ReportOutcome for Reporter<S>
where
    P: TripPolicy,
    T: Clock,
    L: Lock<Target = Machine<P>>,
    W: Word,
    S: Deref<Target = Single<P, T, L, W>>,
{
    #[inline]
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        let is_in_time = || self.deadline.is_none_or(|at| self.single.clock().now() < at);
        let what = if self.is_counted { SUCCEEDED } else { ADMITTED | SUCCEEDED };
        if outcome == Outcome::Success
            && is_in_time()
            && self.single.lane(self.lane).count(what, |generation| generation == permit.generation())
        {
            return;
        }
        self.single.record_locked(permit, self.is_counted, outcome);
    }
}

/// Enough that few threads meet in one.
const LANES: usize = 8;

/// What has passed in one lane: the generation of the breaker (0 if the lane is closed), how many calls were admitted,
/// and how many succeeded, in 32, 16 and 16 bits. Two cache lines, because processors fetch them in pairs.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Lane<W>(W);

const ADMITTED: u64 = 1 << 16;
const SUCCEEDED: u64 = 1;
const COUNT: u64 = 0xffff;
const ADMITTED_COUNT: u64 = COUNT << 16;

const fn generation(word: u64) -> u32 {
    (word >> 32) as u32
}

/// An atomic number. Nothing but itself is read or written by its leave, so no other memory is ordered by it.
pub(super) trait Word: Default {
    fn get(&self) -> u64;
    fn set(&self, new: u64);
    fn replace(&self, new: u64) -> u64;
    /// `new` in place of `old`, or what is there instead; may fail for no reason.
    fn change(&self, old: u64, new: u64) -> Result<u64, u64>;
}

/// Written once, so that the orders that loom explores are those of the breaker.
macro_rules! word {
    ($atomic:ty) => {
        impl Word for $atomic {
            fn get(&self) -> u64 {
                self.load(Ordering::Acquire)
            }

            fn set(&self, new: u64) {
                self.store(new, Ordering::Release);
            }

            fn replace(&self, new: u64) -> u64 {
                self.swap(new, Ordering::AcqRel)
            }

            fn change(&self, old: u64, new: u64) -> Result<u64, u64> {
                self.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire)
            }
        }
    };
}

word!(AtomicU64);

impl<W: Word> Lane<W> {
    /// The breaker's generation, if the lane is open.
    fn generation(&self) -> Option<u32> {
        let generation = generation(self.0.get());
        (generation != 0).then_some(generation)
    }

    /// Counts one more of each that is in `what`, if the lane is open to it and has room.
    fn count(&self, what: u64, is_open_to: impl Fn(u32) -> bool) -> bool {
        let mut word = self.0.get();
        loop {
            let is_full = word & COUNT == COUNT || word & ADMITTED_COUNT == ADMITTED_COUNT;
            if generation(word) == 0 || is_full || !is_open_to(generation(word)) {
                return false;
            }
            let counted = word.wrapping_add(what);
            match self.0.change(word, counted) {
                Ok(_) => return true,
                Err(changed) => word = changed,
            }
        }
    }
}

impl<P, T, L, W> Single<P, T, L, W>
where
    P: TripPolicy,
    T: Clock,
    L: Lock<Target = Machine<P>>,
    W: Word,
{
    pub(super) fn new(lock: L, clock: T) -> Self {
        let call_timeout = AtomicU64::new(lock.with(|machine| call_timeout(machine)));
        let single = Self {
            shared: Shared::new(lock, clock),
            lanes: Default::default(),
            is_calm: AtomicBool::new(false),
            call_timeout,
            hook: Hook::default(),
            waiters: Waiters::default(),
            generation: Generation::default(),
        };
        single.shared.with_lock(|machine| single.open_lanes(machine));
        single
    }

    pub(super) const fn clock(&self) -> &T {
        self.shared.timer()
    }

    /// Admits one call, which reports its end to `single`, this very breaker.
    #[inline]
    pub(super) fn acquire<S: Deref<Target = Self>>(single: S) -> Result<(Permit, Reporter<S>), Open> {
        Self::acquire_in(single, lane())
    }

    /// [`acquire`](Self::acquire) in the lane of this number.
    #[inline]
    pub(super) fn acquire_in<S: Deref<Target = Self>>(single: S, lane: usize) -> Result<(Permit, Reporter<S>), Open> {
        let generation = single.lane(lane).generation();
        let call_timeout = single.call_timeout.load(Ordering::Relaxed);
        // Only if calls have a limit it matters when they began. One that has none gets none later.
        let now = if call_timeout == NO_LIMIT { Instant::MAX } else { single.clock().now() };
        // Of a call that passes by a lane the machine hears when it ends.
        let permit = match generation {
            Some(generation) => Permit::calm(generation, now),
            None => single.acquire_locked()?,
        };
        let deadline = (call_timeout != NO_LIMIT).then(|| now.saturating_add(Duration::from_nanos(call_timeout)));
        Ok((permit, Reporter { single, lane, is_counted: generation.is_none(), deadline }))
    }

    // Apart, and never inlined, so that what nearly every call does is short enough to be.
    #[inline(never)]
    fn acquire_locked(&self) -> Result<Permit, Open> {
        let (decision, transitions) = self.with(|machine, now| machine.telling(|machine| machine.try_acquire(now)));
        self.hook.tell(transitions, |hook, transition| hook(transition));
        decision
    }

    #[inline(never)]
    fn record_locked(&self, permit: Permit, is_counted: bool, outcome: Outcome) {
        self.change(|machine, now| {
            if !is_counted {
                machine.merge(1, 0);
            }
            machine.record(permit, outcome, now);
        });
    }

    /// Admits a call that keeps no permit.
    pub(super) fn allow_request(&self) -> bool {
        self.lane(lane()).count(ADMITTED, |_| true) || self.acquire_locked().is_ok()
    }

    /// A success without a permit.
    pub(super) fn record_success(&self) {
        if !self.lane(lane()).count(SUCCEEDED, |_| true) {
            self.change(Machine::record_success);
        }
    }

    /// The breaker decides by other settings from now on. Who waits for it asks again.
    pub(super) fn set_settings(&self, trip: P, reset: Reset) {
        self.change(|machine, now| {
            machine.set_settings(trip, reset, now);
            self.call_timeout.store(call_timeout(machine), Ordering::Relaxed);
        });
        self.generation.next();
        self.waiters.wake(0); // it may be half-open sooner
    }

    /// Runs what may change the breaker's mind, and tells those who wait for that.
    pub(super) fn change(&self, f: impl FnOnce(&mut Machine<P>, Instant)) {
        let (transitions, may_admit) = self.with(|machine, now| {
            let ((), transitions) = machine.telling(|machine| f(machine, now));
            (transitions, machine.state() != BreakerState::Open || machine.mode() != BreakerMode::Automatic)
        });
        if may_admit {
            self.waiters.wake(0);
        }
        self.hook.tell(transitions, |hook, transition| hook(transition));
    }

    /// Runs `f` on the machine with the current time.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Machine<P>, Instant) -> R) -> R {
        self.shared.with(|machine, now| self.merged(machine, |machine| f(machine, now)))
    }

    /// Runs `f` on the machine without a look at the clock.
    pub(super) fn with_lock<R>(&self, f: impl FnOnce(&mut Machine<P>) -> R) -> R {
        self.shared.with_lock(|machine| self.merged(machine, f))
    }

    fn merged<R>(&self, machine: &mut Machine<P>, f: impl FnOnce(&mut Machine<P>) -> R) -> R {
        if self.is_calm.load(Ordering::Relaxed) {
            let (mut admitted, mut succeeded) = (0_u64, 0_u64);
            for lane in &self.lanes {
                let word = lane.0.replace(0);
                admitted = admitted.wrapping_add((word / ADMITTED) & COUNT);
                succeeded = succeeded.wrapping_add(word & COUNT);
            }
            self.is_calm.store(false, Ordering::Relaxed);
            machine.merge(admitted, succeeded);
        }
        let result = f(machine);
        self.open_lanes(machine);
        result
    }

    /// The lanes are closed now, and empty.
    fn open_lanes(&self, machine: &Machine<P>) {
        let Some(generation) = machine.calm_generation() else { return };
        self.is_calm.store(true, Ordering::Relaxed);
        for lane in &self.lanes {
            lane.0.set(u64::from(generation) << 32);
        }
    }

    fn lane(&self, number: usize) -> &Lane<W> {
        let [first, ..] = &self.lanes;
        self.lanes.get(number % LANES).unwrap_or(first)
    }
}

fn call_timeout<P: TripPolicy>(machine: &Machine<P>) -> u64 {
    machine.call_deadline(Instant::ZERO).map_or(NO_LIMIT, Instant::as_nanos)
}

/// The number of this thread's lane.
fn lane() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THREAD: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }

    // A thread that is ending has no number any more.
    THREAD.try_with(|number| *number).unwrap_or(0)
}

#[cfg(test)]
mod interleavings;
