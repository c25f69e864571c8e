//! A run of retries with any policy, and the budget that several runs share.

use steadfast_core::{
    Instant, Retry, RetryBudget, RetryPolicy,
    retry::{Failure, Step},
};

use super::Dice;

operations! {
    fn start<'a>(policy: &'a RetryPolicy, now: Instant) -> Retry<'a> {
        policy.start(now)
    }
    fn next(retry: &mut Retry<'_>, failure: Failure, now: Instant, dice: &mut Dice) -> Step {
        retry.next(failure, now, dice)
    }
}

pub mod budget {
    use super::*;

    operations! {
        fn deposit(budget: &mut RetryBudget) {
            budget.deposit();
        }
        fn withdraw(budget: &mut RetryBudget, now: Instant) -> bool {
            budget.withdraw(now)
        }
    }
}
