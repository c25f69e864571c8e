use rand_core::Rng;
use steadfast_core::{
    Deadline, RetryBudget, RetryPolicy,
    retry::{Failure, Jitter, SeededRng},
};

use crate::{Dice, any, look_at, now, see, span};

#[inline(never)]
pub fn probe() {
    see(SeededRng::new(any()).next_u64());
    let mut budget = RetryBudget::percent(any()).floor_per_second(any()).burst(any());
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        for policy in [RetryPolicy::exponential(span()), RetryPolicy::linear(span()), RetryPolicy::constant(span())] {
            let policy = policy.max_delay(span()).max_retries(any()).max_elapsed(span()).jitter(jitter);
            let policy = policy.attempt_timeout(span()).factor_percent(any()).until(Deadline::at(now()), now());
            let mut retry = policy.start(now());
            for _ in 0..any::<u32>() {
                budget.deposit();
                see((budget.withdraw(now()), budget.available(now()), budget.stats()));
                look_at(&budget.stats().since(budget.stats()));
                budget.refund();
                budget.set_settings(&RetryBudget::percent(any()).floor_per_second(any()).burst(any()), now());
                see((retry.attempt_deadline(now()), retry.attempts()));
                see(policy.delay_for(any()));
                see(retry.next(Failure::RetryAfter(span()), now(), &mut Dice));
                see(retry.next(Failure::Permanent, now(), &mut Dice));
                see(retry.next(Failure::Delay(span()), now(), &mut Dice));
                see(retry.next(Failure::RefusedUntil(now()), now(), &mut Dice));
                see(retry.next_within(&mut budget, Failure::Transient, now(), &mut Dice).retry_after(now()));
            }
        }
    }
}
