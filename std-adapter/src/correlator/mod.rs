//! Request and response: replies are matched to pending calls by a correlation id, in fixed memory.
//!
//! - [`Correlator`] makes the ids: a late, doubled or forged reply can never reach another call.
//! - [`KeyedCorrelator`] is for protocols that bring their own ids.
//!
//! Both have `call`, which sends and waits; [`Correlator::gather`] asks many peers at once (scatter-gather).
//!
//! **Outcomes**: [`Resolution`] of a reply, [`Expired`] of a call that timed out. **Errors**: [`BeginError`] before
//! anything was sent, [`CallError`] of a call that waits. **Counts**: [`CorrelatorStats`], [`RoundTrips`].
//!
//! Next: [`quorum`](crate::quorum), for what many peers answer.

mod gather;
mod keyed;
#[cfg(feature = "tokio")]
mod sweep;

use core::{
    fmt,
    future::Future,
    marker::PhantomData,
    ops::{ControlFlow, Deref},
    time::Duration,
};
use std::sync::Arc;

pub use gather::{Gather, GatherEach};
pub use keyed::{KeyedCorrelator, KeyedCorrelatorBuilder};
use steadfast_core::{Clock, Shared, Timer, correlator::CorrelatorIn};
#[cfg(feature = "tokio")]
pub use sweep::{SweptSleep, SweptTimer};

use crate::{
    runtime::{Mutex, SystemTimer, random_seed},
    storage::Heap,
};

#[doc(inline)]
pub use steadfast_core::correlator::{
    BeginError, Call, CallError, CallId, CorrelatorStats, Expired, PendingCall, Resolution, RoundTrips, SendEach,
    SendRequest,
};

/// A correlator for request and response (RPC): it matches each reply to its pending call by a correlation id, in fixed
/// memory.
///
/// Clones share everything: those who call and whoever receives have a clone each. A reply counts once, only from the
/// peer that was asked, and only before the deadline. No background task is needed, and a call allocates nothing. `P`
/// is the peer, or whatever else a reply must repeat besides the id; `R` is the reply. Where many calls are made, one
/// timer for all of them ([`build_swept`](CorrelatorBuilder::build_swept)) is faster than one for each.
///
/// It derefs to the core's [`Shared`] face, whose methods are listed below, such as `call`, `resolve` and `close`. Of
/// `gather` and `gather_each` there are two: those of this type, for any number of peers, are what `calls.gather(..)`
/// calls.
///
/// ```
/// use std::{future::ready, io, sync::mpsc, thread, time::Duration};
/// use steadfast::{Correlator, block_on, correlator::{CallId, Resolution}};
///
/// /// A question with its id, on its way to bob.
/// type Wire = mpsc::Sender<(CallId, String)>;
///
/// let calls: Correlator<&str, String> = Correlator::new(1_024);
/// let (wire, bob): (Wire, _) = mpsc::channel();
///
/// // Whoever receives passes every reply on, with its sender and the id that it repeats.
/// let receiver = calls.clone();
/// thread::spawn(move || {
///     for (id, question) in bob {
///         match receiver.resolve(id, "bob", format!("{question} Fine!")) {
///             Resolution::Matched => {}
///             other => eprintln!("dropped a reply: {other:?}"),
///         }
///     }
/// });
///
/// // Whoever asks waits for the reply: here on a thread, on tokio with `.await`.
/// let ask = |id| ready(wire.send((id, "How are you?".into())));
/// let answer = block_on(calls.call("bob", Duration::from_secs(5), ask));
/// assert_eq!(answer.unwrap(), "How are you? Fine!");
/// assert_eq!(calls.stats().resolved, 1);
/// ```
///
/// # When it is full
///
/// A call fails with [`CallError::Full`] before anything was sent.
///
/// # Cancellation
///
/// Dropping the future of a call frees its slot at once; a reply that comes later is not matched.
#[doc(alias("CallRegistry", "oneshot", "pending requests"))]
pub struct Correlator<P, R, T = SystemTimer>(Arc<Calls<P, R, T>>);

type Machine<P, R> = CorrelatorIn<P, R, Heap>;
type Calls<P, R, T> = Shared<Machine<P, R>, Mutex<Machine<P, R>>, T>;

impl<P: Copy + Eq, R> Correlator<P, R> {
    /// A correlator for at most `capacity` (at least 1) calls at once, with ids that no other has.
    ///
    /// Allocates all its memory; nothing else does later.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::builder(capacity).build()
    }

    /// The settings of such a correlator.
    pub const fn builder(capacity: usize) -> CorrelatorBuilder<P, R> {
        CorrelatorBuilder { capacity, timer: SystemTimer, calls: PhantomData }
    }
}

/// Builds a [`Correlator`]: its capacity and timer.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Correlator, correlator::BeginError};
///
/// let calls: Correlator<&str, u64> = Correlator::builder(1).build();
/// let call = calls.begin("bob", Duration::from_secs(5))?;
/// assert_eq!(calls.begin("carol", Duration::from_secs(5)), Err(BeginError::Full));
/// assert!(calls.resolve(call.id(), "bob", 42).is_matched());
/// assert_eq!(calls.take(call.id()), Some(42));
/// # Ok::<(), BeginError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CorrelatorBuilder<P, R, T = SystemTimer> {
    capacity: usize,
    timer: T,
    calls: PhantomData<fn() -> (P, R)>,
}

impl<P: Copy + Eq, R, T: Clock> CorrelatorBuilder<P, R, T> {
    /// Another timer than the system's. A [`Clock`] suffices for calls that nobody waits for.
    pub fn timer<U: Clock>(self, timer: U) -> CorrelatorBuilder<P, R, U> {
        CorrelatorBuilder { capacity: self.capacity, timer, calls: PhantomData }
    }

    /// The correlator. Allocates all its memory; nothing else does later.
    pub fn build(self) -> Correlator<P, R, T> {
        let machine = CorrelatorIn::allocate(self.capacity, random_seed());
        Correlator(Arc::new(Shared::new(Mutex::new(machine), self.timer)))
    }
}

#[cfg(feature = "tokio")]
impl<P: Copy + Eq + Send + 'static, R: Send + 'static> CorrelatorBuilder<P, R> {
    /// A correlator whose time-outs have one timer together, instead of one a call. A task in the runtime of the calls
    /// watches over it: see [`SweptTimer`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::{Correlator, correlator::{CallError, SweptTimer}};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let calls: Correlator<u32, String, SweptTimer> = Correlator::builder(1_024).build_swept();
    /// let silence = calls.call(7, Duration::from_secs(5), async |_id| Ok::<_, ()>(()));
    /// assert_eq!(silence.await, Err(CallError::TimedOut));
    /// # }
    /// ```
    pub fn build_swept(self) -> Correlator<P, R, SweptTimer> {
        let calls = self.timer(SweptTimer::new()).build();
        let weak = Arc::downgrade(&calls.0);
        calls.timer().watch_over(weak);
        calls
    }
}

impl<P: Copy + Eq, R, T: Timer> Correlator<P, R, T> {
    /// As `call`, in a future that borrows nothing, for a struct or a `tower` service. `send` is a closure, or a type
    /// of yours whose future has a name: see [`SendRequest`].
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_owned<S: SendRequest<CallId>>(&self, peer: P, timeout: Duration, send: S) -> PendingCall<Self, S> {
        PendingCall::new(self.clone(), peer, timeout, send)
    }

    /// Asks many peers the same, and returns what they answered as soon as `want` of them have, all are done, or
    /// `timeout` has passed.
    ///
    /// Who counts as a peer, in which order `send` is called, and what dropping the future does, is as for
    /// [`steadfast_core`'s](steadfast_core::Shared::gather). The future borrows nothing.
    ///
    /// Each call is looked at when it is over, and allocates: O(`n` log `n`) for `n` peers, but that each peer is
    /// compared with those before it.
    ///
    /// ```
    /// use std::{future::ready, io, time::Duration};
    /// use steadfast::{Correlator, block_on};
    ///
    /// let calls: Correlator<u32, &str> = Correlator::new(64);
    /// let answers = block_on(calls.gather([1, 2, 3], 2, Duration::from_secs(3), |peer, id| {
    ///     // In place of a network: 2 is silent, the others answer at once.
    ///     if peer != 2 {
    ///         assert!(calls.resolve(id, peer, "newest: 7").is_matched());
    ///     }
    ///     ready(io::Result::Ok(()))
    /// }));
    /// assert_eq!(answers.unwrap(), [(1, "newest: 7"), (3, "newest: 7")]);
    /// ```
    ///
    /// # Cost
    ///
    /// To ask nobody twice, each peer is compared with those before it: half a million comparisons for a thousand
    /// peers.
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if there are fewer free slots than peers, and nothing was sent; [`CallError::Closed`];
    /// [`CallError::Send`] if sending failed for every peer (the first failure).
    #[doc(alias("fan-out", "scatter-gather"))]
    pub fn gather<F, D, E>(
        &self,
        peers: impl IntoIterator<Item = P>,
        want: usize,
        timeout: Duration,
        send: F,
    ) -> Gather<P, R, F, T>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
    {
        self.gather_owned(peers, want, timeout, send)
    }

    /// As [`gather`](Self::gather); `send` may be a type of yours whose future has a name: see [`SendEach`].
    ///
    /// # Errors
    ///
    /// As for `gather`.
    pub fn gather_owned<S: SendEach<P>>(
        &self,
        peers: impl IntoIterator<Item = P>,
        want: usize,
        timeout: Duration,
        send: S,
    ) -> Gather<P, R, S, T> {
        Gather::new(self.clone(), peers.into_iter().collect(), want, timeout, send)
    }

    /// Asks many peers the same, and hands over each answer as it comes, until `on_answer` breaks off, all are done, or
    /// `timeout` has passed: for answers that are to be judged one by one.
    ///
    /// All else is as for [`gather`](Self::gather).
    ///
    /// # Errors
    ///
    /// As for `gather`; answers that came before were handed over.
    pub fn gather_each<F, D, E, A>(
        &self,
        peers: impl IntoIterator<Item = P>,
        timeout: Duration,
        send: F,
        on_answer: A,
    ) -> GatherEach<P, R, F, A, T>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
        A: FnMut(P, R) -> ControlFlow<()>,
    {
        GatherEach::new(self.clone(), peers.into_iter().collect(), timeout, send, on_answer)
    }
}

/// All that the core's face has.
impl<P, R, T> Deref for Correlator<P, R, T> {
    type Target = Calls<P, R, T>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<P, R, T> Clone for Correlator<P, R, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Shows no id and no reply.
impl<P, R, T> fmt::Debug for Correlator<P, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlator").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
