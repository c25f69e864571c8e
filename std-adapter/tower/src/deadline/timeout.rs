//! Timeouts as gRPC writes them: 1 to 8 digits and a unit.

use core::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What a request asks for is no timeout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// How long the request asks to be worked on; `None` if it does not say.
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Duration>, Malformed> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // Of several nobody knows which one who sent them goes by.
    match (parse(value), values.next()) {
        (Some(timeout), None) => Ok(Some(timeout)),
        _ => Err(Malformed),
    }
}

/// As long as `value` says, exactly.
pub(super) fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit & 0xf)));
    Some(match unit {
        b'H' => Duration::from_secs(number.saturating_mul(3_600)),
        b'M' => Duration::from_secs(number.saturating_mul(60)),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// `timeout` in the finest unit that has room for it, rounded down.
pub(super) fn write(timeout: Duration) -> Option<HeaderValue> {
    const UNITS: [(char, u128); 6] = [
        ('n', 1),
        ('u', 1_000),
        ('m', 1_000_000),
        ('S', 1_000_000_000),
        ('M', 60_000_000_000),
        ('H', 3_600_000_000_000),
    ];
    const MOST: u128 = 99_999_999;

    let numbers = UNITS.iter().map(|(unit, nanos)| (timeout.as_nanos().checked_div(*nanos).unwrap_or(MOST), *unit));
    let (number, unit) = numbers.clone().find(|(number, _)| *number <= MOST).unwrap_or((MOST, 'H'));
    HeaderValue::try_from(format!("{number}{unit}")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Option<Duration> {
        parse(&HeaderValue::from_bytes(text.as_bytes()).unwrap())
    }

    fn written(timeout: Duration) -> String {
        write(timeout).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn every_unit_is_understood() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("30S", Duration::from_secs(30)),
            ("007m", Duration::from_millis(7)),
            ("5u", Duration::from_micros(5)),
            ("9n", Duration::from_nanos(9)),
            ("0S", Duration::ZERO),
            ("99999999H", Duration::from_secs(359_999_996_400)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ] {
            assert_eq!(parsed(text), Some(timeout), "{text}");
        }
    }

    #[test]
    fn what_is_no_timeout_is_none() {
        for text in [
            "",
            "S",
            "1",
            "1 S",
            " 1S",
            "+1S",
            "-1S",
            "1.5S",
            "1s",
            "1h",
            "1ms",
            "1µ",
            "100000000S",
            "000000001n",
            "1S, 2S",
            "0x1S",
            "nS",
            "1Sn",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        assert_eq!(parse(&HeaderValue::from_bytes(b"\xff\xffS").unwrap()), None);
    }

    #[test]
    fn several_headers_are_none_even_if_they_agree() {
        let name = HeaderName::from_static("grpc-timeout");
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers, &name), Ok(None));
        headers.append(&name, HeaderValue::from_static("1S"));
        assert_eq!(read(&headers, &name), Ok(Some(Duration::from_secs(1))));
        headers.append(&name, HeaderValue::from_static("1S"));
        assert_eq!(read(&headers, &name), Err(Malformed));
    }

    #[test]
    fn it_is_written_in_the_finest_unit_with_room() {
        let nanos = Duration::from_nanos;
        for (timeout, text) in [
            (nanos(1), "1n"),
            (nanos(99_999_999), "99999999n"),
            (nanos(100_000_999), "100000u"),
            (Duration::from_secs(30), "30000000u"),
            (Duration::from_secs(100) - nanos(1), "99999999u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(86_400 * 2), "172800S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::MAX, "99999999H"),
            (Duration::ZERO, "0n"),
        ] {
            assert_eq!(written(timeout), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Told and read again it is never longer, and shorter by a hundred-thousandth at most.
        #[test]
        fn what_is_told_never_grows_and_hardly_shrinks(secs in prop_oneof![0..200_u64, 0..360_000_000_000_u64], nanos in 0..1_000_000_000_u32) {
            let timeout = Duration::new(secs, nanos);
            let told = parse(&write(timeout).unwrap()).expect("it is one");
            prop_assert!(told <= timeout);
            prop_assert!((timeout - told).as_nanos() * 99_999 <= timeout.as_nanos() || secs >= 359_999_996_400);
            // Told on and on it stays.
            prop_assert_eq!(parse(&write(told).unwrap()), Some(told));
        }

        #[test]
        fn any_bytes_are_a_timeout_of_8_digits_or_none(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes)
                && let Some(timeout) = parse(&value)
            {
                prop_assert!((2..=9).contains(&bytes.len()) && timeout <= Duration::from_secs(359_999_996_400));
            }
        }

        #[test]
        fn digits_and_a_unit_are_one(number in 0..100_000_000_u32, unit in prop::sample::select(vec!['H', 'M', 'S', 'm', 'u', 'n'])) {
            let [plain, padded, long] = [1, 8, 9].map(|width| parsed(&format!("{number:0width$}{unit}")));
            prop_assert!(plain.is_some() && plain == padded && long.is_none());
        }
    }
}
