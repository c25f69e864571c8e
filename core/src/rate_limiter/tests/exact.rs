//! As long as there is room, every decision is that of a map of exact states.

use std::collections::HashMap;

use super::*;
use crate::test_util::Simulator;

fn decides_as_a_map<A: Quota + Clone>(quota: &A, keys: u32, slots: usize, calls: u32, seed: u64) {
    let mut limiter = RateLimiterIn::<u32, A, Heap>::allocate(quota.clone(), slots, slots, HashSeed::new(seed, 1));
    let mut map: HashMap<u32, (Instant, A::Beside)> = HashMap::new();
    let mut random = Simulator::new(seed);
    let mut next = |below: u64| random.next_random() % below;
    let mut now = at(100);
    for _ in 0..calls {
        now = now.saturating_add(Duration::from_millis(next(60)));
        let key = next(keys.into()) as u32;
        let cost = NonZeroU32::new(1 + next(4) as u32).unwrap();
        let (idle_at, beside) = map.entry(key).or_insert((Instant::ZERO, A::IDLE));
        match next(8) {
            0 => assert_eq!(limiter.remaining(&key, now), quota.remaining(*idle_at, Held::Entry(beside), now)),
            1 => assert_eq!(limiter.reset_at(&key, now), (*idle_at).max(now)),
            2 => assert_eq!(limiter.check_n(&key, cost, now), quota.check(*idle_at, Held::Entry(beside), cost, now)),
            3 if next(4) == 0 => {
                let is_idle = *idle_at <= now;
                if limiter.refund(&key, cost, now) {
                    *idle_at = quota.refund(*idle_at, Held::Entry(beside), cost, now);
                } else {
                    assert!(is_idle, "who owes has an entry");
                }
            }
            _ => {
                let told = quota.allow(*idle_at, Held::Entry(beside), cost, now, now);
                assert_eq!(limiter.allow_n(&key, cost, now), told.map(|(decision, _)| decision));
                *idle_at = told.map_or(*idle_at, |(_, idle_at)| idle_at);
            }
        }
    }
    let stats = limiter.stats();
    assert_eq!((stats.evicted, stats.overflowed, stats.refused), (0, 0, 0));
}

#[test]
fn with_room_it_decides_as_a_map_of_exact_states() {
    for (keys, slots) in [(32, 32), (48, 64), (68, 68), (100, 200), (128, 256)] {
        decides_as_a_map(&Gcra::every(Duration::from_millis(700)).burst(4), keys, slots, 60_000, keys.into());
        let both = (Gcra::every(Duration::from_millis(700)).burst(4), Gcra::every(Duration::from_millis(90)).burst(5));
        decides_as_a_map(&both, keys, slots, 20_000, keys.into());
        decides_as_a_map(&SlidingLog::<4>::new(Duration::from_secs(3)), keys, slots, 20_000, keys.into());
    }
}
