//! The client of the upstreams: retries around a breaker for each.

use std::{error::Error, net::SocketAddr};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, StatusCode,
    header::{ACCEPT, CONNECTION, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE},
    uri::Authority,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use steadfast::{Breakers, Deadline, circuit_breaker::AnyTrip};
use steadfast_tower::{
    ReplayBody,
    breaker::{Breaker, BreakerLayer, ByKey, Host},
    retry::{Retried, RetryLayer},
};
use tower::{ServiceBuilder, ServiceExt};

/// What goes on to an upstream. All else is the client's word about itself, such as `X-Forwarded-For`, or about its
/// connection; the `Idempotency-Key` too: it would say that a POST may be sent twice.
const PASSED_ON: [HeaderName; 2] = [ACCEPT, CONTENT_TYPE];

/// What an answer does not keep: it is about one connection (RFC 9110, 7.6.1).
const OF_A_CONNECTION: [HeaderName; 3] = [CONNECTION, TRANSFER_ENCODING, UPGRADE];

type Connections = Client<HttpConnector, ReplayBody<Body>>;

#[derive(Clone)]
pub(crate) struct Upstreams {
    client: Retried<Breaker<Connections, ByKey<Host, Authority, AnyTrip>>>,
    orders: SocketAddr,
    stock: SocketAddr,
}

impl Upstreams {
    pub(crate) fn new(
        retries: &RetryLayer,
        breakers: &Breakers<Authority, AnyTrip>,
        orders: SocketAddr,
        stock: SocketAddr,
    ) -> Self {
        let client = ServiceBuilder::new()
            .layer(retries.clone()) // asks the breaker at each attempt
            .layer(BreakerLayer::by_host(breakers)) // and this waits for the upstream no longer than `call_timeout`
            .service(Client::builder(TokioExecutor::new()).build_http());
        Self { client, orders, stock }
    }

    /// Sends a request on, to the upstream that its path names, and ends by its deadline.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
        let (head, body) = request.into_parts();
        let upstream = if head.uri.path().starts_with("/stock") { self.stock } else { self.orders };
        let mut request = Request::builder().method(head.method).uri(format!("http://{upstream}{}", head.uri.path()));
        for name in &PASSED_ON {
            for value in head.headers.get_all(name) {
                request = request.header(name, value);
            }
        }
        let mut request = request.body(body)?;
        if let Some(deadline) = head.extensions.get::<Deadline>() {
            request.extensions_mut().insert(*deadline);
        }
        let mut response = self.client.clone().oneshot(request).await?;
        OF_A_CONNECTION.iter().for_each(|name| _ = response.headers_mut().remove(name));
        Ok(response.map(Body::new))
    }
}

/// True for a name that means nothing else to whoever reads it in a path.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A handler for whatever an upstream answers.
pub(crate) async fn forward(State(upstreams): State<Upstreams>, request: Request) -> Response {
    if !request.uri().path().split('/').skip(1).all(is_plain) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    upstreams.send(request).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}
