//! Finding A7: floods of made-up keys, and keys that rotate, with the bounds that were simulated for the ledger.

use std::collections::HashMap;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A sixteenth of a table for 65,536 keys, and of its flood.
const N: usize = 4_096;

fn limiter<A: Quota>(quota: A, slots: usize, cells: usize) -> RateLimiterIn<u64, A, Heap> {
    RateLimiterIn::allocate(quota, slots, cells, HashSeed::new(7, cells as u64))
}

/// How many of 1,000 newcomers are served after so many made-up keys at an even pace.
fn newcomers_served<A: Quota>(limiter: &mut RateLimiterIn<u64, A, Heap>, keys: u64, pace: Duration) -> usize {
    let mut now = limiter.latest.saturating_add(Duration::from_secs(1));
    let first = 1 << 40 | limiter.stats().allowed << 20;
    for key in 0..keys {
        let _ = limiter.allow(&(first + key), now);
        now = now.saturating_add(pace);
    }
    (0..1_000).filter(|key| limiter.allow(&(first + (1 << 39) + key), now).is_allowed()).count()
}

#[test]
fn found_a7_newcomers_are_served_through_a_flood_of_made_up_keys() {
    let floods = [
        (90_000 / 16, Duration::ZERO),
        (360_000 / 16, Duration::from_millis(160)),
        (3_600_000 / 16, Duration::from_millis(16)),
    ];
    for cells in [N, 4 * N] {
        let mut gcra = limiter(Gcra::per(100, DAY), N, cells);
        let mut log = limiter(SlidingLog::<100>::new(DAY), N, cells);
        (0..10).for_each(|_| assert!(gcra.allow(&7, at(1)).is_allowed() && log.allow(&7, at(1)).is_allowed()));
        for (keys, pace) in floods {
            assert_eq!(newcomers_served(&mut gcra, keys, pace), 1_000, "{keys} keys, {cells} cells");
        }
        for (keys, pace) in &floods[..2] {
            assert_eq!(newcomers_served(&mut log, *keys, *pace), 1_000, "{keys} keys, {cells} cells");
        }
        // Who was known keeps its entry, and what it used.
        let now = gcra.latest;
        assert!((90..=99).contains(&gcra.remaining(&7, now)), "{}", gcra.remaining(&7, now));
        assert_eq!(log.remaining(&7, log.latest), 90);
        assert!(gcra.stats().evicted > 200_000);
    }
}

/// Without a ledger it is as it was found: nobody is served.
#[test]
fn found_a7_without_a_ledger_the_same_flood_locks_newcomers_out() {
    let mut limiter = limiter(Gcra::per(100, DAY), N, 0);
    assert_eq!(newcomers_served(&mut limiter, 90_000 / 16, Duration::ZERO), 0);
    limiter.set_on_full(OnFull::Allow);
    assert_eq!(newcomers_served(&mut limiter, 0, Duration::ZERO), 1_000);
    assert_eq!(limiter.stats().unlimited, 1_000);
}

/// Far above what it is sized for, newcomers get their share of what there is; with [`OnFull::Serve`] all are reached.
#[test]
fn found_a7_far_above_its_size_newcomers_share_with_the_flood() {
    let served = |on_full: OnFull| {
        let mut limiter = limiter(Gcra::per(10, Duration::from_secs(100)), 256, 256).with_on_full(on_full);
        // Ten times what 256 entries can pay back, for 20 periods.
        let pace = Duration::from_micros(1_000_000 * 10 / 2_560);
        let served = newcomers_served(&mut limiter, 400_000, pace);
        (served, limiter.stats())
    };
    let (strict, stats) = served(OnFull::Deny);
    assert!((100..900).contains(&strict), "{strict}");
    assert!(stats.refused > 100_000 && stats.allowed + stats.denied == 401_000);
    let (all, stats) = served(OnFull::Serve);
    assert!(all > 950 && stats.allowed + stats.denied == 401_000, "{all}");
    let (all, stats) = served(OnFull::Allow);
    assert!(all == 1_000 && stats.denied == 0 && stats.unlimited > 100_000, "{all} {stats:?}");
}

/// `m` keys take turns, each at twice its rate, for 150 intervals: newcomers served, and the share of what
/// an exact limiter allows. No key is ever above its quota.
fn rotate(cells: usize, m: usize) -> (f64, f64) {
    const SLOTS: usize = 256;
    let quota = Gcra::every(Duration::from_secs(1)).burst(100);
    let mut limiter = limiter(quota, SLOTS, cells);
    let exact = |states: &mut HashMap<u64, Instant>, key: u64, now: Instant| {
        let state = states.entry(key).or_insert(Instant::ZERO);
        let (decision, moved) = quota.allow(*state, Held::Cell(&mut ()), ONE, now, now).unwrap();
        *state = moved;
        decision.is_allowed()
    };
    let (mut counted, mut unbounded) = (HashMap::new(), HashMap::new());
    let (mut allowed, mut exactly, mut came, mut served) = (0_u64, 0_u64, 0_u64, 0_u64);
    for round in 0..300_u64 {
        for key in 0..m as u64 {
            let now = at(1_000).saturating_add(Duration::from_micros(500_000 * round + 500_000 * key / m as u64));
            exactly += u64::from(exact(&mut unbounded, key, now));
            if limiter.allow(&key, now).is_allowed() {
                allowed += 1;
                assert!(exact(&mut counted, key, now), "key {key} got more than its quota");
            }
            if round > 200 && key % 64 == 0 {
                came += 1;
                let newcomer = 1 << 40 | round << 20 | key;
                served += u64::from(limiter.allow(&newcomer, now).is_allowed());
            }
        }
    }
    (served as f64 / came as f64, allowed as f64 / exactly as f64)
}

#[test]
fn found_a7_more_busy_keys_than_entries_share_what_there_is_and_none_gets_more() {
    for (cells, bounds) in [
        (256, [(256, 0.95, 0.97), (384, 0.6, 0.88), (512, 0.5, 0.76), (1_024, 0.3, 0.45)]),
        (1_024, [(256, 0.95, 0.97), (384, 0.85, 0.95), (512, 0.75, 0.9), (1_024, 0.5, 0.75)]),
    ] {
        for (m, newcomers, share) in bounds {
            let (served, allowed) = rotate(cells, m);
            assert!(served >= newcomers && allowed >= share, "{cells} cells, {m} keys: {served:.2} {allowed:.2}");
        }
    }
}
