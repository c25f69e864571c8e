//! What every layer must be for a server: shared between threads, with futures that may move between them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::{future::Ready, net::IpAddr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::uri::Authority;
use steadfast::{
    Breakers, CircuitBreaker, DedupCache, Gcra, RateLimiter, Reset, RetryBudget, RetryPolicy, Trip, dedup_cache::OnFull,
};
use steadfast_tower::{
    breaker::BreakerLayer,
    deadline::DeadlineLayer,
    idempotency::{Id, IdempotencyLayer},
    keys::{Everyone, PeerIp},
    limit::LimitLayer,
    retry::RetryLayer,
};
use tower::{Layer, Service, service_fn};

type Answers = Ready<Result<Response, core::convert::Infallible>>;

fn is_shared<R, L>(layer: &L)
where
    L: Layer<tower::util::ServiceFn<fn(R) -> Answers>> + Send + Sync + Clone + core::fmt::Debug,
    L::Service: Service<Request, Future: Send + core::fmt::Debug> + Send + Sync + Clone + core::fmt::Debug,
{
    fn answer<R>(_: R) -> Answers {
        core::future::ready(Ok(Response::new(Body::empty())))
    }
    let mut service = layer.clone().layer(service_fn(answer as fn(R) -> Answers));
    let future = service.call(Request::new(Body::from(Bytes::new())));
    assert!(format!("{layer:?} {service:?} {future:?}").contains(".."));
}

#[test]
fn every_layer_service_and_future_is_shared_and_sent() {
    let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(1)).build();
    let all = RateLimiter::<(), _>::builder(Gcra::per_second(1)).build();
    let limits = LimitLayer::all().quota("ip", &by_ip, PeerIp::direct()).quota("all", &all, Everyone);
    is_shared::<Request, _>(&limits);
    is_shared::<Request, _>(&limits.clone().refund_if(|_| true));
    is_shared::<Request, _>(&limits.rejecting());

    let reset = Reset::after(Duration::from_secs(30));
    let breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
    is_shared::<Request, _>(&BreakerLayer::new(&breaker));
    is_shared::<Request, _>(&BreakerLayer::new(&breaker).guarding());
    is_shared::<Request, _>(&BreakerLayer::by_host(
        &Breakers::<Authority>::builder(Trip::consecutive(3), reset).build(),
    ));

    is_shared::<Request, _>(&DeadlineLayer::at_most(Duration::from_secs(30)));
    is_shared::<Request, _>(
        &DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(30)).tell_upstream("x"),
    );

    is_shared(&RetryLayer::new(RetryPolicy::constant(Duration::ZERO), &RetryBudget::percent(20)));
    let seen = DedupCache::<Id>::builder(Duration::from_secs(60), OnFull::Refuse).keeping().build();
    is_shared(&IdempotencyLayer::new(&seen));
}
