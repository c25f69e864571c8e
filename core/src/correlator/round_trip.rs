//! How long replies take.

use core::time::Duration;

use crate::foundation::time::Span;

/// Round-trip times (latency) of the matched replies, from `begin` to `resolve`.
///
/// Kept in units of 1,024 ns, rounded down, and at most nine minutes.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoundTrips {
    /// How many there were.
    pub count: u64,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// The smoothed mean: SRTT of RFC 6298.
    pub smoothed: Duration,
    /// The smoothed deviation: RTTVAR of RFC 6298. `smoothed + 4 * variation` is a sensible time-out.
    pub variation: Duration,
}

/// The running figures in ticks of 2^10 ns, so that a microcontroller does with 32 bits.
///
/// Source: RFC 6298, section 2, with alpha 1/8 and beta 1/4; the scaled form is that of Jacobson, "Congestion avoidance
/// and control", 1988, appendix A.
#[derive(Clone, Copy)]
pub(super) struct Meter {
    min: u32,
    max: u32,
    /// SRTT times 8.
    smoothed: u32,
    /// RTTVAR times 4.
    variation: u32,
}

/// The longest trip, so that 8 of it fit.
const LONGEST: u32 = u32::MAX >> 3;

impl Meter {
    pub(super) const NEW: Self = Self { min: u32::MAX, max: 0, smoothed: 0, variation: 0 };

    pub(super) fn record(&mut self, trip: Span) {
        let ticks = u32::try_from(trip.as_nanos() >> 10).map_or(LONGEST, |ticks| ticks.min(LONGEST));
        if self.min > self.max {
            self.smoothed = ticks << 3;
            self.variation = ticks << 1;
        } else {
            let smoothed = self.smoothed >> 3;
            let deviation = ticks.abs_diff(smoothed);
            self.smoothed = self.smoothed.wrapping_sub(smoothed).wrapping_add(ticks);
            self.variation = self.variation.wrapping_sub(self.variation >> 2).wrapping_add(deviation);
        }
        self.min = self.min.min(ticks);
        self.max = self.max.max(ticks);
    }

    /// The figures of `count` trips, `None` if there were none.
    pub(super) fn read(&self, count: u64) -> Option<RoundTrips> {
        if self.min > self.max {
            return None;
        }
        let duration = |ticks: u32, scale: u32| Duration::from_nanos(u64::from(ticks) << 10 >> scale);
        Some(RoundTrips {
            count,
            min: duration(self.min, 0),
            max: duration(self.max, 0),
            smoothed: duration(self.smoothed, 3),
            variation: duration(self.variation, 2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(trips: &[u64]) -> RoundTrips {
        let mut meter = Meter::NEW;
        trips.iter().for_each(|trip| meter.record(Span::new(Duration::from_micros(*trip))));
        meter.read(trips.len() as u64).unwrap()
    }

    #[track_caller]
    fn about(measured: Duration, micros: u64) {
        let difference = measured.abs_diff(Duration::from_micros(micros));
        assert!(difference <= Duration::from_nanos(1_100), "{measured:?} is not {micros} us");
    }

    #[test]
    fn the_figures_are_those_of_rfc_6298() {
        let one = read(&[80_000]);
        assert_eq!(one.count, 1);
        about(one.smoothed, 80_000);
        about(one.variation, 40_000);
        // RTTVAR = 3/4 * 40 + 1/4 * |80 - 160| = 50; SRTT = 7/8 * 80 + 1/8 * 160 = 90.
        let two = read(&[80_000, 160_000]);
        about(two.smoothed, 90_000);
        about(two.variation, 50_000);
        about(two.min, 80_000);
        about(two.max, 160_000);
        // RTTVAR = 3/4 * 50 + 1/4 * |90 - 10| = 57.5; SRTT = 7/8 * 90 + 1/8 * 10 = 80.
        let three = read(&[80_000, 160_000, 10_000]);
        about(three.smoothed, 80_000);
        about(three.variation, 57_500);
        about(three.min, 10_000);
    }

    #[test]
    fn equal_trips_have_no_variation_in_the_end() {
        let many = read(&[12_345; 200]);
        about(many.smoothed, 12_345);
        about(many.variation, 0);
    }

    #[test]
    fn no_trip_overflows_the_figures() {
        let mut meter = Meter::NEW;
        assert!(meter.read(0).is_none());
        for _ in 0..100 {
            for trip in [Span::MAX, Span::ZERO, Span::from_nanos(1 << 40), Span::MAX] {
                meter.record(trip);
                let trips = meter.read(1).unwrap();
                assert!(trips.min <= trips.smoothed && trips.smoothed <= trips.max, "{trips:?}");
                assert!(trips.variation <= trips.max, "{trips:?}");
            }
        }
        assert_eq!(meter.read(1).unwrap().max.as_secs(), 549);
    }
}
