//! Real clients of hyper, reqwest and tonic, with the layers around them, against a server that fails.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    routing::{get, put},
};
use http::{
    Request, Response, StatusCode,
    uri::{Authority, PathAndQuery},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use steadfast::{Breakers, CircuitBreaker, Reset, RetryBudget, RetryPolicy, Trip, circuit_breaker::BreakerState};
use steadfast_tower::{ReplayBody, breaker::BreakerLayer, retry::RetryLayer};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::{Layer, ServiceBuilder, ServiceExt};

const POLICY: RetryPolicy = RetryPolicy::constant(Duration::from_millis(1)).max_retries(3);
const RESET: Reset = Reset::after(Duration::from_secs(1_000)).up_to(Duration::from_secs(10_000));

/// A server that echoes every third request to `/flaky`, and serves none to `/down`. The counts are of these two.
async fn serve() -> (SocketAddr, Arc<[AtomicU32; 2]>) {
    let counts = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let (flaky, down) = (counts.clone(), counts.clone());
    let flaky = put(async move |body: String| match flaky[0].fetch_add(1, Ordering::SeqCst) % 3 {
        2 => Ok(body),
        _ => Err(StatusCode::SERVICE_UNAVAILABLE),
    });
    let down = get(async move || {
        down[1].fetch_add(1, Ordering::SeqCst);
        StatusCode::INTERNAL_SERVER_ERROR
    });
    let app: Router = Router::new().route("/flaky", flaky).route("/down", down).route("/up", get(async || "served"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    (server, counts)
}

fn request(method: &str, uri: String, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(uri).body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn hyper_repeats_what_failed_and_leaves_alone_who_is_down() {
    let ((server, counts), (other, _)) = (serve().await, serve().await);
    let breakers = Breakers::<Authority>::builder(Trip::consecutive(3), RESET).build();
    let budget = RetryBudget::percent(20);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(POLICY, &budget))
        .layer(BreakerLayer::by_host(&breakers))
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>());
    let send = async |request| {
        let (head, body) = client.clone().oneshot(request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    };

    let echoed = send(request("PUT", format!("http://{server}/flaky"), "an order")).await;
    assert_eq!((echoed.status(), &echoed.body()[..]), (StatusCode::OK, &b"an order"[..]));
    assert_eq!(counts[0].load(Ordering::SeqCst), 3);

    for _ in 0..3 {
        let status = send(request("GET", format!("http://{server}/down"), "")).await.status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    let refused = send(request("GET", format!("http://{server}/down"), "")).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!((refused.status(), counts[1].load(Ordering::SeqCst)), (StatusCode::SERVICE_UNAVAILABLE, 3));
    assert!((900..=1_000).contains(&wait), "{wait}");
    assert_eq!(send(request("GET", format!("http://{other}/up"), "")).await.status(), StatusCode::OK, "another host");
}

#[tokio::test]
async fn who_refuses_connections_is_left_alone() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let breaker = CircuitBreaker::new(Trip::consecutive(2), RESET);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(POLICY, &RetryBudget::percent(20)))
        .layer(BreakerLayer::new(&breaker))
        .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>());
    let answer = client.oneshot(request("GET", format!("http://{unused}/"), "")).await.unwrap();
    assert_eq!((answer.status(), breaker.state()), (StatusCode::SERVICE_UNAVAILABLE, BreakerState::Open));
    assert_eq!(breaker.stats().failures, 2, "the third attempt was not made");
}

#[tokio::test]
async fn reqwest_is_a_service_of_http_by_two_conversions() {
    let (server, counts) = serve().await;
    let breaker = CircuitBreaker::new(Trip::consecutive(5), RESET);
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(POLICY, &RetryBudget::percent(20)))
        .layer(BreakerLayer::new(&breaker))
        .map_request(|request: Request<ReplayBody<Full<Bytes>>>| {
            reqwest::Request::try_from(request.map(reqwest::Body::wrap)).expect("its URI is absolute")
        })
        .map_response(Response::<reqwest::Body>::from)
        .service(reqwest::Client::new());
    let answer = client.oneshot(request("PUT", format!("http://{server}/flaky"), "an order")).await.unwrap();
    assert_eq!((answer.status(), counts[0].load(Ordering::SeqCst)), (StatusCode::OK, 3));
    assert_eq!(&answer.into_body().collect().await.unwrap().to_bytes()[..], b"an order");
    assert_eq!(breaker.stats().failures, 2);
}

#[tokio::test]
async fn tonic_understands_the_answer_of_an_open_breaker() {
    let (server, _) = serve().await;
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    breaker.open();
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{server}")).unwrap().connect_lazy();
    let mut client = tonic::client::Grpc::new(BreakerLayer::new(&breaker).layer(channel));
    client.ready().await.unwrap();
    let (path, codec) = (PathAndQuery::from_static("/test.Echo/Same"), ProstCodec::<String, String>::default());
    let status = client.unary(tonic::Request::new("hello".to_owned()), path, codec).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Unavailable, "the circuit breaker is open"));
    let wait = status.get_details_retry_info().expect("it tells when").retry_delay.unwrap();
    assert!(wait > Duration::from_secs(900) && wait < Duration::from_secs(1_000), "{wait:?}");
}
