//! Several limiters as one.

use core::{hash::Hash, num::NonZeroU32};
use std::sync::Arc;

use steadfast_core::Clock;

use super::{CostExceedsBurst, Decision, Names, Quota, RateLimiter, Verdict};

/// Decides one request by several limiters: all of them count it, or none.
///
/// Each is asked for a key of its own and a cost, so that a request of 3 units can count for its address, its account and
/// the whole service. Several quotas of *one* key are one limiter of a tuple instead, which takes one lock.
///
/// ```
/// use std::num::NonZeroU32;
/// use steadfast::{
///     Gcra, RateLimiter,
///     rate_limiter::{CostExceedsBurst, allow_all},
/// };
///
/// let per_address = RateLimiter::<String, _>::builder(Gcra::per_minute(2)).build();
/// let of_all = RateLimiter::<(), _>::builder(Gcra::per_minute(100)).build();
///
/// let one = NonZeroU32::MIN;
/// let ask = || allow_all([&(&per_address, "10.0.0.7", one), &(&of_all, &(), one)]);
/// assert!(ask()?.decision.is_allowed() && ask()?.decision.is_allowed());
///
/// let denied = ask()?;
/// assert!(!denied.decision.is_allowed());
/// assert!(!denied.each[0].is_allowed() && denied.each[1].is_allowed());
/// assert_eq!(of_all.remaining(&()), 98, "not counted by who would have allowed it");
/// # Ok::<(), CostExceedsBurst>(())
/// ```
///
/// No two locks are held at a time. All are asked first, and charged then, in one order whoever asks. If another request
/// has taken a unit between the two, what was charged is given back: no quota is ever exceeded, a denied request has taken
/// nothing when this returns or panics, and another one may have been denied for that moment.
///
/// Those that deny count a denial, with the key; those that would have allowed count nothing. Limiters with different
/// clocks have no common `retry_at`: give them one.
///
/// # Errors
///
/// [`CostExceedsBurst`] if one of the costs is above the limit of its quota; nothing was counted.
pub fn allow_all<const N: usize>(asked: [&dyn Charge; N]) -> Result<AllOf<N>, CostExceedsBurst> {
    let mut charges = asked.map(Charging::new);
    for charging in &mut charges {
        charging.decision = charging.of.check()?;
    }
    let mut order: [&mut Charging<'_>; N] = charges.each_mut();
    order.sort_by_key(|charging| charging.of.address());
    // Who denies goes first, so that it counts the denial. If one has got a unit since, the others are charged too.
    for charging in &mut order {
        if !charging.decision.is_allowed() {
            charging.charge()?;
        }
    }
    if order.iter().all(|charging| charging.decision.is_allowed()) {
        for charging in &mut order {
            charging.charge()?;
            if !charging.decision.is_allowed() {
                break;
            }
        }
    }
    let each = charges.each_ref().map(|charging| charging.decision);
    let decision = each.into_iter().fold(Decision::Allow, later);
    if decision.is_allowed() {
        charges.iter_mut().for_each(|charging| charging.is_taken = false);
    }
    Ok(AllOf { decision, each })
}

/// What several limiters say of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a decision that is not acted on limits nothing"]
#[non_exhaustive]
pub struct AllOf<const N: usize> {
    /// What to do with the request. If it is denied, `retry_at` is the latest of all.
    pub decision: Decision,
    /// What each said, in their order. One that would have allowed what another denies has counted nothing.
    pub each: [Decision; N],
}

fn later(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::Allow, decision) | (decision, Decision::Allow) => decision,
        (Decision::Deny { retry_at: one }, Decision::Deny { retry_at: other }) => {
            Decision::Deny { retry_at: one.max(other) }
        }
    }
}

/// A limiter, a key and a cost, `(&limiter, &key, cost)`, for [`allow_all`].
pub trait Charge: sealed::Charge {}

impl<C: sealed::Charge> Charge for C {}

mod sealed {
    use super::{CostExceedsBurst, Decision, Verdict};

    /// So that nobody else implements it.
    #[expect(unnameable_types, reason = "it is nobody's business")]
    pub trait Charge {
        fn check(&self) -> Result<Decision, CostExceedsBurst>;
        fn charge(&self) -> Result<Verdict, CostExceedsBurst>;
        fn refund(&self);
        fn address(&self) -> usize;
    }
}

impl<K, A, T, P, Q> sealed::Charge for (&RateLimiter<K, A, T, P>, &Q, NonZeroU32)
where
    A: Quota,
    T: Clock,
    P: Names<K, Q>,
    Q: Hash + ?Sized,
{
    fn check(&self) -> Result<Decision, CostExceedsBurst> {
        self.0.check_n(self.1, self.2)
    }

    fn charge(&self) -> Result<Verdict, CostExceedsBurst> {
        self.0.allow_verdict(self.1, self.2)
    }

    fn refund(&self) {
        self.0.refund(self.1, self.2);
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.0.0).addr()
    }
}

/// Gives back what was taken, unless all have allowed.
struct Charging<'a> {
    of: &'a dyn Charge,
    decision: Decision,
    is_charged: bool,
    /// Not if it was let through beyond its quota, though it was charged.
    is_taken: bool,
}

impl<'a> Charging<'a> {
    fn new(of: &'a dyn Charge) -> Self {
        Self { of, decision: Decision::Allow, is_charged: false, is_taken: false }
    }

    fn charge(&mut self) -> Result<(), CostExceedsBurst> {
        if !self.is_charged {
            let verdict = self.of.charge()?;
            self.decision = verdict.decision;
            self.is_charged = verdict.is_allowed();
            self.is_taken = self.is_charged && !verdict.overridden;
        }
        Ok(())
    }
}

impl Drop for Charging<'_> {
    fn drop(&mut self) {
        if self.is_taken {
            self.of.refund();
        }
    }
}

#[cfg(test)]
#[path = "all_tests.rs"]
mod tests;
