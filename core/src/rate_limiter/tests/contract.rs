//! No key ever gets more than its quota, whatever is evicted.

use std::collections::HashMap;

use super::*;

/// What the requests of each key that were allowed add up to, and nothing else.
struct Ledger<A: Quota> {
    quota: A,
    keys: HashMap<u8, (Instant, A::Beside)>,
}

impl<A: Quota + Clone> Ledger<A> {
    /// Counts what was allowed; false if that was too much.
    fn count(&mut self, key: u8, cost: NonZeroU32, now: Instant) -> bool {
        let (idle_at, beside) = self.keys.entry(key).or_insert((Instant::ZERO, A::IDLE));
        let told = self.quota.allow(*idle_at, Held::Entry(beside), cost, now, now);
        *idle_at = told.map_or(*idle_at, |(_, idle_at)| idle_at);
        told.is_ok_and(|(decision, _)| decision.is_allowed())
    }

    fn refund(&mut self, key: u8, cost: NonZeroU32, now: Instant) {
        if let Some((idle_at, beside)) = self.keys.get_mut(&key) {
            *idle_at = self.quota.refund(*idle_at, Held::Entry(beside), cost, now);
        }
    }

    fn set_quota(&mut self, quota: A, now: Instant) {
        for (idle_at, beside) in self.keys.values_mut() {
            *idle_at = quota.carry_over(&self.quota, *idle_at, Held::Entry(beside), now);
        }
        self.quota = quota;
    }
}

/// A call: which, of which key, at what cost, and by how many milliseconds the clock moves before.
type Call = (u8, u8, u32, i64);

fn never_above<A: Quota + Clone>(
    quotas: &[A],
    slots: usize,
    cells: usize,
    calls: &[Call],
) -> Result<(), TestCaseError> {
    let first = quotas[0].clone();
    let mut exact = Ledger { quota: first.clone(), keys: HashMap::new() };
    let mut limiter = RateLimiterIn::<u8, A, Heap>::allocate(first, slots, cells, HashSeed::new(slots as u64, 3));
    let (mut millis, mut asked) = (100_000_i64, 0);
    for (call, key, cost, pause) in calls {
        millis += pause;
        let (now, cost) = (Instant::from_millis(millis.unsigned_abs()), NonZeroU32::new(*cost).unwrap());
        match call {
            0 => {
                let quota = &quotas[cost.get() as usize % quotas.len()];
                limiter.set_quota(quota.clone(), now);
                exact.set_quota(quota.clone(), now);
            }
            1 => {
                if limiter.refund(key, cost, now) {
                    exact.refund(*key, cost, now);
                }
            }
            _ => {
                asked += 1;
                let (checked, left) = (limiter.check_n(key, cost, now), limiter.remaining(key, now));
                let ready_at = limiter.ready_at(key, 0, cost, now);
                let told = limiter.allow_n(key, cost, now);
                prop_assert_eq!(checked, told, "check and allow differ");
                match told {
                    Ok(Decision::Allow) => {
                        prop_assert!(exact.count(*key, cost, now), "key {} got more than its quota", key);
                        prop_assert!(left >= cost.get());
                        prop_assert_eq!(ready_at, Ok(now));
                    }
                    Ok(Decision::Deny { retry_at }) => prop_assert_eq!(ready_at, Ok(retry_at)),
                    Err(error) => prop_assert_eq!(ready_at, Err(error)),
                }
            }
        }
    }
    let stats = limiter.stats();
    prop_assert_eq!(stats.allowed + stats.denied, asked);
    prop_assert!(limiter.len() <= slots);
    Ok(())
}

/// Each step back may give a key one burst more, whatever entries and cells do; and a check says what is then decided.
fn bounded_by_steps<A: Quota>(quota: A, slots: usize, cells: usize, calls: &[Call]) -> Result<(), TestCaseError> {
    let mut limiter = RateLimiterIn::<u8, A, Heap>::allocate(quota, slots, cells, HashSeed::new(slots as u64, 3));
    let (mut millis, mut steps_back, mut forward) = (100_000_i64, 0, 0);
    let mut allowed: HashMap<u8, u64> = HashMap::new();
    for (_, key, cost, pause) in calls {
        millis += pause;
        steps_back += u64::from(*pause < 0);
        forward += u64::try_from(*pause).unwrap_or(0);
        let (now, cost) = (Instant::from_millis(millis.unsigned_abs()), NonZeroU32::new(*cost).unwrap());
        let checked = limiter.check_n(key, cost, now);
        let told = limiter.allow_n(key, cost, now);
        prop_assert_eq!(checked, told, "check and allow differ");
        if told == Ok(Decision::Allow) {
            *allowed.entry(*key).or_default() += u64::from(cost.get());
        }
        if let Ok(Decision::Deny { retry_at }) = told {
            // A small step back may be a late reader's: then it is as long as it was for the others.
            prop_assert!(retry_at <= now.saturating_add(Duration::from_secs(4)), "{:?} at {:?}", retry_at, now);
        }
    }
    let most = 3 * (2 + steps_back) + forward / 1_000;
    prop_assert!(allowed.values().all(|allowed| *allowed <= most), "{:?} of {}", allowed, most);
    Ok(())
}

fn calls(pause: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![1 => 0..2_u8, 30 => Just(2_u8)];
    prop::collection::vec((call, 0..24_u8, prop_oneof![8 => Just(1_u32), 2 => 1..4_u32], pause), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_gets_more_than_its_quota(
        slots in 1..17_usize,
        cells in 0..9_usize,
        calls in calls(prop_oneof![20 => 0..30_i64, 2 => 0..2_000_i64, 1 => 0..20_000_i64]),
    ) {
        let every = |millis| Gcra::every(Duration::from_millis(millis));
        never_above(&[every(1_000).burst(3), every(250).burst(5), every(3_000).burst(2)], slots, cells, &calls)?;
        let log = |millis| SlidingLog::<3>::new(Duration::from_millis(millis));
        never_above(&[log(3_000), log(500), log(9_000)], slots, cells, &calls)?;
        let two = |millis, slow| (every(millis).burst(3), every(slow).burst(5));
        never_above(&[two(1_000, 9_000), two(250, 4_000), two(9_000, 500)], slots, cells, &calls)?;
        let three = |millis, slow| (log(millis), every(slow).burst(4), log(2 * slow));
        never_above(&[three(3_000, 4_000), three(500, 9_000)], slots, cells, &calls)?;
    }

    #[test]
    fn with_a_clock_that_steps_none_gets_more_than_a_burst_a_step(
        slots in 1..17_usize,
        cells in 0..9_usize,
        calls in calls(prop_oneof![20 => 0..30_i64, 2 => 0..2_000_i64, 1 => -900..900_i64, 1 => -20_000..0_i64]),
    ) {
        bounded_by_steps(Gcra::every(Duration::from_secs(1)).burst(3), slots, cells, &calls)?;
        bounded_by_steps(SlidingLog::<3>::new(Duration::from_secs(3)), slots, cells, &calls)?;
        let fast = Gcra::every(Duration::from_millis(100)).burst(10);
        bounded_by_steps((Gcra::every(Duration::from_secs(1)).burst(3), fast), slots, cells, &calls)?;
    }
}

/// Liveness beside safety: a key that keeps to its rate is served through everything that others do, if it was known.
#[test]
fn strangers_reset_nobody_who_is_busy_and_lock_nobody_out_who_is_known() {
    let quota = Gcra::every(Duration::from_secs(1)).burst(10);
    let mut limiter = RateLimiterIn::<u64, Gcra, Heap>::allocate(quota, 64, 64, HashSeed::new(5, 6));
    let mut now = at(100);
    (0..9).for_each(|_| assert!(limiter.allow(&0, now).is_allowed()));
    let mut stranger = 1_000;
    for second in 0..1_000 {
        for _ in 0..100 {
            stranger += 1;
            let _ = limiter.allow(&stranger, now);
        }
        let left = limiter.remaining(&0, now);
        assert!(left <= 1, "a busy key was reset: {left} left");
        now = at(101 + second);
        assert!(limiter.allow(&0, now).is_allowed(), "a known key was refused in second {second}");
    }
    assert!(limiter.stats().evicted > 1_000);
}
