//! When requests end, what the upstream is told, and what breakers and retries make of it.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod composed;

use core::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    io,
    rc::Rc,
    sync::{Arc, Mutex},
};

use axum::body::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use steadfast::{
    CircuitBreaker, Deadline, Instant, Reset, RetryBudget, RetryPolicy, Trip,
    circuit_breaker::BreakerState,
    retry::Jitter,
    runtime::{Clock, SystemTimer, Timer},
    steadfast_core::test_util::{Simulator, VirtualTimer},
};
use steadfast_tower::{ReplayBody, breaker::BreakerLayer, deadline::DeadlineLayer, retry::RetryLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Body = Full<Bytes>;

const START: Instant = Instant::from_secs(100);
const HEADER: &str = "grpc-timeout";

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn virtual_timer() -> VirtualTimer {
    let timer = VirtualTimer::default();
    timer.set(START);
    timer
}

fn get() -> Request<()> {
    Request::get("http://example/").body(()).unwrap()
}

fn asking(timeout: &'static str) -> Request<()> {
    let mut request = get();
    request.headers_mut().insert(HEADER, HeaderValue::from_static(timeout));
    request
}

fn handed(deadline: Deadline, mut request: Request<()>) -> Request<()> {
    request.extensions_mut().insert(deadline);
    request
}

fn grpc(mut request: Request<()>) -> Request<()> {
    *request.method_mut() = Method::POST;
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    request
}

fn response(status: u16, headers: &[(&'static str, &'static str)]) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = headers.iter().fold(response, |response, (name, value)| response.header(*name, *value));
    response.body(Full::from("served")).unwrap()
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What the service sees of a request: the time that remains, and what the upstream is told; `None` if it sees nothing.
fn seen(layer: &DeadlineLayer<VirtualTimer>, request: Request<()>) -> Option<(Duration, Option<String>)> {
    let seen = Cell::new(None);
    let service = service_fn(|request: Request<()>| {
        let remaining = request.extensions().get::<Deadline>().expect("it has one").remaining(START);
        let told = request.headers().get(HEADER).map(|told| told.to_str().unwrap().to_owned());
        seen.set(Some((remaining, told)));
        async { Ok::<_, io::Error>(response(200, &[])) }
    });
    let mut service = layer.layer(service);
    let Poll::Ready(answer) = poll(pin!(service.call(request))) else { panic!("the service is ready") };
    assert_eq!(answer.unwrap().status().is_success(), seen.take().inspect(|it| seen.set(Some(it.clone()))).is_some());
    seen.take()
}

#[test]
fn the_earliest_of_what_is_asked_handed_down_and_allowed_counts() {
    let layer = |at_most| DeadlineLayer::from_header(HEADER).at_most(at_most).timer(virtual_timer());
    let by = |seconds| Deadline::within(secs(seconds), START);
    for (at_most, request, remaining) in [
        (30, get(), 30),
        (30, asking("5S"), 5),
        (30, asking("2M"), 30),
        (30, asking("99999999H"), 30),
        (30, handed(by(7), get()), 7),
        (30, handed(by(7), asking("9S")), 7),
        (30, handed(by(9), asking("7S")), 7),
        (30, handed(by(90), asking("70S")), 30),
        (30, handed(Deadline::NEVER, get()), 30),
    ] {
        assert_eq!(seen(&layer(secs(at_most)), request).expect("it is called").0, secs(remaining));
    }
    // Whoever allows as much as there is has no deadline.
    assert_eq!(seen(&layer(Duration::MAX), get()).unwrap().0, Deadline::NEVER.remaining(START));
    let without = DeadlineLayer::at_most(secs(30)).timer(virtual_timer());
    assert_eq!(seen(&without, asking("5S")).unwrap().0, secs(30), "it was not to be read");
}

#[test]
fn no_client_gets_more_than_the_bound_whatever_it_writes() {
    let layer = DeadlineLayer::from_header(HEADER).at_most(secs(30)).timer(virtual_timer());
    for timeout in ["99999999H", "99999999M", "99999999S", "31S", "30001m", "30000001u"] {
        assert_eq!(seen(&layer, asking(timeout)).unwrap().0, secs(30), "{timeout}");
    }
    for timeout in ["", "99999999999999999999H", "-1S", "1D", "S", "9e9S", "inf"] {
        assert_eq!(seen(&layer, asking(timeout)), None, "{timeout}");
    }
}

#[test]
fn when_it_is_over_the_call_is_dropped_and_answered_for() {
    struct Dropped<'a>(&'a Cell<u32>);
    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    let timer = virtual_timer();
    let dropped = Cell::new(0);
    for (request, status, code) in
        [(get(), 504, None), (grpc(get()), 200, Some("4")), (grpc(asking("1H")), 200, Some("4"))]
    {
        dropped.set(0);
        let service = service_fn(|_: Request<()>| {
            let held = Dropped(&dropped);
            async move {
                let _held = held;
                pending::<io::Result<Response<Body>>>().await
            }
        });
        let mut service = DeadlineLayer::at_most(secs(30)).timer(timer.clone()).layer(service);
        let mut call = pin!(service.call(request));
        for wait in [0, 10_000, 19_999] {
            timer.advance(Duration::from_millis(wait));
            assert!(poll(call.as_mut()).is_pending(), "it is not over yet");
        }
        timer.advance(Duration::from_millis(1));
        let Poll::Ready(answer) = poll(call.as_mut()) else { panic!("it is over") };
        let answer = answer.unwrap();
        assert_eq!(dropped.get(), 1, "before the answer is there");
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers().get("grpc-status").map(|code| code.to_str().unwrap()), code);
        assert!(answer.extensions().get::<Deadline>().is_none(), "it was the layer's own bound");
        assert!(poll(call.as_mut()).is_pending(), "it has ended");
        if code.is_none() {
            let body = steadfast::block_on(answer.into_body().collect()).unwrap().to_bytes();
            let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let detail = "the request's deadline is over";
            let expected = serde_json::json!({
                "type": "about:blank", "title": "Gateway Timeout", "status": 504, "detail": detail,
            });
            assert_eq!(problem, expected);
        } else {
            assert_eq!(answer.headers()["grpc-message"], "the request's deadline is over");
        }
    }
}

#[test]
fn a_response_that_is_ready_in_the_same_moment_is_passed_on_and_an_error_is_not() {
    for (result, status) in [(Ok(200), 200), (Ok(503), 503), (Err("reset"), 504)] {
        let timer = virtual_timer();
        let (at, clock) = (START.saturating_add(secs(30)), timer.clone());
        let service = service_fn(|_: Request<()>| {
            let timer = clock.clone();
            async move {
                timer.sleep_until(at).await;
                result.map(|status| response(status, &[])).map_err(io::Error::other)
            }
        });
        let mut service = DeadlineLayer::at_most(secs(30)).timer(timer.clone()).layer(service);
        let mut call = pin!(service.call(get()));
        assert!(poll(call.as_mut()).is_pending());
        timer.advance(secs(30));
        let Poll::Ready(answer) = poll(call.as_mut()) else { panic!("it is over") };
        assert_eq!(answer.unwrap().status().as_u16(), status);
    }
    // Before that an error is the service's.
    let service = service_fn(async |_: Request<()>| Err::<Response<Body>, _>(io::Error::other("reset")));
    let mut service = DeadlineLayer::at_most(secs(30)).timer(virtual_timer()).layer(service);
    let Poll::Ready(answer) = poll(pin!(service.call(get()))) else { panic!("it is ready") };
    assert_eq!(answer.unwrap_err().to_string(), "reset");
}

#[test]
fn what_is_over_already_never_reaches_the_service() {
    let past = Deadline::at(START);
    let layer = |at_most| DeadlineLayer::from_header(HEADER).at_most(at_most).timer(virtual_timer());
    let all = layer(secs(30));
    assert_eq!(seen(&all, asking("0n")), None);
    assert_eq!(seen(&all, handed(past, get())), None);
    assert_eq!(seen(&all, handed(Deadline::at(Instant::ZERO), asking("9S"))), None);
    assert_eq!(seen(&layer(Duration::ZERO), get()), None);
    assert!(seen(&all, asking("1n")).is_some(), "it has a nanosecond");

    let refuse = |request| {
        let mut service =
            all.layer(service_fn(async |_: Request<()>| -> io::Result<Response<Body>> { panic!("it is called") }));
        let Poll::Ready(answer) = poll(pin!(service.call(request))) else { panic!("nothing is waited for") };
        answer.unwrap()
    };
    let answer = refuse(grpc(asking("0n")));
    assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"4".parse().unwrap()));
    let answer = refuse(asking("0n"));
    assert_eq!(answer.extensions().get(), Some(&past), "the caller had no time");
    let mut head = asking("0n");
    *head.method_mut() = Method::HEAD;
    let answer = refuse(head);
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(http_body::Body::is_end_stream(answer.body()), "over HTTP/2 a body would reset the stream");
}

#[test]
fn what_is_no_timeout_is_told_so() {
    let layer = DeadlineLayer::from_header(HEADER).at_most(secs(30)).timer(virtual_timer());
    let refuse = |request| {
        let mut service =
            layer.layer(service_fn(async |_: Request<()>| -> io::Result<Response<Body>> { panic!("it is called") }));
        let Poll::Ready(answer) = poll(pin!(service.call(request))) else { panic!("nothing is waited for") };
        answer.unwrap()
    };
    let mut twice = asking("1S");
    twice.headers_mut().append(HEADER, HeaderValue::from_static("1S"));
    for request in [asking("1s"), asking(""), twice] {
        assert_eq!(refuse(request).status(), StatusCode::BAD_REQUEST);
    }
    let answer = refuse(grpc(asking("soon")));
    assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"3".parse().unwrap()));
    assert_eq!(answer.headers()["grpc-message"], "a timeout is 1 to 8 digits and one of H, M, S, m, u and n");
}

#[test]
fn the_upstream_is_told_what_is_left_and_never_more() {
    let layer = |at_most| DeadlineLayer::at_most(at_most).tell_upstream(HEADER).timer(virtual_timer());
    let told = |at_most, request| seen(&layer(at_most), request).expect("it is called");
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(told(secs(30), get()), (secs(30), text("30000000u")));
    assert_eq!(told(secs(30), handed(Deadline::within(secs(7), START), get())), (secs(7), text("7000000u")));
    assert_eq!(told(secs(30), asking("5S")), (secs(5), text("5000000u")), "a header that is there is not overruled");
    assert_eq!(told(secs(3), asking("5S")), (secs(3), text("3000000u")));
    // The deadline here is no later than the upstream's: 100 ms and 1 ns are told as 100 ms.
    let odd = Duration::from_nanos(100_000_001);
    assert_eq!(told(odd, get()), (Duration::from_millis(100), text("100000u")));
    assert_eq!(told(Duration::MAX, get()), (Deadline::NEVER.remaining(START), None), "there is nothing to tell");
    assert_eq!(seen(&layer(secs(30)), asking("5s")), None, "nor is one that is none passed on");

    let elsewhere = DeadlineLayer::from_header(HEADER).at_most(secs(30)).tell_upstream("x-time-left");
    let service = service_fn(async |request: Request<()>| {
        assert_eq!(request.headers()["x-time-left"], "5000000u");
        Ok::<_, io::Error>(response(200, &[]))
    });
    let mut service = elsewhere.timer(virtual_timer()).layer(service);
    assert!(poll(pin!(service.call(asking("5S")))).is_ready());
}

/// Whatever the clock does meanwhile, the call is cut off after the time that it was given; and the next layer, which
/// reckons anew, grants no more than its own bound.
#[test]
fn a_clock_that_steps_neither_prolongs_a_call_nor_cuts_it_short() {
    for step in [secs(1), secs(20), secs(99)] {
        let timer = virtual_timer();
        let told = Cell::new(Duration::ZERO);
        let inner = DeadlineLayer::at_most(secs(40)).timer(timer.clone()).layer(service_fn(|request: Request<()>| {
            told.set(request.extensions().get::<Deadline>().unwrap().remaining(timer.now()));
            pending::<io::Result<Response<Body>>>()
        }));
        let between = service_fn(|request| {
            timer.set(timer.now().saturating_sub(step));
            inner.clone().call(request)
        });
        let mut service = DeadlineLayer::at_most(secs(30)).timer(timer.clone()).layer(between);
        let mut call = pin!(service.call(get()));
        assert!(poll(call.as_mut()).is_pending());
        assert!(told.get() <= secs(40) && told.get() <= secs(30) + step, "{:?}", told.get());
        timer.advance(secs(30) - Duration::from_nanos(1));
        assert!(poll(call.as_mut()).is_pending(), "it was cut short");
        timer.advance(Duration::from_nanos(1));
        // The sleep is as late as the clock has stepped back before it began, and no later than the bound allows.
        timer.advance(step.min(secs(10)));
        assert!(poll(call.as_mut()).is_ready(), "it was prolonged by a step of {step:?}");
    }
    let timer = virtual_timer();
    let mut service = DeadlineLayer::at_most(secs(30))
        .timer(timer.clone())
        .layer(service_fn(async |_: Request<()>| pending::<io::Result<Response<Body>>>().await));
    let mut call = pin!(service.call(get()));
    assert!(poll(call.as_mut()).is_pending());
    timer.set(START.saturating_sub(secs(50)));
    timer.advance(secs(29));
    assert!(poll(call.as_mut()).is_pending());
    timer.advance(secs(1));
    assert!(poll(call.as_mut()).is_ready());
}

#[test]
fn clones_share_no_deadline() {
    let timer = virtual_timer();
    let service = service_fn(async |_: Request<()>| pending::<io::Result<Response<Body>>>().await);
    let mut one = DeadlineLayer::from_header(HEADER).at_most(secs(30)).timer(timer.clone()).layer(service);
    let mut other = one.clone();
    let (mut soon, mut late) = (pin!(one.call(asking("5S"))), pin!(other.call(get())));
    assert!(poll(soon.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
    timer.advance(secs(5));
    assert!(poll(soon.as_mut()).is_ready() && poll(late.as_mut()).is_pending());
    timer.advance(secs(25));
    assert!(poll(late.as_mut()).is_ready());
}

/// Calls end by themselves, by their deadline, or are dropped at any await: each lets go of its service's future once.
#[test]
fn dropped_at_every_await_nothing_is_left_behind() {
    struct Counted(Rc<Cell<i32>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    let (mut served, mut ended) = (0, 0);
    for seed in 0..500 {
        let alive = Rc::new(Cell::new(0));
        let answers: RefCell<Vec<u16>> = RefCell::default();
        let mut simulator = Simulator::new(seed);
        let tasks: Vec<_> = (1..7_u64)
            .map(|task| {
                let (timer, alive, answers) = (simulator.timer(), alive.clone(), &answers);
                simulator.spawn(async move {
                    let clock = timer.clone();
                    let service = service_fn(move |_: Request<()>| {
                        alive.set(alive.get() + 1);
                        let (counted, timer) = (Counted(alive.clone()), clock.clone());
                        async move {
                            let _counted = counted;
                            for _ in 0..3 {
                                let at = timer.now().saturating_add(Duration::from_millis(task * (1 + seed % 17)));
                                timer.sleep_until(at).await;
                            }
                            Ok::<_, io::Error>(response(200, &[]))
                        }
                    });
                    let layer = DeadlineLayer::at_most(Duration::from_millis(100)).timer(timer);
                    let answer = layer.layer(service).oneshot(get()).await.unwrap();
                    answers.borrow_mut().push(answer.status().as_u16());
                })
            })
            .collect();
        simulator.run_dropping(&tasks);
        assert_eq!(alive.get(), 0, "seed {seed}");
        assert!(!simulator.step(), "seed {seed}: a sleep is left behind");
        drop(simulator);
        served += answers.borrow().iter().filter(|status| **status == 200).count();
        ended += answers.borrow().iter().filter(|status| **status == 504).count();
    }
    assert!(served > 0 && ended > 0, "{served} served, {ended} ended");
}
