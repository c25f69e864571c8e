//! Deadlines with retries and breakers.

use super::*;

/// What each attempt was told, and when it was made.
type Told = Arc<Mutex<Vec<(u64, String)>>>;

/// An upstream that is busy for ever, or hangs.
fn upstream(
    told: &Told,
    hangs: bool,
) -> impl Service<Request<ReplayBody<Body>>, Response = Response<Body>, Error = io::Error> + Clone + use<> {
    let (told, begun) = (told.clone(), tokio::time::Instant::now());
    service_fn(move |request: Request<ReplayBody<Body>>| {
        let header = request.headers().get(HEADER).map_or("", |told| told.to_str().unwrap()).to_owned();
        told.lock().unwrap().push((begun.elapsed().as_secs(), header));
        async move {
            if hangs {
                pending::<()>().await;
            }
            Ok(response(503, &[]))
        }
    })
}

const EVERY_TWO_SECONDS: RetryPolicy =
    RetryPolicy::constant(Duration::from_secs(2)).max_retries(100).jitter(Jitter::None);

fn budget() -> RetryBudget {
    RetryBudget::percent(100).burst(1_000)
}

fn put() -> Request<Body> {
    Request::put("http://example/").body(Full::from("an order")).unwrap()
}

/// The time told may be short by what the paused clock's real half has moved on.
fn roughly(told: &[(u64, String)]) -> Vec<(u64, u64)> {
    let seconds = |text: &str| text.strip_suffix('u').unwrap().parse::<u64>().unwrap().div_ceil(1_000_000);
    told.iter().map(|(at, text)| (*at, seconds(text))).collect()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_what_is_left_then() {
    let told = Told::default();
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::at_most(secs(7)))
        .layer(RetryLayer::new(EVERY_TWO_SECONDS, &budget()))
        .layer(DeadlineLayer::at_most(secs(4)).tell_upstream(HEADER))
        .service(upstream(&told, false));
    let begun = tokio::time::Instant::now();
    let answer = client.oneshot(put()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "the last answer");
    assert_eq!(roughly(&told.lock().unwrap()), [(0, 4), (2, 4), (4, 3), (6, 1)]);
    assert_eq!(begun.elapsed().as_secs(), 6, "no delay is slept that ends beyond it");
}

/// What the caller asks for in the header bounds all attempts, where the layer around the retries reads it.
#[tokio::test(start_paused = true)]
async fn the_callers_own_header_bounds_all_attempts_together() {
    let told = Told::default();
    let every_second = RetryPolicy::constant(secs(1)).max_retries(100).jitter(Jitter::None);
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::from_header(HEADER).at_most(secs(10)))
        .layer(RetryLayer::new(every_second, &budget()))
        .layer(DeadlineLayer::at_most(secs(3)).tell_upstream(HEADER))
        .service(upstream(&told, false));
    let begun = tokio::time::Instant::now();
    let mut request = put();
    request.headers_mut().insert(HEADER, HeaderValue::from_static("2S"));
    assert_eq!(client.oneshot(request).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE, "the last answer");
    assert_eq!(roughly(&told.lock().unwrap()), [(0, 2), (1, 1)]);
    assert_eq!(begun.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_hang_are_cut_off_each_and_all_together() {
    let told = Told::default();
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::at_most(secs(10)))
        .layer(RetryLayer::new(EVERY_TWO_SECONDS, &budget()))
        .layer(DeadlineLayer::at_most(secs(3)).tell_upstream(HEADER))
        .service(upstream(&told, true));
    let begun = tokio::time::Instant::now();
    let answer = client.oneshot(put()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(roughly(&told.lock().unwrap()), [(0, 3), (5, 3)], "after 8 s no delay fits any more");
    assert!((8..=10).contains(&begun.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn the_sum_of_all_retries_ends_by_the_deadline_of_the_request() {
    let retry = RetryLayer::new(EVERY_TWO_SECONDS, &budget());
    let with_deadline = |mut request: Request<Body>, seconds| {
        request.extensions_mut().insert(Deadline::within(secs(seconds), SystemTimer.now()));
        request
    };
    for (method, hangs, calls, status, ends) in [
        (Method::PUT, false, 3, 503, 4),
        (Method::PUT, true, 1, 504, 5),
        (Method::POST, true, 1, 504, 5),
        (Method::POST, false, 1, 503, 0),
    ] {
        let told = Told::default();
        let begun = tokio::time::Instant::now();
        let mut request = with_deadline(put(), 5);
        *request.method_mut() = method;
        let answer = retry.layer(upstream(&told, hangs)).oneshot(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), told.lock().unwrap().len()), (status, calls));
        assert_eq!(begun.elapsed().as_secs(), ends);
    }
    let told = Told::default();
    let answer = retry.layer(upstream(&told, false)).oneshot(with_deadline(put(), 0)).await.unwrap();
    assert_eq!((answer.status(), told.lock().unwrap().len()), (StatusCode::GATEWAY_TIMEOUT, 0), "it was over");
}

/// Retries that end with the caller's time say so, as the deadline layer does; those that end by their own policy do not.
#[tokio::test(start_paused = true)]
async fn callers_without_patience_open_no_breaker_around_retries() {
    let own_bound = EVERY_TWO_SECONDS.max_retries(0).attempt_timeout(secs(1));
    let own_bound_with_retries = EVERY_TWO_SECONDS.attempt_timeout(secs(1));
    for (policy, method, seconds, calls, is_callers) in [
        (EVERY_TWO_SECONDS, Method::PUT, 1, 1, true),
        (EVERY_TWO_SECONDS, Method::POST, 1, 1, true),
        (EVERY_TWO_SECONDS, Method::PUT, 0, 0, true),
        (EVERY_TWO_SECONDS, Method::POST, 0, 0, true),
        (own_bound, Method::PUT, 100, 1, false),
        (own_bound_with_retries, Method::PUT, 2, 1, false),
    ] {
        let told = Told::default();
        let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
        let client = ServiceBuilder::new()
            .layer(BreakerLayer::new(&breaker))
            .layer(RetryLayer::new(policy, &budget()))
            .service(upstream(&told, true));
        let deadline = Deadline::within(secs(seconds), SystemTimer.now());
        let mut request = put();
        *request.method_mut() = method;
        request.extensions_mut().insert(deadline);
        let answer = client.oneshot(request).await.unwrap();
        assert_eq!((answer.status(), told.lock().unwrap().len()), (StatusCode::GATEWAY_TIMEOUT, calls));
        assert_eq!(answer.extensions().get(), is_callers.then_some(&deadline), "{policy:?}");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let detail = if is_callers { "the request's deadline is over" } else { "the call took too long" };
        assert!(str::from_utf8(&body).unwrap().contains(detail), "{body:?}");
        let state = if is_callers { BreakerState::Closed } else { BreakerState::Open };
        assert_eq!((breaker.state(), breaker.stats().failures), (state, u64::from(!is_callers)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_too_late_is_not_sent() {
    let told = Told::default();
    let begun = tokio::time::Instant::now();
    let request = Request::put("http://example/").body(Slow(Box::pin(tokio::time::sleep(secs(9))))).unwrap();
    let served = told.clone();
    let service = service_fn(move |_: Request<ReplayBody<Slow>>| {
        served.lock().unwrap().push((0, String::new()));
        async { Ok::<_, io::Error>(response(200, &[])) }
    });
    let client = ServiceBuilder::new()
        .layer(DeadlineLayer::at_most(secs(5)))
        .layer(RetryLayer::new(EVERY_TWO_SECONDS, &budget()))
        .service(service);
    let answer = client.oneshot(request).await.unwrap();
    assert_eq!((answer.status(), told.lock().unwrap().len()), (StatusCode::GATEWAY_TIMEOUT, 0));
    assert_eq!(begun.elapsed().as_secs(), 5);
}

/// A body whose only frame takes its time.
struct Slow(Pin<Box<tokio::time::Sleep>>);

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<http_body::Frame<Bytes>>>> {
        self.0.as_mut().poll(cx).map(|()| None)
    }
}

/// How the upstream behaves to a call that has a deadline.
#[derive(Clone, Copy, Debug)]
enum Upstream {
    Hangs,
    /// As a client that goes by what is told, such as tonic's.
    FailsWhenItIsOver,
    AnswersWhenItIsOver(u16, &'static [(&'static str, &'static str)]),
    AnswersAtOnce(u16, &'static [(&'static str, &'static str)]),
}
use Upstream::{AnswersAtOnce, AnswersWhenItIsOver, FailsWhenItIsOver, Hangs};

async fn behave(how: Upstream, timer: VirtualTimer, deadline: Option<Deadline>) -> io::Result<Response<Body>> {
    if !matches!(how, AnswersAtOnce(..)) {
        match deadline.filter(|_| !matches!(how, Hangs)) {
            Some(deadline) => timer.sleep_until(deadline.instant()).await,
            None => pending().await,
        }
    }
    match how {
        AnswersAtOnce(status, headers) | AnswersWhenItIsOver(status, headers) => Ok(response(status, headers)),
        Hangs | FailsWhenItIsOver => Err(io::Error::other("timeout expired")),
    }
}

const RESET: Reset = Reset::after(Duration::from_secs(30));

/// What ten calls with this timeout make of a breaker, around a deadline of ten seconds or inside one.
fn after_ten_calls(reset: Reset, how: Upstream, timeout: &'static str, is_inside: bool) -> (BreakerState, u64) {
    let timer = virtual_timer();
    let breaker = CircuitBreaker::builder(Trip::consecutive(5), reset).timer(timer.clone()).build();
    let upstream = {
        let timer = timer.clone();
        service_fn(move |request: Request<()>| behave(how, timer.clone(), request.extensions().get().copied()))
    };
    let deadline = DeadlineLayer::from_header(HEADER).at_most(secs(10)).timer(timer.clone());
    let go = |mut call: Pin<&mut dyn Future<Output = bool>>| {
        for _ in 0..1_000 {
            if let Poll::Ready(is_ok) = poll(call.as_mut()) {
                return is_ok;
            }
            timer.advance(Duration::from_millis(100));
        }
        panic!("it never ends")
    };
    for _ in 0..10 {
        let is_answered = if is_inside {
            let service =
                BreakerLayer::new(&breaker).layer(deadline.clone().tell_upstream(HEADER).layer(upstream.clone()));
            go(pin!(async { service.oneshot(asking(timeout)).await.is_ok() }))
        } else {
            let service = deadline.layer(BreakerLayer::new(&breaker).layer(upstream.clone()));
            go(pin!(async { service.oneshot(asking(timeout)).await.is_ok() }))
        };
        assert!(is_answered, "{how:?}");
    }
    (breaker.state(), breaker.stats().failures)
}

const TOO_LATE: Upstream = AnswersWhenItIsOver(504, &[]);

const TOO_LATE_OVER_GRPC: Upstream = AnswersWhenItIsOver(200, &[("grpc-status", "4")]);

#[test]
fn callers_without_patience_open_no_breaker() {
    for how in [Hangs, FailsWhenItIsOver, TOO_LATE, TOO_LATE_OVER_GRPC] {
        for timeout in ["1n", "200m", "3S"] {
            assert_eq!(after_ten_calls(RESET, how, timeout, true), (BreakerState::Closed, 0), "{how:?} {timeout}");
        }
    }
    assert_eq!(after_ten_calls(RESET, Hangs, "200m", false), (BreakerState::Closed, 0));
}

#[test]
fn a_service_that_takes_longer_than_it_is_given_opens_the_breaker() {
    for how in [Hangs, FailsWhenItIsOver, TOO_LATE, TOO_LATE_OVER_GRPC, AnswersAtOnce(504, &[])] {
        assert_eq!(after_ten_calls(RESET, how, "1H", true), (BreakerState::Open, 5), "{how:?}");
    }
    // A layer inside takes this one's bound for its caller's, and the breaker does not.
    let timer = virtual_timer();
    let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(timer.clone()).build();
    let layer = |seconds| DeadlineLayer::at_most(secs(seconds)).tell_upstream(HEADER).timer(timer.clone());
    let hangs = service_fn(async |_: Request<()>| pending::<io::Result<Response<Body>>>().await);
    let mut service = BreakerLayer::new(&breaker).layer(layer(5).layer(layer(9).layer(hangs)));
    let mut call = pin!(service.call(get()));
    assert!(poll(call.as_mut()).is_pending());
    timer.advance(secs(5));
    assert!(poll(call.as_mut()).is_ready());
    assert_eq!(breaker.state(), BreakerState::Open);
    // Its own answer that comes before the caller's time is over speaks against it, however short that is.
    let at_once = AnswersAtOnce(200, &[("grpc-status", "4")]);
    assert_eq!(after_ten_calls(RESET, at_once, "200m", true), (BreakerState::Open, 5));
    // And so does a call that takes the breaker's own time limit, whoever gives up then.
    for is_inside in [true, false] {
        let reset = RESET.call_timeout(secs(2));
        assert_eq!(after_ten_calls(reset, Hangs, "3S", is_inside), (BreakerState::Open, 5));
        assert_eq!(after_ten_calls(reset, Hangs, "1S", is_inside), (BreakerState::Closed, 0));
    }
}

/// A service may copy a request's extensions to its response: only the answer that the time is over is a dropped call.
#[test]
fn a_deadline_on_a_response_that_is_no_timeout_hides_no_outcome() {
    const DEADLINE_EXCEEDED: &[(&str, &str)] = &[("grpc-status", "4")];
    const UNAVAILABLE: &[(&str, &str)] = &[("grpc-status", "14")];
    for (status, headers, successes, failures) in [
        (200, &[][..], 1, 0),
        (503, &[], 0, 1),
        (200, UNAVAILABLE, 0, 1),
        (504, &[], 0, 0),
        (200, DEADLINE_EXCEEDED, 0, 0),
    ] {
        let breaker = CircuitBreaker::builder(Trip::consecutive(5), RESET).timer(virtual_timer()).build();
        let service = BreakerLayer::new(&breaker).layer(service_fn(move |request: Request<()>| {
            let mut response = response(status, headers);
            *response.extensions_mut() = request.extensions().clone();
            async { Ok::<_, io::Error>(response) }
        }));
        let Poll::Ready(answer) = poll(pin!(service.oneshot(handed(Deadline::at(START), get())))) else {
            panic!("nothing is waited for")
        };
        assert_eq!(answer.unwrap().status().as_u16(), status);
        let stats = breaker.stats();
        assert_eq!((stats.successes, stats.failures), (successes, failures), "{status} {headers:?}");
    }
}
