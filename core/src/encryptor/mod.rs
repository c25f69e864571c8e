//! Authenticated encryption (AEAD) of data that others keep: XChaCha20-Poly1305, with keys by HKDF-SHA256.
//!
//! [`Encryptor`] seals and opens; a [`Domain`] separates the uses of one seed, a [`Sender`] the counter nonces of a link.
//! **Errors**: [`EncryptorError`].

mod counted;
#[cfg(test)]
mod counted_tests;
mod error;
#[cfg(test)]
mod tests;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use core::fmt;
use heapless::{Vec, VecView};
use hkdf::Hkdf;
use rand_core::TryCryptoRng;
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

pub use counted::Sender;
pub use error::EncryptorError;

/// A nonce: 24 bytes, used for one message. Not secret.
pub type Nonce = [u8; Encryptor::NONCE_LEN];

/// An authentication tag: it proves that a message was sealed with the key, and not changed since. Not secret.
pub type Tag = [u8; Encryptor::TAG_LEN];

/// Domain separation: what a key is for, so that one seed yields unrelated keys for unrelated uses (HKDF salt and
/// info).
///
/// ```
/// use steadfast_core::encryptor::Domain;
///
/// const NOTES: Domain = Domain::new(b"example:notes:v1", b"symmetric");
/// assert_ne!(NOTES, Domain::STASH);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Domain<'a> {
    salt: &'a [u8],
    info: &'a [u8],
}

impl Domain<'static> {
    /// The stash: salt `nara:stash:v1`, info `symmetric`.
    pub const STASH: Self = Self::new(b"nara:stash:v1", b"symmetric");
}

impl<'a> Domain<'a> {
    /// A use by name: `salt` and `info` are those of HKDF. Put a version into one of them. Neither is secret.
    #[must_use]
    pub const fn new(salt: &'a [u8], info: &'a [u8]) -> Self {
        Self { salt, info }
    }

    /// The key that [`Encryptor::from_seed`] derives from `seed`, for another implementation of XChaCha20-Poly1305. It
    /// is wiped on drop.
    #[must_use]
    pub fn key(&self, seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        #[expect(
            clippy::expect_used,
            reason = "HKDF-SHA256 yields up to 8,160 bytes, and a wrong key must never be used"
        )]
        Hkdf::<Sha256>::new(Some(self.salt), seed).expand(self.info, &mut *key).expect("32 bytes");
        key
    }
}

/// Authenticated encryption (AEAD, XChaCha20-Poly1305): only those who have the seed can open what it seals, and they
/// notice if it was changed.
///
/// Every message has a fresh random nonce of 24 bytes, so there is no limit on messages under one key; or, on a link that
/// is protected from replays, one made of a [counter](Self::seal_counted). The key is made by HKDF-SHA256 from a seed of 32
/// bytes, or [given](Self::from_key). The ciphers are those of the `RustCrypto` project.
///
/// ```
/// use heapless::Vec;
/// use steadfast_core::{Encryptor, encryptor::{Domain, EncryptorError}};
/// # struct Rng(u8); // a counter, so that this example needs no hardware
/// # impl rand_core::TryRng for Rng {
/// #     type Error = core::convert::Infallible;
/// #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { Ok(0) }
/// #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { Ok(0) }
/// #     fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
/// #         bytes.fill_with(|| { self.0 = self.0.wrapping_add(1); self.0 });
/// #         Ok(())
/// #     }
/// # }
/// # impl rand_core::TryCryptoRng for Rng {}
/// # fn main() -> Result<(), EncryptorError> {
/// # let mut rng = Rng(0);
/// let encryptor = Encryptor::from_seed(&[7; 32], Domain::STASH);
/// let owner = b"alice, version 3";
///
/// let blob: Vec<u8, 128> = encryptor.seal(b"my stash", owner, &mut rng)?;
/// let opened: Vec<u8, 128> = encryptor.open(&blob, owner)?;
/// assert_eq!(opened, b"my stash");
///
/// // Another owner, another version: not what was sealed.
/// assert_eq!(encryptor.open::<128>(&blob, b"alice, version 4"), Err(EncryptorError::Decrypt));
/// # Ok(())
/// # }
/// ```
///
/// # What is bound, and what is not
///
/// The associated data (`aad`) is not part of the message, but it opens with the same one alone. Put there whatever
/// must not be swapped: the owner, the version. Without it whoever holds the data can hand back an older message, or
/// that of another record, and nothing shows.
///
/// The length of a message shows. And XChaCha20-Poly1305 is **not key-committing**: whoever knows two keys can make one
/// message that both of them open, to different data. So that a message opens does not prove which key sealed it; do
/// not try keys one after the other for people who may learn which of them fits.
///
/// # Secrets in memory
///
/// The key is wiped on drop; there is no way to read it, it is not in `Debug`, and there is no `Clone`. Copies that the
/// compiler leaves in registers and on the stack are not wiped: no safe code can.
///
/// # Buffers
///
/// `*_in_place` takes any [`heapless::Vec`] of bytes (as its view), `*_detached` any slice, with the tag apart.
/// `heapless` and the `Buffer` trait of the `aead` crate do not know each other in their present versions.
pub struct Encryptor {
    cipher: XChaCha20Poly1305,
}

impl Encryptor {
    /// The bytes of a nonce.
    pub const NONCE_LEN: usize = 24;
    /// The bytes of a tag: by so many is a sealed message longer than its plaintext.
    pub const TAG_LEN: usize = 16;
    /// The bytes by which a blob is longer than its plaintext: nonce and tag.
    pub const OVERHEAD: usize = Self::NONCE_LEN + Self::TAG_LEN;

    /// An encryptor whose key is derived from a secret seed; every domain has another key.
    ///
    /// The seed is of 32 random bytes, not a password. Wipe your copy of it.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32], domain: Domain<'_>) -> Self {
        Self::from_key(&domain.key(seed))
    }

    /// An encryptor with this very key, of 32 secret random bytes, for a program that needs no derivation: what uses
    /// nothing else of HKDF is without the 10 KB of SHA-256.
    ///
    /// Take one key for one use. Wipe your copy of it.
    #[must_use]
    pub fn from_key(key: &[u8; 32]) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.into()) }
    }

    /// Seals what is in `buffer`, where it is: afterwards it holds the ciphertext and the tag. Returns the nonce, to be
    /// kept beside it.
    ///
    /// # Errors
    ///
    /// [`Capacity`](EncryptorError::Capacity) if there is no room for the tag, [`Rng`](EncryptorError::Rng) if there is
    /// no nonce. The buffer is as it was then: it still holds the plaintext.
    pub fn seal_in_place<R: TryCryptoRng + ?Sized>(
        &self,
        buffer: &mut VecView<u8>,
        aad: &[u8],
        rng: &mut R,
    ) -> Result<Nonce, EncryptorError> {
        if buffer.capacity().saturating_sub(buffer.len()) < Self::TAG_LEN {
            return Err(EncryptorError::Capacity);
        }
        let (nonce, tag) = self.seal_detached(buffer, aad, rng)?;
        buffer.extend_from_slice(&tag).map_err(|_full| EncryptorError::Capacity)?;
        Ok(nonce)
    }

    /// Opens what is in `buffer`, where it is: afterwards it holds the plaintext.
    ///
    /// # Errors
    ///
    /// [`NonceLength`](EncryptorError::NonceLength), or [`Decrypt`](EncryptorError::Decrypt) if this message was not
    /// sealed with this key, nonce and associated data, or was changed. The buffer is as it was then: nothing is
    /// decrypted before the tag has been checked.
    pub fn open_in_place(&self, nonce: &[u8], buffer: &mut VecView<u8>, aad: &[u8]) -> Result<(), EncryptorError> {
        let nonce = nonce.try_into().map_err(|_length| EncryptorError::NonceLength)?;
        let (message, tag) = buffer.split_last_chunk_mut().ok_or(EncryptorError::Decrypt)?;
        let plaintext = message.len();
        self.open_detached(nonce, message, tag, aad)?;
        buffer.truncate(plaintext);
        Ok(())
    }

    /// Seals `message`, where it is. Returns the nonce and the tag, to be kept beside it.
    ///
    /// # Errors
    ///
    /// [`Rng`](EncryptorError::Rng) if there is no nonce, [`Capacity`](EncryptorError::Capacity) beyond 256 GiB. The
    /// message is as it was then.
    pub fn seal_detached<R: TryCryptoRng + ?Sized>(
        &self,
        message: &mut [u8],
        aad: &[u8],
        rng: &mut R,
    ) -> Result<(Nonce, Tag), EncryptorError> {
        let nonce = fresh_nonce(rng)?;
        Ok((nonce, self.encrypt(&nonce, message, aad)?))
    }

    /// Opens `message`, where it is, if its `tag` is right.
    ///
    /// # Errors
    ///
    /// [`Decrypt`](EncryptorError::Decrypt), as [`open_in_place`](Self::open_in_place). The message is as it was then.
    pub fn open_detached(
        &self,
        nonce: &Nonce,
        message: &mut [u8],
        tag: &Tag,
        aad: &[u8],
    ) -> Result<(), EncryptorError> {
        self.cipher
            .decrypt_inout_detached(nonce.into(), aad, message.into(), tag.into())
            .map_err(|_undifferentiated| EncryptorError::Decrypt)
    }

    /// Seals `plaintext` into one blob: nonce, ciphertext, tag.
    ///
    /// # Errors
    ///
    /// [`Capacity`](EncryptorError::Capacity) if `N` is less than the plaintext and [`OVERHEAD`](Self::OVERHEAD),
    /// [`Rng`](EncryptorError::Rng) if there is no nonce.
    #[doc(alias = "encrypt")]
    pub fn seal<const N: usize>(
        &self,
        plaintext: &[u8],
        aad: &[u8],
        rng: &mut (impl TryCryptoRng + ?Sized),
    ) -> Result<Vec<u8, N>, EncryptorError> {
        // Before the plaintext is copied, which would stay behind where the blob lies.
        if N.checked_sub(Self::OVERHEAD).is_none_or(|room| room < plaintext.len()) {
            return Err(EncryptorError::Capacity);
        }
        let mut blob = Vec::new();
        let nonce = fresh_nonce(rng)?;
        let fits = blob
            .extend_from_slice(&nonce)
            .and_then(|()| blob.extend_from_slice(plaintext))
            .and_then(|()| blob.extend_from_slice(&Tag::default()));
        fits.map_err(|_full| EncryptorError::Capacity)?;
        let message = blob.get_mut(Self::NONCE_LEN..).and_then(<[u8]>::split_last_chunk_mut);
        let (message, tag) = message.ok_or(EncryptorError::Capacity)?;
        *tag = self.encrypt(&nonce, message, aad)?;
        Ok(blob)
    }

    /// Opens a blob that [`seal`](Self::seal) made.
    ///
    /// # Errors
    ///
    /// [`TooShort`](EncryptorError::TooShort) if it has no nonce or no tag, [`Capacity`](EncryptorError::Capacity) if
    /// the plaintext is longer than `N`, [`Decrypt`](EncryptorError::Decrypt) as
    /// [`open_in_place`](Self::open_in_place).
    #[doc(alias = "decrypt")]
    pub fn open<const N: usize>(&self, blob: &[u8], aad: &[u8]) -> Result<Vec<u8, N>, EncryptorError> {
        let (nonce, rest) = blob.split_first_chunk().ok_or(EncryptorError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk().ok_or(EncryptorError::TooShort)?;
        let mut message = Vec::from_slice(ciphertext).map_err(|_full| EncryptorError::Capacity)?;
        self.open_detached(nonce, &mut message, tag, aad)?;
        Ok(message)
    }

    fn encrypt(&self, nonce: &Nonce, message: &mut [u8], aad: &[u8]) -> Result<Tag, EncryptorError> {
        let tag = self.cipher.encrypt_inout_detached(nonce.into(), aad, message.into());
        tag.map(Tag::from).map_err(|_too_long| EncryptorError::Capacity)
    }
}

/// A nonce is never the caller's to choose: two messages under one nonce give both away.
fn fresh_nonce(rng: &mut (impl TryCryptoRng + ?Sized)) -> Result<Nonce, EncryptorError> {
    let mut nonce = Nonce::default();
    rng.try_fill_bytes(&mut nonce).map_err(|_no_entropy| EncryptorError::Rng)?;
    Ok(nonce)
}

/// The cipher wipes its key.
impl ZeroizeOnDrop for Encryptor {}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encryptor").finish_non_exhaustive()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Encryptor {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Encryptor {{ .. }}");
    }
}
