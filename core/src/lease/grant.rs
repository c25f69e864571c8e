//! What the side that has the quota answers.

use core::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::Grant;
use crate::{
    foundation::{
        shared::{Clock, Lock, Shared},
        storage::Storage,
        time::Instant,
    },
    rate_limiter::{Decision, Names, Naming, Quota, RateLimiterIn},
};

/// What is granted of `wanted` where there is room for so many: what is needed, and beyond it up to an eighth of the room,
/// so that nobody who holds in advance empties it.
const fn granted(cost: u32, wanted: u32, room: u32) -> u32 {
    let share = if room / 8 > 1 { room / 8 } else { 1 };
    let granted = if wanted < share { wanted } else { share };
    let granted = if granted > cost { granted } else { cost };
    if granted > room { 0 } else { granted }
}

impl<K, A: Quota, S: Storage, H: BuildHasher, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
    /// Answers the question of a process that holds [`Leases`](crate::Leases) of this quota: counts what is granted, as
    /// one request.
    ///
    /// At least `cost`, or one if that is 0, and up to `wanted`, but no more than an eighth of what is left beyond it. What
    /// fits no burst is never granted.
    pub fn grant<Q>(&mut self, key: &Q, cost: u32, wanted: u32, now: Instant) -> Grant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let granted = granted(cost, wanted.max(1), self.remaining(key, now));
        let asked = NonZeroU32::new(if granted > 0 { granted } else { cost }).unwrap_or(NonZeroU32::MIN);
        match self.allow_n(key, asked, now) {
            Ok(Decision::Allow) => Grant::Granted(asked),
            Ok(Decision::Deny { retry_at }) => Grant::Denied { retry_at },
            Err(_) => Grant::Denied { retry_at: Instant::MAX },
        }
    }
}

impl<K, A, S, H, P, L, T> Shared<RateLimiterIn<K, A, S, H, P>, L, T>
where
    A: Quota,
    S: Storage,
    H: BuildHasher,
    P: Naming<K>,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
    T: Clock,
{
    /// [`RateLimiterIn::grant`] now.
    pub fn grant<Q>(&self, key: &Q, cost: u32, wanted: u32) -> Grant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.grant(key, cost, wanted, now))
    }
}
