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
    Deadline, RetryBudget, RetryExt,
    retry::{Failure, Plain, Reason, RetryError, RetryFuture},
    runtime::{Clock, JitterRng, SystemTimer},
};
use tower_service::Service;

use super::{Attempts, Failed, Rules, judge::classify};
use crate::{
    answer::{Answer, OrAnswer, Over},
    replay::{Gather, Gathered, ReplayBody},
};

/// The service of a [`RetryLayer`](super::RetryLayer).
#[derive(Clone)]
pub struct Retried<S, X = fn(&request::Parts) -> bool> {
    inner: S,
    rules: Rules<X>,
}

impl<S, X> fmt::Debug for Retried<S, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retried").finish_non_exhaustive()
    }
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
        let (over, is_repeated) = (Over::of(&head.method, &head.headers), (self.rules.repeat_if)(&head));
        let deadline = head.extensions.get().copied().unwrap_or(Deadline::NEVER);
        let gathering = Some(Gathering { service, head, body: Gather::new(body), is_repeated });
        RetriedFuture { gathering, retry: None, rules: self.rules.clone(), deadline, over }
    }
}

/// A request whose body is being gathered.
struct Gathering<S, B: Body> {
    service: S,
    head: request::Parts,
    body: Gather<B>,
    is_repeated: bool,
}

impl<S, B: Body<Data: AsRef<[u8]>> + Unpin> Gathering<S, B> {
    /// Ready when the body is known, or need not be.
    fn poll<X>(&mut self, rules: &Rules<X>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_repeated {
            let how = ready!(self.body.poll(rules.replay_up_to, cx));
            self.is_repeated = how == Gathered::Whole;
            if how == Gathered::TooLarge {
                rules.not_replayable.fetch_add(1, Ordering::Relaxed);
            }
        }
        Poll::Ready(())
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
        // The caller's.
        deadline: Deadline,
        over: Over,
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
            ready!(gathering.poll(this.rules, cx));
            if let Some(Gathering { service, head, body, is_repeated }) = this.gathering.take() {
                let policy = this.rules.policy();
                let policy = if is_repeated { policy } else { policy.max_retries(0) };
                let judge: Judge<D, S::Error> = classify;
                let attempts = Attempts::new(service, head, body.into_body(), is_repeated);
                let retry = policy.call(attempts).classify(judge).budget(this.rules.budget.clone());
                this.retry.set(Some(retry.deadline(*this.deadline).into_future()));
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
            // Nothing was sent, or the last attempt was cut off: where the caller's time ends, as a deadline layer says it.
            Err(_) if this.deadline.is_over(SystemTimer.now()) => {
                Ok(Answer::of_the_callers_deadline(*this.deadline, *this.over).map(OrAnswer::answer))
            }
            Err(_) => Ok(Answer::of_a_timeout().over(*this.over).map(OrAnswer::answer)),
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
