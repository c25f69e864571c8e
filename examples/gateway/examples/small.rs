//! A gateway in front of one upstream.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, Uri, header::CONTENT_TYPE, uri::Authority},
    response::Response,
    routing::get,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use steadfast::{Breakers, DedupCache, Gcra, RateLimiter, Reset, RetryBudget, RetryPolicy, Trip, dedup_cache::OnFull};
use steadfast_tower::{
    ReplayBody,
    breaker::{Breaker, BreakerLayer, ByKey, Host},
    idempotency::IdempotencyLayer,
    keys::{Header, PeerIp},
    limit::LimitLayer,
    retry::{Retried, RetryLayer},
};
use tower::{ServiceBuilder, ServiceExt};

const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(100)).max_retries(3);

type Upstream = Retried<Breaker<Client<HttpConnector, ReplayBody<Body>>, ByKey<Host, Authority>>>;

pub(crate) fn app(url: Uri) -> Router {
    let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(50).burst(100)).capacity(1_000_000).build();
    let by_key = RateLimiter::<HeaderValue, _>::builder(Gcra::per_minute(600).burst(20)).build();
    let limits = LimitLayer::all() // one decision: nothing is charged if one of them denies
        .quota("ip", &by_ip, PeerIp::behind(1)) // behind one proxy
        .quota("key", &by_key, Header("x-api-key"));

    let lease = Duration::from_secs(60); // longer than a request takes
    let answers = DedupCache::builder(Duration::from_secs(3_600), OnFull::Refuse).lease(lease).keeping().build();
    let once = IdempotencyLayer::new(&answers).scope(Header("x-api-key")).required(); // of each `Idempotency-Key`

    let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2)); // who hangs has failed
    let breakers = Breakers::builder(Trip::consecutive(5), reset).build();
    let upstream = ServiceBuilder::new()
        .layer(RetryLayer::new(POLICY, &RetryBudget::percent(20))) // honours `Retry-After`
        .layer(BreakerLayer::by_host(&breakers))
        .service(Client::builder(TokioExecutor::new()).build_http());

    Router::new().route("/orders", get(orders).post(orders).layer(once)).layer(limits).with_state((url, upstream))
}

async fn orders(State((url, upstream)): State<(Uri, Upstream)>, request: Request) -> Result<Response, StatusCode> {
    // A request of its own: of the client's headers, what the upstream needs.
    let (head, body) = request.into_parts();
    let mut passed = Request::new(body);
    (*passed.method_mut(), *passed.uri_mut()) = (head.method, url);
    passed.headers_mut().extend(head.headers.get(CONTENT_TYPE).map(|kind| (CONTENT_TYPE, kind.clone())));
    let Ok(answer) = upstream.oneshot(passed).await else { return Err(StatusCode::BAD_GATEWAY) };
    Ok(answer.map(Body::new))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let app = app(Uri::from_static("http://127.0.0.1:3001/orders"));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
}
