//! How settings are written down: the calls of their builders, those that were not made left out.

use core::{
    num::{NonZeroU8, NonZeroU32},
    time::Duration,
};

use super::{CallWindow, Outcome, Percent, Reset, TimeWindow, trip::Limits};
use crate::foundation::time::Span;

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetSettings {
    after: Duration,
    #[serde(default)]
    doubling: bool,
    up_to: Option<Duration>,
    jitter: Option<Percent>,
    seed: Option<u64>,
    probes: Option<NonZeroU8>,
    probe_successes: Option<Percent>,
    lease: Option<Duration>,
    call_timeout: Option<Duration>,
    on_drop: Option<Outcome>,
    on_panic: Option<Outcome>,
}

impl From<ResetSettings> for Reset {
    fn from(settings: ResetSettings) -> Self {
        let mut reset = Self::after(settings.after);
        reset.probes = settings.probes.unwrap_or(reset.probes);
        let reset = settings.probe_successes.map_or(reset, |share| reset.probe_successes(share));
        let reset = if settings.doubling { reset.doubling() } else { reset };
        let reset = settings.up_to.map_or(reset, |longest| reset.up_to(longest));
        let reset = settings.lease.map_or(reset, |lease| reset.lease(lease));
        let reset = settings.call_timeout.map_or(reset, |call_timeout| reset.call_timeout(call_timeout));
        let reset = settings.on_drop.map_or(reset, |outcome| reset.on_drop(outcome));
        let reset = settings.on_panic.map_or(reset, |outcome| reset.on_panic(outcome));
        settings.jitter.map_or(reset, |percent| reset.jitter(percent, settings.seed.unwrap_or(0)))
    }
}

impl From<Reset> for ResetSettings {
    fn from(reset: Reset) -> Self {
        let jitter = Percent::from_65536(reset.jitter);
        let said = |outcome: Outcome| (outcome != Outcome::Ignored).then_some(outcome);
        Self {
            after: reset.first.to_duration(),
            doubling: reset.is_doubling(),
            up_to: Some(reset.longest.to_duration()),
            jitter,
            seed: jitter.map(|_| u64::from(reset.random)),
            probes: Some(reset.probes),
            probe_successes: (reset.probe_successes < Percent::new(100)).then_some(reset.probe_successes),
            lease: (!reset.lease.is_zero()).then(|| reset.lease.to_duration()),
            call_timeout: (reset.call_timeout < Span::MAX).then(|| reset.call_timeout.to_duration()),
            on_drop: said(reset.dropped()),
            on_panic: said(reset.panicked()),
        }
    }
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CallWindowSettings {
    failures: Percent,
    min_calls: Option<NonZeroU32>,
    slow_calls: Option<SlowCalls>,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
struct SlowCalls {
    limit: Duration,
    share: Percent,
}

impl<const N: usize> From<CallWindowSettings> for CallWindow<N> {
    fn from(settings: CallWindowSettings) -> Self {
        let window = Self::new(settings.failures);
        let window = settings.min_calls.map_or(window, |calls| window.min_calls(calls));
        settings.slow_calls.map_or(window, |slow| window.slow_calls(slow.limit, slow.share))
    }
}

impl<const N: usize> From<CallWindow<N>> for CallWindowSettings {
    fn from(window: CallWindow<N>) -> Self {
        let Limits { failures, min_calls, .. } = window.limits;
        Self { failures, min_calls: NonZeroU32::new(min_calls), slow_calls: SlowCalls::of(&window.limits) }
    }
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeWindowSettings {
    span: Duration,
    failures: Percent,
    min_calls: Option<NonZeroU32>,
    slow_calls: Option<SlowCalls>,
}

impl<const B: usize> From<TimeWindowSettings> for TimeWindow<B> {
    fn from(settings: TimeWindowSettings) -> Self {
        let window = Self::new(settings.span, settings.failures);
        let window = settings.min_calls.map_or(window, |calls| window.min_calls(calls));
        settings.slow_calls.map_or(window, |slow| window.slow_calls(slow.limit, slow.share))
    }
}

impl<const B: usize> From<TimeWindow<B>> for TimeWindowSettings {
    fn from(window: TimeWindow<B>) -> Self {
        let Limits { failures, min_calls, .. } = window.limits;
        Self {
            span: window.bucket.times(B as u64).to_duration(),
            failures,
            min_calls: NonZeroU32::new(min_calls),
            slow_calls: SlowCalls::of(&window.limits),
        }
    }
}

impl SlowCalls {
    fn of(limits: &Limits) -> Option<Self> {
        limits.slow_calls.map(|share| Self { limit: limits.slow_after.to_duration(), share })
    }
}
