//! What can be wrong with a message.

use core::{error, fmt};

use crate::session::{CounterError, Replay};

/// Why a message was not sealed (encrypted) or not opened (decrypted).
///
/// On every error the buffer is as it was, and what was not opened stays encrypted.
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EncryptorError {
    /// The result does not fit into its buffer.
    Capacity,
    /// The counters of this key are used up: take a new one.
    CountersExhausted,
    /// Not sealed with this key, nonce and associated data, or changed since. Which of them is not told, so that nobody
    /// can learn anything by trying.
    Decrypt,
    /// The nonce is not 24 bytes long.
    NonceLength,
    /// The counter was accepted before, or is too old to tell.
    Replay(Replay),
    /// There is no entropy for a nonce. There is no other way to get one: try again later.
    Rng,
    /// The next counters have to be stored first: write [`to_store`](crate::CounterReserve::to_store), read it back, and
    /// call [`stored`](crate::CounterReserve::stored).
    StoreCounter,
    /// The blob is shorter than a nonce and a tag.
    TooShort,
}

impl fmt::Display for EncryptorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capacity => "the result does not fit into its buffer",
            Self::CountersExhausted => "the counters of this key are used up",
            Self::Decrypt => "decryption failed: invalid ciphertext or wrong key",
            Self::NonceLength => "the nonce is not 24 bytes long",
            Self::Replay(replay) => return replay.fmt(f),
            Self::Rng => "no entropy for a nonce",
            Self::StoreCounter => "the next counters have to be stored first",
            Self::TooShort => "the blob is shorter than a nonce and a tag",
        })
    }
}

impl error::Error for EncryptorError {}

impl From<CounterError> for EncryptorError {
    fn from(error: CounterError) -> Self {
        match error {
            CounterError::Store(_) => Self::StoreCounter,
            CounterError::Exhausted => Self::CountersExhausted,
        }
    }
}

impl From<Replay> for EncryptorError {
    fn from(replay: Replay) -> Self {
        Self::Replay(replay)
    }
}
