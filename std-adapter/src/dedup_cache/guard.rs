//! A claim that ends itself.

use core::{fmt, hash::Hash};
use std::sync::Arc;

use steadfast_core::{
    Clock,
    dedup_cache::{ClaimLost, ClaimTicket},
};

use super::Shard;
use crate::{runtime::SystemTimer, storage::Shards};

/// A claim that is aborted when it is dropped, so that the id may come again.
///
/// Cancellation: dropping the future that holds it aborts the claim, and another caller may run the work again. For
/// work that must not run twice, move the claim into a spawned task and commit there.
#[must_use = "dropping it aborts the claim"]
pub struct ClaimGuard<K: Eq + Hash, T: Clock = SystemTimer> {
    shards: Arc<Shards<Shard<K, T>>>,
    hash: u64,
    ticket: Option<ClaimTicket>,
}

impl<K: Eq + Hash, T: Clock> ClaimGuard<K, T> {
    pub(super) const fn new(shards: Arc<Shards<Shard<K, T>>>, hash: u64, ticket: ClaimTicket) -> Self {
        Self { shards, hash, ticket: Some(ticket) }
    }

    /// Ends the claim: the work is done, and the TTL of the id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(mut self) -> Result<(), ClaimLost> {
        let ticket = self.ticket.take().ok_or(ClaimLost)?;
        self.shards.of(self.hash).with(|cache, now| cache.commit(ticket, now))
    }
}

impl<K: Eq + Hash, T: Clock> Drop for ClaimGuard<K, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // The id is dropped outside the lock.
            let _id = self.shards.of(self.hash).with(|cache, now| cache.abort(ticket, now));
        }
    }
}

impl<K: Eq + Hash, T: Clock> fmt::Debug for ClaimGuard<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").finish_non_exhaustive()
    }
}
