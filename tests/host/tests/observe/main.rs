//! What every utility tells of itself: the names are those of `instruments.txt`, which dashboards and alerts rely on; no
//! type with counts is left out; and nothing is allocated.

#[path = "../support/sources.rs"]
mod sources;

use core::{cell::RefCell, time::Duration};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use sources::{root, sources};
use steadfast_core::{
    BatchCollector, BatchQueue, BatchSettings, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache,
    Gcra, Instant, KeyedCorrelator, Logger, Quorum, RateLimiter, Reset, RetryBudget, Shared, Trip,
    batch_collector::{BatchQueueStats, BatchStats},
    circuit_breaker::{BreakerState, BreakerStats, WindowStats},
    correlator::CorrelatorStats,
    dedup_cache::{DedupStats, OnFull},
    logger::LoggerStats,
    observe::{Attributes, Instrument, Kind, Observe, Visitor, instruments},
    quorum::QuorumStats,
    rate_limiter::{CachedRateLimiterStats, RateLimiterStats},
    retry::RetryBudgetStats,
    test_util::ManualClock,
};

const WAIT: Duration = Duration::from_secs(60);
const RESET: Reset = Reset::after(Duration::from_secs(30));

/// Each name, with its kind and unit, and the values of its attributes.
#[derive(Default)]
struct Names {
    names: BTreeMap<&'static str, (Kind, &'static str, BTreeSet<String>)>,
    /// What was told since the last visit began.
    told: BTreeSet<(&'static str, Attributes)>,
}

impl Names {
    fn visit(&mut self, observed: &dyn Observe) {
        self.told.clear();
        observed.visit(self);
        assert!(!self.told.is_empty());
    }

    fn note(&mut self, kind: Kind, instrument: &'static Instrument, attributes: Attributes) {
        assert_eq!(kind, instrument.kind, "{}", instrument.name);
        assert!(self.told.insert((instrument.name, attributes)), "{} {attributes:?} is told twice", instrument.name);
        let (.., values) = self.names.entry(instrument.name).or_insert((kind, instrument.unit, BTreeSet::new()));
        values.extend(attributes.iter().map(|(key, value)| format!("{key}={value}")));
    }
}

impl Visitor for Names {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, _: u64) {
        self.note(Kind::Counter, instrument, attributes);
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, _: u64) {
        self.note(Kind::Gauge, instrument, attributes);
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, _: Duration) {
        self.note(Kind::Duration, instrument, attributes);
    }
}

/// A connection that nobody uses.
#[derive(Clone)]
struct NoConnection;

impl redis::aio::ConnectionLike for NoConnection {
    fn req_packed_command<'a>(&'a mut self, _: &'a redis::Cmd) -> redis::RedisFuture<'a, redis::Value> {
        unreachable!("nothing is asked")
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        _: &'a redis::Pipeline,
        _: usize,
        _: usize,
    ) -> redis::RedisFuture<'a, Vec<redis::Value>> {
        unreachable!("nothing is asked")
    }

    fn get_db(&self) -> i64 {
        0
    }
}

fn behind_a_lock<M>(machine: M) -> Shared<M, RefCell<M>, ManualClock> {
    Shared::new(RefCell::new(machine), ManualClock::default())
}

/// Calls `f` with every type with counts, by its name, and with every utility behind a lock.
fn each(mut f: impl FnMut(&str, &dyn Observe)) {
    f("BatchQueueStats", &BatchQueueStats::default());
    f("BatchStats", &BatchStats::default());
    f("BreakerStats", &BreakerStats::default());
    f("CachedRateLimiterStats", &CachedRateLimiterStats::default());
    f("CorrelatorStats", &CorrelatorStats::default());
    f("DedupStats", &DedupStats::default());
    f("LoggerStats", &LoggerStats::default());
    f("QuorumStats", &QuorumStats::default());
    f("RateLimiterStats", &RateLimiterStats::default());
    f("RetryBudgetStats", &RetryBudgetStats::default());
    f("WindowStats", &WindowStats::default());
    f("EngineStats", &steadfast_redis::EngineStats::default());
    f("SharedDedupStats", &steadfast_redis::SharedDedupStats::default());
    f("SharedRateLimiterStats", &steadfast_redis::SharedRateLimiterStats::default());
    f("BreakerState", &BreakerState::Open);

    let quota = Gcra::per_minute(5);
    f("a limiter", &behind_a_lock(RateLimiter::<u8, _, 4>::new(quota)));
    f("a caching limiter", &behind_a_lock(CachedRateLimiter::<u8, u8, _, 4>::new(quota, WAIT)));
    f("a breaker", &behind_a_lock(CircuitBreaker::new(Trip::consecutive(3), RESET)));
    f("breakers", &behind_a_lock(Breakers::<u8, 4>::new(Trip::consecutive(3), RESET)));
    f("a cache of ids", &behind_a_lock(DedupCache::<u8, 4>::new(WAIT, OnFull::Refuse)));
    f("a queue", &behind_a_lock(BatchQueue::<u8, 4, 2>::new(BatchSettings::new(WAIT))));
    f("a logger", &behind_a_lock(Logger::<4>::new()));
    f("a quorum", &behind_a_lock(Quorum::<u8, u8, 4>::new::<2>(Instant::MAX)));
    let calls = behind_a_lock(Correlator::<u8, u8, 4>::new(0));
    let call = calls.begin(1, WAIT).expect("room");
    assert!(calls.resolve(call.id(), 1, 7).is_matched()); // so that there is a round trip
    f("a correlator", &calls);
    f("a keyed correlator", &behind_a_lock(KeyedCorrelator::<u8, u8, 4>::new()));
    f("a limiter of servers", &steadfast::RateLimiter::<u8, _>::builder(quota).build());
    f("breakers of servers", &steadfast::Breakers::<u8>::builder(Trip::consecutive(3), RESET).build());
    f("a cache of ids of servers", &steadfast::DedupCache::<u8>::builder(WAIT, OnFull::Refuse).build());
    let engine = steadfast_redis::Engine::new(NoConnection);
    f("an engine", &engine);
    let limiter = steadfast_redis::SharedRateLimiter::builder(&engine, "api", quota);
    f("a limiter that servers share", &limiter.when_down(steadfast_redis::WhenDown::Deny).build());
    let ids = steadfast_redis::SharedDedup::builder(&engine, "ids", WAIT);
    f("ids that servers share", &ids.when_down(steadfast_redis::DedupWhenDown::Refuse).build());
    f("a budget of servers", &steadfast::RetryBudget::percent(20));
    f("a caching limiter of servers", &steadfast::CachedRateLimiter::<u8, u8, _>::builder(quota, WAIT).build());
    f("a breaker of servers", &steadfast::CircuitBreaker::new(Trip::consecutive(3), RESET));
    let batches =
        steadfast::BatchCollector::builder(4, WAIT).build(async |_: steadfast::batch_collector::Batch<u8>| ());
    f("a collector of servers", &batches.expect("a worker"));
    let calls = steadfast::Correlator::<u8, u8>::new(4);
    let call = calls.begin(1, WAIT).expect("room");
    assert!(calls.resolve(call.id(), 1, 7).is_matched()); // so that there is a round trip
    f("a correlator of servers", &calls);
    f("a keyed correlator of servers", &steadfast::KeyedCorrelator::<u8, u8>::new(4));
    f("a quorum of servers", &steadfast::Quorum::<u8, u8>::builder(2).build().expect("two votes"));
    let logger = steadfast::Logger::builder().without_worker().build(steadfast::logger::WriteSink::new(io::sink()));
    f("a logger of servers", &logger.expect("no worker"));
}

#[test]
fn the_names_are_those_that_dashboards_rely_on() {
    let mut names = Names::default();
    each(|_, observed| names.visit(observed));
    let lines: Vec<String> = names
        .names
        .iter()
        .map(|(name, (kind, unit, values))| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            format!("{name} {kind:?} {unit} {}", values.join(" ")).trim_end().to_owned()
        })
        .collect();
    let golden = fs::read_to_string(root().join("tests/host/tests/observe/instruments.txt")).expect("the golden file");
    let golden: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, golden, "what is told is\n{}\n", lines.join("\n"));

    let listed: BTreeSet<&str> = instruments::ALL.iter().map(|instrument| instrument.name).collect();
    assert_eq!(listed.len(), instruments::ALL.len(), "a name stands twice in `ALL`");
    assert_eq!(listed, names.names.keys().copied().collect(), "`ALL` and what is told");
}

/// The rules of OpenTelemetry for names, and a unit for each kind.
#[test]
fn names_and_units_are_in_the_usual_form() {
    for Instrument { name, kind, unit, description, .. } in instruments::ALL {
        let is_plain =
            |part: &str| !part.is_empty() && part.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_');
        assert!(name.starts_with("steadfast.") && name.split('.').all(is_plain) && !name.contains("total"), "{name}");
        assert_eq!(*unit == "s", *kind == Kind::Duration, "{name}");
        assert!(*unit == "s" || unit.starts_with('{') && unit.ends_with('}'), "{name} in {unit}");
        assert!(description.ends_with('.'), "{name}: {description}");
    }
}

/// The names of the types with counts that a text makes public.
fn stats_of(text: &str) -> impl Iterator<Item = &str> {
    let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("pub struct "));
    names
        .map(|rest| rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap_or_default())
        .filter(|name| name.ends_with("Stats"))
}

#[test]
fn no_type_with_counts_is_left_out() {
    let mut visited = BTreeSet::new();
    each(|name, _| _ = visited.insert(name.to_owned()));
    let mut found = 0;
    for (path, text) in
        ["core/src", "std-adapter/src", "std-adapter/redis/src", "std-adapter/tower/src", "embassy-adapter/src"]
            .into_iter()
            .flat_map(sources)
    {
        for name in stats_of(&text) {
            found += 1;
            assert!(visited.contains(name), "{name} of {path} is not in `each`: let it implement `Observe`");
        }
    }
    assert!(found >= 11, "only {found} were found");
    assert_eq!(stats_of("pub struct NewStats {\n").collect::<Vec<_>>(), ["NewStats"], "a new one would be noticed");
}

/// Adds up what it is told.
struct Sum(u64);

impl Visitor for Sum {
    fn counter(&mut self, _: &'static Instrument, _: Attributes, count: u64) {
        self.0 += count;
    }

    fn gauge(&mut self, _: &'static Instrument, _: Attributes, value: u64) {
        self.0 += value;
    }

    fn duration(&mut self, _: &'static Instrument, _: Attributes, value: Duration) {
        self.0 += value.as_secs();
    }
}

#[test]
fn a_visit_allocates_nothing() {
    let mut sum = Sum(0);
    each(|name, observed| {
        let allocated = allocation_counter::measure(|| observed.visit(&mut sum));
        assert_eq!(allocated.count_total, 0, "{name}");
    });
    assert!(sum.0 > 0);
    let counter = allocation_counter::measure(|| drop(vec![1]));
    assert_eq!(counter.count_total, 1, "what counts the allocations");
}

/// One limiter, a batch and a budget of devices, whose counts are known by heart.
#[test]
fn what_is_counted_once_is_told_once() {
    let mut limiter: RateLimiter<u8, _, 4> = RateLimiter::new(Gcra::per_hour(2));
    let mut batch: BatchCollector<u8, 4> = BatchCollector::new(BatchSettings::new(WAIT));
    let mut budget = RetryBudget::percent(20).burst(1);
    for item in 0..6 {
        let _ = limiter.allow(&1, Instant::ZERO);
        drop(batch.push(item, Instant::ZERO));
        budget.deposit();
        let _ = budget.withdraw(Instant::ZERO);
    }
    let told = |observed: &dyn Observe| {
        let mut sum = Sum(0);
        observed.visit(&mut sum);
        sum.0
    };
    assert_eq!(told(&limiter.stats()), 6); // 2 allowed, 4 denied
    assert_eq!(told(&batch.stats()), 6 + 6 + 1); // accepted; 4 handed out and 2 pending; one batch
    let granted = budget.stats().withdrawn;
    assert_eq!((told(&budget.stats()), granted), (6 + 6, 2)); // requests; retries
}

/// The counts, and the gauges, by name and attributes.
#[derive(Debug, Default, PartialEq)]
struct Numbers {
    counts: BTreeMap<(&'static str, Attributes), u64>,
    gauges: BTreeMap<(&'static str, Attributes), u64>,
}

impl Visitor for Numbers {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
        self.counts.insert((instrument.name, attributes), count);
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
        self.gauges.insert((instrument.name, attributes), value);
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
        self.gauge(instrument, attributes, value.as_secs());
    }
}

fn numbers(observed: &dyn Observe) -> Numbers {
    let mut numbers = Numbers::default();
    observed.visit(&mut numbers);
    numbers
}

/// What was counted before and what was counted since are what is counted; gauges are those of now.
fn assert_since(earlier: &dyn Observe, since: &dyn Observe, now: &dyn Observe) {
    let (earlier, since, now) = (numbers(earlier), numbers(since), numbers(now));
    let mut sums = since.counts;
    sums.iter_mut().for_each(|(name, count)| *count += earlier.counts[name]);
    assert_eq!(sums, now.counts);
    assert_eq!(since.gauges, now.gauges);
    assert_ne!(earlier.counts, now.counts, "nothing was counted");
}

#[test]
fn what_was_counted_since_adds_up() {
    let quota = Gcra::per_hour(2);
    let limiter = behind_a_lock(RateLimiter::<u8, _, 2>::new(quota));
    let cached = behind_a_lock(CachedRateLimiter::<u8, u8, _, 2>::new(quota, WAIT));
    let breaker = behind_a_lock(CircuitBreaker::new(Trip::consecutive(3), RESET));
    let ids = behind_a_lock(DedupCache::<u8, 4>::new(WAIT, OnFull::ForgetOldest));
    let calls = behind_a_lock(Correlator::<u8, u8, 4>::new(0));
    let queue = behind_a_lock(BatchQueue::<u8, 16, 2>::new(BatchSettings::new(WAIT)));
    let votes = behind_a_lock(Quorum::<u8, u8, 4>::new::<2>(Instant::MAX));
    let mut budget = RetryBudget::percent(50).burst(1);
    let mut work = |number: u8| {
        let _ = (limiter.allow(&(number % 3)), cached.allow_or_cached(&(number % 3)).value().is_some());
        if breaker.allow_request() && number.is_multiple_of(2) {
            breaker.record_failure()
        } else {
            breaker.record_success()
        }
        let _ = (ids.check(&(number / 2)), calls.begin(1, WAIT).is_ok(), queue.try_add(number).is_ok());
        let _ = votes.vote(votes.with_lock(|votes| votes.ballot()), number % 3, number % 2);
        budget.deposit();
        let _ = budget.withdraw(Instant::ZERO);
        let stats = (limiter.stats(), cached.stats(), breaker.stats(), ids.stats());
        (stats, (calls.stats(), queue.stats(), votes.stats(), budget.stats()))
    };
    let (
        (limiter_before, cached_before, breaker_before, ids_before),
        (calls_before, queue_before, votes_before, budget_before),
    ) = (0..5).map(&mut work).last().expect("five");
    let ((limiter, cached, breaker, ids), (calls, queue, votes, budget)) = (5..20).map(work).last().expect("fifteen");
    assert_since(&limiter_before, &limiter.since(limiter_before), &limiter);
    assert_since(&cached_before, &cached.since(cached_before), &cached);
    assert_since(&breaker_before, &breaker.since(breaker_before), &breaker);
    assert_since(&ids_before, &ids.since(ids_before), &ids);
    assert_since(&calls_before, &calls.since(calls_before), &calls);
    assert_since(&queue_before, &queue.since(queue_before), &queue);
    assert_since(&votes_before, &votes.since(votes_before), &votes);
    assert_since(&budget_before, &budget.since(budget_before), &budget);
    // As the stats say, with what was held before.
    let since = ids.since(ids_before);
    assert_eq!(ids_before.held + since.fresh, since.held + since.expired + since.forgotten + since.removed);
    let since = calls.since(calls_before);
    assert_eq!(calls_before.pending + since.begun, since.pending + since.resolved + since.cancelled);
}
