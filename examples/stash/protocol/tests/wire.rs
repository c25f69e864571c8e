//! Datagrams: what is written is read, and nothing else is.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::{IpAddr, SocketAddr};

use proptest::{collection::vec, prelude::*};
use stash_protocol::{
    Body, Chunk, Holding, Identity, Manifest, Message, Name, PeerId, Refusal, Sealed,
    wire::{self, MAX_DATAGRAM, WireError},
};

fn alice() -> Identity {
    Identity::from_seed(&[1; 32])
}

fn bob() -> Identity {
    Identity::from_seed(&[2; 32])
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What a message can say, from numbers and bytes of any value.
fn body<'a>(kind: u8, [a, b, c]: [u32; 3], name: &'a str, sealed: &'a [u8], address: SocketAddr) -> Body<'a> {
    let version = u64::from(a) << 32 | u64::from(b);
    let chunk = Chunk { version, chunks: b, index: c, sealed: Sealed::new(sealed).unwrap() };
    let manifest = Manifest { version, chunks: c, sealed: sealed.iter().copied().take(80).collect() };
    let name = Name::new(name).unwrap();
    let several = usize::try_from(a % 17).unwrap();
    match kind % 12 {
        0 => Body::Refresh { name },
        1 => Body::Welcome { name, held: (a.is_multiple_of(2)).then_some(version), room: c.is_multiple_of(2) },
        2 => Body::Store(chunk),
        3 => Body::Commit(manifest),
        4 => Body::Ack,
        5 => Body::Request,
        6 => Body::Response {
            manifest: (a.is_multiple_of(2)).then_some(manifest),
            elsewhere: std::iter::repeat_n(address, several % 5).collect(),
        },
        7 => Body::Fetch { version, first: b, want: c },
        8 => Body::Chunk(chunk),
        9 => Body::Refused(Refusal::Incomplete { first: b, missing: c }),
        10 => Body::Refused(Refusal::RateLimited { retry_after_millis: c }),
        _ => Body::Holding(std::iter::repeat_n(Holding { owner: alice().id(), version }, several % 17).collect()),
    }
}

fn message<'a>(id: u64, cookie: u64, body: Body<'a>) -> Message<'a> {
    let in_reply_to = body.is_reply().then_some(id.rotate_left(7));
    let to = (!body.may_greet() || id.is_multiple_of(2)).then(|| bob().id());
    Message { from: alice().id(), to, id, in_reply_to, cookie, body }
}

fn datagram(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = [0; MAX_DATAGRAM];
    wire::seal(message, &alice(), &mut buffer).unwrap().to_vec()
}

prop_compose! {
    fn any_datagram()(
        kind: u8, id: u64, cookie: u64, numbers: [u32; 3], ip: IpAddr, port: u16,
        name in "[a-zé]{1,16}", sealed in vec(any::<u8>(), Sealed::OVERHEAD..=Sealed::MAX),
    ) -> Vec<u8> {
        datagram(&message(id, cookie, body(kind, numbers, &name, &sealed, SocketAddr::new(ip, port))))
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn what_is_sealed_is_opened(
        kind: u8, id: u64, cookie: u64, numbers: [u32; 3], ip: IpAddr, port: u16,
        name in "[a-zé]{1,16}", sealed in vec(any::<u8>(), Sealed::OVERHEAD..=Sealed::MAX),
    ) {
        let message = message(id, cookie, body(kind, numbers, &name, &sealed, SocketAddr::new(ip, port)));
        let bytes = datagram(&message);
        prop_assert!(bytes.len() <= MAX_DATAGRAM);
        prop_assert_eq!(&*wire::open(&bytes, &bob().id()).unwrap(), &message);
    }

    #[test]
    fn a_changed_byte_is_refused(mut bytes in any_datagram(), at: prop::sample::Index, change in 1_u8..) {
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(wire::open(&bytes, &bob().id()).is_err());
    }

    #[test]
    fn a_cut_or_longer_datagram_is_refused(bytes in any_datagram(), at: prop::sample::Index, more in vec(any::<u8>(), 1..99)) {
        prop_assert!(wire::open(&bytes[..at.index(bytes.len())], &bob().id()).is_err());
        prop_assert!(wire::open(&[bytes, more].concat(), &bob().id()).is_err());
    }

    #[test]
    fn another_peer_does_not_take_it(bytes in any_datagram()) {
        let carol = Identity::from_seed(&[3; 32]).id();
        match wire::open(&bytes, &carol) {
            Ok(verified) => prop_assert!(verified.to.is_none() && verified.body.may_greet()),
            Err(error) => prop_assert_eq!(error, WireError::WrongDestination),
        }
        prop_assert_eq!(wire::open(&bytes, &alice().id()), Err(WireError::WrongDestination), "its own sender");
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..1_400)) {
        prop_assert!(wire::open(&bytes, &bob().id()).is_err());
    }

    /// The label, the version and the length of a signature are right, so that the message itself is read.
    #[test]
    fn any_message_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 64..400)) {
        let bytes = [b"steadfast stash\x01".as_slice(), &bytes].concat();
        prop_assert!(wire::open(&bytes, &bob().id()).is_err());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = [7; 100];
    for kind in [2, 4, 6] {
        let message = message(u64::MAX, 9, body(kind, [2, 3, 4], "alice", &sealed, "[::1]:7001".parse().unwrap()));
        let bytes = datagram(&message);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(wire::open(&flipped, &bob().id()).is_err(), "bit {bit} of kind {kind}");
        }
    }
}

#[test]
fn the_largest_chunk_fits() {
    let sealed = [0; Sealed::MAX];
    let chunk = Chunk { version: u64::MAX, chunks: u32::MAX, index: u32::MAX, sealed: Sealed::new(&sealed).unwrap() };
    let longest = message(u64::MAX, u64::MAX, Body::Chunk(chunk));
    assert!(datagram(&Message { in_reply_to: Some(u64::MAX), ..longest }).len() <= MAX_DATAGRAM);
}

#[test]
fn each_fault_has_its_error() {
    let open = |bytes: &[u8]| wire::open(bytes, &bob().id()).map(|_| ());
    let bytes = datagram(&message(2, 0, Body::Request));
    assert_eq!(open(&bytes), Ok(()));
    assert_eq!(open(&[0; MAX_DATAGRAM + 1]), Err(WireError::TooLong));
    assert_eq!(open(&[]), Err(WireError::Malformed));

    let mut other_version = bytes.clone();
    other_version[15] = 2;
    assert_eq!(open(&other_version), Err(WireError::Version(2)));

    let mut other_signature = bytes.clone();
    *other_signature.last_mut().unwrap() ^= 1;
    assert_eq!(open(&other_signature), Err(WireError::BadSignature));

    let to_nobody = Message { to: None, ..message(2, 0, Body::Request) };
    assert_eq!(open(&datagram(&to_nobody)), Err(WireError::WrongDestination), "only a greeting may go to anyone");
    let reply_to_nothing = Message { in_reply_to: None, ..message(2, 0, Body::Ack) };
    assert_eq!(open(&datagram(&reply_to_nothing)), Err(WireError::Malformed));
    let question_as_reply = Message { in_reply_to: Some(1), ..message(2, 0, Body::Request) };
    assert_eq!(open(&datagram(&question_as_reply)), Err(WireError::Malformed));
}

/// The seed's message ids left out the receiver, and its signature left out `in_reply_to`.
#[test]
fn seed_0_3_sender_receiver_id_and_reply_are_all_signed() {
    let original = Message { in_reply_to: Some(5), ..message(4, 6, Body::Ack) };
    let bytes = datagram(&original);
    let (_, signature) = bytes.split_last_chunk::<64>().unwrap();
    let carol = Identity::from_seed(&[3; 32]).id();
    for changed in [
        Message { from: carol, ..original.clone() },
        Message { id: 7, ..original.clone() },
        Message { in_reply_to: Some(7), ..original.clone() },
        Message { cookie: 7, ..original.clone() },
        Message { body: Body::Refused(Refusal::Busy), ..original.clone() },
    ] {
        let mut forged = datagram(&changed);
        *forged.last_chunk_mut::<64>().unwrap() = *signature;
        assert_eq!(wire::open(&forged, &bob().id()), Err(WireError::BadSignature), "{changed:?}");
    }
    let mut redirected = datagram(&Message { to: Some(carol), ..original });
    *redirected.last_chunk_mut::<64>().unwrap() = *signature;
    assert_eq!(wire::open(&redirected, &carol), Err(WireError::BadSignature));
}

/// For a key of small order anybody can make signatures.
#[test]
fn a_weak_key_signs_nothing() {
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let from_weak = Message { from: PeerId::new(neutral), ..message(2, 0, Body::Request) };
    let mut bytes = datagram(&from_weak);
    *bytes.last_chunk_mut::<64>().unwrap() = [0; 64];
    bytes.last_chunk_mut::<64>().unwrap()[0] = 1; // R is the neutral element and s is 0: the equation holds
    assert_eq!(wire::open(&bytes, &bob().id()), Err(WireError::BadSignature));
}

#[test]
fn names_and_chunks_out_of_bounds_are_malformed() {
    let bytes = datagram(&message(2, 0, Body::Refresh { name: Name::new("alice").unwrap() }));
    let at = bytes.windows(5).position(|window| window == b"alice").unwrap();
    let mut control = bytes.clone();
    control[at] = b'\x1b';
    assert_eq!(wire::open(&control, &bob().id()), Err(WireError::Malformed));
    assert_eq!(Sealed::new(&[0; Sealed::MAX + 1]), None);
    assert_eq!(Sealed::new(&[0; Sealed::OVERHEAD - 1]), None);
}

/// `steadfast stash`, version 1: these bytes may not change without a new version.
#[test]
fn the_format_is_pinned() {
    let ack =
        Message { from: alice().id(), to: Some(bob().id()), id: 1, in_reply_to: Some(2), cookie: 3, body: Body::Ack };
    let bytes = datagram(&ack);
    let (signed, _) = bytes.split_last_chunk::<64>().unwrap();
    let expected = [
        b"steadfast stash\x01".as_slice(),
        alice().id().as_bytes(),
        &[1],
        bob().id().as_bytes(),
        &1_u64.to_le_bytes(),
        &[1, 2],
        &3_u64.to_le_bytes(),
        &[4],
    ]
    .concat();
    assert_eq!(signed, expected);
}
