//! What a shared limiter has counted.

use core::sync::atomic::{AtomicU64, Ordering};

use steadfast::observe::{Attributes, Observe, Visitor, instruments as on};

use super::{By, SharedRateLimiter, SharedVerdict};

/// The counts of a [`SharedRateLimiter`]: what it allowed and denied, by who decided. Together they are all that it was
/// asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SharedRateLimiterStats {
    /// [`By::Engine`].
    pub engine: Decisions,
    /// [`By::Denial`], which allows nothing.
    pub denial: Decisions,
    /// [`By::Fallback`].
    pub fallback: Decisions,
    /// [`By::Quota`].
    pub quota: Decisions,
}

/// What one of them has decided.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decisions {
    /// Requests that were allowed.
    pub allowed: u64,
    /// Requests that were denied.
    pub denied: u64,
}

macro_rules! attributes {
    ($($by:literal)+) => {
        [$([[("decision", "allowed"), ("by", $by)], [("decision", "denied"), ("by", $by)]]),+]
    };
}

static ATTRIBUTES: [[[(&str, &str); 2]; 2]; 4] = attributes!("engine" "denial" "fallback" "quota");

/// All that it was asked, by decision and by who decided.
impl Observe for SharedRateLimiterStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        for (names, counts) in ATTRIBUTES.iter().zip([self.engine, self.denial, self.fallback, self.quota]) {
            for (names, count) in names.iter().zip([counts.allowed, counts.denied]) {
                let names: Attributes = names;
                visitor.counter(&on::RATE_LIMITER_DECISIONS, names, count);
            }
        }
    }
}

/// The counts.
impl Observe for SharedRateLimiter {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
    }
}

#[derive(Default)]
pub(super) struct Counts([[AtomicU64; 2]; 4]);

impl Counts {
    pub(super) fn add(&self, verdict: &SharedVerdict) {
        let by = match verdict.by {
            By::Engine => 0,
            By::Denial => 1,
            By::Fallback => 2,
            By::Quota => 3,
        };
        if let Some(count) = self.0.get(by).and_then(|counts| counts.get(usize::from(!verdict.is_allowed()))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> SharedRateLimiterStats {
        let [engine, denial, fallback, quota] = self.0.each_ref().map(|counts| {
            let [allowed, denied] = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
            Decisions { allowed, denied }
        });
        SharedRateLimiterStats { engine, denial, fallback, quota }
    }
}
