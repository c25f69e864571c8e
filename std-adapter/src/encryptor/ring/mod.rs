//! XChaCha20-Poly1305 by ring: a key of its own for each message by `HChaCha20`, and under that ring's
//! ChaCha20-Poly1305, which is assembly.

#[cfg(test)]
mod tests;

use chacha20::{R20, hchacha};
use rand_core::TryCryptoRng;
use ring::{
    aead::{self, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey},
    error::Unspecified,
};
use steadfast_core::{
    encryptor::{Domain, EncryptorError, Nonce, Sender, Tag},
    session::{CounterReserve, ReplayWindow},
};
use zeroize::{Zeroize, Zeroizing};

/// What [`steadfast_core::Encryptor`] does, with the same bytes and the same errors.
///
/// ring never sees the key itself. What it copies of a message's own key stays on the stack unwiped, as all that
/// compilers copy there; it opens nothing but that message.
pub(super) struct Cipher {
    key: Zeroizing<[u8; 32]>,
}

impl Cipher {
    pub(super) fn from_seed(seed: &[u8; 32], domain: Domain<'_>) -> Self {
        Self { key: domain.key(seed) }
    }

    pub(super) fn from_key(key: &[u8; 32]) -> Self {
        Self { key: Zeroizing::new(*key) }
    }

    pub(super) fn seal_counted(
        &self,
        message: &mut [u8],
        aad: &[u8],
        sender: &Sender,
        counters: &mut CounterReserve,
    ) -> Result<(u64, Tag), EncryptorError> {
        let counter = counters.next()?;
        Ok((counter, self.encrypt(&sender.nonce(counter), message, aad)?))
    }

    pub(super) fn open_counted<const W: usize>(
        &self,
        counter: u64,
        message: &mut [u8],
        tag: &Tag,
        aad: &[u8],
        sender: &Sender,
        window: &mut ReplayWindow<W>,
    ) -> Result<(), EncryptorError> {
        let candidate = window.check(counter)?;
        self.open_detached(&sender.nonce(counter), message, tag, aad)?;
        Ok(window.accept(candidate)?)
    }

    pub(super) fn seal_detached<R: TryCryptoRng + ?Sized>(
        &self,
        message: &mut [u8],
        aad: &[u8],
        rng: &mut R,
    ) -> Result<(Nonce, Tag), EncryptorError> {
        let mut nonce = Nonce::default();
        rng.try_fill_bytes(&mut nonce).map_err(|_no_entropy| EncryptorError::Rng)?;
        Ok((nonce, self.encrypt(&nonce, message, aad)?))
    }

    fn encrypt(&self, nonce: &Nonce, message: &mut [u8], aad: &[u8]) -> Result<Tag, EncryptorError> {
        let sealed = self.with(nonce, |key, short| key.seal_in_place_separate_tag(short, Aad::from(aad), message));
        let tag = sealed.and_then(|tag| Tag::try_from(tag.as_ref()).map_err(|_length| Unspecified));
        tag.map_err(|_too_long| EncryptorError::Capacity)
    }

    /// On an error the message is as it was.
    pub(super) fn open_detached(
        &self,
        nonce: &Nonce,
        message: &mut [u8],
        tag: &Tag,
        aad: &[u8],
    ) -> Result<(), EncryptorError> {
        // ring decrypts before it has checked the tag, and wipes what it should not have.
        let sealed = message.to_vec();
        let opened = self.with(nonce, |key, short| {
            key.open_in_place_separate_tag(short, Aad::from(aad), (*tag).into(), message, 0..).map(|_plaintext| ())
        });
        opened.map_err(|_undifferentiated| {
            message.copy_from_slice(&sealed);
            EncryptorError::Decrypt
        })
    }

    /// `XChaCha20` is `ChaCha20` with the last 8 bytes of the nonce, under a key that the first 16 and the key yield.
    fn with<T>(
        &self,
        nonce: &Nonce,
        then: impl FnOnce(&LessSafeKey, aead::Nonce) -> Result<T, Unspecified>,
    ) -> Result<T, Unspecified> {
        let (first, last) = nonce.split_first_chunk::<16>().ok_or(Unspecified)?;
        let mut short = [0; aead::NONCE_LEN];
        *short.last_chunk_mut().ok_or(Unspecified)? = *last.first_chunk::<8>().ok_or(Unspecified)?;
        let mut key = hchacha::<R20>((&*self.key).into(), first.into());
        let bound = UnboundKey::new(&CHACHA20_POLY1305, &key).map(LessSafeKey::new);
        key.as_mut_slice().zeroize();
        then(&bound?, aead::Nonce::assume_unique_for_key(short))
    }
}
