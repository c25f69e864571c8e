//! One module for each utility: what is done to it, and what must add up.

mod batch;
mod breaker;
mod breakers;
mod cached;
mod correlator;
mod dedup;
mod encryptor;
mod keyed;
mod limiter;
mod logger;
mod network;
mod quorum;
mod retry;

use std::{io, pin::Pin, sync::Arc, thread};

use steadfast::dedup_cache::OnFull;

use crate::{clock::SoakClock, dice::Dice, faults::Faults, sums::Sums, worker::Worker};

/// What a worker does in one go.
pub(crate) type Turn<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// One utility under load. Its callers count for themselves, beside the utility.
pub(crate) trait Load: Send + Sync {
    /// What it is called in the status.
    fn name(&self) -> &'static str;

    /// How many operations were done so far.
    fn done(&self) -> u64;

    /// A few operations, with faults among them. It may be dropped at any await.
    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a>;

    /// Once the faults are over: what must work again, or the worker's post says where it hangs. Then the utility is at
    /// rest.
    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a>;

    /// What must add up, at rest.
    fn sums(&self, sums: &mut Sums);
}

/// Every utility: on a clock that is steady and on one that steps, if it takes a clock at all; else with its worker on
/// the runtime that this is called in and on a thread.
///
/// # Errors
///
/// If the system has no thread to give.
pub(crate) fn all(
    steady: &SoakClock,
    stepping: &SoakClock,
    dice: &Dice,
    faults: &Arc<Faults>,
) -> io::Result<Vec<Arc<dyn Load>>> {
    let mut loads: Vec<Arc<dyn Load>> = Vec::new();
    for (clock, is_steady) in [(steady, true), (stepping, false)] {
        loads.push(Arc::new(limiter::Limiter::gcra(clock, is_steady)));
        loads.push(Arc::new(limiter::Limiter::window(clock, is_steady)));
        loads.push(Arc::new(cached::Cached::new(clock, is_steady)));
        loads.push(Arc::new(breaker::Breaker::consecutive(clock, is_steady)));
        loads.push(Arc::new(breaker::Breaker::window(clock, is_steady)));
        loads.push(Arc::new(breakers::ByKey::new(clock, is_steady)));
        loads.push(Arc::new(retry::Retries::new(clock, is_steady)));
        loads.push(Arc::new(dedup::Dedup::new(OnFull::ForgetOldest, clock, is_steady)));
        loads.push(Arc::new(dedup::Dedup::new(OnFull::Refuse, clock, is_steady)));
        loads.push(Arc::new(correlator::Calls::new(clock, is_steady, dice, faults)?));
        loads.push(Arc::new(keyed::KeyedCalls::new(clock, is_steady, dice, faults)?));
        loads.push(Arc::new(quorum::Voting::new(clock, is_steady)));
    }
    for on_thread in [false, true] {
        loads.push(Arc::new(batch::Batches::new(on_thread, dice, faults)?));
        loads.push(Arc::new(logger::Lines::new(on_thread, dice, faults)?));
    }
    loads.push(Arc::new(encryptor::Sealing::new()));
    Ok(loads)
}

const fn clock_name(is_steady: bool) -> &'static str {
    if is_steady { "steady clock" } else { "stepping clock" }
}

/// What `start` makes where it finds no runtime.
fn outside_the_runtime<T: Send>(start: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| scope.spawn(start).join().unwrap_or_else(|_| Err(io::Error::other("it panicked"))))
}
