//! `HalfSipHash`-1-3: `SipHash` in words of 32 bits, with a key of 64, for hash tables.
//!
//! No crate has it. Linux hashes its tables with the same function on 32-bit machines.
//!
//! Source: J.-P. Aumasson, reference implementation of `SipHash`, `halfsiphash.c`.

use core::hash::Hasher;

#[derive(Clone)]
pub(super) struct HalfSipHasher13 {
    v: [u32; 4],
    /// The bytes that do not fill a word yet, the first one lowest.
    tail: u32,
    /// How many bytes came in all.
    len: u32,
}

impl HalfSipHasher13 {
    pub(super) const fn new_with_keys(low: u32, high: u32) -> Self {
        Self { v: [low, high, low ^ 0x6c79_6765, high ^ 0x7465_6462], tail: 0, len: 0 }
    }

    /// How many bits of the tail are used.
    const fn shift(&self) -> u32 {
        self.len.wrapping_mul(8) & 31
    }

    /// The hash of what came so far: 32 bits.
    #[inline(always)]
    const fn digest(&self) -> u32 {
        let [v0, v1, v2, v3] = compress(self.v, self.len.wrapping_shl(24) | self.tail);
        let [_, v1, _, v3] = round(round(round([v0, v1, v2 ^ 0xff, v3])));
        v1 ^ v3
    }
}

impl Hasher for HalfSipHasher13 {
    /// Twice the same 32 bits, since tables use the upper half and shards the lower.
    #[inline(always)]
    fn finish(&self) -> u64 {
        let digest = u64::from(self.digest());
        digest << 32 | digest
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        // Keys begin at a word; what does not is rare enough to go byte by byte.
        let (words, rest) = if self.shift() == 0 { bytes.as_chunks() } else { (&[][..], bytes) };
        let mut v = self.v;
        for word in words {
            v = compress(v, u32::from_le_bytes(*word));
        }
        self.v = v;
        self.len = self.len.wrapping_add((words.len() as u32).wrapping_mul(4));
        for byte in rest {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.tail |= u32::from(byte) << self.shift();
        self.len = self.len.wrapping_add(1);
        if self.shift() == 0 {
            self.v = compress(self.v, self.tail);
            self.tail = 0;
        }
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        let shift = self.shift();
        self.v = compress(self.v, self.tail | word << shift);
        self.tail = above(word, shift);
        self.len = self.len.wrapping_add(4);
    }

    fn write_u64(&mut self, number: u64) {
        self.write_u32(number as u32);
        self.write_u32((number >> 32) as u32);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u32(number as u32);
    }
}

/// What of `word` does not fit into a tail that is `shift` bits full.
const fn above(word: u32, shift: u32) -> u32 {
    word >> 1 >> (31 ^ shift)
}

#[inline(always)]
const fn compress([v0, v1, v2, v3]: [u32; 4], word: u32) -> [u32; 4] {
    let [v0, v1, v2, v3] = round([v0, v1, v2, v3 ^ word]);
    [v0 ^ word, v1, v2, v3]
}

#[inline(always)]
const fn round([mut v0, mut v1, mut v2, mut v3]: [u32; 4]) -> [u32; 4] {
    v0 = v0.wrapping_add(v1);
    v2 = v2.wrapping_add(v3);
    v1 = v1.rotate_left(5) ^ v0;
    v3 = v3.rotate_left(8) ^ v2;
    v0 = v0.rotate_left(16).wrapping_add(v3);
    v2 = v2.wrapping_add(v1);
    v3 = v3.rotate_left(7) ^ v0;
    v1 = v1.rotate_left(13) ^ v2;
    [v0, v1, v2.rotate_left(16), v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: HalfSipHasher13 = HalfSipHasher13::new_with_keys(0x0302_0100, 0x0706_0504);

    /// Of the bytes 0, 1, 2 and so on: the vectors of Linux's `siphash_kunit.c` for 32-bit machines, by length.
    #[test]
    fn it_agrees_with_the_vectors_of_linux() {
        let vectors = [
            (0, 0x5814_c896),
            (1, 0xe7e8_64ca),
            (2, 0xbc4b_0e30),
            (3, 0x0153_9939),
            (4, 0x7e05_9ea6),
            (5, 0x88e3_d89b),
            (6, 0xa008_0b65),
            (7, 0x9d38_d9d6),
            (8, 0x5779_99b1),
        ];
        for (len, digest) in vectors {
            let bytes: [u8; 8] = core::array::from_fn(|index| index as u8);
            let mut hasher = EMPTY;
            hasher.write(&bytes[..len]);
            assert_eq!(hasher.digest(), digest, "{len} bytes");
        }
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_bytes_come() {
        let mut whole = EMPTY;
        whole.write(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
        let mut pieces = EMPTY;
        pieces.write_u8(1);
        pieces.write_u32(u32::from_le_bytes([2, 3, 4, 5]));
        pieces.write(&[6, 7]);
        pieces.write_u64(u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15]));
        pieces.write(&[16, 17, 18]);
        assert_eq!(whole.finish(), pieces.finish());
    }
    #[test]
    fn a_hash_fills_both_halves_and_depends_on_both_keys() {
        let hash = |low, high| {
            let mut hasher = HalfSipHasher13::new_with_keys(low, high);
            hasher.write_usize(7);
            hasher.finish()
        };
        let whole = hash(0x0302_0100, 0x0706_0504);
        assert_eq!(whole >> 32, whole & 0xffff_ffff);
        let mut bytes = EMPTY;
        bytes.write(&7_u32.to_le_bytes());
        assert_eq!(whole as u32, bytes.digest());
        assert_ne!(hash(0, 0), hash(u32::MAX, 0));
        assert_ne!(hash(0, 0), hash(0, u32::MAX));
    }

    /// By words, from a word's beginning and from within one, and by bytes.
    #[test]
    fn words_are_hashed_as_their_bytes() {
        let bytes: [u8; 16] = core::array::from_fn(|index| index as u8 | 0xa0);
        for from in 0..4 {
            let (mut words, mut one_by_one) = (EMPTY, EMPTY);
            words.write(&bytes[..from]);
            words.write(&bytes[from..]);
            bytes.iter().for_each(|byte| one_by_one.write_u8(*byte));
            assert_eq!(words.digest(), one_by_one.digest(), "from byte {from}");
        }
    }

    /// The key of the reference's vectors in its place, and another in which all bits differ.
    #[test]
    fn the_constants_are_mixed_into_the_keys() {
        let HalfSipHasher13 { v, .. } = HalfSipHasher13::new_with_keys(u32::MAX, u32::MAX);
        assert_eq!(v, [u32::MAX, u32::MAX, !0x6c79_6765, !0x7465_6462]);
        let HalfSipHasher13 { v, .. } = HalfSipHasher13::new_with_keys(0, 0);
        assert_eq!(v, [0, 0, 0x6c79_6765, 0x7465_6462]);
    }
}
