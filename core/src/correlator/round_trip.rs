//! How long replies take.

use core::time::Duration;

use crate::time::Span;

/// How long the matched replies took, from `begin` to `resolve`.
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

/// The running figures. Source: RFC 6298, section 2, with alpha 1/8 and beta 1/4.
#[derive(Clone, Copy)]
pub(super) struct Meter {
    count: u64,
    min: Span,
    max: Span,
    smoothed: Span,
    variation: Span,
}

impl Meter {
    pub(super) const NEW: Self =
        Self { count: 0, min: Span::MAX, max: Span::ZERO, smoothed: Span::ZERO, variation: Span::ZERO };

    pub(super) fn record(&mut self, trip: Span) {
        if self.count == 0 {
            self.smoothed = trip;
            self.variation = trip.half();
        } else {
            let deviation = Span::from_nanos(trip.as_nanos().abs_diff(self.smoothed.as_nanos()));
            self.variation = nearer(self.variation, deviation, 2);
            self.smoothed = nearer(self.smoothed, trip, 3);
        }
        self.count = self.count.wrapping_add(1);
        self.min = self.min.min(trip);
        self.max = self.max.max(trip);
    }

    pub(super) const fn read(&self) -> Option<RoundTrips> {
        if self.count == 0 {
            return None;
        }
        Some(RoundTrips {
            count: self.count,
            min: self.min.to_duration(),
            max: self.max.to_duration(),
            smoothed: self.smoothed.to_duration(),
            variation: self.variation.to_duration(),
        })
    }
}

/// `old` moved towards `new` by the `2^shift`th part of the way, so that it never leaves the range between them.
const fn nearer(old: Span, new: Span, shift: u32) -> Span {
    let (old, new) = (old.as_nanos(), new.as_nanos());
    let step = old.abs_diff(new) >> shift;
    Span::from_nanos(if old < new { old.saturating_add(step) } else { old.saturating_sub(step) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(trips: &[u64]) -> RoundTrips {
        let mut meter = Meter::NEW;
        trips.iter().for_each(|trip| meter.record(Span::new(Duration::from_millis(*trip))));
        meter.read().unwrap()
    }

    #[test]
    fn the_figures_are_those_of_rfc_6298() {
        let ms = Duration::from_millis;
        let one = read(&[80]);
        assert_eq!((one.count, one.smoothed, one.variation), (1, ms(80), ms(40)));
        // RTTVAR = 3/4 * 40 + 1/4 * |80 - 160| = 50; SRTT = 7/8 * 80 + 1/8 * 160 = 90.
        let two = read(&[80, 160]);
        assert_eq!((two.smoothed, two.variation, two.min, two.max), (ms(90), ms(50), ms(80), ms(160)));
        // RTTVAR = 3/4 * 50 + 1/4 * |90 - 10| = 57.5; SRTT = 7/8 * 90 + 1/8 * 10 = 80.
        let three = read(&[80, 160, 10]);
        assert_eq!((three.smoothed, three.variation, three.min), (ms(80), Duration::from_micros(57_500), ms(10)));
    }

    #[test]
    fn no_trip_overflows_the_figures() {
        let mut meter = Meter::NEW;
        assert!(meter.read().is_none());
        for trip in [Span::MAX, Span::ZERO, Span::MAX, Span::MAX] {
            meter.record(trip);
        }
        let trips = meter.read().unwrap();
        assert!(trips.min <= trips.smoothed && trips.smoothed <= trips.max);
    }
}
