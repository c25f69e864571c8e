//! Every call that waits, dropped at every await, under every order that a seed can think of: no wake-up is lost, no
//! place leaks, nothing is done twice. `STEADFAST_SEEDS` asks for another number of seeds.
//!
//! A machine's own tests do the same for what needs a look inside; here are the rest, and what needs several machines.

mod limits;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    ops::{ControlFlow, Range},
    pin::Pin,
    time::Duration,
};

use steadfast_core::{
    BatchQueue, BatchSettings, Breakers, CachedRateLimiter, Clock, Correlator, Gcra, Instant, KeyedCorrelator, Logger,
    Quorum, RateLimiter, Reset, RetryBudget, RetryPolicy, Shared, SlidingLog, Timer, Trip, WaitList,
    aggregate::{self, settled},
    batch_collector::{AddError, FlushOutcome, FlushReason},
    circuit_breaker::BreakerState,
    correlator::{Asked, CallId},
    logger::{Level, NotWritten, Sink},
    quorum::Vote,
    rate_limiter::AllowOrCached,
    test_util::{Simulator, TaskId, VirtualTimer},
};

const SECOND: Duration = Duration::from_secs(1);

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// 1,000 seeds, or as many as the environment variable says.
fn seeds() -> Range<u64> {
    let asked = std::env::var("STEADFAST_SEEDS").ok().and_then(|text| text.parse().ok());
    0..asked.unwrap_or(1_000)
}

fn shared<M>(machine: M, timer: &VirtualTimer) -> Shared<M, RefCell<M>, VirtualTimer> {
    Shared::new(RefCell::new(machine), timer.clone())
}

async fn sleep(timer: &VirtualTimer, millis: u64) {
    timer.sleep_until(timer.now().saturating_add(Duration::from_millis(millis))).await;
}

/// Runs `count` tasks made by `task`, some of them only until they are dropped; `others` run to their end.
fn run_dropping<'a, F: Future<Output = ()> + 'a>(
    simulator: &mut Simulator<'a>,
    count: u64,
    task: impl Fn(u64) -> F,
    others: impl IntoIterator<Item = Boxed<'a>>,
) {
    let tasks: Vec<TaskId> = (0..count).map(|number| simulator.spawn(task(number))).collect();
    for other in others {
        simulator.spawn(other);
    }
    simulator.run_dropping(&tasks);
}

#[test]
fn calls_by_the_callers_ids_leave_no_entry() {
    type Calls = KeyedCorrelator<u64, u64, 4>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let calls = shared(Calls::new(), &timer);
        let done = Cell::new(0);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number| {
            let (calls, timer, done) = (&calls, &timer, &done);
            async move {
                for round in 0..3 {
                    let id = 10 * number + round;
                    let send = || async move {
                        sleep(timer, id % 7 * 100).await;
                        if id % 5 == 0 { Err(()) } else { Ok(()) }
                    };
                    if let Ok(reply) = calls.call(id, SECOND, send).await {
                        assert_eq!(reply, id, "the reply to another call");
                        done.set(done.get() + 1);
                    }
                }
            }
        };
        let network: Boxed<'_> = Box::pin(async {
            for step in 0..40 {
                sleep(&timer, 100).await;
                let id = 10 * (step % 6) + step / 13;
                match step % 9 {
                    0 => drop(calls.cancel(&id)),
                    1 => drop(calls.on_timeout()),
                    _ => drop(calls.resolve(&id, id)),
                }
            }
        });
        run_dropping(&mut simulator, 6, task, [network]);
        drop(simulator);
        let stats = calls.stats();
        assert_eq!(stats.begun, stats.resolved + stats.timed_out + stats.cancelled, "seed {seed}: {stats:?}");
        assert!(
            stats.resolved >= done.get() && calls.with_lock(|calls| calls.is_empty()),
            "seed {seed}: an entry leaked"
        );
    }
}

#[test]
fn questions_to_many_that_are_judged_one_by_one_leave_no_slot() {
    type Calls = Correlator<u8, u64, 6>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let calls = shared(Calls::new(seed), &timer);
        let sent = RefCell::new(Vec::<(u8, CallId)>::new());
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (calls, timer, sent) = (&calls, &timer, &sent);
            async move {
                for _ in 0..2 {
                    let mut asked = [1, 2, 3].map(Asked::new);
                    let send = |peer: u8, id| async move {
                        sleep(timer, u64::from(peer) * 50 * (number % 2)).await;
                        sent.borrow_mut().push((peer, id));
                        if peer == 3 && number == 0 { Err(()) } else { Ok(()) }
                    };
                    let mut heard = 0;
                    let on_answer = |peer: u8, reply: u64| {
                        assert_eq!(reply, u64::from(peer));
                        heard += 1;
                        if heard < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    };
                    let _ = calls.gather_each(&mut asked, SECOND, send, on_answer).await;
                    assert!(heard <= 2);
                }
            }
        };
        let network: Boxed<'_> = Box::pin(async {
            for _ in 0..40 {
                sleep(&timer, 90).await;
                let next = sent.borrow_mut().pop();
                if let Some((peer, id)) = next {
                    let _ = calls.resolve(id, peer, peer.into());
                    let _ = calls.resolve(id, peer, 99);
                }
            }
        });
        run_dropping(&mut simulator, 4, task, [network]);
        drop(simulator);
        let stats = calls.stats();
        let ended = stats.resolved + stats.timed_out + stats.cancelled;
        assert_eq!((stats.begun, stats.pending), (ended, 0), "seed {seed}: {stats:?}");
        assert!(calls.with_lock(|calls| calls.is_empty()), "seed {seed}: a slot leaked");
    }
}

#[test]
fn more_adders_than_places_a_worker_by_hand_and_a_stop_lose_nothing() {
    type Queue = BatchQueue<u64, 2, 2>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let queue = shared(Queue::new(BatchSettings::new(SECOND)).retry(1, SECOND / 10), &timer);
        let (added, flushed) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let adder = |number| {
            let (queue, timer, added) = (&queue, &timer, &added);
            async move {
                for round in 0..3 {
                    sleep(timer, (number + round) % 3 * 200).await;
                    match queue.add(10 * number + round).await {
                        Ok(()) => added.borrow_mut().push(10 * number + round),
                        Err(AddError::Stopped(_)) => return,
                        Err(error) => panic!("{error:?}"),
                    }
                    if number == 0 {
                        queue.flush();
                    }
                }
                if number == 5 {
                    queue.stop().await;
                }
            }
        };
        // A worker that hangs up after a few batches, between them; and one that stays.
        let work = |batches: usize| {
            let (queue, timer, flushed) = (&queue, &timer, &flushed);
            async move {
                let mut worker = loop {
                    match queue.worker() {
                        Ok(worker) => break worker,
                        Err(_) => sleep(timer, 100).await,
                    }
                };
                for number in 0..batches {
                    let Some(_reason) = worker.next_batch().await else { return };
                    let flush = async { sleep(timer, 150).await };
                    worker.flushing(flush).await;
                    if number % 3 == 1 && worker.finish(FlushOutcome::Failed).await {
                        sleep(timer, 150).await;
                    }
                    flushed.borrow_mut().extend(worker.items().iter().copied());
                    assert!(!worker.finish(FlushOutcome::Delivered).await);
                }
            }
        };
        let others: [Boxed<'_>; 3] = [
            Box::pin(work(2)),
            Box::pin(async {
                sleep(&timer, 600).await;
                work(usize::MAX).await;
            }),
            Box::pin(async {
                sleep(&timer, 6_000).await;
                queue.stop().await;
            }),
        ];
        run_dropping(&mut simulator, 6, adder, others);
        drop(simulator);
        let (mut added, mut flushed) = (added.into_inner(), flushed.into_inner());
        added.sort_unstable();
        flushed.sort_unstable();
        assert_eq!(flushed, added, "seed {seed}: flushed against added");
        let stats = queue.stats();
        assert_eq!((stats.accepted, stats.pending, stats.in_flight), (stats.delivered, 0, 0), "seed {seed}: {stats:?}");
    }
}

#[test]
fn a_batch_in_the_hands_of_a_dropped_worker_counts_as_failed_once() {
    type Queue = BatchQueue<u64, 3, 4>;
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let queue = shared(Queue::new(BatchSettings::new(SECOND)), &timer);
        let flushed = Cell::new(0);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let worker = |_| {
            let (queue, timer, flushed) = (&queue, &timer, &flushed);
            async move {
                let flush = async |items: &mut heapless::Vec<u64, 3>, _: FlushReason| {
                    sleep(timer, 100).await;
                    flushed.set(flushed.get() + items.len() as u64);
                };
                // Only one at a time may work: the next begins when the one before was dropped.
                while queue.run(flush).await.is_err() {
                    sleep(timer, 70).await;
                }
            }
        };
        let (queue_ref, timer_ref, flush_rest) = (&queue, &timer, worker(0));
        let others: [Boxed<'_>; 2] = [
            Box::pin(async move {
                for item in 0..20 {
                    queue_ref.add(item).await.unwrap();
                    sleep(timer_ref, item % 4 * 60).await;
                }
                queue_ref.close();
            }),
            Box::pin(flush_rest),
        ];
        run_dropping(&mut simulator, 3, worker, others);
        drop(simulator);
        let stats = queue.stats();
        assert_eq!((stats.accepted, stats.pending, stats.in_flight), (20, 0, 0), "seed {seed}: {stats:?}");
        assert_eq!(stats.delivered, flushed.get(), "seed {seed}");
        assert_eq!(stats.delivered + stats.failed, 20, "seed {seed}");
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        self.0.push(line.to_owned());
        Ok(())
    }
}

#[test]
fn a_loggers_loop_by_hand_writes_each_event_once() {
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let logger = shared(Logger::<16>::new(), &timer);
        let (lines, recorded) = (RefCell::new(Lines::default()), Cell::new(0_u64));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (logger, timer, lines, recorded) = (&logger, &timer, &lines, &recorded);
            async move {
                if number == 0 {
                    while logger.due().await {
                        logger.drain(&mut *lines.borrow_mut());
                    }
                    return;
                }
                let log = logger.service("a");
                for round in 0..4 {
                    sleep(timer, (number * 5 + round * 3) % 7 * 300).await;
                    log.event(if number.is_multiple_of(2) { "x" } else { "y" }, "alice");
                    recorded.set(recorded.get() + 1);
                    if (number + round).is_multiple_of(5) {
                        logger.flush();
                    }
                }
            }
        };
        let last: Boxed<'_> = Box::pin(async {
            sleep(&timer, 60_000).await;
            logger.shutdown();
            logger.drain(&mut *lines.borrow_mut()); // whatever the worker has left, if it was dropped
        });
        run_dropping(&mut simulator, 6, task, [last]);
        drop(simulator);
        let stats = logger.stats();
        assert_eq!(
            (stats.seen, stats.printed, stats.waiting),
            (recorded.get(), recorded.get(), 0),
            "seed {seed}: {stats:?}"
        );
        let count = |line: &String| line.rsplit_once('×').map_or(1, |(_, count)| count.parse::<u64>().unwrap());
        assert_eq!(lines.borrow().0.iter().map(count).sum::<u64>(), recorded.get(), "seed {seed}");
    }
}

#[test]
fn a_crowd_that_waits_for_a_settled_vote_learns_it_or_that_it_is_over() {
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let votes = shared(Quorum::<u64, i64, 8>::new::<3>(Instant::from_secs(30)), &timer);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (votes, timer) = (&votes, &timer);
            async move {
                sleep(timer, number % 3 * 500).await;
                let value = if number.is_multiple_of(2) {
                    votes.decided(votes.ballot(), aggregate::median).await
                } else {
                    votes.decided_when_settled(votes.ballot(), aggregate::median, settled::all_voted).await
                };
                assert!(value.is_none_or(|value| value == 10), "{value:?}");
            }
        };
        let (votes_ref, timer_ref) = (&votes, &timer);
        let others = (0..5).map(|voter| {
            let voting: Boxed<'_> = Box::pin(async move {
                sleep(timer_ref, 400 * voter).await;
                if seed.is_multiple_of(3) && voter == 2 {
                    votes_ref.reset(30 * SECOND);
                }
                let vote = votes_ref.vote(votes_ref.ballot(), voter, 10);
                assert!(matches!(vote, Vote::Counted | Vote::Late), "{vote:?}");
            });
            voting
        });
        run_dropping(&mut simulator, 8, task, others);
        drop(simulator);
        // All places are free again: four who wait are woken by the vote that decides, without looking for it.
        let ballot = votes.reset(30 * SECOND);
        let start = timer.now();
        let mut simulator = Simulator::with_timer(seed & !1, timer.clone());
        for _ in 0..4 {
            let votes = &votes;
            simulator.spawn(async move { assert_eq!(votes.decided(ballot, aggregate::median).await, Some(7)) });
        }
        (0..4).for_each(|_| assert!(simulator.step()));
        (0..3).for_each(|voter| assert_eq!(votes.vote(ballot, voter, 7), Vote::Counted));
        simulator.run();
        assert_eq!(timer.now(), start, "seed {seed}: a place leaked");
    }
}

#[test]
fn layers_of_retries_dropped_anywhere_charge_what_was_called() {
    const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(100)).max_retries(2);
    for seed in seeds() {
        let timer = VirtualTimer::default();
        let budget = RefCell::new(RetryBudget::percent(50).floor_per_second(1).burst(6));
        let (requests, calls) = (Cell::new(0_u64), Cell::new(0_u64));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let task = |number: u64| {
            let (budget, timer, requests, calls) = (&budget, &timer, &requests, &calls);
            async move {
                let request = || {
                    calls.set(calls.get() + 1);
                    async move {
                        sleep(timer, 50 * number).await;
                        if number == 4 { Ok(()) } else { Err(()) }
                    }
                };
                let layer = || async move {
                    POLICY.call_with(timer, Zeros, request).nested_budget(budget).await.map_err(|_| ())
                };
                requests.set(requests.get() + 1);
                let _ = POLICY.attempt_timeout(SECOND).call_with(timer, Zeros, layer).budget(budget).await;
            }
        };
        run_dropping(&mut simulator, 5, task, []);
        drop(simulator);
        let stats = budget.borrow().stats();
        assert_eq!(stats.deposits, requests.get(), "seed {seed}");
        assert_eq!(stats.withdrawn - stats.refunded, calls.get() - requests.get(), "seed {seed}: {stats:?}");
    }
}

/// No jitter.
#[derive(Clone, Copy)]
struct Zeros;

impl rand_core::TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(0);
        Ok(())
    }
}
