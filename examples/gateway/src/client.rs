//! A client of the story: over HTTP and gRPC, from any address, since a proxy says so.

use std::{error::Error, net::SocketAddr};

use axum::body::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, uri::PathAndQuery};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use tonic_prost::ProstCodec;

use crate::grpc;

#[derive(Clone)]
pub(crate) struct Client {
    connections: Connections<HttpConnector, Full<Bytes>>,
    gateway: SocketAddr,
    address: String,
    api_key: String,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(gateway: SocketAddr, address: &str, api_key: &str) -> Self {
        let connections = Connections::builder(TokioExecutor::new()).build_http();
        Self { connections, gateway, address: address.to_owned(), api_key: api_key.to_owned() }
    }

    /// The same connections, for another client.
    pub(crate) fn with(&self, address: &str, api_key: &str) -> Self {
        Self { address: address.to_owned(), api_key: api_key.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        self.ask(Method::GET, path, None, "").await
    }

    pub(crate) async fn post(&self, key: Option<&str>, body: &str) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        self.ask(Method::POST, "/orders", key, body).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &str,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.gateway))
            .header("x-forwarded-for", &self.address)
            .header("x-api-key", &self.api_key);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::from(body.to_owned()))?;
        let (head, body) = self.connections.request(request).await?.into_parts();
        let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// What there is of an item, over gRPC.
    pub(crate) async fn stock(
        &self,
        item: &str,
    ) -> Result<Result<String, tonic::Status>, Box<dyn Error + Send + Sync>> {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", self.gateway))?.connect().await?;
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await?;
        let mut request = tonic::Request::new(item.to_owned());
        request.metadata_mut().insert("x-forwarded-for", self.address.parse()?);
        request.metadata_mut().insert("x-api-key", self.api_key.parse()?);
        let codec = ProstCodec::<String, String>::default();
        let answer = client.unary(request, PathAndQuery::from_static(grpc::GET), codec).await;
        Ok(answer.map(tonic::Response::into_inner))
    }
}
