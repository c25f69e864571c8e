//! Where a microcontroller's lines go.

use steadfast_core::{Level, NotWritten, Sink};

/// Hands lines to `defmt` (feature `defmt`), at their level; the filter `DEFMT_LOG` applies to the crate that logs,
/// `steadfast_embassy`.
#[derive(Clone, Copy, Debug, Default, defmt::Format)]
pub struct DefmtSink;

impl Sink for DefmtSink {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        match level {
            Level::Debug => defmt::debug!("{=str}", line),
            Level::Info => defmt::info!("{=str}", line),
            Level::Warn => defmt::warn!("{=str}", line),
            Level::Error => defmt::error!("{=str}", line),
        }
        Ok(())
    }
}

/// Whatever a program logs of ours can be logged by `defmt`: checked when it compiles, for nothing links `defmt` on a host.
#[cfg(test)]
mod tests {
    use steadfast_core::*;

    use super::DefmtSink;
    use crate::EmbassyTimer;

    const fn format<T: defmt::Format>() {}

    const _: () = {
        format::<(DefmtSink, EmbassyTimer, Instant)>();
        format::<(Decision, NeverFits, OnFull, RateLimiterStats, Gcra, SlidingLog<5>)>();
        format::<(AllowOrCached<AttemptPermit, u8>, AttemptLost<u8>, CachedRateLimiterStats)>();
        format::<(Claim<ClaimTicket>, ClaimLost, DedupStats, Seen, WhenFull)>();
        format::<(BreakerError<u8>, BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit)>();
        format::<(CallWindow<8>, Consecutive, Percent, Reset, TimeWindow<8>)>();
        format::<(BeginError, Call, CallError<u8>, CallId, CorrelatorStats, Expired<u8>)>();
        format::<(Resolution<u8>, RoundTrips)>();
        format::<(AddError<u8>, BatchQueueStats, BatchSettings, BatchStats, FlushOutcome, FlushReason, WorkerRuns)>();
        format::<(Ballot<u8>, QuorumError, QuorumStats, Vote)>();
        format::<(Event<'_>, Level, LoggerStats, FormattersFull, NotWritten, Recorded, ServiceId, Show, Text<8>)>();
        format::<(Failure, Jitter, Reason, RetryBudgetStats, RetryError<u8>, RetryPolicy, Step)>();
    };
}
