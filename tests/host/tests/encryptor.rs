//! `Encryptor` against the seed's vectors, and against whoever holds the data.

mod support;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use heapless::Vec as Bytes;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use steadfast_core::{
    Encryptor,
    encryptor::{Domain, EncryptorError},
};
use steadfast_models::encryptor::NextNonce;

const N1: [u8; 24] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn vectors(json: &str) -> Vec<Value> {
    serde_json::from_str(json).unwrap()
}

fn field(vector: &Value, name: &str) -> Vec<u8> {
    hex(vector[name].as_str().unwrap())
}

fn array<const N: usize>(bytes: Vec<u8>) -> [u8; N] {
    bytes.try_into().unwrap()
}

fn s1() -> Encryptor {
    Encryptor::from_seed(&core::array::from_fn(|n| n as u8), Domain::STASH)
}

#[test]
fn the_seeds_messages() {
    let vectors = vectors(include_str!("../vectors/encryptor.json"));
    assert_eq!(vectors.len(), 8);
    for vector in &vectors {
        let [nonce, aad, plaintext, sealed] =
            ["nonce", "aad", "plaintext", "ciphertext_and_tag"].map(|name| field(vector, name));
        let encryptor = Encryptor::from_seed(&array(field(vector, "seed")), Domain::STASH);
        let nonce: [u8; 24] = array(nonce);

        let mut buffer: Bytes<u8, 128> = Bytes::from_slice(&plaintext).unwrap();
        assert_eq!(encryptor.seal_in_place(&mut buffer, &aad, &mut NextNonce(nonce)), Ok(nonce));
        assert_eq!(buffer, &sealed[..]);
        assert_eq!(encryptor.open_in_place(&nonce, &mut buffer, &aad), Ok(()));
        assert_eq!(buffer, &plaintext[..]);

        let blob: Bytes<u8, 128> = encryptor.seal(&plaintext, &aad, &mut NextNonce(nonce)).unwrap();
        assert_eq!(blob, &[&nonce[..], &sealed[..]].concat()[..]);
        assert_eq!(encryptor.open::<128>(&blob, &aad).unwrap(), &plaintext[..]);
    }
}

/// The key cannot be read, so another implementation opens with the vector's key what ours has sealed.
#[test]
fn the_seeds_keys() {
    let opens = |key: &[u8], encryptor: &Encryptor| {
        let mut message = *b"by which key?";
        let (nonce, tag) = encryptor.seal_detached(&mut message, b"", &mut NextNonce(N1)).unwrap();
        let cipher = XChaCha20Poly1305::new_from_slice(key).unwrap();
        cipher.decrypt_inout_detached((&nonce).into(), b"", (&mut message[..]).into(), (&tag).into()).is_ok()
    };
    let vectors = vectors(include_str!("../vectors/key_derivation.json"));
    assert_eq!(vectors.len(), 4);
    for vector in &vectors {
        let [salt, info] = ["salt", "info"].map(|name| vector[name].as_str().unwrap().as_bytes());
        let seed = array(field(vector, "seed"));
        assert!(opens(&field(vector, "key"), &Encryptor::from_seed(&seed, Domain::new(salt, info))));
        assert!(opens(&field(vector, "key"), &Encryptor::from_seed(&seed, Domain::STASH)));
    }
    // Seed S1 with no salt and the mock's info, with no salt, and with salt and info swapped.
    for wrong in [
        "808a8c108859faf60eb5fad2256a8addd23227dff1ae1830d7ba3d7488771ff4",
        "e4b68109158b3d9284d203287bc6da00d808426619dc2f6fa69efe847dfac31a",
        "da7744dd1e684c38a3ee0b07c404d0bb761c5c1449cd95b4e41a9a2e6b4bf167",
    ] {
        assert!(!opens(&hex(wrong), &s1()));
    }
}

#[test]
fn seed_2_3_what_is_refused() {
    let encryptor = s1();
    let ciphertext = hex("3ea6407190d0f48918ccc2d6d6ed75ca93f628b3cc");
    let open = |nonce: &[u8], ciphertext: &[u8]| {
        let mut buffer: Bytes<u8, 64> = Bytes::from_slice(ciphertext).unwrap();
        let opened = encryptor.open_in_place(nonce, &mut buffer, b"");
        if opened.is_err() {
            assert_eq!(buffer, ciphertext, "an error leaves the buffer as it was");
        }
        opened.map(|()| buffer)
    };
    assert_eq!(open(&N1, &ciphertext).unwrap(), b"hello");
    for length in [0, 8, 12, 23, 25, 32] {
        assert_eq!(open(&[0; 32][..length], &ciphertext), Err(EncryptorError::NonceLength));
        assert_eq!(open(&[0; 32][..length], &[]), Err(EncryptorError::NonceLength), "checked first");
    }
    let longer = [&ciphertext[..], &[0]].concat();
    for damaged in [&[][..], &ciphertext[..15], &ciphertext[..16], &ciphertext[..20], &longer] {
        assert_eq!(open(&N1, damaged), Err(EncryptorError::Decrypt));
    }
    let other = Encryptor::from_seed(&[0; 32], Domain::STASH);
    let mut buffer: Bytes<u8, 64> = Bytes::from_slice(&ciphertext).unwrap();
    assert_eq!(other.open_in_place(&N1, &mut buffer, b""), Err(EncryptorError::Decrypt));
    assert_eq!(encryptor.open_in_place(&N1, &mut buffer, b"other data"), Err(EncryptorError::Decrypt));
}

#[test]
fn seed_2_3_blobs() {
    let encryptor = s1();
    let blob: Bytes<u8, 64> = encryptor.seal(b"hello", b"", &mut NextNonce(N1)).unwrap();
    let expected = "000102030405060708090a0b0c0d0e0f10111213141516173ea6407190d0f48918ccc2d6d6ed75ca93f628b3cc";
    assert_eq!(blob, &hex(expected)[..]);
    for length in [0, 23, 24, 39] {
        assert_eq!(encryptor.open::<64>(&[0; 64][..length], b""), Err(EncryptorError::TooShort));
    }
    let empty = hex("000102030405060708090a0b0c0d0e0f101112131415161785d93dc6125dfbcb45660e01ecce9ad5");
    assert_eq!(encryptor.open::<0>(&empty, b"").unwrap(), b"");
}

#[test]
fn seed_2_3_lengths() {
    let encryptor = s1();
    for length in [0, 1, 5, 64, 10_240] {
        let plaintext = vec![7; length];
        let mut buffer: Bytes<u8, 10_256> = Bytes::from_slice(&plaintext).unwrap();
        let nonce = encryptor.seal_in_place(&mut buffer, b"", &mut NextNonce(N1)).unwrap();
        assert_eq!((nonce.len(), buffer.len()), (24, length + 16));
        assert_eq!(encryptor.open_in_place(&nonce, &mut buffer, b""), Ok(()));
        assert_eq!(buffer, &plaintext[..]);
    }
}

#[test]
fn seed_2_3_two_seals_of_one_message_differ() {
    let (encryptor, mut rng) = (s1(), NextNonce(N1));
    let [one, other] = [(); 2].map(|()| encryptor.seal::<64>(b"hello", b"", &mut rng).unwrap());
    assert_ne!(one[..24], other[..24]);
    assert_ne!(one[24..], other[24..]);
    assert!(encryptor.open::<64>(&one, b"").is_ok() && encryptor.open::<64>(&other, b"").is_ok());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let encryptor = s1();
    let (plaintext, aad) = (b"data that others hold", b"alice, version 3");
    let blob: Bytes<u8, 128> = encryptor.seal(plaintext, aad, &mut NextNonce(N1)).unwrap();
    for bit in 0..8 * blob.len() {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(encryptor.open::<128>(&damaged, aad), Err(EncryptorError::Decrypt), "bit {bit} of the blob");
        let (nonce, ciphertext) = damaged.split_at(24);
        let mut buffer: Bytes<u8, 128> = Bytes::from_slice(ciphertext).unwrap();
        assert_eq!(encryptor.open_in_place(nonce, &mut buffer, aad), Err(EncryptorError::Decrypt));
        assert_eq!(buffer, ciphertext, "no plaintext");
    }
    for bit in 0..8 * aad.len() {
        let mut other = *aad;
        other[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(encryptor.open::<128>(&blob, &other), Err(EncryptorError::Decrypt), "bit {bit} of the data");
    }
}

proptest! {
    #![proptest_config(support::cases(1_000))]

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does(
        seed in any::<[u8; 32]>(),
        nonce in any::<[u8; 24]>(),
        plaintext in vec(any::<u8>(), 0..200),
        aad in vec(any::<u8>(), 0..40),
        other_aad in vec(any::<u8>(), 0..40),
        noise in vec(any::<u8>(), 0..100),
    ) {
        let encryptor = Encryptor::from_seed(&seed, Domain::STASH);
        let blob: Bytes<u8, 240> = encryptor.seal(&plaintext, &aad, &mut NextNonce(nonce)).unwrap();
        prop_assert_eq!(blob.len(), plaintext.len() + Encryptor::OVERHEAD);
        prop_assert_eq!(encryptor.open::<240>(&blob, &aad).unwrap(), &plaintext[..]);
        prop_assert_eq!(encryptor.open::<240>(&blob, &other_aad).is_ok(), aad == other_aad);
        prop_assert!(encryptor.open::<240>(&noise, &aad).is_err());

        let mut message = plaintext.clone();
        let (nonce, tag) = encryptor.seal_detached(&mut message, &aad, &mut NextNonce(nonce)).unwrap();
        prop_assert_eq!([&nonce[..], &message[..], &tag[..]].concat(), blob.to_vec());
        prop_assert_eq!(encryptor.open_detached(&nonce, &mut message, &tag, &aad), Ok(()));
        prop_assert_eq!(message, plaintext);
    }
}
