//! Authenticated encryption (AEAD) of data that others keep: XChaCha20-Poly1305, with keys by HKDF-SHA256.
//!
//! [`Encryptor`] seals and opens; a [`Domain`] separates the uses of one seed, a [`Sender`] the counter nonces of a link.
//! **Errors**: [`EncryptorError`].

#[cfg(feature = "ring")]
mod ring;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

#[cfg(not(feature = "ring"))]
use steadfast_core::Encryptor as Cipher;

#[cfg(feature = "ring")]
use self::ring::Cipher;
use crate::runtime::SystemRng;

#[doc(inline)]
pub use steadfast_core::encryptor::{Domain, EncryptorError, Nonce, Sender, Tag};
use steadfast_core::session::{CounterReserve, ReplayWindow};

/// Authenticated encryption (AEAD, XChaCha20-Poly1305): only those who have the seed can open what it seals, and they
/// notice if it was changed.
///
/// Every message has a fresh nonce from the operating system, so there is no limit on messages under one key. The key
/// is made by HKDF-SHA256 from a seed of 32 bytes. Clones share the key, which is wiped when the last one is dropped.
///
/// The associated data (`aad`) is not part of the message, but it opens with the same one alone: put there whatever
/// must not be swapped, such as the owner and the version. XChaCha20-Poly1305 is not key-committing; what that means,
/// and what else is not bound, is told at [`steadfast_core::Encryptor`].
///
/// ```
/// use steadfast::{Encryptor, encryptor::{Domain, EncryptorError}};
///
/// # fn main() -> Result<(), EncryptorError> {
/// # let seed = [7; 32];
/// let encryptor = Encryptor::from_seed(&seed, Domain::STASH);
///
/// let blob = encryptor.seal(b"my stash", b"alice, version 3")?;
/// assert_eq!(encryptor.open(&blob, b"alice, version 3")?, b"my stash");
/// assert_eq!(encryptor.open(&blob, b"alice, version 4"), Err(EncryptorError::Decrypt));
/// # Ok(())
/// # }
/// ```
///
/// # By `RustCrypto`, or by ring
///
/// The ciphers are those of the `RustCrypto` project, which need only a Rust compiler. The feature `ring` takes ring's
/// assembly in their place, which needs a C compiler and is several times faster; what one seals the other opens. Three
/// things differ:
///
/// - Of a message's own key, which opens nothing else, ring leaves a copy on the stack. The key never reaches ring.
/// - [`open_in_place`](Self::open_in_place) copies the ciphertext beforehand, because ring decrypts before it has
///   checked.
/// - Without the feature, on processors with AVX2, short messages take a third of the time if the program is built with
///   `RUSTFLAGS='--cfg poly1305_backend="soft"'`, because the vectorized Poly1305 begins slowly.
#[derive(Clone)]
pub struct Encryptor(Arc<Cipher>);

impl Encryptor {
    /// The bytes of a nonce.
    pub const NONCE_LEN: usize = size_of::<Nonce>();
    /// The bytes of a tag: by so many is a sealed message longer than its plaintext.
    pub const TAG_LEN: usize = size_of::<Tag>();
    /// The bytes by which a blob is longer than its plaintext: nonce and tag.
    pub const OVERHEAD: usize = Self::NONCE_LEN + Self::TAG_LEN;

    /// An encryptor whose key is derived from a secret seed of 32 random bytes; every domain has another key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32], domain: Domain<'_>) -> Self {
        Self(Arc::new(Cipher::from_seed(seed, domain)))
    }

    /// An encryptor with this very key, of 32 secret random bytes. Take one key for one use.
    #[must_use]
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self(Arc::new(Cipher::from_key(key)))
    }

    /// Seals `plaintext` into one blob: nonce, ciphertext, tag.
    ///
    /// # Errors
    ///
    /// [`Rng`](EncryptorError::Rng) if the operating system has no entropy, [`Capacity`](EncryptorError::Capacity)
    /// beyond 256 GiB.
    #[doc(alias = "encrypt")]
    pub fn seal(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>, EncryptorError> {
        let mut blob = Vec::with_capacity(plaintext.len().saturating_add(Self::OVERHEAD));
        blob.extend_from_slice(&Nonce::default());
        blob.extend_from_slice(plaintext);
        let (place, message) = blob.split_first_chunk_mut().ok_or(EncryptorError::Capacity)?;
        let (nonce, tag) = self.0.seal_detached(message, aad, &mut SystemRng)?;
        *place = nonce;
        blob.extend_from_slice(&tag);
        Ok(blob)
    }

    /// Opens a blob that [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// [`TooShort`](EncryptorError::TooShort) if it has no nonce or no tag, [`Decrypt`](EncryptorError::Decrypt) if it
    /// was not sealed with this key and associated data, or was changed.
    #[doc(alias = "decrypt")]
    pub fn open(&self, blob: &[u8], aad: &[u8]) -> Result<Vec<u8>, EncryptorError> {
        let (nonce, rest) = blob.split_first_chunk().ok_or(EncryptorError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(EncryptorError::TooShort)?;
        let mut message = ciphertext.to_vec();
        self.0.open_detached(nonce, &mut message, tag, aad)?;
        Ok(message)
    }

    /// Seals what is in `buffer`, where it is: afterwards it holds the ciphertext and the tag. Returns the nonce, to be
    /// kept beside it.
    ///
    /// Without spare capacity for the [tag](Self::TAG_LEN) the buffer moves, once it is sealed.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal). The buffer is as it was then: it still holds the plaintext.
    pub fn seal_in_place(&self, buffer: &mut Vec<u8>, aad: &[u8]) -> Result<Nonce, EncryptorError> {
        let (nonce, tag) = self.0.seal_detached(buffer, aad, &mut SystemRng)?;
        buffer.extend_from_slice(&tag);
        Ok(nonce)
    }

    /// Opens what is in `buffer`, where it is: afterwards it holds the plaintext.
    ///
    /// # Errors
    ///
    /// [`NonceLength`](EncryptorError::NonceLength), or [`Decrypt`](EncryptorError::Decrypt) as for
    /// [`open`](Self::open). The buffer is as it was then.
    pub fn open_in_place(&self, nonce: &[u8], buffer: &mut Vec<u8>, aad: &[u8]) -> Result<(), EncryptorError> {
        let nonce = nonce.try_into().map_err(|_length| EncryptorError::NonceLength)?;
        let (message, tag) = buffer.split_last_chunk_mut::<{ size_of::<Tag>() }>().ok_or(EncryptorError::Decrypt)?;
        let plaintext = message.len();
        self.0.open_detached(nonce, message, tag, aad)?;
        buffer.truncate(plaintext);
        Ok(())
    }

    /// Seals `message`, where it is, with a counter nonce, as [`steadfast_core::Encryptor::seal_counted`]. Returns the counter
    /// and the tag.
    ///
    /// # Errors
    ///
    /// [`StoreCounter`](EncryptorError::StoreCounter), [`CountersExhausted`](EncryptorError::CountersExhausted), or
    /// [`Capacity`](EncryptorError::Capacity) beyond 256 GiB. The message is as it was then.
    pub fn seal_counted(
        &self,
        message: &mut [u8],
        aad: &[u8],
        sender: &Sender,
        counters: &mut CounterReserve,
    ) -> Result<(u64, Tag), EncryptorError> {
        self.0.seal_counted(message, aad, sender, counters)
    }

    /// Opens `message`, where it is, and takes each counter once, as [`steadfast_core::Encryptor::open_counted`].
    ///
    /// # Errors
    ///
    /// [`Replay`](EncryptorError::Replay) or [`Decrypt`](EncryptorError::Decrypt). The message and the window are as they
    /// were then.
    pub fn open_counted<const W: usize>(
        &self,
        counter: u64,
        message: &mut [u8],
        tag: &Tag,
        aad: &[u8],
        sender: &Sender,
        window: &mut ReplayWindow<W>,
    ) -> Result<(), EncryptorError> {
        self.0.open_counted(counter, message, tag, aad, sender, window)
    }
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}
