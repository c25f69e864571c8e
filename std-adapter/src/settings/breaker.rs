//! Settings of circuit breakers.

use core::{hash::Hash, num::NonZeroU16};

use steadfast_core::circuit_breaker::Reset;

use super::{
    form::{form, required, settings},
    values::{Capacity, Count, CountsAs, Flag, Positive, Share, Some32, Window},
};
use crate::circuit_breaker::{AnyTrip, Breakers, BreakersBuilder, CircuitBreaker};

form! {
    BreakerForm {
        trip: TripForm,
        reset: ResetForm,
        call_timeout: Positive,
        on_drop: CountsAs,
        on_panic: CountsAs,
        capacity: Capacity,
    }
}

form! {
    TripForm {
        consecutive: Some32,
        window: Window,
        failures: Share,
        min_calls: Some32,
        slow: SlowForm,
        buckets: Count<1, 4_096>,
    }
}

form! {
    SlowForm {
        after: Positive,
        share: Share,
    }
}

form! {
    ResetForm {
        after: Positive,
        up_to: Positive,
        doubling: Flag,
        jitter: Share,
        probes: Count<1, 255>,
        probe_successes: Share,
        lease: Positive,
    }
}

/// Settings of a [`CircuitBreaker`] or of [`Breakers`]: `trip`, `reset`, `call_timeout`, `on_drop`, `on_panic`,
/// `capacity`.
///
/// ```
/// use steadfast::{circuit_breaker::BreakerState, settings::BreakerSettings};
///
/// let orders: BreakerSettings = toml::from_str(r#"
///     trip = { window = "100 calls", failures = "50%", min_calls = 20 }   # or window = "10s", or consecutive = 5
///     reset = { after = "30s", up_to = "10m", doubling = true, probes = 3 }
///     call_timeout = "2s"
/// "#)?;
/// let breaker = orders.build();
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// breaker.set_settings(orders.trip(), orders.reset()); // when they are read anew
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BreakerSettings {
    form: BreakerForm,
    trip: AnyTrip,
    reset: Reset,
}

impl BreakerSettings {
    fn check(form: BreakerForm) -> Result<Self, String> {
        let trip =
            required(&form.trip, "trip: expected when the breaker opens, such as { consecutive = 5 }")?.check()?;
        let reset = required(&form.reset, "reset: expected how it comes back, such as { after = \"30s\" }")?.check()?;
        let lease = form.reset.as_ref().and_then(|reset| reset.lease);
        if form.call_timeout.zip(lease).is_some_and(|(limit, lease)| lease.get() < limit.get()) {
            return Err("reset.lease: is shorter than `call_timeout`".to_owned());
        }
        let reset = form.call_timeout.map_or(reset, |limit| reset.call_timeout(limit.get()));
        let reset = form.on_drop.map_or(reset, |outcome| reset.on_drop(outcome.0));
        let reset = form.on_panic.map_or(reset, |outcome| reset.on_panic(outcome.0));
        Ok(Self { form, trip, reset })
    }

    /// When the breaker opens.
    #[must_use]
    pub const fn trip(&self) -> AnyTrip {
        self.trip
    }

    /// How it comes back, and how long its calls may take.
    #[must_use]
    pub const fn reset(&self) -> Reset {
        self.reset
    }

    /// One breaker with these settings.
    #[must_use]
    pub fn build(&self) -> CircuitBreaker<AnyTrip> {
        CircuitBreaker::new(self.trip, self.reset)
    }

    /// The builder of breakers with these settings, one for each key.
    #[must_use]
    pub fn builder<K: Eq + Hash>(&self) -> BreakersBuilder<K, AnyTrip> {
        let builder = Breakers::builder(self.trip, self.reset);
        match self.form.capacity {
            Some(capacity) => builder.capacity(capacity.to_usize()),
            None => builder,
        }
    }
}

settings!(BreakerSettings: BreakerForm);

impl TripForm {
    fn check(&self) -> Result<AnyTrip, String> {
        let Self { consecutive, window, failures, min_calls, slow, buckets } = self;
        let (consecutive, window) = match (consecutive, window) {
            (Some(failures), None) => (Some(failures), None),
            (None, Some(window)) => (None, Some(window)),
            (None, None) => return Err("trip: expected `consecutive` or `window`, which is missing".to_owned()),
            (Some(_), Some(_)) => return Err("trip.window: expected `consecutive` or `window`, found both".to_owned()),
        };
        if let Some(consecutive) = consecutive {
            let others =
                [("failures", failures.is_some()), ("min_calls", min_calls.is_some()), ("slow", slow.is_some())];
            return match others.iter().find(|(_, is_there)| *is_there) {
                Some((name, _)) => Err(format!("trip.{name}: is a setting of a `window`, not of `consecutive`")),
                None if buckets.is_some() => Err("trip.buckets: is a setting of a `window` of time".to_owned()),
                None => Ok(AnyTrip::consecutive(consecutive.non_zero_u32())),
            };
        }
        let failures = required(failures, "trip.failures: expected the share that opens it, such as \"50%\"")?.0;
        let trip = match window {
            Some(Window::Calls(calls)) => {
                if buckets.is_some() {
                    return Err("trip.buckets: is a setting of a `window` of time, not of calls".to_owned());
                }
                if let Some(min_calls) = min_calls.filter(|min_calls| min_calls.0 > u64::from(*calls)) {
                    return Err(format!(
                        "trip.min_calls: expected at most the {calls} calls of `window`, found {}",
                        min_calls.0
                    ));
                }
                AnyTrip::call_window(NonZeroU16::new(*calls).unwrap_or(NonZeroU16::MIN), failures)
            }
            Some(Window::Time(span)) => {
                let buckets = buckets.map_or(10, |buckets| buckets.0);
                if span.as_nanos() < buckets.into() {
                    return Err(format!("trip.window: too short for {buckets} buckets"));
                }
                let buckets = u16::try_from(buckets).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
                AnyTrip::time_window(*span, buckets, failures)
            }
            None => return Err("trip.window: expected, which is missing".to_owned()),
        };
        let trip = min_calls.map_or(trip, |min_calls| trip.min_calls(min_calls.non_zero_u32()));
        let Some(slow) = slow else { return Ok(trip) };
        let after = required(&slow.after, "trip.slow.after: expected from when on a call is slow, such as \"2s\"")?;
        let share = required(&slow.share, "trip.slow.share: expected the share that opens it, such as \"80%\"")?;
        Ok(trip.slow_calls(after.get(), share.0))
    }
}

impl ResetForm {
    fn check(&self) -> Result<Reset, String> {
        let after = required(&self.after, "reset.after: expected how long it stays open, such as \"30s\"")?.get();
        let is_doubling = self.doubling.is_some_and(|doubling| doubling.0);
        let mut reset = Reset::after(after);
        match self.up_to.map(Positive::get) {
            Some(up_to) if up_to < after => return Err("reset.up_to: is shorter than `reset.after`".to_owned()),
            Some(up_to) => reset = reset.up_to(up_to),
            None if is_doubling => {
                return Err("reset.up_to: expected the longest open time, which `reset.doubling` needs".to_owned());
            }
            None => {}
        }
        if is_doubling {
            reset = reset.doubling();
        }
        // The seed is the system's entropy: see `CircuitBreaker`.
        let reset = self.jitter.map_or(reset, |jitter| reset.jitter(jitter.0, 0));
        let reset = self.lease.map_or(reset, |lease| reset.lease(lease.get()));
        let probes = self.probes.map_or(1, |probes| probes.to_u8().max(1));
        if self.probe_successes.is_some() && probes == 1 {
            return Err("reset.probe_successes: is a share of several probes, and `reset.probes` is 1".to_owned());
        }
        let reset = reset.probes(probes);
        Ok(self.probe_successes.map_or(reset, |share| reset.probe_successes(share.0)))
    }
}
