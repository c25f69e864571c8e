//! The adapter on a host: embassy's mock time driver, whose clock moves only when nothing else can.

use core::{
    future::{Future, ready},
    num::NonZeroU32,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    string::{String, ToString},
    sync::{Arc, PoisonError},
    task::Wake,
    vec::Vec,
};

use embassy_futures::{join::join, select::select, yield_now};
use embassy_time::{MockDriver, with_timeout};

use crate::{
    Lock,
    circuit_breaker::{BreakerError, BreakerState},
    correlator::{CallError, Resolution},
    dedup_cache::{Claim, OnFull},
    logger::{Level, NotWritten, Sink},
    quorum::{Ballot, Vote},
    rate_limiter::{AllowOrCached, Decision, WaitError},
    raw::NoopRawMutex,
    retry::{Jitter, Reason},
    *,
};

const SECOND: Duration = Duration::from_secs(1);

static LIMITER: Shared<RateLimiter<u32, SlidingLog<5>, 32>> = shared(RateLimiter::new(SlidingLog::per_minute()));
static WAITING: Mutex<WaitList<4>> = Mutex::new(WaitList::new());
static PINGS: Shared<CachedRateLimiter<u32, bool, Gcra, 8>> =
    shared(CachedRateLimiter::new(Gcra::per_minute(1), Duration::from_secs(5)));
static HEARD: Shared<DedupCache<u64, 64>> = shared(DedupCache::new(Duration::from_secs(600), OnFull::Refuse));
static MODEM: Shared<CircuitBreaker> = shared(CircuitBreaker::new(Trip::consecutive(2), Reset::after(SECOND)));
static LINKS: Shared<Breakers<u32, 8>> = shared(Breakers::new(Trip::consecutive(2), Reset::after(SECOND)));
static CALLS: Shared<Correlator<u32, u8, 2>> = shared(Correlator::new(0));
static NAMED: Shared<KeyedCorrelator<u64, u8, 2>> = shared(KeyedCorrelator::new());
static NEWS: Shared<BatchQueue<u32, 4, 2>> = shared(BatchQueue::new(BatchSettings::new(SECOND)));
static SAMPLES: Shared<BatchCollector<u16, 4>> = shared(BatchCollector::new(BatchSettings::new(SECOND)));
static LOGGER: Shared<Logger<8>> = shared(Logger::new());
static VOTES: Shared<Quorum<u32, i64, 5>> = shared(Quorum::new::<3>(Instant::MAX));
static BUDGET: Mutex<RetryBudget> = Mutex::new(RetryBudget::percent(10).floor_per_second(0).burst(2));

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` from the epoch on; a millisecond passes whenever nobody is awake. One test at a time has the clock.
fn drive<F: Future>(future: F) -> F::Output {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    MockDriver::get().reset();
    let awake = Arc::new(Flag(AtomicBool::new(true)));
    let waker = Waker::from(awake.clone());
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if !awake.0.swap(false, Ordering::Relaxed) {
            MockDriver::get().advance(embassy_time::Duration::from_millis(1));
        } else if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
    panic!("nobody will wake it");
}

fn now() -> Instant {
    EmbassyTimer.now()
}

#[test]
fn a_sleep_ends_exactly_at_its_tick() {
    drive(async {
        EmbassyTimer.sleep_until(Instant::from_millis(7)).await;
        assert_eq!(now(), Instant::from_millis(7));
        EmbassyTimer.sleep_until(Instant::from_millis(3)).await;
        assert_eq!(now(), Instant::from_millis(7), "what is past does not wait");
        EmbassyTimer.sleep_until(Instant::from_nanos(8_000_001)).await;
        assert_eq!(now(), Instant::from_millis(9), "rounded up to a tick, which the mock shows a millisecond later");
    });
}

#[test]
fn the_end_of_time_does_not_come() {
    drive(async {
        let never = EmbassyTimer.sleep_until(Instant::MAX);
        select(never, EmbassyTimer.sleep_until(Instant::from_secs(5))).await;
        assert_eq!(now(), Instant::from_secs(5));
    });
}

#[test]
fn waiting_for_the_limiter_takes_as_long_as_its_quota_says() {
    drive(async {
        for _ in 0..5 {
            LIMITER.until_allowed(&7, &WAITING).await;
        }
        assert_eq!(now(), Instant::ZERO);
        assert_eq!(LIMITER.allow(&7), Decision::Deny { retry_at: Instant::from_secs(60) });
        LIMITER.until_allowed(&7, &WAITING).await;
        assert_eq!(now(), Instant::from_secs(60));
    });
}

#[test]
fn a_waiter_that_times_out_counts_nothing_and_frees_its_place() {
    static LIMITER: Shared<RateLimiter<u32, Gcra, 4>> = shared(RateLimiter::new(Gcra::per_minute(1)));
    static WAITING: Mutex<WaitList<1>> = Mutex::new(WaitList::new());
    drive(async {
        LIMITER.until_allowed(&1, &WAITING).await;
        let waiting = LIMITER.until_allowed(&1, &WAITING);
        assert!(with_timeout(embassy_time::Duration::from_secs(1), waiting).await.is_err());
        LIMITER.until_allowed(&1, &WAITING).await;
        assert_eq!(now(), Instant::from_secs(60));
        assert_eq!(LIMITER.stats().allowed, 2);
    });
}

#[test]
fn found_a2_another_quota_and_a_refund_reach_those_who_sleep() {
    static LIMITER: Shared<RateLimiter<u32, Gcra, 4>> = shared(RateLimiter::new(Gcra::per_hour(1)));
    static WAITING: Mutex<WaitList<2>> = Mutex::new(WaitList::new());
    drive(async {
        let in_seconds = |secs| EmbassyTimer.sleep_until(Instant::from_secs(secs));
        LIMITER.until_allowed(&1, &WAITING).await;
        join(LIMITER.until_allowed(&1, &WAITING), async {
            in_seconds(10).await;
            assert!(LIMITER.refund_and_wake(&1, NonZeroU32::MIN, &WAITING));
        })
        .await;
        assert_eq!(now(), Instant::from_secs(10));
        let long = LIMITER.until_allowed_within(&1, NonZeroU32::MIN, SECOND * 60, &WAITING).await;
        assert!(matches!(long, Err(WaitError::TooLong { .. })), "{long:?}");
        assert_eq!(now(), Instant::from_secs(10));
        join(LIMITER.until_allowed_n(&1, NonZeroU32::MIN, &WAITING), async {
            in_seconds(20).await;
            LIMITER.set_quota_and_wake(Gcra::every(SECOND), &WAITING);
        })
        .await
        .0
        .unwrap();
        assert!(now() >= Instant::from_secs(20) && now() <= Instant::from_secs(22), "{:?}", now());
    });
}

#[test]
fn a_breaker_opens_and_closes_again() {
    drive(async {
        for _ in 0..2 {
            assert_eq!(MODEM.call(ready(Err::<(), _>("no carrier"))).await, Err(BreakerError::Inner("no carrier")));
        }
        assert!(matches!(MODEM.call_blocking(|| Ok::<_, ()>(())), Err(BreakerError::Open { .. })));
        EmbassyTimer.sleep_until(Instant::from_secs(1)).await;
        assert_eq!(MODEM.call_blocking(|| Ok::<_, ()>(7)), Ok(7));
        assert_eq!(MODEM.state(), BreakerState::Closed);
        assert_eq!(LINKS.call(&1, ready(Ok::<_, ()>(8))).await, Ok(8));
    });
}

struct Half;

impl rand_core::TryRng for Half {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(1 << 31)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(1 << 63)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(0x80);
        Ok(())
    }
}

#[test]
fn retries_wait_on_the_board_and_share_a_budget() {
    const POLICY: RetryPolicy = RetryPolicy::constant(SECOND).max_retries(5).jitter(Jitter::None);
    drive(async {
        let result = POLICY.call_with(EmbassyTimer, Half, || ready(Err::<(), _>("busy"))).budget(&BUDGET).await;
        let error = result.unwrap_err();
        assert_eq!((error.attempts, error.reason), (3, Reason::BudgetExhausted));
        assert_eq!(now(), Instant::from_secs(2));
    });
}

#[test]
fn a_call_gets_its_reply_its_time_out_or_its_cancellation() {
    drive(async {
        let ask = CALLS.call(9, SECOND, |id| async move {
            yield_now().await;
            assert_eq!(CALLS.resolve(id, 9, 42), Resolution::Matched);
            Ok::<_, ()>(())
        });
        assert_eq!(ask.await, Ok(42));

        assert_eq!(CALLS.call(9, SECOND, |_| ready(Ok::<_, ()>(()))).await, Err(CallError::TimedOut));
        assert_eq!(now(), Instant::from_secs(1));

        for _ in 0..10 {
            let unanswered = CALLS.call(9, SECOND, |_| ready(Ok::<_, ()>(())));
            select(unanswered, yield_now()).await;
        }
        let stats = CALLS.stats();
        assert_eq!((stats.pending, stats.cancelled, stats.timed_out), (0, 10, 1));

        let named = join(NAMED.call(5, SECOND, || ready(Ok::<_, ()>(()))), async { NAMED.resolve(&5, 6) });
        assert_eq!(named.await, (Ok(6), Resolution::Matched));
    });
}

#[test]
fn the_worker_flushes_by_size_and_by_age_and_stops() {
    drive(async {
        let mut batches: Vec<Vec<u32>> = Vec::new();
        let worker = NEWS.run(async |items: &mut heapless::Vec<u32, 4>, _| batches.push(items.to_vec()));
        let adder = async {
            for item in 0..6 {
                NEWS.add(item).await.unwrap();
            }
            EmbassyTimer.sleep_until(Instant::from_millis(1_500)).await;
            NEWS.try_add(6).unwrap();
            NEWS.stop().await;
        };
        let (result, ()) = join(worker, adder).await;
        assert_eq!(result, Ok(()));
        assert_eq!(now(), Instant::from_millis(1_500));
        assert_eq!(batches, [&[0, 1, 2, 3][..], &[4, 5], &[6]]);
    });
}

struct Lines(Vec<String>);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        self.0.push(line.to_string());
        Ok(())
    }
}

#[test]
fn the_logger_groups_and_its_worker_writes() {
    drive(async {
        let log = LOGGER.service("stash");
        let mut lines = Lines(Vec::new());
        let services = async {
            log.event("store", "alice").target("bob");
            EmbassyTimer.sleep_until(Instant::from_secs(1)).await;
            log.event("store", "carol").target("bob");
            log.warn(format_args!("battery at {} %", 20));
            EmbassyTimer.sleep_until(Instant::from_secs(10)).await;
            LOGGER.shutdown();
        };
        join(LOGGER.run(&mut lines), services).await;
        assert_eq!(lines.0.len(), 2);
        assert!(lines.0[0].ends_with("[stash] battery at 20 %"), "{:?}", lines.0);
        assert!(lines.0[1].ends_with("[stash] alice and carol did store to bob"), "{:?}", lines.0);
    });
}

#[test]
fn claims_and_attempts_end_with_their_guards() {
    drive(async {
        let Claim::Fresh(claim) = HEARD.claim(&1) else { panic!("nobody else has it") };
        drop(claim);
        let Claim::Fresh(claim) = HEARD.claim(&1) else { panic!("it was given up") };
        assert_eq!(claim.commit(), Ok(()));
        assert!(HEARD.seen(&1));

        let AllowOrCached::Allowed(attempt) = PINGS.allow_or_cached(&1) else { panic!("the first one") };
        assert!(attempt.complete(true).is_ok());
        assert_eq!(PINGS.allow_or_cached(&1).value(), Some(&true));
    });
}

#[test]
fn what_has_no_shared_face_of_its_own_is_reached_with_the_time() {
    drive(async {
        SAMPLES.with(|samples, now| assert!(samples.push(20, now).is_none()));
        let due_at = SAMPLES.with_lock(|samples| samples.next_deadline()).expect("one sample waits");
        EmbassyTimer.sleep_until(due_at).await;
        assert!(SAMPLES.with(|samples, now| samples.on_timeout(now).is_some()));

        for voter in 0..3 {
            assert_eq!(
                VOTES.with(|votes, now| votes.vote(votes.ballot(), voter, 10 + i64::from(voter), now)),
                Vote::Counted
            );
        }
        let median = VOTES.with(|votes, now| votes.result(votes.ballot(), aggregate::median, now));
        assert_eq!(median, Ballot::Decided(11));
    });
}

#[test]
fn tasks_of_one_executor_need_no_lock() {
    let limiter: Shared<RateLimiter<u32, Gcra, 4>, NoopRawMutex> = shared(RateLimiter::new(Gcra::per_minute(1)));
    drive(async {
        let (first, second) = join(async { limiter.allow(&1) }, async { limiter.allow(&1) }).await;
        assert_eq!((first.is_allowed(), second.is_allowed()), (true, false));
    });
}

#[test]
fn an_interrupt_handler_or_thread_shares_a_machine_by_the_default_lock() {
    static COUNT: Shared<u32> = shared(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|_| COUNT.with_lock(|count| *count += 1)));
        }
    });
    assert_eq!(COUNT.with_lock(|count| *count), 4_000);
}

#[test]
#[should_panic(expected = "already")]
fn the_lock_is_not_taken_twice() {
    let lock: Mutex<u32, NoopRawMutex> = Mutex::new(0);
    lock.with(|_| lock.with(|_| ()));
}

#[test]
fn every_future_can_wait_in_a_task_of_another_thread() {
    fn is_send<F: Send>(_: F) {}
    is_send(LIMITER.until_allowed(&1, &WAITING));
    is_send(MODEM.call(ready(Ok::<_, ()>(()))));
    is_send(CALLS.call(1, SECOND, |_| ready(Ok::<_, ()>(()))));
    is_send(LOGGER.due());
    is_send(NEWS.stop());
}
