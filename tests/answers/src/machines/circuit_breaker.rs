use core::{num::NonZeroU32, time::Duration};

use heapless::Vec;
use steadfast_core::{
    Breakers, CircuitBreaker, Reset, Trip,
    circuit_breaker::{BreakerMode, Open, Outcome, Percent, Permit, TripPolicy, WindowStats},
};

use super::{rounds, take};
use crate::{Fold, HostileClock, Script, hasher::SameEverywhere};

const CALM: NonZeroU32 = NonZeroU32::new(4).expect("not zero");
const SLOW: Duration = Duration::from_millis(150);

pub(crate) fn single(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |round, operations| {
        let half = Percent::new(50);
        match round % 5 {
            0 => alone(Trip::consecutive(3), round, fold, script, operations),
            1 => alone(Trip::call_window::<16>(half).min_calls(CALM), round, fold, script, operations),
            2 => {
                let window = Trip::call_window::<7>(Percent::new(90)).slow_calls(SLOW, Percent::new(34));
                alone(window, round, fold, script, operations);
            }
            3 => {
                let window = Trip::time_window::<8>(Duration::from_secs(1), half).slow_calls(SLOW, half);
                alone(window.min_calls(CALM), round, fold, script, operations);
            }
            _ => {
                let window = Trip::time_window::<3>(Duration::from_millis(700), Percent::new(100));
                let rule = |stats: WindowStats| stats.calls % 5 == 4 && stats.failures > 1;
                alone(Trip::when(window, rule), round, fold, script, operations);
            }
        }
    });
}

fn alone<P: TripPolicy>(trip: P, round: u32, fold: &mut Fold, script: &mut Script, operations: u32) {
    let mut breaker = CircuitBreaker::new(trip.clone(), reset(round));
    let mut permits: Vec<Permit, 8> = Vec::new();
    let mut clock = HostileClock::new(Duration::from_millis(100));
    for _ in 0..operations {
        let now = clock.tick(script);
        match script.below(64) {
            0..26 => admitted(breaker.try_acquire(now), &mut permits, fold),
            26..50 => {
                if let Some(permit) = take(&mut permits, script) {
                    breaker.record(permit, outcome(script), now);
                }
            }
            50 | 51 => fold.answer(&breaker.allow_request(now)),
            52 => breaker.record_success(now),
            53 => breaker.record_failure(now),
            54..57 => breaker.set_mode(mode(script)),
            57 => breaker.close(),
            58 => breaker.open(now),
            59 => breaker.set_settings(trip.clone(), reset(script.below(4)), now),
            60 => breaker.reseed_jitter(script.any()),
            _ => fold.answer(&(breaker.window(now), breaker.call_deadline(now))),
        }
        fold.answer(&(breaker.state(), breaker.last_transition(), breaker.stats()));
    }
}

/// Twelve keys on eight entries.
pub(crate) fn by_key(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |round, operations| {
        let trip = Trip::call_window::<6>(Percent::new(50));
        let mut breakers: Breakers<u32, 8, _, _> = Breakers::with_hasher(trip, reset(round), SameEverywhere);
        let mut permits: Vec<(u32, Permit), 8> = Vec::new();
        let mut clock = HostileClock::new(Duration::from_millis(100));
        for _ in 0..operations {
            let now = clock.tick(script);
            let key = script.below(12);
            match script.below(64) {
                0..26 => {
                    let mut permit: Vec<Permit, 1> = Vec::new();
                    admitted(breakers.try_acquire(&key, now), &mut permit, fold);
                    if let Some(permit) = permit.pop() {
                        let _lost = permits.push((key, permit));
                    }
                }
                26..50 => {
                    if let Some((key, permit)) = take(&mut permits, script) {
                        breakers.record(&key, permit, outcome(script), now);
                    }
                }
                50..52 => breakers.record_success(&key, now),
                52..54 => breakers.record_failure(&key, now),
                54 => breakers.set_mode(mode(script)),
                55 => fold.answer(&breakers.close(&key)),
                56 => fold.answer(&breakers.open(&key, now)),
                57 => fold.number(breakers.cleanup(now) as u64),
                58 => breakers.reseed_jitter(script.any()),
                _ => fold.answer(&breakers.window(&key, now)),
            }
            fold.answer(&(breakers.state(&key), breakers.last_transition(), breakers.stats()));
            fold.answer(&(breakers.len(), breakers.untracked(), breakers.reused()));
        }
    });
}

const fn reset(round: u32) -> Reset {
    let base = Reset::after(Duration::from_millis(400)).call_timeout(Duration::from_millis(200));
    match round % 4 {
        0 => base.doubling().up_to(Duration::from_secs(3)).jitter(Percent::new(30), 0x0dd5_eed5 + round as u64),
        1 => base.probes(3).probe_successes(Percent::new(60)).lease(Duration::from_millis(300)),
        2 => Reset::after(Duration::ZERO).doubling().on_drop(Outcome::Ignored),
        _ => Reset::after(Duration::from_nanos(1)).doubling().on_panic(Outcome::Success).probes(2),
    }
}

fn admitted<const N: usize>(call: Result<Permit, Open>, permits: &mut Vec<Permit, N>, fold: &mut Fold) {
    match call {
        Ok(permit) => {
            fold.answer(&permit.generation());
            let _lost = permits.push(permit);
        }
        Err(open) => fold.answer(&open.retry_at),
    }
}

fn outcome(script: &mut Script) -> Outcome {
    match script.below(12) {
        0..5 => Outcome::Failure,
        5..9 => Outcome::Success,
        9 => script.one_of(&[Outcome::Dropped, Outcome::Panicked]),
        10 => Outcome::Ignored,
        _ => Outcome::RetryAfter(script.span()),
    }
}

fn mode(script: &mut Script) -> BreakerMode {
    use BreakerMode::{Automatic, ForcedClosed, ForcedOpen, ObserveOnly};

    script.one_of(&[Automatic, Automatic, Automatic, ForcedClosed, ForcedOpen, ObserveOnly])
}
