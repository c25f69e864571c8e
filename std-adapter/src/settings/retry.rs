//! Settings of retries, and of their budget.

use steadfast_core::RetryPolicy;

use super::{
    form::{form, required, settings},
    values::{Any32, Count, Positive, Some32, Span, Spread, WholePercent},
};
use crate::retry::RetryBudget;

form! {
    RetryForm {
        constant: Span,
        exponential: Positive,
        linear: Positive,
        factor_percent: Count<100, { u16::MAX as u64 }>,
        max_delay: Positive,
        max_retries: Any32,
        max_elapsed: Positive,
        attempt_timeout: Positive,
        jitter: Spread,
    }
}

/// Settings of a [`RetryPolicy`]: `constant`, `exponential` (with `factor_percent`) or `linear`, `max_delay`,
/// `max_retries`, `max_elapsed`, `attempt_timeout`, `jitter`.
///
/// A policy is a small copy, so one that changes needs nothing but a lock of yours:
///
/// ```
/// use std::{sync::RwLock, time::Duration};
/// use steadfast::{RetryExt, RetryPolicy, settings::RetrySettings};
///
/// # steadfast::block_on(async {
/// let orders: RetrySettings = toml::from_str(r#"
///     exponential = "100ms"
///     max_delay = "10s"
///     max_retries = 3
/// "#)?;
/// let shared: RwLock<RetryPolicy> = RwLock::new(orders.policy());
///
/// let policy = *shared.read().unwrap(); // all attempts of one operation go by the same policy
/// policy.call(async || Ok::<_, &str>("stored")).await.unwrap();
/// *shared.write().unwrap() = orders.policy(); // when they are read anew
/// # Ok::<(), toml::de::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    form: RetryForm,
    policy: RetryPolicy,
}

impl RetrySettings {
    pub(super) fn check(form: RetryForm) -> Result<Self, String> {
        let policy = form.policy("")?;
        Ok(Self { form, policy })
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> RetryPolicy {
        self.policy
    }
}

impl RetryForm {
    /// The policy of settings that stand at `at`, which ends in a dot unless it is empty.
    pub(super) fn policy(&self, at: &str) -> Result<RetryPolicy, String> {
        let (base, policy, name) = match (self.constant, self.exponential, self.linear) {
            (Some(Span(base)), None, None) => (base, RetryPolicy::constant(base), "constant"),
            (None, Some(base), None) => (base.get(), RetryPolicy::exponential(base.get()), "exponential"),
            (None, None, Some(base)) => (base.get(), RetryPolicy::linear(base.get()), "linear"),
            (None, None, None) => {
                return Err(format!(
                    "{at}exponential: expected `constant`, `exponential` or `linear`, such as \"100ms\", which is missing"
                ));
            }
            _ => {
                return Err(format!(
                    "{at}exponential: expected one of `constant`, `exponential` and `linear`, found several"
                ));
            }
        };
        let policy = match self.factor_percent {
            Some(_) if self.exponential.is_none() => {
                return Err(format!("{at}factor_percent: is a setting of `exponential`, not of `{name}`"));
            }
            Some(percent) => policy.factor_percent(percent.to_u16()),
            None => policy,
        };
        let max_delay = self.max_delay.map(Positive::get);
        if max_delay.is_some_and(|max_delay| max_delay < base) {
            return Err(format!("{at}max_delay: is shorter than `{at}{name}`"));
        }
        let policy = max_delay.map_or(policy, |max_delay| policy.max_delay(max_delay));
        let policy = self.max_retries.map_or(policy, |retries| policy.max_retries(retries.to_u32()));
        let policy = self.max_elapsed.map_or(policy, |max_elapsed| policy.max_elapsed(max_elapsed.get()));
        let policy = self.attempt_timeout.map_or(policy, |limit| policy.attempt_timeout(limit.get()));
        Ok(self.jitter.map_or(policy, |jitter| policy.jitter(jitter.0)))
    }
}

form! {
    BudgetForm {
        share: WholePercent,
        floor_per_second: Any32,
        burst: Some32,
    }
}

/// Settings of a [`RetryBudget`]: `share` of the requests, `floor_per_second`, `burst`.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryBudgetSettings {
    form: BudgetForm,
    share: u32,
}

impl RetryBudgetSettings {
    fn check(form: BudgetForm) -> Result<Self, String> {
        let share =
            required(&form.share, "share: expected how many retries there are for a request, such as \"20%\"")?.0;
        Ok(Self { form, share })
    }

    /// A full budget with these settings; of one that is in use, [`set_settings`](RetryBudget::set_settings) takes
    /// them.
    #[must_use]
    pub fn build(&self) -> RetryBudget {
        let budget = RetryBudget::percent(self.share);
        let budget = match self.form.floor_per_second {
            Some(floor) => budget.floor_per_second(floor.to_u32()),
            None => budget,
        };
        match self.form.burst {
            Some(burst) => budget.burst(burst.to_u32()),
            None => budget,
        }
    }
}

settings!(RetrySettings: RetryForm, RetryBudgetSettings: BudgetForm);
