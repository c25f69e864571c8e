//! The service that ends with its request's time.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use steadfast::{
    Deadline,
    runtime::{SystemTimer, Timer},
};
use tower_service::Service;

use super::{
    Rules,
    timeout::{self, Malformed},
};
use crate::{
    answer::{Answer, Code, OrAnswer, Over},
    hint,
};

/// The service of a [`DeadlineLayer`](super::DeadlineLayer).
#[derive(Clone)]
pub struct Deadlined<S, T = SystemTimer> {
    inner: S,
    rules: Rules,
    timer: T,
}

impl<S, T> fmt::Debug for Deadlined<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlined").finish_non_exhaustive()
    }
}

impl<S, T> Deadlined<S, T> {
    pub(super) const fn new(inner: S, rules: Rules, timer: T) -> Self {
        Self { inner, rules, timer }
    }
}

impl<S, T, A, D> Service<Request<A>> for Deadlined<S, T>
where
    S: Service<Request<A>, Response = Response<D>>,
    T: Timer + Clone,
{
    type Response = Response<OrAnswer<D>>;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future, T>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let over = Over::of(request.method(), request.headers());
        let state = match self.rules.bound(&mut request, &self.timer) {
            Ok(bound) => State::Called {
                sleep: self.timer.sleep_until(bound.deadline.instant()),
                call: self.inner.call(request),
                bound,
                timer: self.timer.clone(),
            },
            Err(refusal) => State::Refused { answer: Some(refusal.over(over)) },
        };
        DeadlineFuture { state, over }
    }
}

/// Until when a request may take.
#[derive(Clone, Copy)]
struct Bound {
    deadline: Deadline,
    /// The caller has no more time; else it is the layer's own bound.
    is_callers: bool,
}

/// Why a request does not reach the service.
enum Refusal {
    Malformed,
    Over(Bound),
}

impl Refusal {
    fn over(&self, over: Over) -> Response<Vec<u8>> {
        const DETAIL: &str = "a timeout is 1 to 8 digits and one of H, M, S, m, u and n";

        match self {
            Self::Malformed => Answer::of(StatusCode::BAD_REQUEST, Code::InvalidArgument, DETAIL).over(over),
            Self::Over(bound) => bound.answer(over),
        }
    }
}

impl Rules {
    /// Gives the request its deadline, and the upstream what is left of it.
    fn bound<A>(&self, request: &mut Request<A>, timer: &impl Timer) -> Result<Bound, Refusal> {
        let now = timer.now();
        let mut callers = request.extensions().get::<Deadline>().copied().unwrap_or(Deadline::NEVER);
        for name in [&self.asked_in, &self.told_in].into_iter().flatten() {
            let asked = timeout::read(request.headers(), name).map_err(|Malformed| Refusal::Malformed)?;
            callers = asked.map_or(callers, |asked| callers.min(Deadline::within(asked, now)));
        }
        let own = Deadline::within(self.at_most, now);
        let mut bound = Bound { deadline: callers.min(own), is_callers: callers < own };
        if bound.deadline.is_over(now) {
            return Err(Refusal::Over(bound));
        }
        if let Some(name) = self.told_in.as_ref().filter(|_| bound.deadline < Deadline::NEVER)
            && let Some((told, value)) = told(bound.deadline.remaining(now))
        {
            // No later than what the upstream goes by: if it gives up, the time is over here too.
            bound.deadline = bound.deadline.min(Deadline::within(told, now));
            request.headers_mut().insert(name, value);
        }
        match request.extensions_mut().get_mut() {
            Some(deadline) => *deadline = bound.deadline,
            None => drop(request.extensions_mut().insert(bound.deadline)),
        }
        Ok(bound)
    }
}

/// What the upstream reads, and the header that says so.
fn told(remaining: core::time::Duration) -> Option<(core::time::Duration, HeaderValue)> {
    let value = timeout::write(remaining)?;
    Some((timeout::parse(&value)?, value))
}

impl Bound {
    fn answer(self, over: Over) -> Response<Vec<u8>> {
        match self.is_callers {
            true => Answer::of_the_callers_deadline(self.deadline, over),
            false => Answer::of_a_deadline().over(over),
        }
    }

    /// Tells a breaker outside whether it was the caller that had no time. A layer inside takes the bound of this one for
    /// its caller's.
    fn mark<B>(self, response: &mut Response<B>) {
        let extensions = response.extensions_mut();
        let _earlier = if self.is_callers { extensions.insert(self.deadline) } else { extensions.remove() };
    }
}

pin_project! {
    /// The future of a [`Deadlined`].
    #[must_use = "the call is not made until it is awaited"]
    pub struct DeadlineFuture<F, T: Timer = SystemTimer> {
        #[pin]
        state: State<F, T>,
        over: Over,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, T: Timer> {
        Called { #[pin] call: F, #[pin] sleep: T::Sleep, bound: Bound, timer: T },
        Refused { answer: Option<Response<Vec<u8>>> },
        Ended,
    }
}

impl<F, T, B, E> Future for DeadlineFuture<F, T>
where
    F: Future<Output = Result<Response<B>, E>>,
    T: Timer,
{
    type Output = Result<Response<OrAnswer<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let result = match this.state.as_mut().project() {
            StateProjection::Called { call, sleep, bound, timer } => {
                let answer = || Ok(bound.answer(*this.over).map(OrAnswer::answer));
                // The call comes first: a late response is one.
                match call.poll(cx) {
                    Poll::Ready(Ok(mut response)) => {
                        if !bound.is_callers || hint::is_timeout(&response) && bound.deadline.is_over(timer.now()) {
                            bound.mark(&mut response);
                        }
                        Ok(response.map(OrAnswer::body))
                    }
                    // A client that goes by what is told, as tonic's does, says so by an error.
                    Poll::Ready(Err(_)) if bound.deadline.is_over(timer.now()) => answer(),
                    Poll::Ready(Err(error)) => Err(error),
                    Poll::Pending => {
                        ready!(sleep.poll(cx));
                        answer()
                    }
                }
            }
            StateProjection::Refused { answer } => match answer.take() {
                Some(answer) => Ok(answer.map(OrAnswer::answer)),
                None => return Poll::Pending,
            },
            StateProjection::Ended => return Poll::Pending,
        };
        this.state.set(State::Ended);
        Poll::Ready(result)
    }
}

impl<F, T: Timer> fmt::Debug for DeadlineFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineFuture").finish_non_exhaustive()
    }
}
