//! One quota of a layer, and what it says of a request.

use core::{
    fmt,
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::sync::Arc;

use steadfast::{
    Gcra, Instant, RateLimiter,
    rate_limiter::{CostExceedsBurst, Names, Naming, Prints, Quota, Verdict},
    runtime::{Clock, SystemTimer},
};

use super::WhenNoKey;
use crate::keys::{KeyOf, NoKey};

const ONE: NonZeroU32 = NonZeroU32::MIN;

/// One of a layer's quotas: a limiter, and the `F` that finds whom a request counts for.
pub struct QuotaOf<F, K, A: Quota = Gcra, T = SystemTimer, P: Naming<K> = Prints> {
    name: &'static str,
    limiter: RateLimiter<K, A, T, P>,
    /// Of all requests without a key.
    shared: RateLimiter<(), A, ClockOf<K, A, T, P>>,
    without_key: Arc<AtomicU64>,
    key: F,
}

/// The clock of a limiter.
pub(super) struct ClockOf<K, A: Quota, T, P: Naming<K>>(RateLimiter<K, A, T, P>);

impl<K, A: Quota, T: Clock, P: Naming<K>> Clock for ClockOf<K, A, T, P> {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl<K, A: Quota, T, P: Naming<K>> Clone for ClockOf<K, A, T, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F, K, A, T, P> QuotaOf<F, K, A, T, P>
where
    K: Hash,
    A: Quota + Copy,
    T: Clock,
    P: Names<K, K>,
{
    pub(super) fn new(name: &'static str, limiter: &RateLimiter<K, A, T, P>, key: F) -> Self {
        let shared = RateLimiter::builder(limiter.quota()).capacity(1).timer(ClockOf(limiter.clone())).build();
        Self { name, limiter: limiter.clone(), shared, without_key: Arc::default(), key }
    }

    /// Whose request it is.
    pub(super) fn ask<R>(&self, request: &R, when_no_key: WhenNoKey) -> Asked<K>
    where
        F: KeyOf<R, Key = K>,
    {
        let key = self.key.key_of(request);
        if key.is_err() {
            self.without_key.fetch_add(1, Ordering::Relaxed);
        }
        let whose = match (key, when_no_key) {
            (Ok(Some(key)), _) => Whose::Client(key),
            (Ok(None), _) | (Err(NoKey), WhenNoKey::Allow) => Whose::NotLimited,
            (Err(NoKey), WhenNoKey::Share) => Whose::Shared,
            (Err(NoKey), WhenNoKey::Deny) => Whose::Refused,
        };
        Asked { whose, told: Told { verdict: None, is_denied: false, is_charged: false } }
    }

    pub(super) const fn bucket<'a>(&'a self, asked: &'a mut Asked<K>) -> BucketOf<'a, F, K, A, T, P> {
        BucketOf { quota: self, asked }
    }
}

impl<F: Clone, K, A: Quota, T, P: Naming<K>> Clone for QuotaOf<F, K, A, T, P> {
    fn clone(&self) -> Self {
        let Self { name, limiter, shared, without_key, key } = self;
        let (limiter, shared, without_key) = (limiter.clone(), shared.clone(), without_key.clone());
        Self { name, limiter, shared, without_key, key: key.clone() }
    }
}

impl<F, K, A: Quota, T, P: Naming<K>> QuotaOf<F, K, A, T, P> {
    /// Requests for which there should have been a key.
    pub(super) fn without_key(&self) -> u64 {
        self.without_key.load(Ordering::Relaxed)
    }
}

impl<F, K, A: Quota, T, P: Naming<K>> fmt::Debug for QuotaOf<F, K, A, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuotaOf").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a quota says of a request.
pub struct Asked<K> {
    whose: Whose<K>,
    told: Told,
}

enum Whose<K> {
    Client(K),
    NotLimited,
    Refused,
    Shared,
}

#[derive(Debug)]
pub(crate) struct Told {
    pub(super) verdict: Option<Verdict>,
    pub(super) is_denied: bool,
    pub(super) is_charged: bool,
}

impl<K> fmt::Debug for Asked<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("told", &self.told).finish_non_exhaustive()
    }
}

/// A quota and a request, whatever its key is.
pub(crate) trait Bucket {
    fn name(&self) -> &'static str;

    /// The time until an instant by the clock of this one.
    fn until(&self, at: Instant) -> Duration;

    fn is_limited(&self) -> bool;

    fn told(&self) -> &Told;

    /// Asks, and takes nothing.
    fn check(&mut self);

    /// Takes one, if it is allowed.
    fn charge(&mut self);

    /// Gives back what was taken, and tells what is left then.
    fn refund(&mut self);
}

pub(super) struct BucketOf<'a, F, K, A: Quota, T, P: Naming<K>> {
    quota: &'a QuotaOf<F, K, A, T, P>,
    asked: &'a mut Asked<K>,
}

impl<F, K, A, T, P> BucketOf<'_, F, K, A, T, P>
where
    K: Hash,
    A: Quota + Copy,
    T: Clock,
    P: Names<K, K>,
{
    /// The quota of all without a key, as it is now for each key.
    fn shared(&self) -> &RateLimiter<(), A, ClockOf<K, A, T, P>> {
        let QuotaOf { limiter, shared, .. } = self.quota;
        shared.set_quota(limiter.quota());
        shared.set_enforce(limiter.enforce());
        shared
    }

    fn hear(&mut self, verdict: Result<Verdict, CostExceedsBurst>) {
        let told = &mut self.asked.told;
        told.verdict = verdict.ok();
        told.is_denied = !told.verdict.is_some_and(Verdict::is_allowed);
    }
}

impl<F, K, A, T, P> Bucket for BucketOf<'_, F, K, A, T, P>
where
    K: Hash,
    A: Quota + Copy,
    T: Clock,
    P: Names<K, K>,
{
    fn name(&self) -> &'static str {
        self.quota.name
    }

    fn until(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.quota.limiter.now())
    }

    fn is_limited(&self) -> bool {
        !matches!(self.asked.whose, Whose::NotLimited)
    }

    fn told(&self) -> &Told {
        &self.asked.told
    }

    fn check(&mut self) {
        match &self.asked.whose {
            Whose::Client(key) => self.hear(self.quota.limiter.check_verdict(key, ONE)),
            Whose::Shared => self.hear(self.shared().check_verdict(&(), ONE)),
            Whose::Refused => self.asked.told.is_denied = true,
            Whose::NotLimited => {}
        }
    }

    fn charge(&mut self) {
        match &self.asked.whose {
            Whose::Client(key) => self.hear(self.quota.limiter.allow_verdict(key, ONE)),
            Whose::Shared => self.hear(self.shared().allow_verdict(&(), ONE)),
            Whose::Refused => self.asked.told.is_denied = true,
            Whose::NotLimited => return,
        }
        self.asked.told.is_charged = !self.asked.told.is_denied;
    }

    fn refund(&mut self) {
        if !core::mem::take(&mut self.asked.told.is_charged) {
            return;
        }
        // What it has not taken, or the quota has given back by itself by then, would be another request's charge.
        let is_taken = |verdict: Verdict| !verdict.overridden && verdict.reset_at > self.quota.limiter.now();
        if !self.asked.told.verdict.is_none_or(is_taken) {
            return;
        }
        match &self.asked.whose {
            Whose::Client(key) => self.quota.limiter.refund(key, ONE),
            Whose::Shared => self.quota.shared.refund(&(), ONE),
            Whose::Refused | Whose::NotLimited => false,
        };
        self.check();
        self.asked.told.is_denied = false;
    }
}
