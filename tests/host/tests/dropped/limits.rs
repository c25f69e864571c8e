//! Breakers by key, limiters, and attempts for one key.

use super::*;

#[test]
fn attempts_that_are_dropped_are_released_and_never_two_run_for_one_key() {
    type Limiter = CachedRateLimiter<u8, u64, SlidingLog<3>, 2>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let limiter = shared(Limiter::new(SlidingLog::per_second(), 60 * SECOND), &timer);
        let (running, allowed) = (Cell::new(0_u64), Cell::new(0));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (limiter, timer, running, allowed) = (&limiter, &timer, &running, &allowed);
            async move {
                for round in 0..3 {
                    sleep(timer, (number * 7 + round) % 5 * 200).await;
                    if let AllowOrCached::Allowed(attempt) = limiter.allow_or_cached(&1) {
                        allowed.set(allowed.get() + 1);
                        let _running = Counted::enter(running);
                        assert_eq!(running.get(), 1, "two attempts at once");
                        sleep(timer, 300).await;
                        match number % 3 {
                            0 => attempt.complete(number).expect("the lease is long"),
                            1 => attempt.refund(),
                            _ => drop(attempt),
                        }
                    }
                }
            }
        };
        run_dropping(&mut simulator, 5, task, []);
        drop(simulator);
        let stats = limiter.stats();
        let ended = stats.completed + stats.released + stats.refunded;
        assert_eq!((stats.allowed, ended), (allowed.get(), allowed.get()), "seed {seed}: {stats:?}");
        timer.advance(SECOND);
        let AllowOrCached::Allowed(_) = limiter.allow_or_cached(&1) else { panic!("seed {seed}: an attempt leaked") };
    }
}

/// Counts itself while it lives.
struct Counted<'a>(&'a Cell<u64>);

impl<'a> Counted<'a> {
    fn enter(count: &'a Cell<u64>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn breakers_by_key_get_every_permit_back() {
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let breakers: Breakers<u64, 2> = Breakers::new(Trip::consecutive(1), Reset::after(SECOND).lease(60 * SECOND));
        let breakers = shared(breakers, &timer);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (breakers, timer) = (&breakers, &timer);
            async move {
                for round in 0..4 {
                    sleep(timer, (number + round) % 3 * 400).await;
                    let call = async {
                        sleep(timer, 100 * number).await;
                        if (number + round).is_multiple_of(3) { Err(()) } else { Ok(()) }
                    };
                    let _ = breakers.call(&(number % 2), call).await;
                }
            }
        };
        run_dropping(&mut simulator, 6, task, []);
        drop(simulator);
        let stats = breakers.stats();
        let ended = stats.successes + stats.failures + stats.ignored + stats.stale;
        assert_eq!(stats.permitted, ended, "seed {seed}: {stats:?}");
        // The lease is long: if a probe's place had leaked, the breaker would not close now.
        timer.advance(2 * SECOND);
        for key in 0..2 {
            assert_eq!(breakers.call_blocking(&key, || Ok::<_, ()>(())), Ok(()), "seed {seed}");
            assert_eq!(breakers.state(&key), BreakerState::Closed);
        }
    }
}

#[test]
fn those_who_wait_for_a_limiter_beyond_its_places_get_through_too() {
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let limiter = shared(RateLimiter::<u64, Gcra, 2>::new(Gcra::per_second(2).burst(1)), &timer);
        let queue = RefCell::new(WaitList::<2>::new());
        let served = Cell::new(0);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (limiter, queue, timer, served) = (&limiter, &queue, &timer, &served);
            async move {
                sleep(timer, number % 3 * 300).await;
                for _ in 0..2 {
                    limiter.until_allowed(&(number % 2), queue).await;
                    served.set(served.get() + 1);
                }
            }
        };
        run_dropping(&mut simulator, 6, task, []);
        drop(simulator);
        assert_eq!(limiter.stats().allowed, served.get(), "seed {seed}: a dropped future counted");
        // Nobody is left in the lines: two who come now need not wait for anybody.
        timer.advance(2 * SECOND);
        let before = timer.now();
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        for key in 0..2 {
            let (limiter, queue) = (&limiter, &queue);
            simulator.spawn(async move { limiter.until_allowed(&key, queue).await });
        }
        simulator.run();
        assert_eq!(timer.now(), before, "seed {seed}: a place leaked");
    }
}

#[test]
fn a_servers_limiter_keeps_its_lines_as_the_core_does() {
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let limiter = steadfast::RateLimiter::<u64, _>::builder(SlidingLog::<1>::per_second())
            .capacity(8)
            .timer(timer.clone())
            .build();
        let served = Cell::new(0_u64);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (limiter, served) = (&limiter, &served);
            async move {
                limiter.until_allowed(&(number % 2)).await;
                served.set(served.get() + 1);
            }
        };
        run_dropping(&mut simulator, 6, task, []);
        drop(simulator);
        assert_eq!(limiter.stats().allowed, served.get(), "seed {seed}: a dropped future counted");
        assert!(timer.now() <= Instant::from_secs(2), "seed {seed}: three for each key, one a second");
    }
}
