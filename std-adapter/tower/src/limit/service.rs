//! The service that answers in place of another.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::sync::Arc;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    Limits, NeverRefund, RefundIf,
    decide::{Quotas, sealed::Buckets},
};
use crate::answer::{OrAnswer, Over};

/// The service of a [`LimitLayer`](super::LimitLayer).
pub struct Limit<S, Q, X = NeverRefund> {
    inner: S,
    limits: Arc<Limits<Q, X>>,
}

impl<S, Q, X> Limit<S, Q, X> {
    pub(super) fn new(inner: S, limits: Limits<Q, X>) -> Self {
        Self { inner, limits: Arc::new(limits) }
    }
}

impl<S: Clone, Q, X> Clone for Limit<S, Q, X> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), limits: Arc::clone(&self.limits) }
    }
}

impl<S, Q, X> fmt::Debug for Limit<S, Q, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limits.describe(f.debug_struct("Limit"))
    }
}

impl<S, Q, X, A, B> Service<Request<A>> for Limit<S, Q, X>
where
    S: Service<Request<A>, Response = Response<B>>,
    Q: Quotas<Request<A>>,
    X: RefundIf,
{
    type Response = Response<OrAnswer<B>>;
    type Error = S::Error;
    type Future = LimitFuture<S::Future, Q, Q::Asked, X>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.limits.decide(&request) {
            Ok(asked) => {
                let limits = Arc::clone(&self.limits);
                LimitFuture { call: Some(self.inner.call(request)), decided: Some(Decided::Allowed { limits, asked }) }
            }
            Err((mut asked, denied)) => {
                let mut response = denied.answer().over(Over::of(request.method(), request.headers()));
                self.limits.write(response.headers_mut(), &mut asked, true);
                response.extensions_mut().insert(denied);
                LimitFuture { call: None, decided: Some(Decided::Denied { response }) }
            }
        }
    }
}

pin_project! {
    /// The future of a [`Limit`].
    #[must_use = "nothing is asked until it is awaited"]
    pub struct LimitFuture<F, Q, A, X = NeverRefund> {
        #[pin]
        call: Option<F>,
        // Until it has ended.
        decided: Option<Decided<Q, A, X>>,
    }
}

enum Decided<Q, A, X> {
    Allowed { limits: Arc<Limits<Q, X>>, asked: A },
    Denied { response: Response<Vec<u8>> },
}

impl<F, Q, A, X, B, E> Future for LimitFuture<F, Q, A, X>
where
    F: Future<Output = Result<Response<B>, E>>,
    Q: Buckets<A>,
    X: RefundIf,
{
    type Output = Result<Response<OrAnswer<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let response = match this.call.as_mut().as_pin_mut() {
            Some(call) => Some(ready!(call.poll(cx))),
            None => None,
        };
        this.call.set(None);
        let response = match (response, this.decided.take()) {
            (Some(Ok(response)), Some(Decided::Allowed { limits, mut asked })) => {
                let (mut parts, body) = response.into_parts();
                if limits.refund_if.is_refunded(&parts) {
                    limits.refund(&mut asked);
                }
                limits.write(&mut parts.headers, &mut asked, false);
                Ok(Response::from_parts(parts, OrAnswer::body(body)))
            }
            (None, Some(Decided::Denied { response })) => Ok(response.map(OrAnswer::answer)),
            (Some(Err(error)), _) => Err(error),
            _ => return Poll::Pending, // it has ended
        };
        Poll::Ready(response)
    }
}

impl<F, Q, A, X> fmt::Debug for LimitFuture<F, Q, A, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitFuture").finish_non_exhaustive()
    }
}
