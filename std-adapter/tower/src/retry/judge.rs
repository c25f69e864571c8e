//! Whether it may help to send a request again.

use http::{HeaderMap, Response, StatusCode};
use steadfast::{circuit_breaker::Open, retry::Failure};

use super::Failed;
use crate::hint;

/// True for a response after which the same request may be served.
pub(super) fn is_passing<B>(response: &Response<B>) -> bool {
    response.extensions().get::<Open>().is_none() && failure(response.status(), response.headers()).is_some()
}

/// What a failed attempt means; `None` is one that was cut off.
pub(super) fn classify<B, E>(failed: Option<&Failed<B, E>>, _attempt: u32) -> Failure {
    match failed {
        Some(Failed::Response(response)) => {
            failure(response.status(), response.headers()).unwrap_or(Failure::Permanent)
        }
        Some(Failed::Error(_)) | None => Failure::Transient,
    }
}

fn failure(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    let wait = hint::wait(headers).map(Failure::RetryAfter);
    match (hint::grpc_status(headers), status.as_u16()) {
        // Of HTTP: an idempotency layer whose first request is still worked on; a conflict without a time stays one.
        (Some(8), _) | (None, 409) => wait,
        (Some(14), _) | (None, 408 | 425 | 429 | 502 | 503 | 504) => wait.or(Some(Failure::Transient)),
        _ => None,
    }
}
