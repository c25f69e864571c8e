//! Decisions for one key.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{CostExceedsBurst, Decision, ONE, OnFull, Quota, RateLimiterIn, RateLimiterStats, Verdict, room::Place};
use crate::foundation::{
    storage::Storage,
    time::{Instant, Span},
};

/// By how much a timer may wake late without a loss: a turn counts from when it came, but not from before that.
const LATE: Span = Span::from_nanos(5_000_000);

/// A request, as [`RateLimiterIn::decide`] wants it.
pub(super) struct Request<'a, Q: ?Sized> {
    pub(super) hash: u64,
    pub(super) key: &'a Q,
    pub(super) cost: NonZeroU32,
    /// Since when it has been waiting, if it has.
    pub(super) since: Option<Instant>,
}

impl<K: Eq + Hash, A: Quota, S: Storage, H: BuildHasher> RateLimiterIn<K, A, S, H> {
    /// Decides a request of `key`, and counts it if it is allowed.
    pub fn allow(&mut self, key: &K, now: Instant) -> Decision
    where
        K: Clone,
    {
        self.allow_with(self.hash(key), key, K::clone, || now)
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::{Decision, CostExceedsBurst}};
    ///
    /// let mut bytes: RateLimiter<u32, Gcra, 32> = RateLimiter::new(Gcra::per_second(1_000));
    /// let (now, cost) = (Instant::from_secs(1), |bytes| NonZeroU32::new(bytes).unwrap());
    /// assert_eq!(bytes.allow_n(&7, cost(800), now)?, Decision::Allow);
    /// assert!(!bytes.allow_n(&7, cost(800), now)?.is_allowed()); // not now
    /// assert_eq!(bytes.allow_n(&7, cost(1_001), now), Err(CostExceedsBurst { limit: 1_000 }));
    /// assert!(bytes.refund(&7, cost(300), now)); // only 500 were sent
    /// assert_eq!(bytes.remaining(&7, now), 500);
    /// assert_eq!(bytes.reset_at(&7, now), Instant::from_millis(1_500));
    /// # Ok::<(), CostExceedsBurst>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota; no quota changed, and it counts as denied.
    pub fn allow_n(&mut self, key: &K, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>
    where
        K: Clone,
    {
        self.allow_n_with(self.hash(key), key, K::clone, cost, || now)
    }

    /// [`allow_n`](Self::allow_n) with all that a client is told, decided in one step.
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::CostExceedsBurst};
    ///
    /// let mut limiter: RateLimiter<u32, Gcra, 32> = RateLimiter::new(Gcra::per_minute(60));
    /// let verdict = limiter.allow_verdict(&7, NonZeroU32::MIN, Instant::from_secs(100))?;
    /// assert!(verdict.is_allowed());
    /// // RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset
    /// assert_eq!((verdict.limit, verdict.remaining), (60, 59));
    /// assert_eq!(verdict.reset_at, Instant::from_secs(101));
    /// # Ok::<(), CostExceedsBurst>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_verdict(&mut self, key: &K, cost: NonZeroU32, now: Instant) -> Result<Verdict, CostExceedsBurst>
    where
        K: Clone,
    {
        let request = Request { hash: self.hash(key), key, cost, since: None };
        let verdict = self.decide(request, |key| Some(key.clone()), |_, _| (), || now, Verdict::of);
        // It had a key, so there is a verdict.
        verdict.unwrap_or(Err(CostExceedsBurst { limit: 0 }))
    }

    /// [`allow_n`](Self::allow_n) for a request that waits and asks again: counted only when it is allowed.
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_n_waiting(&mut self, key: &K, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>
    where
        K: Clone,
    {
        self.waiting(|limiter| limiter.allow_n(key, cost, now))
    }

    /// [`allow`](Self::allow) for a borrowed form of the key, for adapters that have hashed it already.
    ///
    /// `hash` is what this limiter's [`hash`](Self::hash) returns; `own` makes the key of a new entry. `now` is asked for
    /// when the key was looked up: where a processor reads its counter only after all that it loads, reading it first
    /// would make the look-up wait.
    #[inline]
    pub fn allow_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        now: impl FnOnce() -> Instant,
    ) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // One fits every quota, or the quota is zero and denies: `CostExceedsBurst` cannot occur.
        self.allow_n_with(hash, key, own, ONE, now).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// [`allow_n`](Self::allow_n) for a borrowed form of the key; see [`allow_with`](Self::allow_with).
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_n_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        cost: NonZeroU32,
        now: impl FnOnce() -> Instant,
    ) -> Result<Decision, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let request = Request { hash, key, cost, since: None };
        let decision = self.decide(request, |key| Some(own(key)), |_, _| (), now, plain);
        decision.unwrap_or(Ok(Decision::Deny { retry_at: Instant::MAX }))
    }

    /// Decides a request, and tells of it what `told` makes of the decision and the state that made it.
    ///
    /// `own` makes the key of a new entry. If it has none, there is no decision, and nothing has changed: whoever holds a
    /// lock makes the key outside, and asks again. For the same reason a key that leaves the table goes to `gone`.
    #[inline]
    pub(super) fn decide<Q, R>(
        &mut self,
        Request { hash, key, cost, since }: Request<'_, Q>,
        own: impl FnOnce(&Q) -> Option<K>,
        mut gone: impl FnMut(K, A::State),
        now: impl FnOnce() -> Instant,
        told: impl FnOnce(Result<Decision, CostExceedsBurst>, &A, Option<&A::State>, Instant) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let known = self.table.find(hash, key);
        let now = now();
        self.observe(now);
        let place = match known {
            Some(slot) => Place::Known(slot),
            None => self.place_for_new(hash, key, own, &mut gone, cost, now)?,
        };
        let since = since.map_or(now, |since| since.max(now.before(LATE)).min(now));
        let mut state = match place {
            Place::Known(slot) | Place::New(slot) => self.table.get_mut(slot),
            Place::Shared(_) => Some(&mut self.overflow),
            Place::Nowhere(_) => None,
        };
        let decision = match (&mut state, place) {
            (Some(state), Place::Shared(idle_at)) => {
                self.quota.allow_since(state, cost, since, now).map(|it| it.no_later_than(idle_at))
            }
            (Some(state), _) => self.quota.allow_since(state, cost, since, now),
            (None, Place::Nowhere(refusal)) => refusal,
            (None, _) => Ok(Decision::Deny { retry_at: Instant::MAX }),
        };
        let told = told(decision, &self.quota, state.as_deref(), now);
        if decision == Ok(Decision::Allow) {
            self.stats.allowed = self.stats.allowed.saturating_add(1);
        } else {
            self.stats.denied = self.stats.denied.saturating_add(1);
            // A denied newcomer takes no entry: it would be an idle one.
            if let Place::New(slot) = place {
                self.forget(slot, gone);
            }
        }
        Some(told)
    }

    /// Asks for somebody who waits: what is not allowed leaves no trace in the counts.
    pub(super) fn waiting<R>(&mut self, ask: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.stats;
        let answer = ask(self);
        if self.stats.allowed == before.allowed {
            self.stats = RateLimiterStats { reused: self.stats.reused, ..before };
        }
        answer
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&mut self, key: &Q, now: Instant) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.check_n(key, ONE, now).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// Decides a request as [`allow_n`](Self::allow_n) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn check_n<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.ask(key, cost, now, plain)
    }

    /// [`check_n`](Self::check_n) with all that a client is told.
    ///
    /// # Errors
    ///
    /// As for `check_n`.
    pub fn check_verdict<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> Result<Verdict, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.ask(key, cost, now, Verdict::of)
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&mut self, key: &Q, now: Instant) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, now, |quota, state, _| state.map_or(0, |state| quota.remaining(state, now)))
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&mut self, key: &Q, now: Instant) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, now, |quota, state, idle_at| state.map_or(idle_at, |state| quota.reset_at(state, now)))
    }

    /// Gives back `cost` that was allowed and not used; false, and nothing given, if `key` has no entry of its own.
    ///
    /// Never more than what still counts: what the quota has given back by itself meanwhile is not given back again, so
    /// refund soon, as long as the request counts.
    pub fn refund<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.observe(now);
        let slot = self.table.find(self.table.hash(key), key);
        let Some(state) = slot.and_then(|slot| self.table.get_mut(slot)) else { return false };
        self.quota.refund(state, cost, now);
        self.stats.refunded = self.stats.refunded.saturating_add(1);
        true
    }

    /// Forgets what `key` has used, so that it has its whole quota again, and hands its key back; `None` if it has no
    /// entry of its own.
    pub fn reset<Q>(&mut self, key: &Q) -> Option<K>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.table.hash(key), key)?;
        self.table.remove(slot).map(|(key, _)| key)
    }

    /// Forgets every idle entry, and tells how many; never needed, since a full table does it by itself. O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_with(now, |_, _| ())
    }

    /// [`cleanup`](Self::cleanup) that hands what goes to `gone`: whoever holds a lock drops it outside.
    pub fn cleanup_with(&mut self, now: Instant, mut gone: impl FnMut(K, A::State)) -> usize {
        self.observe_all(now);
        let before = self.len();
        for slot in 0..self.table.slots() {
            if self.table.get(slot).is_some_and(|(_, state)| self.quota.is_idle(state, now)) {
                self.forget(slot, &mut gone);
            }
        }
        before.saturating_sub(self.len())
    }

    /// The hash of a key, as [`allow_with`](Self::allow_with) wants it.
    pub fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.table.hash(key)
    }

    /// Replaces the hash's secret and keeps every entry. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.table.rehash(hasher);
    }

    /// What `told` makes of the decision for a request that is not made.
    fn ask<Q, R>(
        &mut self,
        key: &Q,
        cost: NonZeroU32,
        now: Instant,
        told: impl FnOnce(Result<Decision, CostExceedsBurst>, &A, Option<&A::State>, Instant) -> R,
    ) -> R
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, now, |quota, state, idle_at| {
            let decision = match state {
                Some(state) => quota.check(state, cost, now).map(|decision| decision.no_later_than(idle_at)),
                None if cost.get() > quota.limit() && quota.limit() > 0 => {
                    Err(CostExceedsBurst { limit: quota.limit() })
                }
                None => Ok(Decision::Deny { retry_at: idle_at }),
            };
            told(decision, quota, state, now)
        })
    }

    /// Looks at the state that decides for `key`, if there is one, and at when there is an entry for it, if it has none. If
    /// the clock has stepped back, the state is cut to what there can be: what is told of it must come true.
    pub(super) fn look<Q, R>(
        &mut self,
        key: &Q,
        now: Instant,
        told: impl FnOnce(&A, Option<&A::State>, Instant) -> R,
    ) -> R
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.observe(now);
        let hash = self.table.hash(key);
        let known = self.table.find(hash, key);
        let mut idle_at = Instant::MAX;
        if known.is_none() {
            // Under a quota of zero an entry would not help.
            let is_full = self.table.is_full() && self.quota.limit() > 0;
            let taken = if is_full { self.find_idle(hash, now).idle.err() } else { None };
            match (taken, self.on_full) {
                (None, _) => return told(&self.quota, Some(&A::IDLE), idle_at),
                (Some(at), OnFull::Deny) => return told(&self.quota, None, at),
                (Some(at), OnFull::Share) => idle_at = at,
            }
        }
        let state = known.and_then(|slot| self.table.get_mut(slot)).unwrap_or(&mut self.overflow);
        self.quota.mend(state, now);
        told(&self.quota, Some(state), idle_at)
    }
}

/// What is told of a decision: the decision.
pub(super) const fn plain<A: Quota>(
    decision: Result<Decision, CostExceedsBurst>,
    _: &A,
    _: Option<&A::State>,
    _: Instant,
) -> Result<Decision, CostExceedsBurst> {
    decision
}
