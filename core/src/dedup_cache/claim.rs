//! Ids that are worked on: claimed, then committed or aborted.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use super::{Claim, ClaimEnd, ClaimLost, ClaimTicket, DedupCacheIn, Seen, repeat, state::State};
use crate::{Instant, storage::Storage};

impl<K: Eq + Hash, S: Storage, H: BuildHasher> DedupCacheIn<K, S, H> {
    /// Claims `key` for work that may fail; end the claim by [`commit`](Self::commit) or [`abort`](Self::abort).
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Claim, DedupCache, Instant, WhenFull};
    ///
    /// let mut orders: DedupCache<u32, 8> =
    ///     DedupCache::new(Duration::from_secs(60), WhenFull::Refuse).with_lease(Duration::from_secs(5));
    /// let now = Instant::from_secs(1);
    /// let Claim::Fresh(first) = orders.claim(&7, now) else { unreachable!() };
    /// assert_eq!(orders.claim(&7, now), Claim::InFlight);
    /// orders.abort(first, now); // the work failed, so the order may come again
    ///
    /// let Claim::Fresh(second) = orders.claim(&7, now) else { unreachable!() };
    /// orders.commit(second, now)?;
    /// assert_eq!(orders.claim(&7, now), Claim::Duplicate { first_seen_at: now, count: 1 });
    /// # Ok::<(), steadfast_core::ClaimLost>(())
    /// ```
    pub fn claim(&mut self, key: &K, now: Instant) -> Claim
    where
        K: Clone,
    {
        self.claim_with(self.hash(key), key, K::clone, now)
    }

    /// [`claim`](Self::claim) of a borrowed form of the key; see [`check_with`](Self::check_with).
    pub fn claim_with<Q>(&mut self, hash: u64, key: &Q, own: impl FnOnce(&Q) -> K, now: Instant) -> Claim
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.observe(now);
        match self.table.find(hash, key) {
            Some(slot) if self.is_alive(slot, now) => self.claim_known(slot),
            over => {
                let state = State::claimed(self.next_claim);
                let Some(slot) = self.enter(over, hash, key, own, state, now) else { return Claim::Full };
                self.next_claim = self.next_claim.wrapping_add(1);
                self.stats.claimed = self.stats.claimed.saturating_add(1);
                Claim::Fresh(ClaimTicket { slot: slot as u32, state })
            }
        }
    }

    /// Ends a claim whose work is done: the life of its id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(&mut self, ticket: ClaimTicket, now: Instant) -> Result<(), ClaimLost> {
        self.observe(now);
        let slot = self.slot_of(&ticket, now).ok_or(ClaimLost)?;
        self.confirm(slot, now);
        Ok(())
    }

    /// Ends a claim whose work failed: its id is not known any more. Nothing is changed if the claim was over.
    pub fn abort(&mut self, ticket: ClaimTicket, now: Instant) {
        self.observe(now);
        if let Some(slot) = self.slot_of(&ticket, now) {
            self.remove(slot);
            self.stats.aborted = self.stats.aborted.saturating_add(1);
        }
    }

    /// [`commit`](Self::commit) or [`abort`](Self::abort).
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if it was to be committed and was over; nothing is changed.
    pub fn end(&mut self, ticket: ClaimTicket, end: ClaimEnd, now: Instant) -> Result<(), ClaimLost> {
        match end {
            ClaimEnd::Abort => {
                self.abort(ticket, now);
                Ok(())
            }
            ClaimEnd::Commit => self.commit(ticket, now),
        }
    }

    fn claim_known(&mut self, slot: usize) -> Claim {
        let Some(entry) = self.table.get_mut(slot) else { return Claim::Full };
        if entry.value.is_claimed() {
            self.stats.in_flight = self.stats.in_flight.saturating_add(1);
            return Claim::InFlight;
        }
        match repeat(entry, &mut self.stats) {
            Seen::Duplicate { first_seen_at, count } => Claim::Duplicate { first_seen_at, count },
            Seen::Fresh | Seen::Full => Claim::Full,
        }
    }

    /// The slot of a claim that is not over.
    fn slot_of(&self, ticket: &ClaimTicket, now: Instant) -> Option<usize> {
        let slot = ticket.slot as usize;
        let (_, entry) = self.table.get(slot)?;
        (entry.value == ticket.state && now < self.lives.end(entry)).then_some(slot)
    }
}
