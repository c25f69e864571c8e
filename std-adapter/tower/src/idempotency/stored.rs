//! An answer that is kept.

use core::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, response};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a [`DedupCache`](steadfast::DedupCache) keeps with a key.
pub type Kept = Option<Arc<Stored>>;

/// An answer that is kept with the key of its request.
pub struct Stored {
    pub(super) fingerprint: u64,
    /// Unless it could not be kept.
    answer: Option<Answer>,
}

struct Answer {
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Stored {
    pub(super) fn new(fingerprint: u64, head: &response::Parts, body: Option<&[u8]>) -> Self {
        let answer = body.map(|body| Answer {
            status: head.status,
            version: head.version,
            headers: head.headers.clone(),
            body: body.to_vec(),
        });
        Self { fingerprint, answer }
    }

    /// The answer again, marked as such; `None` if it could not be kept.
    pub(super) fn replay(&self) -> Option<Response<Vec<u8>>> {
        let answer = self.answer.as_ref()?;
        let mut response = Response::new(answer.body.clone());
        *response.status_mut() = answer.status;
        *response.version_mut() = answer.version;
        *response.headers_mut() = answer.headers.clone();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Some(response)
    }
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("status", &self.answer.as_ref().map(|answer| answer.status))
            .finish_non_exhaustive()
    }
}
