//! What a response says about the other side.

use http::{HeaderMap, Response, StatusCode};
use steadfast::{
    Deadline,
    circuit_breaker::{Classify, Outcome},
};

use crate::hint;

/// What a response says about the other side, by its status.
///
/// | response | outcome |
/// |---|---|
/// | 5xx; of gRPC `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS` | [`Failure`](Outcome::Failure) |
/// | such a one with `Retry-After` or a `RetryInfo` | [`RetryAfter`](Outcome::RetryAfter) |
/// | 429; of gRPC `RESOURCE_EXHAUSTED` | [`Ignored`](Outcome::Ignored): it is up, and the caller sends too much |
/// | every other | [`Success`](Outcome::Success), 4xx too: the caller's own mistake |
///
/// After a `RetryAfter` the breaker stays open at least that long, but not longer than
/// [`Reset::up_to`](steadfast::Reset::up_to); where that is not set, for the first open time.
///
/// The status of a gRPC call is seen if it comes in the headers, as errors without a message do; not in trailers after one.
///
/// ```
/// use http::{HeaderMap, StatusCode};
/// use steadfast::circuit_breaker::Outcome;
/// use steadfast_tower::breaker::by_status;
///
/// let none = HeaderMap::new();
/// assert_eq!(by_status(StatusCode::BAD_GATEWAY, &none), Outcome::Failure);
/// assert_eq!(by_status(StatusCode::NOT_FOUND, &none), Outcome::Success);
/// assert_eq!(by_status(StatusCode::TOO_MANY_REQUESTS, &none), Outcome::Ignored);
/// ```
#[must_use]
pub fn by_status(status: StatusCode, headers: &HeaderMap) -> Outcome {
    let is_failure = match hint::grpc_status(headers) {
        Some(8) => return Outcome::Ignored,
        Some(code) => matches!(code, 2 | 4 | 13 | 14 | 15),
        None if status == StatusCode::TOO_MANY_REQUESTS => return Outcome::Ignored,
        None => status.is_server_error(),
    };
    match is_failure {
        true => hint::wait(headers).map_or(Outcome::Failure, Outcome::RetryAfter),
        false => Outcome::Success,
    }
}

/// Says what a response says about the other side: a closure, such as [`by_status`].
pub trait JudgeResponse {
    /// The outcome of a call that had a response.
    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Outcome;
}

impl<F: Fn(StatusCode, &HeaderMap) -> Outcome> JudgeResponse for F {
    fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        self(status, headers)
    }
}

/// A [`JudgeResponse`] for one call; an error is a failure, and the answer to a caller whose
/// [`Deadline`] was over, a time-out with that in its extensions, is a dropped call.
#[derive(Clone, Copy, Debug)]
pub struct Judge<C>(pub(super) C);

impl<C: JudgeResponse, B, E> Classify<Response<B>, E> for Judge<C> {
    fn classify(self, result: &Result<Response<B>, E>) -> Outcome {
        match result {
            // Of a layer inside: the caller had no more time, as if it had dropped the call.
            // A service may have copied the request's extensions to another answer.
            Ok(response) if response.extensions().get::<Deadline>().is_some() && hint::is_timeout(response) => {
                Outcome::Dropped
            }
            Ok(response) => self.0.judge(response.status(), response.headers()),
            Err(_) => Outcome::Failure,
        }
    }
}
