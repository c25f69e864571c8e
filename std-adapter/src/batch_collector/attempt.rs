//! One call of the flush.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use steadfast_core::{Instant, Timer};

use super::{
    Batch, Flushed,
    batch::{Home, drop_all},
};
use crate::runtime::{SystemTimer, unless_it_panics};

/// What came of one call.
pub(super) enum Attempt<T> {
    /// All items have arrived.
    Delivered,
    /// These are to be tried again.
    Again(Vec<T>),
    /// It failed for good. These were left in its batch.
    Failed(Vec<T>),
}

/// What a call is about.
pub(super) struct Call<'a, T> {
    pub(super) home: &'a Home<T>,
    /// The batch, if its items are to be kept in case that it fails.
    pub(super) keeps: Option<u64>,
    /// When it is cut off.
    pub(super) cut_at: Option<Instant>,
}

/// Calls the flush. A panic of it, be it in the drop of its future or of an item, ends nothing else.
pub(super) async fn attempt<T, F>(
    flush: &mut impl FnMut(Batch<T>) -> F,
    batch: Batch<T>,
    call: Call<'_, T>,
) -> Attempt<T>
where
    F: Future<Output: Into<Flushed<T>>>,
{
    let Call { home, keeps, cut_at } = call;
    let mut batch = Some(batch);
    let mut flushing = pin!(None);
    let mut kept = Kept { home, keeps };
    let mut sleep = pin!(cut_at.map(|at| SystemTimer.sleep_until(at)));
    let keep = |batch| {
        if keeps.is_some() {
            drop_all(&mut home.keep(batch).unwrap_or_default());
        }
    };
    let flushed = poll_fn(|cx| {
        keep(keeps);
        let poll = unless_it_panics(|| {
            if let Some(batch) = batch.take() {
                flushing.set(Some(flush(batch)));
            }
            match flushing.as_mut().as_pin_mut().map(|flushing| flushing.poll(cx)) {
                Some(Poll::Ready(output)) => Poll::Ready(Some(output.into())),
                Some(Poll::Pending) => Poll::Pending,
                None => Poll::Ready(Some(Flushed::Failed)),
            }
        });
        match poll {
            None => Poll::Ready(Some(Flushed::Failed)),
            Some(Poll::Ready(flushed)) => Poll::Ready(flushed),
            Some(Poll::Pending) => {
                // What the flush has dropped before it ended, it wants dropped.
                keep(None);
                let cut = sleep.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx));
                cut.map(|()| {
                    keep(keeps);
                    None
                })
            }
        }
    })
    .await;
    let _ = unless_it_panics(|| flushing.set(None));
    kept.keeps = None;
    let mut left = keeps.and_then(|_| home.keep(None)).unwrap_or_default();
    match flushed {
        Some(Flushed::Again(again)) if !again.is_empty() => {
            drop_all(&mut left);
            Attempt::Again(again.into_vec())
        }
        Some(Flushed::Again(_) | Flushed::Delivered) => {
            drop_all(&mut left);
            Attempt::Delivered
        }
        Some(Flushed::Failed) => Attempt::Failed(left),
        None => Attempt::Again(left),
    }
}

/// Has the items kept if all this is dropped, with the flush in it.
struct Kept<'a, T> {
    home: &'a Home<T>,
    keeps: Option<u64>,
}

impl<T> Drop for Kept<'_, T> {
    fn drop(&mut self) {
        if self.keeps.is_some() {
            drop_all(&mut self.home.keep(self.keeps).unwrap_or_default());
        }
    }
}
