use std::{collections::HashSet, num::NonZeroU32, thread};

use steadfast_core::session::Replay;

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

/// The cores of both ends may be of either cipher.
#[test]
fn counted_packets_go_from_here_to_the_core_and_back_once_each() {
    let here = Encryptor::from_key(&[7; 32]);
    let core = steadfast_core::Encryptor::from_key(&[7; 32]);
    let sender = Sender::new([9; 16]);
    let mut counters = CounterReserve::restore(0, NonZeroU32::MAX);
    let mut message = *b"data";
    let unsealed = here.seal_counted(&mut message, b"", &sender, &mut counters);
    assert_eq!((unsealed, &message), (Err(EncryptorError::StoreCounter), b"data"));
    counters.stored(counters.to_store()).unwrap();

    let (mut at_core, mut at_home) = (ReplayWindow::<2>::new(), ReplayWindow::<2>::new());
    for _ in 0..3 {
        let (counter, tag) = here.seal_counted(&mut message, b"aad", &sender, &mut counters).unwrap();
        let (mut recorded, mut forged) = (message, message);
        assert_eq!(core.open_counted(counter, &mut message, &tag, b"aad", &sender, &mut at_core), Ok(()));
        let again = here.open_counted(counter, &mut recorded, &tag, b"aad", &sender, &mut at_home);
        assert_eq!((again, message, recorded), (Ok(()), *b"data", *b"data"), "another window has not seen it");

        forged[0] ^= 1;
        let sealed = forged;
        let far = here.open_counted(counter + 1_000, &mut forged, &tag, b"aad", &sender, &mut at_home);
        assert_eq!((far, forged), (Err(EncryptorError::Decrypt), sealed), "left as it was");
        let replayed = here.open_counted(counter, &mut forged, &tag, b"aad", &sender, &mut at_home);
        assert_eq!((replayed, forged), (Err(EncryptorError::Replay(Replay::Duplicate)), sealed));

        let (counter, tag) = core.seal_counted(&mut message, b"aad", &sender, &mut counters).unwrap();
        assert_eq!(here.open_counted(counter, &mut message, &tag, b"aad", &sender, &mut at_home), Ok(()));
        assert_eq!(&message, b"data");
    }
}
