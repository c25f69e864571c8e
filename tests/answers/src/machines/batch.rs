use core::{
    cell::{Cell, RefCell},
    future::Future,
    num::NonZeroU64,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use steadfast_core::{
    BatchCollector, BatchQueue, BatchSettings, Clock, Instant, Shared, Timer,
    batch_collector::{Batch, FlushOutcome},
};

use super::rounds;
use crate::{Fold, HostileClock, Script};

fn settings(script: &mut Script) -> BatchSettings {
    let settings = BatchSettings::new(match script.below(6) {
        0 => script.span(),
        _ => Duration::from_millis(300),
    });
    match script.below(3) {
        0 => settings.idle_gap(Duration::from_millis(100)),
        1 => settings.max_weight(NonZeroU64::MIN.saturating_add(u64::from(script.below(20)))),
        _ => settings,
    }
}

pub(crate) fn collector(fold: &mut Fold, script: &mut Script, operations: u32) {
    let tell = |fold: &mut Fold, batch: Option<Batch<'_, u32>>| match batch {
        Some(batch) => fold.answer(&(batch.reason(), &*batch)),
        None => fold.number(0),
    };
    rounds(operations, |_, operations| {
        let mut batches: BatchCollector<u32, 8> = BatchCollector::new(settings(script));
        let mut clock = HostileClock::new(Duration::from_millis(100));
        for _ in 0..operations {
            let now = clock.tick(script);
            let item = script.any() as u32;
            match script.below(32) {
                0..20 => tell(fold, batches.push_weighted(item, script.below(6), now)),
                20 => tell(fold, batches.push_weighted(item, u32::MAX, now)),
                21..29 => tell(fold, batches.on_timeout(now)),
                29 | 30 => tell(fold, batches.set_settings(settings(script), now)),
                _ => tell(fold, batches.flush()),
            }
            fold.answer(&(batches.next_deadline(), batches.pending(), batches.stats()));
        }
    });
}

/// The time of the script, and a sleep that ends when it is polled later.
#[derive(Clone, Copy)]
struct Bell<'a>(&'a Cell<Instant>);

struct Sleep<'a>(Bell<'a>, Instant);

impl Clock for Bell<'_> {
    fn now(&self) -> Instant {
        self.0.get()
    }
}

impl<'a> Timer for Bell<'a> {
    type Sleep = Sleep<'a>;

    fn sleep_until(&self, at: Instant) -> Sleep<'a> {
        Sleep(*self, at)
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.now() >= self.1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The queue is asked by futures only: its worker is polled as the script wills, and fails now and then.
pub(crate) fn queue(fold: &mut Fold, script: &mut Script, operations: u32) {
    let mut cx = Context::from_waker(Waker::noop());
    rounds(operations, |_, operations| {
        let mut clock = HostileClock::new(Duration::from_millis(100));
        let time = Cell::new(clock.now());
        let settings_now = settings(script);
        let queue: BatchQueue<u32, 6, 4> =
            BatchQueue::new(settings_now).retry(script.below(4), Duration::from_millis(150));
        let queue = Shared::new(RefCell::new(queue), Bell(&time));
        let flushed = RefCell::new(Fold::new());
        let fails = Cell::new(0_u32);
        let mut worker = pin!(queue.run(async |items: &mut heapless::Vec<u32, 6>, reason| {
            flushed.borrow_mut().answer(&(items.as_slice(), reason));
            // A part is done: the rest is tried again.
            items.truncate(items.len().saturating_sub(fails.get() as usize));
            if fails.get() == 0 { FlushOutcome::Delivered } else { FlushOutcome::Failed }
        }));
        let mut is_over = false;
        for _ in 0..operations {
            time.set(clock.tick(script));
            fails.set(script.below(8).saturating_sub(4));
            match script.below(64) {
                0..36 => {
                    let added = queue.try_add_weighted(script.any() as u32, script.below(6));
                    fold.answer(&added.map_err(steadfast_core::batch_collector::AddError::into_item));
                }
                36 | 37 => queue.flush(),
                38 => queue.set_settings(settings(script)),
                39 if script.below(32) == 0 => queue.close(),
                _ if is_over => {}
                _ => is_over = worker.as_mut().poll(&mut cx).is_ready(),
            }
            fold.answer(&(queue.stats(), queue.is_stopped(), is_over));
            fold.number(flushed.borrow().get());
        }
    });
}
