//! The same bytes on every processor, and nothing that was changed is opened.

use core::convert::Infallible;

use heapless::Vec;
use rand_core::{TryCryptoRng, TryRng};
use steadfast_core::{
    Encryptor,
    encryptor::{Domain, EncryptorError},
};

/// 0, 1, 2, ...: the nonce of the vector.
struct Counter(u8);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

/// [`Encryptor`] against a vector of `vectors/encryptor.json`.
pub fn encryptor_contract() {
    const SEALED: [u8; 21] = [
        0x3e, 0xa6, 0x40, 0x71, 0x90, 0xd0, 0xf4, 0x89, 0x18, 0xcc, 0xc2, 0xd6, 0xd6, 0xed, 0x75, 0xca, 0x93, 0xf6,
        0x28, 0xb3, 0xcc,
    ];
    let seed = core::array::from_fn(|n| n as u8);
    let encryptor = Encryptor::from_seed(&seed, Domain::STASH);
    let blob: Vec<u8, 64> = encryptor.seal(b"hello", b"", &mut Counter(0)).expect("room");
    assert!(blob.iter().copied().eq((0..24).chain(SEALED)), "{blob:x?}");
    assert_eq!(encryptor.open::<8>(&blob, b"").expect("unchanged"), b"hello");

    for byte in 0..blob.len() {
        let mut changed = blob.clone();
        changed[byte] ^= 1;
        assert_eq!(encryptor.open::<8>(&changed, b""), Err(EncryptorError::Decrypt), "byte {byte} was changed");
    }
    assert_eq!(encryptor.open::<8>(&blob, b"another record"), Err(EncryptorError::Decrypt));
    assert_eq!(encryptor.open::<8>(&blob[..39], b""), Err(EncryptorError::TooShort));
    assert_eq!(encryptor.open::<4>(&blob, b""), Err(EncryptorError::Capacity));
}
