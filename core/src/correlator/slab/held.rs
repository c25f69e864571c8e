//! What a future does with a call whose id the correlator made.

use core::task::{Poll, Waker};

use super::super::{
    BeginError, CallId, CorrelatorIn,
    ending::Ending,
    phase::{Calls, Correlates, GONE, Left, Watch},
};
use crate::foundation::{
    storage::Storage,
    time::{Instant, Span},
};

impl<P: Copy + Eq, R, S: Storage> Correlates for CorrelatorIn<P, R, S> {
    type Key = P;
    type Arg = CallId;
    type Name = CallId;
    type Reply = R;
}

impl<P: Copy + Eq, R, S: Storage> Calls for CorrelatorIn<P, R, S> {
    type Id = ();

    #[inline]
    fn begin_held(
        &mut self,
        peer: &mut Option<P>,
        timeout: Span,
        now: Instant,
        over: &mut Left<()>,
    ) -> Result<(CallId, CallId, Instant), BeginError> {
        let Some(peer) = *peer else { return Err(BeginError::Full) };
        let call = self.begin_for(peer, timeout, true, now, over)?;
        Ok((call.id, call.id, call.expires_at))
    }

    #[inline]
    fn look(&mut self, id: CallId, waker: &Waker, left: &mut Left<()>) -> Option<Poll<Result<R, Ending>>> {
        let Some((index, phase)) = self.held_mut(id) else { return Some(Poll::Ready(Err(GONE))) };
        match phase.watch(waker, &mut left.waker) {
            Watch::Over => Some(Poll::Ready(self.finish_in(index, Ending::Cancelled, left))),
            Watch::Wanted => None,
            Watch::Watched => Some(Poll::Pending),
        }
    }

    fn expire_held(&mut self, now: Instant) -> Option<Left<()>> {
        self.expire_for(true, now).map(|(_, waker)| Left { waker, id: None })
    }

    fn next_due(&mut self) -> Option<Instant> {
        self.due.next_at(self.slots.as_mut())
    }

    fn finish(&mut self, id: CallId, ending: Ending, left: &mut Left<()>) -> Result<R, Ending> {
        self.find(id).map_or(Err(GONE), |index| self.finish_in(index, ending, left))
    }
}
