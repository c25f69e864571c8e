//! Both faces of the limiter, and what the tests run them with.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    num::NonZeroU32,
    ops::Range,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use steadfast_core::{
    Clock, Gcra, Instant, RateLimiter, Shared, Timer, WaitList,
    rate_limiter::{CostExceedsBurst, Decision, WaitError},
    test_util::{Simulator, VirtualTimer},
};

pub const SECOND: Duration = Duration::from_secs(1);

pub const MILLI: Duration = Duration::from_millis(1);

/// What each waiter that is not polled costs those behind it, and how long an unseen change stays unseen.
pub const GRACE: Duration = Duration::from_millis(5);

pub const LOOK_AGAIN: Duration = SECOND;

pub const ONE: NonZeroU32 = NonZeroU32::MIN;

pub type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

pub fn seeds() -> Range<u64> {
    let asked = std::env::var("STEADFAST_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(100)
}

pub fn n(cost: u32) -> NonZeroU32 {
    NonZeroU32::new(cost).unwrap()
}

/// Polls once, with a waker that nobody hears.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The calls that both faces have.
pub trait Face {
    fn wait<'a>(&'a self, key: &'a u64) -> Boxed<'a>;
    fn wait_n<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
    ) -> Pin<Box<dyn Future<Output = Result<(), CostExceedsBurst>> + 'a>>;
    fn wait_within<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
        longest: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), WaitError>> + 'a>>;
    fn allow(&self, key: u64) -> Decision;
    fn remaining(&self, key: u64) -> u32;
    fn refund(&self, key: u64) -> bool;
    fn set_quota(&self, quota: Gcra);
    /// Allowed and denied.
    fn counts(&self) -> (u64, u64);
}

pub struct InCore<const W: usize, T = VirtualTimer> {
    pub limiter: Shared<RateLimiter<u64, Gcra, 8>, RefCell<RateLimiter<u64, Gcra, 8>>, T>,
    pub queue: RefCell<WaitList<W>>,
}

impl<const W: usize, T: Timer> InCore<W, T> {
    pub fn new(quota: Gcra, timer: T) -> Self {
        Self { limiter: Shared::new(RefCell::new(RateLimiter::new(quota)), timer), queue: RefCell::default() }
    }
}

impl<const W: usize, T: Timer> Face for InCore<W, T> {
    fn wait<'a>(&'a self, key: &'a u64) -> Boxed<'a> {
        Box::pin(self.limiter.until_allowed(key, &self.queue))
    }

    fn wait_n<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
    ) -> Pin<Box<dyn Future<Output = Result<(), CostExceedsBurst>> + 'a>> {
        Box::pin(self.limiter.until_allowed_n(key, cost, &self.queue))
    }

    fn wait_within<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
        longest: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), WaitError>> + 'a>> {
        Box::pin(self.limiter.until_allowed_within(key, cost, longest, &self.queue))
    }

    fn allow(&self, key: u64) -> Decision {
        self.limiter.allow(&key)
    }

    fn remaining(&self, key: u64) -> u32 {
        self.limiter.remaining(&key)
    }

    fn refund(&self, key: u64) -> bool {
        self.limiter.refund_and_wake(&key, ONE, &self.queue)
    }

    fn set_quota(&self, quota: Gcra) {
        self.limiter.set_quota_and_wake(quota, &self.queue);
    }

    fn counts(&self) -> (u64, u64) {
        let stats = self.limiter.stats();
        (stats.allowed, stats.denied)
    }
}

impl<T: Timer> Face for steadfast::RateLimiter<u64, Gcra, T> {
    fn wait<'a>(&'a self, key: &'a u64) -> Boxed<'a> {
        Box::pin(self.until_allowed(key))
    }

    fn wait_n<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
    ) -> Pin<Box<dyn Future<Output = Result<(), CostExceedsBurst>> + 'a>> {
        Box::pin(self.until_allowed_n(key, cost))
    }

    fn wait_within<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
        longest: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<(), WaitError>> + 'a>> {
        Box::pin(self.until_allowed_within(key, cost, longest))
    }

    fn allow(&self, key: u64) -> Decision {
        self.allow(&key)
    }

    fn remaining(&self, key: u64) -> u32 {
        self.remaining(&key)
    }

    fn refund(&self, key: u64) -> bool {
        self.refund(&key, ONE)
    }

    fn set_quota(&self, quota: Gcra) {
        self.set_quota(quota);
    }

    fn counts(&self) -> (u64, u64) {
        let stats = self.stats();
        (stats.allowed, stats.denied)
    }
}

/// Runs `test` on both faces, the core's with enough places and with few.
pub fn on_each_face(quota: Gcra, test: impl Fn(&dyn Face, &VirtualTimer)) {
    let timer = VirtualTimer::default();
    test(&InCore::<64>::new(quota, timer.clone()), &timer);
    let timer = VirtualTimer::default();
    test(&steadfast::RateLimiter::builder(quota).capacity(8).timer(timer.clone()).build(), &timer);
}

/// Runs until that task is over, and tells how long it took.
pub fn run<'a>(timer: &VirtualTimer, seed: u64, task: impl Future<Output = ()> + 'a) -> Duration {
    let start = timer.now();
    let mut simulator = Simulator::with_timer(seed, timer.clone());
    simulator.spawn(task);
    simulator.run();
    timer.now().saturating_duration_since(start)
}

/// Wakes one to two milliseconds late.
#[derive(Clone)]
pub struct Late(pub VirtualTimer, pub std::rc::Rc<Cell<u64>>);

impl Clock for Late {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Timer for Late {
    type Sleep = <VirtualTimer as Timer>::Sleep;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        let random = self.1.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.1.set(random);
        let late = 1_000_000 + (random >> 33) % 1_000_000;
        self.0.sleep_until(at.saturating_add(Duration::from_nanos(late)))
    }
}

/// In any span of `t` at most `burst + (t + 5 ms) / interval`.
pub fn at_most(served: &[Instant], burst: u32, interval: Duration) {
    // The earliest instant at which the quota is whole again, if each was counted 5 ms before.
    let mut whole_at = Instant::ZERO;
    for now in served {
        whole_at = whole_at.max(now.saturating_sub(GRACE)).saturating_add(interval);
        assert!(whole_at <= now.saturating_add(interval * burst), "above the quota at {now:?}");
    }
}
