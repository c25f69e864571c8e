//! How much may be held in advance, and for how long.

use core::time::Duration;

use crate::foundation::time::Span;

/// How much of a shared quota one process may hold in advance, and for how long: the settings of [`Leases`](super::Leases).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::Lease;
///
/// const LEASE: Lease = Lease::up_to(25).hold(Duration::from_millis(500));
/// assert_eq!(LEASE.most_held(4), 100); // so much may four processes allow at once, beyond what the quota says
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lease {
    most: u32,
    pub(super) hold: Span,
    pub(super) is_eager: bool,
}

impl Lease {
    /// Up to `most` requests of a key in advance, for a second. With one, or none, nothing is held: each request is asked
    /// for.
    #[must_use]
    pub const fn up_to(most: u32) -> Self {
        Self { most, hold: Span::new(Duration::from_secs(1)), is_eager: false }
    }

    /// For how long what was granted may be spent, from before it was asked for. What is left then is given back, or is
    /// lost.
    #[must_use]
    pub const fn hold(mut self, hold: Duration) -> Self {
        self.hold = Span::new(hold);
        self
    }

    /// Ask again as soon as one request is allowed. Otherwise whoever was denied comes back when half of what it wants is
    /// there, after `hold` at the latest: fewer questions where there is too little for all, and longer waits.
    #[must_use]
    pub const fn eager(mut self) -> Self {
        self.is_eager = true;
        self
    }

    /// What this many processes hold at most: by so much more than the quota says may be allowed in a span, since it was
    /// granted before.
    #[must_use]
    pub const fn most_held(&self, processes: u32) -> u64 {
        (self.most() as u64).saturating_mul(processes as u64)
    }

    /// At most so many are held.
    pub(super) const fn most(&self) -> u32 {
        if self.most > 1 { self.most } else { 0 }
    }
}
