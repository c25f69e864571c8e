//! Points in time, as logs write them.

use jiff::{Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// When a line was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// Nanoseconds since 1970.
    pub at: u64,
    /// True if the log says the second alone: the request came somewhere in it.
    pub whole: bool,
}

/// Reads `2006-01-02T15:04:05.678Z` and its kin, `02/Jan/2006:15:04:05 -0700`, and numbers since 1970: seconds with or
/// without a fraction, and whole milliseconds, microseconds or nanoseconds, told apart by their size. A time without a
/// zone is taken as UTC.
#[must_use]
pub fn read_time(text: &str) -> Option<Stamp> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return number(text);
    }
    let day_first = text.as_bytes().get(2) == Some(&b'/');
    let at = if day_first {
        strtime::parse("%d/%b/%Y:%H:%M:%S%.f %z", text).ok()?.to_timestamp().ok()?
    } else if let Ok(at) = text.parse::<Timestamp>() {
        at
    } else {
        TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?
    };
    let at = u64::try_from(at.as_nanosecond()).ok()?;
    Some(Stamp { at, whole: !text.contains('.') && !text.contains(',') })
}

fn number(text: &str) -> Option<Stamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: u64 = whole.parse().ok()?;
    if whole.len() > 11 {
        let unit = match whole.len() {
            ..=14 => 1_000_000,
            15..=17 => 1_000,
            _ => 1,
        };
        return Some(Stamp { at: number.checked_mul(unit)?, whole: false });
    }
    let at = number.checked_mul(SECOND)?.checked_add(fraction_of_a_second(fraction)?)?;
    Some(Stamp { at, whole: fraction.is_empty() })
}

/// `0.123` as nanoseconds; digits beyond the ninth are cut.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    whole.parse::<u64>().ok()?.checked_mul(SECOND)?.checked_add(fraction_of_a_second(fraction)?)
}

fn fraction_of_a_second(digits: &str) -> Option<u64> {
    let nine = digits.get(..digits.len().min(9))?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{nine:0<9}").parse().ok()
}

/// A point in time, as a person reads it, in UTC.
#[must_use]
pub fn show_time(at: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(at));
    at.map_or_else(|_| String::from("out of range"), |at| strtime::format("%F %T%.3f", at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_time_in_many_forms() {
        const AT: u64 = 1_136_239_445 * SECOND;
        for (text, more, whole) in [
            ("02/Jan/2006:15:04:05 -0700", 0, true),
            ("02/Jan/2006:22:04:05.250 +0000", 250_000_000, false),
            ("2006-01-02T22:04:05Z", 0, true),
            ("2006-01-02 22:04:05", 0, true),
            ("2006-01-02T15:04:05.678901-07:00", 678_901_000, false),
            ("2006-01-02T22:04:05+00:00", 0, true),
            ("1136239445", 0, true),
            ("1136239445.123", 123_000_000, false),
            ("1136239445.1234567891", 123_456_789, false),
            ("1136239445000", 0, false),
            ("1136239445000007", 7_000, false),
            ("1136239445000000007", 7, false),
        ] {
            assert_eq!(read_time(text), Some(Stamp { at: AT + more, whole }), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let past = "1969-12-31T23:59:59Z";
        for text in ["", ".", "-", "-5", "time", "1.2.3", "99999999999999999999", "31/Feb/2006:15:04:05 -0700", past] {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_shown_to_the_millisecond() {
        assert_eq!(show_time(1_136_239_445_678_000_000), "2006-01-02 22:04:05.678");
        assert_eq!(seconds("1.5"), Some(1_500_000_000));
        assert_eq!(seconds("-"), None);
    }
}
