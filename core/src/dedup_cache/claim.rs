//! Ids that are worked on: claimed, then committed or aborted.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    mem,
};

use super::{Claim, ClaimLost, ClaimTicket, DedupCacheIn, Entered, ask::own, repeat, state::State};
use crate::foundation::{storage::Storage, time::Instant};

impl<K: Eq + Hash, S: Storage, H: BuildHasher, V> DedupCacheIn<K, S, H, V> {
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
    /// assert_eq!(orders.claim(&7, now), Claim::Duplicate { first_seen_at: now, count: 1, value: () });
    /// # Ok::<(), steadfast_core::dedup_cache::ClaimLost>(())
    /// ```
    pub fn claim(&mut self, key: &K, now: Instant) -> Claim<ClaimTicket, V>
    where
        K: Clone,
        V: Clone + Default,
    {
        let hash = self.hash(key);
        let claim = self.claim_or(hash, key, &mut None, || own(key), now).unwrap_or(Claim::Full);
        claim.map_value(V::clone)
    }

    /// [`claim`](Self::claim) of a borrowed form of the key, which lends the value; see [`check_with`](Self::check_with).
    pub fn claim_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<(K, V)>,
        now: Instant,
    ) -> Option<Claim<ClaimTicket, &V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.claim_or(hash, key, spare, || None, now)
    }

    fn claim_or<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<(K, V)>,
        own: impl FnOnce() -> Option<(K, V)>,
        now: Instant,
    ) -> Option<Claim<ClaimTicket, &V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let oldest = self.ids.cell_in_advance(self.marked.oldest_place());
        let time = self.observe(now);
        let known = self.ids.find(hash, key);
        if let Some(place) = known
            && self.is_alive(place, time)
        {
            return Some(self.claim_known(place));
        }
        let state = State::claimed(self.next_claim);
        match self.enter((known, oldest), hash, spare, own, state, (now, time)) {
            Entered::At(place) => {
                self.next_claim = self.next_claim.wrapping_add(1);
                self.stats.claimed = self.stats.claimed.saturating_add(1);
                Some(Claim::Fresh(ClaimTicket { place: place as u32, state }))
            }
            Entered::Full => Some(Claim::Full),
            Entered::NoKey => None,
        }
    }

    /// Ends a claim whose work is done: the TTL of its id begins now. A value is kept by
    /// [`commit_with`](Self::commit_with).
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(&mut self, ticket: ClaimTicket, now: Instant) -> Result<(), ClaimLost> {
        let time = self.observe(now);
        let place = self.place_of(&ticket, time).ok_or(ClaimLost)?;
        self.confirm(place, now);
        Ok(())
    }

    /// [`commit`](Self::commit), and keeps a value with the id, for whoever claims it again. In its place comes what the id
    /// had so far, to be dropped where no lock is held.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{DedupCache, HashSeed, Instant, dedup_cache::{Claim, OnFull}};
    ///
    /// // By the number of a request, with the answer that was given to it.
    /// let mut answers: DedupCache<u32, 8, HashSeed, Option<u8>> =
    ///     DedupCache::with_hasher(Duration::from_secs(60), OnFull::Refuse, HashSeed::FIXED);
    /// let now = Instant::from_secs(1);
    /// let Claim::Fresh(ticket) = answers.claim(&7, now) else { unreachable!() };
    /// answers.commit_with(ticket, &mut Some(42), now)?;
    /// assert_eq!(answers.claim(&7, now), Claim::Duplicate { first_seen_at: now, count: 1, value: Some(42) });
    /// # Ok::<(), steadfast_core::dedup_cache::ClaimLost>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit_with(&mut self, ticket: ClaimTicket, value: &mut V, now: Instant) -> Result<(), ClaimLost> {
        let time = self.observe(now);
        let place = self.place_of(&ticket, time).ok_or(ClaimLost)?;
        if let Some(held) = self.ids.get_mut(place) {
            mem::swap(&mut held.value, value);
        }
        self.confirm(place, now);
        Ok(())
    }

    /// Ends a claim whose work failed, and gives back its id, which is not known any more, and the value that it had.
    /// `None` if the claim was over; nothing is changed.
    pub fn abort(&mut self, ticket: ClaimTicket, now: Instant) -> Option<(K, V)> {
        let now = self.observe(now);
        let place = self.place_of(&ticket, now)?;
        self.stats.aborted = self.stats.aborted.saturating_add(1);
        self.remove(place, None)
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
        let held = self.ids.find(hash, key).and_then(|place| self.ids.get(place))?;
        Some(self.lives.end(held)).filter(|end| held.state.is_claimed() && now < *end)
    }

    fn claim_known(&mut self, place: usize) -> Claim<ClaimTicket, &V> {
        let Some(held) = self.ids.get_mut(place) else { return Claim::Full };
        if held.state.is_claimed() {
            self.stats.in_flight = self.stats.in_flight.saturating_add(1);
            return Claim::InFlight;
        }
        let (first_seen_at, count) = repeat(held, &mut self.stats);
        Claim::Duplicate { first_seen_at, count, value: &held.value }
    }

    /// The place of a claim that is not over.
    fn place_of(&self, ticket: &ClaimTicket, now: Instant) -> Option<usize> {
        let place = ticket.place as usize;
        let held = self.ids.get(place)?;
        (held.state == ticket.state && now < self.lives.end(held)).then_some(place)
    }
}
