//! Circuit breakers around a service: one, or one for each host.
//!
//! - [`BreakerLayer`] answers over HTTP (503 with `Retry-After`) and gRPC (`UNAVAILABLE`) while a breaker is open.
//! - [`GuardLayer`] is the same for a [`Service`](tower_service::Service) of any request: its error is
//!   [`BreakerError`](steadfast::circuit_breaker::BreakerError).
//!
//! **What counts as a failure** is told at [`by_status`].

mod guard;
mod outcome;
mod select;
mod service;

use core::{fmt, hash::Hash};

use http::{HeaderMap, StatusCode};
use steadfast::{
    Breakers, CircuitBreaker,
    circuit_breaker::{Outcome, TripPolicy},
    runtime::Timer,
};
use tower_layer::Layer;

pub use guard::{Guard, GuardFuture, GuardLayer};
pub use outcome::{Judge, JudgeResponse, by_status};
pub use select::{ByKey, Host, One, Select};
pub use service::{Breaker, BreakerFuture};

/// Stops calls to a service that keeps failing or hangs, and answers in its place: a [`CircuitBreaker`] as a layer of tower.
///
/// While the breaker is open the answer is a 503 with `Retry-After`, or `UNAVAILABLE` with a `RetryInfo` for gRPC. A call
/// that takes [`Reset::call_timeout`](steadfast::Reset::call_timeout) is cut off, counts as a failure, and is answered by a
/// 504 or `DEADLINE_EXCEEDED`. Errors of the service are failures, and passed on. The answer of an open breaker has an
/// [`Open`](steadfast::circuit_breaker::Open) in its extensions, for a layer outside that writes another body.
///
/// ```
/// use core::time::Duration;
/// use http::uri::Authority;
/// use steadfast::{Breakers, Reset, Trip};
/// use steadfast_tower::breaker::BreakerLayer;
/// use tower::ServiceBuilder;
/// # use http::{Request, Response};
/// # let client = tower::service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(String::new())));
///
/// let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2));
/// let breakers = Breakers::<Authority>::builder(Trip::consecutive(5), reset).capacity(10_000).build();
///
/// // A client of hyper, reqwest or tonic.
/// let client = ServiceBuilder::new().layer(BreakerLayer::by_host(&breakers)).service(client);
/// ```
///
/// The state is in the breaker: all services that this layer makes, and their clones, share it. It is asked in `call`, not in
/// `poll_ready`, and before the service is called. Dropping the future gives the permit back, as
/// [`CallGuard`](steadfast::circuit_breaker::CallGuard) says.
///
/// **Bodies**: a call ends with the head of its response, so one that hangs in the body counts as a success. Where bodies are
/// small, gather them in a service inside the breaker, and what hangs there hangs in the call:
///
/// ```
/// # use core::time::Duration;
/// # use axum::body::Bytes;
/// # use http::Response;
/// # use http_body_util::{BodyExt, Full};
/// # use hyper::body::Incoming;
/// # use hyper_util::{client::legacy::{Client, Error}, rt::TokioExecutor};
/// # use steadfast::{CircuitBreaker, Reset, Trip};
/// # use steadfast_tower::breaker::BreakerLayer;
/// # use tower::{BoxError, ServiceBuilder};
/// # let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2));
/// # let breaker = CircuitBreaker::new(Trip::consecutive(5), reset);
/// let client = ServiceBuilder::new()
///     .layer(BreakerLayer::new(&breaker))
///     .and_then(async |response: Response<Incoming>| {
///         let (head, body) = response.into_parts();
///         Ok::<_, BoxError>(Response::from_parts(head, Full::new(body.collect().await?.to_bytes())))
///     })
///     .map_err(|error: Error| BoxError::from(error))
///     .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
/// ```
///
/// **Order**: retries around it, time limits inside. A time limit around the breaker hides a service that hangs from it.
///
/// **Deadlines**: a call that its caller's [`Deadline`](steadfast::Deadline) cuts off counts as a dropped one, be the
/// [`DeadlineLayer`](crate::deadline::DeadlineLayer) around the breaker or inside: ignored, unless
/// [`Reset::on_drop`](steadfast::Reset::on_drop) says otherwise, and a failure once it has taken `call_timeout`. So set that:
/// a service that hangs is known by it, however impatient its callers are.
#[doc(alias("CircuitBreakerLayer", "fail fast", "outlier detection"))]
#[derive(Clone)]
#[must_use = "a layer guards nothing until a service is in it"]
pub struct BreakerLayer<B, C = fn(StatusCode, &HeaderMap) -> Outcome> {
    breaker: B,
    judge: C,
}

impl<B, C> fmt::Debug for BreakerLayer<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer").finish_non_exhaustive()
    }
}

impl<P: TripPolicy, T: Timer> BreakerLayer<One<P, T>> {
    /// One breaker for the whole service.
    pub fn new(breaker: &CircuitBreaker<P, T>) -> Self {
        Self { breaker: One(breaker.clone()), judge: by_status }
    }
}

impl<K: Eq + Hash + Clone, P: TripPolicy, T: Timer, F> BreakerLayer<ByKey<F, K, P, T>> {
    /// A breaker for each key that `key` finds. A request without a key is not guarded.
    pub fn by(breakers: &Breakers<K, P, T>, key: F) -> Self {
        Self { breaker: ByKey::new(breakers, key), judge: by_status }
    }
}

impl<P: TripPolicy, T: Timer> BreakerLayer<ByKey<Host, http::uri::Authority, P, T>> {
    /// A breaker for each [`Host`] and port that requests go to.
    pub fn by_host(breakers: &Breakers<http::uri::Authority, P, T>) -> Self {
        Self::by(breakers, Host)
    }
}

impl<B, C> BreakerLayer<B, C> {
    /// What a response says about the other side, instead of [`by_status`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use http::StatusCode;
    /// use steadfast::{CircuitBreaker, Reset, Trip, circuit_breaker::Outcome};
    /// use steadfast_tower::breaker::{BreakerLayer, by_status};
    ///
    /// let breaker = CircuitBreaker::new(Trip::consecutive(5), Reset::after(Duration::from_secs(30)));
    /// let layer = BreakerLayer::new(&breaker).judge(|status, headers| match status {
    ///     StatusCode::NOT_IMPLEMENTED => Outcome::Ignored,
    ///     _ => by_status(status, headers),
    /// });
    /// ```
    #[doc(alias("classify", "is_failure"))]
    pub fn judge<D: Fn(StatusCode, &HeaderMap) -> Outcome>(self, judge: D) -> BreakerLayer<B, D> {
        BreakerLayer { breaker: self.breaker, judge }
    }

    /// The same for a service of any request and response: `Ok` is a success, and an open breaker is an error.
    pub fn guarding(self) -> GuardLayer<B> {
        GuardLayer::new(self.breaker)
    }
}

impl<S, B: Clone, C: Clone> Layer<S> for BreakerLayer<B, C> {
    type Service = Breaker<S, B, C>;

    fn layer(&self, inner: S) -> Breaker<S, B, C> {
        Breaker::new(inner, self.breaker.clone(), self.judge.clone())
    }
}
