//! What an engine has counted.

use core::sync::atomic::{AtomicU64, Ordering};

use steadfast::observe::{Observe, Visitor, instruments as on};

/// The counts of an [`Engine`](crate::Engine).
///
/// `answered + not_run + unknown + misused + rejected` are all requests that ended; one that is dropped counts as
/// `unknown`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Requests that the engine decided.
    pub answered: u64,
    /// Requests that did not run on the engine.
    pub not_run: u64,
    /// Requests of which nobody knows whether they ran: too late, connection lost, or dropped by the caller.
    pub unknown: u64,
    /// Requests that a mistake of the program's or of its settings made fail.
    pub misused: u64,
    /// Requests that were not sent, because the breaker was open.
    pub rejected: u64,
    /// Of all, those that were sent a second time, with the text of the script, because the engine had lost it.
    pub reloaded: u64,
}

/// All requests by what became of them, and those that took a second round trip.
impl Observe for EngineStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::ENGINE_REQUESTS, &[("result", "answered")], self.answered);
        visitor.counter(&on::ENGINE_REQUESTS, &[("result", "not_run")], self.not_run);
        visitor.counter(&on::ENGINE_REQUESTS, &[("result", "unknown")], self.unknown);
        visitor.counter(&on::ENGINE_REQUESTS, &[("result", "misused")], self.misused);
        visitor.counter(&on::ENGINE_REQUESTS, &[("result", "rejected")], self.rejected);
        visitor.counter(&on::ENGINE_RELOADED, &[], self.reloaded);
    }
}

/// The counts.
impl Observe for crate::Engine {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
    }
}

#[derive(Clone, Copy)]
pub(super) enum End {
    Answered,
    NotRun,
    Unknown,
    Misuse,
    Rejected,
    Reloaded,
}

#[derive(Default)]
pub(super) struct Counts([AtomicU64; 6]);

/// Counts a request that is dropped while it is under way.
pub(super) struct Unsure<'a>(&'a Counts, bool);

impl Counts {
    pub(super) fn add(&self, end: End) {
        if let Some(count) = self.0.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) const fn begin(&self) -> Unsure<'_> {
        Unsure(self, true)
    }

    pub(super) fn stats(&self) -> EngineStats {
        let [answered, not_run, unknown, misused, rejected, reloaded] =
            self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        EngineStats { answered, not_run, unknown, misused, rejected, reloaded }
    }
}

impl Unsure<'_> {
    pub(super) fn end(mut self) {
        self.1 = false;
    }
}

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.add(End::Unknown);
        }
    }
}
