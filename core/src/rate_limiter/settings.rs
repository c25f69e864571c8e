//! How quotas are written down: the calls that make them, those that were not made left out.

use core::time::Duration;

use super::{Gcra, SlidingLog};

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GcraSettings {
    every: Duration,
    burst: Option<u32>,
}

impl From<GcraSettings> for Gcra {
    fn from(settings: GcraSettings) -> Self {
        Self::every(settings.every).burst(settings.burst.unwrap_or(1))
    }
}

impl From<Gcra> for GcraSettings {
    fn from(quota: Gcra) -> Self {
        Self { every: quota.interval(), burst: Some(quota.burst) }
    }
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlidingLogSettings {
    window: Duration,
}

impl<const MAX: usize> From<SlidingLogSettings> for SlidingLog<MAX> {
    fn from(settings: SlidingLogSettings) -> Self {
        Self::new(settings.window)
    }
}

impl<const MAX: usize> From<SlidingLog<MAX>> for SlidingLogSettings {
    fn from(quota: SlidingLog<MAX>) -> Self {
        Self { window: quota.window() }
    }
}
