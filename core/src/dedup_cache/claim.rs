//! Ids that are worked on: claimed, then committed or aborted.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use super::{Claim, ClaimLost, ClaimTicket, DedupCacheIn, Entered, Seen, own, repeat, state::State};
use crate::foundation::{storage::Storage, time::Instant};

impl<K: Eq + Hash, S: Storage, H: BuildHasher> DedupCacheIn<K, S, H> {
    /// Claims `key` for work that may fail; end the claim by [`commit`](Self::commit) or [`abort`](Self::abort).
    ///
    /// Abort only what surely did not happen. Where it is not known how work ended that must not run twice, commit.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{DedupCache, Instant, dedup_cache::{Claim, OnFull}};
    ///
    /// let mut orders: DedupCache<u32, 8> =
    ///     DedupCache::new(Duration::from_secs(60), OnFull::Refuse).with_lease(Duration::from_secs(5));
    /// let now = Instant::from_secs(1);
    /// let Claim::Fresh(first) = orders.claim(&7, now) else { unreachable!() };
    /// assert_eq!(orders.claim(&7, now), Claim::InFlight);
    /// orders.abort(first, now); // the work failed, so the order may come again
    ///
    /// let Claim::Fresh(second) = orders.claim(&7, now) else { unreachable!() };
    /// orders.commit(second, now)?;
    /// assert_eq!(orders.claim(&7, now), Claim::Duplicate { first_seen_at: now, count: 1 });
    /// # Ok::<(), steadfast_core::dedup_cache::ClaimLost>(())
    /// ```
    pub fn claim(&mut self, key: &K, now: Instant) -> Claim
    where
        K: Clone,
    {
        let hash = self.hash(key);
        self.claim_or(hash, key, &mut None, own, now).unwrap_or(Claim::Full)
    }

    /// [`claim`](Self::claim) of a borrowed form of the key; see [`check_with`](Self::check_with).
    pub fn claim_with<Q>(&mut self, hash: u64, key: &Q, spare: &mut Option<K>, now: Instant) -> Option<Claim>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.claim_or(hash, key, spare, |_| None, now)
    }

    fn claim_or<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<K>,
        own: impl FnOnce(&Q) -> Option<K>,
        now: Instant,
    ) -> Option<Claim>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let time = self.observe(now);
        let known = self.table.find(hash, key);
        if let Some(slot) = known
            && self.is_alive(slot, time)
        {
            return Some(self.claim_known(slot));
        }
        let state = State::claimed(self.next_claim);
        match self.enter(known, hash, spare, || own(key), state, (now, time)) {
            Entered::At(slot) => {
                self.next_claim = self.next_claim.wrapping_add(1);
                self.stats.claimed = self.stats.claimed.saturating_add(1);
                Some(Claim::Fresh(ClaimTicket { slot: slot as u32, state }))
            }
            Entered::Full => Some(Claim::Full),
            Entered::NoKey => None,
        }
    }

    /// Ends a claim whose work is done: the TTL of its id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(&mut self, ticket: ClaimTicket, now: Instant) -> Result<(), ClaimLost> {
        let time = self.observe(now);
        let slot = self.slot_of(&ticket, time).ok_or(ClaimLost)?;
        self.confirm(slot, now);
        Ok(())
    }

    /// Ends a claim whose work failed, and gives back its id, which is not known any more. `None` if the claim was over;
    /// nothing is changed.
    pub fn abort(&mut self, ticket: ClaimTicket, now: Instant) -> Option<K> {
        let now = self.observe(now);
        let slot = self.slot_of(&ticket, now)?;
        self.stats.aborted = self.stats.aborted.saturating_add(1);
        self.remove(slot)
    }

    /// When the lease of a claim of `key` ends that is neither committed nor aborted; `None` if there is none. Whoever is told
    /// [`Claim::InFlight`] may come again then, or sooner.
    pub fn in_flight_until<Q>(&mut self, key: &Q, now: Instant) -> Option<Instant>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.in_flight_until_with(self.hash(key), key, now)
    }

    /// [`in_flight_until`](Self::in_flight_until), for callers that have hashed the key already.
    pub fn in_flight_until_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> Option<Instant>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.observe(now);
        let (_, entry) = self.table.find(hash, key).and_then(|slot| self.table.get(slot))?;
        Some(self.lives.end(entry)).filter(|end| entry.value.is_claimed() && now < *end)
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
