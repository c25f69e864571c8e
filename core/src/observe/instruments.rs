//! Every instrument by its name.
//!
//! Where one has attributes, the sum over them is a number of its own: no event is in two of its counts.

use super::{Instrument, Kind};

macro_rules! instruments {
    ($($(#[$attribute:meta])* $instrument:ident: $kind:ident, $name:literal, $unit:literal, $description:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`, `", $unit, "`: ", $description)]
            $(#[$attribute])*
            pub static $instrument: Instrument =
                Instrument { name: $name, kind: Kind::$kind, unit: $unit, description: $description };
        )+

        /// All of them, for libraries that want to know them before the first number.
        pub static ALL: &[&Instrument] = &[$(&$instrument),+];
    };
}

instruments! {
    /// `decision` is `allowed`, `denied` or, where a denial is not enforced, `overridden`: together all that it was asked.
    RATE_LIMITER_DECISIONS: Counter, "steadfast.rate_limiter.decisions", "{request}", "Requests that were decided.";
    RATE_LIMITER_OVERFLOWED: Counter, "steadfast.rate_limiter.overflowed", "{request}",
        "Requests of keys that found no entry.";
    RATE_LIMITER_REFUSED: Counter, "steadfast.rate_limiter.refused", "{request}",
        "Requests of keys without an entry, beyond what the ledger leaves them.";
    RATE_LIMITER_UNLIMITED: Counter, "steadfast.rate_limiter.unlimited", "{request}",
        "Requests that were allowed beyond every quota, because the limiter is full.";
    RATE_LIMITER_REFUNDED: Counter, "steadfast.rate_limiter.refunded", "{request}",
        "Requests of which something was given back.";
    RATE_LIMITER_REUSED: Counter, "steadfast.rate_limiter.reused", "{key}",
        "Idle entries that were given to another key.";
    RATE_LIMITER_EVICTED: Counter, "steadfast.rate_limiter.evicted", "{key}",
        "Entries in use that were given to another key.";
    RATE_LIMITER_KEYS: Gauge, "steadfast.rate_limiter.keys", "{key}", "Keys that have an entry, idle ones included.";
    RATE_LIMITER_CAPACITY: Gauge, "steadfast.rate_limiter.capacity", "{key}", "The most keys that can have an entry.";

    /// `answer` is `allowed`, `cached`, `in_flight` or `denied`: together all that it was asked.
    CACHED_RATE_LIMITER_ANSWERS: Counter, "steadfast.cached_rate_limiter.answers", "{request}",
        "Requests that were answered.";
    /// `end` is `completed`, `released` or `refunded`. What was allowed and has no end is being made, or was lost.
    CACHED_RATE_LIMITER_ATTEMPTS: Counter, "steadfast.cached_rate_limiter.attempts", "{attempt}",
        "Attempts that ended.";
    CACHED_RATE_LIMITER_KEYS: Gauge, "steadfast.cached_rate_limiter.keys", "{key}", "Keys that have an entry.";
    CACHED_RATE_LIMITER_CAPACITY: Gauge, "steadfast.cached_rate_limiter.capacity", "{key}",
        "The most keys that can have an entry.";

    /// `outcome` is `success`, `failure`, `ignored`, `stale` or `rejected`. All that it was asked is these and the
    /// permits that are still out or were lost.
    CIRCUIT_BREAKER_CALLS: Counter, "steadfast.circuit_breaker.calls", "{call}", "Calls that ended or were rejected.";
    CIRCUIT_BREAKER_PERMITTED: Counter, "steadfast.circuit_breaker.permitted", "{call}", "Calls that got a permit.";
    CIRCUIT_BREAKER_OVERRIDDEN: Counter, "steadfast.circuit_breaker.overridden", "{call}",
        "Calls that got a permit only because the breaker observes.";
    CIRCUIT_BREAKER_UNTRACKED: Counter, "steadfast.circuit_breaker.untracked", "{call}",
        "Results of keys that found no entry.";
    /// `to` is `open`. Each of the others is told to `on_transition`, and counted by nobody.
    CIRCUIT_BREAKER_TRANSITIONS: Counter, "steadfast.circuit_breaker.transitions", "{transition}",
        "Changes of state, re-opening included.";
    /// `state` is `closed`, `half_open` or `open`. Of one breaker, 1 for that it is in; of breakers by key, how many
    /// keys with an entry are in it. `open` stays until somebody asks for a permit: a breaker that nobody calls any more
    /// shows it for ever, one of a key until another gets its entry. What callers lose is in [`CIRCUIT_BREAKER_CALLS`].
    CIRCUIT_BREAKER_STATE: Gauge, "steadfast.circuit_breaker.state", "{breaker}",
        "Breakers in each state: of the state beneath, whatever the mode, where open stays until somebody calls.";
    CIRCUIT_BREAKER_WINDOW_CALLS: Gauge, "steadfast.circuit_breaker.window_calls", "{call}",
        "Calls that count in the window.";
    CIRCUIT_BREAKER_WINDOW_FAILURES: Gauge, "steadfast.circuit_breaker.window_failures", "{call}",
        "Failures that count in the window.";
    CIRCUIT_BREAKER_WINDOW_SLOW_CALLS: Gauge, "steadfast.circuit_breaker.window_slow_calls", "{call}",
        "Slow calls that count in the window.";
    CIRCUIT_BREAKER_CAPACITY: Gauge, "steadfast.circuit_breaker.capacity", "{key}",
        "The most keys that can have an entry.";

    RETRY_BUDGET_REQUESTS: Counter, "steadfast.retry_budget.requests", "{request}",
        "Requests that put their share in.";
    /// `decision` is `granted` or `refused`: together all that were asked for.
    RETRY_BUDGET_RETRIES: Counter, "steadfast.retry_budget.retries", "{retry}", "Retries that were asked for.";
    RETRY_BUDGET_REFUNDED: Counter, "steadfast.retry_budget.refunded", "{retry}",
        "Retries that were granted and given back.";
    RETRY_BUDGET_AVAILABLE: Gauge, "steadfast.retry_budget.available", "{retry}", "Retries that would be granted now.";

    /// `result` is `fresh`, `duplicate`, `in_flight` or `refused`: together all that it was asked.
    DEDUP_IDS: Counter, "steadfast.dedup.ids", "{id}", "Ids that were checked, marked or claimed.";
    /// `end` is `expired`, `forgotten` or `removed`. `fresh` ids are these, those that are held, and those whose claim
    /// was aborted or given up.
    DEDUP_IDS_ENDED: Counter, "steadfast.dedup.ids_ended", "{id}", "Ids that are known no more.";
    DEDUP_CLAIMS: Counter, "steadfast.dedup.claims", "{claim}", "Claims that were given out.";
    /// `end` is `committed`, `aborted` or `given_up`. With those that are pending they are all claims.
    DEDUP_CLAIMS_ENDED: Counter, "steadfast.dedup.claims_ended", "{claim}", "Claims that ended.";
    DEDUP_HELD: Gauge, "steadfast.dedup.held", "{id}", "Ids that have an entry.";
    DEDUP_PENDING: Gauge, "steadfast.dedup.pending", "{claim}", "Claims that are neither committed nor aborted.";
    DEDUP_CAPACITY: Gauge, "steadfast.dedup.capacity", "{id}", "The most ids that are held at once.";
    DEDUP_HORIZON: Duration, "steadfast.dedup.horizon", "s", "Every id that was marked less than this ago is known.";

    BATCH_ACCEPTED: Counter, "steadfast.batch.accepted", "{item}", "Items that were taken.";
    /// `end` is `delivered`, `failed` or `returned`; `handed_out` of a collector without a queue. What was accepted is
    /// these, `pending` and `in_flight`.
    BATCH_ITEMS: Counter, "steadfast.batch.items", "{item}", "Items that left.";
    BATCH_FLUSHES: Counter, "steadfast.batch.flushes", "{batch}", "Batches that were handed out, retries not counted.";
    BATCH_RETRIES: Counter, "steadfast.batch.retries", "{batch}", "Times that a batch is flushed again.";
    BATCH_PENDING: Gauge, "steadfast.batch.pending", "{item}", "Items that wait for their batch.";
    BATCH_IN_FLIGHT: Gauge, "steadfast.batch.in_flight", "{item}", "Items that are being flushed.";

    CORRELATOR_BEGUN: Counter, "steadfast.correlator.begun", "{call}", "Calls that began.";
    /// `end` is `resolved`, `timed_out`, `cancelled` or `closed`, which with `pending` are all that began, or
    /// `refused`.
    CORRELATOR_CALLS: Counter, "steadfast.correlator.calls", "{call}", "Calls that ended or did not begin.";
    /// `reason` is `late`, `duplicate`, `unknown` or `wrong_peer`. With the calls that were resolved they are all
    /// replies.
    CORRELATOR_UNMATCHED: Counter, "steadfast.correlator.unmatched", "{reply}", "Replies that matched no pending call.";
    CORRELATOR_PENDING: Gauge, "steadfast.correlator.pending", "{call}", "Calls that are pending.";
    CORRELATOR_CAPACITY: Gauge, "steadfast.correlator.capacity", "{call}", "The most calls at once.";
    CORRELATOR_ROUND_TRIP: Duration, "steadfast.correlator.round_trip", "s",
        "The smoothed mean of round-trip times.";
    CORRELATOR_ROUND_TRIP_VARIATION: Duration, "steadfast.correlator.round_trip_variation", "s",
        "The smoothed deviation of round-trip times.";

    /// `result` is `counted`, `conflicting`, `full`, `late`, `other_ballot`, `repeated` or `stranger`: together all.
    QUORUM_VOTES: Counter, "steadfast.quorum.votes", "{vote}", "Votes that came.";

    LOGGER_SEEN: Counter, "steadfast.logger.seen", "{event}", "Events and plain lines that were reported.";
    /// `reason` is `filtered`, `lost` or `rejected`. The rest of those that were seen is waiting, or was printed.
    LOGGER_DROPPED: Counter, "steadfast.logger.dropped", "{event}", "Events and plain lines that were not printed.";
    LOGGER_WAITING: Gauge, "steadfast.logger.waiting", "{event}", "Events that are still inside.";
}
