//! A serial line: whatever comes, in whatever pieces, the frames in it are found, and nothing else.

use stash_protocol::serial::{self, Frame, LineStats, MAX_FRAME, Reader};

use crate::Script;

/// Noise, and payloads of any bytes with a checksum that is right, on one line; a frame at its end is understood.
pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let piece = 1 + script.below(70) as usize;
    let mut line = Vec::new();
    let mut sound = 0;
    script.list(20, |script| match script.below(4) {
        0 => line.extend(script.bytes(60)),
        1 => line.extend(vec![script.below(256) as u8; script.below(3_000) as usize]),
        2 => line.push(0),
        _ => {
            let payload = script.bytes(120);
            line.extend(framed(payload));
            sound += 1;
        }
    });
    let last = Frame::Ask { token: u32::MAX };
    line.push(0); // so that it does not end something else
    line.extend(written(&last));

    let (frames, stats) = read([&line[..]]);
    assert_eq!(frames.last(), Some(&written(&last)), "what came before it took it along");
    assert_eq!((frames.clone(), stats), read(line.chunks(piece)), "the pieces matter");
    assert_eq!((frames.clone(), stats), read(line.split_inclusive(|byte| *byte == 0)), "the pieces matter");
    assert_eq!(stats.frames, frames.len() as u64);
    let zeros = line.iter().filter(|byte| **byte == 0).count() as u64;
    assert!(stats.frames + stats.damaged + stats.too_long <= zeros, "more was found than there are ends");
    assert!(stats.frames >= 1 && stats.frames <= sound + 1 + line.len() as u64 / 6);

    // What was found is found again.
    assert_eq!(read([&frames.concat()[..]]).0, frames);
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(payload);
    let mut frame = vec![0];
    frame.extend(cobs::encode_vec(&[payload, &checksum.to_le_bytes()].concat()));
    frame.push(0);
    frame
}

fn written(frame: &Frame<'_>) -> Vec<u8> {
    serial::write(frame, &mut [0; MAX_FRAME]).expect("it was allowed").to_vec()
}

/// Reads a line in pieces; each frame as it would be written.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, LineStats) {
    let mut reader = Reader::new();
    let mut frames = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let left = piece.len();
            frames.extend(reader.read(&mut piece).map(|frame| written(&frame)));
            assert!(piece.len() < left, "no progress");
        }
    }
    (frames, reader.stats())
}
