//! The lock of an embassy program, and a state machine in it.

use core::{cell::RefCell, fmt};

use embassy_sync::blocking_mutex;
use steadfast_core::Lock;

use crate::{
    EmbassyTimer,
    raw::{CriticalSectionRawMutex, RawMutex},
};

/// An embassy blocking mutex as a [`Lock`]; `M` says whom it keeps out.
///
/// - [`CriticalSectionRawMutex`] (the default): tasks, interrupt handlers and the other core. Interrupts are off while
///   a state machine works, for no longer than the bound that its method states.
/// - [`ThreadModeRawMutex`](https://docs.embassy.dev/embassy-sync/git/default/blocking_mutex/raw/struct.ThreadModeRawMutex.html)
///   (Cortex-M with one core): tasks of the thread-mode executor. It costs one load, and panics in an interrupt
///   handler.
/// - [`NoopRawMutex`](crate::raw::NoopRawMutex): tasks of one executor. It costs nothing, and cannot be a `static`:
///
/// ```compile_fail,E0277
/// use steadfast_embassy::{RetryBudget, Shared, raw::NoopRawMutex, shared};
///
/// static BUDGET: Shared<RetryBudget, NoopRawMutex> = shared(RetryBudget::percent(10)); // is not `Sync`
/// ```
///
/// Beside a state machine it holds what has no methods of its own behind a lock: a list of those who wait for a rate
/// limiter, a retry budget, an election.
///
/// ```
/// use steadfast_embassy::{Mutex, RetryBudget, WaitList};
///
/// static WAITING: Mutex<WaitList<4>> = Mutex::new(WaitList::new()); // LIMITER.until_allowed(&peer, &WAITING).await
/// static BUDGET: Mutex<RetryBudget> = Mutex::new(RetryBudget::percent(10)); // .budget(&BUDGET)
/// ```
///
/// And anything of yours, by the trait [`Lock`]:
///
/// ```
/// use steadfast_embassy::{Lock, Mutex};
///
/// static FRAMES: Mutex<u32> = Mutex::new(0);
///
/// FRAMES.with(|frames| *frames += 1);
/// assert_eq!(FRAMES.with(|frames| *frames), 1);
/// ```
///
/// # Panics
///
/// If the closure that [`with`](Lock::with) runs takes the same lock again.
pub struct Mutex<T, M = CriticalSectionRawMutex>(blocking_mutex::Mutex<M, RefCell<T>>);

impl<T, M: RawMutex> Mutex<T, M> {
    /// Locks up `value`.
    pub const fn new(value: T) -> Self {
        Self(blocking_mutex::Mutex::new(RefCell::new(value)))
    }
}

impl<T, M: RawMutex> Lock for Mutex<T, M> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.lock(|cell| f(&mut cell.borrow_mut()))
    }
}

impl<T, M> fmt::Debug for Mutex<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl<T, M> defmt::Format for Mutex<T, M> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Debug2Format(self));
    }
}

/// A state machine behind an embassy mutex and beside embassy's timer, which [`shared`] makes. What each utility does
/// there, `allow`, `call`, `claim` or `run`, without a `now` and waiting where there is something to wait for, stands at
/// [`steadfast_core::Shared`].
pub type Shared<X, M = CriticalSectionRawMutex> = steadfast_core::Shared<X, Mutex<X, M>, EmbassyTimer>;

/// Shares a state machine between tasks and interrupt handlers, in one line and in a `static`.
///
/// ```
/// use steadfast_embassy::{RateLimiter, Shared, SlidingLog, shared};
///
/// static LIMITER: Shared<RateLimiter<u32, SlidingLog<5>, 32>> = shared(RateLimiter::new(SlidingLog::per_minute()));
///
/// assert!(LIMITER.allow(&7).is_allowed());
/// ```
///
/// In a `let` the type says which lock it is, as in a `static`: `let limiter: Shared<_> = shared(..)`.
pub const fn shared<X, M: RawMutex>(machine: X) -> Shared<X, M> {
    steadfast_core::Shared::new(Mutex::new(machine), EmbassyTimer)
}
