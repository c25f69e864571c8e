//! Who hears of a breaker's changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_core::circuit_breaker::Transition;

use crate::runtime::unless_it_panics;

/// What is called at each change of state: `H` is a `dyn Fn`.
pub(super) struct Hook<H: ?Sized>(Mutex<Option<Arc<H>>>);

/// The hook of a breaker for one key.
pub(super) type OnTransition = dyn Fn(&Transition) + Send + Sync;

impl<H: ?Sized> Default for Hook<H> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<H: ?Sized> Hook<H> {
    pub(super) fn set(&self, hook: Arc<H>) {
        let before = lock(&self.0).replace(hook);
        // What it held is dropped outside the lock.
        let _ = unless_it_panics(|| drop(before));
    }

    pub(super) fn is_set(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Calls the hook for each, outside every lock; where there is none, [`trace`]. A panic ends only its own call.
    pub(super) fn tell(&self, transitions: [Option<Transition>; 2], call: impl Fn(&H, &Transition)) {
        if transitions == [None, None] {
            return;
        }
        let hook = lock(&self.0).clone();
        for transition in transitions.iter().flatten() {
            let _ = unless_it_panics(|| hook.as_ref().map_or_else(|| trace(transition), |hook| call(hook, transition)));
        }
        let _ = unless_it_panics(|| drop(hook));
    }
}

/// Makes an event of a change.
#[cfg(feature = "tracing")]
fn trace(change: &Transition) {
    use steadfast_core::circuit_breaker::BreakerState;

    const fn name(state: BreakerState) -> &'static str {
        match state {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }

    let Transition { from, to, number, .. } = *change;
    let (before, now) = (name(from), name(to));
    match to {
        BreakerState::Open => {
            tracing::warn!(target: "steadfast::circuit_breaker", from = before, to = now, number, "a circuit breaker opened");
        }
        BreakerState::HalfOpen => {
            tracing::info!(target: "steadfast::circuit_breaker", from = before, to = now, number, "a circuit breaker probes");
        }
        BreakerState::Closed => {
            tracing::info!(target: "steadfast::circuit_breaker", from = before, to = now, number, "a circuit breaker closed");
        }
    }
}

#[cfg(not(feature = "tracing"))]
const fn trace(_change: &Transition) {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
