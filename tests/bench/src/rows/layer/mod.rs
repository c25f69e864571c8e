//! One request through a layer of tower, over a service that answers at once.
//!
//! The service answers with the headers of the request, so that nothing but the layers allocates; requests are made before.
//! Peers have keys of the same type, from extractors that copy nothing, which their own do.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    mem::take,
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use axum_governor::{ExtractionError, extractor::KeyOutcome};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, request::Parts};
use steadfast::{
    CircuitBreaker, Gcra, RateLimiter, Reset, Trip,
    circuit_breaker::{CallWindow, Percent},
};
use steadfast_tower::{
    breaker::{BreakerLayer, One},
    keys::Header,
    limit::{Headers, LimitLayer, With},
};
use tower::{Layer, Service};
use tower_governor::{GovernorError, GovernorLayer, governor::GovernorConfigBuilder};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use super::{Plan, count};
use crate::{
    options::Options,
    run::Row,
    slice::{Work, timed},
    work::{Cursor, LONG, requests, text},
};

mod loopback;

const API_KEY: &str = "x-api-key";
static NAME: HeaderName = HeaderName::from_static(API_KEY);

/// So many at most in any moment: none of them is denied.
const BURST: u32 = 1_000_000;
/// One more each millisecond, so that fields have numbers as they are under load.
const INTERVAL: Duration = Duration::from_millis(1);

/// The standard library's hash, which neither peer lets its user change; ours has aHash, as it comes.
const SIPHASH: &str = "SipHash";

pub(super) fn rows(options: &Options) -> Vec<Plan> {
    let n = options.keys(10_000);
    let plan = |what: &str, row: fn(usize) -> Row| {
        Plan::new(format!("limit layer by header, {}, {what}", count(n)), move || row(n))
    };
    let breaker = Plan::new("breaker layer, HTTP, own clocks", || {
        let asked = requests(1, value);
        Row::new(calls(ours_breaker().layer(Echo), &asked))
            .peer("tower-resilience", None, calls(tower_resilience(), &asked))
            .floor("the service", None, calls(Echo, &asked))
    });
    let mut rows = vec![
        plan("no fields", |n| {
            let asked = requests(n, value);
            Row::new(calls(ours(n, Headers::None).layer(Echo), &asked))
                .peer("tower_governor", None, calls(tower_governor().layer(Echo), &asked))
                .hashing(SIPHASH)
                .floor("the service", None, calls(Echo, &asked))
        }),
        plan("X-RateLimit", |n| {
            let asked = requests(n, value);
            Row::new(calls(ours(n, Headers::Legacy).layer(Echo), &asked))
                .peer("tower_governor", None, calls(tower_governor_with_fields().layer(Echo), &asked))
                .hashing(SIPHASH)
        }),
        plan("RateLimit", |n| {
            let asked = requests(n, value);
            Row::new(calls(ours(n, Headers::Ietf).layer(Echo), &asked))
                .peer("axum-governor, X-RateLimit too", None, calls(axum_governor().layer(Echo), &asked))
                .hashing(SIPHASH)
                .floor("the service", None, calls(Echo, &asked))
        }),
        plan("RateLimit and X-RateLimit", |n| {
            let asked = requests(n, value);
            Row::new(calls(ours(n, Headers::Both).layer(Echo), &asked))
                .peer("axum-governor", None, calls(axum_governor().layer(Echo), &asked))
                .hashing(SIPHASH)
        }),
        breaker,
    ];
    rows.extend(loopback::rows(n));
    rows
}

/// A key as a header, cloned once already: the first clone is the one that allocates.
fn value(key: u64) -> HeaderValue {
    let value = HeaderValue::try_from(text(key)).expect("it is ASCII");
    drop(value.clone());
    value
}

/// The service: it answers at once, with the headers of the request.
#[derive(Clone, Copy)]
struct Echo;

impl<B> Service<Request<B>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = request.into_parts().0.headers;
        ready(Ok(response))
    }
}

/// A request for each key, so many of them made before they are timed.
fn calls<S, D>(mut service: S, asked: &Arc<[HeaderValue]>) -> Work
where
    S: Service<Request<()>, Response = Response<D>> + 'static,
{
    const AT_ONCE: usize = 64;
    let mut cursor = Cursor::new(asked, 0);
    let mut maps = vec![HeaderMap::with_capacity(12); AT_ONCE];
    let mut made = Vec::with_capacity(AT_ONCE);
    Box::new(move |n| {
        let (mut time, mut served) = (Duration::ZERO, 0);
        cursor.parts(n, AT_ONCE, |keys| {
            made.extend(keys.iter().zip(&mut maps).map(|(key, map)| {
                let mut request = Request::new(());
                *request.headers_mut() = take(map);
                request.headers_mut().insert(&NAME, key.clone());
                request
            }));
            time += timed(|| {
                for (request, map) in made.drain(..).zip(&mut maps) {
                    let response = at_once(&mut service, request);
                    served += u64::from(response.status().is_success());
                    *map = response.into_parts().0.headers;
                    map.clear();
                }
            });
        });
        assert_eq!(served, n, "something else was measured than what was meant");
        time
    })
}

/// A call to a service that is ready, and whose future is.
fn at_once<S, D>(service: &mut S, request: Request<()>) -> Response<D>
where
    S: Service<Request<()>, Response = Response<D>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut cx) else { panic!("it is ready") };
    let call = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = call.poll(&mut cx) else { panic!("it answers at once") };
    response
}

/// One quota, as it comes.
fn ours(keys: usize, headers: Headers) -> LimitLayer<With<(), Header<&'static HeaderName>, HeaderValue>> {
    let quota = Gcra::every(INTERVAL).burst(BURST);
    let limiter = RateLimiter::<HeaderValue, _>::builder(quota).capacity(keys).build();
    LimitLayer::new(&limiter, Header(&NAME)).headers(headers)
}

/// The header as it is: tower_governor leaves extractors to its user.
#[derive(Clone)]
struct ApiKey;

impl tower_governor::key_extractor::KeyExtractor for ApiKey {
    type Key = HeaderValue;

    fn extract<T>(&self, request: &Request<T>) -> Result<HeaderValue, GovernorError> {
        request.headers().get(&NAME).cloned().ok_or(GovernorError::UnableToExtractKey)
    }
}

impl axum_governor::extractor::KeyExtractor for ApiKey {
    type Key = HeaderValue;

    fn extract(&self, parts: &Parts) -> Result<KeyOutcome<HeaderValue>, ExtractionError> {
        parts.headers.get(&NAME).cloned().map(KeyOutcome::new).ok_or(ExtractionError::MissingHeader(API_KEY))
    }
}

fn tower_governor() -> GovernorLayer<ApiKey, NoOpMiddleware, Body> {
    let config = GovernorConfigBuilder::default().period(INTERVAL).burst_size(BURST).key_extractor(ApiKey).finish();
    GovernorLayer::new(config.expect("neither is zero"))
}

fn tower_governor_with_fields() -> GovernorLayer<ApiKey, StateInformationMiddleware, Body> {
    let mut config = GovernorConfigBuilder::default().period(INTERVAL).burst_size(BURST).key_extractor(ApiKey);
    GovernorLayer::new(config.use_headers().finish().expect("neither is zero"))
}

/// It always writes both kinds of fields, and counts each key for its `snapshot`; its spans are left out.
fn axum_governor() -> axum_governor::GovernorLayer<HeaderValue> {
    const MOST: NonZeroU32 = NonZeroU32::new(BURST).expect("it is not zero");
    let quota = axum_governor::Quota::requests_per_second(axum_governor::nz!(1_000_u32)).burst(MOST);
    let config = axum_governor::GovernorConfigBuilder::default().with_extractor(ApiKey).quota_default(quota);
    axum_governor::GovernorLayer::new(config.gc_disable().finish().expect("it needs no address"))
}

/// A window of 100 calls, and what is a failure by the status: as it comes.
fn ours_breaker() -> BreakerLayer<One<CallWindow<100>>> {
    let reset = Reset::after(LONG);
    BreakerLayer::new(&CircuitBreaker::new(Trip::call_window::<100>(Percent::new(50)), reset))
}

/// A window of 100 calls that does not slide, as it comes; told by the status what is a failure.
fn tower_resilience() -> impl Service<Request<()>, Response = Response<Body>> {
    let is_failure = |result: &Result<Response<Body>, Infallible>| match result {
        Ok(response) => response.status().is_server_error(),
        Err(never) => match *never {},
    };
    CircuitBreakerLayer::builder()
        .failure_classifier(is_failure)
        .build()
        .expect("its defaults are valid")
        .layer_fn(Echo)
}
