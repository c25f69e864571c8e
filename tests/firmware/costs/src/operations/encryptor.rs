//! Messages of up to 1 KiB, encrypted where they lie.

use steadfast_core::{
    Encryptor,
    encryptor::{Domain, Nonce, Tag},
};

use super::Dice;

operations! {
    fn from_seed(seed: &[u8; 32]) -> Encryptor {
        Encryptor::from_seed(seed, Domain::STASH)
    }
    fn seal(encryptor: &Encryptor, message: &mut [u8], dice: &mut Dice) -> Option<(Nonce, Tag)> {
        encryptor.seal_detached(message, b"", dice).ok()
    }
    fn open(encryptor: &Encryptor, nonce: &Nonce, message: &mut [u8], tag: &Tag) -> bool {
        encryptor.open_detached(nonce, message, tag, b"").is_ok()
    }
}
