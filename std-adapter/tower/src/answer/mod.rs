//! What a layer answers in place of the service: over HTTP a problem, over gRPC a status without a message.

mod body;
mod grpc;

use core::time::Duration;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

pub use body::OrAnswer;
pub(crate) use grpc::{Code, is_grpc};

/// Why a layer does not ask the service.
pub(crate) struct Answer<'a> {
    pub(crate) status: StatusCode,
    pub(crate) code: Code,
    /// What follows `http-problem-types#`.
    pub(crate) problem: &'static str,
    pub(crate) title: &'static str,
    pub(crate) policies: &'a [&'static str],
    pub(crate) retry_after: Option<Duration>,
}

impl Answer<'_> {
    pub(crate) fn over_http(&self) -> Response<Vec<u8>> {
        let mut body = format!(
            r#"{{"type":"https://iana.org/assignments/http-problem-types#{}","title":"{}","status":{}"#,
            self.problem,
            self.title,
            self.status.as_u16(),
        );
        for (number, policy) in self.policies.iter().enumerate() {
            body.push_str(if number == 0 { r#","violated-policies":["# } else { "," });
            quoted(policy, |char| body.push(char));
        }
        body.push_str(if self.policies.is_empty() { "}" } else { "]}" });
        let mut response = Response::new(body.into_bytes());
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(retry_after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(retry_after)));
        }
        response
    }

    pub(crate) fn over_grpc(&self) -> Response<Vec<u8>> {
        let mut response = Response::new(Vec::new());
        grpc::write(response.headers_mut(), self.code, self.title, self.retry_after);
        response
    }

    pub(crate) fn to(&self, request: &HeaderMap) -> Response<Vec<u8>> {
        if is_grpc(request) { self.over_grpc() } else { self.over_http() }
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
