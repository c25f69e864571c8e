//! A claim that ends itself.

use core::{fmt, hash::Hash};
use std::sync::Arc;

use steadfast_core::{
    Clock,
    dedup_cache::{ClaimLost, ClaimTicket},
};

use super::Cache;
use crate::runtime::SystemTimer;

/// A claim that is aborted when it is dropped, so that the id may come again.
///
/// Cancellation: dropping the future that holds it aborts the claim, and another caller may run the work again. For
/// work that must not run twice, move the claim into a spawned task and commit there.
#[must_use = "dropping it aborts the claim"]
pub struct ClaimGuard<K: Eq + Hash, V = (), T: Clock = SystemTimer> {
    cache: Arc<Cache<K, V, T>>,
    hash: u64,
    ticket: Option<ClaimTicket>,
}

impl<K: Eq + Hash, V, T: Clock> ClaimGuard<K, V, T> {
    pub(super) const fn new(cache: Arc<Cache<K, V, T>>, hash: u64, ticket: ClaimTicket) -> Self {
        Self { cache, hash, ticket: Some(ticket) }
    }

    /// Ends the claim: the work is done, and the TTL of the id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(mut self) -> Result<(), ClaimLost> {
        let ticket = self.ticket.take().ok_or(ClaimLost)?;
        let committed = self.cache.shards.of(self.hash).with(|cache, now| cache.commit(ticket, now));
        self.cache.waiters.wake(self.hash);
        committed
    }

    /// [`commit`](Self::commit), and keeps a value with the id for whoever claims it again, as long as the id is known.
    ///
    /// For a request with an `Idempotency-Key` that is a stored response, which Stripe marks by `Idempotent-Replayed` when
    /// it is sent again.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is kept.
    pub fn commit_with(mut self, mut value: V) -> Result<(), ClaimLost> {
        let ticket = self.ticket.take().ok_or(ClaimLost)?;
        let shard = self.cache.shards.of(self.hash);
        let committed = shard.with(|cache, now| cache.commit_with(ticket, &mut value, now));
        self.cache.waiters.wake(self.hash);
        committed
    }

    /// Neither commits nor aborts, because nobody knows how the work ended: the id stays in flight until the lease ends, as
    /// for [`steadfast_core`'s](steadfast_core::dedup_cache::ClaimGuard::keep).
    #[doc(alias("leak", "disarm"))]
    pub fn keep(mut self) {
        self.ticket = None;
    }
}

impl<K: Eq + Hash, V, T: Clock> Drop for ClaimGuard<K, V, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // The id and its value are dropped outside the lock.
            let _id = self.cache.shards.of(self.hash).with(|cache, now| cache.abort(ticket, now));
            self.cache.waiters.wake(self.hash);
        }
    }
}

impl<K: Eq + Hash, V, T: Clock> fmt::Debug for ClaimGuard<K, V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").finish_non_exhaustive()
    }
}
