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

/// With a key as it is, and counters for nonces.
pub mod counted {
    use steadfast_core::{CounterReserve, ReplayWindow, encryptor::Sender};

    use super::*;

    const SENDER: Sender = Sender::new(*b"node 7 to master");

    operations! {
        fn from_key(key: &[u8; 32]) -> Encryptor {
            Encryptor::from_key(key)
        }
        fn seal(encryptor: &Encryptor, message: &mut [u8], counters: &mut CounterReserve) -> Option<(u64, Tag)> {
            encryptor.seal_counted(message, b"", &SENDER, counters).ok()
        }
        fn open(
            encryptor: &Encryptor,
            counter: u64,
            message: &mut [u8],
            tag: &Tag,
            window: &mut ReplayWindow<8>,
        ) -> bool {
            encryptor.open_counted(counter, message, tag, b"", &SENDER, window).is_ok()
        }
    }
}
