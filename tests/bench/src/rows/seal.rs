//! A message is sealed with XChaCha20-Poly1305.

use std::{convert::Infallible, hint::black_box};

use chacha20::{R20, hchacha};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use libsodium_rs::crypto_aead::xchacha20poly1305 as sodium;
use ring::aead;
use steadfast::{Encryptor, encryptor::Domain, runtime::SystemRng};
use steadfast_core::Encryptor as Core;

use super::Plan;
use crate::{
    run::{
        Goal::{Faster, Within},
        Row,
    },
    slice::{Work, repeat},
    work::mix,
};

const KEY: [u8; 32] = [7; 32];
const AAD: &[u8] = b"alice, version 3";

pub(super) fn rows() -> Vec<Plan> {
    let sizes = [("64 B", 64), ("1 KiB", 1_024)];
    let in_place = sizes.map(|(name, len)| {
        Plan::new(format!("seal {name} in place, nonce given"), move || {
            Row::new(core(len)).peer("RustCrypto", Within(1.05), rust_crypto(len)).floor(
                "HChaCha20 and ring",
                None,
                ring_in_place(len),
            )
        })
    });
    let to_vec = sizes.map(|(name, len)| {
        Plan::new(format!("seal {name} into a vector, nonce from the system"), move || {
            Row::new(core_to_vec(len)).peer("libsodium", None, libsodium(len)).peer("orion", None, orion(len)).floor(
                "HChaCha20 and ring",
                None,
                ring_to_vec(len),
            )
        })
    });
    let by_ring = sizes.map(|(name, len)| {
        Plan::new(format!("seal {name} into a vector, nonce from the system, feature `ring`"), move || {
            Row::new(ours(len)).peer("libsodium", Faster(1.0), libsodium(len)).peer("orion", None, orion(len)).floor(
                "HChaCha20 and ring",
                None,
                ring_to_vec(len),
            )
        })
    });
    let open = sizes.map(|(name, len)| {
        Plan::new(format!("open {name} into a vector, feature `ring`"), move || {
            Row::new(open(len)).peer("RustCrypto", None, open_by_core(len)).peer(
                "libsodium",
                Faster(1.0),
                open_by_libsodium(len),
            )
        })
    });
    in_place.into_iter().chain(to_vec).chain(by_ring).chain(open).collect()
}

/// Nonces that cost nothing.
struct Counter(u64);

impl Counter {
    fn next(&mut self) -> [u8; 24] {
        self.0 += 1;
        let mut nonce = [0; 24];
        nonce[..8].copy_from_slice(&mix(self.0).to_le_bytes());
        nonce
    }
}

impl rand_core::TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(mix(self.0))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let nonce = self.next();
        bytes.copy_from_slice(&nonce[..bytes.len()]);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Counter {}

fn core(len: usize) -> Work {
    let (core, mut message, mut nonces) = (Core::from_seed(&KEY, Domain::STASH), vec![9; len], Counter(0));
    repeat(move || _ = black_box(core.seal_detached(&mut message, AAD, &mut nonces)))
}

fn rust_crypto(len: usize) -> Work {
    let (cipher, mut message, mut nonces) = (XChaCha20Poly1305::new(&KEY.into()), vec![9; len], Counter(0));
    repeat(move || {
        let nonce = nonces.next();
        _ = black_box(cipher.encrypt_inout_detached(&nonce.into(), AAD, message.as_mut_slice().into()));
    })
}

/// XChaCha20 is ChaCha20 under a key that HChaCha20 derives; ring has the rest, in assembly.
fn seal_by_ring(nonce: &[u8; 24], message: &mut [u8]) -> aead::Tag {
    let key = hchacha::<R20>(&KEY.into(), nonce[..16].try_into().unwrap());
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::CHACHA20_POLY1305, &key).unwrap());
    let mut short = [0; 12];
    short[4..].copy_from_slice(&nonce[16..]);
    key.seal_in_place_separate_tag(aead::Nonce::assume_unique_for_key(short), aead::Aad::from(AAD), message).unwrap()
}

fn ring_in_place(len: usize) -> Work {
    let (mut message, mut nonces) = (vec![9; len], Counter(0));
    repeat(move || _ = black_box(seal_by_ring(&nonces.next(), &mut message)))
}

fn ring_to_vec(len: usize) -> Work {
    let message = vec![9; len];
    repeat(move || {
        let mut nonce = [0; 24];
        rand_core::TryRng::try_fill_bytes(&mut SystemRng, &mut nonce).unwrap();
        let mut blob = Vec::with_capacity(len + 40);
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(black_box(&message));
        let tag = seal_by_ring(&nonce, &mut blob[24..]);
        blob.extend_from_slice(tag.as_ref());
        black_box(blob);
    })
}

/// What `steadfast::Encryptor` does without the feature `ring`, with which it is built here.
fn core_to_vec(len: usize) -> Work {
    let (core, message) = (Core::from_seed(&KEY, Domain::STASH), vec![9; len]);
    repeat(move || {
        let mut blob = Vec::with_capacity(len + Core::OVERHEAD);
        blob.extend_from_slice(&[0; Core::NONCE_LEN]);
        blob.extend_from_slice(black_box(&message));
        let (nonce, tag) = core.seal_detached(&mut blob[Core::NONCE_LEN..], AAD, &mut SystemRng).unwrap();
        blob[..Core::NONCE_LEN].copy_from_slice(&nonce);
        blob.extend_from_slice(&tag);
        black_box(blob);
    })
}

fn ours(len: usize) -> Work {
    let (encryptor, message) = (Encryptor::from_seed(&KEY, Domain::STASH), vec![9; len]);
    repeat(move || assert!(black_box(encryptor.seal(black_box(&message), AAD)).is_ok()))
}

/// Leaves the nonce beside the blob.
fn libsodium(len: usize) -> Work {
    libsodium_rs::ensure_init().expect("it starts");
    let (key, message) = (sodium::Key::from_bytes(&KEY).unwrap(), vec![9; len]);
    repeat(move || {
        let nonce = sodium::Nonce::generate();
        assert!(black_box(sodium::encrypt(black_box(&message), Some(AAD), &nonce, &key)).is_ok());
    })
}

fn blob(len: usize) -> Vec<u8> {
    Encryptor::from_seed(&KEY, Domain::STASH).seal(&vec![9; len], AAD).unwrap()
}

fn open(len: usize) -> Work {
    let (encryptor, blob) = (Encryptor::from_seed(&KEY, Domain::STASH), blob(len));
    repeat(move || assert!(black_box(encryptor.open(black_box(&blob), AAD)).is_ok()))
}

/// What `steadfast::Encryptor` does without the feature `ring`.
fn open_by_core(len: usize) -> Work {
    let (core, blob) = (Core::from_seed(&KEY, Domain::STASH), blob(len));
    repeat(move || {
        let (nonce, rest) = black_box(&blob).split_first_chunk().unwrap();
        let (ciphertext, tag) = rest.split_last_chunk().unwrap();
        let mut message = ciphertext.to_vec();
        assert!(core.open_detached(nonce, &mut message, tag, AAD).is_ok());
        black_box(message);
    })
}

fn open_by_libsodium(len: usize) -> Work {
    libsodium_rs::ensure_init().expect("it starts");
    let (key, message) = (sodium::Key::from_bytes(&KEY).unwrap(), vec![9; len]);
    let nonce = sodium::Nonce::generate();
    let sealed = sodium::encrypt(&message, Some(AAD), &nonce, &key).unwrap();
    repeat(move || assert!(black_box(sodium::decrypt(black_box(&sealed), Some(AAD), &nonce, &key)).is_ok()))
}

/// Without associated data, which its easy interface has not.
fn orion(len: usize) -> Work {
    let (key, message) = (orion::aead::SecretKey::generate().unwrap(), vec![9; len]);
    repeat(move || assert!(black_box(orion::aead::seal(&key, black_box(&message))).is_ok()))
}
