//! What a dedup cache answers.

use core::fmt;

use super::state::State;
use crate::foundation::time::Instant;

/// Whether an id is fresh or a duplicate. A fresh id is marked.
#[must_use = "an answer that is not acted on keeps no duplicate out"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// It was seen before; its TTL is not prolonged.
    Duplicate {
        /// When its TTL began.
        first_seen_at: Instant,
        /// How often it has come since, this time included; 0 while it is only claimed.
        count: u32,
    },
    /// It was not seen, and there is no room to mark it: the next time it will not be known either.
    Full,
    /// It was not seen; now it is marked.
    Fresh,
}

impl Seen {
    /// True for [`Fresh`](Self::Fresh).
    #[must_use]
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh)
    }
}

/// Whether an id (an idempotency key) may be worked on. `T` ends the claim, `V` is what is kept with an id.
#[must_use = "a claim ends by commit or abort"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
pub enum Claim<T = ClaimTicket, V = ()> {
    /// It was seen and the work on it is done; its TTL is not prolonged.
    Duplicate {
        /// When its TTL began.
        first_seen_at: Instant,
        /// How often it has come since, this time included.
        count: u32,
        /// What its commit kept: the answer to give again. The default of `V` if it kept none.
        value: V,
    },
    /// It was not seen, and there is no room to claim it.
    Full,
    /// It is the caller's: to be committed once the work is done, or aborted if it failed.
    Fresh(T),
    /// Another claim of it is neither committed nor aborted yet.
    InFlight,
}

impl<T, V> Claim<T, V> {
    /// The same answer with another end of the claim.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Claim<U, V> {
        match self {
            Self::Duplicate { first_seen_at, count, value } => Claim::Duplicate { first_seen_at, count, value },
            Self::Full => Claim::Full,
            Self::Fresh(ticket) => Claim::Fresh(f(ticket)),
            Self::InFlight => Claim::InFlight,
        }
    }

    /// The same answer with another value: [`claim_with`](crate::dedup_cache::DedupCacheIn::claim_with) lends it.
    pub fn map_value<W>(self, f: impl FnOnce(V) -> W) -> Claim<T, W> {
        match self {
            Self::Duplicate { first_seen_at, count, value } => {
                Claim::Duplicate { first_seen_at, count, value: f(value) }
            }
            Self::Full => Claim::Full,
            Self::Fresh(ticket) => Claim::Fresh(ticket),
            Self::InFlight => Claim::InFlight,
        }
    }
}

/// The ticket to commit or abort one claim.
///
/// It ends with the lease: a ticket that was lost blocks its id no longer than that.
#[must_use = "a claim that is neither committed nor aborted blocks its id until the lease ends"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
pub struct ClaimTicket {
    pub(super) place: u32,
    pub(super) state: State,
}

/// An error: the claim was over before its commit, because its lease ended or the id was marked. Nothing was changed.
///
/// If the lease ended, another may have claimed the id meanwhile; [`mark`](crate::dedup_cache::DedupCacheIn::mark)
/// makes it known all the same.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClaimLost;

impl fmt::Display for ClaimLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claim was over before it was committed")
    }
}

impl core::error::Error for ClaimLost {}

/// What a [`DedupCache`](crate::dedup_cache::DedupCache) does with a new id when it is full of live ones: evict the oldest
/// (fail open), or refuse the new one (fail closed).
///
/// There is no default: the wrong choice is a silent error.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{DedupCache, Instant, dedup_cache::{OnFull, Seen}};
///
/// let (ttl, now) = (Duration::from_secs(60), Instant::ZERO);
/// let mut replays: DedupCache<u32, 1> = DedupCache::new(ttl, OnFull::Refuse);
/// assert!(replays.check(&1, now).is_fresh());
/// assert!(matches!(replays.check(&2, now), Seen::Full { .. })); // what is known stays known
///
/// let mut gossip: DedupCache<u32, 1> = DedupCache::new(ttl, OnFull::ForgetOldest);
/// assert!(gossip.check(&1, now).is_fresh() && gossip.check(&2, now).is_fresh());
/// assert!(gossip.check(&1, now).is_fresh()); // it was forgotten, and `horizon` says so
/// ```
#[doc(alias("eviction", "max_capacity"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OnFull {
    /// Forget the oldest one, for filters whose duplicates do no harm: gossip.
    ///
    /// Whoever can send enough ids shortens the memory; [`horizon`](crate::dedup_cache::DedupCacheIn::horizon) tells to
    /// what. Claims in flight are never forgotten.
    ForgetOldest,
    /// Answer `Full`, for guards whose duplicates do harm: replay. The id must be refused, and the capacity must be at
    /// least the rate of ids times their TTL.
    ///
    /// It guards for one TTL, and not across a restart: after either, whoever kept a message can send it again, and it is
    /// new. Refuse it by a timestamp or a counter under the message's authentication.
    Refuse,
}

/// The counts of a [`DedupCache`](crate::dedup_cache::DedupCache).
///
/// Each call of `check`, `mark` and `claim` counts once in `fresh`, `duplicates`, `in_flight` or `refused`. Every id has
/// an end: `fresh = held + expired + forgotten + removed + aborted + given_up`. So has every claim:
/// `claimed = pending + committed + aborted + given_up`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DedupStats {
    /// Ids that were new.
    pub fresh: u64,
    /// Ids that were known.
    pub duplicates: u64,
    /// Claims of ids that another claim held.
    pub in_flight: u64,
    /// New ids that found no room.
    pub refused: u64,
    /// Claims that were given out.
    pub claimed: u64,
    /// Claims that were committed, or whose id was marked meanwhile.
    pub committed: u64,
    /// Claims that were aborted, or whose id was removed by [`forget`](crate::dedup_cache::DedupCacheIn::forget).
    pub aborted: u64,
    /// Claims whose lease ended.
    pub given_up: u64,
    /// Ids whose TTL ended.
    pub expired: u64,
    /// Live ids that were forgotten for want of room.
    pub forgotten: u64,
    /// Ids without a claim that [`forget`](crate::dedup_cache::DedupCacheIn::forget) removed.
    pub removed: u64,
    /// Ids that have an entry now.
    pub held: u64,
    /// Claims that are neither committed nor aborted.
    pub pending: u64,
}

impl DedupStats {
    pub(super) const NONE: Self = Self {
        fresh: 0,
        duplicates: 0,
        in_flight: 0,
        refused: 0,
        claimed: 0,
        committed: 0,
        aborted: 0,
        given_up: 0,
        expired: 0,
        forgotten: 0,
        removed: 0,
        held: 0,
        pending: 0,
    };

    /// The sum of two, for a cache that consists of several.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            fresh: self.fresh.saturating_add(other.fresh),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            in_flight: self.in_flight.saturating_add(other.in_flight),
            refused: self.refused.saturating_add(other.refused),
            claimed: self.claimed.saturating_add(other.claimed),
            committed: self.committed.saturating_add(other.committed),
            aborted: self.aborted.saturating_add(other.aborted),
            given_up: self.given_up.saturating_add(other.given_up),
            expired: self.expired.saturating_add(other.expired),
            forgotten: self.forgotten.saturating_add(other.forgotten),
            removed: self.removed.saturating_add(other.removed),
            held: self.held.saturating_add(other.held),
            pending: self.pending.saturating_add(other.pending),
        }
    }

    /// What was counted since `earlier`, when the same stats were read before.
    ///
    /// `held` and `pending` are those of now: with those of `earlier` added to `fresh` and `claimed`, they add up.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            fresh: self.fresh.saturating_sub(earlier.fresh),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            in_flight: self.in_flight.saturating_sub(earlier.in_flight),
            refused: self.refused.saturating_sub(earlier.refused),
            claimed: self.claimed.saturating_sub(earlier.claimed),
            committed: self.committed.saturating_sub(earlier.committed),
            aborted: self.aborted.saturating_sub(earlier.aborted),
            given_up: self.given_up.saturating_sub(earlier.given_up),
            expired: self.expired.saturating_sub(earlier.expired),
            forgotten: self.forgotten.saturating_sub(earlier.forgotten),
            removed: self.removed.saturating_sub(earlier.removed),
            held: self.held,
            pending: self.pending,
        }
    }
}
