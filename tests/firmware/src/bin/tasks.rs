//! Embassy tasks that wait, time out and are dropped, on a real executor with a real interrupt for a clock.
#![no_std]
#![no_main]

use core::{future::ready, time::Duration};

use embassy_executor::Spawner;
use embassy_futures::{join::join, select::select, yield_now};
use embassy_sync::{channel::Channel, signal::Signal};
use embassy_time::{Duration as Ticks, with_timeout};
use steadfast_embassy::{
    BatchQueue, BatchSettings, CircuitBreaker, Clock, Correlator, EmbassyTimer, Gcra, Instant, Logger, Mutex,
    RateLimiter, Reset, RetryBudget, RetryPolicy, Shared, Timer, Trip, WaitList,
    circuit_breaker::{BreakerError, BreakerState},
    correlator::{CallError, CallId, Resolution},
    logger::{Level, NotWritten, Sink},
    raw::CriticalSectionRawMutex,
    retry::{Jitter, Reason},
    shared,
};

use firmware_tests::{board, harness};

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    board::start();
    spawner.spawn(peer().expect("the only one"));
    spawner.spawn(neighbour().expect("the only one"));
    macro_rules! run {
        ($($test:ident)*) => {$(
            harness::begin("tasks", stringify!($test));
            $test().await;
            harness::passed();
        )*};
    }
    run! {
        a_sleep_is_never_early
        two_tasks_share_one_quota_in_turn
        a_call_is_answered_by_another_task
        a_call_times_out
        a_dropped_future_frees_its_slot_and_its_place
        a_breaker_opens_and_closes_again
        retries_wait_and_stay_within_their_budget
        a_worker_flushes_by_size_age_and_stop
        a_logger_writes_what_is_due
    }
    harness::finish();
}

fn now() -> Instant {
    EmbassyTimer.now()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `start` was that long ago, and not much longer.
fn assert_took(start: Instant, time: Duration) {
    let took = now().saturating_duration_since(start);
    assert!(took >= time && took < time + millis(100), "{took:?} instead of {time:?}");
}

async fn a_sleep_is_never_early() {
    for nanos in [0, 1, 999_999, 1_000_000, 1_000_001, 20_000_000] {
        let start = now();
        let at = start.saturating_add(Duration::from_nanos(nanos));
        EmbassyTimer.sleep_until(at).await;
        assert!(now() >= at);
        assert_took(start, Duration::from_nanos(nanos));
    }
}

static LIMITER: Shared<RateLimiter<u32, Gcra, 4>> = shared(RateLimiter::new(Gcra::every(millis(10))));
static WAITING: Mutex<WaitList<2>> = Mutex::new(WaitList::new());
static START: Signal<CriticalSectionRawMutex, ()> = Signal::new();
static DONE: Signal<CriticalSectionRawMutex, Instant> = Signal::new();

#[embassy_executor::task]
async fn neighbour() {
    START.wait().await;
    for _ in 0..3 {
        LIMITER.until_allowed(&7, &WAITING).await;
    }
    DONE.signal(now());
}

async fn two_tasks_share_one_quota_in_turn() {
    let start = now();
    START.signal(());
    for _ in 0..3 {
        LIMITER.until_allowed(&7, &WAITING).await;
        yield_now().await;
    }
    let ends_at = now().max(DONE.wait().await);
    assert!(ends_at >= start.saturating_add(millis(50)), "six in less than five intervals");
    assert_took(start, millis(50));
    assert_eq!(LIMITER.stats().allowed, 6);
}

static CALLS: Shared<Correlator<u8, u64, 2>> = shared(Correlator::new(0x5eed));
static WIRE: Channel<CriticalSectionRawMutex, CallId, 2> = Channel::new();

/// Answers every request after 5 ms.
#[embassy_executor::task]
async fn peer() {
    loop {
        let id = WIRE.receive().await;
        EmbassyTimer.sleep_until(now().saturating_add(millis(5))).await;
        assert_eq!(CALLS.resolve(id, 1, !id.as_u64()), Resolution::Matched);
    }
}

async fn a_call_is_answered_by_another_task() {
    let ask = || async {
        let mut sent = None;
        let send = |id: CallId| {
            sent = Some(id);
            async move {
                WIRE.send(id).await;
                Ok::<_, ()>(())
            }
        };
        let reply = CALLS.call(1, millis(500), send).await;
        assert_eq!(reply, Ok(!sent.expect("it was sent").as_u64()));
    };
    join(ask(), ask()).await;
    assert_eq!(CALLS.stats().resolved, 2);
}

async fn a_call_times_out() {
    let start = now();
    assert_eq!(CALLS.call(1, millis(20), |_| ready(Ok::<_, ()>(()))).await, Err(CallError::TimedOut));
    assert_took(start, millis(20));
    assert_eq!(CALLS.call(1, millis(20), |_| ready(Err("no carrier"))).await, Err(CallError::Send("no carrier")));
}

async fn a_dropped_future_frees_its_slot_and_its_place() {
    static LIMITER: Shared<RateLimiter<u32, Gcra, 4>> = shared(RateLimiter::new(Gcra::every(millis(20))));
    static WAITING: Mutex<WaitList<1>> = Mutex::new(WaitList::new());
    let start = now();
    LIMITER.until_allowed(&1, &WAITING).await;
    for _ in 0..5 {
        let call = CALLS.call(1, millis(500), |_| ready(Ok::<_, ()>(())));
        assert!(with_timeout(Ticks::from_millis(1), call).await.is_err());
        let turn = LIMITER.until_allowed(&1, &WAITING);
        select(turn, yield_now()).await;
    }
    assert_eq!(CALLS.stats().pending, 0);
    LIMITER.until_allowed(&1, &WAITING).await;
    assert_took(start, millis(20));
    assert_eq!(LIMITER.stats().allowed, 2);
}

async fn a_breaker_opens_and_closes_again() {
    static MODEM: Shared<CircuitBreaker> = shared(CircuitBreaker::new(Trip::consecutive(2), Reset::after(millis(20))));
    for _ in 0..2 {
        assert_eq!(MODEM.call(ready(Err::<(), _>(7))).await, Err(BreakerError::Inner(7)));
    }
    let Err(BreakerError::Open { retry_at }) = MODEM.call_blocking(|| Ok::<_, ()>(())) else { panic!("it is open") };
    EmbassyTimer.sleep_until(retry_at).await;
    let probe = MODEM.call(async {
        yield_now().await;
        Ok::<_, ()>(8)
    });
    assert_eq!(probe.await, Ok(8));
    assert_eq!(MODEM.state(), BreakerState::Closed);
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

async fn retries_wait_and_stay_within_their_budget() {
    const POLICY: RetryPolicy =
        RetryPolicy::exponential(millis(10)).jitter(Jitter::None).max_retries(5).attempt_timeout(millis(5));
    static BUDGET: Mutex<RetryBudget> = Mutex::new(RetryBudget::percent(10).floor_per_second(0).burst(2));
    let start = now();
    let hangs = || core::future::pending::<Result<(), ()>>();
    let error = POLICY.call_with(EmbassyTimer, Half, hangs).budget(&BUDGET).await.expect_err("it never answers");
    assert_eq!((error.last, error.attempts, error.reason), (None, 3, Reason::BudgetExhausted));
    assert_took(start, millis(5 + 10 + 5 + 20 + 5));
}

async fn a_worker_flushes_by_size_age_and_stop() {
    static NEWS: Shared<BatchQueue<u32, 4, 2>> = shared(BatchQueue::new(BatchSettings::new(millis(20))));
    let mut batches: heapless::Vec<(usize, u32), 8> = heapless::Vec::new();
    let start = now();
    let worker = NEWS.run(async |items: &mut heapless::Vec<u32, 4>, _| {
        batches.push((items.len(), items.iter().sum())).expect("three batches");
        yield_now().await;
    });
    let adder = async {
        for item in 0..6 {
            NEWS.add(item).await.expect("not stopped");
        }
        EmbassyTimer.sleep_until(start.saturating_add(millis(30))).await;
        NEWS.try_add(6).expect("there is room");
        NEWS.stop().await;
    };
    assert_eq!(join(worker, adder).await.0, Ok(()));
    assert_eq!(batches, [(4, 1 + 2 + 3), (2, 4 + 5), (1, 6)]);
    assert_took(start, millis(30));
}

struct Lines(heapless::Vec<heapless::String<64>, 4>);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        let line = line.try_into().map_err(|_too_long| NotWritten)?;
        self.0.push(line).map_err(|_full| NotWritten)
    }
}

async fn a_logger_writes_what_is_due() {
    static LOGGER: Shared<Logger<4>> = shared(Logger::new());
    let log = LOGGER.service("stash");
    let mut lines = Lines(heapless::Vec::new());
    let services = async {
        log.event("store", "alice").target("bob");
        yield_now().await;
        log.warn(format_args!("battery at {} %", 20));
        log.event("store", "carol").target("bob");
        EmbassyTimer.sleep_until(now().saturating_add(millis(5))).await;
        LOGGER.shutdown();
    };
    join(LOGGER.run(&mut lines), services).await;
    assert!(lines.0[0].ends_with("[stash] battery at 20 %"), "{}", lines.0[0]);
    assert!(lines.0[1].ends_with("[stash] alice and carol did store to bob"), "{}", lines.0[1]);
    assert_eq!(lines.0.len(), 2);
}
