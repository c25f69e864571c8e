//! What a guarded service answers, and what its breaker has heard then.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{
    future::{Future, pending},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{io, sync::Arc};

use http::{HeaderMap, Request, Response, StatusCode, uri::Authority};
use http_body_util::{BodyExt, Full};
use steadfast::{
    Breakers, CircuitBreaker, Instant, Reset, Trip, block_on,
    circuit_breaker::{BreakerError, BreakerMode, BreakerState, Consecutive, Open, Outcome},
    steadfast_core::test_util::VirtualTimer,
};
use steadfast_tower::{
    OrAnswer,
    breaker::{BreakerLayer, Host, JudgeResponse, Select, by_status},
    keys::{KeyOf, NoKey},
};
use tower::{Layer, Service, ServiceExt, service_fn};

type Body = Full<axum::body::Bytes>;

const RESET: Reset = Reset::after(Duration::from_secs(30)).up_to(Duration::from_secs(600));

fn breaker(failures: u32) -> (CircuitBreaker<Consecutive, VirtualTimer>, VirtualTimer) {
    let timer = VirtualTimer::default();
    timer.set(Instant::from_secs(100));
    (CircuitBreaker::builder(Trip::consecutive(failures), RESET).timer(timer.clone()).build(), timer)
}

/// The service behind: it answers as the request's headers say.
async fn serve(request: Request<()>) -> Result<Response<Body>, io::Error> {
    let status = request.uri().path()[1..].parse().map_err(|_not_a_status| io::Error::other("down"))?;
    let mut response = Response::new(Full::from("served"));
    *response.status_mut() = status;
    for name in ["retry-after", "grpc-status"] {
        if let Some(value) = request.headers().get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

fn ask<B, C>(layer: &BreakerLayer<B, C>, request: Request<()>) -> io::Result<Response<OrAnswer<Body>>>
where
    B: Select<Request<()>> + Clone,
    C: JudgeResponse + Clone,
{
    block_on(layer.layer(service_fn(serve)).oneshot(request))
}

fn get(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn head(path: &str) -> Request<()> {
    Request::head(path).body(()).unwrap()
}

/// A call of gRPC.
fn call(path: &str, content_type: &str) -> Request<()> {
    Request::post(path).header("content-type", content_type).body(()).unwrap()
}

fn with(path: &str, name: &str, value: &str) -> Request<()> {
    Request::builder().uri(path).header(name, value).body(()).unwrap()
}

#[test]
fn an_open_breaker_is_answered_for_and_the_service_not_called() {
    let (breaker, timer) = breaker(2);
    let layer = BreakerLayer::new(&breaker);
    for status in [500, 503] {
        assert_eq!(ask(&layer, get(&format!("/{status}"))).unwrap().status().as_u16(), status, "it is passed on");
    }
    timer.advance(Duration::from_millis(500));
    let response = ask(&layer, get("/200")).unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "30");
    assert_eq!(response.extensions().get(), Some(&Open { retry_at: Instant::from_secs(130) }));
    let body = block_on(response.into_body().collect()).unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let expected = serde_json::json!({
        "type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "the circuit breaker is open",
    });
    assert_eq!(problem, expected);
    assert_eq!((breaker.stats().rejected, breaker.stats().failures), (1, 2));

    timer.advance(Duration::from_secs(30));
    let response = ask(&layer, get("/200")).unwrap();
    assert_eq!((response.status(), breaker.state()), (StatusCode::OK, BreakerState::Closed));
}

#[test]
fn grpc_is_answered_as_grpc() {
    let (breaker, _timer) = breaker(1);
    let layer = BreakerLayer::new(&breaker);
    breaker.open();
    let response = ask(&layer, call("/200", "application/grpc+proto")).unwrap();
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"14".parse().unwrap()));
    assert_eq!(response.headers()["grpc-message"], "the circuit breaker is open");
    assert!(
        response.headers().contains_key("grpc-status-details-bin") && !response.headers().contains_key("retry-after")
    );
    assert!(http_body::Body::is_end_stream(response.body()), "the headers end it");

    breaker.set_mode(BreakerMode::ForcedOpen);
    let response = ask(&layer, call("/200", "application/grpc")).unwrap();
    assert!(!response.headers().contains_key("grpc-status-details-bin"), "nobody knows until when");
    assert!(!ask(&layer, get("/200")).unwrap().headers().contains_key("retry-after"));
}

/// A client writes the `content-type`: an answer with status 200 must not come to what any cache or browser may ask.
#[test]
fn only_a_post_is_answered_as_grpc_and_no_answer_is_stored() {
    let (breaker, _timer) = breaker(1);
    let layer = BreakerLayer::new(&breaker);
    breaker.open();
    for method in ["GET", "HEAD", "PUT", "OPTIONS"] {
        let mut request = call("/200", "application/grpc");
        *request.method_mut() = method.parse().unwrap();
        let response = ask(&layer, request).unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{method}");
        assert!(!response.headers().contains_key("grpc-status"), "{method}");
    }
    for request in [call("/200", "application/grpc"), get("/200"), head("/200")] {
        assert_eq!(ask(&layer, request).unwrap().headers()["cache-control"], "no-store");
    }
}

#[test]
fn a_head_is_answered_without_a_body() {
    let (breaker, _timer) = breaker(1);
    let layer = BreakerLayer::new(&breaker);
    breaker.open();
    let response = ask(&layer, head("/200")).unwrap();
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"30".parse().unwrap())
    );
    assert!(http_body::Body::is_end_stream(response.body()));
    assert!(!http_body::Body::is_end_stream(ask(&layer, get("/200")).unwrap().body()));
}

#[test]
fn statuses_are_judged_by_who_is_to_blame() {
    let of = |status: u16, told: &[(&'static str, &'static str)]| {
        let told = told.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        by_status(StatusCode::from_u16(status).unwrap(), &told.collect::<HeaderMap>())
    };
    for status in [200, 204, 301, 400, 401, 404, 409, 499] {
        assert_eq!(of(status, &[]), Outcome::Success, "{status}");
    }
    for status in [500, 501, 502, 503, 504, 599] {
        assert_eq!(of(status, &[]), Outcome::Failure, "{status}");
    }
    assert_eq!((of(429, &[]), of(429, &[("retry-after", "9")])), (Outcome::Ignored, Outcome::Ignored));
    assert_eq!(of(503, &[("retry-after", "9")]), Outcome::RetryAfter(Duration::from_secs(9)));
    assert_eq!(of(200, &[("retry-after", "9")]), Outcome::Success);
    for (code, outcome) in [
        ("0", Outcome::Success),
        ("1", Outcome::Success),
        ("2", Outcome::Failure),
        ("3", Outcome::Success),
        ("4", Outcome::Failure),
        ("5", Outcome::Success),
        ("8", Outcome::Ignored),
        ("13", Outcome::Failure),
        ("14", Outcome::Failure),
        ("15", Outcome::Failure),
        ("16", Outcome::Success),
    ] {
        assert_eq!(of(200, &[("grpc-status", code)]), outcome, "{code}");
    }
}

#[test]
fn callers_mistakes_and_floods_do_not_open_it_and_errors_do() {
    let (breaker, _timer) = breaker(2);
    let layer = BreakerLayer::new(&breaker);
    for status in [404, 429].repeat(5) {
        assert_eq!(ask(&layer, get(&format!("/{status}"))).unwrap().status().as_u16(), status);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    for _ in 0..2 {
        assert_eq!(ask(&layer, get("/error")).unwrap_err().to_string(), "down");
    }
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn it_stays_open_as_long_as_the_service_asks_for() {
    let (breaker, timer) = breaker(1);
    let layer = BreakerLayer::new(&breaker);
    ask(&layer, with("/503", "retry-after", "120")).unwrap();
    assert_eq!(ask(&layer, get("/200")).unwrap().headers()["retry-after"], "120");
    timer.advance(Duration::from_secs(119));
    assert_eq!(ask(&layer, get("/200")).unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    timer.advance(Duration::from_secs(1));
    assert_eq!(ask(&layer, get("/200")).unwrap().status(), StatusCode::OK);

    // But not longer than its owner allows: without a word, as long as the first time.
    let first = Duration::from_secs(30);
    for (reset, wait) in [(RESET, "600"), (Reset::after(first), "30")] {
        let breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        let layer = BreakerLayer::new(&breaker);
        ask(&layer, with("/503", "retry-after", "3600")).unwrap();
        assert_eq!(ask(&layer, get("/200")).unwrap().headers()["retry-after"], wait);
    }
}

#[test]
fn a_service_may_be_judged_otherwise() {
    let (breaker, _timer) = breaker(1);
    let layer = BreakerLayer::new(&breaker).judge(|status, headers| match status {
        StatusCode::NOT_FOUND => Outcome::Failure,
        StatusCode::NOT_IMPLEMENTED => Outcome::Ignored,
        _ => by_status(status, headers),
    });
    ask(&layer, get("/501")).unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
    ask(&layer, get("/404")).unwrap();
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn each_host_and_port_has_a_breaker() {
    let breakers = Breakers::<Authority>::builder(Trip::consecutive(1), RESET).capacity(8).build();
    let layer = BreakerLayer::by_host(&breakers);
    let status = |path: &str| ask(&layer, get(path)).unwrap().status().as_u16();
    assert_eq!(status("http://down.example/500"), 500);
    assert_eq!(status("http://DOWN.example/200"), 503, "hosts are the same in any case");
    assert_eq!(status("http://down.example:8080/200"), 200);
    assert_eq!(status("http://up.example/200"), 200);
    assert_eq!(ask(&layer, with("/200", "host", "down.example")).unwrap().status().as_u16(), 503);
    assert_eq!((status("/500"), status("/200")), (500, 200), "of no host nobody keeps a record");
    assert_eq!(breakers.tripped().len(), 1);
    assert_eq!(Host.key_of(&get("/")), Err(NoKey));
    assert_eq!(Host.key_of(&with("/", "host", "no host")), Err(NoKey));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_cut_off_and_counts() {
    let breaker = CircuitBreaker::new(Trip::consecutive(2), RESET.call_timeout(Duration::from_secs(2)));
    let layer = BreakerLayer::new(&breaker);
    let hangs = layer.layer(service_fn(|_: Request<()>| pending::<io::Result<Response<Body>>>()));
    let begun = tokio::time::Instant::now();
    let response = hangs.clone().oneshot(get("/200")).await.unwrap();
    assert_eq!((response.status(), begun.elapsed().as_secs()), (StatusCode::GATEWAY_TIMEOUT, 2));
    let response = hangs.clone().oneshot(call("/200", "application/grpc")).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(hangs.oneshot(get("/200")).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);

    // A breaker by key cuts off as well.
    let breakers =
        Breakers::<Authority>::builder(Trip::consecutive(1), RESET.call_timeout(Duration::from_secs(2))).build();
    let hangs = service_fn(|_: Request<()>| pending::<io::Result<Response<Body>>>());
    let response = BreakerLayer::by_host(&breakers).layer(hangs).oneshot(get("http://down.example/200")).await.unwrap();
    assert_eq!((response.status(), breakers.tripped().len()), (StatusCode::GATEWAY_TIMEOUT, 1));
}

#[test]
fn it_is_asked_in_the_call_and_before_the_service_is_called() {
    let (breaker, timer) = breaker(1);
    let called = Arc::new(AtomicU32::new(0));
    let count = called.clone();
    let counts = service_fn(move |_: Request<()>| {
        count.fetch_add(1, Ordering::SeqCst);
        pending::<io::Result<Response<Body>>>()
    });
    let mut service = BreakerLayer::new(&breaker).layer(counts);
    let ready = |service: &mut _| {
        let polled = Service::<Request<()>>::poll_ready(service, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(()))));
    };
    ready(&mut service);
    breaker.open();
    drop(service.call(get("/200")));
    assert_eq!(called.load(Ordering::SeqCst), 0, "it was open by then");

    // Half-open there is one probe. Who is ready takes none; who calls does, before it is polled; who is dropped gives it back.
    timer.advance(Duration::from_secs(30));
    ready(&mut service.clone());
    let probe = service.call(get("/200"));
    let mut refused = Box::pin(service.clone().call(get("/200")));
    assert!(refused.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!((called.load(Ordering::SeqCst), breaker.state()), (1, BreakerState::HalfOpen));
    drop(probe);
    let mut probe = Box::pin(service.call(get("/200")));
    assert!(probe.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(called.load(Ordering::SeqCst), 2);
}

#[test]
fn every_service_and_clone_shares_the_breaker() {
    let (breaker, _timer) = breaker(3);
    let layer = BreakerLayer::new(&breaker);
    let service = layer.layer(service_fn(serve));
    let services = [service.clone(), service, layer.clone().layer(service_fn(serve))];
    for service in services {
        assert_eq!(block_on(service.oneshot(get("/500"))).unwrap().status().as_u16(), 500);
    }
    assert_eq!(ask(&layer, get("/200")).unwrap().status().as_u16(), 503);
}

#[test]
fn any_service_is_guarded_and_its_errors_are_told_apart() {
    let (breaker, _timer) = breaker(1);
    let service = BreakerLayer::new(&breaker).guarding();
    let service = service.layer(service_fn(async |fails: bool| if fails { Err("down") } else { Ok("served") }));
    assert_eq!(block_on(service.clone().oneshot(false)), Ok("served"));
    assert_eq!(block_on(service.clone().oneshot(true)), Err(BreakerError::Inner("down")));
    assert_eq!(block_on(service.oneshot(false)), Err(BreakerError::Open { retry_at: Instant::from_secs(130) }));
}
