//! `defmt::Format` for the types that cannot derive it: those with wakers, closures, tables or secrets.

use core::{
    fmt,
    hash::{BuildHasher, Hash},
};

#[cfg(any(test, feature = "test-util"))]
use crate::test_util;
use crate::{
    batch_collector::{AddTo, BatchAdd, BatchBuffer, BatchQueueIn, BatchWorker},
    circuit_breaker::{
        Admit, AnyWindow, BreakersIn, CallGuard, CircuitBreaker, GuardedCall, ReportOutcome, TripPolicy, TripWhen,
    },
    correlator::{CallOn, CorrelatorIn, KeyedCorrelatorIn, PendingCall, SendRequest},
    dedup_cache::{ClaimGuard, DedupCacheIn},
    foundation::{
        hash::{HashSeed, SeededHasher},
        shared::{Clock, Lock, Shared, Timer},
        storage::Storage,
        wait_list::{WaitList, WaitQueue},
    },
    lease::LeasesIn,
    logger::{Actors, Entry, Group, Logger},
    quorum::{ListStorage, QuorumIn},
    rate_limiter::{
        CachedRateLimiterIn, EndFlight, FlightGuard, Held, Keys, Naming, Prints, Quota, RateLimiterIn,
        SlidingLogStateIn, UntilAllowed, WaitRequest, WaitState,
    },
    retry::{Operation, RetryBudget, RetryFuture, Retrying},
};

/// Formats what is listed as its `Debug` does, which takes no lock and shows no secret.
macro_rules! format_as_debug {
    ($([$($generics:tt)*] $type:ty;)+) => {$(
        impl<$($generics)*> defmt::Format for $type
        where
            Self: fmt::Debug,
        {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{}", defmt::Debug2Format(self));
            }
        }
    )+};
}

format_as_debug! {
    ['a, K: Eq + Hash, S: Storage, H: BuildHasher, V, L: Lock<Target = DedupCacheIn<K, S, H, V>>, T: Clock]
        ClaimGuard<'a, K, S, H, V, L, T>;
    ['q, B: BatchBuffer, W: Storage, L: Lock<Target = BatchQueueIn<B, W>>, T: Clock] BatchWorker<'q, B, W, L, T>;
    [C: AddTo] BatchAdd<C>;
    [C: CallOn, S: SendRequest<C::Arg>] PendingCall<C, S>;
    ['a] Actors<'a>;
    ['a] Group<'a>;
    [] HashSeed;
    [] SeededHasher;
    [B, W: Storage] BatchQueueIn<B, W>;
    [Id, R, S: Storage, H] KeyedCorrelatorIn<Id, R, S, H>;
    [K, A: Quota, S: Storage, H, P: Naming<K>] RateLimiterIn<K, A, S, H, P>;
    ['a, A: Quota] Held<'a, A>;
    [] Keys;
    [] Prints;
    [K, P: TripPolicy, S: Storage, H] BreakersIn<K, P, S, H>;
    [K, S: Storage, H] LeasesIn<K, S, H>;
    [K, S: Storage, H, V] DedupCacheIn<K, S, H, V>;
    [K, V, A: Quota, S: Storage, H, P: Naming<K>] CachedRateLimiterIn<K, V, A, S, H, P>;
    ['a, M, L, T: Timer, Q, C: WaitQueue, O] UntilAllowed<'a, M, L, T, Q, C, O>;
    ['a, Q: ?Sized] WaitRequest<'a, Q>;
    [M, L, T] Shared<M, L, T>;
    [S] WaitState<S>;
    [P, R, S: Storage] CorrelatorIn<P, R, S>;
    [P: TripPolicy] CircuitBreaker<P>;
    [R: ReportOutcome] CallGuard<R>;
    [O: Operation, T: Timer, R, P, H, N, B: Lock<Target = RetryBudget>] RetryFuture<O, T, R, P, H, N, B>;
    [O, T, R, P, H, N, B] Retrying<O, T, R, P, H, N, B>;
    [A: Admit, F, C] GuardedCall<A, F, C>;
    [V, E: EndFlight<V>] FlightGuard<V, E>;
    [S: Storage] AnyWindow<S>;
    [S: Storage] SlidingLogStateIn<S>;
    [W, F] TripWhen<W, F>;
    [V, T, S: ListStorage] QuorumIn<V, T, S>;
    [const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize]
        Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>;
    [const NAMES: usize, const LINE: usize] Entry<NAMES, LINE>;
    [const W: usize] WaitList<W>;
}

#[cfg(any(test, feature = "test-util"))]
format_as_debug! {
    [] test_util::ManualClock;
}

#[cfg(all(any(test, feature = "test-util"), target_has_atomic = "ptr"))]
format_as_debug! {
    ['a] test_util::Simulator<'a>;
    [] test_util::VirtualSleep;
    [] test_util::VirtualTimer;
}

#[cfg(test)]
mod tests;
