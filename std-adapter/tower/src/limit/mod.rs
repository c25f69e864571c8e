//! Rate limits for a service: of one quota, or of several as one decision.
//!
//! - [`LimitLayer`] answers over HTTP (429, `RateLimit` headers, a problem) and gRPC (`RESOURCE_EXHAUSTED`).
//! - [`RejectLayer`] is the same for a [`Service`](tower_service::Service) of any request: its error is [`Rejected`].
//!
//! **Outcomes**: [`Denied`], in the extensions of an answer. **Whose request it is** says a
//! [`KeyOf`](crate::keys::KeyOf).

mod bucket;
mod decide;
mod fields;
mod reject;
mod service;

use core::{fmt, hash::Hash};

use http::response;
use steadfast::{
    Gcra, RateLimiter,
    rate_limiter::{Names, Prints, Quota},
    runtime::{Clock, SystemTimer},
};
use tower_layer::Layer;

pub use bucket::{Asked, QuotaOf};
pub use decide::{Denied, Quotas};
pub use reject::{OrReject, RejectFuture, RejectLayer, Rejected};
pub use service::{Limit, LimitFuture};

/// Limits the rate of requests to a service, and answers those that are too many: a [`RateLimiter`] as a layer of tower.
///
/// Over HTTP the answer is a 429 with `Retry-After`, `RateLimit` headers, and a body of `application/problem+json`; over
/// gRPC, told by the method `POST` and the `content-type`, it is `RESOURCE_EXHAUSTED` with a `RetryInfo`. So one layer serves both on
/// one port.
///
/// ```
/// use axum::{Router, routing::get};
/// use http::HeaderValue;
/// use std::net::IpAddr;
/// use steadfast::{Gcra, RateLimiter};
/// use steadfast_tower::{keys::{Header, PeerIp}, limit::LimitLayer};
///
/// let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(50).burst(20)).capacity(1_000_000).build();
/// let by_key = RateLimiter::<HeaderValue, _>::builder(Gcra::per_minute(600)).build();
///
/// let app: Router = Router::new().route("/orders", get(async || "[]")).layer(
///     LimitLayer::all()
///         .quota("ip", &by_ip, PeerIp::behind(2))
///         .quota("key", &by_key, Header("x-api-key")),
/// );
/// ```
///
/// The limit is in the limiter: all services that this layer makes, their clones, other layers with the same limiter and
/// your own calls share it. Only the quota that requests without a key share is the layer's: build the layer once, and clone
/// it. It is asked in `call`, not in `poll_ready`.
///
/// # Several quotas
///
/// They are decided as one:
///
/// - No request passes without a unit of every quota that has a key for it, and so none ever gets more than its quota.
/// - A request that is denied has taken nothing from any of them when it is answered, and the answer names all that denied
///   it.
///
/// First all are asked, and nothing is taken. Only if all allow is each charged, in their order. If another request took
/// the last unit in between, what was charged is given back before the request is denied. So there is one thing that
/// several limiters cannot promise: a request that comes in just that moment may be denied by a quota of which a unit is
/// about to be given back. What a full limiter has moved into its ledger meanwhile cannot be given back: the key keeps the
/// charge. And of a `SlidingLog` the oldest request is given back instead of this one, which counts for longer.
///
/// # Trying a quota out
///
/// Where a limiter only observes ([`Enforce`](steadfast::rate_limiter::Enforce)), for all keys or for some, a request that
/// its quota would deny passes by it and takes nothing, so that nothing is given back for it either. Headers tell the
/// quota as it is, with nothing left, and no answer names it; `stats().overridden` of the limiter counts what it would have
/// denied. The other quotas decide as ever.
///
/// # Requests without a key
///
/// A quota without a key for a request, because its [`KeyOf`](crate::keys::KeyOf) says `None`, does not limit it. Where it
/// says [`NoKey`](crate::keys::NoKey), [`when_no_key`](Self::when_no_key) decides; never is it an error of the server's.
/// Such a request is in no limiter's `stats()`, but in [`without_key`](Self::without_key): if all clients are denied together
/// while the counts of the limiter stand still, nobody says who connected (axum's `ConnectInfo`, the feature `axum`).
///
/// # Cost
///
/// An allowed request allocates nothing but the values of its headers, and nothing at all with [`Headers::None`].
#[doc(alias("GovernorLayer", "RateLimitLayer", "throttle", "load shedding"))]
#[derive(Clone)]
#[must_use = "a layer limits nothing until a service is in it"]
pub struct LimitLayer<Q, X = NeverRefund> {
    limits: Limits<Q, X>,
}

/// The quotas of a layer, and one more.
pub type With<Q, F, K, A = Gcra, T = SystemTimer, P = Prints> = (Q, QuotaOf<F, K, A, T, P>);

/// What a layer and its services share.
#[derive(Clone)]
pub(crate) struct Limits<Q, X> {
    quotas: Q,
    headers: Headers,
    when_no_key: WhenNoKey,
    refund_if: X,
}

/// Which headers tell a client of its limits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Headers {
    /// `RateLimit-Policy: "ip";q=20;w=1` and `RateLimit: "ip";r=19;t=1`, as in draft-ietf-httpapi-ratelimit-headers-11,
    /// for each quota that limits the request; lists of structured fields (RFC 9651).
    ///
    /// `q` is how many requests there are in a quota that is whole, `w` the seconds that it takes to be whole again once
    /// it is used up; `r` how many are left, and `t` the seconds until there is one more. An answer that denies has a `t`
    /// for the quotas that deny, which is never later than its `Retry-After`.
    #[default]
    Ietf,
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` of the quota that has least left; the last in
    /// seconds until it is whole.
    Legacy,
    /// Both of them.
    Both,
    /// None but `Retry-After` where a request is denied.
    None,
}

/// What happens to requests of which a quota has no key, though it should: [`NoKey`](crate::keys::NoKey).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenNoKey {
    /// All of them share one quota, as large as each key's and enforced as one more key is: one for each layer that was
    /// built, and its clones. A client whose
    /// own quota is used up may choose to be one of them, as by sending its [`Header`](crate::keys::Header) twice; if the
    /// service behind takes one of several, say `Deny`.
    #[default]
    Share,
    /// This quota does not limit them (fail open).
    Allow,
    /// They are denied (fail closed), without a time to come back.
    Deny,
}

impl LimitLayer<()> {
    /// A limit of no quota yet: add each by [`quota`](Self::quota).
    pub const fn all() -> Self {
        let (headers, when_no_key) = (Headers::Ietf, WhenNoKey::Share);
        Self { limits: Limits { quotas: (), headers, when_no_key, refund_if: NeverRefund } }
    }

    /// A limit of one quota, which headers call `default`.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use steadfast::{Gcra, RateLimiter};
    /// use steadfast_tower::{keys::PeerIp, limit::LimitLayer};
    ///
    /// let limiter = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(50).burst(20)).build();
    /// let layer = LimitLayer::new(&limiter, PeerIp::direct());
    /// ```
    pub fn new<K, A, T, P, F>(limiter: &RateLimiter<K, A, T, P>, key: F) -> LimitLayer<With<(), F, K, A, T, P>>
    where
        K: Hash,
        A: Quota + Copy,
        T: Clock,
        P: Names<K, K>,
    {
        Self::all().quota("default", limiter, key)
    }
}

impl<Q, X> LimitLayer<Q, X> {
    /// Every request needs a unit of this one too. `name` is what headers and answers call it: printable ASCII, of which
    /// the first 64 characters are told.
    pub fn quota<K, A, T, P, F>(
        self,
        name: &'static str,
        limiter: &RateLimiter<K, A, T, P>,
        key: F,
    ) -> LimitLayer<With<Q, F, K, A, T, P>, X>
    where
        K: Hash,
        A: Quota + Copy,
        T: Clock,
        P: Names<K, K>,
    {
        let Limits { quotas, headers, when_no_key, refund_if } = self.limits;
        let quotas = (quotas, QuotaOf::new(name, limiter, key));
        LimitLayer { limits: Limits { quotas, headers, when_no_key, refund_if } }
    }

    /// Which headers are told: [`Headers::Ietf`] unless it is said.
    pub const fn headers(mut self, headers: Headers) -> Self {
        self.limits.headers = headers;
        self
    }

    /// What happens to requests without a key: [`WhenNoKey::Share`] unless it is said.
    pub const fn when_no_key(mut self, when_no_key: WhenNoKey) -> Self {
        self.limits.when_no_key = when_no_key;
        self
    }

    /// How often a quota should have had a key for a request and found none, over all of them, in this layer, its services
    /// and all clones. Worth an alert.
    #[must_use]
    pub fn without_key(&self) -> u64
    where
        Q: decide::Keyless,
    {
        self.limits.quotas.without_key()
    }

    /// Gives back what a request took if its response is one of these, so that it does not count: to count failed logins
    /// only, or to charge nobody for an outage.
    ///
    /// A request whose future is dropped, or ends with an error, counts; so does one whose response comes so late that the
    /// quota is whole again. The status of a gRPC call is seen if it comes in the headers, without a message.
    ///
    /// For `Gcra`: of a `SlidingLog` the oldest request is given back, not this one, so that what is left counts for longer.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use steadfast::{Gcra, RateLimiter};
    /// use steadfast_tower::{keys::PeerIp, limit::LimitLayer};
    ///
    /// let logins = RateLimiter::<IpAddr, _>::builder(Gcra::per_hour(5)).build();
    /// let layer = LimitLayer::new(&logins, PeerIp::direct()).refund_if(|response| response.status.is_success());
    /// ```
    #[doc(alias("skipSuccessfulRequests", "skipFailedRequests"))]
    pub fn refund_if<Y: Fn(&response::Parts) -> bool>(self, refund_if: Y) -> LimitLayer<Q, Y> {
        let Limits { quotas, headers, when_no_key, .. } = self.limits;
        LimitLayer { limits: Limits { quotas, headers, when_no_key, refund_if } }
    }
}

impl<Q> LimitLayer<Q> {
    /// The same for a service of any request and response: what is denied is an error, [`Rejected`].
    pub fn rejecting(self) -> RejectLayer<Q> {
        RejectLayer::new(self.limits)
    }
}

impl<Q, X> fmt::Debug for LimitLayer<Q, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limits.describe(f.debug_struct("LimitLayer"))
    }
}

impl<Q, X> Limits<Q, X> {
    fn describe(&self, mut of: fmt::DebugStruct<'_, '_>) -> fmt::Result {
        of.field("headers", &self.headers).field("when_no_key", &self.when_no_key).finish_non_exhaustive()
    }
}

impl<S, Q: Clone, X: Clone> Layer<S> for LimitLayer<Q, X> {
    type Service = Limit<S, Q, X>;

    fn layer(&self, inner: S) -> Limit<S, Q, X> {
        Limit::new(inner, self.limits.clone())
    }
}

/// Whose requests are given back by their response: a closure, or [`NeverRefund`].
pub trait RefundIf {
    /// True if what the request took is given back.
    fn is_refunded(&self, response: &response::Parts) -> bool;
}

/// Every request counts.
#[derive(Clone, Copy, Debug)]
pub struct NeverRefund;

impl RefundIf for NeverRefund {
    fn is_refunded(&self, _: &response::Parts) -> bool {
        false
    }
}

impl<F: Fn(&response::Parts) -> bool> RefundIf for F {
    fn is_refunded(&self, response: &response::Parts) -> bool {
        self(response)
    }
}
