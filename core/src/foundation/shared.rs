//! A state machine behind a lock and beside a clock: the `&self` face that programs use.

use core::{cell::RefCell, fmt, future::Future, marker::PhantomData};

use crate::foundation::time::Instant;

/// A monotonic clock: it tells the time.
///
/// Drive each state machine by one clock. It should be monotonic; a step back is tolerated.
///
/// ```
/// use core::{cell::Cell, time::Duration};
/// use steadfast_core::{Clock, Instant};
///
/// /// A timer of the hardware that counts milliseconds.
/// struct Ticks(Cell<u64>);
///
/// impl Clock for Ticks {
///     fn now(&self) -> Instant {
///         Instant::from_millis(self.0.get())
///     }
/// }
/// assert_eq!(Ticks(Cell::new(1_500)).now(), Instant::ZERO.saturating_add(Duration::from_millis(1_500)));
/// ```
pub trait Clock {
    /// The current time.
    fn now(&self) -> Instant;
}

/// A [`Clock`] that can also wait.
pub trait Timer: Clock {
    /// What [`sleep_until`](Self::sleep_until) returns.
    type Sleep: Future<Output = ()>;

    /// A future that is ready once `now() >= at`; it may be late, and it may be dropped at any time.
    ///
    /// `at` was reckoned from the last reading of this clock. Where the clock may step, let the sleep take as long as it
    /// would have then: one that waits for the clock to show `at` is as late as the clock has stepped back.
    fn sleep_until(&self, at: Instant) -> Self::Sleep;
}

/// Lends its content to one closure at a time.
///
/// This is the one shape that a critical section, a spin lock, a `RefCell` and a std mutex have in common, and it
/// cannot be held across an `.await`. A closure must not take the same lock again. Poisoning is ignored on purpose:
/// state machines do not panic, and they are in a valid state whenever they return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock",
    note = "a lock is a `RefCell`, the `Mutex` of an adapter, or a reference to one; a `Shared` has one inside, for a \
            state machine that has methods there"
)]
pub trait Lock {
    /// What is locked.
    type Target;

    /// Runs `f` with exclusive access.
    fn with<R>(&self, f: impl FnOnce(&mut Self::Target) -> R) -> R;

    /// Which thread calls, or other context of execution; `None`, as here, if the lock cannot tell.
    ///
    /// What is polled while something else is being polled in the same context is polled by it: so a
    /// [`BatchQueue`](crate::batch_collector::BatchQueue) sees who calls it inside the flush.
    fn context(&self) -> Option<usize> {
        None
    }

    /// Calls what belongs to the user, such as a waker, outside the lock.
    ///
    /// Where panics can be caught, override it to let none through, so that nobody pays for another's code.
    fn outside(&self, f: impl FnOnce()) {
        f();
    }
}

impl<L: Lock + ?Sized> Lock for &L {
    type Target = L::Target;

    fn with<R>(&self, f: impl FnOnce(&mut Self::Target) -> R) -> R {
        (**self).with(f)
    }

    fn context(&self) -> Option<usize> {
        (**self).context()
    }

    fn outside(&self, f: impl FnOnce()) {
        (**self).outside(f);
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Instant {
        (**self).now()
    }
}

impl<T: Timer + ?Sized> Timer for &T {
    type Sleep = T::Sleep;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        (**self).sleep_until(at)
    }
}

/// One thread, no interrupts: the lock of a super-loop.
///
/// # Panics
///
/// If the closure takes the same lock again.
impl<T> Lock for RefCell<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.borrow_mut())
    }

    /// There is one thread.
    fn context(&self) -> Option<usize> {
        Some(0)
    }
}

/// Several cores without an operating system. An interrupt handler must not share it with the code that it interrupts.
#[cfg(feature = "spin")]
impl<T> Lock for spin::Mutex<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.lock())
    }
}

/// A state machine `M` behind a lock `L` and with a clock or timer `T`: the `&self` and async face of each utility.
///
/// Each utility adds its own methods here, with the names that its state machine has and without `now`. The clock is read
/// inside the lock, so that no thread brings an older time than the one before it. Wakers are woken after the lock is left,
/// and nothing inside takes longer than the bound that the method states. [`with`](Self::with) reaches all the rest. The
/// adapters give it their lock and their timer.
///
/// ```
/// use core::cell::RefCell;
/// use steadfast_core::{Clock, Instant, Shared};
///
/// struct Uptime; // a hardware counter, in real life
/// impl Clock for Uptime {
///     fn now(&self) -> Instant {
///         Instant::from_millis(20)
///     }
/// }
///
/// let shared = Shared::new(RefCell::new(0), Uptime);
/// shared.with(|last_millis, now| *last_millis = now.as_nanos() / 1_000_000);
/// assert_eq!(shared.with(|last_millis, _| *last_millis), 20);
/// ```
pub struct Shared<M, L, T> {
    lock: L,
    timer: T,
    machine: PhantomData<fn() -> M>,
}

impl<M, L, T> Shared<M, L, T> {
    /// Puts a locked state machine beside a clock or timer.
    pub const fn new(lock: L, timer: T) -> Self {
        Self { lock, timer, machine: PhantomData }
    }

    /// The clock or timer.
    pub const fn timer(&self) -> &T {
        &self.timer
    }

    /// The lock.
    pub const fn lock(&self) -> &L {
        &self.lock
    }
}

impl<M, L, T: Clock> Shared<M, L, T> {
    /// The time on this clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.timer.now()
    }
}

impl<M, L: Lock<Target = M>, T: Clock> Shared<M, L, T> {
    /// Runs `f` on the state machine with the current time.
    ///
    /// `f` runs inside the lock: keep it short, and do not use `self` in it.
    pub fn with<R>(&self, f: impl FnOnce(&mut M, Instant) -> R) -> R {
        // Read before the lock, the times of two threads could reach the machine the wrong way round: a step back of the
        // clock, for which a limiter lets more pass and a correlator looks at all its calls.
        self.lock.with(|machine| f(machine, self.timer.now()))
    }
}

impl<M, L: Lock<Target = M>, T> Shared<M, L, T> {
    /// Runs `f` on the state machine without a look at the clock: for what needs no time, or has read it already.
    ///
    /// `f` runs inside the lock: keep it short, and do not use `self` in it.
    pub fn with_lock<R>(&self, f: impl FnOnce(&mut M) -> R) -> R {
        self.lock.with(f)
    }
}

impl<M, L, T> fmt::Debug for Shared<M, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::ManualClock;

    /// Whoever wants this lock has to wait, and somebody else goes first.
    struct Contended<'a> {
        latest: RefCell<Instant>,
        clock: &'a ManualClock,
    }

    impl Lock for Contended<'_> {
        type Target = Instant;

        fn with<R>(&self, f: impl FnOnce(&mut Instant) -> R) -> R {
            self.clock.advance(core::time::Duration::from_millis(4));
            *self.latest.borrow_mut() = self.clock.now();
            self.latest.with(f)
        }
    }

    #[test]
    fn no_time_is_older_than_that_of_whoever_had_the_lock_before() {
        let clock = ManualClock::default();
        let shared = Shared::new(Contended { latest: RefCell::default(), clock: &clock }, &clock);
        shared.with(|latest, now| assert!(now >= *latest, "{now:?} after {latest:?}"));
    }
}
