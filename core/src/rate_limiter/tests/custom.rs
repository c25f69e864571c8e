//! A quota of a user's own, with all that a quota need not say for itself.

use super::*;

/// As many a minute as it says, none sooner than a minute after the first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(pub(super) u32);

const MINUTE: Duration = Duration::from_secs(60);

impl Window {
    fn used(idle_at: Instant, used: u32, now: Instant) -> u32 {
        if idle_at > now { used } else { 0 }
    }
}

fn count<'a>(held: Held<'a, Window>) -> &'a mut u32 {
    let (Held::Entry(used) | Held::Cell(used)) = held;
    used
}

impl Quota for Window {
    type Beside = u32;
    type Count = u32;

    const IDLE: u32 = 0;
    const NOTHING: u32 = 0;

    fn limit(&self) -> u32 {
        self.0
    }

    fn latest(&self, now: Instant) -> Instant {
        now.saturating_add(MINUTE)
    }

    fn allow(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        _: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        let used = count(held);
        let decision = self.check(idle_at, Held::Cell(used), cost, now)?;
        let begins = Self::used(idle_at, *used, now) == 0;
        if decision.is_allowed() {
            *used = Self::used(idle_at, *used, now) + cost.get();
        }
        Ok((decision, if decision.is_allowed() && begins { now.saturating_add(MINUTE) } else { idle_at }))
    }

    fn check(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        if cost.get() > self.0 {
            return Err(CostExceedsBurst { limit: self.0 });
        }
        let used = Self::used(idle_at, *count(held), now);
        Ok(if used + cost.get() <= self.0 { Decision::Allow } else { Decision::Deny { retry_at: idle_at } })
    }

    fn refund(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, _: Instant) -> Instant {
        let used = count(held);
        *used = used.saturating_sub(cost.get());
        idle_at
    }

    fn remaining(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> u32 {
        self.0.saturating_sub(Self::used(idle_at, *count(held), now))
    }

    fn settle(&self, idle_at: Instant, used: &u32, count: &mut u32, now: Instant) {
        *count = (*count).max(Self::used(idle_at, *used, now));
    }

    fn resume(&self, _: Instant, count: u32, used: &mut u32) {
        *used = count;
    }

    fn all_but_one(&self, now: Instant) -> (Instant, u32) {
        (now.saturating_add(MINUTE), self.0.saturating_sub(1))
    }

    fn own_use(&self, idle_at: Instant, used: &u32, debt: u32, now: Instant) -> Option<u64> {
        let used = Self::used(idle_at, *used, now);
        (used < self.0).then_some(u64::from(used.saturating_sub(debt)))
    }

    fn debt(&self, idle_at: Instant, count: u32, now: Instant) -> u32 {
        Self::used(idle_at, count, now)
    }
}

#[test]
fn a_quota_of_ones_own_limits_floods_and_changes() {
    let mut limiter: RateLimiter<u32, Window, 4> = RateLimiter::new(Window(10));
    let now = at(100);
    (0..7).for_each(|_| assert!(limiter.allow(&7, now).is_allowed()));
    assert_eq!(limiter.ready_at(&7, 0, ONE, now), Ok(now));
    assert_eq!(limiter.ready_at(&7, 0, NonZeroU32::new(4).unwrap(), now), Ok(at(160)));
    // Seven of ten are seven of twelve, and all of five; and then five of ten, made now.
    limiter.set_quota(Window(12), at(110));
    assert_eq!((limiter.remaining(&7, at(110)), limiter.reset_at(&7, at(110))), (5, at(160)));
    limiter.set_quota(Window(5), at(120));
    assert_eq!((limiter.remaining(&7, at(120)), limiter.reset_at(&7, at(120))), (0, at(160)));
    limiter.set_quota(Window(10), at(130));
    assert_eq!((limiter.remaining(&7, at(130)), limiter.reset_at(&7, at(130))), (5, at(190)));
    limiter.set_quota(Window(5), at(190));
    // Whoever is evicted starts with what it owes: no key gets more than five.
    let mut allowed = [0_u32; 40];
    for round in 0..20 {
        for key in 0..40_u32 {
            allowed[key as usize] += u32::from(limiter.allow(&(100 + key), at(200 + round)).is_allowed());
        }
    }
    assert!(allowed.iter().all(|allowed| *allowed <= 5) && allowed.iter().sum::<u32>() > 20, "{allowed:?}");
    assert!(limiter.stats().evicted > 0);
    assert_eq!(limiter.remaining(&7, at(300)), 5);
}
