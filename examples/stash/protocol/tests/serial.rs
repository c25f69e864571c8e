//! Frames on a serial line: what is written is read, and whatever else comes is dropped without harm to what follows.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*};
use stash_protocol::{
    PeerId,
    serial::{BoardStats, Frame, LineStats, MAX_FRAME, Reader, write},
    wire::MAX_DATAGRAM,
};

const BOB: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7001);

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn line(frame: &Frame<'_>) -> Vec<u8> {
    write(frame, &mut [0; MAX_FRAME]).unwrap().to_vec()
}

const fn datagram(bytes: &[u8]) -> Frame<'_> {
    Frame::Datagram { peer: BOB, bytes }
}

/// The datagrams in what comes, and what was counted.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, LineStats) {
    let (mut reader, mut datagrams) = (Reader::new(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() {
            if let Some(Frame::Datagram { bytes, .. }) = reader.read(&mut piece) {
                datagrams.push(bytes.to_vec());
            }
        }
    }
    (datagrams, reader.stats())
}

const fn counts(frames: u64, damaged: u64, too_long: u64) -> LineStats {
    LineStats { frames, damaged, too_long }
}

#[test]
fn every_kind_of_frame_comes_back_as_it_was() {
    let stats = BoardStats { dropped: u64::MAX, chunks_sent: u64::MAX, ..BoardStats::default() };
    let frames = [
        Frame::Start { seed: [1; 32], random: [[2; 8]; 7] },
        Frame::Started { id: PeerId::new([3; 32]), max_chunks: u32::MAX },
        datagram(&[0; MAX_DATAGRAM]),
        Frame::Datagram { peer: "[ffff:ffff:ffff:ffff::1]:65535".parse().unwrap(), bytes: &[0xff; MAX_DATAGRAM] },
        datagram(&[]),
        Frame::Taken,
        Frame::Ask { token: u32::MAX },
        Frame::Counts { token: 7, stats },
    ];
    for frame in frames {
        let bytes = line(&frame);
        assert!(bytes[1..bytes.len() - 1].iter().all(|byte| *byte != 0), "a zero inside of {frame:?}");
        let mut rest = bytes.as_slice();
        let mut reader = Reader::new();
        assert_eq!(reader.read(&mut rest), None, "the zero before it");
        assert_eq!(reader.read(&mut rest), Some(frame));
        assert!(rest.is_empty());
    }
}

#[test]
fn the_largest_counts_fit() {
    let all = u64::MAX;
    let mut stats = BoardStats { line: counts(all, all, all), dropped: all, chunks_sent: all, ..BoardStats::default() };
    let confidant = &mut stats.confidant;
    for count in [
        &mut confidant.seen,
        &mut confidant.answered,
        &mut confidant.committed,
        &mut confidant.duplicates,
        &mut confidant.fetches,
        &mut confidant.not_questions,
        &mut confidant.noted,
        &mut confidant.refused,
        &mut confidant.stored,
        &mut confidant.welcomed,
    ] {
        *count = all;
    }
    // Ten bytes for each of the 24 counts that are not reached from here.
    assert!(line(&Frame::Counts { token: u32::MAX, stats }).len() + 24 * 10 < MAX_FRAME);
}

#[test]
fn a_datagram_that_is_too_long_is_not_written() {
    assert_eq!(write(&datagram(&[1; MAX_DATAGRAM + 1]), &mut [0; MAX_FRAME]), None);
}

#[test]
fn two_frames_in_one_piece_are_two() {
    let both = [line(&datagram(b"one")), line(&datagram(b"two"))].concat();
    assert_eq!(read([both.as_slice()]), (vec![b"one".to_vec(), b"two".to_vec()], counts(2, 0, 0)));
}

#[test]
fn a_frame_in_pieces_of_one_byte_is_one() {
    let frame = line(&datagram(b"one"));
    assert_eq!(read(frame.chunks(1)), (vec![b"one".to_vec()], counts(1, 0, 0)));
}

#[test]
fn a_torn_frame_takes_nothing_with_it() {
    let (torn, good) = (line(&datagram(&[7; 300])), line(&datagram(b"good")));
    for cut in 2..torn.len() - 1 {
        // The end is missing; then the beginning.
        assert_eq!(read([&torn[..cut], &good]), (vec![b"good".to_vec()], counts(1, 1, 0)), "cut at {cut}");
        assert_eq!(read([&torn[cut..], &good]), (vec![b"good".to_vec()], counts(1, 1, 0)), "begun at {cut}");
    }
}

#[test]
fn a_turned_bit_is_noticed() {
    let (frame, good) = (line(&datagram(&[7; 40])), line(&datagram(b"good")));
    for bit in 8..8 * (frame.len() - 1) {
        let mut damaged = frame.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (datagrams, stats) = read([damaged.as_slice(), &good]);
        assert_eq!(datagrams, [b"good"], "bit {bit}");
        assert!(stats.frames == 1 && stats.damaged > 0, "{stats:?}");
    }
}

#[test]
fn what_never_ends_is_dropped_and_the_next_one_is_understood() {
    let good = line(&datagram(b"good"));
    for length in [MAX_FRAME, 10 * MAX_FRAME] {
        let endless = vec![0xaa; length];
        assert_eq!(read([endless.as_slice(), &good]), (vec![b"good".to_vec()], counts(1, 0, 1)));
        let (datagrams, stats) = read(endless.chunks(7).chain([good.as_slice()]));
        assert_eq!((datagrams, stats), (vec![b"good".to_vec()], counts(1, 0, 1)));
    }
}

#[test]
fn a_frame_with_something_behind_it_or_of_an_unknown_kind_is_none() {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let framed = |payload: &[u8]| {
        let plain = [payload, &CRC.checksum(payload).to_le_bytes()].concat();
        let mut bytes = vec![0; MAX_FRAME];
        let length = cobs::try_encode_including_sentinels(&plain, &mut bytes).unwrap();
        bytes[..length].to_vec()
    };
    assert_eq!(read([framed(&[3]).as_slice()]).1, counts(1, 0, 0), "`Taken`, as a frame of somebody else's making");
    assert_eq!(read([framed(&[3, 0]).as_slice()]).1, counts(0, 1, 0));
    assert_eq!(read([framed(&[200]).as_slice()]).1, counts(0, 1, 0));
    assert_eq!(read([framed(&[]).as_slice()]).1, counts(0, 1, 0));
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn any_noise_before_and_between_leaves_the_frames_alone(
        parts in vec((vec(any::<u8>(), 0..100), vec(any::<u8>(), 0..300)), 1..8),
        piece in 1..97_usize,
    ) {
        let bytes: Vec<u8> =
            parts.iter().flat_map(|(noise, bytes)| [noise.clone(), line(&datagram(bytes))].concat()).collect();
        let (datagrams, stats) = read(bytes.chunks(piece));
        let sent: Vec<_> = parts.iter().map(|(_, bytes)| bytes.clone()).collect();
        prop_assert_eq!(datagrams, sent);
        prop_assert_eq!(stats.frames, parts.len() as u64);
    }

    #[test]
    fn any_bytes_give_a_frame_or_nothing(bytes in vec(any::<u8>(), 0..5_000), piece in 1..2_000_usize) {
        let (datagrams, stats) = read(bytes.chunks(piece));
        let zeros = bytes.iter().filter(|byte| **byte == 0).count() as u64;
        prop_assert!(stats.frames + stats.damaged + stats.too_long <= zeros);
        prop_assert!(datagrams.iter().all(|datagram| datagram.len() <= MAX_DATAGRAM));
    }
}
