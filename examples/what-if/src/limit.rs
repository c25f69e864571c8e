//! The limit that is asked about.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use steadfast_core::Gcra;

/// In what time so many requests are allowed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// In a second.
    Second,
    /// In a minute.
    Minute,
    /// In an hour.
    Hour,
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In what time.
    pub per: Per,
}

/// A rate, and how many are allowed at once.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Limit {
    /// How many in the long run.
    pub rate: Rate,
    /// How many at once.
    pub burst: u32,
}

impl Rate {
    /// How many requests a second that is.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.count) / self.per.duration().as_secs_f64()
    }
}

impl Per {
    /// The time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }
}

impl Limit {
    /// The quota of the rate limiter.
    #[must_use]
    pub const fn quota(self) -> Gcra {
        Gcra::per(self.rate.count, self.rate.per.duration()).burst(self.burst)
    }

    /// The quota as a line of Rust.
    #[must_use]
    pub fn rust(self) -> String {
        let Self { rate: Rate { count, per }, burst } = self;
        format!("Gcra::per_{}({}).burst({})", per.name(), grouped(count, '_'), grouped(burst, '_'))
    }

    /// The quota as lines of a settings file.
    #[must_use]
    pub fn settings(self) -> String {
        let Self { rate: Rate { count, per }, burst } = self;
        format!("rate = \"{count}/{}\"\nburst = {burst}", per.name().get(..1).unwrap_or_default())
    }
}

/// A number with its digits in groups of three: `10_000`.
pub(crate) fn grouped(number: impl fmt::Display, between: char) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            grouped.push(between);
        }
        grouped.push(digit);
    }
    grouped
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = if self.per == Per::Hour { "an" } else { "a" };
        write!(f, "{} {article} {}", self.count, self.per.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_says_the_limit() {
        let limit = Limit { rate: Rate { count: 12_000, per: Per::Minute }, burst: 10 };
        assert_eq!(limit.rust(), "Gcra::per_minute(12_000).burst(10)");
        assert_eq!(limit.settings(), "rate = \"12000/m\"\nburst = 10");
        assert_eq!(limit.rate.to_string(), "12000 a minute");
        assert_eq!(Rate { count: 1, per: Per::Hour }.to_string(), "1 an hour");
        assert_eq!(limit.quota(), Gcra::per_minute(12_000).burst(10));
        assert_eq!([1, 999, 1_000, 1_234_567].map(|number| grouped(number, ',')), ["1", "999", "1,000", "1,234,567"]);
    }
}
