//! Made-up keys, many more than there is room for: nothing grows, those who are known are served as if there were no
//! flood, and nobody gets a new quota.
//!
//! `FLOOD_KEYS` sets how many keys come; 100,000 are enough to fill every table many times over.

use std::{env, time::Duration};

use allocation_counter::{AllocationInfo, measure};
use steadfast::{
    Breakers, CachedRateLimiter, Correlator, DedupCache, Gcra, KeyedCorrelator, Quorum, RateLimiter, Reset, SlidingLog,
    Trip, aggregate,
    correlator::{CallId, Resolution},
    dedup_cache::{self, Claim, Seen},
    quorum::Vote,
    rate_limiter::{AllowOrCached, OnFull, Quota},
};
use steadfast_core::{
    Clock, Instant, Logger,
    correlator::BeginError,
    logger::{Event, Level, Recorded},
    test_util::ManualClock,
};

const CAPACITY: usize = 5_000;
const STEPS: u64 = 100;
const STEP: Duration = Duration::from_secs(1);
const KNOWN: u64 = 8;
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// A [`flood_with`] during which nothing may be allocated, not for a moment.
fn flood(clock: &ManualClock, made_up: impl FnMut(u64), known: impl FnMut(u64)) {
    let used = flood_with(clock, made_up, known);
    assert_eq!((used.count_total, used.bytes_total), (0, 0), "memory was allocated");
}

/// In `STEPS` steps of a second each, `made_up` gets new keys, then `known` has its turn.
fn flood_with(clock: &ManualClock, mut made_up: impl FnMut(u64), mut known: impl FnMut(u64)) -> AllocationInfo {
    let keys: u64 = env::var("FLOOD_KEYS").map_or(100_000, |keys| keys.parse().expect("a number of keys"));
    measure(|| {
        for step in 0..STEPS {
            for key in 0..keys / STEPS {
                made_up(scattered(step * keys + key));
            }
            clock.advance(STEP);
            known(step);
        }
    })
}

/// Another key for each index, none of them known: `SplitMix64`, which is one-to-one, without the known ones.
fn scattered(index: u64) -> u64 {
    let state = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).max(1_000)
}

fn clock() -> ManualClock {
    ManualClock::new(Instant::from_secs(1_000))
}

/// Those who always ask too much, and one who keeps to the quota, beside a limiter that sees nobody else.
fn a_limiter_serves_as_without_a_flood<A: Quota + Clone>(quota: A, on_full: OnFull) {
    let clock = clock();
    let build = || {
        let limiter = RateLimiter::<u64, _>::builder(quota.clone()).capacity(CAPACITY).ledger(CAPACITY);
        limiter.on_full(on_full).timer(&clock).build()
    };
    let (flooded, quiet) = (build(), build());
    let (served, exactly) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let ask = |step: u64| {
        for key in 0..KNOWN {
            let asks = if key > 0 { 3 } else { u32::from((step + 1).is_multiple_of(10)) };
            for _ in 0..asks {
                let decision = flooded.allow(&key);
                // Who keeps to its quota need not keep its entry, but what it has left.
                let alone = quiet.allow(&key);
                assert!(
                    on_full != OnFull::Deny || alone.is_allowed() || !decision.is_allowed(),
                    "key {key} in step {step}"
                );
                assert!(key > 0 || alone.is_allowed(), "who keeps to the quota");
                served.set(served.get() + u64::from(decision.is_allowed()));
                exactly.set(exactly.get() + u64::from(alone.is_allowed()));
            }
        }
    };
    (0..KNOWN).for_each(|key| assert_eq!(flooded.allow(&key), quiet.allow(&key)));
    flood(&clock, |key| _ = flooded.allow(&key), ask);
    assert!(flooded.len() <= flooded.capacity());
    let stats = flooded.stats();
    assert!(stats.evicted > 1_000, "it was never full: {stats:?}");
    assert!(quiet.stats().denied > 1_000, "nobody asked too much");
    assert!(served.get() * 20 >= exactly.get() * 19, "{} of {} served", served.get(), exactly.get());
}

/// Those who came before are idle: each newcomer is served, and has an entry, in a limiter of one shard and of many.
#[test]
fn found_a14_whoever_comes_to_a_server_full_of_idle_keys_is_served() {
    let newcomers: u64 = env::var("FLOOD_KEYS").map_or(30_000, |keys| keys.parse().expect("a number of keys"));
    let sizes: &[usize] =
        if newcomers > 30_000 { &[200, 5_000, 65_536, 1_000_000] } else { &[1, 33, 200, 255, 256, 5_000] };
    for cells in [0, 1_000] {
        for &size in sizes {
            let clock = clock();
            let quota = Gcra::every(Duration::from_secs(1));
            let limiter = RateLimiter::<u64, _>::builder(quota).capacity(size).ledger(cells).timer(&clock).build();
            for key in 0..4 * limiter.capacity() as u64 {
                let _ = limiter.allow(&key);
            }
            assert!(limiter.len() > limiter.capacity() * 9 / 10, "it is not full");
            clock.advance(STEP);
            let mut unused = limiter.capacity() as u64 / 2;
            let before = limiter.stats().overflowed;
            for key in 0..newcomers {
                if unused == 0 {
                    // As good as new again.
                    clock.advance(STEP);
                    unused = limiter.capacity() as u64 / 2;
                }
                assert!(limiter.allow(&scattered(key)).is_allowed(), "newcomer {key} to {size}");
                unused = unused.saturating_sub(1);
            }
            assert_eq!(limiter.stats().overflowed, before, "somebody found no entry");
        }
    }
}

#[test]
fn a_flood_moves_no_rate_and_burst() {
    a_limiter_serves_as_without_a_flood(Gcra::every(Duration::from_secs(10)).burst(2), OnFull::Serve);
    a_limiter_serves_as_without_a_flood(Gcra::every(Duration::from_secs(10)).burst(2), OnFull::Deny);
}

#[test]
fn a_flood_moves_no_sliding_window() {
    a_limiter_serves_as_without_a_flood(SlidingLog::<2>::new(Duration::from_secs(20)), OnFull::Serve);
    a_limiter_serves_as_without_a_flood(SlidingLog::<2>::new(Duration::from_secs(20)), OnFull::Deny);
}

/// Text keys too: none is copied, neither that of who finds an entry nor another.
#[test]
fn a_flood_of_texts_copies_none() {
    let clock = clock();
    let limiter = RateLimiter::<String, _>::builder(SlidingLog::<1>::new(FOR_EVER)).capacity(64).timer(&clock).build();
    let known: Vec<_> = (0..64).map(|key| format!("{key:016x}")).collect();
    let mut text = [0; 16];
    let made_up = |key: u64| {
        for (digit, byte) in text.iter_mut().enumerate() {
            *byte = b"0123456789abcdef"[(key >> (60 - 4 * digit)) as usize & 0xf];
        }
        let _ = limiter.allow(str::from_utf8(&text).expect("ASCII"));
    };
    let used = measure(|| known.iter().for_each(|key| assert!(limiter.allow(key.as_str()).is_allowed())));
    assert_eq!(used.count_total, 0, "a newcomer was copied");
    flood(&clock, made_up, |_| assert!(!limiter.allow("0000000000000007").is_allowed()));
    // One for each entry, and one for each of four cells a key.
    assert_eq!((limiter.len(), limiter.stats().allowed), (64, 64 + 4 * 64));
}

#[test]
fn a_flood_ends_no_attempt_and_loses_no_value() {
    let clock = clock();
    let quota = Gcra::every(Duration::from_secs(10));
    let build = || CachedRateLimiter::builder(quota, FOR_EVER).capacity(CAPACITY / 10).clock(&clock).build();
    let (flooded, quiet) = (build(), build());
    let ask =
        |limiter: &CachedRateLimiter<u64, u64, Gcra, &ManualClock>, key, value| match limiter.allow_or_cached(&key) {
            AllowOrCached::Allowed(attempt) => attempt.complete(value).map_or((0, None), |()| (1, None)),
            AllowOrCached::Cached { value, age } => (2, Some((value, age))),
            AllowOrCached::InFlight => (3, None),
            AllowOrCached::Denied { .. } => (4, None),
        };
    let AllowOrCached::Allowed(in_flight) = flooded.allow_or_cached(&0) else { panic!("the first is allowed") };
    (1..KNOWN).for_each(|key| assert_eq!(ask(&flooded, key, key), ask(&quiet, key, key)));
    let known = |step| {
        assert_eq!(ask(&flooded, 0, 7), (3, None), "one attempt at a time");
        for key in 1..KNOWN {
            assert_eq!(ask(&flooded, key, step), ask(&quiet, key, step), "key {key} in step {step}");
        }
    };
    let used = flood_with(&clock, |key| _ = ask(&flooded, key, 1), known);
    // The last value of each key that has an entry, and the one that takes its place.
    let values = (flooded.capacity() + quiet.capacity() + 1) as u64;
    assert!(used.count_max <= values && used.bytes_max <= values * 24, "memory grew: {used:?}");
    assert_eq!(in_flight.complete(42), Ok(()));
    assert!(flooded.len() <= flooded.capacity() && flooded.stats().denied > 0);
}

#[test]
fn a_flood_closes_no_breaker_and_opens_none() {
    const PEERS: u64 = 4;
    let clock = clock();
    let reset = Reset::after(Duration::from_secs(STEPS + 1));
    let breakers = Breakers::<u64>::builder(Trip::consecutive(2), reset).capacity(CAPACITY).timer(&clock).build();
    let fail = |key: &u64| breakers.call_blocking(key, || Err::<(), _>("down"));
    (0..PEERS).for_each(|peer| {
        (0..2).for_each(|_| assert!(fail(&peer).is_err_and(|error| !error.is_open())));
    });
    let known = |_| {
        (0..PEERS).for_each(|peer| assert!(fail(&peer).is_err_and(|error| error.is_open()), "peer {peer} is down"));
        (PEERS..KNOWN).for_each(|peer| assert_eq!(breakers.call_blocking(&peer, || Ok::<_, &str>(peer)), Ok(peer)));
    };
    let made_up = |key: u64| (0..2).for_each(|_| _ = fail(&key));
    flood(&clock, made_up, known);
    assert!(breakers.len() <= breakers.capacity() && breakers.untracked() > 0);
    clock.advance(STEP);
    (0..PEERS).for_each(|peer| assert_eq!(breakers.call_blocking(&peer, || Ok::<_, &str>(peer)), Ok(peer)));
}

#[test]
fn a_flood_cannot_make_a_replay_guard_forget() {
    let clock = clock();
    let guard =
        DedupCache::<u64>::builder(FOR_EVER, dedup_cache::OnFull::Refuse).capacity(CAPACITY).clock(&clock).build();
    (0..KNOWN).for_each(|id| assert!(guard.check(&id).is_fresh()));
    let known = |step| {
        for id in 0..KNOWN {
            assert!(matches!(guard.check(&id), Seen::Duplicate { count, .. } if u64::from(count) == step + 1));
        }
    };
    flood(&clock, |id| _ = guard.check(&id), known);
    let stats = guard.stats();
    assert_eq!((stats.forgotten, stats.expired), (0, 0));
    assert!(stats.refused > 0 && stats.held <= guard.capacity() as u64);
    assert_eq!(guard.horizon(), FOR_EVER);
}

#[test]
fn a_flood_shortens_what_a_gossip_filter_knows_and_it_says_so() {
    let clock = clock();
    let filter = DedupCache::<u64>::builder(FOR_EVER, dedup_cache::OnFull::ForgetOldest)
        .capacity(CAPACITY)
        .clock(&clock)
        .build();
    let Claim::Fresh(claim) = filter.claim(&0) else { panic!("a first claim") };
    let latest = std::cell::Cell::new(0);
    let made_up = |id| {
        latest.set(id);
        assert!(filter.check(&id).is_fresh());
    };
    let known = |_| {
        assert!(filter.seen(&latest.get()), "the newest is always known");
        assert!(matches!(filter.claim(&0), Claim::InFlight), "no claim is forgotten");
    };
    flood(&clock, made_up, known);
    assert_eq!(claim.commit(), Ok(()));
    assert!(filter.horizon() < Duration::from_secs(STEPS) && filter.stats().forgotten > 0);
    assert!(filter.len() <= filter.capacity());
}

#[test]
fn a_flood_of_replies_and_calls_reaches_no_call_of_others() {
    let clock = clock();
    let calls = KeyedCorrelator::<u64, u64>::builder(64).timer(&clock).build();
    (0..64).for_each(|id| assert!(calls.begin(id, FOR_EVER).is_ok()));
    let made_up = |id| {
        assert_eq!(calls.begin(id, FOR_EVER), Err(BeginError::Full));
        assert_eq!(calls.resolve(&id, 1), Resolution::Unknown(1));
    };
    let known = |step: u64| {
        let id = step % KNOWN;
        assert!(calls.resolve(&id, step).is_matched());
        assert_eq!(calls.take(&id), Some(step));
        assert!(calls.begin(id, FOR_EVER).is_ok());
    };
    flood(&clock, made_up, known);
    assert_eq!((calls.len(), calls.stats().resolved), (64, STEPS));
}

#[test]
fn a_flood_of_guesses_reaches_no_call() {
    let clock = clock();
    let calls = Correlator::<u64, u64>::builder(64).timer(&clock).build();
    let call = calls.begin(7, FOR_EVER).expect("there is room");
    let made_up = |guess| {
        assert_eq!(calls.resolve(CallId::from_u64(guess), 7, 1), Resolution::Unknown(1));
        assert_eq!(calls.resolve(call.id(), guess, 1), Resolution::WrongPeer(1));
    };
    let known = |step| {
        let call = calls.begin(8, FOR_EVER).expect("there is room");
        assert!(calls.resolve(call.id(), 8, step).is_matched());
        assert_eq!(calls.take(call.id()), Some(step));
    };
    flood(&clock, made_up, known);
    assert!(calls.resolve(call.id(), 7, 42).is_matched());
    assert_eq!(calls.take(call.id()), Some(42));
}

#[test]
fn a_flood_of_voters_takes_no_vote_from_those_on_the_list() {
    let clock = clock();
    let listed = Quorum::<u64, u64>::builder(KNOWN as usize).voters(0..KNOWN).timer(&clock).build().expect("in reach");
    let open = Quorum::<u64, u64>::builder(64).max_voters(64).timer(&clock).build().expect("in reach");
    (0..64).for_each(|voter| assert_eq!(open.vote(open.ballot(), &voter, 7), Vote::Counted));
    // A vote that counts is allocated; nothing else is.
    (0..KNOWN).for_each(|voter| assert_eq!(listed.vote(listed.ballot(), &voter, 7), Vote::Counted));
    let made_up = |voter| {
        assert_eq!(listed.vote(listed.ballot(), &voter, 1), Vote::Stranger);
        assert_eq!(open.vote(open.ballot(), &voter, 1), Vote::Full);
    };
    let known = |step: u64| {
        assert_eq!(listed.vote(listed.ballot(), &(step % KNOWN), 7), Vote::Repeated);
        assert_eq!(open.vote(open.ballot(), &(step % 64), 7), Vote::Repeated);
    };
    flood(&clock, made_up, known);
    assert_eq!(listed.result(listed.ballot(), aggregate::majority).decided(), Some(7));
    assert_eq!(open.result(open.ballot(), aggregate::majority).decided(), Some(7));
}

#[test]
fn a_flood_of_names_takes_no_event_from_a_group_and_keeps_no_error_out() {
    let clock = clock();
    let mut logger: Box<Logger<64>> = Box::new(Logger::new().window(FOR_EVER, FOR_EVER));
    let service = logger.service("stash");
    let group = Event::new("store", "alice").target("bob");
    assert_eq!(logger.record(service, &group, clock.now()), Recorded::Grouped);
    let logger = std::cell::RefCell::new(logger);
    let made_up = |name: u64| {
        let name = name.to_le_bytes().map(|byte| b'a' + byte % 26);
        let name = str::from_utf8(&name).expect("ASCII");
        let _ = logger.borrow_mut().record(service, &Event::new("store", name).target(name), clock.now());
    };
    let known = |_| {
        let mut logger = logger.borrow_mut();
        assert_eq!(logger.record(service, &group, clock.now()), Recorded::Grouped);
        assert_eq!(logger.line(service, Level::Error, "bob is gone", clock.now()), Recorded::Ready);
        assert!(logger.on_timeout(clock.now()).is_some_and(|line| line.level() == Level::Error));
    };
    flood(&clock, made_up, known);
    let mut logger = logger.into_inner();
    logger.flush();
    let first = logger.on_timeout(clock.now()).expect("the group of the first event").line();
    assert_eq!(&*first, format!("• [stash] alice did store to bob ×{}", STEPS + 1));
    while logger.on_timeout(clock.now()).is_some() {}
    let stats = logger.stats();
    assert_eq!(stats.seen, stats.printed + stats.lost);
    assert!(stats.lost > 0, "it was never full");
}
