//! Real servers and clients over loopback: axum, hyper and tonic.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{
    convert::Infallible,
    future::{Future, Ready, ready},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use http::{HeaderValue, Request, Response, StatusCode, Version, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use steadfast::{
    Deadline, DedupCache, Gcra, RateLimiter,
    dedup_cache::OnFull,
    runtime::{Clock, SystemTimer},
};
use steadfast_tower::{
    deadline::DeadlineLayer,
    idempotency::{Id, IdempotencyLayer},
    keys::{Everyone, PeerAddr, PeerIp},
    limit::LimitLayer,
};
use tokio::net::TcpListener;
use tonic::Code;
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;
use tower::{Layer, Service, service_fn};

const BURST: u32 = 3;

fn by_ip() -> RateLimiter<IpAddr, Gcra> {
    RateLimiter::builder(Gcra::per_hour(BURST)).build()
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Asks so often, each time over a connection of its own, and says what each answer was.
async fn ask(server: SocketAddr, times: u32, forwarded: &str, http2: bool) -> Vec<Response<Bytes>> {
    let mut answers = Vec::new();
    for _ in 0..times {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Empty<Bytes>>();
        let request = Request::get(format!("http://{server}/")).header("x-forwarded-for", forwarded);
        let (parts, body) = client.request(request.body(Empty::new()).unwrap()).await.unwrap().into_parts();
        answers.push(Response::from_parts(parts, body.collect().await.unwrap().to_bytes()));
    }
    answers
}

fn statuses(answers: &[Response<Bytes>]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status().as_u16()).collect()
}

fn app() -> Router {
    Router::new().route("/", get(async || "served"))
}

#[tokio::test]
async fn axum_limits_each_client_over_all_its_connections() {
    let (listener, server) = listen().await;
    let router = app().layer(LimitLayer::new(&by_ip(), PeerIp::behind(1)));
    tokio::spawn(axum::serve(listener, router).into_future());

    let answers = ask(server, 5, "203.0.113.7", false).await;
    assert_eq!(statuses(&answers), [200, 200, 200, 429, 429]);
    assert_eq!((&answers[0].body()[..], answers[0].version()), (&b"served"[..], Version::HTTP_11));
    assert_eq!(answers[0].headers()["ratelimit"], "\"default\";r=2;t=1200");
    let denied = &answers[4];
    let number = |text: &str| text.parse::<u32>().unwrap();
    let more_in = number(&denied.headers()["ratelimit"].to_str().unwrap()["\"default\";r=0;t=".len()..]);
    let retry_after = number(denied.headers()["retry-after"].to_str().unwrap());
    assert!((more_in..=more_in + 1).contains(&retry_after) && more_in > 1_000, "{more_in} {retry_after}");
    let problem: serde_json::Value = serde_json::from_slice(denied.body()).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["default"]));
    assert_eq!(denied.headers()["content-length"], denied.body().len().to_string());

    // What the client claims before its proxy changes nothing.
    assert_eq!(statuses(&ask(server, 1, "198.51.100.1, 203.0.113.7", true).await), [429]);
    assert_eq!(statuses(&ask(server, 1, "203.0.113.7, 198.51.100.1", true).await), [200]);
}

/// `tower_governor#216`: without `into_make_service_with_connect_info` every request was a 500.
#[tokio::test]
async fn axum_that_does_not_say_who_connects_limits_all_together() {
    let (listener, server) = listen().await;
    tokio::spawn(axum::serve(listener, app().layer(LimitLayer::new(&by_ip(), PeerIp::direct()))).into_future());
    assert_eq!(statuses(&ask(server, 4, "203.0.113.7", false).await), [200, 200, 200, 429]);
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn axum_says_who_connects() {
    let (listener, server) = listen().await;
    let limiter = by_ip();
    let router = app().layer(LimitLayer::new(&limiter, PeerIp::direct()));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    assert_eq!(statuses(&ask(server, 4, "203.0.113.7", false).await), [200, 200, 200, 429]);
    assert_eq!(limiter.remaining(&IpAddr::from([127, 0, 0, 1])), 0);
}

#[tokio::test]
async fn a_payment_over_http_1_is_known_over_http_2() {
    let (listener, server) = listen().await;
    let seen = DedupCache::<Id>::builder(Duration::from_secs(60), OnFull::Refuse).keeping().build();
    let pay = Router::new().route("/", post(async |body: String| body)).layer(IdempotencyLayer::new(&seen).required());
    tokio::spawn(axum::serve(listener, pay).into_future());
    let mut replayed = Vec::new();
    for http2 in [false, true, false] {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
        let request = Request::post(format!("http://{server}/")).header("idempotency-key", "k1");
        let answer = client.request(request.body(Full::from("7 EUR")).unwrap()).await.unwrap();
        replayed.push((answer.status().as_u16(), answer.headers().contains_key("idempotent-replayed")));
    }
    assert_eq!(replayed, [(200, false), (200, true), (200, true)]);
}

#[tokio::test]
async fn hyper_alone_limits_each_address() {
    let (listener, server) = listen().await;
    let limiter = by_ip();
    let layer = LimitLayer::new(&limiter, PeerIp::direct());
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let serve = service_fn(async |_: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"served"))))
            });
            let mut limited = layer.layer(serve);
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                limited.call(request)
            });
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    assert_eq!(statuses(&ask(server, 2, "", false).await), [200, 200]);
    let answers = ask(server, 2, "", true).await;
    assert_eq!((statuses(&answers), answers[0].version()), (vec![200, 429], Version::HTTP_2));
    assert_eq!(limiter.remaining(&server.ip()), 0);

    // Over HTTP/2 a body in answer to a HEAD would reset the stream.
    for http2 in [false, true] {
        let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Empty<Bytes>>();
        let request = Request::head(format!("http://{server}/")).body(Empty::new()).unwrap();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        assert_eq!(
            (head.status, body.collect().await.unwrap().to_bytes()),
            (StatusCode::TOO_MANY_REQUESTS, Bytes::new())
        );
        assert_eq!(head.headers.get("content-length"), None);
    }
}

/// A service of gRPC with one call, as tonic's generated code makes them.
#[derive(Clone)]
struct Grpc<C>(C);

impl<C> Service<Request<tonic::body::Body>> for Grpc<C>
where
    C: tonic::server::UnaryService<String, Response = String, Future: Send> + Clone + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let call = self.0.clone();
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(ProstCodec::<String, String>::default()).unary(call, request).await)
        })
    }
}

/// Echoes a message.
#[derive(Clone)]
struct Same;

impl tonic::server::UnaryService<String> for Same {
    type Response = String;
    type Future = Ready<Result<tonic::Response<String>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        ready(Ok(tonic::Response::new(request.into_inner())))
    }
}

async fn echo(server: SocketAddr) -> Result<tonic::Response<String>, tonic::Status> {
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/test.Echo/Same");
    client.unary(tonic::Request::new("hello".to_owned()), path, ProstCodec::<String, String>::default()).await
}

#[tokio::test]
async fn tonic_and_http_on_one_port_share_a_limit_and_each_is_answered_in_its_own_way() {
    let (listener, server) = listen().await;
    let limiter = RateLimiter::<(), _>::builder(Gcra::per_hour(2)).build();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let builder = tonic::transport::Server::builder().accept_http1(true);
    tokio::spawn(builder.layer(LimitLayer::new(&limiter, Everyone)).serve_with_incoming(Grpc(Same), incoming));

    let served = echo(server).await.unwrap();
    assert_eq!((served.get_ref().as_str(), served.metadata().contains_key("ratelimit")), ("hello", true));
    assert_eq!(limiter.remaining(&()), 1);
    echo(server).await.unwrap();

    let status = echo(server).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "Request cannot be satisfied as assigned quota has been exceeded");
    let delay = status.get_details_retry_info().expect("it tells when").retry_delay.unwrap();
    assert!(
        delay > Duration::from_secs(1_700) && delay < Duration::from_secs(1_800) && delay.subsec_nanos() > 0,
        "{delay:?}"
    );
    let limit = status.metadata().get("ratelimit").unwrap().to_str().unwrap();
    assert!(limit.starts_with("\"default\";r=0;t=1"), "{limit}");

    let [denied] = &ask(server, 1, "", false).await[..] else { panic!("it was asked once") };
    assert_eq!((denied.status(), denied.headers().contains_key("grpc-status")), (StatusCode::TOO_MANY_REQUESTS, false));
    assert_eq!(denied.headers()["content-type"], HeaderValue::from_static("application/problem+json"));
}

/// Says how many nanoseconds it has, or hangs if it is asked to.
#[derive(Clone)]
struct Patience;

impl tonic::server::UnaryService<String> for Patience {
    type Response = String;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<String>, tonic::Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        let deadline = *request.extensions().get::<Deadline>().expect("the layer gives it one");
        Box::pin(async move {
            if request.get_ref() == "hang" {
                core::future::pending::<()>().await;
            }
            Ok(tonic::Response::new(deadline.remaining(SystemTimer.now()).as_nanos().to_string()))
        })
    }
}

async fn serve_patience(layer: DeadlineLayer) -> tonic::transport::Channel {
    let (listener, server) = listen().await;
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let builder = tonic::transport::Server::builder();
    tokio::spawn(builder.layer(layer).serve_with_incoming(Grpc(Patience), incoming));
    tonic::transport::Endpoint::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap()
}

async fn ask_patience<S>(service: S, message: &str, timeout: Option<Duration>) -> Result<Duration, tonic::Status>
where
    S: tonic::client::GrpcService<tonic::body::Body, Error: Into<Box<dyn core::error::Error + Send + Sync>>>,
    S::ResponseBody:
        http_body::Body<Data = Bytes, Error: Into<Box<dyn core::error::Error + Send + Sync>>> + Send + 'static,
{
    let mut client = tonic::client::Grpc::new(service);
    client.ready().await.map_err(|_not_ready| tonic::Status::unknown("not ready"))?;
    let path = PathAndQuery::from_static("/test.Patience/Has");
    let mut request = tonic::Request::new(message.to_owned());
    if let Some(timeout) = timeout {
        request.set_timeout(timeout);
    }
    let answer = client.unary(request, path, ProstCodec::<String, String>::default()).await?;
    Ok(Duration::from_nanos(answer.get_ref().parse().unwrap()))
}

#[tokio::test]
async fn tonics_timeout_is_the_deadline_of_the_handler() {
    let channel = serve_patience(DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(3_600))).await;
    let hour = Duration::from_secs(3_600);
    for (asked, least, most) in
        [(None, hour / 2, hour), (Some(hour / 6), hour / 12, hour / 6), (Some(hour * 9), hour / 2, hour)]
    {
        let has = ask_patience(channel.clone(), "", asked).await.unwrap();
        assert!(has <= most && has > least, "asked for {asked:?}, has {has:?}");
    }
}

#[tokio::test]
async fn a_handler_of_tonic_that_hangs_is_answered_for_and_so_is_one_of_axum() {
    let bound = Duration::from_millis(1);
    let channel = serve_patience(DeadlineLayer::from_header("grpc-timeout").at_most(bound)).await;
    let status = ask_patience(channel, "hang", Some(Duration::from_secs(3_600))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "the request's deadline is over"));

    let (listener, server) = listen().await;
    let hang = Router::new().route("/", get(async || core::future::pending::<()>().await));
    tokio::spawn(axum::serve(listener, hang.layer(DeadlineLayer::at_most(bound))).into_future());
    for http2 in [false, true] {
        assert_eq!(statuses(&ask(server, 1, "", http2).await), [504]);
    }
}

/// The client's own `set_timeout` bounds it all, and the layer around the channel tells each attempt what is left.
#[tokio::test]
async fn a_client_of_tonic_hands_down_what_is_left() {
    let channel = serve_patience(DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(36_000))).await;
    let hour = Duration::from_secs(3_600);
    let client = DeadlineLayer::at_most(hour).tell_upstream("grpc-timeout").layer(channel);
    for (asked, least, most) in
        [(None, hour / 2, hour), (Some(hour / 6), hour / 12, hour / 6), (Some(hour * 9), hour / 2, hour)]
    {
        let has = ask_patience(client.clone(), "", asked).await.unwrap();
        assert!(has <= most && has > least, "asked for {asked:?}, has {has:?}");
    }
}

/// Tonic's channel goes by the header too, and ends a call by an error: the answer is the layer's all the same.
#[tokio::test]
async fn a_channel_of_tonic_that_gives_up_first_is_answered_for() {
    let (listener, server) = listen().await;
    let hang = Router::new().route("/test.Patience/Has", post(async || core::future::pending::<()>().await));
    tokio::spawn(axum::serve(listener, hang).into_future());
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap();
    let client = DeadlineLayer::at_most(Duration::from_millis(1)).tell_upstream("grpc-timeout").layer(channel);
    for _ in 0..20 {
        let status = ask_patience(client.clone(), "hang", None).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "the request's deadline is over"));
    }
}
