//! The service for any request, whose error is the breaker's.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steadfast::circuit_breaker::{Admit, BreakerError, CallGuard, Classify, GuardedCall, OkOrErr, Open};
use tower_layer::Layer;
use tower_service::Service;

use super::Select;

/// Stops calls to any service that keeps failing; an open breaker is an error.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Reset, Trip};
/// use steadfast_tower::breaker::BreakerLayer;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// let breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(Duration::from_secs(30)));
/// let service = BreakerLayer::new(&breaker).guarding().layer(service_fn(async |_: u64| Err::<(), _>("down")));
///
/// # steadfast::block_on(async {
/// assert_eq!(service.clone().oneshot(7).await.unwrap_err().into_inner(), Some("down"));
/// assert!(service.oneshot(7).await.unwrap_err().is_open());
/// # });
/// ```
#[derive(Clone)]
pub struct GuardLayer<B> {
    breaker: B,
}

impl<B> fmt::Debug for GuardLayer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").finish_non_exhaustive()
    }
}

impl<B> GuardLayer<B> {
    pub(super) const fn new(breaker: B) -> Self {
        Self { breaker }
    }
}

impl<S, B: Clone> Layer<S> for GuardLayer<B> {
    type Service = Guard<S, B>;

    fn layer(&self, inner: S) -> Guard<S, B> {
        Guard { inner, breaker: self.breaker.clone() }
    }
}

/// The service of a [`GuardLayer`].
#[derive(Clone)]
pub struct Guard<S, B> {
    inner: S,
    breaker: B,
}

impl<S, B> fmt::Debug for Guard<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl<S: Service<R>, B: Select<R>, R> Service<R> for Guard<S, B> {
    type Response = S::Response;
    type Error = BreakerError<S::Error>;
    type Future = GuardFuture<S::Future, B::Admit>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(BreakerError::Inner)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match admit(self.breaker.select(&request)) {
            Ok(admitted) => GuardFuture::call(admitted, self.inner.call(request), OkOrErr),
            Err(open) => GuardFuture::refused(open),
        }
    }
}

/// Asks now, and not when the call is first polled: a service may begin its work when it is called.
pub(super) fn admit<A: Admit>(admit: Option<A>) -> Result<Option<Admitted<A>>, Open> {
    let Some(admit) = admit else { return Ok(None) };
    let (guard, sleep) = admit.admit()?;
    Ok(Some(Admitted { guard, sleep }))
}

/// A call that may begin, as `A` said.
pub(super) struct Admitted<A: Admit> {
    guard: CallGuard<A::Report>,
    sleep: Option<A::Sleep>,
}

impl<A: Admit> Admit for Admitted<A> {
    type Report = A::Report;
    type Sleep = A::Sleep;

    fn admit(self) -> Result<(CallGuard<A::Report>, Option<A::Sleep>), Open> {
        Ok((self.guard, self.sleep))
    }
}

impl<A: Admit> fmt::Debug for Admitted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a [`Guard`].
    #[must_use = "the call is not made until it is awaited"]
    pub struct GuardFuture<F, A: Admit, C = OkOrErr> {
        #[pin]
        state: State<F, A, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, A: Admit, C> {
        Guarded { #[pin] call: GuardedCall<Admitted<A>, F, C> },
        Unguarded { #[pin] call: F },
        Refused { open: Open },
        Ended,
    }
}

impl<F, A: Admit, C> GuardFuture<F, A, C> {
    pub(super) fn call(admitted: Option<Admitted<A>>, call: F, classify: C) -> Self {
        let state = match admitted {
            Some(admitted) => State::Guarded { call: GuardedCall::new(admitted, call, classify) },
            None => State::Unguarded { call },
        };
        Self { state }
    }

    pub(super) const fn refused(open: Open) -> Self {
        Self { state: State::Refused { open } }
    }
}

impl<F, A, C, V, E> Future for GuardFuture<F, A, C>
where
    F: Future<Output = Result<V, E>>,
    A: Admit,
    C: Classify<V, E>,
{
    type Output = Result<V, BreakerError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let result = match state.as_mut().project() {
            StateProjection::Guarded { call } => call.poll(cx),
            StateProjection::Unguarded { call } => call.poll(cx).map_err(BreakerError::Inner),
            StateProjection::Refused { open } => Poll::Ready(Err(BreakerError::from(*open))),
            StateProjection::Ended => Poll::Pending,
        };
        if result.is_ready() {
            state.set(State::Ended);
        }
        result
    }
}

impl<F, A: Admit, C> fmt::Debug for GuardFuture<F, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFuture").finish_non_exhaustive()
    }
}
