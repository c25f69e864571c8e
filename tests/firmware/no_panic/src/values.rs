use steadfast_core::{
    Deadline, Gcra, Instant, RateLimiter,
    circuit_breaker::{BreakerError, Open},
    correlator::CallError,
};

use crate::{any, now, see, span};

#[inline(never)]
pub fn probe() {
    let (one, other) = (now(), now());
    see((one.saturating_add(span()), one.saturating_sub(span()), one.saturating_duration_since(other)));
    see((Instant::from_micros(any()), Instant::from_millis(any()), Instant::from_secs(any()).as_nanos()));
    let deadline = Deadline::at(one).min(Deadline::within(span(), other));
    see((deadline.instant(), deadline.remaining(now()), deadline.is_over(now())));
    see(steadfast_core::earliest([Some(one), Some(other), None]));

    let mut limiter: RateLimiter<u8, Gcra, 1> = RateLimiter::new(Gcra::every(span()));
    let decision = limiter.allow(&any(), now());
    see((decision.is_allowed(), decision.retry_after(now())));

    let error: BreakerError<u8> =
        if any() { BreakerError::from(Open { retry_at: one }) } else { BreakerError::Inner(any()) };
    see((error.is_open(), error.retry_after(now()), error.map_inner(u16::from).into_inner()));
    let error: CallError<u8> = if any() { CallError::Full } else { CallError::Send(any()) };
    see(error.map_inner(u16::from));
}
