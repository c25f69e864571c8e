//! Requests that come twice, at once, with other payloads, or whose client hangs up.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod bodies;

use core::{
    convert::Infallible,
    future::{Future, ready},
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use axum::{Router, body::Bytes, routing::post};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use steadfast::{DedupCache, Instant, block_on, dedup_cache::OnFull, steadfast_core::test_util::ManualClock};
use steadfast_tower::{
    OrAnswer, ReplayBody,
    idempotency::{Id, IdempotencyLayer, Kept},
    keys::{Everyone, NoKey},
};
use tower::{Layer, Service, ServiceExt, service_fn};

type Seen<S = ()> = DedupCache<Id<S>, Kept, ManualClock>;
type Answer = Response<OrAnswer<ReplayBody<Full<Bytes>>>>;

const DAY: Duration = Duration::from_secs(86_400);
const LEASE: Duration = Duration::from_secs(60);

fn seen<S: Eq + core::hash::Hash>(capacity: usize) -> (Seen<S>, ManualClock) {
    let clock = ManualClock::new(Instant::from_secs(100));
    let builder = DedupCache::<Id<S>>::builder(DAY, OnFull::Refuse).capacity(capacity).lease(LEASE);
    (builder.clock(clock.clone()).keeping().build(), clock)
}

/// A service that answers with what it was asked and for which time, and the status that the path names.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU32>);

impl Counting {
    fn calls(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl<B: Body<Error: core::fmt::Debug>> Service<Request<B>> for Counting
where
    B: 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let status = head.uri.path()[1..].parse().map_err(|_not_a_status| io::Error::other("down"))?;
            let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
            let mut response = Response::new(Full::from(format!("{body} {number}")));
            *response.status_mut() = status;
            response.headers_mut().insert("x-number", HeaderValue::from(number));
            Ok(response)
        })
    }
}

fn request(path: &str, key: &str, body: &str) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("idempotency-key", key);
    request.body(Full::from(body.to_owned())).unwrap()
}

type Plain = IdempotencyLayer<(), Everyone, ManualClock>;

fn ask(layer: &Plain, service: &Counting, request: Request<Full<Bytes>>) -> Answer {
    block_on(layer.layer(service.clone()).oneshot(request)).unwrap()
}

fn status(layer: &Plain, service: &Counting, request: Request<Full<Bytes>>) -> u16 {
    ask(layer, service, request).status().as_u16()
}

fn body(answer: Answer) -> String {
    String::from_utf8(block_on(answer.into_body().collect()).unwrap().to_bytes().to_vec()).unwrap()
}

#[test]
fn a_request_that_comes_again_is_answered_as_the_first_was() {
    let (seen, clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    for path in ["/201", "/404"] {
        let calls = service.calls() + 1;
        let first = ask(&layer, &service, request(path, path, "an order"));
        assert!(!first.headers().contains_key("idempotent-replayed"));
        for _ in 0..3 {
            let again = ask(&layer, &service, request(path, path, "an order"));
            assert_eq!((again.status(), &again.headers()["x-number"]), (first.status(), &first.headers()["x-number"]));
            assert_eq!(again.headers()["idempotent-replayed"], "true");
            assert_eq!(body(again), format!("an order {calls}"));
        }
        assert_eq!((body(first), service.calls()), (format!("an order {calls}"), calls));
    }
    clock.advance(DAY);
    let after = ask(&layer, &service, request("/201", "/201", "an order"));
    assert!(!after.headers().contains_key("idempotent-replayed") && service.calls() == 3);
}

#[test]
fn another_request_with_the_same_key_is_refused() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    assert_eq!(status(&layer, &service, request("/201", "k1", "an order")), 201);
    let mut patch = request("/201", "k1", "an order");
    *patch.method_mut() = http::Method::PATCH;
    for other in [
        request("/201", "k1", "another"),
        request("/200", "k1", "an order"),
        request("/201?x", "k1", "an order"),
        request("http://other.example/201", "k1", "an order"),
        patch,
    ] {
        let refused = ask(&layer, &service, other);
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: serde_json::Value = serde_json::from_str(&body(refused)).unwrap();
        assert_eq!(problem["detail"], "another request had the same Idempotency-Key");
    }
    assert_eq!(service.calls(), 1);
}

/// HTTP/1 names the authority in `Host`, HTTP/2 in the URI, with the scheme.
#[test]
fn a_request_is_the_same_over_http_1_and_2() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    let over_1 = |host: &'static str| {
        let mut request = request("/201?x=1", "k1", "an order");
        request.headers_mut().insert("host", HeaderValue::from_static(host));
        request
    };
    assert_eq!(status(&layer, &service, over_1("shop.example:8080")), 201);
    for uri in ["http://shop.example:8080/201?x=1", "https://Shop.Example:8080/201?x=1"] {
        let again = ask(&layer, &service, request(uri, "k1", "an order"));
        assert_eq!(
            (again.status(), &again.headers()["idempotent-replayed"]),
            (StatusCode::CREATED, &"true".parse().unwrap())
        );
    }
    assert_eq!(status(&layer, &service, over_1("other.example:8080")), 422);
    assert_eq!(status(&layer, &service, request("http://other.example:8080/201?x=1", "k1", "an order")), 422);
    assert_eq!(service.calls(), 1);
}

#[test]
fn a_key_is_a_string_with_or_without_quotes_and_only_one() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    assert_eq!(status(&layer, &service, request("/201", "\"k1\"", "")), 201);
    assert_eq!(ask(&layer, &service, request("/201", "k1", "")).headers()["idempotent-replayed"], "true");
    let longest = "k".repeat(255);
    assert_eq!(status(&layer, &service, request("/201", &longest, "")), 201);
    for bad in ["", "\"\"", " ", "\"k1", &"k".repeat(256)] {
        assert_eq!(status(&layer, &service, request("/201", bad, "")), 400, "{bad}");
    }
    let mut two = request("/201", "k2", "");
    two.headers_mut().append("idempotency-key", HeaderValue::from_static("k3"));
    assert_eq!(status(&layer, &service, two), 400);
    assert_eq!(service.calls(), 2);
}

#[test]
fn a_key_that_is_missing_is_refused_only_where_it_is_required() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    let without = || Request::post("/201").body(Full::from("an order")).unwrap();
    assert_eq!([(); 2].map(|()| status(&layer, &service, without())), [201; 2]);
    let layer = layer.required();
    assert_eq!(status(&layer, &service, without()), 400);
    assert_eq!(service.calls(), 2);
    // Of what is idempotent by itself, and of calls of gRPC, none is asked for.
    for method in ["GET", "PUT", "DELETE", "HEAD"] {
        let request = Request::builder().method(method).uri("/200").body(Full::from("")).unwrap();
        assert_eq!(status(&layer, &service, request), 200);
    }
}

#[test]
fn who_claims_to_be_grpc_passes_only_where_no_key_is_required() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    let call = |method: &'static str| {
        let mut call = request("/201", "k1", "an order");
        *call.method_mut() = method.parse().unwrap();
        call.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        call
    };
    assert_eq!([(); 2].map(|()| status(&layer, &service, call("POST"))), [201; 2]);
    assert_eq!((service.calls(), seen.is_empty()), (2, true));

    // Every call of gRPC is a POST.
    assert_eq!(status(&layer, &service, call("PATCH")), 201);
    assert!(ask(&layer, &service, call("PATCH")).headers().contains_key("idempotent-replayed"));

    let layer = layer.required();
    let refused = ask(&layer, &service, call("POST"));
    assert_eq!((refused.status(), &refused.headers()["grpc-status"]), (StatusCode::OK, &"12".parse().unwrap()));
    assert_eq!((service.calls(), body(refused)), (3, String::new()));
}

#[test]
fn who_was_told_to_come_again_finds_the_key_free() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    for told in [425, 429, 503] {
        let path = format!("/{told}");
        assert_eq!([(); 2].map(|()| status(&layer, &service, request(&path, &path, ""))), [told; 2]);
    }
    assert_eq!((service.calls(), seen.is_empty()), (6, true));
}

/// A handler that is cut off after the charge: a client that comes again at once must not be charged twice.
#[test]
fn after_a_failure_the_key_stays_taken_until_the_lease_ends() {
    let (seen, clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    for path in ["/408", "/500", "/502", "/504", "/down"] {
        let send = || block_on(layer.layer(service.clone()).oneshot(request(path, path, "")));
        let what = |result: io::Result<Answer>| {
            result.map_or_else(|error| format!("/{error}"), |a| format!("/{}", a.status().as_u16()))
        };
        let calls = service.calls();
        assert_eq!((what(send()), service.calls()), (path.to_owned(), calls + 1), "it is passed on");
        clock.advance(Duration::from_secs(20));
        let refused = send().unwrap();
        assert_eq!(
            (refused.status(), &refused.headers()["retry-after"]),
            (StatusCode::CONFLICT, &"40".parse().unwrap())
        );
        assert_eq!(refused.headers()["cache-control"], "no-store");
        clock.advance(Duration::from_secs(40));
        assert_eq!((what(send()), service.calls()), (path.to_owned(), calls + 2));
    }
}

#[test]
fn who_knows_better_says_what_is_kept_and_what_frees_the_key() {
    let (seen, _clock) = seen(100);
    let service = Counting::default();
    let layer = IdempotencyLayer::new(&seen).free_if(|status| status == StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!([(); 2].map(|()| status(&layer, &service, request("/500", "k1", ""))), [500; 2]);
    assert_eq!([(); 2].map(|()| status(&layer, &service, request("/503", "k2", ""))), [503, 409]);
    let layer = layer.keep_if(|status| status == StatusCode::INTERNAL_SERVER_ERROR);
    let send = |path| block_on(layer.layer(service.clone()).oneshot(request(path, path, ""))).unwrap();
    assert!(!send("/500").headers().contains_key("idempotent-replayed"));
    assert!(send("/500").headers().contains_key("idempotent-replayed"));
}

/// A call of a service that hangs, polled once.
fn hanging(layer: &Plain, request: Request<Full<Bytes>>) -> Pin<Box<dyn Future<Output = Result<Answer, Infallible>>>> {
    let hangs = service_fn(async |_: Request<ReplayBody<Full<Bytes>>>| core::future::pending().await);
    let mut call = Box::pin(layer.layer(hangs).oneshot(request));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    call
}

#[test]
fn while_the_first_is_worked_on_others_are_told_when_to_come_again() {
    let (seen, clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    let first = hanging(&layer, request("/201", "k1", "an order"));
    clock.advance(Duration::from_millis(20_500));
    for body in ["an order", "another"] {
        let refused = ask(&layer, &service, request("/201", "k1", body));
        assert_eq!(
            (refused.status(), &refused.headers()["retry-after"]),
            (StatusCode::CONFLICT, &"40".parse().unwrap())
        );
    }
    assert_eq!(status(&layer, &service, request("/201", "k2", "an order")), 201, "another key");

    // The client hangs up, and nobody knows how far the service came: until the lease ends nobody else begins.
    drop(first);
    assert_eq!(status(&layer, &service, request("/201", "k1", "an order")), 409);
    clock.advance(Duration::from_millis(39_500));
    assert_eq!(status(&layer, &service, request("/201", "k1", "an order")), 201);
}

#[test]
fn a_service_that_panics_leaves_its_key_taken_until_the_lease_ends() {
    let (seen, clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    let panics =
        service_fn(async |request: Request<ReplayBody<Full<Bytes>>>| -> Result<Response<Full<Bytes>>, Infallible> {
            panic!("on purpose, for {:?}", request.uri())
        });
    let call = layer.layer(panics).oneshot(request("/201", "k1", ""));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(call))).is_err());
    assert_eq!(status(&layer, &service, request("/201", "k1", "")), 409);
    clock.advance(LEASE);
    assert_eq!(status(&layer, &service, request("/201", "k1", "")), 201);
}

#[test]
fn keys_of_two_clients_are_two_keys() {
    #[derive(Clone, Copy, Eq, Hash, PartialEq)]
    struct User(u64);
    let (seen, _clock) = seen::<User>(100);
    let service = Counting::default();
    let layer = IdempotencyLayer::new(&seen).scope(|request: &Request<Full<Bytes>>| match request.extensions().get() {
        Some(User(0)) => Ok(None),
        user => user.copied().map(Some).ok_or(NoKey),
    });
    let send = |user: Option<u64>| {
        let mut request = request("/201", "k1", "an order");
        user.map(|user| request.extensions_mut().insert(User(user)));
        let answer = block_on(layer.layer(service.clone()).oneshot(request)).unwrap();
        (answer.status().as_u16(), answer.headers().contains_key("idempotent-replayed"))
    };
    assert_eq!([Some(1), Some(2), Some(1)].map(send), [(201, false), (201, false), (201, true)]);
    assert_eq!([Some(0), Some(0)].map(send), [(201, false); 2], "not looked at");
    assert_eq!((send(None), service.calls()), ((400, false), 4));
}

#[test]
fn a_full_cache_refuses_new_keys_and_knows_the_old_ones() {
    let (seen, _clock) = seen(1);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    assert_eq!(status(&layer, &service, request("/201", "k1", "")), 201);
    assert_eq!(status(&layer, &service, request("/201", "k2", "")), 503);
    assert_eq!(status(&layer, &service, request("/201", "k1", "")), 201);
    assert_eq!(service.calls(), 1);
}

/// axum-idempotent says of itself that two requests at once can both reach the handler.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_requests_at_once_one_is_worked_on_and_all_others_hear_of_it() {
    let seen = DedupCache::<Id>::builder(DAY, OnFull::Refuse).lease(LEASE).keeping().build();
    let calls = Arc::new(AtomicU32::new(0));
    let (count, gate) = (calls.clone(), Arc::new(tokio::sync::Semaphore::new(0)));
    let wait = gate.clone();
    let pay = post(async move |body: String| {
        count.fetch_add(1, Ordering::SeqCst);
        wait.acquire().await.unwrap().forget();
        (StatusCode::CREATED, format!("paid {body}"))
    });
    let app: Router = Router::new().route("/pay", pay).layer(IdempotencyLayer::new(&seen).required());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let pay = move |key: &'static str| {
        let request = Request::post(format!("http://{server}/pay")).header("idempotency-key", key);
        let answer = client.request(request.body(Full::from("7 EUR")).unwrap());
        async move {
            let (head, body) = answer.await.unwrap().into_parts();
            let replayed = head.headers.contains_key("idempotent-replayed");
            (head.status.as_u16(), replayed, body.collect().await.unwrap().to_bytes())
        }
    };
    for (round, key) in (1..).zip(["k1", "k2", "k3"]) {
        let mut tasks: tokio::task::JoinSet<_> = (0..20).map(|_| pay(key)).collect();
        // All but the one that is worked on are told so, however they are interleaved.
        for _ in 0..19 {
            assert_eq!(tasks.join_next().await.unwrap().unwrap().0, 409);
        }
        gate.add_permits(1);
        let paid = Bytes::from_static(b"paid 7 EUR");
        assert_eq!(tasks.join_next().await.unwrap().unwrap(), (201, false, paid.clone()));
        assert_eq!((pay(key).await, calls.load(Ordering::SeqCst)), ((201, true, paid), round));
    }
}

/// The server drops what it does for a client that hangs up: nobody knows how far it came.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_and_comes_again_is_told_to_wait() {
    struct Dropped(tokio::sync::mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let (seen, clock) = seen::<()>(100);
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let pay = post(async move |body: String| {
        if body == "hang" {
            let _dropped = Dropped(tell.clone());
            tell.send("begun").unwrap();
            core::future::pending::<()>().await;
        }
        "paid"
    });
    let app: Router = Router::new().route("/pay", pay).layer(IdempotencyLayer::new(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());

    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    let head = "POST /pay HTTP/1.1\r\nhost: example\r\nidempotency-key: k1\r\ncontent-length: 4\r\n\r\nhang";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    assert_eq!(told.recv().await, Some("begun"));
    drop(stream);
    assert_eq!(told.recv().await, Some("dropped"));

    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let send = async || {
        let request = Request::post(format!("http://{server}/pay")).header("idempotency-key", "k1");
        client.request(request.body(Full::from("7 EUR")).unwrap()).await.unwrap().status().as_u16()
    };
    assert_eq!(send().await, 409);
    clock.advance(LEASE);
    assert_eq!(send().await, 200);
}
