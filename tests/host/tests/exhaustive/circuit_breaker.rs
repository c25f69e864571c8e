//! A breaker and three callers who report, are late, or never do.

use std::time::Duration;

use steadfast_core::{
    CircuitBreaker, Instant, Reset, Trip,
    circuit_breaker::{BreakerState, CallWindow, Outcome, Percent, Permit, TripPolicy},
};

use super::explore::{START, Scenario, TICK, View, explore};

#[derive(Clone)]
struct Callers<P> {
    trip: P,
    reset: Reset,
    /// The first open time, the longest, and how long silent probes keep their places.
    open: Duration,
    longest: Duration,
    lease: Duration,
    probes: usize,
    callers: usize,
}

struct Run<P: TripPolicy> {
    breaker: CircuitBreaker<P>,
    now: Instant,
    calls: Vec<Call>,
    opened_at: Instant,
    /// Since the breaker has been in its state: the probes that said nothing yet or never will, and those that succeeded.
    silent: Vec<Instant>,
    succeeded: usize,
    /// Goes up with every change of state.
    episode: u64,
    lost: u64,
    reported: u64,
}

struct Call {
    permit: Permit,
    episode: u64,
    began_at: Instant,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Ask,
    Lose(usize),
    Report(usize, Outcome),
    Tick,
}

impl<P: TripPolicy + Send + Sync + 'static> Scenario for Callers<P> {
    type Run = Run<P>;
    type Action = Action;

    fn start(&self) -> Run<P> {
        Run {
            breaker: CircuitBreaker::new(self.trip.clone(), self.reset),
            now: START,
            calls: Vec::new(),
            opened_at: START,
            silent: Vec::new(),
            succeeded: 0,
            episode: 0,
            lost: 0,
            reported: 0,
        }
    }

    fn actions(&self, run: &Run<P>) -> Vec<Action> {
        let mut actions = vec![Action::Tick];
        if run.calls.len() < self.callers {
            actions.push(Action::Ask);
        }
        for index in 0..run.calls.len() {
            let outcomes = [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::RetryAfter(3 * TICK)];
            actions.extend(outcomes.map(|outcome| Action::Report(index, outcome)));
            actions.push(Action::Lose(index));
        }
        actions
    }

    fn step(&self, run: &mut Run<P>, action: &Action) -> Result<&'static str, String> {
        let (now, before) = (run.now, run.breaker.state());
        let seen = match action {
            Action::Tick => {
                run.now = now.saturating_add(TICK);
                "a tick"
            }
            Action::Lose(index) => {
                run.calls.remove(*index);
                run.lost += 1;
                "a lost permit"
            }
            Action::Ask => self.ask(run, before)?,
            Action::Report(index, outcome) => self.report(run, *index, *outcome, before)?,
        };
        let stats = run.breaker.stats();
        let out = run.calls.len() as u64 + run.lost;
        if stats.permitted != run.reported + out
            || run.reported != stats.successes + stats.failures + stats.ignored + stats.stale
        {
            return Err(format!("{} reported, {out} out: {stats:?}", run.reported));
        }
        Ok(seen)
    }

    fn fingerprint(&self, run: &Run<P>) -> String {
        let view = View { now: run.now, far: 4 };
        let (mut since, mut generation) = (0, 0);
        // Generations grow for ever: all that counts is how those of the permits lie to those of the breaker. An open time
        // doubles no more than twice here.
        let breaker = view.text_of(&run.breaker, |name, number| match name {
            "generation:" => {
                generation = number;
                0
            }
            "since:" => {
                since = number;
                0
            }
            "last_generation:" | "transitions:" => 0, // only counted
            "reopened:" => number.min(3),
            _ => number,
        });
        let calls = run.calls.iter().map(|call| {
            let permit = view.text_of(&call.permit, |name, number| match name {
                "generation:" => u64::from(number >= since) + u64::from(number >= generation),
                _ => number,
            });
            (permit, run.episode == call.episode)
        });
        let mut calls: Vec<_> = calls.collect();
        calls.sort_unstable();
        let mut silent: Vec<_> = run.silent.iter().map(|at| view.ticks(*at)).collect();
        silent.sort_unstable();
        let opened_at = if run.breaker.state() == BreakerState::Open { view.ticks(run.opened_at) } else { 0 };
        format!("{breaker} {calls:?} {opened_at} {silent:?} {}", run.succeeded)
    }

    /// Whatever the callers hold is lost; after the longest time that it may take, enough probes pass and close it.
    fn recovers(&self, mut run: Run<P>) -> Result<(), String> {
        run.now = run.now.saturating_add(self.longest.max(self.lease));
        // A silent probe keeps its place for a lease after the last other one was admitted.
        let end = run.now.saturating_add(self.lease);
        while run.breaker.state() != BreakerState::Closed {
            match run.breaker.try_acquire(run.now) {
                Ok(permit) => run.breaker.record(permit, Outcome::Success, run.now),
                Err(open) if open.retry_at <= end => run.now = open.retry_at,
                Err(open) => return Err(format!("{open:?} at {:?}", run.now)),
            }
        }
        run.breaker.try_acquire(run.now).map(drop).map_err(|open| format!("{open:?}"))
    }
}

impl<P: TripPolicy> Callers<P> {
    fn ask(&self, run: &mut Run<P>, before: BreakerState) -> Result<&'static str, String> {
        let now = run.now;
        let answer = run.breaker.try_acquire(now);
        let state = run.breaker.state();
        if state != before {
            if (before, state) != (BreakerState::Open, BreakerState::HalfOpen) {
                return Err(format!("asking made {before:?} {state:?}"));
            }
            run.enter();
        }
        match answer {
            Ok(permit) => {
                if before == BreakerState::Open && now < run.opened_at.saturating_add(self.open) {
                    return Err(format!("opened at {:?}, admitted at {now:?}", run.opened_at));
                }
                if state == BreakerState::HalfOpen {
                    run.silent.retain(|began_at| now < began_at.saturating_add(self.lease));
                    run.silent.push(now);
                    if run.silent.len() + run.succeeded > self.probes {
                        return Err(format!("{} probes at once", run.silent.len()));
                    }
                }
                run.calls.push(Call { permit, episode: run.episode, began_at: now });
                Ok(if state == BreakerState::HalfOpen { "a probe" } else { "a call" })
            }
            Err(open) => {
                let longest = if state == BreakerState::Open { self.longest } else { self.lease };
                if open.retry_at <= now || open.retry_at > now.saturating_add(longest) {
                    return Err(format!("refused at {now:?} until {:?}", open.retry_at));
                }
                match state {
                    BreakerState::Closed => Err("closed, and refused".to_owned()),
                    BreakerState::Open => Ok("refused while open"),
                    BreakerState::HalfOpen => Ok("refused while half-open"),
                }
            }
        }
    }

    fn report(
        &self,
        run: &mut Run<P>,
        index: usize,
        outcome: Outcome,
        before: BreakerState,
    ) -> Result<&'static str, String> {
        let call = run.calls.remove(index);
        run.reported += 1;
        run.breaker.record(call.permit, outcome, run.now);
        let (state, is_stale) = (run.breaker.state(), call.episode != run.episode);
        let failed = matches!(outcome, Outcome::Failure | Outcome::RetryAfter(_));
        if !is_stale && before == BreakerState::HalfOpen {
            // A probe whose place is gone has no place to give back, but its word counts.
            if let Some(place) = run.silent.iter().position(|began_at| *began_at == call.began_at) {
                run.silent.remove(place);
            }
            run.succeeded += usize::from(outcome == Outcome::Success);
        }
        let may_become = match before {
            _ if is_stale || outcome == Outcome::Ignored => before,
            BreakerState::HalfOpen if failed => BreakerState::Open,
            BreakerState::HalfOpen if run.succeeded >= self.probes => BreakerState::Closed,
            BreakerState::Closed if failed && state == BreakerState::Open => BreakerState::Open,
            _ => before,
        };
        if state != may_become {
            return Err(format!("{outcome:?} made {before:?} {state:?}"));
        }
        if state != before {
            run.enter();
            run.opened_at = run.now;
        }
        Ok(match (is_stale, before, state) {
            (true, ..) => "a stale result",
            (_, BreakerState::HalfOpen, BreakerState::Closed) => "closed again",
            (_, BreakerState::HalfOpen, BreakerState::Open) => "opened again",
            (_, BreakerState::Closed, BreakerState::Open) => "opened",
            _ => "a result",
        })
    }
}

impl<P: TripPolicy> Run<P> {
    fn enter(&mut self) {
        self.episode += 1;
        self.silent.clear();
        self.succeeded = 0;
    }
}

const MOST: usize = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

const SEEN: [&str; 8] = [
    "a call",
    "a probe",
    "a stale result",
    "closed again",
    "opened",
    "opened again",
    "refused while half-open",
    "refused while open",
];

#[test]
fn consecutive_failures_one_probe() {
    let callers = if cfg!(debug_assertions) { 2 } else { 4 };
    let scenario = Callers {
        trip: Trip::consecutive(2),
        reset: Reset::after(2 * TICK).up_to(3 * TICK).lease(TICK),
        open: 2 * TICK,
        longest: 3 * TICK,
        lease: TICK,
        probes: 1,
        callers,
    };
    explore(scenario, MOST).assert_safe_and_live(&SEEN);
}

#[test]
fn a_window_two_probes_and_growing_open_times() {
    let trip: CallWindow<2> = Trip::call_window(Percent::new(100));
    let scenario = Callers {
        trip,
        reset: Reset::after(TICK).doubling().up_to(3 * TICK).lease(2 * TICK).probes(2),
        open: TICK,
        longest: 3 * TICK,
        lease: 2 * TICK,
        probes: 2,
        callers: if cfg!(debug_assertions) { 2 } else { 3 },
    };
    explore(scenario, MOST).assert_safe_and_live(&SEEN);
}
