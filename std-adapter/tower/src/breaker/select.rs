//! Which breaker a request goes through.

use core::{fmt, hash::Hash, time::Duration};

use http::{HeaderValue, Request, header, uri::Authority};
use steadfast::{
    Breakers, CircuitBreaker,
    circuit_breaker::{Admit, BreakersReporter, Consecutive, Open, TripPolicy},
    runtime::{SystemTimer, Timer},
};

use crate::keys::{KeyOf, NoKey};

/// Which breaker a request goes through: [`One`], or one [`ByKey`].
pub trait Select<R> {
    /// Who lets its call begin.
    type Admit: Admit;

    /// Whoever lets the call of `request` begin; `None` if nobody guards it.
    fn select(&self, request: &R) -> Option<Self::Admit>;

    /// How long to wait for an open breaker; `None` if nobody can say.
    fn retry_after(&self, open: Open) -> Option<Duration>;
}

/// The same for all requests.
pub struct One<P: TripPolicy = Consecutive, T = SystemTimer>(pub(super) CircuitBreaker<P, T>);

impl<R, P: TripPolicy, T: Timer> Select<R> for One<P, T> {
    type Admit = CircuitBreaker<P, T>;

    fn select(&self, _: &R) -> Option<Self::Admit> {
        Some(self.0.clone())
    }

    fn retry_after(&self, open: Open) -> Option<Duration> {
        finite(open.retry_after(self.0.now()))
    }
}

impl<P: TripPolicy, T> Clone for One<P, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: TripPolicy, T> fmt::Debug for One<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("One").field(&self.0).finish()
    }
}

/// One for each key that `F` finds.
pub struct ByKey<F, K, P: TripPolicy = Consecutive, T = SystemTimer> {
    breakers: Breakers<K, P, T>,
    key: F,
}

impl<F, K, P: TripPolicy, T> ByKey<F, K, P, T> {
    pub(super) fn new(breakers: &Breakers<K, P, T>, key: F) -> Self {
        Self { breakers: breakers.clone(), key }
    }
}

impl<R, F, K, P, T> Select<R> for ByKey<F, K, P, T>
where
    F: KeyOf<R, Key = K>,
    K: Eq + Hash + Clone,
    P: TripPolicy,
    T: Timer,
{
    type Admit = BreakersReporter<K, P, T>;

    fn select(&self, request: &R) -> Option<Self::Admit> {
        self.key.key_of(request).ok().flatten().map(|key| self.breakers.admission(key))
    }

    fn retry_after(&self, open: Open) -> Option<Duration> {
        finite(open.retry_after(self.breakers.now()))
    }
}

impl<F: Clone, K, P: TripPolicy, T> Clone for ByKey<F, K, P, T> {
    fn clone(&self) -> Self {
        Self { breakers: self.breakers.clone(), key: self.key.clone() }
    }
}

impl<F, K, P: TripPolicy, T> fmt::Debug for ByKey<F, K, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").field("breakers", &self.breakers).finish_non_exhaustive()
    }
}

/// A breaker that is forced open says no time.
fn finite(wait: Duration) -> Option<Duration> {
    const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);
    (wait < FOR_EVER).then_some(wait)
}

/// The host and port that a request goes to: of its URI, or else of its `Host` header.
///
/// What stands before an `@` is a part of it. Requests to a channel of tonic have neither, since it knows where to: give each
/// channel a [`BreakerLayer::new`](super::BreakerLayer::new) of its own.
#[derive(Clone, Copy, Debug)]
pub struct Host;

impl<B> KeyOf<Request<B>> for Host {
    type Key = Authority;

    fn key_of(&self, request: &Request<B>) -> Result<Option<Authority>, NoKey> {
        let named = || Authority::try_from(request.headers().get(header::HOST).map(HeaderValue::as_bytes)?).ok();
        request.uri().authority().cloned().or_else(named).map(Some).ok_or(NoKey)
    }
}
