//! The service that asks again.

use core::{
    fmt,
    future::{Future, IntoFuture},
    mem,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request};
use http_body::Body;
use pin_project_lite::pin_project;
use steadfast::{
    RetryBudget, RetryExt,
    retry::{Failure, Plain, Reason, RetryError, RetryFuture},
    runtime::{JitterRng, SystemTimer},
};
use tower_service::Service;

use super::{Attempts, Failed, ReplayBody, Rules, body::Part, judge::classify};
use crate::answer::{Answer, OrAnswer, is_grpc};

/// The service of a [`RetryLayer`](super::RetryLayer).
#[derive(Clone, Debug)]
pub struct Retried<S, X = fn(&request::Parts) -> bool> {
    inner: S,
    rules: Rules<X>,
}

impl<S, X> Retried<S, X> {
    pub(super) const fn new(inner: S, rules: Rules<X>) -> Self {
        Self { inner, rules }
    }
}

impl<S, X, B, D> Service<Request<B>> for Retried<S, X>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<D>> + Clone,
    X: Fn(&request::Parts) -> bool + Clone,
    B: Body<Data: AsRef<[u8]> + Clone> + Unpin,
{
    type Response = Response<OrAnswer<D>>;
    type Error = S::Error;
    type Future = RetriedFuture<S, B, D, X>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let next = self.inner.clone();
        let service = mem::replace(&mut self.inner, next); // the one that is ready
        let (is_grpc, is_repeated) = (is_grpc(&head.headers), (self.rules.repeat_if)(&head));
        let gathering = Some(Gathering { service, head, body, is_repeated, known: Vec::new(), len: 0 });
        RetriedFuture { gathering, retry: None, rules: self.rules.clone(), is_grpc }
    }
}

/// A request whose body is being gathered.
struct Gathering<S, B: Body> {
    service: S,
    head: request::Parts,
    body: B,
    is_repeated: bool,
    known: Vec<Part<B::Data>>,
    len: usize,
}

impl<S, B: Body<Data: AsRef<[u8]>> + Unpin> Gathering<S, B> {
    /// Ready when the body is known, or cannot be: whether there is more of it, and how it failed.
    fn poll<X>(&mut self, rules: &Rules<X>, cx: &mut Context<'_>) -> Poll<(bool, Option<B::Error>)> {
        while self.is_repeated && !self.body.is_end_stream() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => break,
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.is_repeated = false;
                    return Poll::Ready((false, Some(error)));
                }
            };
            let len = frame.data_ref().map_or(0, |data| data.as_ref().len());
            self.len = self.len.saturating_add(len);
            self.known.extend(Part::of(frame));
            if self.len > rules.replay_up_to {
                self.is_repeated = false;
                rules.not_replayable.fetch_add(1, Ordering::Relaxed);
            }
        }
        Poll::Ready((!self.is_repeated, None))
    }
}

type Judge<D, E> = fn(Option<&Failed<D, E>>, u32) -> Failure;
type Retrying<S, B, D> = RetryFuture<
    Attempts<S, B, D>,
    SystemTimer,
    JitterRng,
    Plain,
    Judge<D, <S as Service<Request<ReplayBody<B>>>>::Error>,
    Plain,
    RetryBudget,
>;

pin_project! {
    /// The future of a [`Retried`].
    #[must_use = "nothing is sent until it is awaited"]
    pub struct RetriedFuture<S, B, D, X>
    where
        S: Service<Request<ReplayBody<B>>, Response = Response<D>>,
        S: Clone,
        B: Body,
    {
        // Until it is sent.
        gathering: Option<Gathering<S, B>>,
        #[pin]
        retry: Option<Retrying<S, B, D>>,
        rules: Rules<X>,
        is_grpc: bool,
    }
}

impl<S, B, D, X> Future for RetriedFuture<S, B, D, X>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<D>> + Clone,
    B: Body<Data: AsRef<[u8]> + Clone> + Unpin,
{
    type Output = Result<Response<OrAnswer<D>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(gathering) = this.gathering {
            let (is_more, failed) = ready!(gathering.poll(this.rules, cx));
            if let Some(Gathering { service, head, body, is_repeated, known, .. }) = this.gathering.take() {
                let policy = if is_repeated { this.rules.policy } else { this.rules.policy.max_retries(0) };
                let body = ReplayBody::new(known, failed, is_more.then_some(body));
                let judge: Judge<D, S::Error> = classify;
                let attempts = Attempts::new(service, head, body, is_repeated);
                let retry = policy.call(attempts).classify(judge).budget(this.rules.budget.clone());
                this.retry.set(Some(retry.into_future()));
            }
        }
        let Some(retry) = this.retry.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(retry.poll(cx));
        this.retry.set(None);
        Poll::Ready(match result {
            Ok(response) => Ok(response.map(OrAnswer::body)),
            Err(RetryError { last: Some(Failed::Error(error)), reason, .. }) if reason != Reason::AttemptTimedOut => {
                Err(error)
            }
            Err(RetryError { last: Some(Failed::Response(response)), reason, .. })
                if reason != Reason::AttemptTimedOut =>
            {
                Ok(response.map(OrAnswer::body))
            }
            Err(_) => Ok(Answer::of_a_timeout().over(*this.is_grpc).map(OrAnswer::answer)),
        })
    }
}

impl<S, B, D, X> fmt::Debug for RetriedFuture<S, B, D, X>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<D>> + Clone,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetriedFuture").finish_non_exhaustive()
    }
}
