//! Retries around a client: what may be sent again, within a policy and a budget.
//!
//! [`RetryLayer`] sends a request again whose response, or error, says that it may help.

mod attempt;
mod judge;
mod service;

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};
use std::sync::{Arc, PoisonError, RwLock};

use http::request;
use steadfast::{RetryBudget, RetryPolicy};
use tower_layer::Layer;

pub use attempt::{Attempt, Attempts, Failed};
pub use service::{Retried, RetriedFuture};

/// Sends requests again that failed, as a [`RetryPolicy`] and a [`RetryBudget`] allow.
///
/// ```
/// use core::time::Duration;
/// use axum::body::Bytes;
/// use http_body_util::Full;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use steadfast::{RetryBudget, RetryPolicy};
/// use steadfast_tower::{ReplayBody, retry::RetryLayer};
/// use tower::ServiceBuilder;
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(100)).max_retries(3);
///
/// let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>();
/// let budget = RetryBudget::percent(20); // one for all requests to a service
/// let client = ServiceBuilder::new().layer(RetryLayer::new(POLICY, &budget)).service(client);
/// ```
///
/// The service inside takes a `Request<`[`ReplayBody`](crate::ReplayBody)`<B>>`, where `B` is the body of the caller's
/// request: `build_http()` without a type finds it by itself where the whole is used.
///
/// # What is sent again
///
/// A request that may be repeated: of an idempotent method, or with an `Idempotency-Key`; or as
/// [`repeat_if`](Self::repeat_if) says. Its body is gathered before it is sent, up to [`replay_up_to`](Self::replay_up_to)
/// bytes; a larger one is sent once, and [counted](Self::not_replayable).
///
/// - After a 408, 425, 429, 502, 503 or 504; of gRPC after `UNAVAILABLE`, and after `RESOURCE_EXHAUSTED` with a `RetryInfo`.
///   `Retry-After` and `RetryInfo` make a delay longer, up to the policy's
///   [`max_delay`](RetryPolicy::max_delay).
/// - After a 409 with `Retry-After`: the first request with its `Idempotency-Key` is still worked on.
/// - After an error of the service, and after an attempt that was cut off at the policy's
///   [`attempt_timeout`](RetryPolicy::attempt_timeout).
/// - Not after the answer of an open breaker: a [`BreakerLayer`](crate::breaker::BreakerLayer) inside fails fast.
///
/// In the end the last response or error is passed on as it is. If the last attempt was cut off, the answer is a 504, or
/// `DEADLINE_EXCEEDED`, when the policy's [`max_retries`](RetryPolicy::max_retries) were used up, or no attempt was answered;
/// when the budget or [`max_elapsed`](RetryPolicy::max_elapsed) has ended it, the last response or error there was is passed
/// on.
///
/// # Deadline
///
/// A [`Deadline`](steadfast::Deadline) in the request's extensions, by the clock of
/// [`SystemTimer`](steadfast::runtime::SystemTimer), ends attempts and delays as `max_elapsed` does, whichever is first: no
/// delay is begun that would end beyond it, and a request whose body was gathered too late is not sent at all. A 504 for want
/// of the caller's time has the deadline in its extensions, and a breaker outside counts it as a dropped call. A
/// [`DeadlineLayer`](crate::deadline::DeadlineLayer) outside sets it, and ends the gathering too; one inside tells each
/// attempt what is left.
///
/// # Cost
///
/// The head of a request that may be repeated is cloned for each attempt. The last response is held until the next one is
/// there.
#[doc(alias("RetryTransientMiddleware", "ReplayBody", "Retry-After"))]
#[derive(Clone)]
#[must_use = "a layer repeats nothing until a service is in it"]
pub struct RetryLayer<X = fn(&request::Parts) -> bool> {
    rules: Rules<X>,
}

impl<X> fmt::Debug for RetryLayer<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").finish_non_exhaustive()
    }
}

/// What a layer and its services go by.
#[derive(Clone)]
pub(crate) struct Rules<X> {
    policy: Arc<RwLock<RetryPolicy>>,
    budget: RetryBudget,
    replay_up_to: usize,
    repeat_if: X,
    not_replayable: Arc<AtomicU64>,
}

impl RetryLayer {
    /// Retries by this policy, which all services of this layer take out of this budget: bodies up to 64 KiB.
    pub fn new(policy: RetryPolicy, budget: &RetryBudget) -> Self {
        let (policy, budget, not_replayable) = (Arc::new(RwLock::new(policy)), budget.clone(), Arc::default());
        Self { rules: Rules { policy, budget, replay_up_to: 65_536, repeat_if: is_idempotent, not_replayable } }
    }
}

impl<X> RetryLayer<X> {
    /// The largest body that is gathered, in bytes.
    pub const fn replay_up_to(mut self, bytes: usize) -> Self {
        self.rules.replay_up_to = bytes;
        self
    }

    /// Which requests may be repeated, instead of those that are [idempotent](is_idempotent): for calls of gRPC, which all
    /// are a `POST`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{RetryBudget, RetryPolicy};
    /// use steadfast_tower::retry::{RetryLayer, is_idempotent};
    ///
    /// let policy = RetryPolicy::exponential(Duration::from_millis(100)).max_retries(3);
    /// let layer = RetryLayer::new(policy, &RetryBudget::percent(20))
    ///     .repeat_if(|request| is_idempotent(request) || request.uri.path().starts_with("/shop.Orders/Get"));
    /// ```
    pub fn repeat_if<Y: Fn(&request::Parts) -> bool>(self, repeat_if: Y) -> RetryLayer<Y> {
        let Rules { policy, budget, replay_up_to, not_replayable, .. } = self.rules;
        RetryLayer { rules: Rules { policy, budget, replay_up_to, repeat_if, not_replayable } }
    }

    /// Another policy, for all services of this layer and of its clones: requests that are sent from now on go by it, and
    /// those under way by the one that they began with.
    pub fn set_policy(&self, policy: RetryPolicy) {
        *self.rules.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// How many requests might have been repeated, but for a body that is too large.
    #[must_use]
    pub fn not_replayable(&self) -> u64 {
        self.rules.not_replayable.load(Ordering::Relaxed)
    }
}

impl<X> Rules<X> {
    fn policy(&self) -> RetryPolicy {
        *self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, X: Clone> Layer<S> for RetryLayer<X> {
    type Service = Retried<S, X>;

    fn layer(&self, inner: S) -> Retried<S, X> {
        Retried::new(inner, self.rules.clone())
    }
}

/// True for a request of an idempotent method (RFC 9110), and for one with an `Idempotency-Key`.
#[must_use]
pub fn is_idempotent(request: &request::Parts) -> bool {
    request.method.is_idempotent() || request.headers.contains_key(crate::idempotency::KEY)
}
