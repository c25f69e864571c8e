//! One timer for all calls of a correlator.

use core::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    task::{Context, Poll},
};
use std::sync::{Arc, OnceLock, Weak};

use ahash::RandomState;
use pin_project_lite::pin_project;
use steadfast_core::{Clock, Instant, Shared, Timer, correlator::CallOn};
use tokio::sync::Notify;

use crate::runtime::{Mutex, SystemSleep, SystemTimer, runtime_here, unless_it_panics};

/// The system's clock, and one sleep for all calls of a correlator: its builder's `build_swept` gives it this.
///
/// A call that waits in a tokio runtime with a timer makes no sleep of its own. A task of that runtime, which begins with
/// the first such call, sleeps until the earliest deadline and times out what is due then. It ends with the runtime or
/// with the correlator, and keeps neither. A call that waits anywhere else - in another runtime than that task's, or in
/// none - has a sleep of its own.
///
/// On tokio's paused clock the deadlines are as exact as with a sleep for each. But the task does not hear of a call that is
/// over, so when all is idle the paused clock may first advance to such a deadline.
pub struct SweptTimer(Arc<Sweep>);

/// All calls of one correlator, as the task sees them.
pub(super) trait Due: Send + Sync {
    /// As [`CallOn::time_out_due`].
    fn time_out_due(&self) -> Option<Instant>;
}

impl<M> Due for Shared<M, Mutex<M>, SweptTimer>
where
    M: Send,
    for<'a> &'a Self: CallOn,
{
    fn time_out_due(&self) -> Option<Instant> {
        CallOn::time_out_due(&self)
    }
}

struct Sweep {
    /// The task looks again at this time at the latest; the end of time if no call waits for it.
    armed_until: AtomicU64,
    earlier: Notify,
    /// The runtime that has the task, by its hash; 0 if none has.
    owner: AtomicU64,
    calls: OnceLock<Weak<dyn Due>>,
}

const NEVER: u64 = Instant::MAX.as_nanos();
const NOBODY: u64 = 0;

impl SweptTimer {
    pub(super) fn new() -> Self {
        Self(Arc::new(Sweep {
            armed_until: AtomicU64::new(NEVER),
            earlier: Notify::new(),
            owner: AtomicU64::new(NOBODY),
            calls: OnceLock::new(),
        }))
    }

    /// Watches over these calls, whose timer it is.
    pub(super) fn watch_over(&self, calls: Weak<dyn Due>) {
        let _ = self.0.calls.set(calls); // once
    }
}

impl Sweep {
    /// Has the task of this runtime look at `at` at the latest; false if another runtime has it.
    #[inline]
    fn arm(self: &Arc<Self>, runtime: u64, at: Instant) -> bool {
        let owner = self.owner.load(SeqCst);
        if owner != runtime && (owner != NOBODY || !self.begin(runtime)) {
            return false;
        }
        // The call is pending already. Had the task looked at it, it would have told so here; see `Sweep::look`.
        if self.armed_until.load(SeqCst) > at.as_nanos()
            && self.armed_until.fetch_min(at.as_nanos(), SeqCst) > at.as_nanos()
        {
            self.earlier.notify_one();
        }
        true
    }

    #[cold]
    fn begin(self: &Arc<Self>, runtime: u64) -> bool {
        let is_mine = self.owner.compare_exchange(NOBODY, runtime, SeqCst, SeqCst).is_ok();
        if is_mine {
            let task = Task(self.clone());
            tokio::spawn(async move { task.run().await });
        }
        is_mine || self.owner.load(SeqCst) == runtime
    }

    /// Times out what is due, and tells when to look again; `None` if the correlator is gone.
    ///
    /// A call that begins later than it is looked for finds no earlier time than its own put down, and tells the task.
    fn look(&self) -> Option<Instant> {
        let calls = self.calls.get()?.upgrade()?;
        self.armed_until.store(NEVER, SeqCst);
        // A waker that panics has been woken; the others come next.
        let next = unless_it_panics(|| calls.time_out_due()).unwrap_or(Some(Instant::ZERO));
        let next = next.unwrap_or(Instant::MAX).as_nanos();
        let armed_until = self.armed_until.fetch_min(next, SeqCst).min(next);
        Some(Instant::from_nanos(armed_until))
    }
}

/// The task; a runtime that ends drops it.
struct Task(Arc<Sweep>);

impl Task {
    async fn run(self) {
        while let Some(at) = self.0.look() {
            let mut earlier = pin!(self.0.earlier.notified());
            let mut sleep = pin!(SystemTimer.sleep_until(at));
            poll_fn(|cx| {
                let is_earlier = earlier.as_mut().poll(cx).is_ready();
                if is_earlier || at < Instant::MAX && sleep.as_mut().poll(cx).is_ready() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.armed_until.store(NEVER, SeqCst);
        self.0.owner.store(NOBODY, SeqCst);
    }
}

/// Ends the task: the correlator is gone.
impl Drop for SweptTimer {
    fn drop(&mut self) {
        self.0.earlier.notify_one();
    }
}

impl Clock for SweptTimer {
    #[inline]
    fn now(&self) -> Instant {
        SystemTimer.now()
    }
}

impl Timer for SweptTimer {
    type Sleep = SweptSleep;

    /// To be made when it is first polled, as calls do: it goes by the runtime around.
    #[inline]
    fn sleep_until(&self, at: Instant) -> SweptSleep {
        let watched_in = here().filter(|runtime| self.0.arm(*runtime, at));
        SweptSleep { at, watched_in, own: None }
    }
}

/// The runtime around, if it has a timer, as a number that is not [`NOBODY`].
#[inline]
fn here() -> Option<u64> {
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    runtime_here().map(|runtime| hasher.hash_one(runtime) | 1)
}

pin_project! {
    /// The time-out of a call on a [`SweptTimer`]: where the task watches over it, it is the task that ends the call.
    #[derive(Debug)]
    pub struct SweptSleep {
        at: Instant,
        watched_in: Option<u64>,
        #[pin]
        own: Option<SystemSleep>,
    }
}

impl Future for SweptSleep {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.watched_in.is_some() && *this.watched_in == here() {
            return Poll::Pending;
        }
        *this.watched_in = None; // it has moved, or was never watched over
        if this.own.is_none() {
            this.own.set(Some(SystemTimer.sleep_until(*this.at)));
        }
        this.own.as_pin_mut().map_or(Poll::Pending, |own| own.poll(cx))
    }
}

impl fmt::Debug for SweptTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweptTimer").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
