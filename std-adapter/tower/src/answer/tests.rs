//! What is answered, byte by byte.

use http::HeaderMap;

use super::*;

#[test]
fn base64_is_that_of_rfc_4648_without_padding() {
    for (bytes, text) in
        [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("\u{7ff}>?", "378+Pw")]
    {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
}

#[test]
fn only_grpc_itself_is_answered_as_grpc() {
    let is = |content_type: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        is_grpc(&headers)
    };
    assert!(["application/grpc", "application/grpc+proto", "Application/gRPC;x=y"].into_iter().all(is));
    assert!(
        !["application/grpc-web", "application/grpcx", "application/json", "application/grp", ""].into_iter().any(is)
    );
    assert!(!is_grpc(&HeaderMap::new()));
}

#[test]
fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
    for (millis, told) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)] {
        assert_eq!(seconds(Duration::from_millis(millis)), told);
    }
    assert_eq!(seconds(Duration::MAX), u64::MAX);
}

#[test]
fn a_name_is_quoted_and_cut() {
    let told = |name| {
        let mut text = String::new();
        quoted(name, |char| text.push(char));
        text
    };
    assert_eq!(told(r#"a "b" \ ü"#), r#""a \"b\" \\ _""#);
    assert_eq!(told("\r\nx"), "\"__x\"");
    assert_eq!(told(&"x".repeat(100)).len(), LONGEST_NAME + 2);
}
