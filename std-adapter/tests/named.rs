//! Guards and futures have names: each can stand in a struct, and be the `Future` of a service, without a box.

use core::{
    future::{Future, Ready, ready},
    time::Duration,
};

use steadfast::{
    Breakers, CircuitBreaker, Reset, Trip, block_on,
    circuit_breaker::{
        BreakerCall, BreakerError, BreakerGuard, BreakersCall, BreakersGuard, Classify, OkOrErr, Outcome,
    },
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
