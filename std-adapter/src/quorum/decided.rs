//! Waiting for the end of a ballot, in futures that can be named.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use pin_project_lite::pin_project;
use steadfast_core::{
    Timer,
    quorum::{BallotId, UntilDecided},
};

use super::{Voting, copies};
use crate::runtime::SystemTimer;

pin_project! {
    /// The future of [`Quorum::decided`](super::Quorum::decided), for a struct or a `tower` service; `A` makes one value
    /// of the votes. It borrows nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::{Quorum, aggregate, block_on, quorum::{Decided, QuorumError, Vote}};
    ///
    /// /// A name for what makes one value of the votes.
    /// type Aggregate = fn(&mut [u64]) -> Option<u64>;
    ///
    /// struct Reading {
    ///     version: Decided<u8, u64, Aggregate>,
    /// }
    ///
    /// # fn main() -> Result<(), QuorumError> {
    /// let quorum = Quorum::<u8, u64>::builder(2).voters([1, 2, 3]).build()?;
    /// let ballot = quorum.ballot();
    /// let reading = Reading { version: quorum.decided(ballot, aggregate::majority) };
    /// assert_eq!((quorum.vote(ballot, &1, 7), quorum.vote(ballot, &3, 7)), (Vote::Counted, Vote::Counted));
    /// assert_eq!(block_on(reading.version), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "nobody waits until it is awaited"]
    pub struct Decided<V, T: Clone, A, C: Timer = SystemTimer> {
        #[pin]
        until: UntilDecided<Arc<Voting<V, T, C>>>,
        aggregate: A,
    }
}

pin_project! {
    /// The future of [`Quorum::decided_when_settled`](super::Quorum::decided_when_settled), as [`Decided`]; `G` tells
    /// whether the missing votes can change anything.
    #[must_use = "nobody waits until it is awaited"]
    pub struct DecidedWhenSettled<V, T: Clone, A, G, C: Timer = SystemTimer> {
        #[pin]
        until: UntilDecided<Arc<Voting<V, T, C>>>,
        aggregate: A,
        settled: G,
    }
}

impl<V, T: Clone, A, C: Timer> Decided<V, T, A, C> {
    pub(super) fn new(quorum: &Arc<Voting<V, T, C>>, ballot: BallotId, aggregate: A) -> Self {
        Self { until: UntilDecided::new(quorum.clone(), ballot), aggregate }
    }
}

impl<V, T: Clone, A, G, C: Timer> DecidedWhenSettled<V, T, A, G, C> {
    pub(super) fn new(quorum: &Arc<Voting<V, T, C>>, ballot: BallotId, aggregate: A, settled: G) -> Self {
        Self { until: UntilDecided::new(quorum.clone(), ballot), aggregate, settled }
    }
}

impl<V, T, A, C, R> Future for Decided<V, T, A, C>
where
    T: Clone,
    A: FnMut(&mut [T]) -> Option<R>,
    C: Timer,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.project();
        let aggregate = this.aggregate;
        this.until.poll_decided(cx, |votes| aggregate(&mut copies(votes)))
    }
}

impl<V, T, A, G, C, R> Future for DecidedWhenSettled<V, T, A, G, C>
where
    T: Clone,
    A: FnMut(&mut [T]) -> Option<R>,
    G: FnMut(&mut [T], usize) -> bool,
    C: Timer,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.project();
        let (aggregate, is_settled) = (this.aggregate, this.settled);
        let settled = |votes: &mut [Arc<T>], missing| is_settled(&mut copies(votes), missing);
        this.until.poll_decided_when_settled(cx, |votes| aggregate(&mut copies(votes)), settled)
    }
}

impl<V, T: Clone, A, C: Timer> fmt::Debug for Decided<V, T, A, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decided").finish_non_exhaustive()
    }
}

impl<V, T: Clone, A, G, C: Timer> fmt::Debug for DecidedWhenSettled<V, T, A, G, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecidedWhenSettled").finish_non_exhaustive()
    }
}
