//! The service that answers while a breaker is open.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use steadfast::circuit_breaker::{Admit, BreakerError, Open, Outcome};
use tower_service::Service;

use super::{GuardFuture, Judge, JudgeResponse, Select, guard::admit};
use crate::answer::{Answer, OrAnswer, Over};

/// The service of a [`BreakerLayer`](super::BreakerLayer).
#[derive(Clone)]
pub struct Breaker<S, B, C = fn(StatusCode, &HeaderMap) -> Outcome> {
    inner: S,
    breaker: B,
    judge: C,
}

impl<S, B, C> fmt::Debug for Breaker<S, B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker").finish_non_exhaustive()
    }
}

impl<S, B, C> Breaker<S, B, C> {
    pub(super) const fn new(inner: S, breaker: B, judge: C) -> Self {
        Self { inner, breaker, judge }
    }
}

impl<S, B, C, A, D> Service<Request<A>> for Breaker<S, B, C>
where
    S: Service<Request<A>, Response = Response<D>>,
    B: Select<Request<A>>,
    C: JudgeResponse + Clone,
{
    type Response = Response<OrAnswer<D>>;
    type Error = S::Error;
    type Future = BreakerFuture<S::Future, B::Admit, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let over = Over::of(request.method(), request.headers());
        match admit(self.breaker.select(&request)) {
            Ok(admitted) => {
                let call = GuardFuture::call(admitted, self.inner.call(request), Judge(self.judge.clone()));
                BreakerFuture { call, over, retry_after: None }
            }
            Err(open) => {
                let retry_after = self.breaker.retry_after(open);
                BreakerFuture { call: GuardFuture::refused(open), over, retry_after }
            }
        }
    }
}

pin_project! {
    /// The future of a [`Breaker`].
    #[must_use = "the call is not made until it is awaited"]
    pub struct BreakerFuture<F, A: Admit, C = fn(StatusCode, &HeaderMap) -> Outcome> {
        #[pin]
        call: GuardFuture<F, A, Judge<C>>,
        over: Over,
        retry_after: Option<Duration>,
    }
}

impl<F, A, C, B, E> Future for BreakerFuture<F, A, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    A: Admit,
    C: JudgeResponse,
{
    type Output = Result<Response<OrAnswer<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (over, retry_after) = (*this.over, *this.retry_after);
        let answer = match ready!(this.call.poll(cx)) {
            Ok(response) => return Poll::Ready(Ok(response.map(OrAnswer::body))),
            Err(BreakerError::Inner(error)) => return Poll::Ready(Err(error)),
            Err(BreakerError::TimedOut) => Answer::of_a_timeout().over(over),
            Err(BreakerError::Open { retry_at }) => {
                let mut answer = Answer::of_an_open_breaker(retry_after).over(over);
                answer.extensions_mut().insert(Open { retry_at });
                answer
            }
            Err(_) => Answer::of_an_open_breaker(None).over(over),
        };
        Poll::Ready(Ok(answer.map(OrAnswer::answer)))
    }
}

impl<F, A: Admit, C> fmt::Debug for BreakerFuture<F, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerFuture").finish_non_exhaustive()
    }
}
