//! One question to many peers.

use core::{future::Future, ops::ControlFlow, time::Duration};

use super::{CallId, CorrelatorIn, Gather, GatherEach};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    storage::Storage,
};

/// A peer to be asked by [`gather_each`](Shared::gather_each), with room for its call.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked<P> {
    pub(super) peer: P,
    pub(super) id: Option<CallId>,
}

impl<P> Asked<P> {
    /// A peer that has not been asked yet.
    #[must_use]
    pub const fn new(peer: P) -> Self {
        Self { peer, id: None }
    }
}

impl<P, R, S, L, T> Shared<CorrelatorIn<P, R, S>, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
    T: Timer,
{
    /// Asks up to `M` peers the same, and returns what they answered as soon as `want` of them have, all are done, or
    /// `timeout` has passed.
    ///
    /// Each peer has a call of its own, so it answers once and for itself only; a peer that is listed twice is asked
    /// once. `send` is called for one peer after the other: a send that waits holds up the next, but neither the
    /// answers nor the deadline. A peer to which sending fails is as good as silent. Dropping the future frees every
    /// slot. The peers are listed by the call itself; all else begins with the first poll.
    ///
    /// Each poll looks at every call that has no answer yet, so `n` answers that come one by one cost O(`n`²); a
    /// thousand peers are asked in milliseconds. For many more, ask them in parts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Correlator, Shared, Timer, correlator::{CallError, CallId}, foundation::shared::Lock};
    ///
    /// # struct Network;
    /// # struct Unreachable;
    /// # impl Network { async fn ask_version(&self, _: u8, _: CallId) -> Result<(), Unreachable> { Ok(()) } }
    /// type Calls = Correlator<u8, u32, 16>;
    ///
    /// /// The newest version that two of five confidants report.
    /// async fn newest(
    ///     calls: &Shared<Calls, impl Lock<Target = Calls>, impl Timer>,
    ///     network: &Network,
    /// ) -> Result<Option<u32>, CallError<Unreachable>> {
    ///     let ask = |peer, id| network.ask_version(peer, id);
    ///     let answers = calls.gather::<5, _, _, _>([1, 2, 3, 4, 5], 2, Duration::from_secs(3), ask).await?;
    ///     Ok(answers.iter().map(|(_peer, version)| *version).max())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Full`](super::CallError::Full) if there are more than `M` peers or fewer free slots than peers, and
    /// nothing was sent; [`CallError::Closed`](super::CallError::Closed); [`CallError::Send`](super::CallError::Send) if
    /// sending failed for every peer (the first failure).
    pub fn gather<const M: usize, F, D, E>(
        &self,
        peers: impl IntoIterator<Item = P>,
        want: usize,
        timeout: Duration,
        send: F,
    ) -> Gather<&Self, F, M>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
    {
        Gather::new(self, peers, want, timeout, send)
    }

    /// Asks each peer of `calls` the same, and hands over each answer as it comes, until `on_answer` breaks off, all
    /// are done, or `timeout` has passed: for answers that are to be judged one by one, and for memory of the caller's.
    ///
    /// All else is as for [`gather`](Self::gather). `on_answer` runs outside the lock.
    ///
    /// # Errors
    ///
    /// As for `gather`; answers that came before were handed over.
    pub const fn gather_each<'a, F, D, E, A>(
        &'a self,
        calls: &'a mut [Asked<P>],
        timeout: Duration,
        send: F,
        on_answer: A,
    ) -> GatherEach<'a, &'a Self, F, A>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
        A: FnMut(P, R) -> ControlFlow<()>,
    {
        GatherEach::new(self, calls, timeout, send, on_answer)
    }
}
