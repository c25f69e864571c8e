//! Full tables under clocks that step back and forth, in pairs: never more than one burst, life or open time less for each
//! step; and always at least: from the first look after a step, nobody waits longer than one span, known or new.

mod support;

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;
use steadfast_core::{
    Breakers, CachedRateLimiter, DedupCache, Gcra, Instant, RateLimiter, Reset, SlidingLog, Trip,
    circuit_breaker::Outcome,
    dedup_cache::{self, Seen},
    rate_limiter::{AllowOrCached, Quota},
};

/// Three times as many as there is room for.
const KEYS: u8 = 12;
const ROOM: usize = 4;
const BURST: u32 = 3;
/// How long a quota, a life or an open time lasts.
const SPAN: u64 = 3_000;
const WHOLE: Duration = Duration::from_millis(SPAN);

#[derive(Clone, Debug)]
enum Move {
    /// A call for a key; how it ends is up to the machine.
    Ask(u8, u8),
    /// So many milliseconds pass.
    Pass(u64),
    /// The clock is set.
    Step(i64),
    Tidy,
}

fn far() -> impl Strategy<Value = i64> {
    prop_oneof![2 * SPAN as i64..100_000_000_000, -100_000_000_000..-2 * (SPAN as i64)]
}

/// What happens, and by how much the clock is set at last.
fn moves() -> impl Strategy<Value = (Vec<Move>, i64)> {
    let step = prop_oneof![far(), -2_000_i64..2_000];
    let one = prop_oneof![
        10 => (0..KEYS, 0..3_u8).prop_map(|(key, end)| Move::Ask(key, end)),
        3 => (0..SPAN).prop_map(Move::Pass),
        2 => step.prop_map(Move::Step),
        1 => Just(Move::Tidy),
    ];
    (prop::collection::vec(one, 1..80), far())
}

/// A clock that is set, in milliseconds.
#[derive(Default)]
struct Time {
    passed: u64,
    set_by: i64,
    steps: u32,
    /// How often it was set forward: what has been marked before may be over since.
    leaps: u32,
}

impl Time {
    fn now(&self) -> Instant {
        let now = 1_000_000_000_000 + self.passed as i64 + self.set_by;
        Instant::from_millis(now.unsigned_abs())
    }

    fn step(&mut self, by: i64) {
        self.set_by += by;
        self.steps += 1;
        self.leaps += u32::from(by > 0);
    }

    /// One span and an eighth in small steps, each of which is looked at.
    fn pass_span(&mut self, mut look: impl FnMut(Instant)) {
        for _ in 0..18 {
            look(self.now());
            self.passed += SPAN / 16;
        }
    }
}

/// Whose span began when, and not before which leap.
#[derive(Default)]
struct Spans(BTreeMap<u8, (u64, u32)>);

impl Spans {
    fn begin(&mut self, key: u8, time: &Time) {
        self.0.insert(key, (time.passed, time.leaps));
    }

    fn is_surely_running(&self, key: u8, time: &Time) -> bool {
        self.0.get(&key).is_some_and(|(since, leaps)| time.passed - since < SPAN && time.leaps == *leaps)
    }
}

fn limiter<A: Quota>(quota: A, most: impl Fn(u64) -> u64, (moves, last): (Vec<Move>, i64), key: u8) {
    let mut limiter: RateLimiter<u8, A, ROOM> = RateLimiter::new(quota);
    let mut time = Time::default();
    let mut allowed: BTreeMap<u8, u64> = BTreeMap::new();
    for next in moves {
        match next {
            Move::Ask(key, _) => {
                if limiter.allow(&key, time.now()).is_allowed() {
                    *allowed.entry(key).or_default() += 1;
                }
            }
            Move::Pass(millis) => time.passed += millis,
            Move::Step(by) => time.step(by),
            Move::Tidy => _ = limiter.reset_at(&0, time.now()),
        }
        let bound = most(time.passed) + u64::from(BURST * time.steps);
        assert!(allowed.values().all(|allowed| *allowed <= bound), "{allowed:?} where {bound} can be");
    }

    time.step(last);
    time.pass_span(|now| {
        for key in 0..KEYS {
            let decision = limiter.check(&key, now);
            let wait = decision.retry_after(now).unwrap_or_default();
            assert!(wait <= WHOLE, "{key} has to wait for {wait:?}");
        }
    });
    let now = time.now();
    for key in 0..KEYS {
        assert!(limiter.check(&key, now).is_allowed(), "{key}: {:?}", limiter.check(&key, now));
        assert_eq!(limiter.remaining(&key, now), BURST, "{key}");
        assert!(limiter.reset_at(&key, now) <= now, "{key}");
    }
    assert!(limiter.allow(&key, now).is_allowed());
    time.pass_span(|_| ());
    // Every entry is to be had.
    let evicted = limiter.stats().evicted;
    assert!((0..ROOM as u8).all(|key| limiter.allow(&(100 + key), time.now()).is_allowed()));
    assert_eq!(limiter.stats().evicted, evicted, "an entry is not idle");
}

proptest! {
    #![proptest_config(support::cases(1_000))]

    #[test]
    fn gcra_grants_one_burst_a_step_and_nobody_waits_longer_than_a_burst(moves in moves(), key in 0..KEYS) {
        let most = |passed| u64::from(BURST) + passed * u64::from(BURST) / SPAN;
        limiter(Gcra::per(BURST, WHOLE), most, moves, key);
    }

    #[test]
    fn a_sliding_log_grants_one_window_a_step_and_nobody_waits_longer_than_a_window(
        moves in moves(), key in 0..KEYS,
    ) {
        let most = |passed| u64::from(BURST) * (1 + passed / SPAN);
        limiter(SlidingLog::<{ BURST as usize }>::new(WHOLE), most, moves, key);
    }

    #[test]
    fn no_attempt_is_made_twice_and_nobody_waits_longer_than_quota_and_lease(
        (moves, last) in moves(), key in 0..KEYS,
    ) {
        let quota = Gcra::per(BURST, WHOLE);
        let mut limiter: CachedRateLimiter<u8, u8, Gcra, ROOM> = CachedRateLimiter::new(quota, WHOLE);
        let (mut time, mut in_flight) = (Time::default(), Spans::default());
        for next in moves {
            match next {
                Move::Ask(key, end) => if let AllowOrCached::Allowed(attempt) = limiter.allow_or_cached(&key, time.now()) {
                    // Without an entry it is not known whose attempt that of another key was; with one it is.
                    let is_double = limiter.len() < ROOM && in_flight.is_surely_running(key, &time);
                    prop_assert!(!is_double, "{key} is tried twice at once");
                    match end {
                        0 => prop_assert_eq!(limiter.complete(attempt, key, time.now()), Ok(())),
                        1 => limiter.release(attempt, time.now()),
                        _ => in_flight.begin(key, &time), // and nobody hears of it again
                    }
                },
                Move::Pass(millis) => time.passed += millis,
                Move::Step(by) => time.step(by),
                Move::Tidy => _ = limiter.cleanup(time.now()),
            }
        }

        time.step(last);
        for key in 0..KEYS {
            if let AllowOrCached::Allowed(attempt) = limiter.allow_or_cached(&key, time.now()) {
                limiter.refund(attempt, time.now());
            }
        }
        time.pass_span(|_| ());
        prop_assert!(matches!(limiter.allow_or_cached(&key, time.now()), AllowOrCached::Allowed(_)), "{key} is shut out");
        time.pass_span(|_| ());
        limiter.cleanup(time.now());
        prop_assert!(limiter.is_empty(), "{} of {ROOM} entries are not idle", limiter.len());
    }

    #[test]
    fn no_id_is_news_twice_in_its_life_and_none_outlives_it(
        (moves, last) in moves(), on_full in prop_oneof![Just(dedup_cache::OnFull::Refuse), Just(dedup_cache::OnFull::ForgetOldest)],
        key in 0..KEYS,
    ) {
        let mut cache: DedupCache<u8, ROOM> = DedupCache::new(WHOLE, on_full);
        let (mut time, mut lives) = (Time::default(), Spans::default());
        for next in moves {
            match next {
                Move::Ask(key, _) => {
                    let forgotten = cache.stats().forgotten;
                    let was_known = cache.seen(&key, time.now());
                    let seen = cache.check(&key, time.now());
                    if lives.is_surely_running(key, &time) {
                        prop_assert!(was_known && matches!(seen, Seen::Duplicate { .. }), "{key} is {seen:?}");
                    }
                    if cache.stats().forgotten > forgotten {
                        lives = Spans::default(); // whose, it does not say
                    }
                    if seen == Seen::Fresh {
                        lives.begin(key, &time);
                    }
                }
                Move::Pass(millis) => time.passed += millis,
                Move::Step(by) => time.step(by),
                Move::Tidy => _ = cache.cleanup(time.now()),
            }
        }

        // An idle program calls nothing but this.
        time.step(last);
        cache.on_timeout(time.now());
        let latest = time.now().saturating_add(WHOLE);
        prop_assert!(cache.next_deadline().is_none_or(|at| at <= latest), "{:?} after {latest:?}", cache.next_deadline());
        time.pass_span(|now| cache.on_timeout(now));
        // A step before this one may have been in doubt still: it costs a life of its own.
        time.pass_span(|now| cache.on_timeout(now));
        prop_assert!((0..KEYS).all(|key| !cache.seen(&key, time.now())));
        prop_assert_eq!(cache.len(), 0);
        prop_assert_eq!(cache.check(&key, time.now()), Seen::Fresh);
    }

    #[test]
    fn an_open_breaker_lets_nothing_through_before_its_time_and_no_key_waits_longer(
        (moves, last) in moves(), key in 0..KEYS,
    ) {
        let mut breakers: Breakers<u8, ROOM> = Breakers::new(Trip::consecutive(1), Reset::after(WHOLE).lease(WHOLE));
        let (mut time, mut open) = (Time::default(), Spans::default());
        for next in moves {
            match next {
                Move::Ask(key, end) => if let Ok(permit) = breakers.try_acquire(&key, time.now()) {
                    prop_assert!(!open.is_surely_running(key, &time), "the open breaker of {key} lets a call through");
                    let opened = breakers.stats().opened;
                    let outcome = if end == 0 { Outcome::Success } else { Outcome::Failure };
                    breakers.record(&key, permit, outcome, time.now());
                    if breakers.stats().opened > opened {
                        open.begin(key, &time);
                    }
                },
                Move::Pass(millis) => time.passed += millis,
                Move::Step(by) => time.step(by),
                Move::Tidy => _ = breakers.cleanup(time.now()),
            }
        }

        time.step(last);
        for key in 0..KEYS {
            if let Ok(permit) = breakers.try_acquire(&key, time.now()) {
                breakers.record(&key, permit, Outcome::Ignored, time.now());
            }
        }
        time.pass_span(|_| ());
        for key in 0..KEYS {
            let permit = breakers.try_acquire(&key, time.now());
            prop_assert!(permit.is_ok(), "{key} is shut out");
            breakers.record(&key, permit.expect("as asserted"), Outcome::Ignored, time.now());
        }
        // And whoever is new is judged again, however full the table was.
        (0..8).for_each(|_| time.pass_span(|_| ()));
        let untracked = breakers.untracked();
        let permit = breakers.try_acquire(&key, time.now());
        prop_assert!(permit.is_ok());
        breakers.record(&key, permit.expect("as asserted"), Outcome::Failure, time.now());
        prop_assert_eq!(breakers.untracked(), untracked, "nobody watches {}", key);
    }
}
