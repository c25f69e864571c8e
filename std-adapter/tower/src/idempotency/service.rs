//! The service that works once.

use core::{
    fmt,
    future::Future,
    hash::Hash,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use http::{Request, Response, StatusCode, request, response};
use http_body::Body;
use pin_project_lite::pin_project;
use steadfast::{
    dedup_cache::{Claim, ClaimGuard},
    runtime::{Clock, SystemTimer},
};
use tower_service::Service;

use super::{
    Id, Kept, Rules, Stored,
    key::{Key, fingerprint},
};
use crate::{
    answer::{Answer, Code, OrAnswer, Over},
    keys::{Everyone, KeyOf, NoKey},
    replay::{Gather, Gathered, ReplayBody},
};

/// The service of an [`IdempotencyLayer`](super::IdempotencyLayer).
pub struct Idempotent<I, S = (), X = Everyone, T = SystemTimer, P = fn(StatusCode) -> bool> {
    inner: I,
    rules: Arc<Rules<S, X, T, P>>,
}

impl<I, S, X, T, P> Idempotent<I, S, X, T, P> {
    pub(super) fn new(inner: I, rules: Rules<S, X, T, P>) -> Self {
        Self { inner, rules: Arc::new(rules) }
    }
}

impl<I: Clone, S, X, T, P> Clone for Idempotent<I, S, X, T, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), rules: Arc::clone(&self.rules) }
    }
}

impl<I, S, X, T, P> fmt::Debug for Idempotent<I, S, X, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotent").finish_non_exhaustive()
    }
}

impl<I, S, X, T, P, B, D> Service<Request<B>> for Idempotent<I, S, X, T, P>
where
    I: Service<Request<ReplayBody<B>>, Response = Response<D>> + Clone,
    S: Eq + Hash + Clone,
    X: KeyOf<Request<B>, Key = S>,
    T: Clock,
    P: Fn(StatusCode) -> bool,
    B: Body<Data: AsRef<[u8]> + Clone> + Unpin,
    D: Body<Data: AsRef<[u8]> + Clone> + Unpin,
{
    type Response = Response<OrAnswer<ReplayBody<D>>>;
    type Error = I::Error;
    type Future = IdempotentFuture<I, I::Future, B, D, S, X, T, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.rules.whose(&request) {
            Ok(None) => {
                let request = request.map(|body| Gather::new(body).into_body());
                State::Passing { call: self.inner.call(request) }
            }
            Ok(Some(id)) => {
                let next = self.inner.clone();
                let service = mem::replace(&mut self.inner, next); // the one that is ready
                let (head, body) = request.into_parts();
                State::Asked { asked: Some(Asked { service, head, id }), body: Some(Gather::new(body)) }
            }
            Err(refusal) => {
                let over = Over::of(request.method(), request.headers());
                State::Answered { answer: Some(refusal.over(over)) }
            }
        };
        IdempotentFuture { state, rules: Arc::clone(&self.rules) }
    }
}

impl<S, X, T, P> Rules<S, X, T, P> {
    /// The id of a request; `None` if it passes.
    fn whose<B>(&self, request: &Request<B>) -> Result<Option<Id<S>>, Answer<'static>>
    where
        X: KeyOf<Request<B>, Key = S>,
    {
        if request.method().is_idempotent() {
            return Ok(None);
        }
        if Over::of(request.method(), request.headers()) == Over::Grpc {
            // Any client can claim it.
            let refusal = refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "calls of gRPC have no Idempotency-Key");
            return if self.is_required { Err(refusal) } else { Ok(None) };
        }
        let key = match Key::of(request.headers()) {
            Key::Sent(key) => key,
            Key::None if !self.is_required => return Ok(None),
            Key::None => return Err(refusal(StatusCode::BAD_REQUEST, "the Idempotency-Key is missing")),
            Key::Bad => {
                return Err(refusal(StatusCode::BAD_REQUEST, "the Idempotency-Key is empty, too long or not one"));
            }
        };
        match self.scope.key_of(request) {
            Ok(scope) => Ok(scope.map(|scope| Id { scope, key })),
            Err(NoKey) => Err(refusal(StatusCode::BAD_REQUEST, "nobody knows whose Idempotency-Key this is")),
        }
    }
}

fn refusal(status: StatusCode, detail: &'static str) -> Answer<'static> {
    Answer::of(status, Code::Unimplemented, detail) // the only one that calls of gRPC get
}

/// A request with a key whose body is being gathered.
struct Asked<I, S> {
    service: I,
    head: request::Parts,
    id: Id<S>,
}

/// A claim that stays until its lease ends, if it is dropped before it is known how the work ended.
struct Held<S: Eq + Hash, T: Clock> {
    claim: Option<ClaimGuard<Id<S>, Kept, T>>,
    fingerprint: u64,
}

impl<S: Eq + Hash, T: Clock> Held<S, T> {
    fn keep(&mut self, head: &response::Parts, body: Option<&[u8]>) {
        let stored = Stored::new(self.fingerprint, head, body);
        // One that was lost to its lease is another's by now.
        let _lost = self.claim.take().map(|claim| claim.commit_with(Some(Arc::new(stored))));
    }

    /// Nothing was done: the key is free.
    fn give_back(&mut self) {
        drop(self.claim.take());
    }
}

impl<S: Eq + Hash, T: Clock> Drop for Held<S, T> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.keep();
        }
    }
}

pin_project! {
    /// The future of an [`Idempotent`].
    #[must_use = "nothing is asked until it is awaited"]
    pub struct IdempotentFuture<I, F, B, D, S, X = Everyone, T = SystemTimer, P = fn(StatusCode) -> bool>
    where
        B: Body,
        D: Body,
        S: Eq,
        S: Hash,
        T: Clock,
    {
        #[pin]
        state: State<I, F, B, D, S, T>,
        rules: Arc<Rules<S, X, T, P>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<I, F, B, D, S, T>
    where
        B: Body,
        D: Body,
        S: Eq,
        S: Hash,
        T: Clock,
    {
        Passing { #[pin] call: F },
        Asked { asked: Option<Asked<I, S>>, body: Option<Gather<B>> },
        Working { #[pin] call: F, held: Option<Held<S, T>> },
        Answering { head: Option<response::Parts>, body: Option<Gather<D>>, held: Held<S, T> },
        Answered { answer: Option<Response<Vec<u8>>> },
        Ended,
    }
}

impl<I, F, B, D, S, X, T, P> Future for IdempotentFuture<I, F, B, D, S, X, T, P>
where
    I: Service<Request<ReplayBody<B>>, Response = Response<D>, Future = F>,
    F: Future<Output = Result<Response<D>, I::Error>>,
    S: Eq + Hash + Clone,
    T: Clock,
    P: Fn(StatusCode) -> bool,
    B: Body<Data: AsRef<[u8]> + Clone> + Unpin,
    D: Body<Data: AsRef<[u8]> + Clone> + Unpin,
{
    type Output = Result<Response<OrAnswer<ReplayBody<D>>>, I::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, rules) = (this.state, &**this.rules);
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Passing { call } => {
                    let response = ready!(call.poll(cx));
                    state.set(State::Ended);
                    return Poll::Ready(response.map(passed_on));
                }
                StateProjection::Asked { asked, body } => {
                    let how = match body {
                        Some(body) => ready!(body.poll(rules.max_body, cx)),
                        None => return Poll::Pending,
                    };
                    let (Some(asked), Some(body)) = (asked.take(), body.take()) else { return Poll::Pending };
                    rules.begin(asked, body, how)
                }
                StateProjection::Working { call, held } => {
                    let result = ready!(call.poll(cx));
                    let Some(mut held) = held.take() else { return Poll::Pending };
                    match result {
                        Ok(response) if (rules.keep_if)(response.status()) => {
                            let (head, body) = response.into_parts();
                            State::Answering { head: Some(head), body: Some(Gather::new(body)), held }
                        }
                        result => {
                            if result.as_ref().is_ok_and(|response| (rules.free_if)(response.status())) {
                                held.give_back();
                            }
                            state.set(State::Ended);
                            return Poll::Ready(result.map(passed_on));
                        }
                    }
                }
                StateProjection::Answering { head, body, held } => {
                    let Some(gather) = body else { return Poll::Pending };
                    let how = ready!(gather.poll(rules.max_body, cx));
                    let bytes = gather.bytes().filter(|_| how == Gathered::Whole);
                    let (Some(head), Some(body)) = (head.take(), body.take()) else { return Poll::Pending };
                    held.keep(&head, bytes.as_deref());
                    state.set(State::Ended);
                    return Poll::Ready(Ok(Response::from_parts(head, OrAnswer::body(body.into_body()))));
                }
                StateProjection::Answered { answer } => {
                    let answer = answer.take();
                    state.set(State::Ended);
                    return answer.map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer.map(OrAnswer::answer))));
                }
                StateProjection::Ended => return Poll::Pending,
            };
            state.set(next);
        }
    }
}

fn passed_on<D: Body>(response: Response<D>) -> Response<OrAnswer<ReplayBody<D>>> {
    response.map(|body| OrAnswer::body(Gather::new(body).into_body()))
}

impl<S: Eq + Hash + Clone, X, T: Clock, P> Rules<S, X, T, P> {
    /// What becomes of a request whose body is known.
    fn begin<I, B, D>(&self, asked: Asked<I, S>, body: Gather<B>, how: Gathered) -> State<I, I::Future, B, D, S, T>
    where
        I: Service<Request<ReplayBody<B>>>,
        B: Body<Data: AsRef<[u8]> + Clone> + Unpin,
        D: Body,
    {
        let answered = |answer: Answer<'_>| State::Answered { answer: Some(answer.over_http()) };
        let Asked { mut service, head, id } = asked;
        if how == Gathered::TooLarge {
            return answered(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large for an Idempotency-Key"));
        }
        let (Gathered::Whole, Some(bytes)) = (how, body.bytes()) else {
            return answered(refusal(StatusCode::BAD_REQUEST, "the body broke off, or has trailers"));
        };
        let fingerprint = fingerprint(&head, &bytes);
        match self.seen.claim(&id) {
            Claim::Fresh(claim) => {
                let held = Some(Held { claim: Some(claim), fingerprint });
                let call = service.call(Request::from_parts(head, body.into_body()));
                State::Working { call, held }
            }
            Claim::Duplicate { value, .. } => match value {
                Some(stored) if stored.fingerprint != fingerprint => {
                    answered(refusal(StatusCode::UNPROCESSABLE_ENTITY, "another request had the same Idempotency-Key"))
                }
                kept => match kept.and_then(|stored| stored.replay()) {
                    Some(answer) => State::Answered { answer: Some(answer) },
                    None => answered(refusal(StatusCode::CONFLICT, "it is done, and its answer could not be kept")),
                },
            },
            Claim::InFlight => {
                let until = self.seen.in_flight_until(&id);
                let wait = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(self.seen.now()));
                let refusal = refusal(StatusCode::CONFLICT, "the first request with this Idempotency-Key is worked on");
                answered(Answer { retry_after: Some(wait), ..refusal })
            }
            Claim::Full => {
                answered(refusal(StatusCode::SERVICE_UNAVAILABLE, "there is no room for another Idempotency-Key"))
            }
        }
    }
}

impl<I, F, B: Body, D: Body, S: Eq + Hash, X, T: Clock, P> fmt::Debug for IdempotentFuture<I, F, B, D, S, X, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotentFuture").finish_non_exhaustive()
    }
}
