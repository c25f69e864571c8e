//! How a limiter is made.

use core::marker::PhantomData;
use std::sync::Arc;

use steadfast_core::{Clock, Shared, rate_limiter::RateLimiterIn};

use super::{Enforce, Inner, Keys, Naming, OnFull, Prints, Quota, RateLimiter, each, line::Line};
use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Shards, Spread, count},
};

/// How many keys are worth a line.
const WORTH_A_LINE: usize = 1_024;

/// Of so many slots each one is found by every key.
const ALL_FOUND: usize = 68;

/// How many slots there are for so many keys, so that each finds room.
pub(super) const fn slots_for(keys: usize) -> usize {
    if keys <= ALL_FOUND { keys } else { keys.saturating_mul(2) }
}

/// Builds a [`RateLimiter`]: its capacity, what happens when it is full, whom it denies, its timer.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, rate_limiter::OnFull};
///
/// let api = RateLimiter::<String, _>::builder(Gcra::per_minute(5)).capacity(10_000).on_full(OnFull::Serve).build();
/// assert!(api.capacity() >= 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiterBuilder<K, A, T = SystemTimer, P = Prints> {
    quota: A,
    capacity: usize,
    ledger: Option<usize>,
    on_full: OnFull,
    enforce: Enforce,
    timer: T,
    key: PhantomData<fn() -> (K, P)>,
}

impl<K, A: Quota + Clone> RateLimiter<K, A> {
    /// The settings of a limiter with this quota: 65,536 keys, [`OnFull::Deny`].
    #[doc(alias = "GovernorConfigBuilder")]
    #[doc(alias = "NewRateLimiter")]
    pub const fn builder(quota: A) -> RateLimiterBuilder<K, A> {
        let (on_full, enforce, timer) = (OnFull::Deny, Enforce::Yes, SystemTimer);
        RateLimiterBuilder { quota, capacity: 65_536, ledger: None, on_full, enforce, timer, key: PhantomData }
    }
}

impl<K, A: Quota + Clone, T: Clock + Clone, P: Naming<K>> RateLimiterBuilder<K, A, T, P> {
    /// The capacity: for how many keys there is room, at least one and at most 2,147,483,647.
    ///
    /// As many as come in the time that one quota takes to be whole again have an entry of their own. With a ledger of C
    /// cells there is room for ever if `capacity + C >= F * interval`, where F is how many requests a second come of keys
    /// that were not seen before, and `interval` the time that one request takes from the quota; and for a time T if
    /// `capacity + C * burst >= T * (F - (capacity + C) / interval)`. At 65,536 keys and 100 a day that is a flood of
    /// 379 made-up keys a second for ever, and one of 1,000 a second for 11 hours; beyond that they and new keys share what
    /// there is. At 100 a minute it is 545,000 a second. If the quota is slow, limit strangers by a coarser key first (a
    /// network, an account).
    ///
    /// Up to 68 the limiter holds exactly so many. A larger one has twice as many slots, and from 256 on it consists of
    /// shards that share the keys by their hash, up to 256 of them, so that any `capacity` keys find room. Keys beyond that
    /// may find some.
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// How many cells of 8 bytes the ledger has: four for each key of the capacity, unless it is said; see [When it is
    /// full](RateLimiter#when-it-is-full). With 0 there is none: no entry in use goes, and a new key is denied where none is
    /// idle.
    #[must_use]
    pub const fn ledger(mut self, cells: usize) -> Self {
        self.ledger = Some(cells);
        self
    }

    /// What to do with a new key that the ledger refuses.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Whose denials are enforced: all unless it is said.
    ///
    /// ```
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::{Enforce, Percent}};
    ///
    /// let limiter = RateLimiter::<u32, _>::builder(Gcra::per_hour(1)).enforce(Enforce::Observe).build();
    /// assert!((0..10).all(|_| limiter.allow(&7).is_allowed()));
    /// assert_eq!(limiter.stats().overridden, 9); // who would have been denied
    ///
    /// limiter.set_enforce(Enforce::Percent(Percent::new(20))); // then for some of the keys
    /// limiter.set_enforce(Enforce::Yes);
    /// assert!(!limiter.allow(&7).is_allowed());
    /// ```
    #[must_use]
    pub const fn enforce(mut self, enforce: Enforce) -> Self {
        self.enforce = enforce;
        self
    }

    /// Another clock or timer than the system's.
    #[must_use]
    pub fn timer<U: Clock + Clone>(self, timer: U) -> RateLimiterBuilder<K, A, U, P> {
        let Self { quota, capacity, ledger, on_full, enforce, key, .. } = self;
        RateLimiterBuilder { quota, capacity, ledger, on_full, enforce, timer, key }
    }

    /// Keeps the keys, so that none is taken for another and they can be [listed](RateLimiter::usage).
    #[must_use]
    pub fn keep_keys(self) -> RateLimiterBuilder<K, A, T, Keys> {
        let Self { quota, capacity, ledger, on_full, enforce, timer, .. } = self;
        RateLimiterBuilder { quota, capacity, ledger, on_full, enforce, timer, key: PhantomData }
    }

    /// The limiter. Allocates all its memory; nothing else does later, but keys that are kept.
    pub fn build(self) -> RateLimiter<K, A, T, P> {
        let cells = self.ledger.unwrap_or_else(|| self.capacity.saturating_mul(4));
        let count = count(self.capacity, Spread::Fine);
        let cells = cells.div_ceil(count);
        // Half full, or with a margin for the shards that more keys than others belong to.
        let half = slots_for(self.capacity.max(1).div_ceil(count));
        let shards = Shards::new(self.capacity, Spread::Fine, |room, hasher| {
            let slots = room.max(half);
            let machine = RateLimiterIn::allocate(self.quota.clone(), slots, cells, hasher);
            let machine = machine.with_on_full(self.on_full).with_enforce(self.enforce);
            Shared::new(Mutex::new(machine), self.timer.clone())
        });
        let lines = (self.capacity / WORTH_A_LINE).next_power_of_two().min(64);
        let lines = (0..lines).map(|_| Line::new()).collect();
        RateLimiter(Arc::new(Inner { shards, is_large: self.capacity > each::FIT_A_CACHE, lines }))
    }
}
