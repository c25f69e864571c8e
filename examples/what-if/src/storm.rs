//! Calls to an upstream whose failures are drawn: what retries do to it, and what a budget and a breaker spare it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use steadfast_core::{
    CircuitBreaker, Instant, Reset, RetryBudget, RetryPolicy, Trip,
    circuit_breaker::{BreakerState, Outcome, Percent, Permit, TimeWindow},
    retry::{Failure, Retry, SeededRng, Step},
};

use crate::made_up::below;

/// How long an attempt takes.
const ATTEMPT: Duration = Duration::from_millis(50);
/// The longest drawing, in seconds.
const LONGEST: usize = 600;

/// What is drawn, and what stands before the upstream.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Storm {
    /// How many of 100 attempts fail in each second.
    pub failing: Vec<u8>,
    /// Calls a second; at most 1,000.
    pub calls: u32,
    /// Attempts a second that the upstream bears; those beyond fail.
    pub bears: u32,
    /// Retries of a call, at most.
    pub retries: u32,
    /// Retries for every 100 calls; `None` for no budget.
    pub budget: Option<u32>,
    /// The breaker, if there is one.
    pub breaker: Option<Breaker>,
}

/// A breaker over the last ten seconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Breaker {
    /// It opens when so many of 100 attempts failed.
    pub failures: u16,
    /// For how many seconds.
    pub open: u32,
}

/// What became of the calls.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Played {
    /// In each second; the last has what came later.
    pub seconds: Vec<Second>,
    /// All of them together.
    pub sum: Second,
    /// When the breaker opened, in milliseconds.
    pub opened: Vec<u64>,
}

/// Calls and attempts of a second.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Second {
    /// Calls that began.
    pub calls: u64,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that were given up.
    pub given_up: u64,
    /// Attempts that reached the upstream.
    pub attempts: u64,
    /// Of those, the ones that failed.
    pub failed: u64,
    /// Attempts that the breaker spared the upstream.
    pub spared: u64,
    /// Of those, the ones that would have succeeded.
    pub spared_good: u64,
    /// Retries that the budget refused.
    pub unbudgeted: u64,
}

/// What happens at a time.
enum Event<'p> {
    Try(Retry<'p>),
    End { retry: Retry<'p>, permit: Option<Permit>, fails: bool },
}

struct Play<'p> {
    storm: &'p Storm,
    rng: SeededRng,
    budget: Option<RetryBudget>,
    breaker: Option<CircuitBreaker<TimeWindow<10>>>,
    /// By time, and by order of coming.
    events: BTreeMap<(Instant, u64), Event<'p>>,
    events_so_far: u64,
    attempts: BTreeMap<u64, u32>,
    played: Played,
}

impl Storm {
    /// Plays it, the same for the same seed.
    #[must_use]
    pub fn play(&self, seed: u64) -> Played {
        let policy = RetryPolicy::exponential(Duration::from_millis(200)).max_retries(self.retries);
        let length = self.failing.len().min(LONGEST);
        let mut play = Play {
            storm: self,
            rng: SeededRng::new(seed),
            budget: self.budget.map(RetryBudget::percent),
            breaker: self.breaker.map(|breaker| {
                let trip = Trip::time_window(Duration::from_secs(10), Percent::new(breaker.failures.clamp(1, 100)));
                CircuitBreaker::new(trip, Reset::after(Duration::from_secs(breaker.open.max(1).into())))
            }),
            events: BTreeMap::new(),
            events_so_far: 0,
            attempts: BTreeMap::new(),
            played: Played { seconds: vec![Second::default(); length.saturating_add(1)], ..Played::default() },
        };
        let calls = u64::from(self.calls.clamp(1, 1_000));
        for call in 0..calls.saturating_mul(length as u64) {
            let at = Instant::from_micros(call.saturating_mul(1_000_000).checked_div(calls).unwrap_or(0));
            play.add(at, Event::Try(policy.start(at)));
            play.count(at, |second| &mut second.calls);
        }
        while let Some(((now, _), event)) = play.events.pop_first() {
            play.step(now, event);
        }
        play.played
    }
}

impl<'p> Play<'p> {
    fn add(&mut self, at: Instant, event: Event<'p>) {
        self.events.insert((at, self.events_so_far), event);
        self.events_so_far = self.events_so_far.saturating_add(1);
    }

    fn count(&mut self, now: Instant, of: impl Fn(&mut Second) -> &mut u64) {
        let last = self.played.seconds.len().saturating_sub(1);
        let second = usize::try_from(second(now)).unwrap_or(last).min(last);
        for second in [self.played.seconds.get_mut(second), Some(&mut self.played.sum)].into_iter().flatten() {
            *of(second) = of(second).saturating_add(1);
        }
    }

    fn step(&mut self, now: Instant, event: Event<'p>) {
        match event {
            Event::Try(retry) => self.attempt(now, retry),
            Event::End { retry, permit, fails } => {
                let outcome = if fails { Outcome::Failure } else { Outcome::Success };
                if let (Some(breaker), Some(permit)) = (&mut self.breaker, permit) {
                    let was = breaker.state();
                    breaker.record(permit, outcome, now);
                    if was != BreakerState::Open && breaker.state() == BreakerState::Open {
                        self.played.opened.push(now.as_nanos() / 1_000_000);
                    }
                }
                if fails {
                    self.failed(now, retry, Failure::Transient);
                } else {
                    self.count(now, |second| &mut second.succeeded);
                }
            }
        }
    }

    fn attempt(&mut self, now: Instant, retry: Retry<'p>) {
        if let (1, Some(budget)) = (retry.attempts(), &mut self.budget) {
            budget.deposit();
        }
        let drawn = usize::try_from(second(now)).ok().and_then(|second| self.storm.failing.get(second));
        let unlucky = below(&mut self.rng, 100) < u64::from(*drawn.unwrap_or(&0));
        let before = *self.attempts.entry(second(now)).or_default();
        let fails = unlucky || before >= self.storm.bears;
        let permit = match self.breaker.as_mut().map(|breaker| breaker.try_acquire(now)) {
            None => None,
            Some(Ok(permit)) => Some(permit),
            Some(Err(open)) => {
                self.count(now, |second| &mut second.spared);
                if !fails {
                    self.count(now, |second| &mut second.spared_good);
                }
                self.failed(now, retry, Failure::RefusedUntil(open.retry_at));
                return;
            }
        };
        self.attempts.insert(second(now), before.saturating_add(1));
        self.count(now, |second| &mut second.attempts);
        if fails {
            self.count(now, |second| &mut second.failed);
        }
        self.add(now.saturating_add(ATTEMPT), Event::End { retry, permit, fails });
    }

    fn failed(&mut self, now: Instant, mut retry: Retry<'p>, failure: Failure) {
        let (step, refused) = match &mut self.budget {
            None => (retry.next(failure, now, &mut self.rng), false),
            Some(budget) => {
                let before = budget.stats().refused;
                let step = retry.next_within(budget, failure, now, &mut self.rng);
                (step, budget.stats().refused > before)
            }
        };
        if refused {
            self.count(now, |second| &mut second.unbudgeted);
        }
        match step {
            Step::RetryAt(at) => self.add(at, Event::Try(retry)),
            Step::GiveUp(_) => self.count(now, |second| &mut second.given_up),
        }
    }
}

const fn second(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> Storm {
        let failing = [vec![0; 10], vec![100; 20], vec![0; 30]].concat();
        Storm { failing, calls: 50, bears: 100, retries: 5, budget: None, breaker: None }
    }

    #[test]
    fn all_calls_end_and_all_attempts_add_up() {
        let breaker = Some(Breaker { failures: 50, open: 5 });
        for storm in [outage(), Storm { budget: Some(10), ..outage() }, Storm { budget: Some(10), breaker, ..outage() }]
        {
            let Played { seconds, sum, .. } = storm.play(1);
            assert_eq!((sum.calls, sum.succeeded + sum.given_up), (3_000, 3_000));
            assert_eq!(sum.succeeded, sum.attempts - sum.failed);
            assert_eq!(seconds.iter().map(|second| second.attempts).sum::<u64>(), sum.attempts);
            assert_eq!(storm.play(1).sum, sum, "the same for the same seed");
        }
    }

    #[test]
    fn an_upstream_that_is_well_gets_each_call_once() {
        let storm = Storm {
            failing: vec![0; 60],
            budget: Some(10),
            breaker: Some(Breaker { failures: 50, open: 5 }),
            ..outage()
        };
        let Played { sum, opened, .. } = storm.play(1);
        assert_eq!((sum.attempts, sum.succeeded, sum.failed, sum.spared), (3_000, 3_000, 0, 0));
        assert!(opened.is_empty());
    }

    #[test]
    fn retries_storm_a_budget_bounds_them_and_a_breaker_spares_the_upstream() {
        let alone = outage().play(1).sum;
        let budget = Storm { budget: Some(10), ..outage() }.play(1).sum;
        let both = Storm { budget: Some(10), breaker: Some(Breaker { failures: 50, open: 5 }), ..outage() }.play(1);
        assert!(alone.failed > 3_000, "{alone:?}");
        // Ten at once, a tenth of the calls, one a second.
        assert!(budget.attempts <= 3_000 + 10 + 300 + 70, "{budget:?}");
        assert!(both.sum.failed < budget.failed / 2, "{:?}", both.sum);
        assert!(both.opened.first().is_some_and(|at| (10_000..20_000).contains(at)), "{:?}", both.opened);
        assert!(both.sum.spared > both.sum.spared_good);
    }

    #[test]
    fn a_storm_outlasts_its_cause_without_a_budget() {
        // It bears little more than the calls: what comes back keeps it down.
        let storm = Storm { bears: 55, retries: 10, ..outage() };
        let failed = |storm: &Storm| storm.play(1).seconds[32..].iter().map(|second| second.failed).sum::<u64>();
        let (without, with) = (failed(&storm), failed(&Storm { budget: Some(5), ..storm.clone() }));
        assert!(without > 500 && with < without / 10, "{without} failed without a budget, {with} with one");
    }
}
