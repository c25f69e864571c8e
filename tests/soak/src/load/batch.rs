//! The batch collector: adders that are dropped while they wait, flushes that fail, panic, add and take their time.

use std::{
    io,
    panic::resume_unwind,
    sync::{Arc, OnceLock},
    time::Duration,
};

use steadfast::{
    BatchCollector, RetryPolicy,
    batch_collector::{AddError, Batch, Flushed, WeakBatchCollector},
    block_on,
    retry::Jitter,
    runtime::{Clock, SystemTimer, Timer},
};

use super::{Load, Turn};
use crate::{
    count::Counter,
    dice::Dice,
    faults::{Fault, Faults},
    sums::Sums,
    worker::Worker,
};

const SIZE: usize = 32;
const MAX_WAIT: Duration = Duration::from_millis(2);

pub(crate) struct Batches {
    of: String,
    batches: BatchCollector<u64>,
    flushes: Arc<Flushes>,
    asked: Counter,
    accepted: Counter,
}

/// What the flush has seen.
struct Flushes {
    dice: Dice,
    faults: Arc<Faults>,
    own: OnceLock<WeakBatchCollector<u64>>,
    /// Items that the flush itself has added.
    added: Counter,
    delivered: Counter,
    /// Items that failed for good and were handed over.
    letters: Counter,
    /// Items that a flush that failed had in its hands.
    lost: Counter,
}

impl Flushes {
    async fn flush(self: Arc<Self>, mut items: Batch<u64>) -> Flushed<u64> {
        match self.dice.below(16) {
            0 => {
                self.faults.hit(Fault::Fail);
                let taken = items.pop();
                self.lost.add(u64::from(taken.is_some()));
                return Flushed::Failed;
            }
            1 => {
                self.faults.hit(Fault::Panic);
                // As a panic, without a word on standard error.
                resume_unwind(Box::new("planted"));
            }
            2 => {
                self.faults.hit(Fault::Hang);
                let at = SystemTimer.now().saturating_add(MAX_WAIT);
                SystemTimer.sleep_until(at).await;
            }
            3 => {
                self.faults.hit(Fault::Fail);
                let kept = items.len() / 2;
                self.delivered.add((items.len() - kept) as u64);
                items.truncate(kept);
                return if kept > 0 { Flushed::Again(items) } else { Flushed::Delivered };
            }
            4 => {
                // It would wait for itself.
                if let Some(own) = self.own.get().and_then(WeakBatchCollector::upgrade) {
                    let added = [own.add(self.dice.roll()).await, block_on(own.add(self.dice.roll()))];
                    self.added.add(added.iter().flatten().count() as u64);
                }
            }
            _ => {}
        }
        self.delivered.add(items.len() as u64);
        Flushed::Delivered
    }
}

impl Batches {
    /// With its worker on the runtime, or on a thread.
    pub(crate) fn new(on_thread: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let flushes = Arc::new(Flushes {
            dice: dice.fork(),
            faults: faults.clone(),
            own: OnceLock::new(),
            added: Counter::default(),
            delivered: Counter::default(),
            letters: Counter::default(),
            lost: Counter::default(),
        });
        let (flush, failures) = (flushes.clone(), flushes.clone());
        let start = move || {
            let builder = BatchCollector::builder(SIZE, MAX_WAIT).on_failed(move |items: Batch<u64>| {
                failures.letters.add(items.len() as u64);
            });
            let backoff = RetryPolicy::exponential(Duration::from_millis(1)).max_retries(2).jitter(Jitter::Equal);
            builder.capacity(3 * SIZE).backoff(backoff).build(move |items| flush.clone().flush(items))
        };
        let batches = if on_thread { super::outside_the_runtime(start)? } else { start()? };
        let _ = flushes.own.set(batches.downgrade());
        Ok(Self {
            of: format!("batch collector, {}", if on_thread { "thread" } else { "task" }),
            batches,
            flushes,
            asked: Counter::default(),
            accepted: Counter::default(),
        })
    }

    fn count(&self, added: Result<(), AddError<u64>>) {
        self.accepted.add(u64::from(added.is_ok()));
    }
}

impl Load for Batches {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for _ in 0..16 {
                self.asked.add(1);
                let item = worker.dice.roll();
                match worker.dice.below(4) {
                    0 => self.count(self.batches.try_add(item)),
                    _ => {
                        if let Some(added) = worker.wait("batch collector: add", self.batches.add(item)).await {
                            self.count(added);
                        }
                    }
                }
            }
            match worker.dice.below(32) {
                0 | 1 => drop(self.batches.flush()),
                2 => _ = worker.wait("batch collector: flush", self.batches.flush()).await,
                _ => {}
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async { worker.wait_out("batch collector: stop", self.batches.stop()).await })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.batches.stats();
        sums.of(&self.of);
        let told = [("told so", self.accepted.get()), ("added by the flush", self.flushes.added.get())];
        sums.adds_up(("accepted", stats.accepted), &told);
        let ends = [
            ("delivered", stats.delivered),
            ("failed", stats.failed),
            ("returned", stats.returned),
            ("pending", stats.pending as u64),
            ("in flight", stats.in_flight as u64),
        ];
        sums.adds_up(("accepted", stats.accepted), &ends);
        sums.adds_up(("delivered", stats.delivered), &[("flushed", self.flushes.delivered.get())]);
        let failed = [("handed over", self.flushes.letters.get()), ("taken out", self.flushes.lost.get())];
        sums.adds_up(("failed", stats.failed), &failed);
        sums.never("left behind by the stop", stats.pending as u64 + stats.in_flight as u64);
        sums.some("retries", stats.retries);
    }
}
