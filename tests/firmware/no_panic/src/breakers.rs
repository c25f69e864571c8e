use core::num::{NonZeroU16, NonZeroU32};

use steadfast_core::{
    Breakers, CircuitBreaker, Reset, Trip,
    circuit_breaker::{
        AnyTrip, BreakerMode, CallWindow, Consecutive, Outcome, Percent, Permit, TimeWindow, TripPolicy, WindowStats,
    },
};

use crate::{
    any,
    limiters::{Eight, cost},
    now, see, see_all, seed, span,
};

fn rule(window: WindowStats) -> bool {
    window.failures > any() && window.slow_calls > any() && window.calls > any()
}

pub fn probe() {
    circuit_breaker(Trip::consecutive(3));
    circuit_breaker(Consecutive::new(cost()));
    circuit_breaker(Trip::call_window::<32>(percent()));
    circuit_breaker(CallWindow::<32>::new(percent()).min_calls(cost()).slow_calls(span(), percent()));
    circuit_breaker(Trip::time_window::<10>(span(), percent()));
    circuit_breaker(TimeWindow::<10>::new(span(), percent()).min_calls(NonZeroU32::MIN).slow_calls(span(), percent()));
    circuit_breaker(any_trip());
    breakers(any_trip());
    circuit_breaker(Trip::when(Trip::call_window::<32>(percent()), rule));
    circuit_breaker(Trip::when(Trip::consecutive(3), rule));
    breakers(Trip::consecutive(3));
    breakers(Trip::call_window::<32>(percent()));
}

fn any_trip() -> AnyTrip<Eight> {
    let size = NonZeroU16::new(any()).unwrap_or(NonZeroU16::MIN);
    let trip = match any::<u8>() {
        0 => AnyTrip::consecutive(cost()),
        1 => AnyTrip::call_window(size, percent()),
        _ => AnyTrip::time_window(span(), size, percent()),
    };
    if any() { trip.min_calls(cost()).slow_calls(span(), percent()) } else { trip }
}

fn percent() -> Percent {
    let percent = Percent::try_from_permille(any()).unwrap_or(Percent::new(50));
    see(percent.as_permille());
    percent
}

pub fn outcome() -> Outcome {
    match any::<u8>() {
        0 => Outcome::Failure,
        1 => Outcome::Ignored,
        2 => Outcome::RetryAfter(span()),
        3 => Outcome::Dropped,
        4 => Outcome::Panicked,
        _ => Outcome::Success,
    }
}

fn mode() -> BreakerMode {
    match any::<u8>() {
        0 => BreakerMode::ForcedClosed,
        1 => BreakerMode::ForcedOpen,
        2 => BreakerMode::ObserveOnly,
        _ => BreakerMode::Automatic,
    }
}

pub fn reset() -> Reset {
    let reset = Reset::after(span()).doubling().up_to(span()).jitter(percent(), any()).lease(span()).probes(3);
    let reset = reset.probe_successes(percent()).on_drop(outcome()).on_panic(outcome());
    if any() { reset.call_timeout(span()) } else { reset }
}

#[inline(never)]
fn circuit_breaker<P: TripPolicy>(trip: P) {
    let mut breaker = CircuitBreaker::new(trip.clone(), reset());
    breaker.reseed_jitter(any());
    for _ in 0..any::<u32>() {
        match breaker.try_acquire(now()) {
            Ok(permit) => breaker.record(permit, outcome(), now()),
            Err(open) => see(open.retry_after(now())),
        }
        see(breaker.calm_generation());
        breaker.merge(any(), any());
        let permit = Permit::calm(any(), now());
        see((permit.generation(), breaker.call_deadline(now())));
        breaker.record(permit, outcome(), now());
        see(breaker.allow_request(now()));
        breaker.record_success(now());
        breaker.record_failure(now());
        see((breaker.state(), breaker.mode(), breaker.stats().plus(breaker.stats()).since(breaker.stats())));
        breaker.set_mode(mode());
        breaker.set_settings(trip.clone(), reset(), now());
        see(breaker.window(now()));
        see(breaker.last_transition());
        see(breaker.telling(|breaker| breaker.allow_request(now())));
        if any() {
            breaker.close();
        }
        if any() {
            breaker.open(now());
        }
    }
}

#[inline(never)]
fn breakers<P: TripPolicy>(trip: P) {
    let mut breakers: Breakers<u64, 8, P> = Breakers::with_hasher(trip.clone(), reset(), seed());
    breakers.reseed(seed());
    breakers.reseed_jitter(any());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        if let Ok(permit) = breakers.try_acquire(&key, now()) {
            breakers.record(&key, permit, outcome(), now());
        }
        let hash = breakers.hash(&key);
        if let Ok(permit) = breakers.try_acquire_with(hash, &key, now()) {
            if !breakers.record_existing(hash, &key, Some(&permit), outcome(), now()) {
                see(breakers.record_new(hash, key, Some(&permit), outcome(), now()));
            }
            breakers.record_untracked(Some(&permit), outcome(), now());
        }
        if !breakers.record_existing(hash, &key, None, outcome(), now()) {
            see(breakers.record_new(hash, key, None, outcome(), now()));
        }
        see((breakers.forget_next(any(), now()), breakers.call_deadline(now())));
        see(breakers.allow_request(&key, now()));
        breakers.record_success(&key, now());
        breakers.record_failure(&key, now());
        breakers.set_mode(mode());
        breakers.set_settings(trip.clone(), reset(), now());
        breakers.set_settings_telling(trip.clone(), reset(), now(), |key, changes| {
            see((*key, changes.map(|one| one.is_some())))
        });
        see((breakers.state(&key), breakers.close(&key), breakers.cleanup(now()), breakers.mode()));
        see((breakers.stats(), breakers.states(), breakers.untracked(), breakers.reused()));
        see((
            breakers.open(&key, now()),
            breakers.open_existing(hash, &key, now()),
            breakers.open_new(hash, key, now()),
        ));
        see((breakers.window(&key, now()), breakers.last_transition()));
        see(breakers.telling(|breakers| breakers.allow_request(&key, now())));
        see((breakers.len(), breakers.is_empty(), breakers.capacity()));
        see_all(breakers.iter());
    }
}
