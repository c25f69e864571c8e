//! Waiters that nobody polls, and more waiters than places.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use steadfast_core::{
    Clock, Gcra, Instant, RateLimiter, Shared, SlidingLog, Timer, WaitList,
    test_util::{Simulator, VirtualTimer},
};

use super::support::{
    Boxed, Face, GRACE, InCore, LOOK_AGAIN, Late, MILLI, SECOND, at_most, on_each_face, poll_once, run, seeds,
};

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

/// More than there are places for: whoever has none gets on too.
#[test]
fn found_a1_waiters_that_fill_all_places_and_are_not_polled_delay_others_by_a_bound_only() {
    for seed in 0..20 {
        for is_same in [true, false] {
            on_each_face(Gcra::per_second(10).burst(1), |limiter, timer| {
                assert!(limiter.allow(1).is_allowed() && limiter.allow(2).is_allowed());
                let mut held: Vec<_> = (0..70).map(|_| limiter.wait(&1)).collect();
                held.iter_mut().for_each(|held| assert!(poll_once(held.as_mut()).is_pending()));
                let mut simulator = Simulator::with_timer(seed, timer.clone());
                for _ in 0..5 {
                    simulator.spawn(limiter.wait(if is_same { &1 } else { &2 }));
                }
                let start = timer.now();
                simulator.run();
                let took = timer.now().saturating_duration_since(start);
                assert!(took <= LOOK_AGAIN + GRACE * 70 + 100 * MILLI * 5, "seed {seed}: {took:?}");
            });
        }
    }
}
