use proptest::prelude::*;

use super::*;
use crate::time::SECOND;

const AT: u64 = 1_136_239_445 * SECOND;
const COMBINED: &str = r#"203.0.113.7 - Jane Doe [02/Jan/2006:15:04:05 -0700] "GET /a/b?c=d HTTP/1.1" 429 12 "https://x.example/\"" "Mozilla/5.0 (a b)""#;

#[track_caller]
fn check(line: &str, by: &str, after: u64, key: &str) {
    let read = read_line(line, &KeyBy::read(by).unwrap()).unwrap();
    assert_eq!((read.stamp.at, read.key.as_ref()), (AT + after, key));
}

#[track_caller]
fn refused(line: &str, by: &str, why: Unread) {
    assert_eq!(read_line(line, &KeyBy::read(by).unwrap()), Err(why));
}

#[test]
fn combined_and_common() {
    check(COMBINED, "address", 0, "203.0.113.7");
    check(COMBINED, "user", 0, "Jane Doe");
    check(COMBINED, "path", 0, "/a/b");
    check(COMBINED, "User-Agent", 0, "Mozilla/5.0 (a b)");
    check(COMBINED, "referer", 0, r#"https://x.example/\""#);
    assert_eq!(read_line(COMBINED, &KeyBy::ADDRESS).unwrap().status, Some(429));
    let (common, _) = COMBINED.split_once(" \"https").unwrap();
    check(common, "address", 0, "203.0.113.7");
    refused(common, "user-agent", Unread::Key);
    check(&format!("www.example:443 {COMBINED}"), "address", 0, "203.0.113.7");
    check(&format!("www.example:443 {COMBINED}"), "user", 0, "Jane Doe");
}

#[test]
fn fields_behind_a_line_tell_more() {
    let line = format!(r#"{COMBINED} "-" msec=1136239445.250 rt=0.050 limit=PASSED key="a b" empty= x=y"#);
    check(&line, "address", 200_000_000, "203.0.113.7");
    assert!(!read_line(&line, &KeyBy::ADDRESS).unwrap().stamp.whole);
    check(&line, "limit", 200_000_000, "PASSED");
    check(&line, "KEY", 200_000_000, "a b");
    check(&line, "x", 200_000_000, "y");
    refused(&line, "empty", Unread::Key);
    refused(&line, "imit", Unread::Key);
}

#[test]
fn json_of_caddy_traefik_and_nginx() {
    let caddy = r#"{"ts":1136239445.25,"request":{"remote_ip":"10.0.0.1","client_ip":"2001:db8::7","uri":"/a?b",
        "headers":{"X-Api-Key":["k1"]}},"duration":0.25,"status":200,"user_id":"jane"}"#;
    check(caddy, "address", 0, "2001:db8::/64");
    check(caddy, "user", 0, "jane");
    check(caddy, "path", 0, "/a");
    check(caddy, "x-api-key", 0, "k1");
    check(caddy, "request.remote_ip", 0, "10.0.0.1");
    let traefik = r#"{"ClientHost":"203.0.113.7","StartUTC":"2006-01-02T22:04:05.5Z","time":"2006-01-02T22:04:09Z",
        "Duration":400,"DownstreamStatus":200,"ClientUsername":"-","RequestPath":"/a"}"#;
    check(traefik, "address", 500_000_000, "203.0.113.7");
    refused(traefik, "user", Unread::Key);
    let nginx = r#"{"time_iso8601":"2006-01-02T15:04:05-07:00","remote_addr":"203.0.113.7","request_time":"1.000"}"#;
    let read = read_line(nginx, &KeyBy::ADDRESS).unwrap();
    assert_eq!((read.stamp.at, read.stamp.whole), (AT - SECOND, true));
    refused("{", "address", Unread::Format);
    refused(r#"{"remote_addr":"203.0.113.7"}"#, "address", Unread::Time);
    refused(r#"{"ts":1,"client":"a","cost":0}"#, "address", Unread::Cost);
}

#[test]
fn load_balancers_of_aws() {
    let line = r#"h2 2006-01-02T22:04:05.500000Z app/lb/5 [2001:db8::7]:2817 10.0.0.1:80 0.100 0.200 0.100 200 200 34 366 "GET https://www.example:443/a?b HTTP/2.0" "curl/7.46.0" ECDHE TLSv1.2 arn:aws "Root=1" "www.example" "arn:aws" 0"#;
    check(line, "address", 100_000_000, "2001:db8::/64");
    check(line, "path", 100_000_000, "/a");
    check(line, "user-agent", 100_000_000, "curl/7.46.0");
    refused(line, "user", Unread::Key);
    check(&format!("{line} 2006-01-02T22:04:05.300000Z \"forward\""), "address", 300_000_000, "2001:db8::/64");
    refused("http 2006-01-02T22:04:05.500000Z app/lb/5", "address", Unread::Format);
}

#[test]
fn tables() {
    check("1136239445.5,jane", "address", 500_000_000, "jane");
    check("1136239445\t203.0.113.7:80", "address/24", 0, "203.0.113.0/24");
    check("2006-01-02T22:04:05Z; \"x\";3", "address", 0, "\"x\"");
    check("\"2006-01-02 22:04:05\",\"a,\"\"b\"\"\",7", "address", 0, "a,\"b\"");
    assert_eq!(read_line("1,a,7", &KeyBy::User).unwrap().cost.get(), 7);
    refused("1,a,0", "address", Unread::Cost);
    refused("1,a,x", "address", Unread::Cost);
    refused("1,,1", "address", Unread::Key);
    refused("yesterday,a,1", "address", Unread::Format);
    assert!(
        is_heading("time,key,cost") && is_heading("\"Timestamp\"\tkey") && !is_heading("time") && !is_heading("1,a")
    );
}

proptest! {
    /// Whatever a line is, reading it ends without a panic.
    #[test]
    fn no_line_panics(line in ".*", by in "address|address/0/0|user|path|[a-z=]{1,3}") {
        let by = KeyBy::read(&by).unwrap();
        let _ = read_line(&line, &by);
    }

    /// Nor does a line that is nearly right: a good one with one piece replaced, or cut off.
    #[test]
    fn no_damaged_line_panics(
        kind in 0_usize..4, from in 0_usize..300, to in 0_usize..300, with in ".{0,3}",
        by in "address|address/0/0|user|path|referer|limit",
    ) {
        let lines = [
            &format!("{COMBINED} msec=1.5 limit=\"a\""),
            r#"http 2006-01-02T22:04:05.5Z lb 203.0.113.7:1 - 0.1 -1 -1 200 200 0 0 "GET /a HTTP/1.1" "é" - - - "" "" "" 0 -"#,
            r#"{"ts":1136239445.25,"request":{"client_ip":"203.0.113.7","uri":"/é"},"duration":1e300,"cost":1}"#,
            "1136239445.25;\"a\"\"é\";1",
        ];
        let line: Vec<char> = lines[kind].chars().collect();
        let (from, to) = (from.min(line.len()), to.min(line.len()));
        let damaged: String = line[..from].iter().copied().chain(with.chars()).chain(line[to..].iter().copied()).collect();
        let by = KeyBy::read(&by).unwrap();
        if let Ok(read) = read_line(&damaged, &by) {
            prop_assert!(!read.key.is_empty());
        }
    }
}
