//! How many retries many operations may make together.

use crate::foundation::time::{Instant, Span};

/// A retry budget: it limits the retries of many operations to a share of their requests, against retry storms.
///
/// A token bucket of retries: every request puts in a share of one ([`percent`](Self::percent)), every second some
/// ([`floor_per_second`](Self::floor_per_second)), every retry takes one out, and no more than [`burst`](Self::burst)
/// are ever in it. Shares count when they make a whole retry. It starts full. So from its beginning on, there
/// are at most burst + requests × percent / 100 + seconds × floor retries; in any part of that time less than one more,
/// for shares from before it.
///
/// ```
/// use steadfast_core::{Instant, RetryBudget};
///
/// // One retry for every five requests, and one a second when there are few.
/// let mut budget = RetryBudget::percent(20).floor_per_second(1).burst(2);
/// let now = Instant::from_secs(100);
/// assert!(budget.withdraw(now) && budget.withdraw(now));
/// assert!(!budget.withdraw(now));
///
/// budget.refund(); // one of the two was cancelled before it ran
/// assert!(budget.withdraw(now));
///
/// for _request in 0..5 {
///     budget.deposit();
/// }
/// assert!(budget.withdraw(now) && !budget.withdraw(now));
/// assert!(budget.withdraw(Instant::from_secs(101)));
/// ```
///
/// # Clock
///
/// If the clock steps back by up to a second, nothing is refilled twice. After a longer step refilling stops for a
/// second at most, and one burst at most is granted twice.
///
/// # Cost
///
/// Every operation is O(1), in integers, without a division.
#[doc(alias("Budget", "TpsBudget"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct RetryBudget {
    /// In billionths of a retry: a floor of one a second then adds one for each nanosecond, and nothing is divided.
    balance: u64,
    burst: u64,
    /// What one request puts in: so many whole retries, and a part of one.
    whole: u32,
    part: u32,
    /// The parts that do not make a whole one yet. Beside the balance, so that a full one does not cut them off.
    parts: u32,
    floor_per_second: u32,
    refilled_at: Instant,
    stats: RetryBudgetStats,
}

/// The counts of a [`RetryBudget`] since it was made.
///
/// Every retry that was asked for was granted or refused: `asked = withdrawn + refused`; and of the granted ones
/// `withdrawn - refunded` ran or may still run.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RetryBudgetStats {
    /// Requests that put their share in.
    pub deposits: u64,
    /// Retries given back.
    pub refunded: u64,
    /// Retries that were asked for and not granted.
    pub refused: u64,
    /// Retries granted.
    pub withdrawn: u64,
}

impl RetryBudgetStats {
    /// What was counted since `earlier`, when the same stats were read before; it adds up as they do.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            deposits: self.deposits.saturating_sub(earlier.deposits),
            refunded: self.refunded.saturating_sub(earlier.refunded),
            refused: self.refused.saturating_sub(earlier.refused),
            withdrawn: self.withdrawn.saturating_sub(earlier.withdrawn),
        }
    }
}

/// One retry.
const RETRY: u64 = 1_000_000_000;

impl RetryBudget {
    /// `percent` retries for every 100 requests; one a second at least, and at most 10 at once.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        let burst = RETRY.saturating_mul(10);
        Self {
            balance: burst,
            burst,
            whole: percent / 100,
            part: (percent % 100).saturating_mul(RETRY as u32 / 100),
            parts: 0,
            floor_per_second: 1,
            refilled_at: Instant::ZERO,
            stats: RetryBudgetStats { deposits: 0, refunded: 0, refused: 0, withdrawn: 0 },
        }
    }

    /// `retries` a second without any request, so that a client with few requests can retry at all.
    #[must_use]
    pub const fn floor_per_second(mut self, retries: u32) -> Self {
        self.floor_per_second = retries;
        self
    }

    /// At most `retries` at once; that many are in it now. With 0 there is never a retry.
    #[must_use]
    pub const fn burst(mut self, retries: u32) -> Self {
        self.burst = (retries as u64).saturating_mul(RETRY);
        self.balance = self.burst;
        self
    }

    /// Goes by the settings of another budget from now on, and keeps what is in it, at most the new burst, and its
    /// counts.
    ///
    /// A larger burst is filled by requests and time, not by this.
    pub fn set_settings(&mut self, settings: &Self, now: Instant) {
        self.refill(now);
        *self = Self {
            balance: self.balance.min(settings.burst),
            parts: self.parts,
            refilled_at: self.refilled_at,
            stats: self.stats,
            ..*settings
        };
    }

    /// Puts in the share of one request: call it once for each operation, not for its retries.
    pub fn deposit(&mut self) {
        self.stats.deposits = self.stats.deposits.saturating_add(1);
        self.parts = self.parts.saturating_add(self.part);
        let mut whole = self.whole;
        if self.parts >= RETRY as u32 {
            self.parts = self.parts.saturating_sub(RETRY as u32);
            whole = whole.saturating_add(1);
        }
        self.add(u64::from(whole).wrapping_mul(RETRY)); // at most 2^32 times 2^30
    }

    /// Takes out one retry; false, and nothing taken, if there is none.
    #[must_use = "a retry that was refused must not run"]
    pub fn withdraw(&mut self, now: Instant) -> bool {
        self.refill(now);
        let Some(rest) = self.balance.checked_sub(RETRY) else {
            self.stats.refused = self.stats.refused.saturating_add(1);
            return false;
        };
        self.balance = rest;
        self.stats.withdrawn = self.stats.withdrawn.saturating_add(1);
        true
    }

    /// Gives back a retry that was taken out and never ran. More refunds than withdrawals change nothing.
    pub fn refund(&mut self) {
        if self.stats.refunded < self.stats.withdrawn {
            self.stats.refunded = self.stats.refunded.saturating_add(1);
            self.add(RETRY);
        }
    }

    /// How many retries could be taken out at `now`.
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        let mut copy = self.clone();
        copy.refill(now);
        u32::try_from(copy.balance / RETRY).unwrap_or(u32::MAX)
    }

    /// What it has done so far.
    #[must_use]
    pub const fn stats(&self) -> RetryBudgetStats {
        self.stats
    }

    fn refill(&mut self, now: Instant) {
        const MOST_AHEAD: Span = Span::from_nanos(1_000_000_000);

        self.refilled_at = self.refilled_at.earlier(now.after(MOST_AHEAD));
        if now > self.refilled_at {
            let nanos = now.since(self.refilled_at).as_nanos();
            self.refilled_at = now;
            self.add(nanos.saturating_mul(u64::from(self.floor_per_second)));
        }
    }

    fn add(&mut self, amount: u64) {
        self.balance = self.balance.saturating_add(amount).min(self.burst);
    }
}
