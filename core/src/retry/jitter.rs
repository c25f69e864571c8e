//! Randomness in delays, in integers only.

use rand_core::Rng;

use crate::foundation::time::Span;

/// Jitter (full, equal, decorrelated): how a delay is spread, so that clients that failed together do not come back
/// together (thundering herd).
///
/// No kind ever makes a delay longer than [`RetryPolicy::delay_for`](super::RetryPolicy::delay_for) says. The kinds are
/// those of Marc Brooker's "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{RetryPolicy, retry::Jitter};
///
/// let policy = RetryPolicy::exponential(Duration::from_millis(100)).jitter(Jitter::Equal);
/// assert_eq!(policy.delay_for(1), Duration::from_millis(200)); // at most; half of it at least
/// ```
#[doc(alias("decorrelated jitter", "equal jitter", "full jitter"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Jitter {
    /// Between the base and three times the delay before; the policy's growth is not used.
    ///
    /// The upper end is capped before the draw, so that long outages do not gather everyone at the maximum.
    Decorrelated,
    /// Between half of the delay and all of it.
    Equal,
    /// Between nothing and all of the delay: spreads most, and is the default.
    Full,
    /// The delay itself: for tests, and for clients that cannot fail together.
    None,
}

/// A number from 0 up to `most`, as even as 32 random bits can make it; `most` itself is out of reach.
pub(super) fn below<R: Rng + ?Sized>(most: Span, rng: &mut R) -> Span {
    let most = most.as_nanos();
    let random = u64::from(rng.next_u32());
    // most * random / 2^32 in two halves: a product of 128 bits costs a 32-bit processor a hundred instructions.
    let low = (most & 0xffff_ffff).wrapping_mul(random) >> 32;
    let high = (most >> 32).wrapping_mul(random);
    Span::from_nanos(high.wrapping_add(low))
}
