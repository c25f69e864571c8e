//! Statuses of gRPC without a message (trailers only), with what `google.rpc.RetryInfo` tells of the time to wait.

use core::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A status code of gRPC.
#[derive(Clone, Copy)]
pub(crate) enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

pub(crate) const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// True for what claims to be a call of gRPC, and false for gRPC-Web, whose clients take the status of HTTP.
pub(super) fn is_grpc(request: &HeaderMap) -> bool {
    let content_type = request.get(header::CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let rest = content_type.get(..16).filter(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    rest.is_some() && matches!(content_type.get(16), None | Some(b'+' | b';' | b' '))
}

/// Makes headers those of a response that ends with them. The message is plain ASCII without a percent sign.
pub(super) fn write(headers: &mut HeaderMap, code: Code, message: &'static str, retry_after: Option<Duration>) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from(code as u16));
    headers.insert(MESSAGE, HeaderValue::from_static(message));
    let details = retry_after.map(|wait| base64(&status(code, message, wait)));
    if let Some(Ok(details)) = details.map(HeaderValue::try_from) {
        headers.insert(DETAILS, details);
    }
}

/// A `google.rpc.Status` with a `google.rpc.RetryInfo` in it.
fn status(code: Code, message: &str, retry_after: Duration) -> Vec<u8> {
    let mut duration = Vec::new();
    number(&mut duration, 1, retry_after.as_secs());
    number(&mut duration, 2, retry_after.subsec_nanos().into());
    let mut info = Vec::new();
    bytes(&mut info, 1, &duration);
    let mut any = Vec::new();
    bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    bytes(&mut any, 2, &info);
    let mut status = Vec::new();
    number(&mut status, 1, code as u64);
    bytes(&mut status, 2, message.as_bytes());
    bytes(&mut status, 3, &any);
    status
}

/// A field that is a number, in protobuf; nothing if it is 0.
fn number(message: &mut Vec<u8>, field: u8, value: u64) {
    if value > 0 {
        message.push(field << 3);
        varint(message, value);
    }
}

/// A field that is a string, bytes or a message.
fn bytes(message: &mut Vec<u8>, field: u8, value: &[u8]) {
    message.push(field << 3 | 2);
    varint(message, value.len() as u64);
    message.extend_from_slice(value);
}

fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Without padding, as gRPC wants it of who sends.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let bits = chunk.iter().zip([16, 8, 0]).fold(0, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        [18, 12, 6, 0].into_iter().take(chunk.len().saturating_add(1)).map(move |shift| (bits >> shift & 63) as usize)
    });
    digits.filter_map(|digit| DIGITS.get(digit).copied()).map(char::from).collect()
}
