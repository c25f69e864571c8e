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
pub struct ClaimGuard<'a, K, S, H, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H>>,
    T: Clock,
{
    cache: &'a Shared<DedupCacheIn<K, S, H>, L, T>,
    ticket: Option<ClaimTicket>,
}

impl<'a, K, S, H, L, T> ClaimGuard<'a, K, S, H, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H>>,
    T: Clock,
{
    pub(super) const fn new(cache: &'a Shared<DedupCacheIn<K, S, H>, L, T>, ticket: ClaimTicket) -> Self {
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

    /// Neither commits nor aborts: it is not known how the work ended. The id stays in flight until the lease ends, and may
    /// come again then; to keep it out for a TTL, commit.
    #[doc(alias("leak", "disarm"))]
    pub fn keep(mut self) {
        self.ticket = None;
    }
}

impl<K, S, H, L, T> Drop for ClaimGuard<'_, K, S, H, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H>>,
    T: Clock,
{
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // The id is dropped outside the lock.
            let _id = self.cache.with(|cache, now| cache.abort(ticket, now));
        }
    }
}

impl<K, S, H, L, T> fmt::Debug for ClaimGuard<'_, K, S, H, L, T>
where
    K: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H>>,
    T: Clock,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").finish_non_exhaustive()
    }
}
