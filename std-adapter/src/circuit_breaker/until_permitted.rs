//! Waiting until a breaker lets a call through.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steadfast_core::{Instant, Timer};

use super::{BreakerGuard, CircuitBreaker, Consecutive, TripPolicy};
use crate::runtime::{Asking, Asks, SystemTimer, Waiters};

pin_project! {
    /// The future of [`CircuitBreaker::until_permitted`]. It borrows nothing.
    #[must_use = "nothing is waited for until it is awaited"]
    pub struct UntilPermitted<P: TripPolicy = Consecutive, T: Timer = SystemTimer> {
        breaker: CircuitBreaker<P, T>,
        #[pin]
        asking: Asking<T::Sleep>,
    }

    impl<P: TripPolicy, T: Timer> PinnedDrop for UntilPermitted<P, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.asking.leave(&this.breaker.0.waiters);
        }
    }
}

impl<P: TripPolicy, T: Timer> UntilPermitted<P, T> {
    pub(super) const fn new(breaker: CircuitBreaker<P, T>) -> Self {
        Self { breaker, asking: Asking::new() }
    }
}

impl<P: TripPolicy, T: Timer> Future for UntilPermitted<P, T> {
    type Output = BreakerGuard<P, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.asking.poll(this.breaker, cx)
    }
}

impl<P: TripPolicy, T: Timer> Asks for CircuitBreaker<P, T> {
    type Answer = BreakerGuard<P, T>;
    type Timer = T;

    fn timer(&self) -> &T {
        self.0.clock()
    }

    fn waiters(&self) -> &Waiters {
        &self.0.waiters
    }

    /// All that wait for a breaker are told alike.
    fn tag(&self) -> u64 {
        0
    }

    fn ask(&self) -> Result<Self::Answer, Instant> {
        self.try_acquire().map_err(|open| open.retry_at)
    }
}

impl<P: TripPolicy, T: Timer> fmt::Debug for UntilPermitted<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilPermitted").finish_non_exhaustive()
    }
}
