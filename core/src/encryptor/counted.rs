//! Nonces made of counters, for links on which no packet may count twice.

use super::{Encryptor, EncryptorError, Nonce, Tag};
use crate::session::{CounterReserve, ReplayWindow};

/// Who sends: 16 bytes that no other sender with the same key has, such as its address. Not secret.
///
/// A counter nonce is these bytes and the counter, big-endian. The receiver knows the sender, so that a frame carries the
/// counter alone.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sender([u8; 16]);

impl Sender {
    /// The sender with this id. Both directions of a link are two senders.
    #[must_use]
    pub const fn new(id: [u8; 16]) -> Self {
        Self(id)
    }

    /// The nonce of one packet, for another implementation of XChaCha20-Poly1305.
    #[must_use]
    pub fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = Nonce::default();
        let bytes = self.0.iter().copied().chain(counter.to_be_bytes());
        nonce.iter_mut().zip(bytes).for_each(|(byte, from)| *byte = from);
        nonce
    }
}

impl Encryptor {
    /// Seals `message`, where it is, with a counter nonce. Returns the counter and the tag, to be sent beside it.
    ///
    /// A frame is 8 bytes and the tag longer than its message, and needs no random numbers. A receiver opens it with
    /// [`open_counted`](Self::open_counted).
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use steadfast_core::{
    ///     CounterReserve, Encryptor, ReplayWindow,
    ///     encryptor::{EncryptorError, Sender},
    ///     session::Replay,
    /// };
    ///
    /// # fn main() -> Result<(), EncryptorError> {
    /// # let key = [7; 32];
    /// let (encryptor, node) = (Encryptor::from_key(&key), Sender::new(*b"node 7 to master"));
    /// let mut counters = CounterReserve::restore(0, NonZeroU32::MAX); // from flash
    /// let limit = counters.to_store(); // to flash
    /// assert!(counters.stored(limit).is_ok());
    ///
    /// let mut frame = *b"21.5 degrees";
    /// let (counter, tag) = encryptor.seal_counted(&mut frame, b"", &node, &mut counters)?;
    ///
    /// let mut window: ReplayWindow<4> = ReplayWindow::new(); // the receiver's, one for each sender
    /// let mut recorded = frame;
    /// encryptor.open_counted(counter, &mut frame, &tag, b"", &node, &mut window)?;
    /// assert_eq!(&frame, b"21.5 degrees");
    /// let again = encryptor.open_counted(counter, &mut recorded, &tag, b"", &node, &mut window);
    /// assert_eq!(again, Err(EncryptorError::Replay(Replay::Duplicate)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`StoreCounter`](EncryptorError::StoreCounter) once a block of `counters`,
    /// [`CountersExhausted`](EncryptorError::CountersExhausted) at their end, [`Capacity`](EncryptorError::Capacity)
    /// beyond 256 GiB. The message is as it was then.
    pub fn seal_counted(
        &self,
        message: &mut [u8],
        aad: &[u8],
        sender: &Sender,
        counters: &mut CounterReserve,
    ) -> Result<(u64, Tag), EncryptorError> {
        let counter = counters.next()?;
        Ok((counter, self.encrypt(&sender.nonce(counter), message, aad)?))
    }

    /// Opens `message`, where it is, if its `tag` is right and its counter was never accepted by `window`, the one of this
    /// sender.
    ///
    /// The counter is checked before anything is decrypted, and accepted once the tag has been checked. So a replay costs
    /// no cryptography, and a forged packet does not move the window.
    ///
    /// # Errors
    ///
    /// [`Replay`](EncryptorError::Replay), or [`Decrypt`](EncryptorError::Decrypt) as
    /// [`open_detached`](Self::open_detached). The message and the window are as they were then.
    pub fn open_counted<const W: usize>(
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
}
