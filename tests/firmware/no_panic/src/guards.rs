//! What adapters put together themselves.

use steadfast_core::{
    WaitList,
    circuit_breaker::{CallGuard, Permit},
    correlator::Asked,
    rate_limiter::{FlightGuard, FlightLost},
};

use crate::{any, breakers::outcome, now, see};

#[inline(never)]
pub fn probe() {
    let call = CallGuard::new(Permit::calm(any(), now()), |permit, outcome| see((permit, outcome)));
    if any() {
        call.record(outcome())
    } else {
        drop(call)
    }

    let attempt = FlightGuard::new(|end| {
        see(end);
        if any() { Ok(()) } else { Err(FlightLost(any::<u32>())) }
    });
    match any::<u8>() {
        0 => see(attempt.complete(any())),
        1 => attempt.refund(),
        _ => drop(attempt),
    }

    see((Asked::new(any::<u32>()), WaitList::<8>::new()));
}
