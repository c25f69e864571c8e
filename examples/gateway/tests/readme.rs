//! The server's example of the README at the top: it is this program, and does what it says.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../examples/small.rs"]
#[expect(dead_code, reason = "`main` serves it on a port")]
mod small;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[test]
fn the_readme_has_this_program() {
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&format!("```rust,no_run\n{}```", include_str!("../examples/small.rs"))));
}

/// An upstream of which every third call fails, and how many there were.
async fn upstream() -> (Router, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let answer = async move || match counted.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => Err(StatusCode::SERVICE_UNAVAILABLE),
        number => Ok(format!("answer {number}")),
    };
    let router = Router::new().route("/orders", get(answer.clone()).post(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/orders", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    (small::app(url), calls)
}

async fn ask(app: &Router, method: &str, address: &str, api_key: &str) -> Response<String> {
    let request = Request::builder()
        .method(method)
        .uri("/orders")
        .header("x-forwarded-for", address)
        .header("x-api-key", api_key)
        .header("idempotency-key", "k1");
    let (head, body) = app.clone().oneshot(request.body(Body::from("7 nuts")).unwrap()).await.unwrap().into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    Response::from_parts(head, body)
}

#[tokio::test]
async fn it_limits_by_address_and_key_as_one_decision() {
    let (app, _) = upstream().await;
    let mut denied = 0;
    for _ in 0..40 {
        let answer = ask(&app, "GET", "192.0.2.1", "k").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after") && answer.body().contains("\"key\""), "{answer:?}");
            denied += 1;
        } else {
            assert_eq!(answer.status(), StatusCode::OK, "a call that fails is tried again");
        }
    }
    // Ten a second come back: on a machine that takes two seconds none was denied.
    assert!(denied <= 20);
    let other = ask(&app, "GET", "192.0.2.1", "other").await;
    assert_eq!(other.status(), StatusCode::OK, "the address was not charged for what its other key was denied");
}

#[tokio::test]
async fn it_places_an_order_once() {
    let (app, calls) = upstream().await;
    assert_eq!(ask(&app, "GET", "192.0.2.1", "k").await.status(), StatusCode::OK);
    let first = ask(&app, "POST", "192.0.2.1", "k").await;
    let second = ask(&app, "POST", "192.0.2.1", "k").await;
    assert_eq!((first.status(), first.body()), (StatusCode::OK, second.body()));
    assert_eq!(second.headers()["idempotent-replayed"], "true");
    assert_eq!(
        calls.load(Ordering::SeqCst),
        3,
        "of the GET one that failed, and one that was answered; one of the POST"
    );
}

/// In virtual time: nobody answers, so that it is always the next time limit's turn.
#[tokio::test(start_paused = true)]
async fn found_a6_it_stops_asking_an_upstream_that_hangs() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = small::app(format!("http://{}/orders", listener.local_addr().unwrap()).parse().unwrap());

    // The first attempt and three retries, each cut off after 2 s.
    let first = ask(&app, "GET", "192.0.2.1", "k").await;
    assert_eq!(first.status(), StatusCode::GATEWAY_TIMEOUT);
    // One more, and the breaker is open: nobody waits any more.
    assert_eq!(ask(&app, "GET", "192.0.2.1", "k").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let begun = tokio::time::Instant::now();
    let refused = ask(&app, "GET", "192.0.2.1", "k").await;
    assert_eq!((refused.status(), begun.elapsed().as_secs()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((25..=30).contains(&wait), "{wait}");
}
