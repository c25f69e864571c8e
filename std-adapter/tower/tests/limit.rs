//! What a limited service answers, and what the limiters hold then.

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
    hash::{Hash, Hasher},
    net::IpAddr,
    num::NonZeroU32,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{sync::Arc, thread};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use sfv::{BareItem, ListEntry, Parser};
use steadfast::{
    BoxedInner, Gcra, Instant, RateLimiter, SlidingLog, block_on,
    rate_limiter::{Enforce, Quota},
    steadfast_core::{Clock, test_util::ManualClock},
};
use steadfast_tower::{
    OrAnswer,
    keys::{Everyone, Header, KeyOf, NoKey, PeerIp},
    limit::{Denied, Headers, Limit, LimitLayer, Quotas, RefundIf, Rejected, WhenNoKey},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const ONE: NonZeroU32 = NonZeroU32::MIN;

type Body = Full<axum::body::Bytes>;

fn limiter<K, A: Quota + Clone>(quota: A, clock: &ManualClock) -> RateLimiter<K, A, ManualClock> {
    RateLimiter::builder(quota).capacity(64).timer(clock.clone()).build()
}

fn clock() -> ManualClock {
    ManualClock::new(Instant::from_secs(100))
}

/// The service behind: it answers with the status that the request's path names, or 200.
async fn serve(request: Request<()>) -> Result<Response<Body>, Infallible> {
    let status = request.uri().path()[1..].parse().unwrap_or(StatusCode::OK);
    Ok(Response::builder().status(status).body(Full::from("served")).unwrap())
}

fn ask<Q, X>(layer: &LimitLayer<Q, X>, request: Request<()>) -> Response<OrAnswer<Body>>
where
    Q: Quotas<Request<()>> + Clone,
    X: RefundIf + Clone,
{
    block_on(layer.layer(service_fn(serve)).oneshot(request)).unwrap()
}

fn of(client: &str) -> Request<()> {
    Request::builder().uri("/").header("x-forwarded-for", client).header("x-api-key", "k1").body(()).unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::builder().uri(path).body(()).unwrap()
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// The items of a list of structured fields: name, and the numbers of its parameters.
fn items(headers: &HeaderMap, name: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let fields: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let list: sfv::List = Parser::new(&fields.join(&b", "[..])).parse().unwrap();
    let item = |entry| {
        let ListEntry::Item(item) = entry else { panic!("{entry:?} is a list") };
        let BareItem::String(name) = item.bare_item else { panic!("the draft wants a String") };
        let number = |value: &BareItem| i64::from(value.as_integer().expect("a whole number"));
        (name.as_str().to_owned(), item.params.iter().map(|(key, value)| (key.to_string(), number(value))).collect())
    };
    list.into_iter().map(item).collect()
}

fn item(name: &str, parameters: &[(&str, i64)]) -> (String, Vec<(String, i64)>) {
    (name.to_owned(), parameters.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect())
}

fn body(response: Response<OrAnswer<Body>>) -> String {
    let bytes = block_on(response.into_body().collect()).unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_request_too_many_is_answered_and_the_next_is_served_when_the_answer_says() {
    let clock = clock();
    let limiter = limiter(Gcra::every(Duration::from_millis(1_500)).burst(2), &clock);
    let layer = LimitLayer::new(&limiter, PeerIp::behind(1));
    for _ in 0..2 {
        let response = ask(&layer, of("203.0.113.7"));
        assert_eq!((response.status(), body(response).as_str()), (StatusCode::OK, "served"));
    }
    let denied = ask(&layer, of("203.0.113.7"));
    assert_eq!(denied.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(denied.headers(), "retry-after").unwrap(), "2");
    assert_eq!(text(denied.headers(), "content-type").unwrap(), "application/problem+json");
    let told = denied.extensions().get::<Denied>().unwrap();
    assert_eq!((&told.policies[..], told.retry_after), (&["default"][..], Some(Duration::from_millis(1_500))));
    let problem: serde_json::Value = serde_json::from_str(&body(denied)).unwrap();
    let expected = serde_json::json!({
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "violated-policies": ["default"],
    });
    assert_eq!(problem, expected);

    assert_eq!(ask(&layer, of("198.51.100.1")).status(), StatusCode::OK, "another client");
    clock.advance(Duration::from_secs(2));
    assert_eq!(ask(&layer, of("203.0.113.7")).status(), StatusCode::OK);
    assert_eq!((limiter.stats().allowed, limiter.stats().denied), (4, 1));
}

#[test]
fn headers_are_those_of_the_draft_by_an_independent_parser() {
    let clock = clock();
    let burst = limiter(Gcra::per_second(50).burst(20), &clock);
    let daily = limiter(SlidingLog::<3>::new(Duration::from_secs(86_400)), &clock);
    let layer = LimitLayer::all().quota("burst", &burst, PeerIp::behind(1)).quota("per \"day\"", &daily, Everyone);
    let response = ask(&layer, of("203.0.113.7"));
    let policies = [item("burst", &[("q", 20), ("w", 1)]), item("per \"day\"", &[("q", 3), ("w", 86_400)])];
    assert_eq!(items(response.headers(), "ratelimit-policy"), policies);
    let limits = [item("burst", &[("r", 19), ("t", 1)]), item("per \"day\"", &[("r", 2), ("t", 86_400)])];
    assert_eq!(items(response.headers(), "ratelimit"), limits);

    clock.advance(Duration::from_secs(60));
    (0..2).for_each(|_| assert_eq!(ask(&layer, of("203.0.113.7")).status(), StatusCode::OK));
    let denied = ask(&layer, of("203.0.113.7"));
    assert_eq!(items(denied.headers(), "ratelimit-policy"), policies);
    // `Retry-After` is not earlier than any `t`.
    let limits = [item("burst", &[("r", 18)]), item("per \"day\"", &[("r", 0), ("t", 86_340)])];
    assert_eq!(items(denied.headers(), "ratelimit"), limits);
    assert_eq!(text(denied.headers(), "retry-after").unwrap(), "86340");
    let problem: serde_json::Value = serde_json::from_str(&body(denied)).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["per \"day\""]));
}

#[test]
fn what_has_no_window_and_what_is_whole_is_told_so() {
    let clock = clock();
    let unlimited = LimitLayer::new(&limiter(Gcra::every(Duration::ZERO), &clock), Everyone);
    let response = ask(&unlimited, get("/"));
    assert_eq!(items(response.headers(), "ratelimit-policy"), [item("default", &[("q", 1)])]);
    assert_eq!(items(response.headers(), "ratelimit"), [item("default", &[("r", 1)])]);

    let closed = LimitLayer::new(&limiter(Gcra::per_second(0), &clock), Everyone);
    let denied = ask(&closed, get("/"));
    assert_eq!((denied.status(), text(denied.headers(), "retry-after")), (StatusCode::TOO_MANY_REQUESTS, None));
    assert_eq!(items(denied.headers(), "ratelimit-policy"), [item("default", &[("q", 0)])]);
}

/// The window and the time to wait of the slowest quota there is are integers of structured fields.
#[test]
fn no_number_is_longer_than_the_parser_takes() {
    let slowest = Gcra::every(Duration::MAX).burst(u32::MAX);
    let layer = LimitLayer::new(&limiter(slowest, &clock()), Everyone);
    let response = ask(&layer, get("/"));
    assert_eq!(items(response.headers(), "ratelimit-policy").len(), 1);
    assert_eq!(items(response.headers(), "ratelimit").len(), 1);
}

#[test]
fn a_list_that_is_long_is_in_several_fields() {
    const LONG: &str = "a name of a policy that is longer than anybody would ever want to read it on a screen";
    let clock = clock();
    let limiter = limiter(Gcra::per_minute(10), &clock);
    let layer = LimitLayer::all().quota(LONG, &limiter, Everyone).quota(LONG, &limiter, Everyone);
    let layer = layer.quota(LONG, &limiter, Everyone).quota(LONG, &limiter, Everyone).quota(LONG, &limiter, Everyone);
    let layer = layer.quota(LONG, &limiter, Everyone).quota(LONG, &limiter, Everyone).quota("last", &limiter, Everyone);
    let response = ask(&layer, get("/"));
    let policies = items(response.headers(), "ratelimit-policy");
    let names: Vec<&str> = policies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [[&LONG[..64]; 7].as_slice(), &["last"]].concat());
    assert_eq!(items(response.headers(), "ratelimit").len(), 8);
    assert_eq!(response.headers().get_all("ratelimit-policy").iter().count(), 2);
}

#[test]
fn legacy_headers_are_of_the_quota_that_has_least_left() {
    let clock = clock();
    let (few, many) = (limiter(Gcra::per_minute(2), &clock), limiter(Gcra::per_minute(100), &clock));
    let all = LimitLayer::all().quota("many", &many, Everyone).quota("few", &few, Everyone);
    let told = |headers: Headers| {
        let response = ask(&all.clone().headers(headers), get("/"));
        let legacy =
            ["limit", "remaining", "reset"].map(|name| text(response.headers(), &format!("x-ratelimit-{name}")));
        (legacy.map(|value| value.unwrap_or_default()), response.headers().contains_key("ratelimit"))
    };
    assert_eq!(told(Headers::Legacy), (["2", "1", "30"].map(str::to_owned), false));
    assert_eq!(told(Headers::Both), (["2", "0", "60"].map(str::to_owned), true));
    assert_eq!(told(Headers::Both), (["2", "0", "60"].map(str::to_owned), true), "denied");
    assert_eq!(told(Headers::None), ([""; 3].map(str::to_owned), false));
    let denied = ask(&all.headers(Headers::None), get("/"));
    assert_eq!(text(denied.headers(), "retry-after").unwrap(), "30", "it is always told");
}

#[test]
fn layers_around_each_other_tell_all_limits() {
    let clock = clock();
    let (inner, outer) = (limiter(Gcra::per_minute(2), &clock), limiter(Gcra::per_minute(100), &clock));
    let inner = LimitLayer::all().quota("inner", &inner, Everyone).headers(Headers::Both);
    let outer = LimitLayer::all().quota("outer", &outer, Everyone).headers(Headers::Both);
    let service = outer.layer(inner.layer(service_fn(serve)));
    let response = block_on(service.oneshot(get("/"))).unwrap();
    let names: Vec<String> = items(response.headers(), "ratelimit").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["inner", "outer"]);
    assert_eq!(text(response.headers(), "x-ratelimit-limit").unwrap(), "2");
}

#[test]
fn several_quotas_are_one_decision_and_a_denial_takes_nothing() {
    let clock = clock();
    let (by_ip, by_key) = (limiter(Gcra::per_minute(5), &clock), limiter(Gcra::per_minute(2), &clock));
    let layer = LimitLayer::all()
        .quota("ip", &by_ip, PeerIp::behind(1))
        .quota("key", &by_key, Header("x-api-key"))
        .when_no_key(WhenNoKey::Allow);
    let statuses: Vec<u16> = (0..4).map(|_| ask(&layer, of("203.0.113.7")).status().as_u16()).collect();
    assert_eq!(statuses, [200, 200, 429, 429]);
    let ip = IpAddr::from([203, 0, 113, 7]);
    assert_eq!((by_ip.remaining(&ip), by_ip.stats().denied, by_key.stats().denied), (3, 0, 2));
    assert_eq!(by_ip.stats().allowed, 2, "not even for a moment");

    // Both deny, and both are named; the first is the one that counts it.
    let mut without_key = of("203.0.113.7");
    without_key.headers_mut().remove("x-api-key");
    (0..3).for_each(|_| assert_eq!(ask(&layer, without_key.clone()).status(), StatusCode::OK));
    let denied = ask(&layer, of("203.0.113.7"));
    let told = denied.extensions().get::<Denied>().unwrap();
    assert_eq!((&told.policies[..], told.retry_after), (&["ip", "key"][..], Some(Duration::from_secs(30))));
    assert_eq!((by_ip.stats().denied, by_key.stats().denied), (1, 2));
}

#[test]
fn a_quota_that_is_observed_is_told_and_denies_nobody_and_gets_nothing_back() {
    let clock = clock();
    let (by_ip, by_key) = (limiter(Gcra::per_minute(6), &clock), limiter(Gcra::per_minute(2), &clock));
    by_key.set_enforce(Enforce::Observe);
    let layer = LimitLayer::all()
        .quota("ip", &by_ip, PeerIp::behind(1))
        .quota("key", &by_key, Header("x-api-key"))
        .refund_if(|response| response.status == StatusCode::NOT_FOUND);
    let (ip, key) = (IpAddr::from([203, 0, 113, 7]), HeaderValue::from_static("k1"));
    let answers: Vec<_> = (0..4).map(|_| ask(&layer, of("203.0.113.7"))).collect();
    assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
    let told = items(answers[3].headers(), "ratelimit");
    assert_eq!(told, [item("ip", &[("r", 2), ("t", 10)]), item("key", &[("r", 0), ("t", 30)])]);
    assert_eq!((by_ip.remaining(&ip), by_key.remaining(&key)), (2, 0));

    // What has taken nothing gives nothing back: neither for its response,
    let mut missing = of("203.0.113.7");
    *missing.uri_mut() = "/404".parse().unwrap();
    let answer = ask(&layer, missing.clone());
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(items(answer.headers(), "ratelimit")[1], item("key", &[("r", 0), ("t", 30)]));
    assert_eq!((by_ip.remaining(&ip), by_key.remaining(&key), by_key.stats().refunded), (2, 0, 0));
    assert_eq!(by_ip.stats().refunded, 1);
    // nor when another quota denies.
    (0..2).for_each(|_| assert_eq!(ask(&layer, of("203.0.113.7")).status(), StatusCode::OK));
    let denied = ask(&layer, of("203.0.113.7"));
    let told = denied.extensions().get::<Denied>().unwrap();
    assert_eq!((denied.status(), &told.policies[..]), (StatusCode::TOO_MANY_REQUESTS, &["ip"][..]));
    assert_eq!((by_key.remaining(&key), by_key.stats().refunded), (0, 0));

    let stats = by_key.stats();
    assert_eq!((stats.allowed, stats.denied, stats.overridden), (7, 0, 5));
    by_key.set_enforce(Enforce::Yes);
    clock.advance(Duration::from_secs(10));
    let denied = ask(&layer, of("203.0.113.7"));
    assert_eq!(denied.extensions().get::<Denied>().unwrap().policies, ["key"]);
}

/// A key that does something while it is hashed, which happens outside every lock.
#[derive(Clone)]
struct Spy(Arc<dyn Fn() + Send + Sync>);

impl Hash for Spy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0)();
        state.write_u8(0);
    }
}

#[test]
fn who_loses_a_race_between_asking_and_taking_gets_everything_back() {
    let clock = clock();
    let first = limiter::<Spy, _>(Gcra::per_minute(5), &clock);
    let second = limiter::<Spy, _>(Gcra::per_minute(1), &clock);
    // When the second was asked, and the first is charged, another takes what the second had.
    let (asked, rival) = (Arc::new(AtomicBool::new(false)), second.clone());
    let (is_asked, is_done, no_spy) = (asked.clone(), AtomicBool::new(false), Spy(Arc::new(|| {})));
    let spy = Spy(Arc::new(move || {
        if is_asked.load(Ordering::SeqCst) && !is_done.swap(true, Ordering::SeqCst) {
            assert!(rival.allow(&no_spy).is_allowed());
        }
    }));
    let (key, second_key) = (spy.clone(), Spy(Arc::new(move || asked.store(true, Ordering::SeqCst))));
    let layer = LimitLayer::all()
        .quota("first", &first, move |_: &Request<()>| Ok::<_, NoKey>(Some(key.clone())))
        .quota("second", &second, move |_: &Request<()>| Ok::<_, NoKey>(Some(second_key.clone())));
    let denied = ask(&layer, get("/"));
    assert_eq!(denied.extensions().get::<Denied>().unwrap().policies, ["second"]);
    assert_eq!((first.stats().allowed, first.stats().refunded, first.remaining(&spy)), (1, 1, 5));
    let told = items(denied.headers(), "ratelimit");
    assert_eq!(told, [item("first", &[("r", 5)]), item("second", &[("r", 0), ("t", 60)])]);
}

/// Safety: no more than each quota has. Liveness: when all is quiet, all that was not used is there.
#[test]
fn under_many_threads_no_quota_is_exceeded_and_none_is_lost() {
    let clock = clock();
    let (wide, narrow) = (limiter(Gcra::per_hour(1_000), &clock), limiter(Gcra::per_hour(300), &clock));
    let layer =
        LimitLayer::all().quota("wide", &wide, Everyone).quota("narrow", &narrow, Everyone).headers(Headers::None);
    let served = |requests: u32| (0..requests).filter(|_| ask(&layer, get("/")).status() == StatusCode::OK).count();
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| served(200))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
    });
    assert!(counts <= 300, "{counts}");
    assert_eq!(counts + served(300), 300);
    assert_eq!((wide.remaining(&()), narrow.remaining(&())), (700, 0));
}

#[test]
fn what_a_response_gives_back_does_not_count_and_is_told() {
    let clock = clock();
    let logins = limiter(Gcra::per_hour(2), &clock);
    let layer = LimitLayer::new(&logins, Everyone).refund_if(|response| response.status.is_success());
    for _ in 0..5 {
        let response = ask(&layer, get("/200"));
        assert_eq!(items(response.headers(), "ratelimit"), [item("default", &[("r", 2)])]);
    }
    assert_eq!(logins.remaining(&()), 2);
    assert_eq!([401, 401].map(|status| ask(&layer, get(&format!("/{status}"))).status().as_u16()), [401, 401]);
    assert_eq!(ask(&layer, get("/200")).status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(logins.remaining(&()), 0, "an answer of the layer's gives nothing back");
}

/// Who holds successes back until their charges have gone could else have failures forgotten by them.
#[test]
fn a_response_that_comes_late_gives_back_no_other_charge() {
    let clock = clock();
    let logins = limiter(Gcra::per_hour(5), &clock);
    let layer = LimitLayer::new(&logins, Everyone).refund_if(|response| response.status.is_success());
    let answer = Arc::new(AtomicBool::new(false));
    let slow = {
        let answer = answer.clone();
        service_fn(move |_: Request<()>| {
            let answer = answer.clone();
            core::future::poll_fn(move |_| match answer.load(Ordering::Relaxed) {
                true => Poll::Ready(Ok::<_, Infallible>(Response::new(Body::from("welcome")))),
                false => Poll::Pending,
            })
        })
    };
    let cx = &mut Context::from_waker(Waker::noop());
    let mut held: Vec<_> = (0..5).map(|_| Box::pin(layer.layer(slow.clone()).oneshot(get("/")))).collect();
    assert!(held.iter_mut().all(|call| call.as_mut().poll(cx).is_pending()));
    assert_eq!(logins.remaining(&()), 0);
    clock.advance(Duration::from_secs(3_600));
    assert!((0..5).all(|_| ask(&layer, get("/401")).status() == StatusCode::UNAUTHORIZED));
    answer.store(true, Ordering::Relaxed);
    assert!(held.iter_mut().all(|call| call.as_mut().poll(cx).is_ready()));
    assert_eq!(ask(&layer, get("/401")).status(), StatusCode::TOO_MANY_REQUESTS, "five guesses an hour");

    // Soon enough it is given back.
    clock.advance(Duration::from_secs(720));
    assert_eq!(ask(&layer, get("/200")).status(), StatusCode::OK);
    assert_eq!(logins.remaining(&()), 1);
}

#[test]
fn a_request_whose_client_hangs_up_counts() {
    let limiter = limiter(Gcra::per_hour(2), &clock());
    let layer = LimitLayer::new(&limiter, Everyone).refund_if(|_| true);
    let hangs = service_fn(|_: Request<()>| core::future::pending::<Result<Response<Body>, Infallible>>());
    let mut service = layer.layer(hangs);
    let mut call = Box::pin(service.call(get("/")));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    assert_eq!(limiter.remaining(&()), 1);
}

#[test]
fn a_request_without_a_key_is_never_an_error_of_the_servers() {
    let clock = clock();
    let limiter = limiter::<IpAddr, _>(Gcra::per_minute(2), &clock);
    let layer = LimitLayer::new(&limiter, PeerIp::direct());
    let statuses = |layer: &LimitLayer<_>| [(); 3].map(|()| ask(layer, get("/")).status().as_u16());
    assert_eq!(statuses(&layer), [200, 200, 429], "all of them share one");
    assert_eq!(statuses(&layer.clone()), [429; 3], "a clone shares it too");
    assert!(limiter.is_empty(), "and it is nobody's own");
    assert_eq!(statuses(&layer.clone().when_no_key(WhenNoKey::Allow)), [200; 3]);
    let closed = layer.clone().when_no_key(WhenNoKey::Deny);
    assert_eq!(statuses(&closed), [429; 3]);
    let denied = ask(&closed, get("/"));
    assert!(!denied.headers().contains_key("retry-after") && !denied.headers().contains_key("ratelimit"));

    clock.advance(Duration::from_secs(60));
    limiter.set_quota(Gcra::per_minute(1));
    assert_eq!(statuses(&layer), [200, 429, 429], "it follows the quota of the others");
    limiter.set_enforce(Enforce::Observe);
    assert_eq!(statuses(&layer), [200; 3], "and whether it is enforced");
    assert_eq!(layer.without_key(), 19, "each of them, whatever became of it");
    assert_eq!(closed.without_key(), 19, "clones count together");
}

#[test]
fn what_no_quota_has_a_key_for_is_not_limited_and_told_nothing() {
    let limiter = limiter(Gcra::per_minute(1), &clock());
    let layer = LimitLayer::new(&limiter, |_: &Request<()>| Ok::<_, NoKey>(None::<u64>)).headers(Headers::Both);
    for _ in 0..3 {
        let response = ask(&layer, get("/"));
        assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
    }
    let none = LimitLayer::all();
    assert_eq!(ask(&none, get("/")).status(), StatusCode::OK);
}

/// Safety: however many addresses a client makes up, they take no more keys than there is room for. Liveness: while there is
/// room for those of the last second, each is served.
#[test]
fn made_up_addresses_take_no_more_keys_than_there_is_room_for() {
    let clock = clock();
    let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(1)).timer(clock.clone()).capacity(100).build();
    let (layer, room) = (LimitLayer::new(&by_ip, PeerIp::behind(1)), by_ip.capacity());
    let asks = |number: u32| {
        let response = ask(&layer, of(&core::net::Ipv4Addr::from_bits(number).to_string()));
        assert!(by_ip.len() <= room, "{}", by_ip.len());
        response.status() == StatusCode::OK
    };
    for number in 0..5_000 {
        assert!(asks(number), "{number}");
        clock.advance(Duration::from_millis(20));
    }
    let served = (5_000..10_000).filter(|number| asks(*number)).count();
    assert!((50..5_000).contains(&served), "all at once: {served}");
    assert_eq!(by_ip.capacity(), room);
}

/// tower#794, axum#3682: 1,500 connections, each with a clone of the service, had a limit each.
#[test]
fn every_service_and_clone_shares_the_limit() {
    let limiter = limiter(Gcra::per_second(5), &clock());
    let layer = LimitLayer::new(&limiter, Everyone);
    let service = layer.layer(service_fn(serve));
    let mut services: Vec<_> = (0..1_000).map(|_| service.clone()).collect();
    services.extend((0..500).map(|_| layer.clone().layer(service_fn(serve))));
    let served = services
        .into_iter()
        .filter(|service| block_on(service.clone().oneshot(get("/"))).unwrap().status() == StatusCode::OK);
    assert_eq!(served.count(), 5);
}

#[test]
fn a_service_that_is_ready_and_not_called_has_taken_nothing() {
    let limiter = limiter(Gcra::per_second(1), &clock());
    let mut services = [(); 3].map(|()| LimitLayer::new(&limiter, Everyone).layer(service_fn(serve)));
    for service in &mut services {
        let ready = Service::<Request<()>>::poll_ready(service, &mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(()))));
    }
    assert_eq!((limiter.stats().allowed, limiter.remaining(&())), (0, 1));
}

#[test]
fn an_error_of_the_service_is_passed_on_and_counts() {
    let limiter = limiter(Gcra::per_second(2), &clock());
    let fails = service_fn(async |_: Request<()>| Err::<Response<Body>, _>("down"));
    let service = LimitLayer::new(&limiter, Everyone).refund_if(|_| true).layer(fails);
    assert_eq!(block_on(service.clone().oneshot(get("/"))).unwrap_err(), "down");
    assert_eq!(limiter.remaining(&()), 1);

    let fails = service_fn(async |_: u8| Err::<(), _>(std::io::Error::other("down")));
    let service = LimitLayer::new(&limiter, Everyone).rejecting().layer(fails);
    let error = block_on(service.clone().oneshot(7)).unwrap_err();
    assert!(matches!(error, Rejected::Inner(_)) && error.to_string() == "down");
    let error = block_on(service.oneshot(7)).unwrap_err();
    assert_eq!(error.to_string(), "the rate limit of default is reached");
    let passed_on: tower::BoxError = Rejected::Inner(tower::BoxError::from("down")).boxed().into();
    assert_eq!(passed_on.to_string(), "down");
    let Rejected::Denied(denied) = error else { panic!("it was one too many") };
    assert_eq!(denied.retry_after, Some(Duration::from_millis(500)));
}

#[test]
fn a_future_that_has_ended_is_pending_and_not_a_panic() {
    let limiter = limiter(Gcra::per_second(1), &clock());
    let mut service: Limit<_, _> = LimitLayer::new(&limiter, Everyone).layer(service_fn(serve));
    for _ in 0..2 {
        let mut call = pin!(service.call(get("/")));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_ready());
        assert!(call.as_mut().poll(&mut cx).is_pending());
    }
}

#[test]
fn the_clock_is_that_of_each_limiter() {
    let (early, late) = (clock(), ManualClock::new(Instant::from_secs(1_000_000)));
    let (first, second) = (limiter(Gcra::per_minute(60), &early), limiter(Gcra::per_minute(1), &late));
    let layer = LimitLayer::all().quota("first", &first, Everyone).quota("second", &second, Everyone);
    let response = ask(&layer, get("/"));
    let told = [item("first", &[("r", 59), ("t", 1)]), item("second", &[("r", 0), ("t", 60)])];
    assert_eq!(items(response.headers(), "ratelimit"), told);
    assert_eq!(late.now(), Instant::from_secs(1_000_000));
    assert!(first.check_n(&(), ONE).unwrap().is_allowed());
}

#[test]
fn a_closure_of_the_request_finds_any_key() {
    #[derive(Clone)]
    struct User(u64);
    let by_user = |request: &Request<()>| request.extensions().get().map(|User(id)| Some(*id)).ok_or(NoKey);
    let mut request = get("/");
    assert_eq!(by_user.key_of(&request), Err(NoKey));
    let limiter = limiter(Gcra::per_minute(1), &clock());
    let layer = LimitLayer::new(&limiter, by_user);
    for (user, status) in [(1, 200), (2, 200), (1, 429)] {
        request.extensions_mut().insert(User(user));
        assert_eq!(ask(&layer, request.clone()).status().as_u16(), status);
    }
}
