//! The composition that the READMEs show, against a service that takes requests and never answers.

use std::{
    future::pending,
    io,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use steadfast::{
    CircuitBreaker, Gcra, RateLimiter, Reset, RetryExt, RetryPolicy, Trip, block_on,
    circuit_breaker::{BreakerError, BreakerState},
};

const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(1)).max_retries(3);

struct Service {
    requests: AtomicU32,
}

impl Service {
    async fn fetch(&self, _url: &str) -> io::Result<String> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        pending().await
    }
}

async fn orders(
    limiter: &RateLimiter<String, Gcra>,
    breaker: &CircuitBreaker,
    service: &Service,
    client: &str,
) -> Option<String> {
    if !limiter.allow(client).is_allowed() {
        return None;
    }
    POLICY.call(|| breaker.call(service.fetch("/orders"))).retry_if(|error| !error.is_open()).await.ok()
}

#[test]
fn found_a6_the_readmes_program_stops_asking_a_service_that_hangs() {
    let service = Service { requests: AtomicU32::new(0) };
    let limiter = RateLimiter::builder(Gcra::per_second(100).burst(20)).capacity(1_000).build();
    let reset = Reset::after(Duration::from_secs(3_600)).call_timeout(Duration::from_millis(2));
    let breaker = CircuitBreaker::new(Trip::consecutive(5), reset);
    for _request in 0..10 {
        assert_eq!(block_on(orders(&limiter, &breaker, &service, "10.0.0.7")), None);
    }
    assert_eq!((breaker.state(), service.requests.into_inner()), (BreakerState::Open, 5));
    let refused = block_on(breaker.call(async { Ok::<_, io::Error>(7) }));
    assert!(matches!(refused, Err(BreakerError::Open { .. })));
}
