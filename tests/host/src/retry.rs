//! Steps that grow, are capped and end.

use core::{convert::Infallible, time::Duration};

use rand_core::TryRng;
use steadfast_core::{
    Instant, Lock, RetryBudget, RetryPolicy,
    retry::{Failure, Jitter, Reason, Step},
};

use crate::locks::{Locks, at};

/// Always the same number.
struct Dice(u64);

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0 >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0 as u8);
        Ok(())
    }
}

/// [`RetryPolicy`], its steps and its budget.
pub fn retry_contract<L: Locks>() {
    const POLICY: RetryPolicy =
        RetryPolicy::exponential(Duration::from_secs(1)).max_delay(Duration::from_secs(5)).max_retries(5);
    const STEADY: RetryPolicy = POLICY.jitter(Jitter::None);

    let mut retry = STEADY.start(at(100));
    let mut now = at(100);
    for delay in [1, 2, 4, 5, 5] {
        let expected = now.saturating_add(Duration::from_secs(delay));
        assert_eq!(retry.next(Failure::Transient, now, &mut Dice(0)), Step::RetryAt(expected));
        now = expected;
    }
    assert_eq!(retry.next(Failure::Transient, now, &mut Dice(0)), Step::GiveUp(Reason::AttemptsExhausted));
    assert_eq!(retry.attempts(), 6);

    // Jitter makes no delay longer; a hint makes one longer, up to the cap; permanent is the end.
    for dice in [0, 1 << 63, u64::MAX] {
        let Step::RetryAt(soon) = POLICY.start(at(1)).next(Failure::Transient, at(1), &mut Dice(dice)) else {
            panic!("the first retry");
        };
        assert!(soon >= at(1) && soon <= at(2));
    }
    let hinted = |secs: u64| Failure::RetryAfter(Duration::from_secs(secs));
    assert_eq!(STEADY.start(at(1)).next(hinted(3), at(1), &mut Dice(0)), Step::RetryAt(at(4)));
    assert_eq!(STEADY.start(at(1)).next(hinted(60), at(1), &mut Dice(0)), Step::RetryAt(at(6)));
    assert_eq!(STEADY.start(at(1)).next(Failure::Permanent, at(1), &mut Dice(0)), Step::GiveUp(Reason::NotRetryable));
    let patient = STEADY.max_elapsed(Duration::from_secs(10));
    assert_eq!(
        patient.start(at(1)).next(Failure::Transient, at(10), &mut Dice(0)),
        Step::GiveUp(Reason::DeadlineExceeded)
    );

    // One retry for two requests, whoever makes it, at any time up to the end of time.
    let budget = L::lock(RetryBudget::percent(50).floor_per_second(0).burst(1));
    let withdraw = |now: Instant| budget.with(|budget| budget.withdraw(now));
    assert!(withdraw(at(1)) && !withdraw(at(1)) && !withdraw(Instant::MAX));
    budget.with(RetryBudget::deposit);
    assert!(!withdraw(at(2)));
    budget.with(RetryBudget::deposit);
    assert!(withdraw(at(2)));
}
