//! A claim that ends itself.

use core::fmt;

use super::ClaimLost;

/// How a claim ended.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClaimEnd {
    /// The work failed: the id is not known any more.
    Abort,
    /// The work is done: the life of the id begins.
    Commit,
}

/// An id that was claimed; dropping it aborts the claim, so that the id may come again.
#[must_use = "dropping it aborts the claim"]
pub struct ClaimGuard<E: FnOnce(ClaimEnd) -> Result<(), ClaimLost>>(Option<E>);

impl<E: FnOnce(ClaimEnd) -> Result<(), ClaimLost>> ClaimGuard<E> {
    /// Guards a claim; `end` tells its cache how it ended.
    pub const fn new(end: E) -> Self {
        Self(Some(end))
    }

    /// Ends the claim: the work is done, and the life of the id begins now.
    ///
    /// # Errors
    ///
    /// [`ClaimLost`] if the claim was over; nothing is changed.
    pub fn commit(mut self) -> Result<(), ClaimLost> {
        self.0.take().map_or(Err(ClaimLost), |end| end(ClaimEnd::Commit))
    }
}

impl<E: FnOnce(ClaimEnd) -> Result<(), ClaimLost>> Drop for ClaimGuard<E> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            // An abort cannot fail.
            let _ = end(ClaimEnd::Abort);
        }
    }
}

impl<E: FnOnce(ClaimEnd) -> Result<(), ClaimLost>> fmt::Debug for ClaimGuard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimGuard").finish_non_exhaustive()
    }
}
