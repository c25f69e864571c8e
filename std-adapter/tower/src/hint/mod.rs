//! What a response hints at: how long to wait, by `Retry-After` of HTTP and `google.rpc.RetryInfo` of gRPC; and that the
//! time was too short.

mod date;
mod retry_info;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::answer::{Code, STATUS};

/// How long a response asks to wait, if it does.
///
/// A date is compared with the `Date` of the response, so that the clocks of two machines need not agree; without one,
/// with the system's.
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).or_else(|| retry_info::find(headers))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let then = date::seconds(text)?;
    let told = headers.get(header::DATE).and_then(|now| date::seconds(now.to_str().ok()?));
    let now = told.or_else(|| Some(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs()))?;
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// The status of a gRPC call that has ended with its headers.
pub(crate) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get(STATUS).map(HeaderValue::to_str)?.ok()?.parse().ok()
}

/// True if a response says that the time was too short.
pub(crate) fn is_timeout<B>(response: &Response<B>) -> bool {
    match grpc_status(response.headers()) {
        Some(code) => code == Code::DeadlineExceeded as u32,
        None => response.status() == StatusCode::GATEWAY_TIMEOUT,
    }
}
