//! What is sent again, with which body, and when.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{
    convert::Infallible,
    future::{Future, pending},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use axum::body::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use steadfast::{CircuitBreaker, Reset, RetryBudget, RetryPolicy, Trip};
use steadfast_tower::{
    OrAnswer, ReplayBody,
    breaker::BreakerLayer,
    retry::{RetryLayer, is_idempotent},
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

const POLICY: RetryPolicy =
    RetryPolicy::exponential(Duration::from_millis(10)).max_delay(Duration::from_secs(60)).max_retries(3);

fn budget() -> RetryBudget {
    RetryBudget::percent(20).burst(100)
}

/// What the service does, attempt by attempt: a response, an error, or nothing.
#[derive(Clone)]
enum Does {
    Answers(u16, &'static [(&'static str, &'static str)]),
    Fails,
    Hangs,
}
use Does::{Answers, Fails, Hangs};

/// A request as the service saw it: when, with which body and trailers, or the error of its body.
#[derive(Debug, PartialEq)]
struct Heard {
    after: Duration,
    body: Result<(Vec<u8>, Option<HeaderMap>), String>,
}

/// A service that must be ready before each call, as those of tower may: a clone is not.
struct Scripted {
    script: Arc<Mutex<(VecDeque<Does>, Vec<Heard>)>>,
    begun: Instant,
    is_ready: bool,
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        Self { script: self.script.clone(), begun: self.begun, is_ready: false }
    }
}

impl Scripted {
    fn new(script: impl IntoIterator<Item = Does>) -> Self {
        let script = Arc::new(Mutex::new((script.into_iter().collect(), Vec::new())));
        Self { script, begun: Instant::now(), is_ready: false }
    }

    fn heard(&self) -> Vec<Heard> {
        core::mem::take(&mut self.script.lock().unwrap().1)
    }

    fn bodies(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| String::from_utf8(heard.body.unwrap().0).unwrap()).collect()
    }
}

impl<B: Body<Error: core::fmt::Display> + Send + 'static> Service<Request<B>> for Scripted
where
    B::Data: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(core::mem::take(&mut self.is_ready), "it was not ready");
        let (script, after) = (self.script.clone(), self.begun.elapsed());
        Box::pin(async move {
            let body = request.into_body().collect().await.map_err(|error| error.to_string());
            let body = body.map(|body| (body.trailers().cloned(), body.to_bytes().to_vec())).map(|(t, b)| (b, t));
            let does = {
                let (does, heard) = &mut *script.lock().unwrap();
                heard.push(Heard { after, body });
                does.pop_front().expect("it is called too often")
            };
            match does {
                Answers(status, headers) => {
                    let response = Response::builder().status(status);
                    let response =
                        headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
                    Ok(response.body(Full::from("answered")).unwrap())
                }
                Fails => Err(io::Error::other("connection reset")),
                Hangs => pending().await,
            }
        })
    }
}

fn request(method: Method, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri("http://example/").body(Full::from(body)).unwrap()
}

async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    core::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await
}

async fn send<B>(
    layer: &RetryLayer,
    service: &Scripted,
    request: Request<B>,
) -> io::Result<Response<OrAnswer<Full<Bytes>>>>
where
    B: Body<Data = Bytes, Error: core::fmt::Display + Send> + Unpin + Send + 'static,
{
    layer.layer(service.clone()).oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_again_with_its_body() {
    let layer = RetryLayer::new(POLICY, &budget());
    for status in [408, 425, 429, 502, 503, 504] {
        let service = Scripted::new([Answers(status, &[]), Fails, Answers(201, &[])]);
        let response = send(&layer, &service, request(Method::PUT, "an order")).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(service.bodies(), ["an order"; 3], "octocrab#835: it was empty");
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_not() {
    let layer = RetryLayer::new(POLICY, &budget());
    for status in [200, 204, 301, 400, 401, 404, 409, 422, 500, 501, 505] {
        let service = Scripted::new([Answers(status, &[])]);
        let response = send(&layer, &service, request(Method::GET, "")).await.unwrap();
        assert_eq!((response.status().as_u16(), service.heard().len()), (status, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_may_run_twice_is_sent_again() {
    let layer = RetryLayer::new(POLICY, &budget());
    for method in [Method::POST, Method::PATCH] {
        let service = Scripted::new([Answers(503, &[]), Fails]);
        assert_eq!(send(&layer, &service, request(method.clone(), "a payment")).await.unwrap().status().as_u16(), 503);
        send(&layer, &service, request(method.clone(), "a payment")).await.unwrap_err();
        assert_eq!(service.bodies(), ["a payment"; 2], "each once");

        let mut with_key = request(method, "a payment");
        with_key.headers_mut().insert("idempotency-key", HeaderValue::from_static("\"7\""));
        let service = Scripted::new([Answers(503, &[]), Answers(200, &[])]);
        assert_eq!(send(&layer, &service, with_key).await.unwrap().status(), StatusCode::OK);
        assert_eq!(service.bodies(), ["a payment"; 2]);
    }
    let service = Scripted::new([Answers(503, &[]), Answers(200, &[])]);
    let layer = layer.repeat_if(|request| is_idempotent(request) || request.uri.path().starts_with("/Get"));
    let mut call = request(Method::POST, "");
    *call.uri_mut() = "http://example/GetOrder".parse().unwrap();
    assert_eq!(layer.layer(service).oneshot(call).await.unwrap().status(), StatusCode::OK);
    assert_eq!(layer.not_replayable(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_server_is_waited_for_within_the_policys_limit() {
    let layer = RetryLayer::new(POLICY, &budget());
    let asks = [
        Answers(429, &[("retry-after", "7")]),
        Answers(503, &[("retry-after", "3600")]),
        Answers(503, &[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")]),
        Answers(200, &[]),
    ];
    let service = Scripted::new(asks);
    assert_eq!(send(&layer, &service, request(Method::GET, "")).await.unwrap().status(), StatusCode::OK);
    let times: Vec<u64> = service.heard().iter().map(|heard| heard.after.as_secs()).collect();
    assert_eq!(times, [0, 7, 67, 87]);
}

/// The answer of an idempotency layer whose first request is still worked on; a conflict without a time stays one.
#[tokio::test(start_paused = true)]
async fn a_conflict_that_says_when_it_ends_is_waited_for() {
    let layer = RetryLayer::new(POLICY, &budget());
    let mut pay = request(Method::POST, "a payment");
    pay.headers_mut().insert("idempotency-key", HeaderValue::from_static("k1"));
    let service = Scripted::new([Answers(504, &[]), Answers(409, &[("retry-after", "7")]), Answers(201, &[])]);
    assert_eq!(send(&layer, &service, pay).await.unwrap().status(), StatusCode::CREATED);
    let heard = service.heard();
    assert_eq!((heard.len(), heard[2].after.as_secs()), (3, 7));
}

#[tokio::test(start_paused = true)]
async fn grpc_says_what_may_be_sent_again() {
    let layer = RetryLayer::new(POLICY, &budget()).repeat_if(|_| true);
    // A RetryInfo of seven seconds, as tonic writes it.
    const IN_7_S: (&str, &str) =
        ("grpc-status-details-bin", "CAgaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIBw");
    for (answer, calls, seconds) in [
        (Answers(200, &[("grpc-status", "14")]), 2, 0),
        (Answers(200, &[("grpc-status", "8"), IN_7_S]), 2, 7),
        (Answers(200, &[("grpc-status", "8")]), 1, 0),
        (Answers(200, &[("grpc-status", "13")]), 1, 0),
        (Answers(200, &[("grpc-status", "0")]), 1, 0),
    ] {
        let service = Scripted::new([answer, Answers(200, &[])]);
        layer.layer(service.clone()).oneshot(request(Method::POST, "call")).await.unwrap();
        let heard = service.heard();
        assert_eq!((heard.len(), heard.last().unwrap().after.as_secs()), (calls, seconds));
    }
}

/// A body in pieces.
struct Pieces<E>(VecDeque<Result<Frame<Bytes>, E>>);

impl<E: Unpin> Body for Pieces<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        Poll::Ready(self.0.pop_front())
    }
}

fn data<E>(piece: &'static str) -> Result<Frame<Bytes>, E> {
    Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
}

/// A request with a body in pieces, and trailers.
fn pieces(pieces: &[&'static str]) -> Request<Pieces<Infallible>> {
    let mut frames: VecDeque<_> = pieces.iter().copied().map(data).collect();
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", HeaderValue::from_static("sum"));
    frames.push_back(Ok(Frame::trailers(trailers)));
    Request::put("http://example/").body(Pieces(frames)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_body_in_pieces_is_replayed_whole_and_one_too_large_is_sent_once() {
    let layer = RetryLayer::new(POLICY, &budget()).replay_up_to(8);
    let service = Scripted::new([Fails, Answers(200, &[])]);
    send(&layer, &service, pieces(&["an", " ", "order"])).await.unwrap();
    let heard = service.heard();
    assert_eq!((heard.len(), &heard[0].body), (2, &heard[1].body));
    let (body, trailers) = heard[1].body.as_ref().unwrap();
    assert_eq!(
        (&body[..], trailers.as_ref().unwrap().get("digest").unwrap().as_bytes()),
        (&b"an order"[..], &b"sum"[..])
    );

    let service = Scripted::new([Fails]);
    send(&layer, &service, pieces(&["an", " ", "order ", "of many parts"])).await.unwrap_err();
    let heard = service.heard();
    let (body, trailers) = heard[0].body.as_ref().unwrap();
    assert_eq!((&body[..], heard.len()), (&b"an order of many parts"[..], 1));
    assert!(trailers.is_some());
    assert_eq!(layer.not_replayable(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_an_error_for_the_service_and_sent_once() {
    let layer = RetryLayer::new(POLICY, &budget());
    let frames = VecDeque::from([data("an or"), Err(io::Error::other("the client hung up"))]);
    let request = Request::put("http://example/").body(Pieces(frames)).unwrap();
    let service = Scripted::new([Answers(503, &[])]);
    assert_eq!(send(&layer, &service, request).await.unwrap().status().as_u16(), 503);
    assert_eq!(service.heard()[0].body, Err("the client hung up".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_budget_and_the_policy_end_it_and_the_last_answer_is_passed_on() {
    let budget = RetryBudget::percent(0).floor_per_second(0).burst(4);
    let layer = RetryLayer::new(POLICY, &budget);
    let service = Scripted::new((0..9).map(|_| Answers(503, &[("x-from", "the service")])));
    let mut calls = Vec::new();
    for _ in 0..3 {
        let response = send(&layer, &service, request(Method::GET, "")).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["x-from"]), (503, &"the service".parse().unwrap()));
        calls.push(service.heard().len());
    }
    assert_eq!((calls, budget.stats().withdrawn), (vec![4, 2, 1], 4));

    let service = Scripted::new([Fails]);
    let error = send(&layer, &service, request(Method::GET, "")).await.unwrap_err();
    assert_eq!(error.to_string(), "connection reset");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_cut_off_and_repeated_only_if_it_may_be() {
    let layer = RetryLayer::new(POLICY.attempt_timeout(Duration::from_secs(2)), &budget());
    let service = Scripted::new([Hangs, Answers(200, &[])]);
    assert_eq!(send(&layer, &service, request(Method::GET, "")).await.unwrap().status(), StatusCode::OK);

    let service = Scripted::new([Hangs]);
    let response = send(&layer, &service, request(Method::POST, "a payment")).await.unwrap();
    assert_eq!((response.status(), service.heard().len()), (StatusCode::GATEWAY_TIMEOUT, 1));

    let mut call = request(Method::POST, "a call");
    call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let service = Scripted::new([Hangs]);
    let response = send(&layer, &service, call).await.unwrap();
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"4".parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_last_attempt_that_was_cut_off_is_a_504_unless_the_budget_ended_it_after_an_answer() {
    let policy = POLICY.max_retries(1).attempt_timeout(Duration::from_secs(2));
    let ask = async |policy, retries, script: &[Does]| {
        let budget = RetryBudget::percent(0).floor_per_second(0).burst(retries);
        let service = Scripted::new(script.iter().cloned());
        let status =
            send(&RetryLayer::new(policy, &budget), &service, request(Method::GET, "")).await.unwrap().status();
        (status.as_u16(), service.heard().len())
    };
    const BUSY: Does = Answers(503, &[]);
    assert_eq!(ask(policy, 9, &[BUSY, Hangs]).await, (504, 2), "the policy's last");
    assert_eq!(ask(policy.max_retries(3), 1, &[BUSY, Hangs]).await, (503, 2), "no budget for another");
    assert_eq!(ask(policy.max_retries(3), 1, &[Hangs, Hangs]).await, (504, 2), "there was no answer");
}

#[tokio::test(start_paused = true)]
async fn another_policy_is_that_of_the_next_request_and_not_of_one_under_way() {
    let layer = RetryLayer::new(POLICY.max_retries(1), &budget());
    let service = Scripted::new([Fails, Fails, Fails, Fails]);
    let client = layer.layer(service.clone());
    let mut first = Box::pin(client.clone().oneshot(request(Method::GET, "")));
    assert!(poll_once(first.as_mut()).await.is_pending(), "it waits for its retry");
    layer.clone().set_policy(POLICY.max_retries(0));
    assert!(client.clone().oneshot(request(Method::GET, "")).await.is_err());
    assert_eq!(service.heard().len(), 2, "one attempt of each");
    assert!(first.await.is_err());
    assert_eq!(service.heard().len(), 1, "the first keeps the policy that it began with");
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_inside_is_not_asked_again() {
    let breaker = CircuitBreaker::new(Trip::consecutive(2), Reset::after(Duration::from_secs(30)));
    let service = Scripted::new([Answers(503, &[]), Answers(503, &[])]);
    let guarded = RetryLayer::new(POLICY, &budget()).layer(BreakerLayer::new(&breaker).layer(service.clone()));
    let response = guarded.oneshot(request(Method::GET, "")).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"30".parse().unwrap()));
    assert_eq!((service.heard().len(), breaker.stats().rejected), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn who_hangs_up_while_it_waits_gives_the_retry_back() {
    let budget = RetryBudget::percent(0).floor_per_second(0).burst(1);
    let service = Scripted::new([Answers(503, &[("retry-after", "30")])]);
    let call = RetryLayer::new(POLICY, &budget).layer(service.clone()).oneshot(request(Method::GET, ""));
    assert!(tokio::time::timeout(Duration::from_secs(5), call).await.is_err());
    assert_eq!((service.heard().len(), budget.available()), (1, 1));
}

#[tokio::test]
async fn a_size_that_is_known_is_told() {
    for (method, body, size) in [(Method::PUT, "order", 5), (Method::POST, "order", 5), (Method::GET, "", 0)] {
        let told = tower::service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| {
            let body = request.into_body();
            let told = format!("{:?} {}", body.size_hint().exact(), body.is_end_stream());
            Ok::<_, Infallible>(Response::builder().header("x-told", told).body(()).unwrap())
        });
        let response = RetryLayer::new(POLICY, &budget()).layer(told).oneshot(request(method, body)).await.unwrap();
        assert_eq!(response.headers()["x-told"], format!("Some({size}) {}", size == 0));
    }
}
