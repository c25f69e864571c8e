//! A claim that ends itself.

use core::{
    fmt,
    hash::{BuildHasher, Hash},
};

use super::{ClaimLost, ClaimTicket, DedupCacheIn};
use crate::foundation::{
    shared::{Clock, Lock, Shared},
    storage::Storage,
};

/// A claim that is aborted when it is dropped, so that the id may come again.
///
/// `L` and `T` are the lock and the clock of the [`Shared`] that gave it out.
#[must_use = "dropping it aborts the claim"]
pub struct ClaimGuard<'a, K, S, H, V, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    cache: &'a Shared<DedupCacheIn<K, S, H, V>, L, T>,
    ticket: Option<ClaimTicket>,
}

impl<'a, K, S, H, V, L, T> ClaimGuard<'a, K, S, H, V, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    pub(super) const fn new(cache: &'a Shared<DedupCacheIn<K, S, H, V>, L, T>, ticket: ClaimTicket) -> Self {
        Self { cache, ticket: Some(ticket) }
    }

    /// Ends the claim: the work is done, and the TTL of the id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(mut self) -> Result<(), ClaimLost> {
        let ticket = self.ticket.take().ok_or(ClaimLost)?;
        self.cache.with(|cache, now| cache.commit(ticket, now))
    }

    /// [`commit`](Self::commit), and keeps a value with the id, for whoever claims it again. What the id had so far is
    /// dropped outside the lock.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is kept.
    pub fn commit_with(mut self, mut value: V) -> Result<(), ClaimLost> {
        let ticket = self.ticket.take().ok_or(ClaimLost)?;
        self.cache.with(|cache, now| cache.commit_with(ticket, &mut value, now))
    }

    /// Neither commits nor aborts: it is not known how the work ended. The id stays in flight until the lease ends, and may
    /// come again then; to keep it out for a TTL, commit.
    #[doc(alias("leak", "disarm"))]
    pub fn keep(mut self) {
        self.ticket = None;
    }
}

impl<K, S, H, V, L, T> Drop for ClaimGuard<'_, K, S, H, V, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // The id and its value are dropped outside the lock.
            let _id = self.cache.with(|cache, now| cache.abort(ticket, now));
        }
    }
}

impl<K, S, H, V, L, T> fmt::Debug for ClaimGuard<'_, K, S, H, V, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").finish_non_exhaustive()
    }
}
