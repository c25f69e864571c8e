//! Whom a request counts for, whatever a client claims.

use core::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;

use super::*;

fn forwarded(lines: &[&[u8]]) -> Request<()> {
    let mut request = Request::new(());
    for line in lines {
        let name = HeaderName::from_static("x-forwarded-for");
        request.headers_mut().append(name, HeaderValue::from_bytes(line).unwrap());
    }
    request
}

fn from(peer: &str, lines: &[&[u8]]) -> Request<()> {
    let mut request = forwarded(lines);
    request.extensions_mut().insert(PeerAddr(SocketAddr::new(ip(peer), 40_000)));
    request
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn is(text: &str) -> Result<Option<IpAddr>, NoKey> {
    Ok(Some(ip(text)))
}

#[test]
fn a_client_that_connects_itself_is_believed_nothing() {
    let request = from("203.0.113.7", &[b"10.0.0.1", b"10.0.0.2"]);
    assert_eq!(PeerIp::direct().key_of(&request), is("203.0.113.7"));
    assert_eq!(PeerIp::direct().key_of(&forwarded(&[b"10.0.0.1"])), Err(NoKey), "nobody says who connected");
}

#[test]
fn behind_proxies_the_hop_counts_from_the_right_over_all_lines() {
    let lines: &[&[u8]] = &[b"1.1.1.1, 2.2.2.2", b"3.3.3.3", b"4.4.4.4 ,5.5.5.5"];
    for (hops, client) in [(1, "5.5.5.5"), (2, "4.4.4.4"), (3, "3.3.3.3"), (4, "2.2.2.2"), (5, "1.1.1.1")] {
        assert_eq!(PeerIp::behind(hops).key_of(&forwarded(lines)), is(client));
    }
    assert_eq!(PeerIp::behind(6).key_of(&forwarded(lines)), Err(NoKey), "it came another way");
    assert_eq!(PeerIp::behind(1).key_of(&from("10.0.0.1", &[])), Err(NoKey));
}

#[test]
fn an_address_may_have_brackets_and_a_port() {
    for (told, address) in [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("2001:db8::", "2001:db8::"),
        ("[2001:db8::]", "2001:db8::"),
        ("[2001:db8::]:443", "2001:db8::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        (", 203.0.113.7 ,, ", "203.0.113.7"),
    ] {
        assert_eq!(PeerIp::behind(1).key_of(&forwarded(&[told.as_bytes()])), is(address), "{told}");
    }
}

#[test]
fn what_is_no_address_is_no_key() {
    for told in [
        "unknown",
        "_hidden",
        "203.0.113",
        "203.0.113.7:",
        "203.0.113.7:port",
        "203.0.113.7:99999",
        "[203.0.113.7]",
        "[2001:db8::",
        "2001:db8::]",
        "[2001:db8::]443",
        "[2001:db8::]:",
        "fe80::1%eth0",
        "\"203.0.113.7\"",
        "::ffff:1.2.3.4:5",
        "203.0.113.7 10.0.0.1",
        "0x7f000001",
        "127.1",
        "203.0.113.07",
        "ü",
    ] {
        assert_eq!(PeerIp::behind(1).key_of(&forwarded(&[told.as_bytes()])), Err(NoKey), "{told}");
    }
}

#[test]
fn addresses_of_one_prefix_are_one_client() {
    let key = |peer_ip: PeerIp, told: &str| peer_ip.key_of(&forwarded(&[told.as_bytes()])).unwrap().unwrap();
    let of = |prefix, told| key(PeerIp::behind(1).v6_prefix(prefix), told);
    assert_eq!(key(PeerIp::behind(1), "2001:db8:0:1:2:3:4:5"), ip("2001:db8:0:1::"));
    assert_eq!(of(48, "2001:db8:0:1:2:3:4:5"), ip("2001:db8::"));
    assert_eq!(of(128, "2001:db8:0:1:2:3:4:5"), ip("2001:db8:0:1:2:3:4:5"));
    assert_eq!((of(0, "2001:db8::1"), of(200, "2001:db8::1")), (ip("::"), ip("2001:db8::1")));
    assert_eq!(of(64, "203.0.113.7"), ip("203.0.113.7"), "an IPv4 address is one client");
}

#[test]
fn trusted_proxies_are_believed_and_nobody_else() {
    let peer_ip = PeerIp::trusted(["10.0.0.0/8", "fd00::/8", "192.0.2.7"]).unwrap();
    let key = |peer, lines: &[&[u8]]| peer_ip.key_of(&from(peer, lines));
    assert_eq!(key("203.0.113.7", &[b"10.0.0.1"]), is("203.0.113.7"), "it came past the proxies");
    assert_eq!(key("10.0.0.1", &[b"10.9.9.9, 203.0.113.7, 10.0.0.3", b"192.0.2.7"]), is("203.0.113.7"));
    assert_eq!(key("::ffff:10.0.0.1", &[b"203.0.113.7:80"]), is("203.0.113.7"), "a listener for both families");
    assert_eq!(key("fd00::1", &[b"1.1.1.1, 2001:db8::1"]), is("2001:db8::"));
    assert_eq!(key("10.0.0.1", &[b"10.0.0.2, 10.0.0.3"]), is("10.0.0.2"), "a client among the proxies");
    assert_eq!(key("10.0.0.1", &[]), is("10.0.0.1"), "a proxy that asks by itself");
    assert_eq!(key("10.0.0.1", &[b"203.0.113.7, unknown, 10.0.0.3"]), is("10.0.0.3"), "nobody says who was before");
    assert_eq!(peer_ip.key_of(&forwarded(&[b"203.0.113.7"])), Err(NoKey), "nobody says who connected");
}

#[test]
fn networks_that_are_none_or_everyone_are_refused() {
    for network in
        ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/0", "::/0", "::ffff:10.0.0.0/95", "-"]
    {
        let error = PeerIp::trusted([network]).unwrap_err();
        assert!(error.to_string().contains(network), "{error}");
    }
    let mapped = PeerIp::trusted(["::ffff:10.0.0.0/104", "10.1.2.3/8"]).unwrap();
    assert_eq!(mapped.key_of(&from("10.200.0.1", &[b"203.0.113.7"])), is("203.0.113.7"));
    assert_eq!(mapped.key_of(&from("11.0.0.1", &[b"203.0.113.7"])), is("11.0.0.1"));
}

#[test]
fn the_peer_is_found_where_the_server_says() {
    #[derive(Clone)]
    struct Connection(IpAddr);
    let peer_ip = PeerIp::direct().peer(|extensions| extensions.get().map(|Connection(peer)| *peer));
    let mut request = from("203.0.113.7", &[]);
    assert_eq!(peer_ip.key_of(&request), Err(NoKey));
    request.extensions_mut().insert(Connection(ip("198.51.100.1")));
    assert_eq!(peer_ip.key_of(&request), is("198.51.100.1"));
}

#[test]
fn a_header_is_a_key_if_there_is_exactly_one() {
    let request = |values: &[&str]| {
        values.iter().fold(Request::builder(), |request, value| request.header("x-api-key", *value)).body(()).unwrap()
    };
    assert_eq!(Header("X-Api-Key").key_of(&request(&["k1"])), Ok(Some(HeaderValue::from_static("k1"))));
    for values in [&[][..], &[""], &["k1", "k2"], &["k1", "k1"]] {
        assert_eq!(Header("x-api-key").key_of(&request(values)), Err(NoKey), "{values:?}");
    }
    assert_eq!(Header("no name").key_of(&request(&["k1"])), Err(NoKey));
}

#[test]
fn a_pair_is_both_and_not_limited_if_one_of_them_is_not() {
    let free = |_: &Request<()>| Ok(None::<()>);
    let request = from("203.0.113.7", &[]);
    assert_eq!((PeerIp::direct(), Everyone).key_of(&request), Ok(Some((ip("203.0.113.7"), ()))));
    assert_eq!((PeerIp::direct(), free).key_of(&request), Ok(None));
    assert_eq!((free, Header("x-api-key")).key_of(&request), Err(NoKey));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a client sends, in however many lines: what the proxies append to the last one decides.
    #[test]
    fn no_header_of_a_client_changes_its_key(
        mut lines in prop::collection::vec("[ -~\\x80-\\xff]{0,40}", 0..4),
        client in any::<[u8; 4]>(),
        as_a_line in any::<bool>(),
    ) {
        let client = IpAddr::from(client);
        prop_assume!(client.to_string().split('.').next() != Some("10"));
        let appended = format!("{client}, 10.0.0.2");
        match lines.last_mut().filter(|_| !as_a_line) {
            Some(line) => *line = format!("{line}, {appended}"),
            None => lines.push(appended),
        }
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let request = from("10.0.0.1", &lines);
        prop_assert_eq!(PeerIp::behind(2).key_of(&request), Ok(Some(client)));
        prop_assert_eq!(PeerIp::trusted(["10.0.0.0/8"]).unwrap().key_of(&request), Ok(Some(client)));
    }
}
