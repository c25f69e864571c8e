//! The client of the upstreams: retries around a breaker for each.

use std::{error::Error, net::SocketAddr};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, StatusCode, Uri, Version,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use steadfast::{Breakers, circuit_breaker::AnyTrip};
use steadfast_tower::{
    ReplayBody,
    breaker::{Breaker, BreakerLayer, ByKey, Host},
    retry::{Retried, RetryLayer},
};
use tower::{ServiceBuilder, ServiceExt};

/// Headers that are about one connection (RFC 9110, 7.6.1).
const OF_A_CONNECTION: [HeaderName; 5] = [CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE];

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

    /// Sends a request on, to the upstream that its path names.
    pub(crate) async fn send(&self, mut request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let upstream = if path.path().starts_with("/stock") { self.stock } else { self.orders };
        *request.uri_mut() =
            Uri::builder().scheme(Scheme::HTTP).authority(upstream.to_string()).path_and_query(path).build()?;
        *request.version_mut() = Version::HTTP_11;
        OF_A_CONNECTION.iter().for_each(|name| _ = request.headers_mut().remove(name));
        let mut response = self.client.clone().oneshot(request).await?;
        OF_A_CONNECTION.iter().for_each(|name| _ = response.headers_mut().remove(name));
        Ok(response.map(Body::new))
    }
}

/// A handler for whatever an upstream answers.
pub(crate) async fn forward(State(upstreams): State<Upstreams>, request: Request) -> Response {
    upstreams.send(request).await.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}
