//! Whose turn it is, from when it counts, and how long one waits for it.

use std::{
    cell::{Cell, RefCell},
    task::{Context, Poll, Waker},
    time::Duration,
};

use steadfast_core::{
    Clock, Gcra, Instant, Timer,
    rate_limiter::WaitError,
    test_util::{Simulator, VirtualTimer},
};

use super::support::{Face, InCore, Late, MILLI, ONE, SECOND, at_most, n, on_each_face, poll_once, seeds};

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
                Box::new(steadfast::RateLimiter::builder(quota).capacity(8).timer(late).build())
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
