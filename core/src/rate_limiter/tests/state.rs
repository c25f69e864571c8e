//! A state as numbers: that it decides as the quota does, whoever asks, and whatever the clock does.

use super::*;

const MS: u64 = 1_000_000;

fn n(cost: u32) -> NonZeroU32 {
    NonZeroU32::new(cost).unwrap()
}

fn of(interval: u64, burst: u32) -> Gcra {
    Gcra::every(Duration::from_nanos(interval)).burst(burst)
}

/// Out of its numbers and back, as through a file.
fn through_numbers(state: GcraState) -> GcraState {
    GcraState::new(state.debt(), state.at(), state.interval())
}

#[test]
fn what_is_counted_survives_a_restart() {
    let quota = of(100 * MS, 10);
    let mut state = GcraState::default();
    assert!(state.allow(&quota, n(10), at(50)).unwrap().is_allowed());
    let mut state = through_numbers(state);
    let denied = state.allow(&quota, n(3), at(50)).unwrap();
    assert_eq!(denied.retry_at(), Some(Instant::from_millis(50_300)));
    assert_eq!((denied.remaining, denied.reset_at), (0, at(51)));
    assert!(state.allow(&quota, n(3), Instant::from_millis(50_300)).unwrap().is_allowed());
}

/// Seen with shared state that was cut to the smaller burst: 2,093 requests of 300, while two versions of a quota were
/// deployed side by side.
#[test]
fn found_two_quotas_in_turn_hand_out_nothing() {
    let (large, small) = (of(10 * MS, 100), of(10 * MS, 10));
    let (mut state, mut allowed) = (GcraState::default(), 0);
    for milli in 0..2_000 {
        let now = Instant::from_millis(milli);
        for quota in [&small, &large] {
            while state.allow(quota, n(1), now).unwrap().is_allowed() {
                allowed += 1;
            }
        }
    }
    assert_eq!(allowed, 100 + 199);
}

#[test]
fn what_was_used_of_one_quota_is_used_of_another() {
    let (fast, slow) = (of(MS, 10), of(1_000 * MS, 10));
    let mut state = GcraState::default();
    assert!(state.allow(&slow, n(7), at(9)).unwrap().is_allowed());
    assert_eq!(state.check(&fast, n(1), at(9)).unwrap().remaining, 3);
    assert!(state.allow(&fast, n(3), at(9)).unwrap().is_allowed());
    assert_eq!(state.check(&slow, n(1), at(9)).unwrap().remaining, 0);
}

#[test]
fn who_denies_does_not_set_the_pace() {
    let (fast, slow) = (of(MS, 100), of(1_000 * MS, 5));
    let mut state = GcraState::default();
    assert!(state.allow(&fast, n(100), at(9)).unwrap().is_allowed());
    for milli in 0..50 {
        assert!(!state.allow(&slow, n(1), Instant::from_millis(9_000 + milli)).unwrap().is_allowed());
    }
    assert_eq!(state.check(&fast, n(1), Instant::from_millis(9_050)).unwrap().remaining, 50);
}

#[test]
fn what_a_larger_burst_has_counted_is_waited_for() {
    let (large, small) = (of(10 * MS, 100), of(20 * MS, 10));
    let mut state = GcraState::default();
    let _ = state.allow(&large, n(100), at(9)).unwrap();
    let denied = state.allow(&small, n(1), at(9)).unwrap();
    // 91 of 100 have to be paid back by the quota that counted them; told is what the one that asks takes.
    assert_eq!(denied.retry_at(), Some(Instant::from_millis(9_000 + 91 * 20)));
    assert_eq!(denied.more_at, Instant::from_millis(9_000 + 91 * 20));
    assert_eq!(denied.reset_at, Instant::from_millis(9_000 + 100 * 20));
    assert!(state.allow(&small, n(1), Instant::from_millis(9_000 + 91 * 10)).unwrap().is_allowed());
}

#[test]
fn a_clock_that_steps_back_costs_and_gives_nothing() {
    let quota = of(10 * MS, 100);
    let mut state = GcraState::default();
    let _ = state.allow(&quota, n(99), at(7_200)).unwrap();
    assert!(state.allow(&quota, n(1), at(3_600)).unwrap().is_allowed());
    assert_eq!(state.allow(&quota, n(1), at(3_600)).unwrap().retry_at(), Some(Instant::from_millis(3_600_010)));
    assert!(state.allow(&quota, n(1), Instant::from_millis(3_600_010)).unwrap().is_allowed());
}

#[test]
fn a_denial_notes_the_step_back() {
    let quota = of(10 * MS, 1);
    let mut state = GcraState::default();
    let _ = state.allow(&quota, n(1), at(7_200)).unwrap();
    assert!(!state.allow(&quota, n(1), at(3_600)).unwrap().is_allowed());
    assert!(state.allow(&quota, n(1), Instant::from_millis(3_600_010)).unwrap().is_allowed());
}

#[test]
fn what_never_fits_is_an_error_and_changes_nothing() {
    let (quota, none, unlimited) = (of(MS, 5), of(MS, 0), of(0, 5));
    let mut state = GcraState::default();
    let _ = state.allow(&quota, n(2), at(9)).unwrap();
    let before = state;
    assert_eq!(state.allow(&quota, n(6), at(9)), Err(CostExceedsBurst { limit: 5 }));
    assert_eq!(state.allow(&none, n(6), at(9)).unwrap().retry_at(), Some(Instant::MAX));
    assert_eq!(state, before);
    assert!(state.allow(&unlimited, n(5), at(9)).unwrap().is_allowed());
    assert_eq!(state.debt(), Duration::ZERO);
    let never = Gcra::every(Duration::MAX).burst(1);
    assert_eq!(state.allow(&never, n(1), at(9)).unwrap().retry_at(), Some(Instant::MAX));
}

proptest! {
    /// One quota, a clock that goes on: verdict by verdict as a limiter.
    #[test]
    fn one_quota_decides_as_a_limiter_does(
        interval in 1..50 * MS,
        burst in 1_u32..20,
        calls in proptest::collection::vec((0..100 * MS, 1_u32..22), 1..60),
    ) {
        let quota = of(interval, burst);
        let mut limiter: RateLimiter<(), Gcra, 1> = RateLimiter::new(quota);
        let (mut state, mut now) = (GcraState::default(), at(1));
        for (wait, cost) in calls {
            now = Instant::from_nanos(now.as_nanos() + wait);
            let expected = limiter.allow_verdict(&(), n(cost), now);
            let checked = state.check(&quota, n(cost), now);
            prop_assert_eq!(state.allow(&quota, n(cost), now), expected);
            prop_assert_eq!(checked.map(Verdict::is_allowed), expected.map(Verdict::is_allowed));
            prop_assert_eq!(through_numbers(state), state);
        }
    }

    /// Several quotas in turn, and a clock that may step back: never more than the largest burst, and what the smallest
    /// interval pays back of the time that passed. And always as much as there is.
    #[test]
    fn several_quotas_share_one_bound(
        quotas in proptest::collection::vec((1..20 * MS, 1_u32..30), 1..4),
        calls in proptest::collection::vec((0..3_usize, 0..30 * MS, proptest::bool::weighted(0.1), 1_u32..5), 1..200),
    ) {
        let quotas: Vec<_> = quotas.into_iter().map(|(interval, burst)| of(interval, burst)).collect();
        let burst = quotas.iter().map(|quota| quota.burst).max().unwrap();
        let fastest = quotas.iter().map(Gcra::interval).min().unwrap().as_nanos() as u64;
        let (mut state, mut now, mut passed, mut allowed) = (GcraState::default(), at(1_000), 0, 0);
        for (which, wait, is_back, cost) in calls {
            now = if is_back { now.saturating_sub(Duration::from_secs(3)) } else { Instant::from_nanos(now.as_nanos() + wait) };
            passed += if is_back { 0 } else { wait };
            let quota = &quotas[which % quotas.len()];
            let Ok(verdict) = state.allow(quota, n(cost), now) else { continue };
            if verdict.is_allowed() {
                allowed += u64::from(cost);
            } else {
                // Alone it is allowed at the instant that was told, at the latest.
                let at = verdict.retry_at().unwrap();
                prop_assert!(quotas.len() > 1 || state.check(quota, n(cost), at).unwrap().is_allowed());
            }
            prop_assert!(allowed <= u64::from(burst) + passed / fastest);
        }
    }
}
