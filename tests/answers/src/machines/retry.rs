use core::time::Duration;

use steadfast_core::{
    Instant, RetryBudget, RetryPolicy,
    retry::{Failure, Jitter},
};

use crate::{Fold, HostileClock, Script};

/// Another policy for each operation of up to eight failures, and one budget for hundreds of them.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    super::rounds(operations, |round, operations| {
        let mut clock = HostileClock::new(Duration::from_millis(100));
        let mut budget = RetryBudget::percent(10 + round % 120).floor_per_second(1 + round % 7).burst(1 + round % 30);
        let mut policy = policy(script);
        for part in (0..operations).step_by(8) {
            let mut retry = policy.start(clock.now());
            for _ in part..operations.min(part + 8) {
                let now = clock.tick(script);
                match script.below(8) {
                    0..4 => fold.answer(&retry.next(failure(script), now, script)),
                    4..6 => fold.answer(&retry.next_within(&mut budget, failure(script), now, script)),
                    6 => budget.deposit(),
                    _ => budget.refund(),
                }
                fold.answer(&(retry.attempt_deadline(now), retry.attempts()));
                fold.answer(&(budget.available(now), budget.stats(), policy.delay_for(script.below(70))));
            }
            policy = self::policy(script);
        }
    });
}

fn policy(script: &mut Script) -> RetryPolicy {
    let base = Duration::from_nanos(u64::from(script.below(200_000_000)));
    let policy = match script.below(4) {
        0 => RetryPolicy::constant(base),
        1 => RetryPolicy::linear(base),
        2 => RetryPolicy::exponential(base),
        _ => RetryPolicy::exponential(base).factor_percent(script.any() as u16),
    };
    let policy = policy
        .jitter(script.one_of(&[Jitter::Decorrelated, Jitter::Equal, Jitter::Full, Jitter::None]))
        .max_retries(script.one_of(&[0, 2, 5, u32::MAX]));
    match script.below(4) {
        0 => policy.max_delay(script.span()),
        1 => policy.max_elapsed(script.span()),
        2 => policy.attempt_timeout(script.span()),
        _ => policy,
    }
}

fn failure(script: &mut Script) -> Failure {
    match script.below(12) {
        0..7 => Failure::Transient,
        7 => Failure::Permanent,
        8 => Failure::RetryAfter(script.span()),
        9 => Failure::Delay(script.span()),
        _ => Failure::RefusedUntil(Instant::from_nanos(script.nanos())),
    }
}
