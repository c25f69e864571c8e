//! Idempotency keys: a request that comes twice is worked on once, and gets the same answer again.
//!
//! [`IdempotencyLayer`] reads the `Idempotency-Key` of a request, and keeps its answer in a
//! [`DedupCache`] as a [`Stored`].

mod key;
mod service;
mod stored;

use http::StatusCode;
use steadfast::{DedupCache, runtime::SystemTimer};
use tower_layer::Layer;

pub use key::Id;
pub(crate) use key::KEY;
pub use service::{Idempotent, IdempotentFuture};
pub use stored::{Kept, Stored};

use crate::keys::Everyone;

/// Works once on requests with the same `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07), and answers the
/// others as it answered the first.
///
/// ```
/// use core::time::Duration;
/// use axum::{Router, routing::post};
/// use http::Request;
/// use steadfast::{DedupCache, dedup_cache::OnFull};
/// use steadfast_tower::{idempotency::{Id, IdempotencyLayer}, keys::NoKey};
///
/// /// Who an authentication outside this layer has found the client to be.
/// #[derive(Clone, Copy, Eq, Hash, PartialEq)]
/// struct User(u64);
///
/// let seen = DedupCache::<Id<User>>::builder(Duration::from_secs(86_400), OnFull::Refuse)
///     .capacity(100_000)
///     .lease(Duration::from_secs(60)) // longer than a request takes
///     .keeping()
///     .build();
/// let layer = IdempotencyLayer::new(&seen)
///     .scope(|request: &Request<axum::body::Body>| request.extensions().get::<User>().map(|user| Some(*user)).ok_or(NoKey))
///     .required();
/// let app: Router = Router::new().route("/pay", post(async || "paid")).layer(layer);
/// ```
///
/// It looks at requests whose method is not idempotent (`POST`, `PATCH`); others pass. So do calls of gRPC, unless a key is
/// [`required`](Self::required): a client can claim to be one by its `content-type`.
///
/// | the request | is answered |
/// |---|---|
/// | is the first with its key | by the service |
/// | comes again, with the same method, target and body | as the first was, with `Idempotent-Replayed: true` |
/// | comes again with another | 422 |
/// | comes again while the first is worked on, or before the lease of one that failed has ended | 409, with `Retry-After` |
/// | has no key, where one is [`required`](Self::required); or an empty one, several, or one longer than 255 bytes | 400 |
/// | has a key and a body larger than [`max_body`](Self::max_body) | 413 |
/// | finds the cache full | 503 |
/// | claims to be a call of gRPC, where a key is required | `UNIMPLEMENTED`, over gRPC |
///
/// # What is kept
///
/// Every answer below 500 but 408, 425 and 429, success or error, for the TTL of the cache: publish it; or as
/// [`keep_if`](Self::keep_if) says. An answer is sent when all of it is known. One that is larger than `max_body`, has
/// trailers, or breaks off is passed on but not kept: who comes again is told 409, and the work is not done twice.
///
/// What is not kept may have been done all the same: a handler is cut off after the charge. So after a 408, any 5xx but 503,
/// and an error of the service the key stays taken until the lease of its claim ends; then the request may come again. Only
/// after a 425, 429 or 503, by which a service says that it has not begun, the key is free at once; or as
/// [`free_if`](Self::free_if) says.
///
/// # When a client hangs up
///
/// The server drops the call, and nobody knows how far it came. So the key stays taken until the lease of its claim ends;
/// then the request may come again. To finish the work in any case, let the service spawn it.
///
/// # Scope
///
/// Keys are told apart by [`scope`](Self::scope): without one, a client that guesses another's key, and its request, gets
/// its answer.
#[doc(alias("Idempotency-Key", "Idempotent-Replayed", "exactly once"))]
#[must_use = "a layer keeps nothing until a service is in it"]
pub struct IdempotencyLayer<S = (), X = Everyone, T = SystemTimer, P = fn(StatusCode) -> bool> {
    rules: Rules<S, X, T, P>,
}

/// What a layer and its services go by.
pub(crate) struct Rules<S, X, T, P> {
    seen: DedupCache<Id<S>, Kept, T>,
    scope: X,
    is_required: bool,
    keep_if: P,
    free_if: fn(StatusCode) -> bool,
    max_body: usize,
}

impl<S, X: Clone, T, P: Clone> Clone for Rules<S, X, T, P> {
    fn clone(&self) -> Self {
        let Self { seen, scope, is_required, keep_if, free_if, max_body } = self;
        let (is_required, free_if, max_body) = (*is_required, *free_if, *max_body);
        Self { seen: seen.clone(), scope: scope.clone(), is_required, keep_if: keep_if.clone(), free_if, max_body }
    }
}

impl<S, T> IdempotencyLayer<S, Everyone, T> {
    /// Keeps answers in `seen`; bodies up to 64 KiB.
    pub fn new(seen: &DedupCache<Id<S>, Kept, T>) -> Self {
        let (seen, scope, keep_if) = (seen.clone(), Everyone, is_kept as fn(StatusCode) -> bool);
        Self { rules: Rules { seen, scope, is_required: false, keep_if, free_if: has_not_begun, max_body: 65_536 } }
    }
}

impl<S, X, T, P> IdempotencyLayer<S, X, T, P> {
    /// Whose keys they are, as a [`KeyOf`](crate::keys::KeyOf): something that the client cannot choose, such as an
    /// authenticated user. A request with [`NoKey`](crate::keys::NoKey) is answered by a 400; one with `None` passes.
    pub fn scope<Y>(self, scope: Y) -> IdempotencyLayer<S, Y, T, P> {
        let Rules { seen, is_required, keep_if, free_if, max_body, .. } = self.rules;
        IdempotencyLayer { rules: Rules { seen, scope, is_required, keep_if, free_if, max_body } }
    }

    /// A request without a key is answered by a 400, and a call of gRPC refused; otherwise they pass.
    pub const fn required(mut self) -> Self {
        self.rules.is_required = true;
        self
    }

    /// Which answers are kept, by their status.
    pub fn keep_if<Y: Fn(StatusCode) -> bool>(self, keep_if: Y) -> IdempotencyLayer<S, X, T, Y> {
        let Rules { seen, scope, is_required, free_if, max_body, .. } = self.rules;
        IdempotencyLayer { rules: Rules { seen, scope, is_required, keep_if, free_if, max_body } }
    }

    /// Which answers, of those that are not kept, say that nothing was done, by their status: the key is free at once.
    /// A service that undoes its work when it fails may add its 500.
    pub const fn free_if(mut self, free_if: fn(StatusCode) -> bool) -> Self {
        self.rules.free_if = free_if;
        self
    }

    /// The largest body of a request with a key, and of an answer that is kept, in bytes.
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.rules.max_body = bytes;
        self
    }
}

/// Below 500, and no request to come again.
fn is_kept(status: StatusCode) -> bool {
    !status.is_server_error() && !matches!(status.as_u16(), 408 | 425 | 429)
}

/// Too early, too often, or not now.
const fn has_not_begun(status: StatusCode) -> bool {
    matches!(status.as_u16(), 425 | 429 | 503)
}

impl<I, S, X: Clone, T, P: Clone> Layer<I> for IdempotencyLayer<S, X, T, P> {
    type Service = Idempotent<I, S, X, T, P>;

    fn layer(&self, inner: I) -> Self::Service {
        Idempotent::new(inner, self.rules.clone())
    }
}

impl<S, X: Clone, T, P: Clone> Clone for IdempotencyLayer<S, X, T, P> {
    fn clone(&self) -> Self {
        Self { rules: self.rules.clone() }
    }
}

impl<S, X, T, P> core::fmt::Debug for IdempotencyLayer<S, X, T, P> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Rules { is_required, max_body, .. } = &self.rules;
        let mut fields = f.debug_struct("IdempotencyLayer");
        fields.field("is_required", is_required).field("max_body", max_body).finish_non_exhaustive()
    }
}
