use super::*;
use core::convert::Infallible;
use std::{collections::HashSet, vec::Vec};

use rand_core::TryRng;

const START: Instant = Instant::from_secs(1_000);

/// Always the largest, or the smallest, number.
struct Fixed(u32);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.0) << 32 | u64::from(self.0))
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("jitter needs one word")
    }
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The policy of the seed's example, without its jitter.
pub(super) const STASH: RetryPolicy =
    RetryPolicy::exponential(secs(1)).max_delay(secs(30)).max_retries(3).jitter(Jitter::None);

const EVERY_JITTER: [Jitter; 4] = [Jitter::Decorrelated, Jitter::Equal, Jitter::Full, Jitter::None];

/// Fails every attempt at once and waits as told: the delays, and why it ended.
fn delays(policy: &RetryPolicy, failure: Failure, rng: &mut impl Rng) -> (Vec<Duration>, Reason) {
    let mut now = START;
    let mut retry = policy.start(now);
    let mut delays = Vec::new();
    loop {
        match retry.next(failure, now, rng) {
            Step::RetryAt(at) => {
                delays.push(at.saturating_duration_since(now));
                now = at;
            }
            Step::GiveUp(reason) => return (delays, reason),
        }
        assert!(delays.len() <= 100_000, "endless");
    }
}

#[test]
fn seed_6_3_delays_double_up_to_the_maximum_and_never_overflow() {
    let policy = STASH;
    for (attempt, expected) in [
        (0, 1),
        (1, 2),
        (2, 4),
        (3, 8),
        (4, 16),
        (5, 30),
        (6, 30),
        (10, 30),
        (31, 30),
        (32, 30),
        (63, 30),
        (64, 30),
        (u32::MAX, 30),
    ] {
        assert_eq!(policy.delay_for(attempt), secs(expected), "attempt {attempt}");
    }
}

#[test]
fn a_delay_doubles_up_to_the_end_of_the_range() {
    let policy = RetryPolicy::exponential(Duration::from_nanos(1)).max_delay(Duration::MAX);
    assert_eq!(policy.delay_for(63), Duration::from_nanos(1 << 63));
    assert_eq!(policy.delay_for(64), Duration::from_nanos(u64::MAX));
}

#[test]
fn found_b10_a_delay_grows_by_any_factor() {
    let policy = RetryPolicy::exponential(secs(4)).factor_percent(150).max_delay(secs(18)).jitter(Jitter::None);
    let expected = [secs(4), secs(6), secs(9), Duration::from_millis(13_500), secs(18), secs(18)];
    assert_eq!(delays(&policy.max_retries(6), Failure::Transient, &mut SeededRng::new(1)).0, expected);
    assert_eq!([0, 1, 2, 3, 4, 5].map(|attempt| policy.delay_for(attempt)), expected);
    for delay in [Duration::ZERO, Duration::from_nanos(1), secs(1), Duration::MAX] {
        for percent in [0, 100, 101, 300, u16::MAX] {
            let policy = RetryPolicy::exponential(delay).factor_percent(percent).max_delay(Duration::MAX);
            assert!(policy.delay_for(u32::MAX) >= policy.delay_for(7), "{percent} % of {delay:?}");
        }
    }
    assert_eq!(policy.factor_percent(99), policy.factor_percent(100), "no delay shrinks");
    let doubling = RetryPolicy::exponential(secs(4));
    assert_eq!(doubling.factor_percent(150).factor_percent(200), doubling);
    assert_eq!(RetryPolicy::linear(secs(4)).factor_percent(150), RetryPolicy::linear(secs(4)));
}

#[test]
fn seed_6_3_boot_recovery_waits_30_s_then_60_s_then_never() {
    let policy = RetryPolicy::linear(secs(30)).max_retries(2).jitter(Jitter::None);
    assert_eq!((policy.delay_for(0), policy.delay_for(1)), (secs(30), secs(60)));
    let (waits, reason) = delays(&policy, Failure::Transient, &mut SeededRng::new(1));
    assert_eq!((waits.as_slice(), reason), ([secs(30), secs(60)].as_slice(), Reason::AttemptsExhausted));
}

#[test]
fn seed_6_3_no_retries_is_one_call() {
    let (waits, reason) = delays(&STASH.max_retries(0), Failure::Transient, &mut SeededRng::new(1));
    assert!(waits.is_empty());
    assert_eq!(reason, Reason::AttemptsExhausted);
}

#[test]
fn seed_6_3_three_retries_are_four_calls_and_7_s() {
    let mut retry = STASH.start(START);
    let mut now = START;
    for delay in [1, 2, 4] {
        let at = now.saturating_add(secs(delay));
        let step = retry.next(Failure::Transient, now, &mut SeededRng::new(1));
        assert_eq!(step, Step::RetryAt(at));
        assert_eq!(step.retry_after(now), Some(secs(delay)));
        now = at;
    }
    assert_eq!(retry.attempts(), 4);
    let step = retry.next(Failure::Transient, now, &mut SeededRng::new(1));
    assert_eq!(step, Step::GiveUp(Reason::AttemptsExhausted));
    assert_eq!(step.retry_after(now), None);
    assert_eq!(retry.attempts(), 4, "no sleep and no attempt after the last failure");
    assert_eq!(now, START.saturating_add(secs(7)));
}

#[test]
fn seed_6_3_a_base_above_the_maximum_is_the_maximum() {
    let policy = RetryPolicy::exponential(secs(60)).max_delay(secs(30)).jitter(Jitter::None);
    assert_eq!(policy.delay_for(0), secs(30));
    for jitter in EVERY_JITTER {
        for seed in 0..100 {
            let (waits, _) = delays(&policy.jitter(jitter), Failure::Transient, &mut SeededRng::new(seed));
            assert!(waits.iter().all(|wait| *wait <= secs(30)), "{jitter:?}: {waits:?}");
        }
    }
}

#[test]
fn seed_6_3_a_base_of_zero_never_waits() {
    for jitter in EVERY_JITTER {
        for policy in [RetryPolicy::exponential, RetryPolicy::linear, RetryPolicy::constant] {
            let policy = policy(Duration::ZERO).jitter(jitter).max_retries(70);
            assert_eq!(policy.delay_for(u32::MAX), Duration::ZERO);
            let (waits, reason) = delays(&policy, Failure::Transient, &mut SeededRng::new(2));
            assert_eq!((waits.len(), reason), (70, Reason::AttemptsExhausted));
            assert!(waits.iter().all(Duration::is_zero));
        }
    }
}

#[test]
fn seed_6_3_full_jitter_fills_the_delay_evenly() {
    let policy = STASH.jitter(Jitter::Full).max_retries(10);
    let mut rng = SeededRng::new(3);
    let samples: Vec<_> = (0..10_000).map(|_| delays(&policy, Failure::Transient, &mut rng).0).collect();
    for attempt in 0..10 {
        let most = policy.delay_for(attempt);
        let of_attempt: Vec<Duration> = samples.iter().map(|waits| waits[attempt as usize]).collect();
        assert!(of_attempt.iter().all(|wait| *wait <= most && *wait <= secs(30)));
        let mean = of_attempt.iter().sum::<Duration>() / 10_000;
        assert!(mean > most * 48 / 100 && mean < most * 52 / 100, "attempt {attempt}: {mean:?} of {most:?}");
        for tenth in 0..10 {
            let in_it =
                of_attempt.iter().filter(|wait| **wait >= most * tenth / 10 && **wait < most * (tenth + 1) / 10);
            let count = in_it.count();
            assert!((850..1_150).contains(&count), "attempt {attempt}, tenth {tenth}: {count} of 10,000");
        }
    }
}

#[test]
fn equal_jitter_keeps_half() {
    let policy = STASH.jitter(Jitter::Equal).max_retries(6);
    for (rng, percent) in [(Fixed(0), 50), (Fixed(1 << 31), 75), (Fixed(u32::MAX), 100)] {
        let (waits, _) = delays(&policy, Failure::Transient, &mut { rng });
        for (attempt, wait) in (0..).zip(waits) {
            let expected = policy.delay_for(attempt) * percent / 100;
            assert!(wait.abs_diff(expected) < Duration::from_micros(1), "{wait:?}, not {expected:?}");
        }
    }
}

#[test]
fn decorrelated_jitter_stays_between_the_base_and_three_times_the_delay_before() {
    let policy = STASH.jitter(Jitter::Decorrelated).max_retries(10);
    assert_eq!(policy.delay_for(0), secs(3));
    assert_eq!(policy.delay_for(2), secs(27));
    assert_eq!(policy.delay_for(3), secs(30));
    let (mut at_the_maximum, mut longest) = (0, Duration::ZERO);
    for seed in 0..1_000 {
        let (waits, _) = delays(&policy, Failure::Transient, &mut SeededRng::new(seed));
        let mut previous = secs(1);
        for wait in waits {
            assert!(wait >= secs(1) && wait <= secs(30) && wait <= previous * 3, "{wait:?} after {previous:?}");
            at_the_maximum += u32::from(wait > Duration::from_millis(29_990));
            longest = longest.max(wait);
            previous = wait;
        }
    }
    assert!(at_the_maximum < 100, "{at_the_maximum} of 10,000 delays gather at the maximum");
    assert!(longest > secs(29), "each delay builds on the one before: {longest:?}");
}

#[test]
fn the_largest_draw_is_nearly_the_whole_delay_and_the_smallest_is_none_of_it() {
    for nanos in [0, 1, 2, 999, u64::from(u32::MAX), 1 << 32, 30_000_000_000, u64::MAX / 3, u64::MAX] {
        let most = Span::from_nanos(nanos);
        assert_eq!(jitter::below(most, &mut Fixed(0)), Span::ZERO);
        let drawn = jitter::below(most, &mut Fixed(u32::MAX)).as_nanos();
        assert!(drawn <= nanos && nanos - drawn <= (nanos >> 32) + 1, "{drawn} of {nanos}");
    }
}

#[test]
fn d5_a_hint_does_not_override_the_number_of_retries() {
    for hint in [Duration::ZERO, secs(1), Duration::MAX] {
        let (waits, reason) = delays(&STASH, Failure::RetryAfter(hint), &mut SeededRng::new(4));
        assert_eq!((waits.len(), reason), (3, Reason::AttemptsExhausted));
    }
}

#[test]
fn d5_a_hint_is_cut_to_the_maximum_delay_and_never_shortens_one() {
    let (waits, _) = delays(&STASH, Failure::RetryAfter(Duration::MAX), &mut SeededRng::new(4));
    assert_eq!(waits, [secs(30); 3]);
    let (waits, _) = delays(&STASH, Failure::RetryAfter(secs(2)), &mut SeededRng::new(4));
    assert_eq!(waits, [secs(2), secs(2), secs(4)]);
    let (waits, _) = delays(&STASH, Failure::RetryAfter(Duration::ZERO), &mut SeededRng::new(4));
    assert_eq!(waits, [secs(1), secs(2), secs(4)]);
}

#[test]
fn d5_a_hint_beyond_the_elapsed_time_gives_up_at_once() {
    let policy = STASH.max_elapsed(secs(10));
    let mut retry = policy.start(START);
    let step = retry.next(Failure::RetryAfter(secs(10)), START, &mut SeededRng::new(4));
    assert_eq!(step, Step::GiveUp(Reason::DeadlineExceeded));
    let step = retry.next(Failure::RetryAfter(Duration::from_nanos(9_999_999_999)), START, &mut SeededRng::new(4));
    assert_eq!(step, Step::RetryAt(Instant::from_nanos(1_009_999_999_999)));
}

#[test]
fn d5_a_hint_does_not_override_the_budget() {
    let mut budget = RetryBudget::percent(0).floor_per_second(0).burst(1);
    let mut retry = STASH.start(START);
    let hint = Failure::RetryAfter(secs(5));
    let step = retry.next_within(&mut budget, hint, START, &mut SeededRng::new(4));
    assert_eq!(step, Step::RetryAt(START.saturating_add(secs(5))));
    let step = retry.next_within(&mut budget, hint, START, &mut SeededRng::new(4));
    assert_eq!(step, Step::GiveUp(Reason::BudgetExhausted));
}

#[test]
fn d6_no_delay_exceeds_the_maximum_after_jitter() {
    for jitter in EVERY_JITTER {
        let policy = RetryPolicy::exponential(secs(1)).max_delay(secs(2)).max_retries(20).jitter(jitter);
        for rng in [&mut Fixed(0) as &mut dyn Rng, &mut Fixed(u32::MAX), &mut SeededRng::new(5)] {
            let (waits, _) = delays(&policy, Failure::Transient, &mut { rng });
            assert_eq!(waits.len(), 20);
            for (attempt, wait) in (0..).zip(waits) {
                assert!(wait <= policy.delay_for(attempt) && wait <= secs(2), "{jitter:?}: {wait:?}");
            }
        }
    }
}

#[test]
fn d7_two_operations_with_one_generator_draw_different_delays() {
    let policy = STASH.jitter(Jitter::Full);
    let mut rng = SeededRng::new(6);
    let sessions: HashSet<_> = (0..1_000).map(|_| delays(&policy, Failure::Transient, &mut rng).0).collect();
    assert_eq!(sessions.len(), 1_000);
}

#[test]
fn a_permanent_failure_stops_at_once() {
    let (waits, reason) = delays(&STASH, Failure::Permanent, &mut SeededRng::new(7));
    assert!(waits.is_empty());
    assert_eq!(reason, Reason::NotRetryable);
}

#[test]
fn the_elapsed_time_includes_the_attempts_and_its_end_is_out() {
    let policy = STASH.max_elapsed(secs(10));
    let mut retry = policy.start(START);
    // The first attempt took 9 s less a nanosecond: the delay of 1 s just fits. A nanosecond more, and it does not.
    let edge = START.saturating_add(secs(9));
    let just_before = edge.saturating_sub(Duration::from_nanos(1));
    assert_eq!(
        retry.clone().next(Failure::Transient, edge, &mut SeededRng::new(8)),
        Step::GiveUp(Reason::DeadlineExceeded)
    );
    let step = retry.next(Failure::Transient, just_before, &mut SeededRng::new(8));
    assert_eq!(step, Step::RetryAt(Instant::from_nanos(1_009_999_999_999)));
}

#[test]
fn an_attempt_ends_with_its_own_time_or_with_all_of_it() {
    assert_eq!(STASH.start(START).attempt_deadline(START), None);
    let policy = STASH.attempt_timeout(secs(3)).max_elapsed(secs(10));
    let retry = policy.start(START);
    assert_eq!(retry.attempt_deadline(START), Some(START.saturating_add(secs(3))));
    assert_eq!(retry.attempt_deadline(START.saturating_add(secs(8))), Some(START.saturating_add(secs(10))));
    let policy = STASH.max_elapsed(secs(10));
    assert_eq!(policy.start(START).attempt_deadline(START), Some(START.saturating_add(secs(10))));
}

#[test]
fn a_clock_that_steps_back_before_the_start_restarts_the_elapsed_time() {
    let policy = STASH.max_elapsed(secs(10)).max_retries(100);
    let mut retry = policy.start(START);
    let back = START.saturating_sub(secs(500));
    assert_eq!(retry.attempt_deadline(back), Some(back.saturating_add(secs(10))));
    assert!(matches!(retry.next(Failure::Transient, back, &mut SeededRng::new(9)), Step::RetryAt(_)));
    let late = back.saturating_add(secs(10));
    assert_eq!(retry.next(Failure::Transient, late, &mut SeededRng::new(9)), Step::GiveUp(Reason::DeadlineExceeded));
}

#[test]
fn nothing_is_retried_at_the_end_of_time() {
    let mut retry = STASH.start(Instant::MAX);
    assert_eq!(
        retry.next(Failure::Transient, Instant::MAX, &mut SeededRng::new(1)),
        Step::GiveUp(Reason::DeadlineExceeded)
    );
}

#[test]
fn settings_that_are_not_given_are_polite() {
    let policy = RetryPolicy::exponential(secs(1)).max_retries(10);
    assert_eq!(policy.delay_for(u32::MAX), secs(60));
    assert_eq!(RetryPolicy::constant(secs(90)).delay_for(7), secs(90));
    let (waits, _) = delays(&RetryPolicy::constant(secs(90)), Failure::Transient, &mut SeededRng::new(1));
    assert_eq!(waits.len(), 3);
    let sessions: HashSet<_> =
        (0..9).map(|seed| delays(&policy, Failure::Transient, &mut SeededRng::new(seed)).0).collect();
    assert_eq!(sessions.len(), 9, "jitter is on");
}

#[test]
fn a_budget_is_charged_for_no_other_refusal() {
    let mut budget = RetryBudget::percent(0).burst(5);
    let policy = STASH.max_elapsed(secs(3)).max_retries(1);
    let mut retry = policy.start(START);
    let late = START.saturating_add(secs(2));
    for (failure, now) in [(Failure::Permanent, START), (Failure::Transient, late)] {
        assert!(matches!(retry.next_within(&mut budget, failure, now, &mut SeededRng::new(1)), Step::GiveUp(_)));
    }
    assert_eq!(budget.stats(), RetryBudgetStats::default());
    assert!(matches!(
        retry.next_within(&mut budget, Failure::Transient, START, &mut SeededRng::new(1)),
        Step::RetryAt(_)
    ));
    let step = retry.next_within(&mut budget, Failure::Transient, START, &mut SeededRng::new(1));
    assert_eq!(step, Step::GiveUp(Reason::AttemptsExhausted));
    assert_eq!(budget.stats().withdrawn, 1);
    assert_eq!(budget.stats().refused, 0);
}

#[test]
fn a_budget_grants_its_burst_then_a_share_of_the_requests() {
    let mut budget = RetryBudget::percent(20).floor_per_second(0).burst(3);
    let granted = (0..10).filter(|_| budget.withdraw(START)).count();
    assert_eq!(granted, 3);
    let mut granted = 0;
    for _ in 0..1_000 {
        budget.deposit();
        granted += u32::from(budget.withdraw(START));
    }
    assert_eq!(granted, 200);
    let stats = budget.stats();
    assert_eq!((stats.deposits, stats.withdrawn, stats.refused, stats.refunded), (1_000, 203, 807, 0));
}

#[test]
fn a_budget_has_a_floor_for_those_who_ask_rarely() {
    let mut budget = RetryBudget::percent(0).floor_per_second(4).burst(1);
    assert!(budget.withdraw(START));
    let just_before = START.saturating_add(Duration::from_nanos(249_999_999));
    assert!(!budget.withdraw(just_before));
    assert!(budget.withdraw(START.saturating_add(Duration::from_millis(250))));
}

#[test]
fn a_budget_gives_back_only_what_it_gave() {
    let mut budget = RetryBudget::percent(0).floor_per_second(0).burst(2);
    budget.refund();
    assert_eq!(budget.available(START), 2);
    assert!(budget.withdraw(START));
    assert_eq!(budget.available(START), 1);
    budget.refund();
    budget.refund();
    assert_eq!(budget.available(START), 2);
    assert_eq!(budget.stats().refunded, 1);
}

#[test]
fn a_budget_refills_nothing_twice_when_the_clock_wavers() {
    let mut budget = RetryBudget::percent(0).floor_per_second(1).burst(100);
    while budget.withdraw(START) {}
    for _ in 0..1_000 {
        assert!(!budget.withdraw(START.saturating_sub(secs(1))));
        assert!(!budget.withdraw(START));
    }
}

#[test]
fn a_budget_stands_still_for_a_second_at_most_when_the_clock_steps_back() {
    let mut budget = RetryBudget::percent(0).floor_per_second(1).burst(1);
    assert!(budget.withdraw(START));
    let back = START.saturating_sub(secs(500));
    assert!(!budget.withdraw(back));
    assert!(!budget.withdraw(back.saturating_add(secs(1))));
    assert!(budget.withdraw(back.saturating_add(secs(2))));
}

#[test]
fn the_largest_settings_of_a_budget_do_not_overflow() {
    let mut budget = RetryBudget::percent(u32::MAX).floor_per_second(u32::MAX).burst(u32::MAX);
    budget.deposit();
    assert!(budget.withdraw(Instant::MAX));
    assert_eq!(budget.available(Instant::MAX), u32::MAX - 1);
    budget.refund();
    assert_eq!(budget.available(Instant::ZERO), u32::MAX);
    assert!(!RetryBudget::percent(100).burst(0).withdraw(Instant::MAX));
}

#[test]
fn everything_fits_in_a_static_and_is_small() {
    static POLICY: RetryPolicy = STASH;
    static RETRY: Retry<'static> = POLICY.start(START);
    static BUDGET: RetryBudget = RetryBudget::percent(20).floor_per_second(3).burst(9);
    assert_eq!(RETRY.attempts(), 1);
    assert_eq!(BUDGET.available(START), 9);
    assert_eq!(size_of::<Retry<'static>>(), if align_of::<u64>() == 8 { 32 } else { 24 });
    assert_eq!(size_of::<RetryPolicy>(), 40);
    assert_eq!(size_of::<RetryBudget>(), 72);
    assert!(size_of::<Step>() <= 16);
}

#[test]
fn found_a13_a_small_burst_cuts_no_share_off() {
    for (percent, burst) in [(75, 1), (75, 2), (60, 1), (99, 1), (34, 3), (7, 1), (100, 1)] {
        let mut budget = RetryBudget::percent(percent).floor_per_second(0).burst(burst);
        while budget.withdraw(Instant::ZERO) {}
        let requests = 10_000;
        let granted = (0..requests).filter(|_| {
            budget.deposit();
            budget.withdraw(Instant::ZERO)
        });
        assert_eq!(granted.count(), requests * percent as usize / 100, "{percent} % at most {burst} at once");
    }
}

#[test]
fn shares_never_lift_a_budget_above_its_burst() {
    let mut budget = RetryBudget::percent(75).floor_per_second(1).burst(2);
    for _ in 0..100 {
        budget.deposit();
        assert_eq!(budget.available(Instant::from_secs(1_000)), 2);
    }
    let now = Instant::from_secs(1_000);
    assert!(budget.withdraw(now) && budget.withdraw(now) && !budget.withdraw(now));
    let mut none = RetryBudget::percent(u32::MAX).floor_per_second(u32::MAX).burst(0);
    none.deposit();
    assert!(!none.withdraw(now));
}

#[test]
fn a_budget_under_other_settings_keeps_what_is_in_it() {
    let mut budget = RetryBudget::percent(100).floor_per_second(0).burst(5);
    assert!((0..3).all(|_| budget.withdraw(Instant::ZERO)));
    budget.set_settings(&RetryBudget::percent(50).floor_per_second(1).burst(9), Instant::ZERO);
    assert_eq!(budget.available(Instant::ZERO), 2, "a larger burst is not filled by this");
    budget.deposit();
    assert_eq!(budget.available(Instant::ZERO), 2);
    budget.deposit();
    assert_eq!(budget.available(Instant::from_secs(1)), 4);
    budget.set_settings(&RetryBudget::percent(50).burst(1), Instant::from_secs(1));
    assert_eq!(budget.available(Instant::from_secs(1)), 1, "a smaller one cuts it");
    assert_eq!((budget.stats().withdrawn, budget.stats().deposits), (3, 2));
}
