//! Who works: a task of the runtime, or a thread.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use steadfast::runtime::{Clock, SystemTimer, Timer};

use crate::{
    dice::Dice,
    faults::{Fault, Faults},
    watch::Post,
};

/// What a worker has at hand.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) dice: Dice,
    pub(crate) faults: Arc<Faults>,
    pub(crate) post: Post,
}

impl Worker {
    pub(crate) fn new(name: String, dice: Dice, faults: Arc<Faults>) -> Self {
        Self { dice, faults, post: Post::new(name) }
    }

    /// Counts a fault.
    pub(crate) fn hit(&self, fault: Fault) {
        self.faults.hit(fault);
    }

    /// True once in `times`, and then counted as a fault.
    pub(crate) fn strikes(&self, times: u64, fault: Fault) -> bool {
        let strikes = self.dice.one_in(times);
        if strikes {
            self.hit(fault);
        }
        strikes
    }

    /// A key that nobody has used before, nor will.
    pub(crate) fn made_up(&self) -> u64 {
        self.hit(Fault::Flood);
        self.dice.roll()
    }

    /// Waits at `place` for `future`; one in four is dropped in the middle, after a few polls. `None` if it was.
    pub(crate) async fn wait<F: Future>(&self, place: &'static str, future: F) -> Option<F::Output> {
        self.post.at(place);
        let mut future = pin!(future);
        let mut left = if self.dice.one_in(4) { 1 + self.dice.below(3) } else { u64::MAX };
        let output = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left > 1 => {
                left -= 1;
                Poll::Pending
            }
            Poll::Pending => {
                self.hit(Fault::Dropped);
                Poll::Ready(None)
            }
        });
        output.await
    }

    /// Waits at `place` for `future`, to its end.
    pub(crate) async fn wait_out<F: Future>(&self, place: &'static str, future: F) -> F::Output {
        self.post.at(place);
        future.await
    }

    /// Sleeps by the system's clock.
    pub(crate) async fn pause(&self, time: Duration) {
        SystemTimer.sleep_until(SystemTimer.now().saturating_add(time)).await;
    }
}
