//! The same for a service of any request.

use core::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::sync::Arc;

use pin_project_lite::pin_project;
use steadfast::{BoxedError, BoxedInner};
use tower_layer::Layer;
use tower_service::Service;

use super::{Denied, Limits, NeverRefund, decide::Quotas};

/// Limits the rate of requests to any service; those that are too many end with an error, [`Rejected::Denied`].
///
/// ```
/// use steadfast::{Gcra, RateLimiter};
/// use steadfast_tower::{keys::NoKey, limit::{LimitLayer, Rejected}};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let limiter = RateLimiter::<u64, _>::builder(Gcra::per_minute(1)).build();
/// let layer = LimitLayer::new(&limiter, |user: &u64| Ok::<_, NoKey>(Some(*user))).rejecting();
/// let service = layer.layer(service_fn(async |user: u64| Ok::<_, std::io::Error>(user + 1)));
///
/// # steadfast::block_on(async {
/// assert_eq!(service.clone().oneshot(7).await.unwrap(), 8);
/// let Err(Rejected::Denied(denied)) = service.oneshot(7).await else { panic!("one a minute") };
/// assert!(denied.retry_after.unwrap().as_secs() > 50);
/// # });
/// ```
#[derive(Clone)]
pub struct RejectLayer<Q> {
    limits: Limits<Q, NeverRefund>,
}

impl<Q> RejectLayer<Q> {
    pub(super) const fn new(limits: Limits<Q, NeverRefund>) -> Self {
        Self { limits }
    }
}

impl<S, Q: Clone> Layer<S> for RejectLayer<Q> {
    type Service = OrReject<S, Q>;

    fn layer(&self, inner: S) -> OrReject<S, Q> {
        OrReject { inner, limits: Arc::new(self.limits.clone()) }
    }
}

/// The service of a [`RejectLayer`].
pub struct OrReject<S, Q> {
    inner: S,
    limits: Arc<Limits<Q, NeverRefund>>,
}

impl<Q> fmt::Debug for RejectLayer<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limits.describe(f.debug_struct("RejectLayer"))
    }
}

impl<S, Q> fmt::Debug for OrReject<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limits.describe(f.debug_struct("OrReject"))
    }
}

impl<S: Clone, Q> Clone for OrReject<S, Q> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), limits: Arc::clone(&self.limits) }
    }
}

impl<S: Service<R>, Q: Quotas<R>, R> Service<R> for OrReject<S, Q> {
    type Response = S::Response;
    type Error = Rejected<S::Error>;
    type Future = RejectFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Rejected::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.limits.decide(&request) {
            Ok(_) => RejectFuture { call: Some(self.inner.call(request)), denied: None },
            Err((_, denied)) => RejectFuture { call: None, denied: Some(denied) },
        }
    }
}

pin_project! {
    /// The future of an [`OrReject`].
    #[must_use = "nothing is asked until it is awaited"]
    pub struct RejectFuture<F> {
        #[pin]
        call: Option<F>,
        denied: Option<Denied>,
    }
}

impl<F: Future<Output = Result<V, E>>, V, E> Future for RejectFuture<F> {
    type Output = Result<V, Rejected<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(denied) = this.denied.take() {
            return Poll::Ready(Err(Rejected::Denied(denied)));
        }
        let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(call.poll(cx));
        this.call.set(None);
        Poll::Ready(result.map_err(Rejected::Inner))
    }
}

impl<F> fmt::Debug for RejectFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectFuture").finish_non_exhaustive()
    }
}

/// Why a limited service has no response. It says what the inner error says, so its [`source`](Error::source) is that
/// error's.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rejected<E> {
    /// The request was one too many; the service was not called.
    Denied(Denied),
    /// The service failed.
    Inner(E),
}

impl<E> Rejected<E> {
    /// The same with another inner error.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> Rejected<F> {
        match self {
            Self::Denied(denied) => Rejected::Denied(denied),
            Self::Inner(error) => Rejected::Inner(map(error)),
        }
    }
}

/// For services whose error is a `tower::BoxError`.
impl<E: Into<Box<dyn Error + Send + Sync>>> BoxedInner for Rejected<E> {
    type Boxed = Rejected<BoxedError>;

    fn boxed(self) -> Self::Boxed {
        self.map_inner(|error| error.into().into())
    }
}

impl<E: fmt::Display> fmt::Display for Rejected<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(denied) => write!(f, "the rate limit of {} is reached", denied.policies.join(" and ")),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for Rejected<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Denied(_) => None,
            Self::Inner(error) => error.source(),
        }
    }
}
