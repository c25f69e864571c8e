//! One attempt after the other.

use core::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use steadfast::retry::Operation;
use tower_service::Service;

use super::judge::is_passing;
use crate::replay::ReplayBody;

/// How an attempt failed: what is passed on if there is no other.
#[derive(Debug)]
pub enum Failed<B, E> {
    /// The service failed.
    Error(E),
    /// It has answered that it cannot serve the request now.
    Response(Response<B>),
}

/// The attempts of one request.
pub struct Attempts<S, B: Body, D> {
    /// Ready for the first attempt.
    service: S,
    /// Until the only attempt, if it may not be repeated.
    head: Option<request::Parts>,
    body: Option<ReplayBody<B>>,
    is_repeated: bool,
    response: PhantomData<fn() -> D>,
}

impl<S, B: Body, D> Attempts<S, B, D> {
    pub(super) const fn new(service: S, head: request::Parts, body: ReplayBody<B>, is_repeated: bool) -> Self {
        Self { service, head: Some(head), body: Some(body), is_repeated, response: PhantomData }
    }

    /// The request, as a clone if there may be another attempt.
    fn request(&mut self) -> Option<Request<ReplayBody<B>>> {
        let (head, body) = if self.is_repeated {
            (self.head.clone()?, self.body.as_ref()?.again())
        } else {
            (self.head.take()?, self.body.take()?)
        };
        Some(Request::from_parts(head, body))
    }
}

impl<S, B, D> Operation for Attempts<S, B, D>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<D>> + Clone,
    B: Body,
{
    type Value = Response<D>;
    type Error = Failed<D, S::Error>;
    type Attempt = Attempt<S, Request<ReplayBody<B>>, S::Future>;

    fn attempt(&mut self) -> Self::Attempt {
        let next = self.service.clone();
        let service = core::mem::replace(&mut self.service, next);
        Attempt { service, request: self.request(), call: None }
    }
}

impl<S, B: Body, D> fmt::Debug for Attempts<S, B, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").finish_non_exhaustive()
    }
}

pin_project! {
    /// One attempt: waits until the service is ready, and calls it.
    pub struct Attempt<S, R, F> {
        service: S,
        request: Option<R>,
        #[pin]
        call: Option<F>,
    }
}

impl<S, R, F, D> Future for Attempt<S, R, F>
where
    S: Service<R, Response = Response<D>, Future = F>,
    F: Future<Output = Result<Response<D>, S::Error>>,
{
    type Output = Result<Response<D>, Failed<D, S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.request.is_some() {
            ready!(this.service.poll_ready(cx)).map_err(Failed::Error)?;
        }
        if let Some(request) = this.request.take() {
            this.call.set(Some(this.service.call(request)));
        }
        let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending };
        Poll::Ready(match ready!(call.poll(cx)) {
            Ok(response) if is_passing(&response) => Err(Failed::Response(response)),
            result => result.map_err(Failed::Error),
        })
    }
}

impl<S, R, F> fmt::Debug for Attempt<S, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}
