//! What changes while somebody waits: the quota, its state, the clock.

use std::{
    cell::{Cell, RefCell},
    task::Poll,
};

use steadfast_core::{
    Clock, Gcra, Instant, Timer, WaitList,
    rate_limiter::{CostExceedsBurst, WaitError},
    test_util::{Simulator, VirtualTimer},
};

use super::support::{Face, GRACE, InCore, LOOK_AGAIN, MILLI, ONE, SECOND, n, on_each_face, poll_once, run};

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
fn found_a2_a_newcomer_to_a_full_table_waits_until_an_entry_is_idle() {
    let timer = VirtualTimer::default();
    let limiter = steadfast::RateLimiter::<u64, _>::builder(Gcra::every(SECOND))
        .capacity(1)
        .ledger(0)
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
        assert_eq!(never, Err(CostExceedsBurst { limit: 10 }));
        let mut waiting = limiter.wait_n(&1, n(10));
        assert!(poll_once(waiting.as_mut()).is_pending());
        // At once, though somebody waits already.
        assert_eq!(poll_once(limiter.wait_n(&1, n(11)).as_mut()), Poll::Ready(Err(CostExceedsBurst { limit: 10 })));
        let within = poll_once(limiter.wait_within(&1, n(11), SECOND).as_mut());
        assert_eq!(within, Poll::Ready(Err(WaitError::CostExceedsBurst { limit: 10 })));
        limiter.set_quota(Gcra::per_second(5));
        assert_eq!(poll_once(waiting.as_mut()), Poll::Ready(Err(CostExceedsBurst { limit: 5 })));
        assert_eq!(limiter.counts(), (1, 5));
    });
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
fn found_a2_who_waits_behind_others_is_told_at_once_that_it_never_fits_any_more() {
    on_each_face(Gcra::every(3_600 * SECOND).burst(10), |limiter, _| {
        assert_eq!(poll_once(limiter.wait_n(&1, n(10)).as_mut()), Poll::Ready(Ok(())));
        let (mut first, mut second) = (limiter.wait(&1), limiter.wait_n(&1, n(5)));
        assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
        limiter.set_quota(Gcra::every(3_600 * SECOND).burst(2));
        assert!(poll_once(first.as_mut()).is_pending());
        assert_eq!(poll_once(second.as_mut()), Poll::Ready(Err(CostExceedsBurst { limit: 2 })));
    });
}

#[test]
fn found_a4_a_longest_wait_goes_along_with_a_clock_that_steps_back() {
    on_each_face(Gcra::every(10 * SECOND), |limiter, timer| {
        timer.set(Instant::from_secs(1_000_000));
        assert!(limiter.allow(1).is_allowed());
        let mut first = limiter.wait_within(&1, ONE, 30 * SECOND);
        assert!(poll_once(first.as_mut()).is_pending());
        timer.set(Instant::from_secs(1_000));
        // Others are always faster.
        for second in 0..=31 {
            if poll_once(first.as_mut()).is_ready() {
                return;
            }
            assert!(second < 31, "it waits for longer than it was told to");
            timer.advance(SECOND);
            let _ = limiter.allow(1);
        }
    });
}
