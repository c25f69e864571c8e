//! Durations as people write them, for settings of your own: `#[serde(with = "steadfast::settings::duration")]`.
//!
//! ```
//! use core::time::Duration;
//!
//! #[derive(serde::Deserialize, serde::Serialize)]
//! struct Peers {
//!     #[serde(with = "steadfast::settings::duration")]
//!     reply_timeout: Duration,
//! }
//!
//! let peers: Peers = serde_json::from_str(r#"{ "reply_timeout": "1m 30s" }"#)?;
//! assert_eq!(peers.reply_timeout, Duration::from_secs(90));
//! assert_eq!(serde_json::to_string(&peers)?, r#"{"reply_timeout":"1m 30s"}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

use core::{fmt, time::Duration};

use serde::{
    Deserializer, Serializer,
    de::{Error, Visitor},
};

/// Reads a duration with its unit.
///
/// # Errors
///
/// If it has no unit, or is no duration.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(ALLOWED)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).ok_or_else(|| E::custom(format_args!("expected {ALLOWED}, found {text:?}")))
        }
    }

    from.deserialize_str(Text)
}

/// Writes a duration so that [`deserialize`] reads the same.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Human(*duration))
}

pub(super) const ALLOWED: &str =
    "a duration with its unit (ns, us, ms, s, m, h, d), such as \"250ms\", \"1.5s\" or \"1h 30m\"";

/// Largest first, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Numbers with units, each unit once and the largest first. At most 584 years: what a clock of this crate can count.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut units, mut nanos) = (text.trim(), &UNITS[..], 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(number);
        let behind = behind.trim_start();
        let unit = behind.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let unit = if unit == "µs" { "us" } else { unit };
        let index = units.iter().position(|(name, _)| *name == unit)?;
        let (_, each) = *units.get(index)?;
        nanos = nanos.checked_add(times(number, each)?)?;
        units = units.get(index.checked_add(1)?..)?;
        rest = behind.trim_start();
    }
    Some(Duration::from_nanos(nanos))
}

/// So many units of `each` nanoseconds, if that is a whole number of them.
fn times(number: &str, each: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if number.ends_with('.') || part.len() > 18 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(each)?;
    if part.is_empty() {
        return Some(whole);
    }
    let of = 10_u128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = part.parse::<u128>().ok()?.checked_mul(each.into())?;
    if part.checked_rem(of)? != 0 {
        return None;
    }
    whole.checked_add(u64::try_from(part.checked_div(of)?).ok()?)
}

/// A duration in the fewest units that are exact.
pub(super) struct Human(pub(super) Duration);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 {
            return f.write_str("0s");
        }
        let mut space = "";
        for (unit, each) in UNITS {
            let (count, rest) = (nanos.checked_div(each).unwrap_or(0), nanos.checked_rem(each).unwrap_or(0));
            if count > 0 {
                write!(f, "{space}{count}{unit}")?;
                (space, nanos) = (" ", rest);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_units_are_read() {
        for (text, nanos) in [
            ("250ms", 250_000_000),
            ("30s", 30_000_000_000),
            (" 1h 30m ", 5_400_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("2 d", 172_800_000_000_000),
            ("0s", 0),
            ("7us", 7_000),
            ("7µs", 7_000),
            ("0.001us", 1),
            ("18446744073709551615ns", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_could_be_misread_is_refused() {
        for text in [
            "",
            " ",
            "5",
            "5.s",
            ".5s",
            "5 5",
            "s",
            "-5s",
            "5x",
            "5M",
            "5 minutes",
            "30m 1h",
            "1s 1s",
            "1s,5ms",
            "1e3s",
            "0.5ns",
            "18446744073709551616ns",
            "600000d",
            "1.2.3s",
            "+1s",
            "1_000s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(nanos in any::<u64>(), shift in 0..64) {
            let duration = Duration::from_nanos(nanos >> shift);
            prop_assert_eq!(parse(&Human(duration).to_string()), Some(duration));
        }

        #[test]
        fn no_text_is_read_as_more_than_it_says(text in ".{0,12}") {
            let _ = parse(&text);
        }
    }
}
