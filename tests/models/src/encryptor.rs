//! What an encryptor opens: what it sealed, and nothing else.

use core::convert::Infallible;

use heapless::Vec as Bytes;
use rand_core::{TryCryptoRng, TryRng};
use steadfast_core::{
    Encryptor,
    encryptor::{Domain, EncryptorError},
};

use crate::Script;

/// A generator whose next nonce the test knows.
pub struct NextNonce(pub [u8; 24]);

impl TryRng for NextNonce {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0[..bytes.len()]);
        self.0[0] = self.0[0].wrapping_add(1);
        Ok(())
    }
}

impl TryCryptoRng for NextNonce {}

const ROOM: usize = 320;

pub fn fuzz(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let encryptor = Encryptor::from_seed(&[script.below(256) as u8; 32], Domain::STASH);
    let (aad, other_aad, plaintext) = (script.bytes(40), script.bytes(40), script.bytes(200));
    let mut rng = NextNonce([script.below(256) as u8; 24]);
    let blob: Bytes<u8, ROOM> = encryptor.seal(plaintext, aad, &mut rng).expect("it fits");
    assert_eq!(blob.len(), plaintext.len() + Encryptor::OVERHEAD);
    assert_eq!(opened(&encryptor, &blob, aad).as_deref(), Ok(plaintext));
    assert_eq!(opened(&encryptor, &blob, other_aad).is_ok(), aad == other_aad);

    let mut changed = blob.to_vec();
    for _ in 0..script.below(4) {
        let at = script.below(changed.len() as u64) as usize;
        changed[at] ^= script.below(256) as u8;
    }
    changed.truncate(changed.len() - script.below(changed.len() as u64).min(60) as usize);
    let is_same = changed == blob.as_slice();
    assert_eq!(opened(&encryptor, &changed, aad).is_ok(), is_same);

    // A fuzzer sees the tag that is expected and copies it: what then opens is what would have been sealed.
    let noise = script.rest();
    let _ = opened(&encryptor, &noise[..noise.len().min(ROOM)], aad);
}

/// Opens `blob` in every way there is: all agree, and what is refused is left as it was.
fn opened(encryptor: &Encryptor, blob: &[u8], aad: &[u8]) -> Result<Vec<u8>, EncryptorError> {
    let at_once = encryptor.open::<ROOM>(blob, aad).map(|message| message.to_vec());
    let (nonce, sealed) = blob.split_at(blob.len().min(Encryptor::NONCE_LEN));
    let mut buffer: Bytes<u8, ROOM> = Bytes::from_slice(sealed).expect("it fits");
    match encryptor.open_in_place(nonce, &mut buffer, aad) {
        Ok(()) => assert_eq!(at_once.as_deref(), Ok(buffer.as_slice())),
        Err(error) => {
            assert_eq!(buffer, sealed, "what is refused stays as it was");
            let expected = if nonce.len() < 24 {
                [EncryptorError::TooShort, EncryptorError::NonceLength]
            } else if sealed.len() < 16 {
                [EncryptorError::TooShort, EncryptorError::Decrypt]
            } else {
                [EncryptorError::Decrypt; 2]
            };
            assert_eq!([at_once.clone().unwrap_err(), error], expected);
        }
    }
    if let (Ok(nonce), Some((message, tag))) = (nonce.try_into(), sealed.split_last_chunk()) {
        let mut message = message.to_vec();
        let result = encryptor.open_detached(nonce, &mut message, tag, aad);
        assert_eq!(result.is_ok(), at_once.is_ok());
        assert_eq!(message, *at_once.as_deref().unwrap_or(&sealed[..sealed.len() - tag.len()]));
    }
    if let Ok(message) = &at_once {
        let mut again = message.clone();
        let nonce: [u8; 24] = nonce.try_into().expect("it was opened");
        let (_, tag) = encryptor.seal_detached(&mut again, aad, &mut NextNonce(nonce)).expect("short");
        assert_eq!([&nonce[..], &again, &tag].concat(), blob, "what opens is what would be sealed");
    }
    at_once
}
