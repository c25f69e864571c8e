//! Which counters of a sender were accepted already.

use core::{error, fmt};

/// The counters that a block has a bit for.
const BITS: u64 = u32::BITS as u64;

/// A replay window (anti-replay, a sliding window over packet counters): each counter is accepted once, in any order
/// within the window.
///
/// The window is [`WIDTH`](Self::WIDTH) counters wide, the highest accepted one included; what lies behind it is too
/// old. `W` is the number of blocks of 4 bytes, a power of two from 2: 4 make a window of 96 counters in 24 bytes, 8 one
/// of 224 in 40, and 256 one of 8,160 for a server whose packets overtake each other. Keep one for each sender.
///
/// The two steps belong before and after the check of the packet's tag. A forged packet passes the first at most, and
/// moves nothing. `Encryptor::open_counted` (feature `aead`) does all three.
///
/// ```
/// use steadfast_core::session::{Replay, ReplayWindow};
///
/// # fn tag_is_right(_packet: &[u8]) -> bool { true }
/// # fn main() -> Result<(), Replay> {
/// # let packet = [0; 32];
/// let mut window: ReplayWindow<4> = ReplayWindow::new();
///
/// let candidate = window.check(7)?; // before anything is decrypted
/// if tag_is_right(&packet) {
///     window.accept(candidate)?;
/// }
/// assert_eq!(window.check(7), Err(Replay::Duplicate));
/// # Ok(())
/// # }
/// ```
///
/// # After a restart
///
/// A new window accepts what an earlier one has accepted. Agree on a new key, or store [`next`](Self::next) and
/// [`resume`](Self::resume) from there: what was accepted after it was stored last is accepted once more.
///
/// # Cost
///
/// Constant for a check. `accept` clears at most `W` blocks, however far the counter jumps.
///
/// The algorithm is that of RFC 6479: a ring of blocks, of which one is a spare, so that nothing is shifted.
#[doc(alias("anti-replay", "replay protection", "replay attack", "sliding window", "RFC 6479", "IPsec"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct ReplayWindow<const W: usize> {
    /// One above the highest counter that was accepted, so that a new one is all zeros.
    next: u64,
    /// Block `n` of all is at `n % W`. Those of the window say which counters were accepted.
    blocks: [u32; W],
}

/// A counter that may be accepted, once its packet has proved genuine: see [`ReplayWindow::accept`].
#[must_use = "it is accepted once the tag of its packet has been checked"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
pub struct Candidate(u64);

/// Why a counter is not accepted. The window is as it was.
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Replay {
    /// It was accepted before: an attack, or a network that doubles packets.
    Duplicate,
    /// It lies behind the window. It may be a replay, or a packet that comes late: with many of them take a wider window.
    TooOld,
    /// It is `u64::MAX`, which nobody sends: an honest sender needs a new key long before.
    Exhausted,
}

impl<const W: usize> ReplayWindow<W> {
    /// How many counters it tells apart, down from the highest accepted one.
    pub const WIDTH: u64 = (W as u64).saturating_sub(1).saturating_mul(BITS);

    /// A window that has seen nothing: any counter is fresh.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(W >= 2 && W.is_power_of_two(), "W is a power of two, and not 1") }
        Self { next: 0, blocks: [0; W] }
    }

    /// A window to which every counter below `next` is old.
    ///
    /// It continues one from before a restart: see [the type](Self#after-a-restart).
    #[must_use]
    pub fn resume(next: u64) -> Self {
        let mut window = Self::new();
        if let Some(highest) = next.checked_sub(1) {
            window.next = next;
            window.blocks = [u32::MAX; W];
            let unseen = BITS.saturating_sub(1).saturating_sub(highest % BITS);
            if let Some(block) = window.block(highest / BITS) {
                *block = u32::MAX.checked_shr(unseen as u32).unwrap_or(0);
            }
        }
        window
    }

    /// One above the highest counter that was accepted; 0 if none was.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Whether `counter` is fresh: what comes before the check of the packet's tag. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`Replay`] if it was accepted before, or nobody can tell any more.
    pub fn check(&self, counter: u64) -> Result<Candidate, Replay> {
        if counter == u64::MAX {
            return Err(Replay::Exhausted);
        }
        match self.next.checked_sub(counter) {
            None | Some(0) => Ok(Candidate(counter)),
            Some(behind) if behind > Self::WIDTH => Err(Replay::TooOld),
            Some(_) => match self.blocks.get(Self::place(counter / BITS)) {
                Some(block) if block & bit(counter) == 0 => Ok(Candidate(counter)),
                _ => Err(Replay::Duplicate),
            },
        }
    }

    /// Accepts the counter of a packet whose tag has been checked. No counter is accepted twice.
    ///
    /// # Errors
    ///
    /// [`Replay`] as [`check`](Self::check), if meanwhile the same counter, or a much higher one, was accepted: drop the
    /// packet then.
    pub fn accept(&mut self, candidate: Candidate) -> Result<(), Replay> {
        let Candidate(counter) = self.check(candidate.0)?;
        if counter >= self.next {
            let newest = self.next.saturating_sub(1) / BITS;
            let steps = (counter / BITS).saturating_sub(newest).min(W as u64);
            for step in 1..=steps {
                if let Some(block) = self.block(newest.saturating_add(step)) {
                    *block = 0;
                }
            }
            self.next = counter.saturating_add(1);
        }
        if let Some(block) = self.block(counter / BITS) {
            *block |= bit(counter);
        }
        Ok(())
    }

    fn block(&mut self, number: u64) -> Option<&mut u32> {
        self.blocks.get_mut(Self::place(number))
    }

    /// A power of two divides without a division.
    const fn place(number: u64) -> usize {
        (number as usize) & W.saturating_sub(1)
    }
}

const fn bit(counter: u64) -> u32 {
    1_u32.wrapping_shl(counter as u32)
}

impl<const W: usize> Default for ReplayWindow<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "a packet with this counter was accepted before",
            Self::TooOld => "the counter is older than the replay window",
            Self::Exhausted => "the counter is at its end",
        })
    }
}

impl error::Error for Replay {}
