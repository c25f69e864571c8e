//! What an owner seals, only that owner opens, and only in its place.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;

use proptest::{collection::vec, prelude::*};
use rand_core::{TryCryptoRng, TryRng};
use stash_protocol::{CHUNK_BYTES, Chunk, Identity, Manifest, Sealed, Summary, Vault};
use steadfast_core::encryptor::EncryptorError;

/// Different bytes each time, which is all that these tests need.
struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| word as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_le_bytes();
            chunk.iter_mut().zip(word).for_each(|(place, byte)| *place = byte);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

fn vault() -> Vault {
    Vault::from_seed(&[7; 32])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_chunk_opens_in_its_own_place_only(
        version: u64, chunks: u32, index: u32, plain in vec(any::<u8>(), 0..=CHUNK_BYTES), other in 1_u32..,
    ) {
        let sealed = vault().seal_chunk((version, chunks, index), &plain, &mut Counter(1)).unwrap();
        prop_assert_eq!(sealed.len(), plain.len() + Sealed::OVERHEAD);
        let chunk = Chunk { version, chunks, index, sealed: Sealed::new(&sealed).unwrap() };
        let opened = vault().open_chunk(&chunk).unwrap();
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
        for moved in [
            Chunk { version: version ^ u64::from(other), ..chunk },
            Chunk { chunks: chunks ^ other, ..chunk },
            Chunk { index: index ^ other, ..chunk },
        ] {
            prop_assert_eq!(vault().open_chunk(&moved), None);
        }
        prop_assert_eq!(Vault::from_seed(&[8; 32]).open_chunk(&chunk), None, "another owner");
    }

    #[test]
    fn a_changed_chunk_does_not_open(plain in vec(any::<u8>(), 0..=CHUNK_BYTES), at: prop::sample::Index, bit in 0_u32..8) {
        let mut sealed = vault().seal_chunk((1, 1, 0), &plain, &mut Counter(1)).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        let chunk = Chunk { version: 1, chunks: 1, index: 0, sealed: Sealed::new(&sealed).unwrap() };
        prop_assert_eq!(vault().open_chunk(&chunk), None);
    }
}

#[test]
fn a_manifest_opens_for_its_version_and_count_only() {
    let summary = Summary { length: 2_000, hash: [5; 32] };
    let manifest = vault().seal_manifest(9, &summary, &mut Counter(1)).unwrap();
    assert_eq!((manifest.version, manifest.chunks), (9, 3));
    assert_eq!(vault().open_manifest(&manifest), Some(summary));
    assert_eq!(vault().open_manifest(&Manifest { version: 10, ..manifest.clone() }), None);
    assert_eq!(vault().open_manifest(&Manifest { chunks: 4, ..manifest.clone() }), None);
    assert_eq!(Vault::from_seed(&[8; 32]).open_manifest(&manifest), None);
    let mut changed = manifest;
    changed.sealed.truncate(79);
    assert_eq!(vault().open_manifest(&changed), None);
}

/// The same key seals both, so only the associated data keep them apart.
#[test]
fn a_chunk_is_no_manifest() {
    let sealed = vault().seal_chunk((9, 1, 0), &[0; 40], &mut Counter(1)).unwrap();
    let manifest = Manifest { version: 9, chunks: 1, sealed: sealed.iter().copied().collect() };
    assert_eq!(vault().open_manifest(&manifest), None);
}

#[test]
fn lengths_make_chunks() {
    let chunks = |length| Summary { length, hash: [0; 32] }.chunks();
    let full = CHUNK_BYTES as u64;
    assert_eq!([0, 1, full, full + 1, 2 * full].map(chunks), [1, 1, 1, 2, 2].map(Some));
    assert_eq!(chunks(1 << 20), Some(1_093));
    assert_eq!(chunks(u64::MAX), None);
    let hash_of_nothing = Summary::of(&[]).hash;
    assert_eq!(hash_of_nothing[..4], [0xe3, 0xb0, 0xc4, 0x42]);
}

#[test]
fn too_much_for_a_chunk_is_refused() {
    let long = [0; CHUNK_BYTES + 1];
    assert_eq!(vault().seal_chunk((1, 1, 0), &long, &mut Counter(1)), Err(EncryptorError::Capacity));
}

/// The owner's id is the ed25519 key of the same seed that the sealing key is derived from (the seed's vector S1).
#[test]
fn one_seed_is_enough() {
    let seed: [u8; 32] = std::array::from_fn(|at| at as u8);
    let id = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    assert_eq!(Identity::from_seed(&seed).id().to_string(), id);
}
