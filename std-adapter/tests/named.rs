//! Guards and futures have names: each can stand in a struct, and be the `Future` of a service, without a box.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use core::{
    future::{Future, IntoFuture, Ready, ready},
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use steadfast::{
    BatchCollector, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache, Gcra, KeyedCorrelator, Quorum,
    RateLimiter, Reset, RetryExt, RetryPolicy, Trip, aggregate,
    batch_collector::{AddError, Batch, BatchAddOwned, BatchFlush, BatchStop, BatchStopWithin},
    block_on,
    circuit_breaker::{
        BreakerCall, BreakerError, BreakerGuard, BreakerReporter, BreakersCall, BreakersGuard, Classify, OkOrErr,
        Outcome, PermittedCall, UntilPermitted,
    },
    correlator::{CallError, CallId, Gather, PendingCall, SendEach, SendRequest},
    dedup_cache::{Claim, ClaimGuard, OnFull, UntilClaimedOwned},
    quorum::{Decided, DecidedWhenSettled, Vote},
    rate_limiter::{AllowOrCached, CachedGuard, UntilAllowedOwned, WaitError},
    retry::{Operation, Plain, RetryError, RetryFuture},
    runtime::{JitterRng, SystemTimer},
};

/// As `tower` has it.
trait Service<R> {
    type Response;
    type Error;
    type Future: Future<Output = Result<Self::Response, Self::Error>> + Send + 'static;

    fn call(&mut self, request: R) -> Self::Future;
}

/// Answers even numbers.
#[derive(Clone)]
struct Halves;

impl Service<u32> for Halves {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn call(&mut self, request: u32) -> Self::Future {
        ready(if request.is_multiple_of(2) { Ok(request / 2) } else { Err("odd") })
    }
}

const RESET: Reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(60));

struct Broken<S> {
    breaker: CircuitBreaker,
    inner: S,
}

impl<R, S: Service<R>> Service<R> for Broken<S> {
    type Response = S::Response;
    type Error = BreakerError<S::Error>;
    type Future = BreakerCall<S::Future>;

    fn call(&mut self, request: R) -> Self::Future {
        self.breaker.call_owned(self.inner.call(request), OkOrErr)
    }
}

struct BrokenByKey<S> {
    breakers: Breakers<u32>,
    inner: S,
}

/// Odd is nobody's fault.
#[derive(Clone, Copy)]
struct Lenient;

impl<V> Classify<V, &'static str> for Lenient {
    fn classify(self, _: &Result<V, &'static str>) -> Outcome {
        Outcome::Ignored
    }
}

impl<S: Service<u32, Error = &'static str>> Service<u32> for BrokenByKey<S> {
    type Response = S::Response;
    type Error = BreakerError<&'static str>;
    type Future = BreakersCall<u32, S::Future, Lenient>;

    fn call(&mut self, request: u32) -> Self::Future {
        self.breakers.call_owned(request, self.inner.call(request), Lenient)
    }
}

/// What a job holds while it waits for its turn.
struct Job {
    by_key: BreakersGuard<String>,
    permit: BreakerGuard,
}

#[test]
fn a_breaker_is_a_service_without_a_box() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let mut service = Broken { breaker: breaker.clone(), inner: Halves };
    assert_eq!(block_on(service.call(8)), Ok(4));
    let late = service.call(4);
    assert_eq!(block_on(service.call(7)), Err(BreakerError::Inner("odd")));
    assert!(block_on(late).unwrap_err().is_open(), "it is asked when it is polled");
    assert_eq!((breaker.stats().successes, breaker.stats().failures, breaker.stats().rejected), (1, 1, 1));

    let breakers = Breakers::builder(Trip::consecutive(1), RESET).build();
    let mut service = BrokenByKey { breakers: breakers.clone(), inner: Halves };
    assert_eq!(block_on(service.call(7)), Err(BreakerError::Inner("odd")));
    assert_eq!(block_on(service.call(7)), Err(BreakerError::Inner("odd")));
    assert_eq!((breakers.stats().ignored, breakers.stats().failures), (2, 0));
}

#[test]
fn permits_stand_in_a_struct() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let breakers = Breakers::<String>::builder(Trip::consecutive(1), RESET).build();
    let job = Job { by_key: breakers.try_acquire("bob").unwrap(), permit: breaker.try_acquire().unwrap() };
    job.permit.record(Outcome::Failure);
    job.by_key.record(Outcome::Failure);
    assert!(breaker.try_acquire().is_err() && breakers.try_acquire("bob").is_err());
}

struct Retried<S> {
    policy: RetryPolicy,
    inner: S,
}

/// One request, as often as it takes.
struct Attempts<R, S> {
    request: R,
    service: S,
}

impl<R: Clone, S: Service<R>> Operation for Attempts<R, S> {
    type Value = S::Response;
    type Error = S::Error;
    type Attempt = S::Future;

    fn attempt(&mut self) -> S::Future {
        self.service.call(self.request.clone())
    }
}

impl<R, S> Service<R> for Retried<S>
where
    R: Clone + Send + 'static,
    S: Service<R> + Clone + Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = RetryError<S::Error>;
    type Future = RetryFuture<Attempts<R, S>, SystemTimer, JitterRng, fn(&S::Error) -> bool>;

    fn call(&mut self, request: R) -> Self::Future {
        let attempts = Attempts { request, service: self.inner.clone() };
        self.policy.call(attempts).retry_if((|_| true) as fn(&S::Error) -> bool).into_future()
    }
}

#[test]
fn a_retry_is_a_service_without_a_box() {
    let mut service = Retried { policy: RetryPolicy::constant(Duration::ZERO).max_retries(2), inner: Halves };
    assert_eq!(block_on(service.call(8)), Ok(4));
    let error = block_on(service.call(7)).unwrap_err();
    assert_eq!((error.last, error.attempts), (Some("odd"), 3));
    let _all_by_default: RetryFuture<Attempts<u32, Halves>, SystemTimer, JitterRng, Plain> =
        RetryPolicy::constant(Duration::ZERO).call(Attempts { request: 1, service: Halves }).into_future();
}

/// Waits for its turn before it calls.
struct Paced {
    turn: UntilAllowedOwned<String, Gcra>,
}

#[test]
fn a_turn_stands_in_a_struct_and_frees_its_place() {
    let limiter = RateLimiter::<String, _>::builder(Gcra::per_minute(1)).build();
    let turn = |longest| Paced { turn: limiter.until_allowed_owned("bob".to_owned(), NonZeroU32::MIN, longest) };
    assert_eq!(block_on(turn(None).turn), Ok(()));
    let waits = turn(None);
    let mut waits = Box::pin(waits.turn);
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waits);
    let too_long = block_on(turn(Some(Duration::from_secs(1))).turn);
    assert!(matches!(too_long, Err(WaitError::TooLong { .. })));
    assert_eq!((limiter.stats().allowed, limiter.stats().denied), (1, 1));
}

/// Two rights that a task holds while it works.
struct Held {
    attempt: CachedGuard<String, u32, Gcra>,
    claim: ClaimGuard<String>,
}

#[test]
fn claims_and_attempts_stand_in_a_struct() {
    let pings = CachedRateLimiter::<String, u32, _>::builder(Gcra::per_minute(1), Duration::from_secs(5)).build();
    let orders = DedupCache::<String>::builder(Duration::from_secs(600), OnFull::Refuse).build();
    let AllowOrCached::Allowed(attempt) = pings.allow_or_cached("bob") else { panic!() };
    let Claim::Fresh(claim) = orders.claim("7") else { panic!() };
    let held = Held { attempt, claim };
    assert_eq!(held.attempt.complete(7), Ok(()));
    assert_eq!(held.claim.commit(), Ok(()));
    assert!(orders.seen("7"));
}

/// Answers at once, in place of a network: odd peers cannot be reached.
struct Ask {
    calls: Correlator<u32, u32>,
    peer: u32,
}

impl SendRequest<CallId> for Ask {
    type Error = &'static str;
    type Sending = Ready<Result<(), &'static str>>;

    fn send_request(self, id: CallId) -> Self::Sending {
        if !self.peer.is_multiple_of(2) {
            return ready(Err("unreachable"));
        }
        if self.peer > 0 {
            assert!(self.calls.resolve(id, self.peer, self.peer / 2).is_matched());
        }
        ready(Ok(()))
    }
}

/// A client of peers.
struct Asking {
    calls: Correlator<u32, u32>,
}

impl Service<u32> for Asking {
    type Response = u32;
    type Error = CallError<&'static str>;
    type Future = PendingCall<Correlator<u32, u32>, Ask>;

    fn call(&mut self, peer: u32) -> Self::Future {
        self.calls.call_owned(peer, Duration::from_secs(3_600), Ask { calls: self.calls.clone(), peer })
    }
}

#[test]
fn a_call_is_a_service_without_a_box_and_frees_its_slot() {
    let mut service = Asking { calls: Correlator::new(1) };
    let calls = service.calls.clone();
    let late = service.call(8);
    assert_eq!(calls.len(), 0, "it begins when it is polled");
    assert_eq!(block_on(late), Ok(4));
    assert_eq!(block_on(service.call(7)), Err(CallError::Send("unreachable")));
    let mut silent = Box::pin(service.call(0));
    assert!(silent.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(block_on(service.call(8)), Err(CallError::Full));
    drop(silent);
    assert_eq!((calls.len(), calls.stats().cancelled), (0, 2));

    let keyed = KeyedCorrelator::<u32, u32>::new(1);
    let answered = keyed.clone();
    let call: PendingCall<_, _> = keyed.call_owned(7, Duration::from_secs(3_600), move || {
        assert!(answered.resolve(&7, 42).is_matched());
        ready(Ok::<_, ()>(()))
    });
    assert_eq!(block_on(call), Ok(42));
}

/// Writes each row with others.
struct Rows(BatchCollector<u32>);

impl Service<u32> for Rows {
    type Response = ();
    type Error = AddError<u32>;
    type Future = BatchAddOwned<u32>;

    fn call(&mut self, request: u32) -> Self::Future {
        self.0.add_owned(request)
    }
}

#[test]
fn adding_to_a_batch_is_a_service_without_a_box() {
    let (rows, written) = std::sync::mpsc::channel();
    let collector = BatchCollector::builder(2, Duration::from_secs(3_600)).build(move |batch: Batch<u32>| {
        let _ = rows.send(batch.to_vec());
        async {}
    });
    let mut service = Rows(collector.unwrap());
    let dropped = service.call(7);
    drop(dropped);
    assert_eq!((block_on(service.call(1)), block_on(service.call(2))), (Ok(()), Ok(())));
    assert_eq!(written.recv(), Ok(vec![1, 2]), "what was dropped was not added");
    let late = service.call(3);
    block_on(service.0.stop());
    assert_eq!(block_on(late), Err(AddError::Stopped(3)), "it is added when it is polled");
}

/// What a program that ends holds: the answers that it waits for, and the rows that it writes.
struct Ending {
    versions: Gather<u32, u32, AskAll>,
    version: Decided<u32, u32, Aggregate>,
    settled: DecidedWhenSettled<u32, u32, Aggregate, IsSettled>,
    flushed: BatchFlush<u32>,
    stopped: BatchStop<u32>,
    left: BatchStopWithin<u32>,
}

type Aggregate = fn(&mut [u32]) -> Option<u32>;
type IsSettled = fn(&mut [u32], usize) -> bool;

/// Asks each peer; 2 cannot be reached.
struct AskAll(Correlator<u32, u32>);

impl SendEach<u32> for AskAll {
    type Error = &'static str;
    type Sending = Ready<Result<(), &'static str>>;

    fn send_each(&mut self, peer: u32, id: CallId) -> Self::Sending {
        if peer == 2 {
            return ready(Err("no way there"));
        }
        assert!(self.0.resolve(id, peer, 40).is_matched());
        ready(Ok(()))
    }
}

const fn may_be_kept<T: Send + 'static>(_: &T) {}

#[test]
fn what_is_waited_for_stands_in_a_struct_that_borrows_nothing() {
    let ending = {
        let calls = Correlator::<u32, u32>::new(4);
        let quorum = Quorum::<u32, u32>::builder(2).voters([1, 2]).build().unwrap();
        let rows = BatchCollector::builder(8, Duration::from_secs(3_600)).build(|_: Batch<u32>| async {}).unwrap();
        let ballot = quorum.ballot();
        assert_eq!((quorum.vote(ballot, &1, 7), quorum.vote(ballot, &2, 7)), (Vote::Counted, Vote::Counted));
        rows.add_blocking(1).unwrap();
        Ending {
            versions: calls.gather_owned([1, 2, 3], 2, Duration::from_secs(3_600), AskAll(calls.clone())),
            version: quorum.decided(ballot, aggregate::majority),
            settled: quorum.decided_when_settled(ballot, aggregate::majority, |_, _| false),
            flushed: rows.flush(),
            stopped: rows.stop(),
            left: rows.stop_within(Duration::from_secs(3_600)),
        }
    };
    may_be_kept(&ending);
    assert_eq!(block_on(ending.versions), Ok(vec![(1, 40), (3, 40)]));
    assert_eq!((block_on(ending.version), block_on(ending.settled)), (Some(7), Some(7)));
    assert_eq!(block_on(ending.flushed).delivered, 1);
    assert_eq!((block_on(ending.stopped), block_on(ending.left)), ((), vec![]));
}

#[test]
fn nobody_is_asked_and_nothing_is_stopped_by_a_future_that_is_not_polled() {
    let calls = Correlator::<u32, u32>::new(4);
    drop(calls.gather_owned([1, 2, 3], 2, Duration::from_secs(3_600), AskAll(calls.clone())));
    assert_eq!(calls.stats().begun, 0);
    // What is dropped while it waits frees its slots.
    let silent = calls.gather([1, 3], 2, Duration::from_secs(3_600), |_, _| ready(Ok::<_, ()>(())));
    let mut silent = Box::pin(silent);
    assert!(silent.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(calls.len(), 2);
    drop(silent);
    assert_eq!((calls.len(), calls.stats().cancelled), (0, 2));

    let rows = BatchCollector::builder(8, Duration::from_secs(3_600)).build(|_: Batch<u32>| async {}).unwrap();
    drop((rows.stop(), rows.stop_within(Duration::ZERO)));
    assert!(!rows.is_stopped());
    assert_eq!(rows.try_add(1), Ok(()));
}

#[test]
fn a_gather_that_has_ended_holds_no_slot() {
    let calls = Correlator::<u32, u32>::new(4);
    let send = |peer, id| {
        assert!(peer != 1 || calls.resolve(id, peer, 10).is_matched());
        ready(Ok::<_, ()>(()))
    };
    let mut gather = Box::pin(calls.gather([1, 2, 3], 1, Duration::from_secs(3_600), send));
    let polled = gather.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!((polled, calls.len()), (core::task::Poll::Ready(Ok(vec![(1, 10)])), 0));
    drop(gather);
    assert_eq!((calls.stats().resolved, calls.stats().cancelled), (1, 2));
}

/// A call under a permit that was there before.
struct Permitted<F> {
    call: PermittedCall<BreakerReporter, F>,
}

#[test]
fn a_call_under_a_permit_stands_in_a_struct() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let permitted = Permitted { call: breaker.try_acquire().unwrap().call(ready(Err::<(), _>("down"))) };
    assert!(breaker.try_acquire().is_ok(), "it says nothing until it is polled");
    assert_eq!(block_on(permitted.call), Err("down"));
    assert!(breaker.try_acquire().is_err());
}

/// What waits for a database that is down, and for another that does the same.
struct Waits {
    permit: Pin<Box<UntilPermitted>>,
    claim: Pin<Box<UntilClaimedOwned<String>>>,
}

#[test]
fn what_waits_for_a_permit_or_a_claim_stands_in_a_struct() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(Duration::from_secs(3_600)));
    let orders = DedupCache::<String>::builder(Duration::from_secs(3_600), OnFull::Refuse).build();
    breaker.record_failure();
    let Claim::Fresh(first) = orders.claim("order 7") else { panic!("it is new") };
    let mut waits = Waits {
        permit: Box::pin(breaker.until_permitted()),
        claim: Box::pin(orders.until_claimed_owned("order 7".into())),
    };
    let mut cx = Context::from_waker(Waker::noop());
    let mut are_ready =
        || [waits.permit.as_mut().poll(&mut cx).is_ready(), waits.claim.as_mut().poll(&mut cx).is_ready()];
    assert_eq!(are_ready(), [false, false]);
    breaker.close();
    drop(first);
    assert_eq!(are_ready(), [true, true]);
}
