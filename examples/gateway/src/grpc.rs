//! The same stock over gRPC: `shop.Stock/Get`, from an item to what there is of it, both a `google.protobuf.StringValue`.
//! In a service of your own, tonic makes this from a `.proto`.

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use steadfast::Deadline;
use tonic::{Status, server::Grpc};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::upstreams::{Upstreams, is_plain};

/// Bytes of an answer.
const MOST: usize = 4_096;

pub(crate) const GET: &str = "/shop.Stock/Get";

pub(crate) async fn get(State(upstreams): State<Upstreams>, request: Request) -> Response {
    // The call of the upstream ends by the same deadline.
    let deadline = request.extensions().get::<Deadline>().copied();
    let service =
        service_fn(move |request: tonic::Request<String>| look_up(upstreams.clone(), deadline, request.into_inner()));
    Grpc::new(ProstCodec::<String, String>::default()).unary(service, request).await.map(Body::new)
}

async fn look_up(
    upstreams: Upstreams,
    deadline: Option<Deadline>,
    item: String,
) -> Result<tonic::Response<String>, Status> {
    if !is_plain(&item) {
        return Err(Status::invalid_argument("an item has letters, digits, - and _"));
    }
    let request = Request::get(format!("/stock/{item}")).body(Body::empty());
    let mut request = request.map_err(|error| Status::invalid_argument(error.to_string()))?;
    if let Some(deadline) = deadline {
        request.extensions_mut().insert(deadline);
    }
    let unavailable = |error: &dyn std::fmt::Display| Status::unavailable(format!("stock: {error}"));
    let response = upstreams.send(request).await.map_err(|error| unavailable(&error))?;
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Status::not_found(item));
    }
    if !response.status().is_success() {
        return Err(unavailable(&response.status()));
    }
    let body =
        Limited::new(response.into_body(), MOST).collect().await.map_err(|error| unavailable(&error))?.to_bytes();
    String::from_utf8(body.into()).map(tonic::Response::new).map_err(|error| unavailable(&error))
}
