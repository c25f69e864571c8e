use std::{collections::HashSet, thread};

use super::*;

fn encryptor() -> Encryptor {
    Encryptor::from_seed(&[7; 32], Domain::STASH)
}

#[test]
fn it_is_shared_between_threads_and_no_nonce_repeats() {
    let encryptor = encryptor();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let encryptor = encryptor.clone();
            thread::spawn(move || (0..500).map(|_| encryptor.seal(b"data", b"").unwrap()).collect::<Vec<_>>())
        })
        .collect();
    let blobs: HashSet<Vec<u8>> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let nonces: HashSet<&[u8]> = blobs.iter().map(|blob| &blob[..Encryptor::NONCE_LEN]).collect();
    assert_eq!(nonces.len(), 2_000);
    assert!(blobs.iter().all(|blob| encryptor.open(blob, b"").unwrap() == b"data"));
}

#[test]
fn a_message_of_any_length_comes_back() {
    let encryptor = encryptor();
    for length in [0, 1, 63, 64, 65, 100_000] {
        let plaintext = vec![9; length];
        let blob = encryptor.seal(&plaintext, b"aad").unwrap();
        assert_eq!((blob.len(), blob.capacity()), (length + 40, length + 40), "the plaintext never moved");
        assert_eq!(encryptor.open(&blob, b"aad").unwrap(), plaintext);

        let mut buffer = plaintext.clone();
        let nonce = encryptor.seal_in_place(&mut buffer, b"aad").unwrap();
        assert_eq!(buffer.len(), length + 16);
        assert_eq!(encryptor.open_in_place(&nonce, &mut buffer, b"aad"), Ok(()));
        assert_eq!(buffer, plaintext);
    }
}

#[test]
fn what_is_wrong_is_refused_and_left_as_it_was() {
    let encryptor = encryptor();
    let blob = encryptor.seal(b"data", b"").unwrap();
    for length in [0, 23, 24, 39] {
        assert_eq!(encryptor.open(&blob[..length], b""), Err(EncryptorError::TooShort));
    }
    assert_eq!(encryptor.open(&blob[..43], b""), Err(EncryptorError::Decrypt));
    let (nonce, sealed) = blob.split_at(24);
    let mut buffer = sealed.to_vec();
    buffer[0] ^= 1;
    let damaged = buffer.clone();
    assert_eq!(encryptor.open_in_place(nonce, &mut buffer, b""), Err(EncryptorError::Decrypt));
    assert_eq!(encryptor.open_in_place(&nonce[1..], &mut buffer, b""), Err(EncryptorError::NonceLength));
    assert_eq!(buffer, damaged);
    assert_eq!(encryptor.open_in_place(nonce, &mut vec![0; 15], b""), Err(EncryptorError::Decrypt));
}

#[test]
fn debug_does_not_show_the_key() {
    assert_eq!(format!("{:?}", encryptor()), "Encryptor { .. }");
}

/// By which cipher it was sealed does not show.
#[test]
fn the_core_opens_it_and_it_opens_what_the_core_sealed() {
    let core = steadfast_core::Encryptor::from_seed(&[7; 32], Domain::STASH);
    let blob = encryptor().seal(b"data", b"aad").unwrap();
    assert_eq!(core.open::<4>(&blob, b"aad").unwrap(), b"data");
    let blob = core.seal::<44>(b"data", b"aad", &mut SystemRng).unwrap();
    assert_eq!(encryptor().open(&blob, b"aad").unwrap(), b"data");
}
