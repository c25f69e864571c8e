//! The same layers in a server of hyper: connections over loopback that are kept open, each asked again and again.
//!
//! Both ends and the kernel's part run on one thread, whose processor time is what counts.

use std::{convert::Infallible, error::Error, sync::Arc};

use axum::body::{Body, HttpBody};
use cpu_time::ThreadTime;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
    server::conn::http1,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use steadfast_tower::limit::Headers;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower::{Layer, Service, service_fn};

use super::{Plan, axum_governor, count, ours, tower_governor_with_fields, value};
use crate::{
    run::Row,
    slice::{Work, runtime},
    work::requests,
};

/// So many connections, and as many tasks that ask.
const CONNECTIONS: u64 = 16;

pub(super) fn rows(n: usize) -> Vec<Plan> {
    vec![Plan::new(format!("limit layer by header, {}, over {CONNECTIONS} connections", count(n)), move || {
        let asked = requests(n, value);
        let bare = service_fn(hello);
        Row::new(load(ours(n, Headers::Ietf).layer(bare), &asked))
            .step(CONNECTIONS)
            .peer("tower_governor, X-RateLimit", None, load(tower_governor_with_fields().layer(bare), &asked))
            .peer("axum-governor, X-RateLimit too", None, load(axum_governor().layer(bare), &asked))
            .floor("the bare server", None, load(bare, &asked))
    })]
}

async fn hello(_: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from("hello")))
}

/// A server with this service, and clients that each ask so often, one request after the other.
fn load<S, D>(service: S, asked: &Arc<[HeaderValue]>) -> Work
where
    S: Service<Request<Incoming>, Response = Response<D>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    D: HttpBody<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let runtime = runtime();
    let mut clients = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = listener.local_addr().expect("it is bound");
        tokio::spawn(serve(listener, service));
        let mut clients = Vec::new();
        for number in 0..CONNECTIONS as usize {
            let stream = TcpStream::connect(server).await.expect("it listens");
            stream.set_nodelay(true).expect("it is a socket");
            let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
            tokio::spawn(connection);
            let at = number * asked.len() / CONNECTIONS as usize;
            clients.push(Client { sender, asked: asked.clone(), at });
        }
        clients
    });
    Box::new(move |n| {
        runtime.block_on(async {
            let start = ThreadTime::now();
            let tasks: JoinSet<_> = clients.drain(..).map(|client| client.ask(n / CONNECTIONS)).collect();
            clients.extend(tasks.join_all().await);
            start.elapsed()
        })
    })
}

async fn serve<S, D>(listener: TcpListener, service: S)
where
    S: Service<Request<Incoming>, Response = Response<D>, Error = Infallible, Future: Send> + Clone + Send + 'static,
    D: HttpBody<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("it is a socket");
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// Who asks over one connection.
struct Client {
    sender: SendRequest<Empty<Bytes>>,
    asked: Arc<[HeaderValue]>,
    at: usize,
}

impl Client {
    async fn ask(mut self, times: u64) -> Self {
        for _ in 0..times {
            let mut request = Request::new(Empty::new());
            request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
            request.headers_mut().insert(&super::NAME, self.asked[self.at].clone());
            self.at = (self.at + 1) % self.asked.len();
            self.sender.ready().await.expect("the server keeps it open");
            let response = self.sender.send_request(request).await.expect("the server answers");
            assert!(response.status().is_success(), "something else was measured than what was meant");
            let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("it is sent whole");
            assert_eq!(body.to_bytes(), "hello");
        }
        self
    }
}
