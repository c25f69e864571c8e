//! Every public type is `defmt::Format`: checked when it compiles, for nothing links `defmt` on a host. That none is
//! left out is checked by `tests/host/tests/format.rs`.

use core::{cell::RefCell, future::Ready};

use super::*;
use crate::{
    batch_collector::*,
    circuit_breaker::*,
    correlator::*,
    dedup_cache::{self, *},
    encryptor::*,
    foundation::{deadline::*, hash::*, storage::*, time::*, wait_list::*},
    lease::*,
    logger::*,
    observe::{Instrument, Kind},
    quorum::*,
    rate_limiter::{OnFull as OnFullOfLimiter, *},
    retry::*,
};

const fn format<T: defmt::Format>() {}

type Queue = BatchQueue<u8, 4, 2>;
type Log = Shared<Logger<4>, RefCell<Logger<4>>, test_util::ManualClock>;
type Calls = Shared<Correlator<u8, u8, 4>, RefCell<Correlator<u8, u8, 4>>, test_util::VirtualTimer>;
type Heard = DedupCache<u8, 4>;
type OnAttempt = fn(FlightEnd<u8>) -> Result<(), FlightLost<u8>>;
type Peers = Shared<Breakers<u8, 4>, RefCell<Breakers<u8, 4>>, test_util::VirtualTimer>;
type Rule = fn(WindowStats) -> bool;
type OnCall = fn(Permit, Outcome);

const _: () = {
    format::<(Deadline, HashSeed, Inline<4>, Instant, SeededHasher, WaitList<2>)>();
    format::<Shared<u8, RefCell<u8>, u8>>();

    format::<(AddError<u8>, FlushOutcome, FlushReason, WorkerRuns)>();
    format::<(Batch<'_, u8>, BatchCollector<u8, 4>, BatchIntoIter<'_, u8>, BatchSettings, BatchStats)>();
    format::<(BatchQueueIn<u8, Inline<2>>, BatchQueueStats)>();
    format::<BatchAdd<&'static Shared<Queue, RefCell<Queue>, test_util::VirtualTimer>>>();
    format::<BatchWorker<'_, heapless::Vec<u8, 4>, Inline<2>, RefCell<Queue>, test_util::ManualClock>>();

    format::<(BreakerError<u8>, BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit, Reset)>();
    format::<(AnyWindow<Inline<8>>, Counts, Transition, TripWhen<Consecutive, Rule>, WindowStats)>();
    format::<(BreakersIn<u8, Consecutive, Inline<4>>, CircuitBreaker<CallWindow<8>>, CircuitBreaker<TimeWindow<8>>)>();
    format::<(AnyTrip<Inline<8>>, Buckets<[u8; 8]>, CallGuard<OnCall>, CallRing<[u8; 8]>, CallWindow<8>)>();
    format::<(Consecutive, Percent, TimeWindow<8>, Trip)>();

    format::<(Asked<u8>, BeginError, Call, CallError<u8>, CallId, CorrelatorStats, Expired<u8>, Resolution<u8>)>();
    format::<(CorrelatorIn<u8, u8, Inline<4>>, KeyedCorrelatorIn<u8, u8, Inline<4>>, RoundTrips)>();
    format::<PendingCall<&'static Calls, fn(CallId) -> Ready<Result<(), u8>>>>();

    format::<(Claim<ClaimTicket>, ClaimLost, ClaimTicket)>();
    format::<ClaimGuard<'_, u8, Inline<4>, HashSeed, (), RefCell<Heard>, test_util::ManualClock>>();
    format::<(DedupCacheIn<u8, Inline<4>>, DedupStats, Seen, dedup_cache::OnFull)>();

    format::<(Grant, Lease, LeaseAsk, LeasesIn<u8, Inline<4>>, Spend)>();

    format::<(Actors<'_>, Entry<64, 64>, Event<'_>, FormattersFull, Group<'_>, Level, Logger<4>, LoggerStats)>();
    format::<(NotWritten, Recorded, ServiceId, Show, Text<8>)>();
    format::<(Report<'_, &Log>, ServiceLog<&Log>)>();

    format::<(Instrument, Kind)>();

    format::<(Ballot<u8>, BallotId, Cast<'_, u8>, QuorumError, QuorumIn<u8, u8, Inline<4>>, QuorumStats, Vote)>();

    format::<(
        Decision,
        Gcra,
        CostExceedsBurst,
        OnFullOfLimiter,
        Enforce,
        SlidingLog<5>,
        SlidingLogIn<Inline<5>>,
        GcraPerKey,
        GcraPerKeyState,
        SlidingLogState<5>,
        SlidingLogStateIn<Inline<5>>,
        Verdict,
        WaitError,
    )>();
    format::<(Held<'_, Gcra>, Keys, Prints, Top<u8, 4>, Counted<u8>)>();
    format::<(RateLimiterIn<u8, Gcra, Inline<4>>, RateLimiterIn<u8, SlidingLog<5>, Inline<4>>, RateLimiterStats)>();
    format::<(AllowOrCached<FlightPermit, u8>, FlightEnd<u8>, FlightGuard<u8, OnAttempt>, FlightLost<u8>)>();
    format::<UntilAllowed<'_, u8, u8, test_util::VirtualTimer, u8, RefCell<WaitList<2>>>>();
    format::<(WaitRequest<'_, u8>, WaitState<u8>)>();
    format::<(FlightPermit, CachedRateLimiterIn<u8, u8, Gcra, Inline<4>>, CachedRateLimiterStats)>();

    format::<(Failure, Jitter, Reason, Retry<'_>, RetryBudget, RetryBudgetStats, RetryError<u8>, RetryPolicy, Step)>();
    format::<SeededRng>();
    format::<(Hint<u8>, NoBudget, Plain, Retrying<u8, u8, u8>)>();
    format::<RetryFuture<fn() -> Ready<Result<u8, u8>>, &'static test_util::VirtualTimer, u8>>();
    format::<GuardedCall<(&'static Peers, &'static u8), u8>>();
    format::<OkOrErr>();
};

#[cfg(feature = "aead")]
const _: () = format::<(Domain<'_>, Encryptor, EncryptorError)>();

const _: () = format::<test_util::ManualClock>();
#[cfg(target_has_atomic = "ptr")]
const _: () = {
    use test_util::{Simulator, TaskId, VirtualSleep, VirtualTimer};

    format::<(Simulator<'_>, TaskId, VirtualSleep, VirtualTimer)>();
};
