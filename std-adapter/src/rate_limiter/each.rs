//! Many keys at one time.

use core::{hash::Hash, hint::black_box};
use std::sync::MutexGuard;

use steadfast_core::{Clock, Instant};

use super::{Decision, Machine, Names, Naming, Quota, RateLimiter};
use crate::storage::MOST_SHARDS;

/// So many are decided at one reading of the clock.
const AT_ONCE: usize = 32;

/// With more keys than this a look-up is a miss in the caches that most cores have of their own.
pub(super) const FIT_A_CACHE: usize = 16_384;

/// A key of those that are decided together.
struct Asked<'k, Q: ?Sized> {
    key: &'k Q,
    hash: u64,
    decision: Option<Decision>,
}

impl<K, A: Quota, T: Clock, P: Naming<K>> RateLimiter<K, A, T, P> {
    /// Decides a request of each key, 32 at one reading of the clock, and tells `decided` of each, in their order.
    ///
    /// As [`allow`](Self::allow) one after the other, and faster: the clock is read seldom, and where there are more than
    /// 16,384 keys and none is [kept](super::RateLimiterBuilder::keep_keys), the misses in the caches of 32 look-ups are
    /// waited for together. For that up to 32 shards are locked at a time, those that are free at once; no lock is waited
    /// for with another in hand.
    ///
    /// `keys` and `decided` run outside every lock. Should one of them panic, up to 32 keys were counted that nobody was
    /// told of.
    ///
    /// ```
    /// use steadfast::{Gcra, RateLimiter};
    ///
    /// let limiter = RateLimiter::<u64, _>::builder(Gcra::per_minute(2)).build();
    /// let senders = [7, 7, 8, 7];
    /// let mut accepted = Vec::new();
    /// limiter.allow_each(&senders, |sender, decision| {
    ///     if decision.is_allowed() {
    ///         accepted.push(*sender);
    ///     }
    /// });
    /// assert_eq!(accepted, [7, 7, 8]);
    /// ```
    pub fn allow_each<'k, Q>(&self, keys: impl IntoIterator<Item = &'k Q>, mut decided: impl FnMut(&'k Q, Decision))
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized + 'k,
    {
        let shards = &self.0.shards;
        let mut keys = keys.into_iter();
        loop {
            let mut asked = [const { None }; AT_ONCE];
            for (place, key) in asked.iter_mut().zip(&mut keys) {
                *place = Some(Asked { key, hash: shards.hasher.hash_one(key), decision: None });
            }
            if asked.first().is_none_or(Option::is_none) {
                return;
            }
            let now = self.now();
            // A key that is kept is made outside the lock.
            if self.0.is_large && P::ALL.is_some() {
                self.decide_together(&mut asked, now);
            }
            for Asked { key, hash, decision } in asked.into_iter().flatten() {
                decided(key, decision.unwrap_or_else(|| shards.of(hash).allow_at_with(hash, key, now)));
            }
        }
    }

    /// Decides for those whose shard is free. Of two in one shard that is the first or none, so each key's are in order.
    fn decide_together<Q>(&self, asked: &mut [Option<Asked<'_, Q>>; AT_ONCE], now: Instant)
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        // Free only now, it would let a later request of a key go before an earlier one.
        let mut were_taken = [0_u64; MOST_SHARDS.div_ceil(64)];
        let mut shards: [Option<MutexGuard<'_, Machine<K, A, P>>>; AT_ONCE] = asked.each_ref().map(|asked| {
            let hash = asked.as_ref()?.hash;
            let number = self.0.shards.number_of(hash);
            let were_taken = were_taken.get_mut(number / 64)?;
            let bit = 1 << (number % 64);
            if *were_taken & bit != 0 {
                return None;
            }
            let shard = self.0.shards.of(hash).lock().try_lock();
            if shard.is_none() {
                *were_taken |= bit;
            }
            shard
        });
        let both = || shards.iter().zip(asked.iter()).filter_map(|(shard, asked)| shard.as_ref().zip(asked.as_ref()));
        black_box(both().filter(|(shard, Asked { hash, .. })| shard.is_at_home(*hash)).count());
        for (shard, asked) in shards.iter_mut().zip(asked) {
            if let (Some(shard), Some(Asked { key, hash, decision })) = (shard, asked) {
                let now = shard.on_time(now, || self.now());
                *decision = Some(shard.allow_with(*hash, *key, || now));
            }
        }
    }
}

#[cfg(test)]
#[path = "each_tests.rs"]
mod tests;
