use alloc::{boxed::Box, format, string::ToString, sync::Arc, task::Wake, vec::Vec};
use core::{
    cell::RefCell,
    future::Future,
    num::NonZeroU32,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::sync::Mutex;

use crate::{
    foundation::{
        hash::HashSeed,
        shared::{Clock, Lock, Shared, Timer},
        storage::Heap,
        time::Instant,
        wait_list::WaitList,
    },
    rate_limiter::{
        AllowOrCached, CachedRateLimiter, Enforce, OnFull, RateLimiter, RateLimiterIn, SlidingLog, WaitError, WaitState,
    },
    test_util::{Simulator, VirtualTimer, seeds},
};

type Limiter = RateLimiter<char, SlidingLog<1>, 4>;

type Observed = RateLimiterIn<char, SlidingLog<1>, Heap>;

/// One that need not be enforced.
fn of_run_time_size<T>(timer: T) -> Shared<Observed, RefCell<Observed>, T> {
    Shared::new(RefCell::new(RateLimiterIn::allocate(SlidingLog::per_hour(), 4, 4, HashSeed::FIXED)), timer)
}

#[test]
fn waiters_are_served_in_the_order_of_arrival_one_a_window() {
    for seed in seeds(200) {
        let timer = VirtualTimer::default();
        let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_second())), timer.clone());
        let queue = RefCell::new(WaitList::<8>::new());
        let (arrivals, served) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut simulator = Simulator::with_timer(seed, timer);
        for task in 0..6 {
            let (limiter, queue, arrivals, served) = (&limiter, &queue, &arrivals, &served);
            simulator.spawn(async move {
                arrivals.borrow_mut().push(task);
                limiter.until_allowed(&'a', queue).await;
                served.borrow_mut().push((task, limiter.timer().now()));
            });
        }
        simulator.run();
        drop(simulator);
        let (arrivals, served) = (arrivals.into_inner(), served.into_inner());
        assert_eq!(served.iter().map(|(task, _)| *task).collect::<Vec<_>>(), arrivals, "seed {seed}");
        let times: Vec<_> = served.iter().map(|(_, at)| *at).collect();
        assert_eq!(times, (0..6).map(Instant::from_secs).collect::<Vec<_>>());
    }
}

#[test]
fn a_dropped_waiter_counts_nothing_and_the_others_move_up() {
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_second())), timer.clone());
        let queue = RefCell::new(WaitList::<2>::new());
        let served = RefCell::new(0_u64);
        let mut simulator = Simulator::with_timer(seed, timer);
        let mut tasks = Vec::new();
        for _ in 0..5 {
            tasks.push(simulator.spawn(async {
                limiter.until_allowed(&'a', &queue).await;
                *served.borrow_mut() += 1;
            }));
        }
        let drops = 1 + simulator.next_random() % 3;
        for _ in 0..drops {
            (0..simulator.next_random() % 8).for_each(|_| _ = simulator.step());
            let victim = tasks[(simulator.next_random() % 5) as usize];
            simulator.abort(victim);
        }
        simulator.run();
        drop(simulator);
        assert_eq!(limiter.stats().allowed, *served.borrow(), "a dropped future counted");
        assert!(*served.borrow() >= 5 - drops);
        // Nobody is left in the line.
        assert!(queue.borrow().is_empty());
    }
}

#[test]
fn what_is_left_can_be_told_and_given_back() {
    let timer = VirtualTimer::default();
    let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_second())), timer);
    assert_eq!((limiter.remaining(&'a'), limiter.reset_at(&'a')), (1, Instant::ZERO));
    assert!(limiter.allow(&'a').is_allowed());
    assert_eq!((limiter.remaining(&'a'), limiter.reset_at(&'a')), (0, Instant::from_secs(1)));
    assert!(limiter.refund(&'a', NonZeroU32::MIN) && !limiter.refund(&'b', NonZeroU32::MIN));
    assert_eq!(limiter.remaining(&'a'), 1);
}

#[test]
fn who_waits_while_a_limiter_is_reseeded_goes_on_and_takes_one_entry() {
    let timer = VirtualTimer::default();
    let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_second())), timer.clone());
    let queue = RefCell::new(WaitList::<2>::new());
    assert!(limiter.allow(&'a').is_allowed());
    let mut waiting = pin!(limiter.until_allowed(&'a', &queue));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut cx).is_pending());
    limiter.with_lock(|limiter| limiter.reseed(HashSeed::new(1, 2)));
    timer.advance(Duration::from_millis(1_000));
    assert!(waiting.as_mut().poll(&mut cx).is_ready());
    assert_eq!((limiter.with_lock(|limiter| limiter.len()), limiter.remaining(&'a')), (1, 0));
}

/// The last waker of a task may drop the task, and so another place in the list.
#[test]
fn no_waker_is_dropped_inside_the_lock() {
    struct Touchy(Arc<Mutex<WaitList<2>>>, Arc<AtomicBool>);

    impl Wake for Touchy {
        fn wake(self: Arc<Self>) {}
    }

    impl Drop for Touchy {
        fn drop(&mut self) {
            self.1.fetch_or(self.0.try_lock().is_err(), Ordering::Relaxed);
        }
    }

    struct Locked(Arc<Mutex<WaitList<2>>>);

    impl Lock for Locked {
        type Target = WaitList<2>;

        fn with<R>(&self, f: impl FnOnce(&mut WaitList<2>) -> R) -> R {
            f(&mut self.0.lock().unwrap())
        }
    }

    let (list, is_inside) = (Arc::new(Mutex::new(WaitList::new())), Arc::new(AtomicBool::new(false)));
    let queue = Locked(list.clone());
    let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_second())), VirtualTimer::default());
    assert!(limiter.allow(&'a').is_allowed());
    let mut first = pin!(limiter.until_allowed(&'a', &queue));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let mut second = Box::pin(limiter.until_allowed(&'a', &queue));
    for _ in 0..3 {
        let waker = Waker::from(Arc::new(Touchy(list.clone(), is_inside.clone())));
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(second);
    assert!(!is_inside.load(Ordering::Relaxed));
}

#[test]
fn every_call_does_what_the_machine_does() {
    let timer = VirtualTimer::default();
    timer.advance(Duration::from_secs(100));
    let quota = crate::rate_limiter::Gcra::per_second(4);
    let limiter =
        Shared::new(RefCell::new(RateLimiter::<char, crate::rate_limiter::Gcra, 4>::new(quota)), timer.clone());
    let mut machine = RateLimiter::<char, crate::rate_limiter::Gcra, 4>::new(quota);
    let (now, one, two) = (timer.now(), NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1));
    let [a, b, c, d] = ['a', 'b', 'c', 'd'].map(|key| machine.hash(&key));
    let queue = RefCell::new(WaitList::<2>::new());
    for _ in 0..3 {
        assert_eq!(limiter.allow_verdict(&'a', one), machine.allow_verdict(&'a', one, now));
        assert_eq!(limiter.check_verdict(&'a', two), machine.check_verdict(&'a', two, now));
        assert_eq!(limiter.check_n(&'a', two), machine.check_n(&'a', two, now));
        assert_eq!(limiter.allow_with(b, &'b'), machine.allow(&'b', now));
        assert_eq!(limiter.allow_n_with(b, &'b', two), machine.allow_n(&'b', two, now));
        assert_eq!(limiter.allow_at(&'c', now), machine.allow(&'c', now));
        assert_eq!(limiter.allow_at_with(c, &'c', now), machine.allow(&'c', now));
        assert_eq!(limiter.allow_verdict_with(d, &'d', one), machine.allow_verdict(&'d', one, now));
        assert_eq!(limiter.reset_at(&'a'), machine.reset_at(&'a', now));
        assert_eq!(limiter.refund_and_wake(&'a', one, &queue), machine.refund(&'a', one, now));
        assert_eq!(limiter.refund_and_wake(&'x', one, &queue), machine.refund(&'x', one, now));
    }
    assert_eq!(limiter.stats(), machine.stats());
    assert_eq!(limiter.allow_n_waiting_with(a, &'a', one), machine.allow_n(&'a', one, now));
    limiter.set_quota_and_wake(crate::rate_limiter::Gcra::per_second(8), &queue);
    machine.set_quota(crate::rate_limiter::Gcra::per_second(8), now);
    assert_eq!(limiter.remaining(&'a'), machine.remaining(&'a', now));
    assert!(limiter.reset(&'a') && limiter.reset_and_wake(&'b', &queue) && !limiter.reset_and_wake(&'x', &queue));
    assert_eq!((limiter.remaining(&'a'), limiter.remaining(&'b')), (8, 8));
}

#[test]
fn what_is_done_when_it_is_full_changes_behind_the_lock_too() {
    let timer = VirtualTimer::default();
    let limiter: RateLimiter<char, SlidingLog<1>, 1> = RateLimiter::new(SlidingLog::per_second());
    let limiter = Shared::new(RefCell::new(limiter), timer.clone());
    assert!(limiter.allow(&'a').is_allowed() && limiter.allow(&'b').is_allowed());
    assert!(!limiter.allow(&'c').is_allowed(), "the only cell is used up");
    limiter.set_on_full(OnFull::Allow);
    assert!(limiter.allow(&'c').is_allowed(), "there is no limit for newcomers");

    let cached: CachedRateLimiter<char, u8, SlidingLog<1>, 1> =
        CachedRateLimiter::new(SlidingLog::per_second(), Duration::from_secs(5));
    let cached = Shared::new(RefCell::new(cached), timer.clone());
    cached.set_settings(SlidingLog::per_minute(), Duration::from_secs(1));
    let AllowOrCached::Allowed(attempt) = cached.allow_or_cached(&'a') else { panic!("it is the first") };
    attempt.complete(7).unwrap();
    timer.advance(Duration::from_secs(2));
    assert!(matches!(cached.allow_or_cached(&'a'), AllowOrCached::Cached { value: 7, .. }), "one a minute now");
}

/// With `wakes` those who wait and have a place pass when it is changed, and all others within a second.
fn who_waits_passes_when_the_limit_is_only_observed<const W: usize>(wakes: bool) {
    for seed in seeds(200) {
        let timer = VirtualTimer::default();
        let limiter = of_run_time_size(timer.clone());
        let queue = RefCell::new(WaitList::<W>::new());
        let served = RefCell::new(Vec::new());
        assert!(limiter.allow(&'a').is_allowed());
        let mut simulator = Simulator::with_timer(seed, timer);
        for cost in [1, 1, 1, 1] {
            let (limiter, queue, served) = (&limiter, &queue, &served);
            simulator.spawn(async move {
                let waited = limiter.until_allowed_n(&'a', NonZeroU32::new(cost).unwrap(), queue).await;
                served.borrow_mut().push((waited, limiter.timer().now()));
            });
        }
        simulator.spawn(async {
            limiter.timer().sleep_until(Instant::from_millis(250)).await;
            assert!(served.borrow().is_empty());
            limiter.set_enforce(Enforce::Observe);
            if wakes {
                WaitList::wake_all(&queue);
            }
        });
        simulator.run();
        drop(simulator);
        let last = Instant::from_millis(if wakes { 250 } else { 1_250 });
        let served = served.into_inner();
        assert!(served.len() == 4 && served.iter().all(|(end, at)| end.is_ok() && *at <= last), "{seed}: {served:?}");
        let stats = limiter.stats();
        assert_eq!((stats.allowed, stats.denied, stats.overridden), (5, 0, 4));
    }
}

#[test]
fn who_waits_passes_at_once_or_within_a_second_when_the_limit_is_only_observed() {
    who_waits_passes_when_the_limit_is_only_observed::<4>(true);
    who_waits_passes_when_the_limit_is_only_observed::<4>(false);
    who_waits_passes_when_the_limit_is_only_observed::<2>(false);
}

#[test]
fn nobody_waits_for_a_key_that_is_not_enforced_whatever_is_asked_and_whoever_is_in_line() {
    let limiter = of_run_time_size(VirtualTimer::default());
    let queue = RefCell::new(WaitList::<2>::new());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(limiter.allow(&'a').is_allowed());
    let mut first = pin!(limiter.until_allowed(&'a', &queue));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    limiter.set_enforce(Enforce::Observe);
    assert_eq!(limiter.enforce(), Enforce::Observe);
    let two = NonZeroU32::new(2).unwrap();
    let at_once = Duration::ZERO;
    assert!(pin!(limiter.until_allowed(&'a', &queue)).poll(&mut cx).is_ready());
    assert_eq!(pin!(limiter.until_allowed_n(&'a', two, &queue)).poll(&mut cx), Poll::Ready(Ok(())));
    assert_eq!(pin!(limiter.until_allowed_within(&'a', two, at_once, &queue)).poll(&mut cx), Poll::Ready(Ok(())));
    assert!(first.poll(&mut cx).is_ready());
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.denied, stats.overridden), (5, 0, 4));
}

#[test]
fn errors_and_states_of_a_wait_can_be_shown() {
    let texts = [
        WaitError::CostExceedsBurst { limit: 5 }.to_string(),
        WaitError::TooLong { retry_at: Instant::ZERO }.to_string(),
        format!("{:?}", WaitState::<Instant>::default()),
    ];
    let expected = [
        "the request asks for more than the limit of 5",
        "the wait for the rate limiter would take too long",
        "WaitState { .. }",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_wait_can_be_shown() {
    let limiter = Shared::new(RefCell::new(Limiter::new(SlidingLog::per_hour())), VirtualTimer::default());
    let queue = RefCell::new(WaitList::<2>::new());
    assert_eq!(std::format!("{:?}", limiter.until_allowed(&'a', &queue)), "UntilAllowed { .. }");
}
