//! Decisions for one key.

use core::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{
    CostExceedsBurst, Decision, Held, Names, Naming, ONE, Quota, RateLimiterIn, Verdict,
    enforce::{Judged, Shadow},
    lines::print_of,
    newcomer::{Arrival, Beyond},
};
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

/// What a decision was made on: the state that it left, if there is one.
pub(super) type State<'a, A> = Option<(Instant, Held<'a, A>)>;

impl<K, A: Quota, S: Storage, H: BuildHasher, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
    /// Decides a request of `key`, and counts it if it is allowed.
    pub fn allow<Q>(&mut self, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.allow_with(self.hash(key), key, || now)
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
    pub fn allow_n<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.allow_n_with(self.hash(key), key, cost, || now)
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
    pub fn allow_verdict<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.hash(key);
        let request = Request { hash, key, cost, since: None };
        let verdict = self.decide(request, &mut self.name(hash, key), || now, Verdict::of);
        // It had a name, so there is a verdict.
        verdict.unwrap_or(Err(CostExceedsBurst { limit: 0 }))
    }

    /// [`allow_n`](Self::allow_n) for a request that waits and asks again: counted only when it is allowed.
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_n_waiting<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.waiting(|limiter| limiter.allow_n(key, cost, now))
    }

    /// [`allow`](Self::allow) for adapters that have hashed the key already.
    ///
    /// `hash` is what this limiter's [`hash`](Self::hash) returns. `now` is asked for when the key was looked up: where a
    /// processor reads its counter only after all that it loads, reading it first would make the look-up wait.
    #[inline]
    pub fn allow_with<Q>(&mut self, hash: u64, key: &Q, now: impl FnOnce() -> Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        // One fits every quota, or the quota is zero and denies: `CostExceedsBurst` cannot occur.
        self.allow_n_with(hash, key, ONE, now).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// [`allow_n`](Self::allow_n) for adapters that have hashed the key already; see [`allow_with`](Self::allow_with).
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_n_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        cost: NonZeroU32,
        now: impl FnOnce() -> Instant,
    ) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        let request = Request { hash, key, cost, since: None };
        let decision = self.decide(request, &mut self.name(hash, key), now, plain);
        decision.unwrap_or(Ok(Decision::Deny { retry_at: Instant::MAX }))
    }

    /// Decides a request, and tells of it what `told` makes of the decision and the state that it left.
    ///
    /// `name` is what is kept of a key that gets an entry. If it takes one and there is no name, there is no decision, and
    /// nothing has changed: whoever holds a lock makes the name outside, and asks again. For the same reason the name
    /// that leaves the table takes its place.
    #[inline]
    pub(super) fn decide<Q, R>(
        &mut self,
        Request { hash, key, cost, since }: Request<'_, Q>,
        name: &mut Option<P::Name>,
        now: impl FnOnce() -> Instant,
        told: impl FnOnce(Judged, &A, State<'_, A>, Instant) -> R,
    ) -> Option<R>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        let known = self.find(hash, key);
        let now = now();
        self.observe(now);
        let since = since.map_or(now, |since| since.max(now.before(LATE)).min(now));
        let mut nothing = A::IDLE;
        let entry = known.and_then(|slot| {
            let entry = self.lines.get_mut(slot)?;
            // Where there is nothing beside, not even how much of it there is has to be fetched.
            let beside = if size_of::<A::Beside>() == 0 { None } else { Some(self.beside.as_mut().get_mut(slot)?) };
            Some((slot, entry, beside.unwrap_or(&mut nothing)))
        });
        let Some((slot, entry, beside)) = entry else {
            let answer = self.newcomer(Arrival { print: print_of(hash), cost, since, now }, name)?;
            let judged = Shadow::enforce(&self.shadow).judge(hash, answer.decision);
            self.count(judged);
            let mut state = answer.state;
            let state = state.as_mut().map(|(idle_at, count)| (*idle_at, Held::Cell(count)));
            return Some(told(judged, &self.quota, state, answer.now));
        };
        let before = entry.idle_at();
        let (decision, idle_at) = match self.quota.allow(before, Held::Entry(beside), cost, since, now) {
            Ok((decision, idle_at)) => (Ok(decision), idle_at),
            Err(error) => (Err(error), before),
        };
        entry.set_idle_at(idle_at);
        if self.has_debts
            && before <= now
            && let Some(debt) = self.debts.as_mut().get_mut(slot)
        {
            *debt = 0;
        }
        let judged = Shadow::enforce(&self.shadow).judge(hash, decision);
        let told = told(judged, &self.quota, Some((idle_at, Held::Entry(beside))), now);
        self.count(judged);
        Some(told)
    }

    /// What is kept of a key that may get an entry now.
    pub(super) fn name<Q>(&self, hash: u64, key: &Q) -> Option<P::Name>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        if P::ALL.is_some() || self.find(hash, key).is_some() { P::ALL } else { Some(P::name(key)) }
    }

    /// Looks for the key with this [`hash`](Self::hash) where it is first looked for; true if it is there.
    ///
    /// For adapters that decide for many keys: what is looked at here lies in the caches of a processor then.
    #[inline]
    pub fn is_at_home(&self, hash: u64) -> bool {
        self.lines.is_at_home(print_of(hash))
    }

    /// The slot of a key.
    #[inline]
    pub(super) fn find<Q>(&self, hash: u64, key: &Q) -> Option<usize>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        let names = self.names.as_ref();
        let is = |slot: usize| P::ALL.is_some() || names.get(slot).is_some_and(|name| P::is(name, key));
        self.lines.find(print_of(hash), is)
    }

    #[inline]
    fn count(&mut self, judged: Judged) {
        if judged.decision() == Ok(Decision::Allow) {
            self.stats.allowed = self.stats.allowed.saturating_add(1);
        } else {
            self.stats.denied = self.stats.denied.saturating_add(1);
        }
        if judged.is_overridden
            && let Some(shadow) = self.shadow.as_mut().first_mut()
        {
            shadow.overridden = shadow.overridden.saturating_add(1);
        }
    }

    /// Asks for somebody who waits: what is not allowed leaves no trace in the counts.
    pub(super) fn waiting<R>(&mut self, ask: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.stats;
        let answer = ask(self);
        if self.stats.allowed == before.allowed {
            self.stats = before;
        }
        answer
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&mut self, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.ask(key, cost, now, Verdict::of)
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&mut self, key: &Q, now: Instant) -> u32
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.look(key, now, |_, quota, state, _, now, _| {
            state.map_or(0, |(idle_at, held)| quota.remaining(idle_at, held, now))
        })
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&mut self, key: &Q, now: Instant) -> Instant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.look(key, now, |_, quota, state, room_at, now, _| {
            state.map_or(room_at, |(idle_at, held)| quota.whole_at(idle_at, held, now))
        })
    }

    /// Gives back `cost` that was allowed and not used; false, and nothing given, if `key` has no entry of its own.
    ///
    /// Never more than what still counts: what the quota has given back by itself meanwhile is not given back again, so
    /// refund soon, as long as the request counts. A request that [`Enforce`](super::Enforce) let through took nothing,
    /// so that a refund gives back what another request took: [`Verdict::overridden`] tells of it.
    pub fn refund<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.observe(now);
        let Some(slot) = self.find(self.hash(key), key) else { return false };
        let (Some(entry), Some(beside)) = (self.lines.get_mut(slot), self.beside.as_mut().get_mut(slot)) else {
            return false;
        };
        entry.set_idle_at(self.quota.refund(entry.idle_at(), Held::Entry(beside), cost, now));
        self.stats.refunded = self.stats.refunded.saturating_add(1);
        true
    }

    /// Forgets what `key` has used, so that it has its whole quota again; false if it has no entry of its own.
    pub fn reset<Q>(&mut self, key: &Q, now: Instant) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.forget(key, now).is_some()
    }

    /// [`reset`](Self::reset) that hands out what was kept of the key, if it goes.
    pub(super) fn forget<Q>(&mut self, key: &Q, now: Instant) -> Option<Option<P::Name>>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.observe(now);
        let hash = self.hash(key);
        let slot = self.find(hash, key)?;
        if self.ledger.owed(print_of(hash), now).0 <= now {
            return Some(self.vacate(slot));
        }
        // Without an entry it would start with what the ledger says.
        if let (Some(entry), Some(beside)) = (self.lines.get_mut(slot), self.beside.as_mut().get_mut(slot)) {
            entry.set_idle_at(Instant::ZERO);
            self.quota.resume(Instant::ZERO, A::NOTHING, beside);
        }
        Some(None)
    }

    /// The hash of a key, as [`allow_with`](Self::allow_with) wants it.
    pub fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// What `told` makes of the decision for a request that is not made.
    fn ask<Q, R>(
        &mut self,
        key: &Q,
        cost: NonZeroU32,
        now: Instant,
        told: impl FnOnce(Judged, &A, State<'_, A>, Instant) -> R,
    ) -> R
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let enforce = Shadow::enforce(&self.shadow);
        self.look(key, now, |hash, quota, mut state, room_at, now, beyond| {
            let decision = match &mut state {
                Some((idle_at, held)) => quota.check(*idle_at, held.again(), cost, now),
                None if cost.get() > quota.limit() => Err(CostExceedsBurst { limit: quota.limit() }),
                None => Ok(Decision::Deny { retry_at: room_at }),
            };
            let is_allowed = beyond == Beyond::All || beyond == Beyond::One && cost == ONE;
            let decision = if is_allowed { decision.map(|_| Decision::Allow) } else { decision };
            told(enforce.judge(hash, decision), quota, state, now)
        })
    }

    /// Looks at the hash of `key`; at the state that decides for it, and if there is none, at when there is an entry; at
    /// the time; and at what is allowed beyond that state. If the clock has stepped back, the state is cut to what there
    /// can be: what is told of it must come true.
    pub(super) fn look<Q, R>(
        &mut self,
        key: &Q,
        now: Instant,
        told: impl FnOnce(u64, &A, State<'_, A>, Instant, Instant, Beyond) -> R,
    ) -> R
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.observe(now);
        let hash = self.hash(key);
        let known = self.find(hash, key);
        if let Some((entry, beside)) =
            known.and_then(|slot| self.lines.get_mut(slot).zip(self.beside.as_mut().get_mut(slot)))
        {
            entry.set_idle_at(self.quota.mend(entry.idle_at(), Held::Entry(beside), now));
            let state = Some((entry.idle_at(), Held::Entry(beside)));
            return told(hash, &self.quota, state, Instant::MAX, now, Beyond::Nothing);
        }
        match self.start(print_of(hash), now) {
            (Ok((idle_at, mut count)), beyond) => {
                // As for who asks.
                let now = if now < idle_at { now.later(self.latest) } else { now };
                told(hash, &self.quota, Some((idle_at, Held::Cell(&mut count))), Instant::MAX, now, beyond)
            }
            (Err(room_at), beyond) => told(hash, &self.quota, None, room_at, now, beyond),
        }
    }
}

/// What is told of a decision: the decision.
pub(super) const fn plain<A: Quota>(
    judged: Judged,
    _: &A,
    _: State<'_, A>,
    _: Instant,
) -> Result<Decision, CostExceedsBurst> {
    judged.decision()
}
