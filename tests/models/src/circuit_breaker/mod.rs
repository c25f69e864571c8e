//! The circuit breaker beside a naive one that keeps every call, under clocks that step and leap.

mod judges;

use std::{num::NonZeroU32, time::Duration};

use steadfast_core::{
    CircuitBreaker, Instant, Reset, Trip,
    circuit_breaker::{BreakerMode, BreakerState, Open, Outcome, Percent, Permit, TripPolicy, WindowStats},
};

use self::judges::{BUCKET, BUCKETS, LastFive, Rule, Run, Within, rule};
use crate::Script;

const MILLI: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Acquire,
    Bare(bool),
    Mode(BreakerMode),
    Open,
    Record { which: usize, outcome: Outcome },
    Reset,
}

/// Any of the three policies.
pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let policy = script.below(6);
    let settings = Settings {
        open_millis: 1 + script.below(39),
        doubling: script.flag(),
        longest_millis: script.below(200),
        probes: 1 + script.below(3) as u8,
        probe_percent: [100, 100, 60, 34][script.below(4) as usize],
        lease_millis: 1 + script.below(39),
        call_timeout_millis: script.flag().then(|| 1 + script.below(39)),
        drops_fail: script.flag(),
    };
    let ops = script.list(60, |script| (step(script), op(script)));
    match policy {
        0 => call_window(settings, &ops),
        1 => time_window(settings, &ops),
        2 => own_rule(settings, &ops),
        failures => consecutive(failures as u32 - 2, settings, &ops),
    }
}

pub(crate) fn outcome(script: &mut Script<'_>) -> Outcome {
    match script.weighted(&[(4, 0), (3, 1), (1, 2), (1, 3), (1, 4), (1, 5)]) {
        0 => Outcome::Failure,
        1 => Outcome::Success,
        2 => Outcome::Ignored,
        4 => Outcome::Dropped,
        5 => Outcome::Panicked,
        _ => Outcome::RetryAfter(Duration::from_millis(script.below(200))),
    }
}

pub(crate) fn mode(script: &mut Script<'_>) -> BreakerMode {
    script.weighted(&[
        (4, BreakerMode::Automatic),
        (1, BreakerMode::ForcedClosed),
        (1, BreakerMode::ForcedOpen),
        (1, BreakerMode::ObserveOnly),
    ])
}

fn op(script: &mut Script<'_>) -> Op {
    match script.weighted(&[(12, 0), (12, 1), (2, 2), (1, 3), (1, 4), (1, 5)]) {
        0 => Op::Acquire,
        1 => Op::Record { which: script.below(8) as usize, outcome: outcome(script) },
        2 => Op::Bare(script.flag()),
        3 => Op::Mode(mode(script)),
        5 => Op::Open,
        _ => Op::Reset,
    }
}

fn step(script: &mut Script<'_>) -> i64 {
    match script.weighted(&[(6, 0), (6, 1), (2, 2), (1, 3), (1, 4)]) {
        0 => 0,
        1 => script.below(30) as i64,
        2 => 20,
        3 => -(script.below(50) as i64),
        _ => script.any() as i64,
    }
}

fn moved(now: Instant, step: i64) -> Instant {
    let by = step.unsigned_abs().saturating_mul(MILLI);
    let nanos = if step < 0 { now.as_nanos().saturating_sub(by) } else { now.as_nanos().saturating_add(by) };
    Instant::from_nanos(nanos.min(1 << 63)) // so that the naive sums have room
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub open_millis: u64,
    pub doubling: bool,
    pub longest_millis: u64,
    pub probes: u8,
    /// Of the probes, those that must succeed.
    pub probe_percent: u16,
    pub lease_millis: u64,
    pub call_timeout_millis: Option<u64>,
    /// Else they are ignored.
    pub drops_fail: bool,
}

impl Settings {
    fn reset(self) -> Reset {
        let reset = Reset::after(Duration::from_millis(self.open_millis))
            .up_to(Duration::from_millis(self.longest_millis))
            .probes(self.probes)
            .probe_successes(Percent::new(self.probe_percent))
            .lease(Duration::from_millis(self.lease_millis));
        let reset = match self.call_timeout_millis {
            Some(millis) => reset.call_timeout(Duration::from_millis(millis)),
            None => reset,
        };
        let reset = if self.drops_fail { reset.on_drop(Outcome::Failure) } else { reset };
        if self.doubling { reset.doubling() } else { reset }
    }

    fn longest(self) -> u64 {
        self.longest_millis.max(self.open_millis) * MILLI
    }

    fn open_for(self, reopened: u32) -> u64 {
        let mut span = self.open_millis * MILLI;
        for _ in 0..if self.doubling { reopened } else { 0 } {
            span = (span * 2).min(self.longest());
        }
        span
    }

    fn needed(self) -> u16 {
        (u16::from(self.probes) * self.probe_percent).div_ceil(100)
    }

    fn lease(self) -> u64 {
        self.lease_millis * MILLI
    }

    /// A probe that is silent for a lease has failed.
    fn silence_fails(self) -> bool {
        self.call_timeout_millis.is_some_and(|millis| millis <= self.lease_millis)
    }
}

/// Decides from all the calls of a closed state whether the breaker opens.
trait Judge {
    fn add(&mut self, failed: bool, slow: bool, now: Instant) -> bool;
    fn judges_slowness(&self) -> bool;
    /// All that counts now: calls, failures, slow calls.
    fn counts(&mut self, now: Instant) -> [usize; 3];
    fn clear(&mut self);
}

const SLOW_MILLIS: u64 = 15;
pub const MIN_CALLS: NonZeroU32 = NonZeroU32::new(3).unwrap();
pub const FAILED: Percent = Percent::new(60);
pub const SLOW: Percent = Percent::new(80);

/// A breaker without any economy.
struct Naive<J> {
    settings: Settings,
    judge: J,
    mode: BreakerMode,
    now: Now,
    /// Counts the states that there have been.
    era: u64,
    /// Those that were others than the one before.
    transitions: u32,
    reopened: u32,
}

#[derive(Clone, Copy, Debug)]
enum Now {
    Closed,
    HalfOpen { held: u16, succeeded: u16, failed: u16, round: u32, lease_ends_at: u64 },
    Open { until: u64, length: u64 },
}

#[derive(Clone, Copy, Debug)]
struct NaivePermit {
    /// The era and the round of probes.
    admitted: Option<(u64, u32)>,
    started_at: Instant,
}

impl<J: Judge> Naive<J> {
    fn state(&self) -> BreakerState {
        match self.now {
            Now::Closed => BreakerState::Closed,
            Now::HalfOpen { .. } => BreakerState::HalfOpen,
            Now::Open { .. } => BreakerState::Open,
        }
    }

    fn enter(&mut self, now: Now) {
        let before = self.state();
        self.now = now;
        self.transitions += u32::from(self.state() != before);
        self.era += 1;
        self.judge.clear();
    }

    fn acquire(&mut self, now: Instant) -> Result<NaivePermit, u64> {
        let admitted = match self.mode {
            BreakerMode::Automatic => Some(self.ask(now)?),
            BreakerMode::ForcedClosed => None,
            BreakerMode::ForcedOpen => return Err(u64::MAX),
            BreakerMode::ObserveOnly => self.ask(now).ok(),
        };
        Ok(NaivePermit { admitted, started_at: now })
    }

    fn ask(&mut self, now: Instant) -> Result<(u64, u32), u64> {
        let nanos = now.as_nanos();
        if let Now::HalfOpen { held, succeeded, failed, lease_ends_at, .. } = &mut self.now
            && *held + *succeeded + *failed >= u16::from(self.settings.probes)
            && self.settings.silence_fails()
        {
            *lease_ends_at = (*lease_ends_at).min(nanos + self.settings.lease());
            let failed_at = *lease_ends_at;
            if nanos < failed_at {
                return Err(failed_at + self.settings.open_for(self.reopened + 1));
            }
            self.reopened += 1;
            self.open(0, Instant::from_nanos(failed_at));
        }
        if let Now::Open { until, length } = &mut self.now {
            *until = (*until).min(nanos + *length);
            if nanos < *until {
                return Err(*until);
            }
            self.enter(Now::HalfOpen { held: 0, succeeded: 0, failed: 0, round: 0, lease_ends_at: 0 });
        }
        let Now::HalfOpen { held, succeeded, failed, round, lease_ends_at } = &mut self.now else {
            return Ok((self.era, 0));
        };
        if *held + *succeeded + *failed >= u16::from(self.settings.probes) {
            *lease_ends_at = (*lease_ends_at).min(nanos + self.settings.lease());
            if nanos < *lease_ends_at {
                return Err(*lease_ends_at);
            }
            *round += 1;
            *held = 0;
        }
        *held += 1;
        *lease_ends_at = nanos + self.settings.lease();
        Ok((self.era, *round))
    }

    /// False if the result came too late.
    fn record(&mut self, permit: NaivePermit, outcome: Outcome, now: Instant) -> bool {
        let Some((era, round)) = permit.admitted else { return true };
        let in_time = era == self.era;
        if in_time {
            let took = now.as_nanos().saturating_sub(permit.started_at.as_nanos());
            let slow = self.judge.judges_slowness() && took >= SLOW_MILLIS * MILLI;
            let is_late = self.settings.call_timeout_millis.is_some_and(|millis| took >= millis * MILLI);
            let outcome = match outcome {
                Outcome::RetryAfter(_) => outcome,
                _ if is_late => Outcome::Failure,
                Outcome::Dropped if self.settings.drops_fail => Outcome::Failure,
                // It counts for its slowness alone.
                Outcome::Dropped if slow => Outcome::Success,
                Outcome::Dropped | Outcome::Panicked => Outcome::Ignored,
                _ => outcome,
            };
            self.apply(outcome, round, slow, now);
        }
        in_time
    }

    const fn is_forced(&self) -> bool {
        matches!(self.mode, BreakerMode::ForcedClosed | BreakerMode::ForcedOpen)
    }

    fn bare(&mut self, success: bool, now: Instant) -> bool {
        let outcome = if success { Outcome::Success } else { Outcome::Failure };
        let round = match self.now {
            Now::Closed => 0,
            Now::HalfOpen { held: 0, .. } | Now::Open { .. } => return false,
            Now::HalfOpen { round, .. } => round,
        };
        if !self.is_forced() {
            self.apply(outcome, round, false, now);
        }
        true
    }

    fn apply(&mut self, outcome: Outcome, of_round: u32, slow: bool, now: Instant) {
        // An operator decides: all that happens is that a probe gives its place back.
        let outcome = if self.is_forced() { Outcome::Ignored } else { outcome };
        let (failed, hint) = match outcome {
            Outcome::Failure => (true, 0),
            Outcome::RetryAfter(hint) => (true, hint.as_nanos() as u64),
            _ => (false, 0),
        };
        match &mut self.now {
            Now::Closed => {
                if outcome != Outcome::Ignored && self.judge.add(failed, slow, now) {
                    self.open(hint, now);
                }
            }
            Now::HalfOpen { held, succeeded, failed: failures, round, .. } => {
                let is_judged = outcome != Outcome::Ignored;
                let has_failed = is_judged && (failed || slow);
                *held -= u16::from(of_round == *round && *held > 0);
                *failures += u16::from(has_failed);
                *succeeded += u16::from(is_judged && !has_failed);
                if *failures + self.settings.needed() > self.settings.probes.into() {
                    self.reopened += 1;
                    self.open(hint, now);
                } else if *succeeded >= self.settings.needed() {
                    self.reopened = 0;
                    self.enter(Now::Closed);
                }
            }
            Now::Open { .. } => panic!("a permit of an open breaker"),
        }
    }

    fn open(&mut self, hint: u64, now: Instant) {
        let own = self.settings.open_for(self.reopened);
        let hint = hint.min(self.settings.longest());
        let length = if hint > own { self.settings.longest() } else { own };
        self.enter(Now::Open { until: now.as_nanos() + own.max(hint), length });
    }
}

/// Refused at every instant before `retry_at`, admitted at it, if nothing else comes.
fn check_retry_at<P: TripPolicy>(breaker: &CircuitBreaker<P>, retry_at: Instant, now: Instant) {
    let just_before = retry_at.saturating_sub(Duration::from_nanos(1));
    let between = Instant::from_nanos(now.as_nanos().midpoint(just_before.as_nanos()));
    for early in [now, between, just_before] {
        assert_eq!(breaker.clone().try_acquire(early), Err(Open { retry_at }));
    }
    if retry_at < Instant::MAX {
        assert!(breaker.clone().try_acquire(retry_at).is_ok(), "refused at retry_at");
    }
}

/// Wherever it stands, it closes after as many successes as there are probes, and no wait is longer than one span.
fn check_liveness<P: TripPolicy>(mut breaker: CircuitBreaker<P>, settings: Settings, mut now: Instant) {
    breaker.set_mode(BreakerMode::Automatic);
    let lease_and_open =
        if settings.silence_fails() { settings.lease() + settings.longest() } else { settings.lease() };
    let longest = Duration::from_nanos(settings.longest().max(lease_and_open));
    let mut successes = 0;
    while breaker.state() != BreakerState::Closed {
        match breaker.try_acquire(now) {
            Ok(permit) => {
                breaker.record(permit, Outcome::Success, now);
                successes += 1;
            }
            Err(open) => {
                let wait = open.retry_after(now);
                assert!(Duration::ZERO < wait && wait <= longest, "a wait of {wait:?}");
                now = open.retry_at;
            }
        }
    }
    // Those of a half-open time that ends in silence are lost.
    assert!(successes <= if settings.silence_fails() { 2 * settings.probes } else { settings.probes });
}

fn drive<P: TripPolicy>(trip: P, judge: impl Judge, settings: Settings, ops: &[(i64, Op)]) {
    let mut breaker = CircuitBreaker::new(trip, settings.reset());
    let mut naive =
        Naive { settings, judge, mode: BreakerMode::Automatic, now: Now::Closed, era: 0, transitions: 0, reopened: 0 };
    let mut permits: Vec<(Permit, NaivePermit)> = Vec::new();
    let mut now = Instant::from_secs(1_000);
    let (mut permitted, mut rejected, mut in_time, mut stale, mut opened) = (0, 0, 0, 0, 0);
    let mut count = |is_in_time| if is_in_time { in_time += 1 } else { stale += 1 };
    for (step, op) in ops {
        now = moved(now, *step);
        match *op {
            Op::Acquire => match (breaker.try_acquire(now), naive.acquire(now)) {
                (Ok(permit), Ok(expected)) => {
                    permits.push((permit, expected));
                    permitted += 1;
                }
                (Err(open), Err(until)) => {
                    assert_eq!(open.retry_at.as_nanos(), until);
                    check_retry_at(&breaker, open.retry_at, now);
                    rejected += 1;
                }
                (ours, theirs) => panic!("{ours:?}, expected {theirs:?} in {:?}", naive.now),
            },
            Op::Record { .. } if permits.is_empty() => {}
            Op::Record { which, outcome } => {
                let (permit, expected) = permits.swap_remove(which % permits.len());
                breaker.record(permit, outcome, now);
                count(naive.record(expected, outcome, now));
            }
            Op::Bare(true) => {
                breaker.record_success(now);
                count(naive.bare(true, now));
            }
            Op::Bare(false) => {
                breaker.record_failure(now);
                count(naive.bare(false, now));
            }
            Op::Mode(mode) => {
                breaker.set_mode(mode);
                naive.mode = mode;
            }
            Op::Open => {
                breaker.open(now);
                naive.open(0, now);
                opened += 1;
            }
            Op::Reset => {
                breaker.close();
                naive.reopened = 0;
                naive.enter(Now::Closed);
            }
        }
        assert_eq!(breaker.state(), naive.state(), "after {op:?}");
        let told = breaker.last_transition();
        assert_eq!(told.map_or(0, |transition| transition.number), naive.transitions);
        assert!(told.is_none_or(|transition| transition.to == naive.state() && transition.from != transition.to));
        let window = breaker.window(now);
        let counts = [window.calls, window.failures, window.slow_calls].map(|count| count as usize);
        let expected = if matches!(naive.now, Now::Closed) { naive.judge.counts(now) } else { [0; 3] };
        assert_eq!(counts, expected, "after {op:?}");
    }
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.rejected, stats.stale), (permitted, rejected, stale));
    assert!(stats.opened >= opened);
    assert_eq!(stats.successes + stats.failures + stats.ignored, in_time);
    check_liveness(breaker, settings, now);
}

/// Opens after `failures` in a row.
pub fn consecutive(failures: u32, settings: Settings, ops: &[(i64, Op)]) {
    let judge = Run { failures: failures as usize, calls: Vec::new() };
    drive(Trip::consecutive(failures), judge, settings, ops);
}

/// Opens by the share of failed or slow ones among the last five calls.
pub fn call_window(settings: Settings, ops: &[(i64, Op)]) {
    let slow = Duration::from_millis(SLOW_MILLIS);
    let trip = Trip::call_window::<5>(FAILED).slow_calls(slow, SLOW).min_calls(MIN_CALLS);
    drive(trip, LastFive(Vec::new()), settings, ops);
}

/// Opens by a rule of its own over the last five calls.
pub fn own_rule(settings: Settings, ops: &[(i64, Op)]) {
    let window =
        Trip::call_window::<5>(Percent::new(1)).slow_calls(Duration::from_millis(SLOW_MILLIS), Percent::new(1));
    let trip = Trip::when(window, |window: WindowStats| {
        rule([window.calls, window.failures, window.slow_calls].map(|count| count as usize))
    });
    drive(trip, Rule(LastFive::default()), settings, ops);
}

/// Opens by the share of failed or slow ones among the calls of the last 60 to 80 ms.
pub fn time_window(settings: Settings, ops: &[(i64, Op)]) {
    let slow = Duration::from_millis(SLOW_MILLIS);
    let span = Duration::from_nanos(BUCKET * BUCKETS);
    let trip = Trip::time_window::<4>(span, FAILED).slow_calls(slow, SLOW).min_calls(MIN_CALLS);
    drive(trip, Within::default(), settings, ops);
}

/// Successes that are counted later and at once, as adapters do it whose calls pass a calm breaker without its lock.
pub fn settled_as_if_recorded<P: TripPolicy>(trip: P, successes: u64) {
    let reset = Reset::after(Duration::from_millis(30));
    let [mut recorded, mut settled] = [(); 2].map(|()| CircuitBreaker::new(trip.clone(), reset));
    let now = Instant::from_secs(1);
    for _ in 0..successes {
        let permit = recorded.try_acquire(now).expect("it is closed");
        recorded.record(permit, Outcome::Success, now);
    }
    assert!(settled.calm_generation().is_some(), "nothing has failed");
    settled.merge(successes, successes);
    assert_eq!(settled.stats(), recorded.stats());
    for _ in 0..8 {
        for breaker in [&mut recorded, &mut settled] {
            breaker.record_failure(now);
            assert_eq!(breaker.calm_generation(), None, "after a failure each call matters");
        }
        assert_eq!(settled.state(), recorded.state(), "after {successes} successes");
    }
    assert_eq!((settled.state(), settled.stats()), (BreakerState::Open, recorded.stats()));
}
