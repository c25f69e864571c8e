//! The key of a request.

use core::hash::{Hash, Hasher};
use std::hash::DefaultHasher;

use http::{HeaderMap, HeaderName, HeaderValue, header, request, uri::PathAndQuery};

pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 255;

/// The key of a request within its scope: what a [`DedupCache`](steadfast::DedupCache) knows it by.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Id<S = ()> {
    pub(super) scope: S,
    pub(super) key: Box<[u8]>,
}

/// The key that a client sent.
pub(super) enum Key {
    /// Empty, too long, or one of several.
    Bad,
    None,
    Sent(Box<[u8]>),
}

impl Key {
    /// A string of structured fields, `"8e03978e"`; and, since many send it so, what has no quotes.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(KEY).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Self::None,
            (Some(value), None) => value.as_bytes().trim_ascii(),
            (Some(_), Some(_)) => return Self::Bad,
        };
        let key = value.strip_prefix(b"\"").map_or(Some(value), |quoted| quoted.strip_suffix(b"\""));
        match key {
            Some(key) if (1..=LONGEST).contains(&key.len()) => Self::Sent(key.into()),
            _ => Self::Bad,
        }
    }
}

/// What a request asks for, the same over HTTP/1 and HTTP/2: only there the URI has a scheme and an authority. Who makes up
/// two requests of one fingerprint deceives nobody but himself: he gets the answer to the one for the other.
pub(super) fn fingerprint(head: &request::Parts, body: &[u8]) -> u64 {
    let host = || head.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes()).or_else(host);
    let mut hasher = DefaultHasher::new();
    head.method.hash(&mut hasher);
    authority.map(<[u8]>::to_ascii_lowercase).hash(&mut hasher);
    head.uri.path_and_query().map(PathAndQuery::as_str).hash(&mut hasher);
    body.hash(&mut hasher);
    hasher.finish()
}
