//! What responses ask for, and what they garble.

use proptest::prelude::*;
use tonic_types::{ErrorDetails, StatusExt};

use super::*;

fn headers(told: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in told {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn seconds_and_dates_are_understood() {
    let wait_of = |told: &[(&'static str, &str)]| wait(&headers(told)).map(|wait| wait.as_secs());
    assert_eq!(wait_of(&[("retry-after", "120")]), Some(120));
    assert_eq!(wait_of(&[("retry-after", "99999999999999999999")]), Some(u64::MAX));
    let date = [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Mon, 07 Nov 1994 08:49:38 GMT")];
    assert_eq!(wait_of(&date), Some(86_401), "by the clock of who answered");
    assert_eq!(wait_of(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(0), "long ago");
    assert!(wait_of(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]).unwrap() > 200_000_000_000);
    for garbage in
        ["", "-1", "1.5", "soon", "06 Nov 1994", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"]
    {
        assert_eq!(wait_of(&[("retry-after", garbage)]), None, "{garbage}");
    }
    assert_eq!(wait(&HeaderMap::new()), None);
}

#[test]
fn days_are_counted_as_the_calendar_does() {
    for (text, days) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 11_016),
        ("Wed, 01 Mar 2000 00:00:00 GMT", 11_017),
        ("Mon, 01 Mar 2100 00:00:00 GMT", 47_541),
        ("Mon, 30 Nov 2026 00:00:00 GMT", 20_787),
    ] {
        assert_eq!(date::seconds(text), Some(days * 86_400), "{text}");
    }
}

/// What tonic writes.
#[test]
fn the_details_of_a_status_are_understood() {
    for delay in [Duration::new(300, 5_000_000), Duration::from_nanos(1), Duration::from_secs(u32::MAX.into())] {
        let details =
            ErrorDetails::with_debug_info(vec!["frame".to_owned()], "text").set_retry_info(Some(delay)).clone();
        let status = tonic::Status::with_error_details(tonic::Code::Unavailable, "down", details);
        let response: Response<()> = status.into_http();
        assert_eq!(wait(response.headers()), Some(delay));
        assert_eq!(grpc_status(response.headers()), Some(14));
    }
    let without =
        tonic::Status::with_error_details(tonic::Code::Unavailable, "", ErrorDetails::with_request_info("7", ""));
    assert_eq!(wait(without.into_http::<()>().headers()), None);
}

/// What we write, tonic and we understand.
#[test]
fn an_answer_of_ours_is_understood() {
    let retry_after = Some(Duration::new(7, 8));
    let answer = crate::answer::Answer::of_an_open_breaker(retry_after).over_grpc();
    assert_eq!(wait(answer.headers()), retry_after);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_garbage_is_a_panic(text in "[A-Za-z0-9+/=, :]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let digits = crate::answer::base64(&bytes);
        for told in [&text, &digits] {
            let _any = wait(&headers(&[("grpc-status-details-bin", told)]));
            let _any = wait(&headers(&[("retry-after", told), ("date", &text)]));
        }
    }
}
