//! Frames on a serial line, for a peer that has a UART and no network: a bridge at the other end has the socket.
//!
//! ```text
//! 0 | COBS( postcard(Frame) | CRC-32 of it ) | 0
//! ```
//!
//! No byte of a frame is 0, so a reader is in step again at the next 0, whatever was lost, cut or made up before it.
//! The checksum is for noise; who sent a datagram is a matter of its signature.

use core::net::SocketAddr;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use serde::{Deserialize, Serialize};
use steadfast_core::{dedup_cache::DedupStats, logger::LoggerStats};

use crate::{ConfidantStats, PeerId, wire::MAX_DATAGRAM};

/// The most bytes of a frame before they are encoded: a datagram, its length, the longest address, kind and checksum.
const MAX_DECODED: usize = MAX_DATAGRAM + 2 + 1 + 16 + 3 + 1 + CHECKSUM;

/// The most bytes between two zeros.
const MAX_ENCODED: usize = cobs::max_encoding_length(MAX_DECODED);

/// The most bytes that one frame takes on the line.
pub const MAX_FRAME: usize = MAX_ENCODED + 2;

const CHECKSUM: usize = 4;

/// Without its table of 1 KiB: a signature takes a hundred times longer.
const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What a board and its bridge say to each other.
#[expect(clippy::large_enum_variant, reason = "there is no heap to box it on, and one frame lives at a time")]
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Frame<'a> {
    /// To a board without randomness of its own. Answered with `Started`; only the first one counts.
    Start {
        /// The seed of its [`Identity`](crate::Identity): the same at each start.
        seed: [u8; 32],
        /// Random bytes, new at each start: for a [`RunSecret`](crate::RunSecret), and for a
        /// [`HashSeed`](steadfast_core::HashSeed).
        random: [[u8; 8]; 7],
    },
    /// From the board: it serves.
    Started {
        /// Its key.
        id: PeerId,
        /// How many chunks it takes from one owner.
        max_chunks: u32,
    },
    /// A datagram: to the board, from this address; from the board, to this address.
    Datagram {
        /// The address.
        peer: SocketAddr,
        /// The datagram.
        #[serde(borrow)]
        bytes: &'a [u8],
    },
    /// From the board: a datagram was handled, and its answers are sent. There is room for another one.
    Taken,
    /// "What have you done so far?" Answered with `Counts`.
    Ask {
        /// Comes back with the answer.
        token: u32,
    },
    /// What the board has done so far.
    Counts {
        /// That of the question.
        token: u32,
        /// The counts.
        stats: BoardStats,
    },
}

/// What a board has counted since its start.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BoardStats {
    /// Frames on its line.
    pub line: LineStats,
    /// Datagrams that were no message for it.
    pub dropped: u64,
    /// Messages, by what became of them.
    pub confidant: ConfidantStats,
    /// Ids of messages: each is handled once.
    pub dedup: DedupStats,
    /// How many recoveries the limits have allowed and denied.
    pub recoveries: [u64; 2],
    /// Chunks that it has sent to their owners.
    pub chunks_sent: u64,
    /// Events of its log.
    pub log: LoggerStats,
    /// The most bytes of stack that were in use at once, and how many there are.
    pub stack: [u32; 2],
}

/// What a [`Reader`] has found between zeros.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LineStats {
    /// Frames.
    pub frames: u64,
    /// Cut short, damaged or never a frame.
    pub damaged: u64,
    /// Longer than any frame.
    pub too_long: u64,
}

/// Writes a frame as the bytes that go onto the line; nothing if a datagram is longer than [`MAX_DATAGRAM`].
pub fn write<'b>(frame: &Frame<'_>, buffer: &'b mut [u8; MAX_FRAME]) -> Option<&'b [u8]> {
    if !is_allowed(frame) {
        return None;
    }
    let mut plain = [0; MAX_DECODED];
    let (payload, _) = plain.split_last_chunk_mut::<CHECKSUM>()?;
    let length = postcard::to_slice(frame, payload).ok()?.len();
    let checksum = CRC.checksum(plain.get(..length)?);
    plain.get_mut(length..)?.first_chunk_mut().map(|place| *place = checksum.to_le_bytes())?;
    let end = cobs::try_encode_including_sentinels(plain.get(..length.checked_add(CHECKSUM)?)?, buffer).ok()?;
    buffer.get(..end)
}

/// Finds the frames in what comes from a line, in pieces of any length.
///
/// What is no frame is counted and dropped; the frame behind it is understood.
#[derive(Clone, Debug)]
pub struct Reader {
    buffer: [u8; MAX_ENCODED],
    length: usize,
    stats: LineStats,
}

impl Reader {
    /// A reader that has seen nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: [0; MAX_ENCODED], length: 0, stats: LineStats { frames: 0, damaged: 0, too_long: 0 } }
    }

    /// Takes `bytes` up to the end of one frame, and gives that frame if there is one. Call it until `bytes` is empty.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Option<Frame<'_>> {
        let end = bytes.iter().position(|byte| *byte == 0);
        let (piece, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len()))?;
        self.keep(piece);
        *bytes = rest.split_first().map_or(rest, |(_zero, rest)| rest);
        end?;
        let encoded = match core::mem::take(&mut self.length) {
            0 => return None, // two zeros in a row: the end of one frame and the beginning of the next
            length => self.buffer.get_mut(..length),
        };
        let Some(encoded) = encoded else {
            self.stats.too_long = self.stats.too_long.saturating_add(1);
            return None;
        };
        let frame = decode(encoded);
        let count = if frame.is_some() { &mut self.stats.frames } else { &mut self.stats.damaged };
        *count = count.saturating_add(1);
        frame
    }

    /// What it has found so far.
    #[must_use]
    pub const fn stats(&self) -> LineStats {
        self.stats
    }

    /// Keeps the beginning of what is too long, and its length.
    fn keep(&mut self, piece: &[u8]) {
        let places = self.buffer.get_mut(self.length..).unwrap_or_default();
        places.iter_mut().zip(piece).for_each(|(place, byte)| *place = *byte);
        self.length = self.length.saturating_add(piece.len());
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

fn decode(encoded: &mut [u8]) -> Option<Frame<'_>> {
    let length = cobs::decode_in_place(encoded).ok()?;
    let (payload, checksum) = encoded.get(..length)?.split_last_chunk()?;
    if CRC.checksum(payload).to_le_bytes() != *checksum {
        return None;
    }
    match postcard::take_from_bytes(payload).ok()? {
        (frame, []) if is_allowed(&frame) => Some(frame),
        _ => None,
    }
}

const fn is_allowed(frame: &Frame<'_>) -> bool {
    !matches!(frame, Frame::Datagram { bytes, .. } if bytes.len() > MAX_DATAGRAM)
}
