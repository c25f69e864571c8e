//! Counters that never repeat, with a write to storage once in a block of them.

use core::{error, fmt, num::NonZeroU32};

/// A persistent counter: each number is handed out once, though the power fails at any time.
///
/// Only numbers below one that is in storage are handed out. So storage is written once a block, ahead of use, and a
/// restart goes on from what was stored: it skips the rest of a block and repeats nothing.
///
/// The storage is yours, and does not have to be fast or atomic. A number that [`next`](Self::next) asks for is written,
/// **read back**, and told to [`stored`](Self::stored).
///
/// ```
/// use core::num::NonZeroU32;
/// use steadfast_core::session::{CounterError, CounterReserve};
///
/// # let mut flash = 0_u64; // stands for a page of flash
/// let block = NonZeroU32::new(65_536).unwrap();
/// let mut counters = CounterReserve::restore(flash, block); // at boot; 0 for a new key
/// let counter = loop {
///     match counters.next() {
///         Ok(counter) => break counter,
///         Err(CounterError::Store(limit)) => {
///             flash = limit; // write it
///             counters.stored(flash).unwrap(); // what is read back
///         }
///         Err(error) => panic!("{error}"), // a new key
///     }
/// };
/// assert_eq!((counter, flash), (0, 65_536));
/// ```
///
/// # Storage that fails
///
/// A write that fails or is lost releases no number. Storage that is empty or unreadable after a boot is no reason to
/// begin at 0 with the same key, but to take a new key. Storage that returns an older value than it has confirmed makes
/// numbers repeat, and nothing here can tell: where that may happen, keep two copies, write both before
/// [`stored`](Self::stored), and restore the higher.
///
/// One reserve belongs to one sender and one key. It can go on under the next key.
#[doc(alias("nonce counter", "monotonic counter", "frame counter", "sequence number", "power loss", "wear"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub struct CounterReserve {
    next: u64,
    /// What is in storage: all below may be handed out.
    limit: u64,
    block: NonZeroU32,
}

/// Why there is no number. Nothing was changed.
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CounterError {
    /// This number has to be in storage first: write it, read it back, and call [`CounterReserve::stored`].
    Store(u64),
    /// All numbers below `u64::MAX` are used up: take a new key.
    Exhausted,
}

/// What was read back is not what had to be stored, and no number was released. What was handed out stays valid.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct NotStored;

impl CounterReserve {
    /// Goes on from what is in storage, or from 0 with a new key. `block` numbers come of each write; a power cut costs
    /// at most two blocks, of 2^64 numbers.
    #[must_use]
    pub const fn restore(stored: u64, block: NonZeroU32) -> Self {
        Self { next: stored, limit: stored, block }
    }

    /// The next number. It never returns it again, nor `u64::MAX`.
    ///
    /// # Errors
    ///
    /// [`Store`](CounterError::Store) once a block, the first time after a restart included;
    /// [`Exhausted`](CounterError::Exhausted) at the end.
    pub const fn next(&mut self) -> Result<u64, CounterError> {
        let counter = self.next;
        if counter < self.limit {
            self.next = counter.saturating_add(1);
            return Ok(counter);
        }
        if counter == u64::MAX { Err(CounterError::Exhausted) } else { Err(CounterError::Store(self.to_store())) }
    }

    /// How many numbers are left before storage has to be written.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.next)
    }

    /// What to store next, for a program that writes before it has to: say when few are [`remaining`](Self::remaining) and
    /// the radio is idle. It changes only by [`stored`](Self::stored).
    #[must_use]
    pub const fn to_store(&self) -> u64 {
        self.limit.saturating_add(self.block.get() as u64)
    }

    /// Tells what storage holds: what was read back after [`to_store`](Self::to_store) was written.
    ///
    /// # Errors
    ///
    /// [`NotStored`] if that is something else. If it is more than asked for, somebody else may have handed numbers out up
    /// to there, and the next one is asked for beyond it.
    pub const fn stored(&mut self, read_back: u64) -> Result<(), NotStored> {
        let asked = self.to_store();
        if read_back > asked {
            self.next = read_back;
            self.limit = read_back;
        }
        if read_back != asked {
            return Err(NotStored);
        }
        self.limit = asked;
        Ok(())
    }
}

impl fmt::Display for CounterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(limit) => write!(f, "{limit} has to be stored before the next counter"),
            Self::Exhausted => f.write_str("the counters of this key are used up"),
        }
    }
}

impl error::Error for CounterError {}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the storage does not hold what was to be stored")
    }
}

impl error::Error for NotStored {}
