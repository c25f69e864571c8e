//! What a layer answers in place of the service: over HTTP a problem, over gRPC a status without a message.

mod body;
mod grpc;

use core::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use steadfast::Deadline;

pub use body::OrAnswer;
#[cfg(test)]
pub(crate) use grpc::base64;
use grpc::is_grpc;
pub(crate) use grpc::{Code, DETAILS, STATUS};

/// How a request is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Over {
    Grpc,
    /// Without a body: over HTTP/2 one in answer to a `HEAD` would reset the stream.
    Head,
    Http,
}

impl Over {
    /// A call of gRPC is a `POST`: what the client claims as its `content-type` is not enough for an answer with status 200.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::POST if is_grpc(headers) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// An answer of now, for this client.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Why a layer does not ask the service.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    /// A URI (RFC 9457).
    pub(crate) problem: &'static str,
    pub(crate) title: &'static str,
    /// What the title leaves out; without it gRPC is told the title.
    pub(crate) detail: Option<&'static str>,
    pub(crate) policies: &'a [&'static str],
    pub(crate) retry_after: Option<Duration>,
}

impl Answer<'static> {
    /// One whose status says what kind of problem it is.
    pub(crate) fn of(status: StatusCode, code: Code, detail: &'static str) -> Self {
        let (problem, title) = ("about:blank", status.canonical_reason().unwrap_or_default());
        Self { status, code, problem, title, detail: Some(detail), policies: &[], retry_after: None }
    }

    pub(crate) fn of_an_open_breaker(retry_after: Option<Duration>) -> Self {
        let answer = Self::of(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the circuit breaker is open");
        Self { retry_after, ..answer }
    }

    pub(crate) fn of_a_timeout() -> Self {
        Self::of(StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded, "the call took too long and was cut off")
    }

    pub(crate) fn of_a_deadline() -> Self {
        Self::of(StatusCode::GATEWAY_TIMEOUT, Code::DeadlineExceeded, "the request's deadline is over")
    }

    /// Has the deadline in its extensions: so a breaker outside knows that it was the caller that had no time.
    pub(crate) fn of_the_callers_deadline(deadline: Deadline, over: Over) -> Response<Vec<u8>> {
        let mut answer = Self::of_a_deadline().over(over);
        answer.extensions_mut().insert(deadline);
        answer
    }
}

impl Answer<'_> {
    pub(crate) fn over_http(&self) -> Response<Vec<u8>> {
        let (problem, title, status) = (self.problem, self.title, self.status.as_u16());
        let mut body = format!(r#"{{"type":"{problem}","title":"{title}","status":{status}"#);
        if let Some(detail) = self.detail {
            body.push_str(r#","detail":""#);
            body.push_str(detail);
            body.push('"');
        }
        for (number, policy) in self.policies.iter().enumerate() {
            body.push_str(if number == 0 { r#","violated-policies":["# } else { "," });
            quoted(policy, |char| body.push(char));
        }
        body.push_str(if self.policies.is_empty() { "}" } else { "]}" });
        let mut response = Response::new(body.into_bytes());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, NO_STORE);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(retry_after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
        }
        response
    }

    pub(crate) fn over_grpc(&self) -> Response<Vec<u8>> {
        let mut response = Response::new(Vec::new());
        response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        let message = self.detail.unwrap_or(self.title);
        grpc::write(response.headers_mut(), self.code, message, self.retry_after);
        response
    }

    pub(crate) fn over(&self, over: Over) -> Response<Vec<u8>> {
        match over {
            Over::Grpc => self.over_grpc(),
            Over::Head => self.over_http().map(|_| Vec::new()),
            Over::Http => self.over_http(),
        }
    }
}

/// Whole seconds, rounded up: at least one, for who comes sooner comes in vain.
pub(crate) const fn seconds(wait: Duration) -> u64 {
    let whole = if wait.subsec_nanos() > 0 { wait.as_secs().saturating_add(1) } else { wait.as_secs() };
    if whole == 0 { 1 } else { whole }
}

/// The longest name of a policy that is told.
pub(crate) const LONGEST_NAME: usize = 64;

/// The name of a policy in quotes, as a string of structured fields and of JSON alike: of printable ASCII, and not longer
/// than what is told.
pub(crate) fn quoted(name: &str, mut push: impl FnMut(char)) {
    push('"');
    for char in name.chars().take(LONGEST_NAME) {
        if matches!(char, '"' | '\\') {
            push('\\');
        }
        push(if matches!(char, ' '..='~') { char } else { '_' });
    }
    push('"');
}

#[cfg(test)]
mod tests;
