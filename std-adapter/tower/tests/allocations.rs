//! What an allowed request allocates.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use core::{
    convert::Infallible,
    future::{Future, Ready, ready},
    net::IpAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, uri::Authority};
use steadfast::{Breakers, CircuitBreaker, Deadline, Gcra, RateLimiter, Reset, Trip};
use steadfast_tower::{
    breaker::BreakerLayer,
    deadline::DeadlineLayer,
    keys::{Header, PeerIp},
    limit::{Headers, LimitLayer},
};
use tower::{Layer, Service};

/// A service that answers with room for headers, which it made before.
struct Prepared(Option<HeaderMap>);

impl Service<Request<()>> for Prepared {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(String::new());
        *response.headers_mut() = self.0.take().expect("it is called once");
        ready(Ok(response))
    }
}

/// How often memory is allocated from the call to the response.
fn allocations<L, D>(layer: &L) -> u64
where
    L: Layer<Prepared, Service: Service<Request<()>, Response = Response<D>>>,
{
    allocations_for(layer, |_| {})
}

/// The same for a request that is made ready before.
fn allocations_for<L, D>(layer: &L, prepare: impl FnOnce(&mut Request<()>)) -> u64
where
    L: Layer<Prepared, Service: Service<Request<()>, Response = Response<D>>>,
{
    let mut service = layer.layer(Prepared(Some(HeaderMap::with_capacity(16))));
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("http://example/orders");
    request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("10.9.9.9, 203.0.113.7"));
    request.headers_mut().insert("x-api-key", HeaderValue::from_static("k1"));
    prepare(&mut request);
    let mut response = None;
    let used = measure(|| {
        let mut call = pin!(service.call(request));
        let Poll::Ready(Ok(made)) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return };
        response = Some(made);
    });
    assert!(response.expect("it is ready").status().is_success());
    used.count_total
}

#[test]
fn an_allowed_request_allocates_the_values_of_its_headers_and_nothing_else() {
    let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(50)).build();
    let by_key = RateLimiter::<HeaderValue, _>::builder(Gcra::per_second(50)).build();
    let one = LimitLayer::new(&by_ip, PeerIp::behind(1));
    let two = LimitLayer::all().quota("ip", &by_ip, PeerIp::behind(1)).quota("key", &by_key, Header("x-api-key"));
    assert_eq!(
        (allocations(&one.clone().headers(Headers::None)), allocations(&two.clone().headers(Headers::None))),
        (0, 0)
    );
    assert_eq!((allocations(&one), allocations(&two)), (2, 2), "two values");
    assert_eq!(allocations(&two.clone().headers(Headers::Legacy)), 3);
    assert_eq!(allocations(&two.headers(Headers::Both)), 5);
}

#[test]
fn a_guarded_request_allocates_nothing() {
    let reset = Reset::after(Duration::from_secs(30));
    let breaker = CircuitBreaker::new(Trip::consecutive(5), reset);
    let breakers = Breakers::<Authority>::builder(Trip::consecutive(5), reset).build();
    assert_eq!((allocations(&BreakerLayer::new(&breaker)), allocations(&BreakerLayer::by_host(&breakers))), (0, 0));
}

#[test]
fn a_request_with_a_deadline_allocates_nothing_but_what_the_upstream_is_told() {
    let layer = DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(30));
    let hand_down = |request: &mut Request<()>| {
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static("5S"));
        request.extensions_mut().insert(Deadline::NEVER);
    };
    assert_eq!(allocations_for(&layer, hand_down), 0);
    assert_eq!(allocations(&layer), 3, "the extensions");
    assert_eq!(allocations_for(&layer.tell_upstream("grpc-timeout"), hand_down), 1, "the header");
}
