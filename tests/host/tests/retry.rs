//! Retry and retry budget beside naive references, on clocks that step.

mod support;

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use proptest::{collection::vec, prelude::*};
use rand_core::TryRng;
use steadfast_core::{Failure, Instant, Jitter, Reason, Retry, RetryBudget, RetryPolicy, Step};

const NANOS: u64 = 1_000_000_000;

/// The numbers of the test case, in turn.
struct Script(VecDeque<u32>);

impl TryRng for Script {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let number = self.0.pop_front().unwrap_or_default();
        self.0.push_back(number);
        Ok(number)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.try_next_u32().map(u64::from)
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Infallible> {
        unreachable!("jitter needs one word")
    }
}

#[derive(Clone, Copy, Debug)]
enum Growth {
    Constant,
    Exponential,
    Linear,
}

#[derive(Clone, Debug)]
struct Settings {
    growth: Growth,
    jitter: Jitter,
    base: u64,
    max_delay: u64,
    max_elapsed: u64,
    attempt_timeout: u64,
    max_retries: u32,
}

impl Settings {
    fn policy(&self) -> RetryPolicy {
        let base = Duration::from_nanos(self.base);
        match self.growth {
            Growth::Constant => RetryPolicy::constant(base),
            Growth::Exponential => RetryPolicy::exponential(base),
            Growth::Linear => RetryPolicy::linear(base),
        }
        .max_delay(Duration::from_nanos(self.max_delay))
        .max_elapsed(Duration::from_nanos(self.max_elapsed))
        .attempt_timeout(Duration::from_nanos(self.attempt_timeout))
        .max_retries(self.max_retries)
        .jitter(self.jitter)
    }
}

/// The same decisions in wide integers, without any thought of cost.
struct Reference {
    settings: Settings,
    started_at: u128,
    previous: u128,
    retries: u32,
}

impl Reference {
    fn new(settings: Settings, now: u64) -> Self {
        let previous = u128::from(settings.base);
        Self { settings, started_at: now.into(), previous, retries: 0 }
    }

    /// Every time past the end of `u64` is the end of it.
    fn after(at: u128, span: u64) -> u128 {
        (at + u128::from(span)).min(u64::MAX.into())
    }

    fn next(&mut self, failure: Failure, now: u64, random: u32) -> Step {
        let settings = &self.settings;
        let (base, max_delay) = (u128::from(settings.base), u128::from(settings.max_delay));
        let hint = match failure {
            Failure::Permanent => return Step::GiveUp(Reason::Permanent),
            Failure::RetryAfter(hint) => hint.as_nanos(),
            Failure::Transient => 0,
        };
        if self.retries >= settings.max_retries {
            return Step::GiveUp(Reason::Attempts);
        }
        self.started_at = self.started_at.min(now.into());
        let (least, most) = if settings.jitter == Jitter::Decorrelated {
            (base.min(max_delay), (self.previous * 3).min(max_delay))
        } else {
            let grown = match settings.growth {
                Growth::Constant => base,
                Growth::Exponential => (0..self.retries).fold(base, |delay, _| (delay * 2).min(max_delay)),
                Growth::Linear => base * (u128::from(self.retries) + 1),
            };
            let most = grown.min(max_delay);
            let least = match settings.jitter {
                Jitter::Equal => most / 2,
                Jitter::Full => 0,
                _ => most,
            };
            (least, most)
        };
        let drawn = least + (((most - least) * u128::from(random)) >> 32);
        let delay = drawn.max(hint).min(max_delay);
        let at = (u128::from(now) + delay).min(u64::MAX.into());
        if at >= Self::after(self.started_at, settings.max_elapsed) {
            return Step::GiveUp(Reason::Elapsed);
        }
        self.previous = drawn;
        self.retries += 1;
        Step::RetryAt(Instant::from_nanos(u64::try_from(at).unwrap()))
    }

    fn attempt_deadline(&self, now: u64) -> Option<Instant> {
        let whole = Self::after(self.started_at.min(now.into()), self.settings.max_elapsed);
        let at = u64::try_from(Self::after(now.into(), self.settings.attempt_timeout).min(whole)).unwrap();
        (at < u64::MAX).then_some(Instant::from_nanos(at))
    }
}

/// Small numbers, whole seconds, and the ends of the range.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, 0..100 * NANOS, any::<u64>(), (0..3_u64).prop_map(|less| u64::MAX - less)]
}

fn settings() -> impl Strategy<Value = Settings> {
    let growth = prop_oneof![Just(Growth::Constant), Just(Growth::Exponential), Just(Growth::Linear)];
    let jitter = prop_oneof![Just(Jitter::Decorrelated), Just(Jitter::Equal), Just(Jitter::Full), Just(Jitter::None)];
    let retries = prop_oneof![0..5_u32, Just(80), Just(u32::MAX)];
    (growth, jitter, span(), span(), span(), span(), retries).prop_map(
        |(growth, jitter, base, max_delay, max_elapsed, attempt_timeout, max_retries)| Settings {
            growth,
            jitter,
            base,
            max_delay,
            max_elapsed,
            attempt_timeout,
            max_retries,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        6 => Just(Failure::Transient),
        1 => Just(Failure::Permanent),
        2 => span().prop_map(|nanos| Failure::RetryAfter(Duration::from_nanos(nanos))),
        1 => Just(Failure::RetryAfter(Duration::MAX)),
    ]
}

/// How the clock moves between two calls: on, back, or anywhere.
fn tick() -> impl Strategy<Value = Tick> {
    prop_oneof![
        6 => (0..3 * NANOS).prop_map(Tick::On),
        2 => (0..3 * NANOS).prop_map(Tick::Back),
        1 => any::<u64>().prop_map(Tick::To),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Tick {
    Back(u64),
    On(u64),
    To(u64),
}

impl Tick {
    fn move_on(self, now: u64) -> u64 {
        match self {
            Self::Back(nanos) => now.saturating_sub(nanos),
            Self::On(nanos) => now.saturating_add(nanos),
            Self::To(now) => now,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Deposit,
    Refund,
    Withdraw,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![2 => Just(Ask::Deposit), 1 => Just(Ask::Refund), 4 => Just(Ask::Withdraw)]
}

fn cases() -> ProptestConfig {
    support::cases(10_000)
}

#[test]
fn a_policy_is_written_down_with_its_defaults_left_out() {
    let written = r#"{ "growth": "Exponential", "base": { "secs": 1, "nanos": 0 } }"#;
    let policy: RetryPolicy = serde_json::from_str(written).unwrap();
    assert_eq!(policy, RetryPolicy::exponential(Duration::from_secs(1)));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn retry_decides_as_the_reference_does(
        settings in settings(),
        start in prop_oneof![0..100 * NANOS, any::<u64>()],
        steps in vec((failure(), tick(), any::<u32>()), 1..10),
        follow in any::<bool>(),
    ) {
        let policy = settings.policy();
        let mut retry: Retry<'_> = policy.start(Instant::from_nanos(start));
        let mut reference = Reference::new(settings.clone(), start);
        let mut rng = Script(steps.iter().map(|(.., random)| *random).collect());
        let mut now = start;
        for (failure, tick, _) in steps {
            now = tick.move_on(now);
            let at = Instant::from_nanos(now);
            let random = rng.0.front().copied().unwrap();
            let draws = rng.0.clone();
            let (attempts, step) = (retry.attempts(), retry.next(failure, at, &mut rng));
            // The generator is asked at most once a step, so that a step is as quick as it is documented to be.
            let mut once = draws.clone();
            once.rotate_left(1);
            prop_assert!(rng.0 == draws || rng.0 == once);
            prop_assert_eq!(step, reference.next(failure, now, random));
            rng.0 = once;
            prop_assert_eq!(retry.attempt_deadline(at), reference.attempt_deadline(now));
            match step {
                Step::RetryAt(retry_at) => {
                    prop_assert_eq!(retry.attempts(), attempts.saturating_add(1));
                    let delay = retry_at.saturating_duration_since(at);
                    prop_assert!(retry_at >= at && delay <= Duration::from_nanos(settings.max_delay));
                    if follow {
                        now = retry_at.as_nanos();
                    }
                }
                Step::GiveUp(_) => prop_assert_eq!(retry.attempts(), attempts),
            }
        }
        prop_assert!(u64::from(retry.attempts()) <= u64::from(settings.max_retries) + 1);
    }

    #[test]
    fn a_policy_survives_being_written_down(settings in settings()) {
        let policy = settings.policy();
        let written = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<RetryPolicy>(&written).unwrap(), policy, "{}", written);
    }

    /// On a clock that never steps back: what is granted is exactly what a bucket filled at every nanosecond would
    /// grant.
    #[test]
    fn a_budget_grants_as_the_reference_does(
        (percent, floor, burst) in (0..300_u32, 0..50_u32, 0..20_u32),
        asks in vec((0..2 * NANOS, ask()), 1..40),
    ) {
        const RETRY: u128 = 100 * NANOS as u128; // in hundredths of a billionth
        let mut budget = RetryBudget::percent(percent).floor_per_second(floor).burst(burst);
        let most = u128::from(burst) * RETRY;
        let (mut level, mut now, mut owed) = (most, 0_u64, 0_u32);
        let (mut granted, mut refused) = (0_u64, 0_u64);
        for (wait, ask) in asks {
            now += wait;
            level = (level + u128::from(wait) * u128::from(floor) * 100).min(most);
            let at = Instant::from_nanos(now);
            prop_assert_eq!(u128::from(budget.available(at)), level / RETRY);
            match ask {
                Ask::Deposit => {
                    budget.deposit();
                    level = (level + u128::from(percent) * u128::from(NANOS)).min(most);
                }
                Ask::Refund => {
                    budget.refund();
                    if owed > 0 {
                        owed -= 1;
                        level = (level + RETRY).min(most);
                    }
                }
                Ask::Withdraw => {
                    let expected = level >= RETRY;
                    prop_assert_eq!(budget.withdraw(at), expected);
                    if expected {
                        level -= RETRY;
                        owed += 1;
                        granted += 1;
                    } else {
                        refused += 1;
                    }
                }
            }
        }
        let stats = budget.stats();
        prop_assert_eq!((stats.withdrawn, stats.refused), (granted, refused));
        prop_assert_eq!(stats.withdrawn - stats.refunded, u64::from(owed));
    }

    /// On any clock: never more than burst, share and floor allow, where the floor counts time again only after a step
    /// back of more than a second; and never refused for longer than a second and the time in which one retry grows.
    #[test]
    fn a_budget_bears_a_clock_that_steps(
        (percent, floor, burst) in (0..300_u32, 1..50_u32, 1..20_u32),
        asks in vec((tick(), ask()), 1..40),
    ) {
        let mut budget = RetryBudget::percent(percent).floor_per_second(floor).burst(burst);
        let (mut now, mut furthest, mut passed) = (0_u64, 0_u64, 0_u128);
        for (tick, ask) in asks {
            now = tick.move_on(now);
            let at = Instant::from_nanos(now);
            match ask {
                Ask::Deposit => budget.deposit(),
                Ask::Refund => budget.refund(),
                Ask::Withdraw => {
                    if now < furthest.saturating_sub(NANOS) {
                        furthest = now;
                    }
                    passed += u128::from(now.saturating_sub(furthest));
                    furthest = furthest.max(now);
                    if !budget.withdraw(at) {
                        let soon = now.saturating_add(NANOS).saturating_add(NANOS.div_ceil(floor.into()));
                        prop_assert!(budget.clone().withdraw(Instant::from_nanos(soon)) || soon == u64::MAX);
                    }
                }
            }
            let stats = budget.stats();
            let spent = u128::from(stats.withdrawn - stats.refunded) * u128::from(NANOS);
            let shares = u128::from(stats.deposits) * u128::from(percent) * u128::from(NANOS / 100);
            let earned = u128::from(burst) * u128::from(NANOS) + shares + passed * u128::from(floor);
            prop_assert!(spent <= earned, "{spent} spent, {earned} earned");
            prop_assert!(budget.available(at) <= burst);
        }
    }
}
