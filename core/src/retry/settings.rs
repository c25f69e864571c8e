//! How a policy is written down: the calls of its builder, those that were not made left out.

use core::time::Duration;

use super::{
    Jitter, RetryPolicy,
    policy::{Growth, NO_LIMIT},
};

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    growth: Growth,
    base: Duration,
    factor_percent: Option<u16>,
    max_delay: Option<Duration>,
    max_elapsed: Option<Duration>,
    attempt_timeout: Option<Duration>,
    max_retries: Option<u32>,
    jitter: Option<Jitter>,
}

impl From<Settings> for RetryPolicy {
    fn from(settings: Settings) -> Self {
        let policy = Self::new(settings.base, settings.growth);
        let policy = settings.factor_percent.map_or(policy, |percent| policy.factor_percent(percent));
        let policy = settings.max_delay.map_or(policy, |max_delay| policy.max_delay(max_delay));
        let policy = settings.max_retries.map_or(policy, |max_retries| policy.max_retries(max_retries));
        policy
            .jitter(settings.jitter.unwrap_or(Jitter::Full))
            .max_elapsed(settings.max_elapsed.unwrap_or(NO_LIMIT))
            .attempt_timeout(settings.attempt_timeout.unwrap_or(NO_LIMIT))
    }
}

impl From<RetryPolicy> for Settings {
    fn from(policy: RetryPolicy) -> Self {
        let limit = |span: Duration| (span < NO_LIMIT).then_some(span);
        Self {
            growth: if policy.growth == Growth::Factor { Growth::Exponential } else { policy.growth },
            factor_percent: (policy.growth == Growth::Factor).then_some(policy.factor),
            base: policy.base.to_duration(),
            max_delay: Some(policy.max_delay.to_duration()),
            max_elapsed: limit(policy.max_elapsed.to_duration()),
            attempt_timeout: limit(policy.attempt_timeout.to_duration()),
            max_retries: Some(policy.max_retries),
            jitter: Some(policy.jitter),
        }
    }
}
