//! Waiting for a rate limiter, in the core and on a server: whoever waits gets on whatever others do or leave undone, and
//! never gets more than the quota. `STEADFAST_SEEDS` asks for another number of seeds.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    num::NonZeroU32,
    ops::Range,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use steadfast_core::{
    Clock, Decision, Gcra, Instant, NeverFits, OnFull, RateLimiter, Shared, SlidingLog, Timer, WaitError, WaitList,
    test_util::{Simulator, VirtualTimer},
};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);
/// What each waiter that is not polled costs those behind it, and how long an unseen change stays unseen.
const GRACE: Duration = Duration::from_millis(5);
const LOOK_AGAIN: Duration = SECOND;
const ONE: NonZeroU32 = NonZeroU32::MIN;

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

fn seeds() -> Range<u64> {
    let asked = std::env::var("STEADFAST_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(100)
}

fn n(cost: u32) -> NonZeroU32 {
    NonZeroU32::new(cost).unwrap()
}

/// Polls once, with a waker that nobody hears.
fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The calls that both faces have.
trait Face {
    fn wait<'a>(&'a self, key: &'a u64) -> Boxed<'a>;
    fn wait_n<'a>(
        &'a self,
        key: &'a u64,
        cost: NonZeroU32,
    ) -> Pin<Box<dyn Future<Output = Result<(), NeverFits>> + 'a>>;
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

struct InCore<const W: usize, T = VirtualTimer> {
    limiter: Shared<RateLimiter<u64, Gcra, 8>, RefCell<RateLimiter<u64, Gcra, 8>>, T>,
    queue: RefCell<WaitList<W>>,
}

impl<const W: usize, T: Timer> InCore<W, T> {
    fn new(quota: Gcra, timer: T) -> Self {
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
    ) -> Pin<Box<dyn Future<Output = Result<(), NeverFits>> + 'a>> {
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
    ) -> Pin<Box<dyn Future<Output = Result<(), NeverFits>> + 'a>> {
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
fn on_each_face(quota: Gcra, test: impl Fn(&dyn Face, &VirtualTimer)) {
    let timer = VirtualTimer::default();
    test(&InCore::<64>::new(quota, timer.clone()), &timer);
    let timer = VirtualTimer::default();
    test(&steadfast::RateLimiter::builder(quota).max_keys(8).timer(timer.clone()).build(), &timer);
}

/// Runs until that task is over, and tells how long it took.
fn run<'a>(timer: &VirtualTimer, seed: u64, task: impl Future<Output = ()> + 'a) -> Duration {
    let start = timer.now();
    let mut simulator = Simulator::with_timer(seed, timer.clone());
    simulator.spawn(task);
    simulator.run();
    timer.now().saturating_duration_since(start)
}

#[test]
fn found_a1_a_waiter_that_nobody_polls_delays_others_by_a_bound_only() {
    for interval in [10 * MILLI, SECOND, 20 * SECOND] {
        for held in [1, 9, 30] {
            on_each_face(Gcra::every(interval), |limiter, timer| {
                assert!(limiter.allow(1).is_allowed());
                let mut waiters: Vec<_> = (0..held).map(|_| limiter.wait(&1)).collect();
                assert!(waiters.iter_mut().all(|waiter| poll_once(waiter.as_mut()).is_pending()));
                let most = interval + GRACE * held;
                let took = run(timer, 2, limiter.wait(&1));
                assert!(took <= most, "{took:?} of {most:?} for {held} held");
                // They delay nobody any more.
                let took = run(timer, 2, limiter.wait(&1));
                assert!(took <= interval + GRACE, "{took:?}");
                // Polled again, they get through too.
                for waiter in waiters {
                    let took = run(timer, 1, waiter);
                    assert!(took <= interval + GRACE * held, "{took:?}");
                }
            });
        }
    }
}

/// A set of futures that polls only those that were woken, as every such set does.
struct Unordered<'a>(Vec<(Boxed<'a>, Arc<Woken>)>);

#[derive(Default)]
struct Woken {
    is_woken: AtomicBool,
    whole: std::sync::Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Relaxed);
        let whole = self.whole.lock().unwrap().take();
        if let Some(whole) = whole {
            whole.wake();
        }
    }
}

impl<'a> Unordered<'a> {
    fn push(&mut self, future: Boxed<'a>) {
        self.0.push((future, Arc::new(Woken { is_woken: AtomicBool::new(true), ..Woken::default() })));
    }

    /// Until the next one of them is ready.
    async fn next(&mut self) {
        poll_fn(|cx| {
            for index in 0..self.0.len() {
                let (future, woken) = &mut self.0[index];
                *woken.whole.lock().unwrap() = Some(cx.waker().clone());
                let is_woken = woken.is_woken.swap(false, Ordering::Relaxed);
                let waker = Waker::from(woken.clone());
                if is_woken && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    drop(self.0.swap_remove(index));
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }
}

#[test]
fn found_a1_a_set_may_hold_waiters_while_the_body_of_its_loop_waits() {
    for (interval, seed) in [(10 * MILLI, 1), (10 * MILLI, 2), (SECOND, 1), (60 * SECOND, 2)] {
        on_each_face(Gcra::every(interval), |limiter, timer| {
            let seen = Cell::new(0);
            let in_a_set = async {
                let mut set = Unordered(Vec::new());
                (0..10).for_each(|_| set.push(limiter.wait(&1)));
                for item in 0..20 {
                    set.next().await;
                    if item < 10 {
                        set.push(limiter.wait(&1));
                    }
                    limiter.wait(&1).await;
                    seen.set(seen.get() + 1);
                }
            };
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            simulator.spawn(in_a_set);
            simulator.spawn(async {
                for _ in 0..10 {
                    limiter.wait(&1).await;
                }
            });
            simulator.run();
            assert_eq!(seen.get(), 20);
            // 50 in all, and each time some are held: at most ten.
            let most = (interval + 10 * GRACE) * 50;
            assert!(timer.now() <= Instant::ZERO.saturating_add(most), "{:?}", timer.now());
        });
    }
}

#[test]
fn found_a2_another_quota_reaches_those_who_sleep() {
    for seed in 0..20 {
        on_each_face(Gcra::every(3_600 * SECOND), |limiter, timer| {
            assert!(limiter.allow(1).is_allowed());
            let mut held = limiter.wait(&1);
            assert!(poll_once(held.as_mut()).is_pending());
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            for _ in 0..5 {
                simulator.spawn(limiter.wait(&1));
            }
            simulator.spawn(async {
                timer.sleep_until(Instant::from_secs(10)).await;
                limiter.set_quota(Gcra::per_second(100).burst(1));
            });
            simulator.run();
            let most = Instant::from_secs(10).saturating_add(GRACE * 2 + 10 * MILLI * 6);
            assert!(timer.now() <= most, "{:?}", timer.now());
        });
    }
}

#[test]
fn a_tighter_quota_reaches_those_who_sleep_too() {
    on_each_face(Gcra::every(SECOND), |limiter, timer| {
        assert!(limiter.allow(1).is_allowed());
        let served = Cell::new(0);
        let mut simulator = Simulator::with_timer(0, timer.clone());
        for _ in 0..3 {
            simulator.spawn(async {
                limiter.wait(&1).await;
                served.set(served.get() + 1);
            });
        }
        (0..3).for_each(|_| assert!(simulator.step()));
        limiter.set_quota(Gcra::every(100 * SECOND));
        while timer.now() < Instant::from_secs(99) {
            assert!(simulator.step());
        }
        assert!(served.get() <= 1, "one was due in a second by the quota before");
        simulator.run();
        assert!(timer.now() >= Instant::from_secs(200), "{:?}", timer.now());
    });
}

#[test]
fn found_a2_in_the_core_a_change_of_the_machine_itself_is_told_or_seen() {
    for is_told in [false, true] {
        let timer = VirtualTimer::default();
        let face = InCore::<4>::new(Gcra::every(3_600 * SECOND), timer.clone());
        assert!(face.allow(1).is_allowed());
        let mut simulator = Simulator::with_timer(0, timer.clone());
        // More than there are places for.
        for _ in 0..6 {
            simulator.spawn(face.wait(&1));
        }
        simulator.spawn(async {
            timer.sleep_until(Instant::from_millis(100)).await;
            face.limiter.set_quota(Gcra::every(MILLI));
            if is_told {
                WaitList::wake_all(&face.queue);
            }
        });
        simulator.run();
        let took = timer.now().saturating_duration_since(Instant::from_millis(100));
        assert!(took <= LOOK_AGAIN * 2 + GRACE * 6, "{took:?}");
    }
}

#[test]
fn found_a2_a_refund_lets_the_first_go_on_at_once() {
    on_each_face(Gcra::every(3_600 * SECOND), |limiter, timer| {
        assert!(limiter.allow(1).is_allowed());
        let served = RefCell::new(Vec::new());
        let mut simulator = Simulator::with_timer(0, timer.clone());
        for _ in 0..2 {
            simulator.spawn(async {
                limiter.wait(&1).await;
                served.borrow_mut().push(timer.now());
            });
        }
        simulator.spawn(async {
            timer.sleep_until(Instant::from_secs(10)).await;
            assert!(limiter.refund(1));
        });
        simulator.run();
        drop(simulator);
        let served = served.into_inner();
        assert_eq!(served[0], Instant::from_secs(10));
        assert!(served[1] >= Instant::from_secs(3_609), "{served:?}");
    });
}

#[test]
fn found_a2_a_cleanup_lets_a_newcomer_into_a_full_table() {
    let timer = VirtualTimer::default();
    let limiter = steadfast::RateLimiter::<u64, _>::builder(Gcra::every(SECOND))
        .max_keys(1)
        .on_full(OnFull::Deny)
        .timer(timer.clone())
        .build();
    assert!(limiter.allow(&1).is_allowed());
    let took = run(&timer, 0, async {
        limiter.until_allowed(&2).await;
    });
    assert_eq!(took, SECOND);
    assert_eq!(limiter.stats().denied, 0);
}

#[test]
fn a_quota_of_zero_is_waited_for_and_what_never_fits_is_not() {
    on_each_face(Gcra::per_second(0), |limiter, timer| {
        let mut waiting = limiter.wait(&1);
        assert!(poll_once(waiting.as_mut()).is_pending());
        timer.advance(100_000 * SECOND);
        assert!(poll_once(waiting.as_mut()).is_pending());
        let Poll::Ready(refused) = poll_once(limiter.wait_within(&1, ONE, 1_000_000 * SECOND).as_mut()) else {
            panic!()
        };
        assert_eq!(refused, Err(WaitError::TooLong { retry_at: Instant::MAX }));
        limiter.set_quota(Gcra::per_second(10));
        assert!(run(timer, 0, waiting) <= LOOK_AGAIN);
        // More than the burst never fits, be it so from the start or by another quota.
        let Poll::Ready(never) = poll_once(limiter.wait_n(&1, n(11)).as_mut()) else { panic!() };
        assert_eq!(never, Err(NeverFits { limit: 10 }));
        let mut waiting = limiter.wait_n(&1, n(10));
        assert!(poll_once(waiting.as_mut()).is_pending());
        limiter.set_quota(Gcra::per_second(5));
        assert_eq!(poll_once(waiting.as_mut()), Poll::Ready(Err(NeverFits { limit: 5 })));
        assert_eq!(limiter.counts(), (1, 3));
    });
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    on_each_face(Gcra::per_second(100).burst(50), |limiter, timer| {
        assert!(limiter.wait_n(&1, n(50)).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        let large_at = Cell::new(Instant::MAX);
        let mut simulator = Simulator::with_timer(3, timer.clone());
        for _ in 0..4 {
            simulator.spawn(async {
                for _ in 0..100 {
                    limiter.wait(&1).await;
                }
            });
        }
        (0..8).for_each(|_| assert!(simulator.step()));
        simulator.spawn(async {
            limiter.wait_n(&1, n(50)).await.unwrap();
            large_at.set(timer.now());
        });
        simulator.run();
        assert!(large_at.get() <= Instant::from_millis(600), "{:?}", large_at.get());
    });
}

#[test]
fn a_longest_wait_fails_at_once_and_counts_nothing() {
    on_each_face(Gcra::every(10 * SECOND), |limiter, timer| {
        let within = |secs| limiter.wait_within(&1, ONE, secs * SECOND);
        assert_eq!(poll_once(within(0).as_mut()), Poll::Ready(Ok(())));
        let too_long = |secs| Poll::Ready(Err(WaitError::TooLong { retry_at: Instant::from_secs(secs) }));
        assert_eq!(poll_once(within(9).as_mut()), too_long(10));
        // Two are before the third.
        let (mut first, mut second) = (within(10), within(20));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        assert_eq!(poll_once(within(29).as_mut()), too_long(30));
        // Whoever is overtaken by those who do not wait fails as soon as it learns.
        timer.advance(10 * SECOND);
        assert!(limiter.allow(1).is_allowed());
        assert_eq!(poll_once(first.as_mut()), too_long(20));
        drop(first);
        assert!(poll_once(second.as_mut()).is_pending());
        timer.advance(11 * SECOND);
        assert_eq!(poll_once(second.as_mut()), Poll::Ready(Ok(())));
        assert_eq!((limiter.remaining(1), limiter.counts().0), (0, 3));
    });
}

#[test]
fn nobody_waits_longer_than_it_said() {
    for seed in seeds() {
        on_each_face(Gcra::per_second(100).burst(3), |limiter, timer| {
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            for task in 0..12_u32 {
                simulator.spawn(async move {
                    for round in 0..5 {
                        let (start, longest) = (timer.now(), MILLI * (task * 7 + round));
                        let end = limiter.wait_within(&1, n(1 + task % 3), longest).await;
                        let took = timer.now().saturating_duration_since(start);
                        assert!(took <= longest, "seed {seed}: {took:?} of {longest:?}");
                        if let Err(WaitError::TooLong { retry_at }) = end {
                            assert!(retry_at > start, "seed {seed}");
                            timer.sleep_until(timer.now().saturating_add(MILLI * 3)).await;
                        }
                    }
                });
            }
            simulator.run();
        });
    }
}

#[test]
fn found_a13_a_wait_is_no_denial() {
    on_each_face(Gcra::per_second(1), |limiter, timer| {
        let mut simulator = Simulator::with_timer(1, timer.clone());
        for _ in 0..10 {
            simulator.spawn(limiter.wait(&1));
        }
        simulator.run();
        assert_eq!(limiter.counts(), (10, 0));
    });
}

#[test]
fn found_a9_nobody_lines_up_where_there_is_nothing_to_wait_for() {
    on_each_face(Gcra::per_second(1_000), |limiter, timer| {
        let (one, other) = (&1, &2);
        (0..1_000).for_each(|_| assert!(poll_once(limiter.wait(one).as_mut()).is_ready()));
        let mut waiting = limiter.wait(one);
        assert!(poll_once(waiting.as_mut()).is_pending());
        assert!(poll_once(limiter.wait(other).as_mut()).is_ready(), "another key has a line of its own");
        timer.advance(SECOND);
        assert!(poll_once(waiting.as_mut()).is_ready());
        assert!(poll_once(limiter.wait(one).as_mut()).is_ready());
    });
    // Nor beyond the places.
    let limiter = InCore::<2>::new(Gcra::every(SECOND), VirtualTimer::default());
    let mut waiting: Vec<_> = (0..5).map(|_| limiter.wait(&1)).collect();
    assert!(poll_once(waiting.remove(0).as_mut()).is_ready());
    assert!(waiting.iter_mut().all(|waiting| poll_once(waiting.as_mut()).is_pending()));
    assert!(poll_once(limiter.wait(&2).as_mut()).is_ready());
}

/// Wakes one to two milliseconds late.
#[derive(Clone)]
struct Late(VirtualTimer, std::rc::Rc<Cell<u64>>);

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

#[test]
fn found_a8_a_timer_that_wakes_late_costs_no_throughput() {
    for rate in [100, 1_000, 10_000] {
        for is_in_core in [true, false] {
            let timer = VirtualTimer::default();
            let late = Late(timer.clone(), std::rc::Rc::new(Cell::new(u64::from(rate))));
            let quota = Gcra::per_second(rate).burst(1);
            let limiter: Box<dyn Face> = if is_in_core {
                Box::new(InCore::<64, _>::new(quota, late))
            } else {
                Box::new(steadfast::RateLimiter::builder(quota).max_keys(8).timer(late).build())
            };
            let (limiter, served) = (&*limiter, &RefCell::new(Vec::new()));
            let mut simulator = Simulator::with_timer(2, timer.clone());
            for _ in 0..32 {
                let timer = timer.clone();
                simulator.spawn(async move {
                    while timer.now() < Instant::from_secs(1) {
                        limiter.wait(&1).await;
                        served.borrow_mut().push(timer.now());
                    }
                });
            }
            simulator.run();
            let served = served.borrow();
            let within = served.iter().filter(|at| **at < Instant::from_secs(1)).count();
            assert!(within >= rate as usize * 95 / 100, "{within} at {rate}/s");
            at_most(&served, 1, Duration::from_secs(1) / rate);
        }
    }
}

/// In any span of `t` at most `burst + (t + 5 ms) / interval`.
fn at_most(served: &[Instant], burst: u32, interval: Duration) {
    // The earliest instant at which the quota is whole again, if each was counted 5 ms before.
    let mut whole_at = Instant::ZERO;
    for now in served {
        whole_at = whole_at.max(now.saturating_sub(GRACE)).saturating_add(interval);
        assert!(whole_at <= now.saturating_add(interval * burst), "above the quota at {now:?}");
    }
}

#[test]
fn a_clock_that_steps_back_stalls_those_who_wait_for_one_quota_at_most() {
    for seed in 0..20 {
        on_each_face(Gcra::every(60 * SECOND), |limiter, timer| {
            timer.set(Instant::from_secs(1_000_000));
            assert!(limiter.allow(1).is_allowed());
            let mut held = limiter.wait(&1);
            assert!(poll_once(held.as_mut()).is_pending());
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            for _ in 0..3 {
                simulator.spawn(limiter.wait(&1));
            }
            (0..3 + seed).for_each(|_| assert!(simulator.step()));
            timer.set(Instant::from_secs(1_000));
            simulator.run();
            // Three, and one that was counted before.
            let took = timer.now().saturating_duration_since(Instant::from_secs(1_000));
            assert!(took <= 60 * SECOND * 4 + LOOK_AGAIN * 3, "seed {seed}: {took:?}");
        });
    }
}

#[test]
fn beyond_its_places_those_who_wait_longest_come_first() {
    for seed in 0..4 {
        let timer = VirtualTimer::default();
        let limiter = InCore::<4>::new(Gcra::every(10 * MILLI), timer.clone());
        let longest = Cell::new(Duration::ZERO);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        for _ in 0..40 {
            simulator.spawn(async {
                for _ in 0..20 {
                    let start = timer.now();
                    limiter.wait(&1).await;
                    longest.set(longest.get().max(timer.now().saturating_duration_since(start)));
                }
            });
        }
        simulator.run();
        // In perfect order it would be 400 ms for each, and 8 s in all.
        assert!(longest.get() <= 3 * SECOND, "seed {seed}: {:?}", longest.get());
        assert!(timer.now() <= Instant::from_secs(10), "seed {seed}: {:?}", timer.now());
    }
}

/// Waiters that come and go, that are held without being polled, or dropped; quotas that change; others who do not wait.
#[test]
fn never_more_than_the_quota_and_always_at_least() {
    for seed in seeds() {
        let interval = [MILLI, 10 * MILLI, SECOND][(seed % 3) as usize];
        let burst = [1, 3][(seed / 3 % 2) as usize];
        let quota = Gcra::per(1, interval).burst(burst);
        on_each_face(quota, |limiter, timer| {
            let (served, waited) = (&RefCell::new(Vec::new()), &Cell::new(Duration::ZERO));
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            let mut tasks = Vec::new();
            for task in 0..10_u32 {
                tasks.push(simulator.spawn(async move {
                    for round in 0..6 {
                        let start = timer.now();
                        if (task + round).is_multiple_of(4) {
                            // Held while it does something else.
                            let mut held = limiter.wait(&1);
                            let first = poll_fn(|cx| Poll::Ready(held.as_mut().poll(cx))).await;
                            if first.is_ready() {
                                served.borrow_mut().push(timer.now());
                            }
                            timer.sleep_until(timer.now().saturating_add(interval * 3)).await;
                            if first.is_pending() && round % 2 == 0 {
                                held.await;
                                served.borrow_mut().push(timer.now());
                            }
                        } else {
                            limiter.wait(&1).await;
                            served.borrow_mut().push(timer.now());
                            waited.set(waited.get().max(timer.now().saturating_duration_since(start)));
                        }
                    }
                }));
            }
            simulator.spawn(async move {
                for _ in 0..10 {
                    timer.sleep_until(timer.now().saturating_add(interval * 2)).await;
                    if limiter.allow(1).is_allowed() {
                        served.borrow_mut().push(timer.now());
                    }
                    limiter.set_quota(quota); // the same, but all are woken
                }
            });
            simulator.run_dropping(&tasks[..3]);
            drop(simulator);
            at_most(&served.borrow(), burst, interval);
            assert_eq!(limiter.counts().0, served.borrow().len() as u64, "seed {seed}: a dropped future counted");
            // Ten before it, each of them perhaps overtaken once, and all that do not wait.
            let most = (interval + GRACE) * 10 + interval * 10 + GRACE * 10;
            assert!(waited.get() <= most, "seed {seed}: {:?} of {most:?}", waited.get());
            // Nobody is left in the line.
            timer.advance(interval * burst);
            assert!(poll_once(limiter.wait(&1).as_mut()).is_ready(), "seed {seed}");
        });
    }
}

#[test]
fn with_a_sliding_log_the_window_is_exact_though_some_are_held() {
    type Limiter = RateLimiter<u64, SlidingLog<3>, 4>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let late = Late(timer.clone(), std::rc::Rc::new(Cell::new(seed)));
        let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::new(100 * MILLI))), late);
        let (queue, served) = (RefCell::new(WaitList::<8>::new()), RefCell::new(Vec::new()));
        let mut held = pin!(limiter.until_allowed(&1, &queue));
        (0..3).for_each(|_| assert!(limiter.allow(&1).is_allowed()));
        assert!(poll_once(held.as_mut()).is_pending());
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        for _ in 0..12 {
            simulator.spawn(async {
                limiter.until_allowed(&1, &queue).await;
                served.borrow_mut().push(timer.now());
            });
        }
        simulator.run();
        drop(simulator);
        let served = served.borrow();
        for window in served.windows(4) {
            assert!(window[3].saturating_duration_since(window[0]) >= 100 * MILLI, "seed {seed}: {served:?}");
        }
        assert!(*served.last().unwrap() <= Instant::from_millis(400 + 4 * 7), "seed {seed}: {served:?}");
    }
}
