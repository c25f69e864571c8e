//! Deadlines: one bound over all attempts, delays and calls for a request, from one service to the next.
//!
//! [`DeadlineLayer`] gives each request a [`Deadline`](steadfast::Deadline), ends it there, and tells the time that
//! remains to the next service.

mod service;
mod timeout;

use core::{fmt, time::Duration};

use http::HeaderName;
use steadfast::runtime::SystemTimer;
use tower_layer::Layer;

pub use service::{DeadlineFuture, Deadlined};

/// Ends a request at its deadline: what the client asks for, what an earlier layer has set, and a bound of the layer's own,
/// whichever is first.
///
/// On a server, outside all other layers:
///
/// ```
/// use core::time::Duration;
/// use axum::{Extension, Router, routing::get};
/// use steadfast::{Deadline, runtime::{Clock, SystemTimer}};
/// use steadfast_tower::deadline::DeadlineLayer;
///
/// async fn report(Extension(deadline): Extension<Deadline>) -> String {
///     format!("{:?} left", deadline.remaining(SystemTimer.now()))
/// }
///
/// let app: Router = Router::new()
///     .route("/report", get(report))
///     .layer(DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(30)));
/// ```
///
/// The [`Deadline`](steadfast::Deadline) is in the request's extensions, for the service and the layers inside. When it is
/// over, the service's future is dropped, and the answer is a 504 or `DEADLINE_EXCEEDED`; a response that is ready in the
/// same moment is passed on, and an error that comes then is answered so too. A request whose deadline is over already does
/// not reach the service.
///
/// # What a client may ask for
///
/// The header has the form of gRPC, whatever its name: 1 to 8 digits and one of `H`, `M`, `S`, `m`, `u` and `n`, for hours,
/// minutes, seconds, milli-, micro- and nanoseconds; `500m`. Anything else, and more than one such header, is answered by a
/// 400 or `INVALID_ARGUMENT`: if it were passed over, the client would believe that the work ends with its own patience, and
/// would never hear of its mistake. No client gets more than the layer's own bound.
///
/// # On a client
///
/// A layer around the retries ends them all together, and one inside them [tells the upstream](Self::tell_upstream) what is
/// left, at each attempt:
///
/// ```
/// use core::time::Duration;
/// use axum::body::Bytes;
/// use http::uri::Authority;
/// use http_body_util::Full;
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use steadfast::{Breakers, Reset, RetryBudget, RetryPolicy, Trip};
/// use steadfast_tower::{ReplayBody, breaker::BreakerLayer, deadline::DeadlineLayer, retry::RetryLayer};
/// use tower::ServiceBuilder;
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_millis(100)).max_retries(3);
///
/// let reset = Reset::after(Duration::from_secs(30));
/// let breakers = Breakers::<Authority>::builder(Trip::consecutive(5), reset).capacity(10_000).build();
/// let client = ServiceBuilder::new()
///     .layer(DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(10))) // attempts and delays together
///     .layer(RetryLayer::new(POLICY, &RetryBudget::percent(20)))
///     .layer(BreakerLayer::by_host(&breakers))
///     .layer(DeadlineLayer::at_most(Duration::from_secs(3)).tell_upstream("grpc-timeout")) // each attempt
///     .service(Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Full<Bytes>>>());
/// ```
///
/// A header of the caller's own, as `set_timeout` of tonic writes it, bounds all attempts together only where the layer
/// around the retries reads it: a retry sends the same head again, and the layer inside reads it anew at each attempt.
///
/// For a request that a server makes to answer another, put the [`Deadline`](steadfast::Deadline) of that one into its
/// extensions.
///
/// **A breaker around it** counts a call that was cut off at the layer's own bound as a failure, as any 504. Where the
/// caller's time was over first, the answer has the deadline in its extensions, and the breaker counts it as it counts a
/// dropped call: [`Reset::on_drop`](steadfast::Reset::on_drop), which is to ignore it. Else callers without patience would
/// open the breaker for all. A layer outside of the breaker drops the call, with the same effect.
///
/// # What is bounded
///
/// The time from the call of the service to the head of its response. Not the time until the service is ready, and not a
/// body that follows: who makes it finds the deadline in the extensions.
///
/// # Clock
///
/// If the clock steps back, the call is cut off when it would have been without the step, as
/// [`Timer::sleep_until`](steadfast::runtime::Timer::sleep_until) promises. Layers inside that reckon with the deadline
/// afterwards find it as much further away; none grants more than its own bound.
///
/// # Cost
///
/// A request without a deadline in its extensions allocates three times, for these; one with a deadline does not. Telling
/// the upstream allocates the header. Outside tokio's timer, a call that waits also sets an alarm.
#[doc(alias("TimeoutLayer", "TimeLimiter", "timeout", "grpc-timeout", "deadline propagation", "DEADLINE_EXCEEDED"))]
#[derive(Clone)]
#[must_use = "a layer ends nothing until a service is in it"]
pub struct DeadlineLayer<T = SystemTimer> {
    rules: Rules,
    timer: T,
}

/// What a layer and its services go by.
#[derive(Clone)]
pub(crate) struct Rules {
    asked_in: Option<HeaderName>,
    told_in: Option<HeaderName>,
    at_most: Duration,
}

impl DeadlineLayer {
    /// A deadline `at_most` after the call for each request.
    pub const fn at_most(at_most: Duration) -> Self {
        Self { rules: Rules { asked_in: None, told_in: None, at_most }, timer: SystemTimer }
    }

    /// A deadline as the client asks for in this header, such as `grpc-timeout`; at most how long is for the layer to say,
    /// by [`FromHeader::at_most`].
    ///
    /// # Panics
    ///
    /// If it is not the name of a header in lower case.
    pub const fn from_header(name: &'static str) -> FromHeader {
        FromHeader(HeaderName::from_static(name))
    }
}

impl<T> DeadlineLayer<T> {
    /// Tells the upstream how much time is left, in this header, such as `grpc-timeout`: rounded down, so that the upstream
    /// never believes to have more, by a hundred-thousandth at most.
    ///
    /// A header with that name that is there already is a deadline too: it is replaced by no longer one.
    ///
    /// # Panics
    ///
    /// If it is not the name of a header in lower case.
    #[doc(alias("set_timeout", "propagate"))]
    pub fn tell_upstream(mut self, name: &'static str) -> Self {
        self.rules.told_in = Some(HeaderName::from_static(name));
        self
    }

    /// Goes by this timer instead of [`SystemTimer`]. Every layer that a deadline is handed to must go by the same clock; a
    /// [`RetryLayer`](crate::retry::RetryLayer) goes by `SystemTimer`.
    pub fn timer<U>(self, timer: U) -> DeadlineLayer<U> {
        DeadlineLayer { rules: self.rules, timer }
    }
}

impl<T> fmt::Debug for DeadlineLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineLayer").field("at_most", &self.rules.at_most).finish_non_exhaustive()
    }
}

impl<S, T: Clone> Layer<S> for DeadlineLayer<T> {
    type Service = Deadlined<S, T>;

    fn layer(&self, inner: S) -> Deadlined<S, T> {
        Deadlined::new(inner, self.rules.clone(), self.timer.clone())
    }
}

/// A [`DeadlineLayer`] that still wants a bound: without one a client could ask for ten thousand years.
#[derive(Clone, Debug)]
#[must_use = "it has no bound yet"]
pub struct FromHeader(HeaderName);

impl FromHeader {
    /// The client gets no more than this, and this if it asks for nothing.
    pub fn at_most(self, at_most: Duration) -> DeadlineLayer {
        DeadlineLayer { rules: Rules { asked_in: Some(self.0), told_in: None, at_most }, timer: SystemTimer }
    }
}
