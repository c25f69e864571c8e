//! The batch collector: adders that are dropped while they wait, flushes that fail, panic and take their time.

use std::{io, panic::resume_unwind, sync::Arc, time::Duration};

use steadfast::{AddError, Batch, BatchCollector, Clock, Flushed, SystemTimer, Timer};

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
    delivered: Counter,
}

impl Flushes {
    async fn flush(self: Arc<Self>, mut items: Batch<u64>) -> Flushed<u64> {
        match self.dice.below(16) {
            0 => {
                self.faults.hit(Fault::Fail);
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
            _ => {}
        }
        self.delivered.add(items.len() as u64);
        Flushed::Delivered
    }
}

impl Batches {
    /// With its worker on the runtime, or on a thread.
    pub(crate) fn new(on_thread: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let flushes = Arc::new(Flushes { dice: dice.fork(), faults: faults.clone(), delivered: Counter::default() });
        let flush = flushes.clone();
        let start = move || {
            BatchCollector::builder(SIZE, MAX_WAIT)
                .retry(2, Duration::from_millis(1))
                .spawn(move |items| flush.clone().flush(items))
        };
        Ok(Self {
            of: format!("batch collector, {}", if on_thread { "thread" } else { "task" }),
            batches: if on_thread { super::outside_the_runtime(start)? } else { start()? },
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
            if worker.dice.one_in(16) {
                self.batches.flush();
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async { worker.wait_out("batch collector: stop", self.batches.stop()).await })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.batches.stats();
        sums.of(&self.of);
        sums.adds_up(("accepted", stats.accepted), &[("told so", self.accepted.get())]);
        let ends = [
            ("delivered", stats.delivered),
            ("failed", stats.failed),
            ("returned", stats.returned),
            ("pending", stats.pending as u64),
            ("in flight", stats.in_flight as u64),
        ];
        sums.adds_up(("accepted", stats.accepted), &ends);
        sums.adds_up(("delivered", stats.delivered), &[("flushed", self.flushes.delivered.get())]);
        sums.never("left behind by the stop", stats.pending as u64 + stats.in_flight as u64);
        sums.some("retries", stats.retries);
    }
}
