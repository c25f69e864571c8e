//! Medians and quartiles.

use std::fmt;

/// The middle of some measurements, and the half around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Quartiles {
    /// Of at least one measurement; between two neighbours it is interpolated.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    /// One divided by it.
    #[must_use]
    pub fn inverse(self) -> Self {
        Self { low: 1.0 / self.high, median: 1.0 / self.median, high: 1.0 / self.low }
    }
}

/// Two significant digits or more, as `median (low to high)`.
impl fmt::Display for Quartiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} to {})", short(self.median), short(self.low), short(self.high))
    }
}

/// As many digits as such a measurement has.
#[must_use]
pub fn short(value: f64) -> String {
    match value {
        value if value < 9.95 => format!("{value:.1}"),
        value if value < 999.5 => format!("{value:.0}"),
        value => {
            let digits = format!("{value:.0}");
            let cut = digits.len() % 3;
            let mut text = digits[..cut].to_owned();
            for (index, digit) in digits[cut..].chars().enumerate() {
                if index % 3 == 0 && !text.is_empty() {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_interpolated() {
        let quartiles = Quartiles::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(quartiles, Quartiles { low: 1.75, median: 2.5, high: 3.25 });
        assert_eq!(Quartiles::of([7.0]), Quartiles { low: 7.0, median: 7.0, high: 7.0 });
    }

    #[test]
    fn an_inverse_keeps_its_order() {
        let inverse = Quartiles { low: 1.0, median: 2.0, high: 4.0 }.inverse();
        assert_eq!(inverse, Quartiles { low: 0.25, median: 0.5, high: 1.0 });
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.04, 3.21, 9.96, 52.4, 999.4, 999.6, 28_600.0, 1_234_567.0].map(short);
        assert_eq!(texts, ["0.0", "3.2", "10", "52", "999", "1,000", "28,600", "1,234,567"]);
    }
}
