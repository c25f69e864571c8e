//! The limiters' sums over all of time, from zero to the end of it, against the same in 128 bits that never saturate.

mod support;

use std::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use steadfast_core::{
    Gcra, Instant, RateLimiter, SlidingLog,
    rate_limiter::{CostExceedsBurst, Decision},
};
use support::cases;

const MAX: u128 = u64::MAX as u128;

/// Any number, the ends and the powers of two most of all.
fn edges() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=3_u64,
        (0..=3_u64).prop_map(|less| u64::MAX - less),
        (0..64_u32, 0..=2_u64).prop_map(|(bit, more)| (1_u64 << bit).wrapping_add(more).wrapping_sub(1)),
        any::<u64>(),
    ]
}

fn small_or_any() -> impl Strategy<Value = u32> {
    prop_oneof![0..=4_u32, (0..=2_u32).prop_map(|less| u32::MAX - less), any::<u32>()]
}

/// What is asked, and how the clock moves before: on by so much, back by so much, or to any time.
#[derive(Clone, Copy, Debug)]
enum Move {
    On(u64),
    Back(u64),
    To(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![edges().prop_map(Move::On), edges().prop_map(Move::Back), edges().prop_map(Move::To), Just(Move::On(0))]
}

fn moved(now: u64, by: Move) -> u64 {
    match by {
        Move::On(nanos) => now.saturating_add(nanos),
        Move::Back(nanos) => now.saturating_sub(nanos),
        Move::To(nanos) => nanos,
    }
}

fn instant(nanos: u128) -> Instant {
    Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The virtual scheduling of ITU-T I.371, in numbers without an end.
struct Bucket {
    interval: u128,
    burst: u128,
    /// None until something was allowed.
    whole_at: Option<u128>,
}

impl Bucket {
    fn ask(&mut self, cost: u32, now: u128) -> Result<Decision, CostExceedsBurst> {
        // Even a request that never fits shows that the clock has stepped back.
        self.mend(now);
        let (cost, tolerance) = (u128::from(cost), self.interval * self.burst);
        if self.burst == 0 {
            return Ok(Decision::Deny { retry_at: Instant::MAX });
        }
        if cost > self.burst {
            return Err(CostExceedsBurst { limit: self.burst as u32 });
        }
        let whole_at = self.whole_at(now);
        let moved = whole_at + cost * self.interval;
        if moved <= self.latest(now) {
            self.whole_at = Some(moved);
            return Ok(Decision::Allow);
        }
        self.whole_at = self.whole_at.map(|_| whole_at);
        let retry_at = if moved < MAX { moved - tolerance } else { MAX };
        Ok(Decision::Deny { retry_at: instant(retry_at) })
    }

    /// A clock that stepped back leaves no more than a whole burst to wait for; what a burst of none keeps stays.
    fn mend(&mut self, now: u128) {
        let most = now + self.interval * self.burst;
        self.whole_at = self.whole_at.map(|whole_at| if self.burst > 0 { whole_at.min(most) } else { whole_at });
    }

    /// How much would be allowed at once.
    fn remaining(&self, now: u128) -> u32 {
        let room = self.latest(now).saturating_sub(self.whole_at(now));
        room.checked_div(self.interval).unwrap_or(self.burst).min(self.burst) as u32
    }

    /// A clock that stepped back leaves no more than a whole burst to wait for.
    fn whole_at(&self, now: u128) -> u128 {
        self.whole_at.unwrap_or(0).clamp(now, now + self.interval * self.burst)
    }

    /// To where a request may move it: at the end of time nothing passes any more but what costs no time.
    fn latest(&self, now: u128) -> u128 {
        let latest = now + self.interval * self.burst;
        if self.interval == 0 { latest } else { latest.min(MAX - 1) }
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_bucket_is_exact_from_zero_to_the_end_of_time(
        limit in small_or_any(),
        period in edges(),
        burst in small_or_any(),
        script in prop::collection::vec((moves(), small_or_any(), 0..4_u8), 1..40),
    ) {
        let gcra = Gcra::per(limit, Duration::from_nanos(period)).burst(burst);
        let interval = if limit == 0 { MAX } else { u128::from(period).div_ceil(limit.into()) };
        prop_assert_eq!(gcra.interval().as_nanos(), interval);
        let mut limiter: RateLimiter<u8, Gcra, 1> = RateLimiter::new(gcra);
        let mut bucket = Bucket { interval, burst: burst.into(), whole_at: None };
        let mut now = 0;
        for (by, cost, kind) in script {
            now = moved(now, by);
            let (at, wide) = (Instant::from_nanos(now), u128::from(now));
            let cost = NonZeroU32::new(if kind == 0 { cost } else { cost % burst.max(1) }).unwrap_or(NonZeroU32::MIN);
            prop_assert_eq!(limiter.allow_n(&0, cost, at), bucket.ask(cost.get(), wide), "{} at {}", cost, now);
            prop_assert_eq!(limiter.remaining(&0, at), bucket.remaining(wide), "at {}", now);
        }
    }

    #[test]
    fn a_log_is_exact_from_zero_to_the_end_of_time(
        window in edges(),
        script in prop::collection::vec((moves(), 1..5_u32), 1..40),
    ) {
        let mut limiter: RateLimiter<u8, SlidingLog<3>, 1> =
            RateLimiter::new(SlidingLog::new(Duration::from_nanos(window)));
        let (mut log, mut now) = (Vec::<u128>::new(), 0);
        for (by, cost) in script {
            now = moved(now, by);
            let (at, wide) = (Instant::from_nanos(now), u128::from(now));
            let counts = |counted: u128| wide - counted.min(wide) < window.into();
            // What was counted later than now counts as counted now, whatever is asked.
            log.iter_mut().for_each(|counted| *counted = (*counted).min(wide));
            let expected = if cost > 3 {
                Err(CostExceedsBurst { limit: 3 })
            } else {
                // What has left the window is gone.
                log.retain(|counted| counts(*counted));
                match (log.len() + cost as usize).checked_sub(3) {
                    None | Some(0) => {
                        log.extend((0..cost).map(|_| wide));
                        Ok(Decision::Allow)
                    }
                    Some(excess) => Ok(Decision::Deny { retry_at: instant(log[excess - 1] + u128::from(window)) }),
                }
            };
            let Some(cost) = NonZeroU32::new(cost) else { continue };
            prop_assert_eq!(limiter.allow_n(&0, cost, at), expected, "{} at {}", cost, now);
            let live = log.iter().filter(|counted| counts(**counted)).count() as u32;
            prop_assert_eq!(limiter.remaining(&0, at), 3 - live, "at {}", now);
        }
    }
}
