//! Several quotas for one key are as many limiters, all of which are asked before any counts.

use super::{custom::Window, *};

const DAY: Duration = Duration::from_secs(86_400);

/// A call: which, of which key, at what cost, and by how many milliseconds the clock moves before.
type Call = (u8, u8, u32, i64);

/// Enough for each key, so that none is forgotten for another, however the clock steps.
const ROOM: usize = 64;

/// A limiter for each quota.
struct Apart<A: Quota, B: Quota>(RateLimiterIn<u8, A, Heap>, RateLimiterIn<u8, B, Heap>);

impl<A: Quota, B: Quota> Apart<A, B> {
    fn new((one, other): (A, B)) -> Self {
        let seed = HashSeed::new(4, 4);
        Self(RateLimiterIn::allocate(one, ROOM, 64, seed.clone()), RateLimiterIn::allocate(other, ROOM, 64, seed))
    }

    /// Asks both, and counts in both if both allow.
    fn allow(&mut self, key: u8, cost: NonZeroU32, now: Instant) -> Result<Decision, u32> {
        let least = self.0.quota().limit().min(self.1.quota().limit());
        if least == 0 {
            return Ok(Decision::Deny { retry_at: Instant::MAX });
        }
        let checked = (self.0.check_n(&key, cost, now), self.1.check_n(&key, cost, now));
        let (Ok(one), Ok(other)) = checked else { return Err(least) };
        if one.is_allowed() && other.is_allowed() {
            assert_eq!(self.0.allow_n(&key, cost, now), Ok(Decision::Allow));
            assert_eq!(self.1.allow_n(&key, cost, now), Ok(Decision::Allow));
            return Ok(Decision::Allow);
        }
        let retry_after = one.retry_after(now).max(other.retry_after(now)).unwrap();
        Ok(Decision::Deny { retry_at: now.saturating_add(retry_after) })
    }

    fn refund(&mut self, key: u8, cost: NonZeroU32, now: Instant) {
        self.0.refund(&key, cost, now);
        self.1.refund(&key, cost, now);
    }

    fn set_quota(&mut self, (one, other): (A, B), now: Instant) {
        self.0.set_quota(one, now);
        self.1.set_quota(other, now);
    }

    fn remaining(&mut self, key: u8, now: Instant) -> u32 {
        self.0.remaining(&key, now).min(self.1.remaining(&key, now))
    }

    fn reset_at(&mut self, key: u8, now: Instant) -> Instant {
        self.0.reset_at(&key, now).max(self.1.reset_at(&key, now))
    }
}

/// As limiters apart do as long as there is room, and never more than they.
fn as_apart<A: Quota + Clone, B: Quota + Clone>(
    quotas: &[(A, B)],
    slots: usize,
    cells: usize,
    calls: &[Call],
) -> Result<(), TestCaseError> {
    let has_room = slots == ROOM;
    let mut limiter =
        RateLimiterIn::<u8, (A, B), Heap>::allocate(quotas[0].clone(), slots, cells, HashSeed::new(slots as u64, 3));
    let mut apart = Apart::new(quotas[0].clone());
    let (mut millis, mut allowed) = (100_000_i64, 0);
    for (call, key, cost, pause) in calls {
        millis += if has_room { *pause } else { pause.abs() };
        let (now, cost) = (Instant::from_millis(millis.unsigned_abs()), NonZeroU32::new(*cost).unwrap());
        match call {
            0 => {
                let other = &quotas[cost.get() as usize % quotas.len()];
                limiter.set_quota(other.clone(), now);
                apart.set_quota(other.clone(), now);
            }
            1 => {
                if limiter.refund(key, cost, now) {
                    apart.refund(*key, cost, now);
                }
            }
            _ => {
                let checked = limiter.check_n(key, cost, now);
                let told = limiter.allow_n(key, cost, now);
                prop_assert_eq!(checked, told, "check and allow differ");
                allowed += u64::from(told == Ok(Decision::Allow));
                if has_room || told == Ok(Decision::Allow) {
                    prop_assert_eq!(told.map_err(|error| error.limit), apart.allow(*key, cost, now));
                }
            }
        }
        if has_room {
            prop_assert_eq!(limiter.remaining(key, now), apart.remaining(*key, now));
            prop_assert_eq!(limiter.reset_at(key, now), apart.reset_at(*key, now));
        }
    }
    prop_assert_eq!((limiter.stats().allowed, limiter.stats().allowed), (apart.0.stats().allowed, allowed));
    prop_assert_eq!(apart.1.stats().allowed, allowed);
    Ok(())
}

/// The same quota twice decides as once, whatever is evicted, owed, refused or served.
fn twice_is_once<A: Quota + Clone>(
    quotas: &[A],
    slots: usize,
    cells: usize,
    on_full: OnFull,
    calls: &[Call],
) -> Result<(), TestCaseError> {
    let (first, seed) = (&quotas[0], HashSeed::new(slots as u64, 3));
    let mut once =
        RateLimiterIn::<u8, A, Heap>::allocate(first.clone(), slots, cells, seed.clone()).with_on_full(on_full);
    let both = (first.clone(), first.clone());
    let mut twice = RateLimiterIn::<u8, (A, A), Heap>::allocate(both, slots, cells, seed).with_on_full(on_full);
    let mut millis = 100_000_i64;
    for (call, key, cost, pause) in calls {
        millis += pause;
        let (now, cost) = (Instant::from_millis(millis.unsigned_abs()), NonZeroU32::new(*cost).unwrap());
        match call {
            0 => {
                let other = &quotas[cost.get() as usize % quotas.len()];
                once.set_quota(other.clone(), now);
                twice.set_quota((other.clone(), other.clone()), now);
            }
            1 => prop_assert_eq!(once.refund(key, cost, now), twice.refund(key, cost, now)),
            _ => prop_assert_eq!(once.allow_n(key, cost, now), twice.allow_n(key, cost, now)),
        }
        prop_assert_eq!(once.remaining(key, now), twice.remaining(key, now));
        prop_assert_eq!(once.reset_at(key, now), twice.reset_at(key, now));
        prop_assert_eq!(once.ready_at(key, 3, cost, now), twice.ready_at(key, 3, cost, now));
        prop_assert_eq!(once.stats(), twice.stats());
    }
    Ok(())
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![1 => 0..2_u8, 20 => Just(2_u8)];
    let cost = prop_oneof![8 => Just(1_u32), 2 => 1..6_u32];
    let pause =
        prop_oneof![20 => 0..30_i64, 2 => 0..2_000_i64, 1 => 0..20_000_i64, 1 => -900..0_i64, 1 => -20_000..0_i64];
    prop::collection::vec((call, 0..24_u8, cost, pause), 1..200)
}

const fn every(millis: u64) -> Gcra {
    Gcra::every(Duration::from_millis(millis))
}

const fn log(millis: u64) -> SlidingLog<3> {
    SlidingLog::new(Duration::from_millis(millis))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_quotas_decide_as_limiters_that_are_all_asked_before_any_counts(
        slots in prop_oneof![1..17_usize, Just(ROOM)],
        cells in 0..9_usize,
        calls in calls(),
    ) {
        let two = |fast, slow| (every(fast).burst(3), every(slow).burst(5));
        as_apart(&[two(100, 2_000), two(50, 900), two(3_000, 10)], slots, cells, &calls)?;
        let mixed = |millis, slow| (log(millis), every(slow).burst(4));
        as_apart(&[mixed(500, 2_000), mixed(9_000, 100)], slots, cells, &calls)?;
        let none = (log(500), every(100).burst(0));
        as_apart(&[mixed(500, 2_000), none], slots, cells, &calls)?;
    }

    #[test]
    fn the_same_quota_twice_decides_as_once(
        slots in 1..17_usize,
        cells in 0..9_usize,
        on_full in prop_oneof![Just(OnFull::Deny), Just(OnFull::Serve), Just(OnFull::Allow)],
        calls in calls(),
    ) {
        twice_is_once(&[every(1_000).burst(3), every(250).burst(5), every(3_000).burst(0)], slots, cells, on_full, &calls)?;
        // A log that denies forgets what has left its window, which several do when they allow: seen if the clock steps back.
        let calls: Vec<_> = calls.into_iter().map(|(call, key, cost, pause)| (call, key, cost, pause.abs())).collect();
        twice_is_once(&[log(3_000), log(500)], slots, cells, on_full, &calls)?;
    }
}

#[test]
fn what_one_of_them_denies_counts_in_none() {
    let quotas = (Gcra::per_second(2), SlidingLog::<3>::per_hour(), Window(9));
    let mut limiter: RateLimiter<char, _, 4> = RateLimiter::new(quotas);
    let two = NonZeroU32::new(2).unwrap();
    assert_eq!(limiter.allow_n(&'a', two, at(0)), Ok(Decision::Allow));
    let denied = Decision::Deny { retry_at: Instant::from_millis(500) };
    (0..9).for_each(|_| assert_eq!(limiter.allow(&'a', at(0)), denied));
    assert_eq!((limiter.remaining(&'a', at(1)), limiter.reset_at(&'a', at(1))), (1, at(3_600)));
    assert_eq!(limiter.allow_n(&'a', two, at(1)), Ok(Decision::Deny { retry_at: at(3_600) }));
    let three = NonZeroU32::new(3).unwrap();
    assert_eq!(limiter.allow_n(&'a', three, at(9)), Err(CostExceedsBurst { limit: 2 }));
    assert!(limiter.refund(&'a', two, at(9)));
    let verdict = limiter.allow_verdict(&'a', two, at(9)).unwrap();
    assert_eq!((verdict.decision, verdict.limit, verdict.remaining), (Decision::Allow, 2, 0));
    assert_eq!(verdict.reset_at, at(3_609));
    assert!(limiter.reset(&'a', at(9)) && limiter.is_empty());
}

/// With each its own instant: a day's quota that is owed must not make the second's seem used up.
#[test]
fn after_a_step_back_each_quota_is_cut_to_its_own_span() {
    let mut limiter = RateLimiterIn::<u32, _, Heap>::allocate((every(1_000), Gcra::per(9, DAY)), 1, 1, HashSeed::FIXED);
    let (now, back) = (at(100_000), at(50_000));
    assert!(limiter.allow(&1, now).is_allowed());
    assert!(limiter.allow(&2, at(100_001)).is_allowed(), "the cell, or the entry");
    for key in [1, 2] {
        let Decision::Deny { retry_at } = limiter.check(&key, back) else { panic!("a fresh quota for key {key}") };
        assert!(retry_at <= at(50_001), "{retry_at:?}");
        assert!(limiter.check(&key, at(50_001)).is_allowed());
        assert!(limiter.reset_at(&key, at(50_001)) <= at(50_001).saturating_add(DAY));
    }
}

#[test]
fn a_slot_that_was_vacated_stays_free_when_the_clock_steps_back() {
    let mut limiter = RateLimiterIn::<u32, _, Heap>::allocate((every(1_000), Gcra::per(9, DAY)), 1, 0, HashSeed::FIXED);
    assert!(limiter.allow(&1, at(100_000)).is_allowed());
    assert!(limiter.reset(&1, at(100_000)));
    assert!(limiter.allow(&2, at(99_000)).is_allowed(), "nobody was there");
}

/// Who has used up its second is known through a flood; so is what it has used of its day.
#[test]
fn a_flood_resets_neither_quota() {
    let quotas = (Gcra::per_second(5), Gcra::per(100, DAY));
    let mut limiter = RateLimiterIn::<u64, _, Heap>::allocate(quotas, 64, 64, HashSeed::new(5, 6));
    let (mut stranger, mut allowed) = (1_000, 0);
    for second in 0..60 {
        let now = at(100 + second);
        for _ in 0..7 {
            allowed += u64::from(limiter.allow(&0, now).is_allowed());
        }
        for _ in 0..1_000 {
            stranger += 1;
            let _ = limiter.allow(&stranger, now);
            assert!(!limiter.check(&0, now).is_allowed(), "a flood reset the second");
        }
    }
    assert_eq!(allowed, 100, "the day, and all of it");
    assert!(limiter.stats().evicted > 1_000);
}

#[test]
fn an_entry_takes_eight_bytes_more_than_its_quotas_together() {
    type Both = (Gcra, Gcra);
    assert_eq!((size_of::<<Both as Quota>::Beside>(), size_of::<<Both as Quota>::Count>()), (16, 16));
}
