//! Retry beside a reference in wide integers, on clocks that step.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use rand_core::TryRng;
use steadfast_core::{
    Instant, Retry, RetryPolicy,
    retry::{Failure, Jitter, Reason, Step},
};

use crate::Script;

/// The numbers of the test case, in turn.
struct Draws(VecDeque<u32>);

impl TryRng for Draws {
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
pub enum Growth {
    Constant,
    Exponential,
    /// By so many percent.
    Factor(u16),
    Linear,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub growth: Growth,
    pub jitter: Jitter,
    pub base: u64,
    pub max_delay: u64,
    pub max_elapsed: u64,
    pub attempt_timeout: u64,
    pub max_retries: u32,
}

impl Settings {
    pub fn policy(&self) -> RetryPolicy {
        let base = Duration::from_nanos(self.base);
        match self.growth {
            Growth::Constant => RetryPolicy::constant(base),
            Growth::Exponential => RetryPolicy::exponential(base),
            Growth::Factor(percent) => RetryPolicy::exponential(base).factor_percent(percent),
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
            Failure::Permanent => return Step::GiveUp(Reason::NotRetryable),
            Failure::RefusedUntil(at) => u128::from(at.as_nanos().saturating_sub(now)),
            Failure::RetryAfter(hint) => hint.as_nanos(),
            Failure::Delay(_) | Failure::Transient => 0,
        };
        // Whoever has no limit of time counts refusals.
        let is_refusal = matches!(failure, Failure::RefusedUntil(_)) && settings.max_elapsed < u64::MAX;
        if !is_refusal && self.retries >= settings.max_retries {
            return Step::GiveUp(Reason::AttemptsExhausted);
        }
        self.started_at = self.started_at.min(now.into());
        let (least, most) = if settings.jitter == Jitter::Decorrelated {
            (base.min(max_delay), (self.previous * 3).min(max_delay))
        } else {
            let grown = match settings.growth {
                Growth::Constant => base,
                Growth::Exponential => (0..self.retries).fold(base, |delay, _| (delay * 2).min(max_delay)),
                Growth::Factor(percent) => {
                    let percent = u128::from(percent.max(100));
                    (0..self.retries).fold(base, |delay, _| (delay * percent / 100).min(max_delay))
                }
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
        let delay = match failure {
            Failure::Delay(delay) => delay.as_nanos().min(max_delay),
            _ => drawn.max(hint).min(max_delay),
        };
        let at = (u128::from(now) + delay).min(u64::MAX.into());
        if at >= Self::after(self.started_at, settings.max_elapsed) {
            return Step::GiveUp(Reason::DeadlineExceeded);
        }
        if !is_refusal {
            self.previous = drawn;
            self.retries += 1;
        }
        Step::RetryAt(Instant::from_nanos(u64::try_from(at).unwrap()))
    }

    fn attempt_deadline(&self, now: u64) -> Option<Instant> {
        let whole = Self::after(self.started_at.min(now.into()), self.settings.max_elapsed);
        let at = u64::try_from(Self::after(now.into(), self.settings.attempt_timeout).min(whole)).unwrap();
        (at < u64::MAX).then_some(Instant::from_nanos(at))
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Tick {
    Back(u64),
    On(u64),
    To(u64),
}

impl Tick {
    pub(crate) fn move_on(self, now: u64) -> u64 {
        match self {
            Self::Back(nanos) => now.saturating_sub(nanos),
            Self::On(nanos) => now.saturating_add(nanos),
            Self::To(now) => now,
        }
    }
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let factor = Growth::Factor([0, 100, 101, 150, 300, u16::MAX][script.below(6) as usize]);
    let growth = script.weighted(&[(1, Growth::Constant), (1, Growth::Exponential), (1, Growth::Linear), (1, factor)]);
    let jitter =
        script.weighted(&[(1, Jitter::Decorrelated), (1, Jitter::Equal), (1, Jitter::Full), (1, Jitter::None)]);
    let [base, max_delay, max_elapsed, attempt_timeout] = [(); 4].map(|()| script.nanos());
    let max_retries = [0, 1, 2, 3, 4, 80, u32::MAX][script.below(7) as usize];
    let settings = Settings { growth, jitter, base, max_delay, max_elapsed, attempt_timeout, max_retries };
    let (start, follow) = (script.nanos(), script.flag());
    let steps = script.list(100, |script| (failure(script), tick(script), script.below(1 << 32) as u32));
    beside_the_reference(&settings, start, steps, follow);
}

fn failure(script: &mut Script<'_>) -> Failure {
    match script.weighted(&[(6, 0), (1, 1), (2, 2), (1, 3), (1, 4), (2, 5)]) {
        0 => Failure::Transient,
        1 => Failure::Permanent,
        2 => Failure::RetryAfter(Duration::from_nanos(script.nanos())),
        3 => Failure::RetryAfter(Duration::MAX),
        4 => Failure::Delay(Duration::from_nanos(script.nanos())),
        _ => Failure::RefusedUntil(Instant::from_nanos(script.nanos())),
    }
}

pub(crate) fn tick(script: &mut Script<'_>) -> Tick {
    match script.weighted(&[(6, 0), (2, 1), (1, 2)]) {
        0 => Tick::On(script.below(3_000_000_000)),
        1 => Tick::Back(script.below(3_000_000_000)),
        _ => Tick::To(script.nanos()),
    }
}

pub fn beside_the_reference(settings: &Settings, start: u64, steps: Vec<(Failure, Tick, u32)>, follow: bool) {
    let policy = settings.policy();
    let mut retry: Retry<'_> = policy.start(Instant::from_nanos(start));
    let mut reference = Reference::new(settings.clone(), start);
    let mut rng = Draws(steps.iter().map(|(.., random)| *random).collect());
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
        assert!(rng.0 == draws || rng.0 == once);
        assert_eq!(step, reference.next(failure, now, random));
        rng.0 = once;
        assert_eq!(retry.attempt_deadline(at), reference.attempt_deadline(now));
        match step {
            Step::RetryAt(retry_at) => {
                let is_refusal = matches!(failure, Failure::RefusedUntil(_)) && settings.max_elapsed < u64::MAX;
                assert_eq!(retry.attempts(), attempts.saturating_add(u32::from(!is_refusal)));
                let delay = retry_at.saturating_duration_since(at);
                assert!(retry_at >= at && delay <= Duration::from_nanos(settings.max_delay));
                if follow {
                    now = retry_at.as_nanos();
                }
            }
            Step::GiveUp(_) => assert_eq!(retry.attempts(), attempts),
        }
    }
    assert!(u64::from(retry.attempts()) <= u64::from(settings.max_retries) + 1);
}
